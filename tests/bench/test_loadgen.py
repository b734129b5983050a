"""The load generator against servers that do wrong: each fault is told by its name."""
import json
import socket
import subprocess
import sys
import threading
import unittest


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


if __name__ == "__main__":
    LOADGEN = sys.argv.pop(1)
    unittest.main(verbosity=2)
