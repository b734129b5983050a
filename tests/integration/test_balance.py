"""Relays with several peers: the choice of the peer, and failover of clients when a peer goes down."""
import os
import collections
import re
import socket
import time

import harness
from relay_peers import at, config, Echo, returning

# All of 127/8 is local: one address for each client.
HOSTS = [f"127.9.{i // 250}.{i % 250 + 1}" for i in range(300)]


class BalanceTest(harness.TestCase):
    def peers(self, count):
        peers = [self.udp() for _ in range(count)]
        for peer in peers:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        return peers, Echo(self, *peers)

    def relay(self, peers, extra="", workers=1, **kind):
        return self.serve(f"[udprelayd]\nworkers = {workers}\n"
                          + config([at(peer) for peer in peers], "log = none\n" + extra, **kind))

    def chosen(self, sock, address, payload=None):
        """Returns the peer that replies to the client."""
        payload = payload or os.urandom(8).hex().encode()
        sock.sendto(payload, address)
        answer, source = sock.recvfrom(100)
        self.assertEqual(source, address)
        name, text = answer.split(b":", 1)
        self.assertEqual(text, payload)
        return int(name)

    def tally(self, clients, address):
        return collections.Counter(self.chosen(client, address) for client in clients)

    def clients(self, count, host="127.0.0.1"):
        return [self.udp(host) for _ in range(count)]

    def test_round_robin(self):
        peers, _ = self.peers(2)
        daemon = self.relay(peers, "balance = round-robin")
        clients = self.clients(10)
        self.assertEqual(self.tally(clients, daemon.address("a")), {0: 5, 1: 5})
        self.assertEqual([self.chosen(client, daemon.address("a")) for client in clients],
                         [self.chosen(client, daemon.address("a")) for client in clients])
        self.assertEqual(daemon.end()["relay a"]["started"], 10)

    def test_weights(self):
        peers, _ = self.peers(2)
        daemon = self.relay(peers, "balance = round-robin", peer_extra=["weight = 1", "weight = 2"])
        self.assertEqual(self.tally(self.clients(9), daemon.address("a")), {0: 3, 1: 6})
        daemon.end()

    def test_at_random(self):
        peers, _ = self.peers(2)
        daemon = self.relay(peers, "balance = random", peer_extra=["weight = 1", "weight = 3"])
        share = self.tally(self.clients(400), daemon.address("a"))[0]
        self.assertGreater(share, 50)  # 100 are expected; this deviation happens once in 10**8 runs
        self.assertLess(share, 150)
        daemon.end()

    def test_least_sessions(self):
        peers, _ = self.peers(3)
        daemon = self.relay(peers, "balance = least-sessions\nresponses = 1")
        address = daemon.address("a")
        silent = self.clients(6)
        for client in silent:
            self.chosen(client, address)  # replied, so the session has ended
        daemon.await_counter("relay a", "ended", 6)
        daemon.end()
        daemon = self.relay(peers, "balance = least-sessions")
        self.assertEqual(self.tally(self.clients(9), daemon.address("a")), {0: 3, 1: 3, 2: 3})
        daemon.end()

    def test_failover(self):
        peers, _ = self.peers(2)
        daemon = self.relay(peers, "balance = failover", peer_extra="max_fails = 1")
        clients = self.clients(5)
        self.assertEqual(self.tally(clients, daemon.address("a")), {0: 5})
        daemon.end()

    def test_hash_is_by_address_and_the_same_everywhere(self):
        """The choice depends only on the configuration and the client's address: relays with other numbers of workers
        agree."""
        peers, _ = self.peers(4)
        clients = [self.udp(host) for host in HOSTS]
        choices = []
        for workers in (1, 3):
            daemon = self.relay(peers, "balance = hash", workers)
            choices.append([self.chosen(client, daemon.address("a")) for client in clients])
            twins = [self.udp(host) for host in HOSTS[:20]]
            self.assertEqual([self.chosen(twin, daemon.address("a")) for twin in twins], choices[0][:20])
            daemon.end()
        self.assertEqual(*choices)
        for count in collections.Counter(choices[0]).values():
            self.assertGreater(count, len(HOSTS) / 4 / 2)

    def test_taking_a_peer_away_moves_only_its_clients(self):
        """A unit test checks the table to 1 %. With so few clients, one in a hundred is one or two clients."""
        peers, _ = self.peers(4)
        clients = [self.udp(host) for host in HOSTS]
        daemon = self.relay(peers)
        before = [self.chosen(client, daemon.address("a")) for client in clients]
        daemon.end()
        daemon = self.relay(peers[:3])
        after = [self.chosen(client, daemon.address("a")) for client in clients]
        daemon.end()
        moved = sum(1 for old, new in zip(before, after) if old != new and old != 3)
        self.assertLessEqual(moved, len(HOSTS) * 0.04)
        self.assertNotIn(3, after)

    def test_backup(self):
        peers, _ = self.peers(3)
        gone = self.udp()
        address = at(gone)
        daemon = self.serve("[udprelayd]\nworkers = 1\n" + config(
            [address, at(peers[1])], "log = none\nbalance = round-robin", peer_extra=["max_fails = 1", "backup = on"]))
        client, other = self.clients(2)
        client.sendto(b"to the first", daemon.address("a"))
        self.assertEqual(gone.recv(100), b"to the first")
        gone.close()
        self.await_answer(client, daemon)
        self.assertEqual(self.chosen(other, daemon.address("a")), 1)
        daemon.await_line("peer p0: .* refuses datagrams: new sessions use other peers")
        daemon.end()

    def await_answer(self, client, daemon, wanted=None):
        """Sends until any peer replies, or until the expected peer replies."""
        client.settimeout(0.1)
        end = time.monotonic() + harness.PATIENCE
        while time.monotonic() < end:
            try:
                name = self.chosen(client, daemon.address("a"))
                if wanted in (None, name):
                    client.settimeout(harness.PATIENCE)
                    return name
            except (socket.timeout, ConnectionRefusedError):
                pass
        self.fail("nobody answers")

    def test_a_dead_peer_is_avoided_and_comes_back(self):
        peers, _ = self.peers(1)
        dead = returning(self)
        dead_address, port = at(dead), dead.getsockname()[1]
        dead.close()
        daemon = self.serve("[udprelayd]\nworkers = 1\n" + config(
            [dead_address, at(peers[0])], "log = none\nbalance = failover",
            peer_extra="max_fails = 3\nfail_timeout = 500ms"))
        client = self.udp()
        self.await_answer(client, daemon)
        for _ in range(50):
            self.assertEqual(self.chosen(client, daemon.address("a")), 0)
        again = self.udp(port=port)
        newcomer = self.udp()
        newcomer.settimeout(0.1)
        self.assertTrue(self.reaches(newcomer, daemon.address("a"), again))
        self.assertEqual(self.chosen(client, daemon.address("a")), 0)  # its peer is up, so the session stays
        counters = daemon.end()
        self.assertGreaterEqual(counters["peer p0"]["icmp_errors"], 3)

    def reaches(self, client, address, peer):
        """Uses new clients, because a session keeps its peer."""
        peer.settimeout(0.05)
        end = time.monotonic() + harness.PATIENCE
        while time.monotonic() < end:
            fresh = self.udp()
            fresh.sendto(b"anybody?", address)
            try:
                return peer.recv(100) == b"anybody?"
            except socket.timeout:
                fresh.close()
        return False

    def test_a_datagram_to_a_dead_peer_is_not_sent_twice(self):
        peers, echo = self.peers(1)
        daemon = self.serve("[udprelayd]\nworkers = 1\n" + config([at(self.deaf()), at(peers[0])],
                                                                  "balance = round-robin\nlog = none"))
        for i in range(40):
            client = self.udp()
            client.sendto(b"%d" % i, daemon.address("a"))
        daemon.await_counter("listener a", "received", 40)
        daemon.end()
        heard = [payload for payload, _ in echo.heard[0]]
        self.assertEqual(len(heard), len(set(heard)))
        self.assertGreaterEqual(len(heard), 20)

    def test_all_peers_are_used_if_all_are_down(self):
        dead = [returning(self) for _ in range(2)]
        addresses, ports = [at(sock) for sock in dead], [sock.getsockname()[1] for sock in dead]
        for sock in dead:
            sock.close()
        daemon = self.serve("[udprelayd]\nworkers = 1\n" + config(
            addresses, "log = none\nbalance = round-robin", peer_extra="max_fails = 1\nfail_timeout = 1h"))
        client = self.udp()

        def told():
            client.sendto(b"anybody?", daemon.address("a"))
            return daemon._match("listener a: all peers are down, so all of them are used", 1)
        daemon.await_that(told, "it is not told that all peers are down")
        peers = [self.udp(port=port) for port in ports]
        Echo(self, *peers)
        client.sendto(b"now?", daemon.address("a"))
        first = int(daemon.await_line(r"peer p(\d): .* answers: new sessions use it again")[1])
        self.assertEqual(self.tally(self.clients(10), daemon.address("a")), {first: 10})
        daemon.end()

    def test_many_clients_and_peers_on_several_workers(self):
        """Each reply comes from the client's peer and reaches the client, and the counters of the workers add up."""
        peers, _ = self.peers(5)
        daemon = self.relay(peers, "balance = least-sessions", workers=4)
        clients = self.clients(200)
        first = [self.chosen(client, daemon.address("a"), b"%d" % i) for i, client in enumerate(clients)]
        for turn in range(3):
            for i, client in enumerate(clients):
                client.sendto(b"%d/%d" % (i, turn), daemon.address("a"))
            for i, client in enumerate(clients):
                self.assertEqual(client.recv(100), b"%d:%d/%d" % (first[i], i, turn))
        counters = daemon.end()
        self.assertEqual(counters["relay a"]["started"], 200)
        self.assertEqual((counters["listener a"]["relayed"], counters["relay a"]["answered"]), (800, 800))
        self.assertEqual(sum(counters[f"peer p{i}"]["answers"] for i in range(5)), 800)

    def test_the_cap_holds_for_all_workers_together(self):
        peers, _ = self.peers(1)
        daemon = self.relay(peers, "max_sessions = 10\nsource_sessions = 0", workers=4)
        for client in self.clients(50):
            client.sendto(b"hello", daemon.address("a"))
        daemon.await_counter("listener a", "received", 50)
        counters = daemon.summary()
        self.assertEqual(counters["relay a"]["sessions"], 10)
        self.assertEqual(counters["relay a"]["started"] + counters["listener a"].get("session_limit", 0), 50)
        daemon.end()


