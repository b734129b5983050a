"""A long run with everything at once: all actions and sizes, peers and clients that start and stop, signals, log
rotations and reloads. Afterwards memory and descriptors have not grown, and the counters balance exactly. SOAK_SECONDS
sets the duration (hours in a manual run), UDPRELAYD_SEED repeats a run."""
import errno
import os
import random
import re
import selectors
import signal
import socket
import struct
import sys
import tempfile
import time

import harness
from relay_peers import returning

SECONDS = float(os.environ.get("SOAK_SECONDS", "10"))

# Datagrams per second.
RATE = 3000
CLIENTS, LARGEST = 30, 65507
SEGMENT, TRAIN_MAX = 700, 60
SOL_UDP, UDP_SEGMENT = 17, 103

# Permitted growth of resident memory after the warm-up, in bytes: receive slots of 64 KiB that only a large batch uses,
# and late memory of malloc(3) and the stacks. In ten seconds this hides a leak below 200 bytes per datagram; in hours
# it hides none.
TOLERANCE = 4 << 20


class SoakTest(harness.TestCase):
    def setUp(self):
        seed = os.environ.get("UDPRELAYD_SEED", "20261124")
        self.random = random.Random(seed)
        print(f"seed {seed}, {SECONDS:g} seconds", file=sys.stderr)
        directory = tempfile.TemporaryDirectory(prefix="udprelayd-soak-")
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.selector = selectors.DefaultSelector()
        self.addCleanup(self.selector.close)
        self.sent = dict.fromkeys(("sink", "echo", "forward", "relay", "unix"), 0)
        self.written = self.declared = self.events = self.rotations = self.reloads = 0
        self.clients = []
        self.addCleanup(lambda: [client.close() for client in self.clients])
        self.peers = [self.enrol(returning(self)) for _ in range(5)]
        self.ports = [peer.getsockname()[1] for peer in self.peers]
        self.start_daemon()

    def start_daemon(self):
        listeners = {"sink": "action = sink", "echo": "action = echo", "forward": "action = forward\npeers = p0, p1\nerrors = replace",
                     "relay": "action = relay\npeers = p2, p3, p4\nbalance = least-sessions\nidle_timeout = 200ms\n"
                              "max_sessions = 20\nsource_sessions = 0"}
        self.log = os.path.join(self.directory, "log")
        self.path = os.path.join(self.directory, "in")
        self.daemon = self.serve(
            f"[udprelayd]\nworkers = 2\n[datagram_log]\ntarget = {self.log}\npayload = 64\nqueue = 16\n"
            + "".join(f"[listener:{name}]\naddress = 127.0.0.1:0\n{keys}\n" for name, keys in listeners.items())
            + f"[listener:unix]\naddress = unix:{self.path}\naction = echo\n"
            + "".join(f"[peer:p{i}]\naddress = 127.0.0.1:{port}\nmax_fails = 2\nfail_timeout = 100ms\n"
                      + ("encoding = utf-16-be\n" if i == 1 else "") for i, port in enumerate(self.ports)))
        self.addresses = {name: self.daemon.address(name) for name in listeners}
        self.local = [socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2)]
        for sock in self.local:
            self.addCleanup(sock.close)
            sock.setblocking(False)
        self.local[0].bind(os.path.join(self.directory, "out"))  # the other socket has no name, so no reply can reach it

    # --- Sockets that come and go ---

    def enrol(self, sock):
        sock.setblocking(False)
        self.selector.register(sock, selectors.EVENT_READ)
        return sock

    def dismiss(self, sock):
        self.selector.unregister(sock)
        sock.close()

    def client(self):
        if len(self.clients) < CLIENTS:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind(("127.0.0.1", 0))
            self.clients.append(self.enrol(sock))
        return self.random.choice(self.clients)

    def client_goes(self):
        if self.clients:
            self.dismiss(self.clients.pop(self.random.randrange(len(self.clients))))

    def peer_goes_or_comes(self):
        i = self.random.randrange(len(self.peers))
        if self.peers[i]:
            self.dismiss(self.peers[i])
            self.peers[i] = None
        else:
            self.peers[i] = self.enrol(self.udp(port=self.ports[i]))

    # --- Load ---

    def payload(self):
        kind = self.random.randrange(20)
        if kind == 0:
            return self.random.randbytes(LARGEST)
        return [b"", b"hello, udp\n", self.random.randbytes(self.random.randrange(600)), "你好\u202e".encode()][kind % 4]

    def send_train(self, name):
        count = self.random.randrange(2, TRAIN_MAX + 1)
        size = SEGMENT * (count - 1) + self.random.randrange(1, SEGMENT + 1)
        try:
            self.client().sendmsg([self.random.randbytes(size)], [(SOL_UDP, UDP_SEGMENT, struct.pack("H", SEGMENT))], 0,
                                  self.addresses[name])
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EIO):
                raise
            return 0  # the kernel does not support it
        return count

    def send(self):
        """Returns the number of sent datagrams."""
        name = self.random.choice(list(self.sent))
        count = 1
        if name == "unix":
            try:
                self.random.choice(self.local).sendto(self.payload(), self.path)
            except BlockingIOError:
                count = 0
        elif self.random.randrange(15) == 0:
            count = self.send_train(name)
        else:
            self.client().sendto(self.payload(), self.addresses[name])
        self.sent[name] += count
        return count

    def hear(self, until):
        """Peers of the relay reply until the end of the run."""
        while (left := until - time.monotonic()) > 0:
            for key, _ in self.selector.select(left):
                try:
                    payload, source = key.fileobj.recvfrom(65536)
                    if key.fileobj in self.peers[2:]:
                        key.fileobj.sendto(payload, source)
                except (BlockingIOError, ConnectionRefusedError):
                    pass
        for sock in self.local[:1]:
            try:
                while sock.recv(65536) is not None:
                    pass
            except BlockingIOError:
                pass

    def load(self, seconds):
        begin, total = time.monotonic(), 0
        end, steps = begin + seconds, 0
        while time.monotonic() < end:
            total += self.send()
            steps += 1
            if steps % 20 == 0:
                self.client_goes()
            if steps % 150 == 0:
                self.peer_goes_or_comes()
            if steps % 1000 == 0:
                self.assertLessEqual(self.summary()["relay relay"]["sessions"], 20)
            if steps % 1500 == 0:
                self.rotate()
            if steps % 700 == 350:  # not during a rotation: the previous writer still writes
                self.reload()
            now = time.monotonic()
            if begin + total / RATE < now - 0.1:  # after a delay there is no burst
                begin = now - total / RATE
            self.hear(begin + total / RATE)

    # --- Looking ---

    def summary(self):
        """Sends SIGUSR1 and discards the earlier log lines, which would use much memory after hours."""
        with self.daemon.changed:
            del self.daemon.lines[:-100]
        self.events += 1
        return self.daemon.summary()

    def rotate(self):
        """Sends SIGUSR2. The old file is complete when the new one exists: its records are counted, and it is
        removed."""
        with self.daemon.changed:
            self.daemon.lines[:] = [line for line in self.daemon.lines if "reopened" not in line]
        old = self.log + ".old"
        os.rename(self.log, old)
        self.daemon.send_signal(signal.SIGUSR2)
        self.daemon.await_line(r"datagram log: .*: reopened")
        self.count_records(old)
        os.unlink(old)
        self.rotations += 1

    def reload(self):
        """Sends SIGHUP. Half of the time the file is invalid."""
        wrong = self.random.random() < 0.5
        with self.daemon.changed:
            del self.daemon.lines[:]
        with open(self.daemon.path, "r+", encoding="utf-8") as file:
            config = file.read()
            file.write("nonsense\n" if wrong else "")
        self.daemon.send_signal(signal.SIGHUP)
        self.daemon.await_line("the last reload failed" if wrong else "active")
        with open(self.daemon.path, "w", encoding="utf-8") as file:
            file.write(config)
        self.reloads += 1

    def count_records(self, path):
        with open(path, "rb") as file:
            for line in file:
                self.assertTrue(line.endswith(b"\n"), line)
                declared = re.match(rb"\S+ records dropped: (\d+)$", line)
                if declared:
                    self.declared += int(declared[1])
                else:
                    self.written += 1

    def come_to_rest(self):
        """Returns the counters after all sent datagrams are counted and all sessions have timed out."""
        end = time.monotonic() + harness.PATIENCE
        while True:
            self.hear(time.monotonic() + 0.05)
            counters = self.summary()
            missing = [name for name, sent in self.sent.items() if not self.is_accounted(counters[f"listener {name}"], sent)]
            if not missing and not counters["relay relay"]["sessions"]:
                return counters
            self.assertLess(time.monotonic(), end, (missing, self.sent, counters))

    def is_accounted(self, listener, sent):
        """The kernel counts its drops per train."""
        lost = listener["kernel_dropped"]
        return listener["received"] + lost <= sent <= listener["received"] + lost * TRAIN_MAX

    def measure(self):
        proc = f"/proc/{self.daemon.process.pid}"
        with open(f"{proc}/status", encoding="ascii") as file:
            status = dict(line.split(":", 1) for line in file)
        return len(os.listdir(f"{proc}/fd")), int(status["Threads"]), int(status["VmRSS"].split()[0]) << 10

    def test_soak(self):
        self.load(SECONDS / 3)
        self.come_to_rest()
        warm = self.measure()
        self.load(SECONDS * 2 / 3)
        self.come_to_rest()
        cold = self.measure()
        self.assertEqual(cold[:2], warm[:2], "descriptors, threads")
        if not self.daemon.is_sanitized():
            self.assertLess(cold[2] - warm[2], TOLERANCE, "bytes of memory")
        counters = self.daemon.end()  # the counters of each listener, relay and peer balance
        self.count_records(self.log)
        self.check_books(counters)
        dropped = counters["datagram log"]["dropped"]
        print(f"soak: {sum(self.sent.values())} datagrams in {SECONDS:g} s, {self.events} summaries, {self.rotations} rotations, {self.reloads} reloads, "
              f"{counters['relay relay']['started']} sessions, "
              f"{sum(counters[f'peer p{i}']['icmp_errors'] for i in range(5))} ICMP errors, {dropped} records dropped; "
              f"after the warm-up and at the end: descriptors {warm[0]}, {cold[0]}, threads {warm[1]}, {cold[1]}, "
              f"memory {warm[2] >> 10}, {cold[2] >> 10} KiB")

    def check_books(self, counters):
        listeners = {name: counters[f"listener {name}"] for name in self.sent}
        relay = counters["relay relay"]
        for name, sent in self.sent.items():
            self.assertTrue(self.is_accounted(listeners[name], sent), (name, sent, listeners[name]))
            if not listeners[name]["kernel_dropped"]:
                self.assertEqual(listeners[name]["received"], sent, name)
        peers = [counters[f"peer p{i}"] for i in range(5)]
        for peer in peers[:2]:
            self.assertEqual(peer["handed"], listeners["forward"]["received"] - listeners["forward"].get("ring", 0))
        self.assertEqual(sum(peer["answers"] for peer in peers), relay["answers"])
        self.assertEqual(sum(peer["sent"] for peer in peers[2:]), listeners["relay"]["relayed"])
        self.assertEqual((relay["sessions"], relay["started"]), (0, relay["ended"]))
        # unread replies of an ended session are counted, but their contents are unknown
        logged = (sum(listener["received"] for listener in listeners.values()) + relay["answers"]
                  - relay.get("session_ended", 0))
        self.assertEqual(self.written + self.declared, logged)
        self.assertEqual(counters["datagram log"], {"written": self.written, "dropped": self.declared})
        # every event happened at least once
        for name, result in (("sink", "sunk"), ("echo", "echoed"), ("forward", "forwarded"), ("relay", "relayed"),
                             ("unix", "echoed")):
            self.assertGreater(listeners[name][result], 0, name)
        self.assertGreater(relay["answered"], 0)
        self.assertGreater(self.declared, 0)
        self.assertGreater(sum(peer["icmp_errors"] for peer in peers), 0)


if __name__ == "__main__":
    harness.main()
