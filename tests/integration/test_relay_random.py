"""A relay under thousands of random steps: clients and peers start and stop, fall silent, and send too much. The
counters always balance, and no client gets a reply for another one. UDPRELAYD_SEED repeats a run."""
import os
import random
import socket
import sys
import time

import harness
from relay_peers import config, returning

STEPS = int(os.environ.get("UDPRELAYD_STEPS", "8000"))
PEERS, CLIENTS = 4, 40


class RandomTest(harness.TestCase):
    def setUp(self):
        seed = os.environ.get("UDPRELAYD_SEED", "20261124")
        self.random = random.Random(seed)
        print(f"seed {seed}", file=sys.stderr)

    def begin(self, workers):
        self.peers = [returning(self) for _ in range(PEERS)]
        self.ports = [peer.getsockname()[1] for peer in self.peers]
        for peer in self.peers:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            peer.setblocking(False)
        self.daemon = self.serve(f"[udprelayd]\nworkers = {workers}\n" + config(
            [f"127.0.0.1:{port}" for port in self.ports],
            "log = none\nmax_sessions = 25\nsource_sessions = 0\nidle_timeout = 40ms\nresponses = 2\nbalance = random",
            peer_extra="max_fails = 2\nfail_timeout = 20ms"))
        self.clients, self.number = {}, 0
        self.wrong = []
        self.spoke = {}  # for each port of the relay: the clients that sent to peers through it

    # --- Steps ---

    def client_speaks(self):
        if len(self.clients) < CLIENTS:
            self.number += 1
            # a new address: no client inherits the port, and the session, of one that was closed
            sock = self.udp(f"127.8.{self.number // 250}.{self.number % 250 + 1}")
            sock.setblocking(False)
            self.clients[self.number] = sock
        name = self.random.choice(list(self.clients))
        for _ in range(self.random.choice((1, 1, 1, 5))):
            self.clients[name].sendto(b"%d:" % name + b"x" * self.random.choice((0, 1, 300)), self.daemon.address("a"))

    def client_leaves(self):
        if self.clients:
            self.clients.pop(self.random.choice(list(self.clients))).close()

    def peer_answers(self):
        """Replies to the received datagrams, sometimes twice, sometimes not."""
        peer = self.random.choice(self.peers)
        if peer is None:
            return
        for _ in range(10):
            try:
                payload, session = peer.recvfrom(1000)
            except BlockingIOError:
                break
            except ConnectionRefusedError:
                continue
            name = self.note(payload, session)
            for _ in range(self.random.choice((0, 1, 1, 2, 4))):
                self.say(peer, name, session)

    def note(self, payload, session):
        name = payload.split(b":")[0]
        self.spoke.setdefault(session, set()).add(name)
        return name

    def say(self, peer, name, session):
        try:
            peer.sendto(name, session)
        except ConnectionRefusedError:
            pass

    def peer_goes_or_comes(self):
        i = self.random.randrange(PEERS)
        if self.peers[i]:
            self.peers[i].close()
            self.peers[i] = None
        else:
            self.peers[i] = self.udp(port=self.ports[i])
            self.peers[i].setblocking(False)

    def clients_hear(self):
        for name, sock in self.clients.items():
            while True:
                try:
                    payload, source = sock.recvfrom(1000)
                except BlockingIOError:
                    break
                except ConnectionRefusedError:
                    continue
                self.assertEqual(source, self.daemon.address("a"))
                if payload != b"%d" % name:
                    self.wrong.append({payload, b"%d" % name})

    def check_misdelivered(self):
        """A reply after the end of its session may reach another session, because the kernel reuses ports. A client
        gets a reply for another one only in this case."""
        for peer in filter(None, self.peers):
            while True:
                try:
                    self.note(*peer.recvfrom(1000))
                except BlockingIOError:
                    break
                except ConnectionRefusedError:
                    continue
        for both in self.wrong:
            self.assertTrue(any(both <= names for names in self.spoke.values()), both)
        self.assertLess(len(self.wrong), 10)

    def run_steps(self, workers):
        self.begin(workers)
        steps = [(self.client_speaks, 60), (self.peer_answers, 30), (self.clients_hear, 10), (self.client_leaves, 4),
                 (self.peer_goes_or_comes, 1)]
        actions, weights = zip(*steps)
        for number in range(STEPS):
            self.random.choices(actions, weights)[0]()
            if number % 500 == 499:
                self.check_soon()
        self.clients_hear()
        self.check_misdelivered()
        counters = self.daemon.end()
        self.check(counters)
        relay = counters["relay a"]
        self.assertEqual(relay["sessions"], 0)
        self.assertGreater(relay["started"], STEPS / 50)
        self.assertGreater(relay["answered"], 0)
        self.assertGreater(sum(counters[f"peer p{i}"]["icmp_errors"] for i in range(PEERS)), 0)

    def check_soon(self):
        """The counters balance whenever no batch is in progress."""
        end = time.monotonic() + harness.PATIENCE
        while True:
            try:
                return self.check(self.daemon.summary())
            except AssertionError:
                if time.monotonic() > end:
                    raise

    def check(self, counters):
        harness.check_balance(counters)
        listener, relay = counters["listener a"], counters["relay a"]
        self.assertLessEqual(relay["sessions"], 25)
        self.assertEqual(sum(counters[f"peer p{i}"]["handed"] for i in range(PEERS)),
                         listener["relayed"] + sum(counters[f"peer p{i}"]["dropped"] for i in range(PEERS)))
        self.assertEqual(sum(counters[f"peer p{i}"]["answers"] for i in range(PEERS)), relay["answers"])
        self.assertLessEqual(relay["answered"], 2 * listener["relayed"])

    def test_one_worker(self):
        self.run_steps(1)

    def test_several_workers(self):
        self.run_steps(3)


if __name__ == "__main__":
    harness.main()
