"""Peers by name: looked up aside, again and again, and never in the way. The resolver's files are the test's own."""
import atexit
import os
import socket
import subprocess
import tempfile

import harness

harness.in_namespace("mount")

# Files that are mounted cannot be removed: they are taken off first.
DIRECTORY = tempfile.TemporaryDirectory(prefix="udprelayd-resolve-")


def resolver_file(name, text):
    """Puts a file of our own over /etc/NAME, for this mount namespace alone."""
    path = os.path.join(DIRECTORY.name, name)
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    target = os.path.realpath(f"/etc/{name}")
    if not os.path.ismount(target):
        subprocess.run(["mount", "--bind", path, target], check=True)
        atexit.register(subprocess.run, ["umount", target], check=True)


class ResolveTest(harness.TestCase):
    def setUp(self):
        resolver_file("hosts", "127.0.0.1 localhost\n127.0.0.9 receiver.test\n")
        resolver_file("nsswitch.conf", "hosts: files dns\n")
        resolver_file("resolv.conf", "nameserver 127.0.0.53\noptions timeout:30 attempts:1\n")

    def serve_peers(self, *names, extra=""):
        sections = "".join(f"[peer:p{i}]\naddress = {name}\n{extra}\n" for i, name in enumerate(names))
        peers = ", ".join(f"p{i}" for i in range(len(names)))
        return self.serve(f"[listener:a]\naddress = 127.0.0.1:0\naction = forward\npeers = {peers}\n{sections}")

    def test_a_name(self):
        receiver = self.udp("127.0.0.9")
        port = receiver.getsockname()[1]
        daemon = self.serve_peers(f"receiver.test:{port}")
        daemon.await_line(rf"peer p0: receiver\.test is 127\.0\.0\.9:{port}")
        client = self.udp()
        daemon.await_that(lambda: self.arrives(client, daemon, receiver), "nothing arrives")
        daemon.end()

    def arrives(self, client, daemon, receiver):
        client.sendto(b"hello", daemon.address("a"))
        receiver.settimeout(0.1)
        try:
            return receiver.recv(100) == b"hello"
        except socket.timeout:
            return False

    def test_an_unknown_name_costs_the_others_nothing(self):
        receiver = self.udp("127.0.0.9")
        # Nobody is at 127.0.0.53: each look-up fails at once.
        daemon = self.serve_peers("unknown.test:1", f"127.0.0.9:{receiver.getsockname()[1]}")
        daemon.await_line(r"warning: peer p0: cannot resolve unknown\.test: ")
        client = self.udp()
        for i in range(100):
            client.sendto(b"%d" % i, daemon.address("a"))
            self.assertEqual(receiver.recv(100), b"%d" % i)
        counters = daemon.end()
        self.assertEqual(counters["peer p0"]["unresolved"], 100)
        self.assertEqual((counters["peer p1"]["sent"], counters["listener a"]["forwarded"]), (100, 100))

    def test_a_name_that_comes_to_be_known(self):
        daemon = self.serve_peers("late.test:7799")
        daemon.await_line(r"cannot resolve late\.test")
        resolver_file("hosts", "127.0.0.8 late.test\n")
        daemon.await_line(r"peer p0: late\.test is 127\.0\.0\.8:7799")
        daemon.end()

    def test_a_name_that_moves(self):
        old = self.udp("127.0.0.9")
        port = old.getsockname()[1]
        new = self.udp("127.0.0.10", port)
        daemon = self.serve_peers(f"receiver.test:{port}", extra="resolve_interval = 1s")
        client = self.udp()
        daemon.await_that(lambda: self.arrives(client, daemon, old), "nothing arrives")
        resolver_file("hosts", "127.0.0.10 receiver.test\n")
        daemon.await_line(rf"peer p0: receiver\.test is 127\.0\.0\.10:{port}")
        daemon.await_that(lambda: self.arrives(client, daemon, new), "nothing arrives at the new address")
        daemon.end()

    def test_a_name_server_that_never_answers(self):
        """It delays neither the datagrams nor the end."""
        self.udp("127.0.0.53", 53)
        receiver = self.udp("127.0.0.9")
        daemon = self.serve_peers("unknown.test:1", f"receiver.test:{receiver.getsockname()[1]}")
        daemon.await_line(r"peer p1: receiver\.test is ")
        client = self.udp()
        daemon.await_that(lambda: self.arrives(client, daemon, receiver), "nothing arrives")
        daemon.send_signal(harness.signal.SIGTERM)
        while daemon.process.poll() is None:  # nor do more signals end it half-way
            daemon.process.send_signal(harness.signal.SIGINT)
            harness.time.sleep(0.001)
        daemon.end()
        self.assertLess(daemon.ending_seconds, 5)

    def test_a_name_that_is_our_own(self):
        """A peer that turns out to be a listener of ours is not sent to: datagrams would go round in circles."""
        port = self.udp().getsockname()[1]
        daemon = self.serve(f"[listener:a]\naddress = 127.0.0.9:{port}\naction = forward\npeers = b\n"
                            f"[peer:b]\naddress = receiver.test:{port}\n")
        daemon.await_line(r"error: peer b: receiver\.test is 127\.0\.0\.9:\d+, which is one of our own listeners")
        client = self.udp("127.0.0.1")

        def dropped_as_a_loop():
            client.sendto(b"round and round", ("127.0.0.9", port))
            return [record for record in daemon.records() if record["verdict"] == "dropped:loop"]
        daemon.await_that(dropped_as_a_loop, "no drop")
        counters = daemon.end()
        self.assertGreaterEqual(counters["peer b"]["loop"], 1)
        self.assertEqual(counters["peer b"]["sent"], 0)


if __name__ == "__main__":
    harness.main()
