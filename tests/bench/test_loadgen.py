"""The load generator against servers that do wrong: each fault is told by its name."""
import collections
import json
import socket
import struct
import subprocess
import sys
import threading
import unittest


UDP_SEGMENT, UDP_GRO = 103, 104  # <linux/udp.h>


class FaultyServer(threading.Thread):
    """An echo on loopback; fault(server, n, data, address) sends what it likes for datagram number n."""

    def __init__(self, fault):
        super().__init__(daemon=True)
        self.fault, self.count, self.kept = fault, 0, None
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.address = "%s:%d" % self.sock.getsockname()
        self.start()

    def run(self):
        while True:
            data, address = self.sock.recvfrom(65536)
            if data == b"end":
                self.sock.close()
                return
            self.fault(self, self.count, data, address)
            self.count += 1

    def send(self, data, address):
        self.sock.sendto(data, address)

    def end(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            host, port = self.address.split(":")
            sock.sendto(b"end", (host, int(port)))
        self.join(10)


def faithful(server, _, data, address):
    server.send(data, address)


def lossy(server, n, data, address):
    if n % 10:
        server.send(data, address)


def doubling(server, n, data, address):
    for _ in range(2 if n % 10 == 0 else 1):
        server.send(data, address)


def swapping(server, n, data, address):
    """Each second datagram overtakes the one before it."""
    if n % 2 == 0:
        server.kept = data
    else:
        server.send(data, address)
        server.send(server.kept, address)


def confusing(server, n, data, address):
    """To whoever asked before."""
    previous, server.kept = server.kept, address
    server.send(data, previous if previous and n % 10 == 0 else address)


class Relay:
    """Between clients and a peer that sends back: what fault(n, flow) says gets answer number n to that flow."""

    def __init__(self, peer, fault=lambda n, flow: flow):
        self.peer, self.fault, self.clients, self.answers = peer, fault, {}, 0

    def __call__(self, server, _, data, address):
        flow = struct.unpack_from("=II", data)[1]
        if address != self.peer:
            self.clients[flow] = address
            server.send(data, self.peer)
            return
        server.send(data, self.clients[self.fault(self.answers, flow)])
        self.answers += 1


class Counted:
    """A fault, and how many datagrams came from each address."""

    def __init__(self, fault=faithful):
        self.fault, self.sources = fault, collections.Counter()

    def __call__(self, server, n, data, address):
        self.sources[address] += 1
        self.fault(server, n, data, address)


class LoadgenTest(unittest.TestCase):
    def load(self, fault, *options):
        server = FaultyServer(fault)
        self.addCleanup(server.end)
        out = subprocess.check_output([LOADGEN, "-a", server.address, "-n", "0.5", *options], timeout=30)
        return json.loads(out)

    def assert_clean(self, result, *but):
        for key in {"lost", "duplicated", "reordered", "misdelivered"} - set(but):
            self.assertEqual(result[key], 0, (key, result))

    def test_a_faithful_server(self):
        for options in (["-f", "1", "-d", "64"], ["-f", "20", "-d", "2"], ["-d", "50", "-t", "10", "-s", "100"],
                        ["-f", "3", "-r", "1000"]):
            result = self.load(faithful, *options)
            self.assertGreater(result["received"], 100)
            self.assertEqual(result["received"], result["sent"])
            self.assert_clean(result)

    def test_loss(self):
        result = self.load(lossy, "-f", "4", "-r", "1000")
        self.assertAlmostEqual(result["lost"] / result["sent"], 0.1, delta=0.02)
        self.assert_clean(result, "lost")

    def test_duplicates(self):
        result = self.load(doubling, "-f", "2", "-r", "1000")
        self.assertAlmostEqual(result["duplicated"] / result["sent"], 0.1, delta=0.02)
        self.assert_clean(result, "duplicated")

    def test_reordering(self):
        result = self.load(swapping, "-f", "1", "-d", "64")
        self.assertAlmostEqual(result["reordered"] / result["sent"], 0.5, delta=0.05)
        self.assert_clean(result, "reordered", "lost")

    def test_misdelivery(self):
        result = self.load(confusing, "-f", "7", "-r", "1000")
        self.assertAlmostEqual(result["misdelivered"] / result["sent"], 0.1, delta=0.03)
        self.assert_clean(result, "misdelivered", "lost")

    def test_peers(self):
        """A forwarder's peers each see everything."""
        process = subprocess.Popen([LOADGEN, "-p", "2", "-d", "16", "-n", "0.5"], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE)
        peers = [("127.0.0.1", int(port)) for port in process.stdout.readline().split()]
        server = FaultyServer(lambda server, n, data, address: [server.send(data, peer) for peer in peers])
        self.addCleanup(server.end)
        out, _ = process.communicate(f"{server.address}\n".encode(), timeout=30)
        result = json.loads(out)
        self.assertEqual(result["received"], 2 * result["sent"])
        self.assert_clean(result)

    def start(self, *options):
        process = subprocess.Popen([LOADGEN, "-n", "0.5", *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def echoing_peers(self, process):
        return [("127.0.0.1", int(port)) for port in process.stdout.readline().split()]

    def aim(self, process, address):
        process.stdin.write(b"%s:%d\n" % (address[0].encode(), address[1]))
        process.stdin.flush()

    def go(self, process):
        """What the load came to, once the sessions are there."""
        self.assertEqual(process.stdout.readline(), b"ready\n")
        out, _ = process.communicate(b"go\n", timeout=30)
        return json.loads(out)

    def serve(self, fault):
        server = FaultyServer(fault)
        self.addCleanup(server.end)
        return server

    def relay(self, fault, *options):
        process = self.start("-e", "1", *options)
        peer, = self.echoing_peers(process)
        server = self.serve(Relay(peer, fault))
        self.aim(process, server.sock.getsockname())
        return self.go(process)

    def test_echoing_peers(self):
        """Few and many, of few and many flows, that are themselves the target."""
        for options in (["-e", "1", "-d", "16"], ["-e", "1", "-f", "20", "-d", "2"], ["-e", "7", "-f", "3", "-d", "8"],
                        ["-e", "1", "-d", "200", "-t", "50"], ["-e", "6", "-f", "9", "-d", "30", "-t", "7", "-s", "1400"],
                        ["-e", "2", "-f", "3", "-r", "5000"]):
            with self.subTest(options):
                process = self.start(*options)
                peers = self.echoing_peers(process)
                self.assertEqual(len(set(peers)), int(options[1]))
                self.aim(process, peers[-1])
                result = self.go(process)
                self.assertGreater(result["received"], 100)
                self.assertEqual(result["received"], result["sent"])
                self.assert_clean(result)

    def test_a_train_goes_back_as_a_train(self):
        """Segments and the shorter last one, in one piece; a single datagram as such."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            sock.settimeout(10)
            process = self.start("-e", "1", "-r", "10")
            peer, = self.echoing_peers(process)
            self.aim(process, sock.getsockname())
            greeting, flow = sock.recvfrom(65536)
            sock.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
            train = bytes(range(250)) + bytes(100)
            sock.sendmsg([train], [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", 100))], 0, peer)
            sock.sendto(b"one", peer)
            received = [sock.recvmsg(65536, 64) for _ in range(2)]
            self.assertEqual([(data, source) for data, _, _, source in received], [(train, peer), (b"one", peer)])
            self.assertEqual([[struct.unpack("=i", value)[0] for _, _, value in control]
                              for _, control, _, _ in received], [[100], []])
            sock.sendto(greeting, flow)
            self.go(process)

    def test_relay(self):
        for options in (["-d", "16"], ["-f", "20", "-d", "2"], ["-d", "50", "-t", "10"], ["-f", "5", "-i", "100"]):
            with self.subTest(options):
                result = self.relay(lambda n, flow: flow, *options)
                self.assertGreater(result["received"], 100)
                self.assertEqual(result["received"], result["sent"])
                self.assert_clean(result)

    def test_answers_to_the_wrong_client(self):
        """A relay that mixes its clients up, once all have spoken."""
        result = self.relay(lambda n, flow: (flow + 1) % 7 if n >= 7 and n % 10 == 0 else flow, "-f", "7", "-r", "1000")
        self.assertAlmostEqual(result["misdelivered"] / result["sent"], 0.1, delta=0.03)
        self.assertEqual(result["lost"], result["misdelivered"])
        self.assert_clean(result, "misdelivered", "lost")

    def test_answers_to_an_idle_client(self):
        """It is open during the load, and what comes there is seen."""
        result = self.relay(lambda n, flow: 6 if n == 20 else flow, "-f", "2", "-i", "5", "-r", "100")
        self.assertEqual((result["misdelivered"], result["lost"]), (1, 1))
        self.assert_clean(result, "misdelivered", "lost")

    def test_idle_sessions(self):
        """Each says one thing, before the load; the load comes from the others."""
        counted = Counted()
        server = self.serve(counted)
        process = self.start("-a", server.address, "-f", "3", "-d", "4", "-i", "150")
        self.assertEqual(process.stdout.readline(), b"ready\n")
        self.assertEqual(list(counted.sources.values()), [1] * 153)
        out, _ = process.communicate(b"go\n", timeout=30)
        result = json.loads(out)
        self.assertEqual(len(counted.sources), 153)
        self.assertEqual(sorted(counted.sources.values())[:150], [1] * 150)
        self.assertGreater(min(sorted(counted.sources.values())[150:]), 10)
        self.assertEqual(result["greeted"], 153)
        self.assertEqual(result["sent"], sum(counted.sources.values()))
        self.assertEqual(result["received"], result["sent"])
        self.assert_clean(result)

    def test_unanswered_greetings(self):
        """They are not waited for without end, and count as lost."""
        result = self.go(self.start("-a", self.serve(lossy).address, "-f", "2", "-i", "98", "-r", "20", "-n", "0.1"))
        self.assertEqual(result["greeted"], 90)
        self.assertIn(result["lost"], (10, 11))  # of the load, one in ten as well
        self.assert_clean(result, "lost")

    def test_no_answer_at_all(self):
        process = self.start("-a", self.serve(lambda *_: None).address, "-i", "3")
        out, said = process.communicate(timeout=30)
        self.assertEqual((process.returncode, out, said), (1, b"", b"the target does not answer\n"))


if __name__ == "__main__":
    LOADGEN = sys.argv.pop(1)
    unittest.main(verbosity=2)