class CheckTest(harness.TestCase):
    """Peers with active health checks."""

    def serve_checked(self, peers, check, extra="balance = failover"):
        return self.serve(config([at(peer) for peer in peers], f"log = none\n{extra}",
                                 peer_extra=["check = on\ncheck_interval = 20ms\ncheck_timeout = 20ms\n"
                                             f"check_rise = 2\ncheck_fall = 3\n{check}"] + [""] * (len(peers) - 1)))

    def asked(self, client, daemon):
        client.settimeout(0.2)
        client.sendto(b"who?", daemon.address("a"))
        try:
            return client.recv(100)
        except socket.timeout:
            return None

    def test_a_peer_that_stops_to_answer(self):
        """The peer receives but no longer replies: only a check detects this."""
        first, second = returning(self), self.udp()
        echo = Echo(self, second)
        healthy = Echo(self, first)
        daemon = self.serve_checked([first, second], "check_send = ping\ncheck_expect = :ping")
        client = self.udp()
        self.assertEqual(self.asked(client, daemon), b"0:who?")
        before = len(echo.heard[0])
        healthy.stop()
        daemon.await_line(rf"peer p0: {at(first)} is down")
        daemon.await_that(lambda: self.asked(client, daemon) and len(echo.heard[0]) > before, "the second never helps")
        again = Echo(self, first)
        daemon.await_line(rf"peer p0: {at(first)} is up again")
        fresh = self.udp()
        daemon.await_that(lambda: self.asked(fresh, daemon) and any(p == b"who?" for p, _ in again.heard[0])
                          or self.renew(fresh), "the first never comes back")
        daemon.end()

    def renew(self, sock):
        sock.close()
        sock.__init__(socket.AF_INET, socket.SOCK_DGRAM)
        return False

    def test_a_peer_that_answers_wrong(self):
        first, second = self.udp(), self.udp()
        Echo(self, first), Echo(self, second)
        daemon = self.serve_checked([first, second], "check_send = hex:00 01 02\ncheck_expect = hex:ffff")
        daemon.await_line(rf"peer p0: {at(first)} is down")
        daemon.end()

    def test_a_peer_without_a_socket(self):
        first, second = self.udp(), self.udp()
        first_address = first.getsockname()
        first.close()
        Echo(self, second)
        daemon = self.serve(config([at(first_address), at(second)], "log = none\nbalance = failover",
                                   peer_extra=["check = on\ncheck_interval = 20ms\ncheck_timeout = 20ms", ""]))
        daemon.await_line(rf"peer p0: {at(first_address)} is down")
        self.assertEqual(self.asked(self.udp(), daemon), b"0:who?")
        daemon.end()

    def test_all_checked_peers_down(self):
        """All peers are used although their checks failed."""
        only = self.udp()
        daemon = self.serve_checked([only], "check_send = ping\ncheck_expect = pong")
        daemon.await_line(rf"peer p0: {at(only)} is down")
        client = self.udp()
        client.sendto(b"hello", daemon.address("a"))
        while (heard := only.recvfrom(100))[0] == b"ping":
            pass
        only.sendto(b"answer", heard[1])
        self.assertEqual(client.recv(100), b"answer")
        daemon.await_line("listener a: all peers are down")
        daemon.end()


if __name__ == "__main__":
    harness.main()
