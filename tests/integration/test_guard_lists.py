"""allow and deny: the sources that a listener accepts, for each action."""
import os
import socket

import harness
from relay_peers import Echo, at

DENIED = "dropped:source_denied"


def config(action, lists, address="127.0.0.1:0", peer=None):
    text = f"[listener:a]\naddress = {address}\naction = {action}\n{lists}\n"
    return text + (f"peers = p\n[peer:p]\naddress = {at(peer)}\n" if peer else "")


class GuardListsTest(harness.TestCase):
    def send(self, daemon, host):
        """Sends a datagram from a port of the host. Returns the socket and the log record."""
        sock = self.udp(host)
        sock.sendto(host.encode(), daemon.address("a"))
        return sock, self.verdict(daemon, at(sock))

    def verdict(self, daemon, source):
        def find():
            return [r["verdict"] for r in daemon.records() if r["source"] == source]
        return daemon.await_that(find, f"no record of {source}")[0]

    def check(self, daemon, expected):
        """Checks the verdict of a datagram from each host."""
        denied = 0
        for host, verdict in expected.items():
            sock, found = self.send(daemon, host)
            self.assertEqual(found, verdict, host)
            denied += verdict == DENIED
            if verdict == DENIED:
                self.assert_nothing_waits(sock)
        counters = daemon.end()
        listener = counters["listener a"]
        self.assertEqual((listener["received"], listener["dropped"], listener.get("source_denied", 0)),
                         (len(expected), denied, denied))
        return counters

    LISTS = "allow = 127.0.1.0/24, 127.0.2.0/24,\n  127.0.3.1\ndeny = 127.0.2.128/25, 127.0.1.1/32\n"

    def expected(self, verdict):
        return {"127.0.1.0": verdict, "127.0.1.1": DENIED, "127.0.1.2": verdict, "127.0.2.127": verdict,
                "127.0.2.128": DENIED, "127.0.3.1": verdict, "127.0.3.2": DENIED, "127.0.0.1": DENIED}

    def test_echo(self):
        daemon = self.serve(config("echo", self.LISTS))
        sock, _ = self.send(daemon, "127.0.1.7")
        self.assertEqual(sock.recv(100), b"127.0.1.7")
        daemon.end()
        self.assertEqual(self.check(self.serve(config("echo", self.LISTS)),
                                    self.expected("echoed"))["listener a"]["echoed"], 4)

    def test_sink(self):
        self.check(self.serve(config("sink", self.LISTS)), self.expected("sunk"))

    def test_forward(self):
        peer = self.udp()
        daemon = self.serve(config("forward", self.LISTS, peer=peer))
        counters = self.check(daemon, self.expected("forwarded:1/1"))
        self.assertEqual([peer.recv(100) for _ in range(4)],
                         [b"127.0.1.0", b"127.0.1.2", b"127.0.2.127", b"127.0.3.1"])
        self.assert_nothing_waits(peer)
        self.assertEqual(counters["peer p"]["handed"], 4)

    def test_relay(self):
        """A denied source gets no session. The peer is in no list, and its replies still arrive."""
        peer = self.udp()
        Echo(self, peer)
        daemon = self.serve(config("relay", self.LISTS, peer=peer))
        sock, _ = self.send(daemon, "127.0.1.7")
        self.assertEqual(sock.recv(100), b"0:127.0.1.7")
        daemon.end()
        daemon = self.serve(config("relay", self.LISTS, peer=self.udp()))
        self.assertEqual(self.check(daemon, self.expected("relayed:p"))["relay a"]["started"], 4)

    def test_deny_alone(self):
        self.check(self.serve(config("echo", "deny = 127.0.1.0/24\n")),
                   {"127.0.0.1": "echoed", "127.0.1.9": DENIED, "127.0.2.1": "echoed"})

    def test_allow_alone(self):
        self.check(self.serve(config("sink", "allow = 127.0.1.0/24\n")),
                   {"127.0.0.1": DENIED, "127.0.1.9": "sunk", "127.0.2.1": DENIED})

    def test_without_loop_guard(self):
        self.check(self.serve(config("echo", "loop_guard = off\nallow = 127.0.1.0/24\n")),
                   {"127.0.0.1": DENIED, "127.0.1.9": "echoed"})

    def test_each_family_has_its_lists(self):
        daemon = self.serve(config("echo", "allow = ::1\n", "127.0.0.1:0, [::1]:0"))
        _, found = self.send(daemon, "127.0.0.1")
        self.assertEqual(found, DENIED)
        client = self.udp("::1")
        self.assert_echoes(client, daemon.address("a", 2), b"six")
        daemon.end()
        daemon = self.serve(config("echo", "deny = ::/0\n", "[::1]:0"))
        client.sendto(b"six", daemon.address("a"))
        self.assertEqual(self.verdict(daemon, at(client)), DENIED)
        daemon.end()

    def test_each_listener_has_its_lists(self):
        daemon = self.serve(config("sink", "deny = 127.0.0.1\n") +
                            "[listener:b]\naddress = 127.0.0.1:0\naction = echo\nallow = 127.0.0.1\n")
        client, found = self.send(daemon, "127.0.0.1")
        self.assertEqual(found, DENIED)
        self.assert_echoes(client, daemon.address("b"), b"me")
        daemon.end()

    def test_unix_senders(self):
        """The lists do not apply to AF_UNIX senders of a listener with addresses of both kinds."""
        with harness.tempfile.TemporaryDirectory(prefix="udprelayd-unix-") as directory:
            path = os.path.join(directory, "listener")
            daemon = self.serve(config("echo", "deny = 0.0.0.0/0\n", f"127.0.0.1:0, unix:{path}"))
            self.assertEqual(self.send(daemon, "127.0.0.1")[1], DENIED)
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
                client.settimeout(harness.PATIENCE)
                client.bind(os.path.join(directory, "client"))
                client.sendto(b"hello", path)
                self.assertEqual(client.recv(100), b"hello")
            daemon.end()

    def test_a_long_list(self):
        """The list has fifty thousand prefixes, one per line."""
        prefixes = ",\n  ".join(f"10.{i // 256}.{i % 256}.0/24" for i in range(50000))
        self.check(self.serve(config("echo", f"deny = {prefixes},\n  127.0.1.0/24\n")),
                   {"127.0.0.1": "echoed", "127.0.1.1": DENIED})

    def test_errors_are_reported_with_their_line(self):
        told = self.refused(config("echo", "allow = 127.0.0.1,\n  127.0.1.1/24,\n  ::ffff:127.0.0.1\n"), 78)
        self.assertRegex(told, r":5: \[listener:a\] allow: `127.0.1.1/24`: .*: write 127.0.1.0/24")
        self.assertRegex(told, r":6: \[listener:a\] allow: `::ffff:127.0.0.1`: .*: write 127.0.0.1/32")
        told = self.refused(config("sink", "deny = ::/0\n", "unix:/nowhere/socket"), 78)
        self.assertRegex(told, r":4: \[listener:a\] deny: unix: addresses have no prefixes: remove this line")


if __name__ == "__main__":
    harness.main()
