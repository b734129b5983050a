"""The addresses of a listener: families, several addresses, AF_UNIX, and conflicts."""
import os
import re
import shutil
import signal
import socket
import stat
import unittest

import harness


def unprivileged_port_start():
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as file:
        return int(file.read())


def without(capability):
    """Returns a wrapper that removes one capability from the daemon, even if root starts it."""
    if os.geteuid() != 0:
        return []
    if not shutil.which("setpriv"):
        raise unittest.SkipTest("root has all rights, and there is no program `setpriv` to take one away")
    return ["setpriv", f"--bounding-set=-{capability}", f"--inh-caps=-{capability}"]


class ListenerTest(harness.TestCase):
    def test_drops_of_the_kernel_are_logged(self):
        daemon = self.serve("[listener:a]\naddress = 127.0.0.1:0\naction = sink\nreceive_buffer = 4K\n")
        client = self.udp()
        daemon.pause()
        for i in range(100):
            client.sendto(b"%d" % i * 500, daemon.address("a"))
        daemon.send_signal(signal.SIGCONT)
        logged = daemon.await_line(r"warning: listener a: the kernel dropped (\d+) datagrams, because the receive buffer was full")
        counters = daemon.end()["listener a"]
        self.assertEqual(counters["received"] + counters["kernel_dropped"], 100)
        self.assertEqual(int(logged[1]), counters["kernel_dropped"])

    def test_ipv4(self):
        daemon = self.serve("[listener:a]\naddress = 127.0.0.1:0\naction = echo\n")
        self.assert_echoes(self.udp(), daemon.address("a"), b"hello")
        daemon.end()

    def test_ipv6(self):
        daemon = self.serve("[listener:a]\naddress = [::1]:0\naction = echo\n")
        self.assert_echoes(self.udp("::1"), daemon.address("a"), b"hello")
        daemon.end()

    def test_any_is_both_families_on_one_port(self):
        daemon = self.serve("[listener:a]\naddress = *:0\naction = echo\n")
        port = daemon.address("a", 1)[1]
        self.assertEqual(daemon.address("a", 2)[1], port)
        self.assert_echoes(self.udp(), ("127.0.0.1", port), b"four")
        self.assert_echoes(self.udp("::1"), ("::1", port), b"six")
        self.assertEqual(daemon.end()["listener a"]["echoed"], 2)

    def test_replies_leave_from_the_address_written_to(self):
        """All of 127/8 is local: a wildcard socket that lets the kernel choose would reply from 127.0.0.1."""
        daemon = self.serve("[listener:a]\naddress = 0.0.0.0:0\naction = echo\n")
        port = daemon.address("a")[1]
        for host in ("127.0.0.1", "127.0.0.2", "127.3.2.1"):
            self.assert_echoes(self.udp(), (host, port), b"whence?")
        self.assertEqual({r["destination"] for r in daemon.records(3)},
                         {f"{host}:{port}" for host in ("127.0.0.1", "127.0.0.2", "127.3.2.1")})

    def test_several_addresses(self):
        daemon = self.serve("[listener:a]\naddress = 127.0.0.1:0, 127.0.0.2:0,\n  [::1]:0\naction = echo\n")
        for number, host in [(1, "127.0.0.1"), (2, "127.0.0.2"), (3, "::1")]:
            self.assertEqual(daemon.address("a", number)[0], host)
            self.assert_echoes(self.udp(host), daemon.address("a", number), b"hello")

    def test_several_listeners(self):
        daemon = self.serve("[listener:a]\naddress = 127.0.0.1:0\naction = echo\n"
                            "[listener:b]\naddress = 127.0.0.1:0\naction = sink\n")
        self.assert_echoes(self.udp(), daemon.address("a"), b"hello")
        self.udp().sendto(b"hush", daemon.address("b"))
        self.assertEqual(daemon.records(1, "b")[0]["verdict"], "sunk")

    def test_port_in_use(self):
        taken = self.udp()
        host, port = taken.getsockname()
        said = self.refused(f"[listener:a]\naddress = {host}:{port}\naction = echo\n", 1)
        self.assertRegex(said, rf"error: .*\.ini:2: \[listener:a\] address: {host}:{port}: another program uses it")
        self.assertEqual(len(re.findall("error", said)), 1, said)

    def test_a_second_daemon_cannot_share_the_port(self):
        for workers in (1, 4):
            first = self.serve(f"[udprelayd]\nworkers = {workers}\n[listener:a]\naddress = *:0\naction = echo\n")
            said = self.refused(f"[udprelayd]\nworkers = {workers}\n[listener:a]\naddress = *:{first.address('a')[1]}\n"
                                "action = echo\n", 1)
            self.assertIn("another program uses it", said)

    def test_all_bind_errors_are_reported(self):
        host, port = self.udp().getsockname()
        said = self.refused(f"[listener:a]\naddress = {host}:{port}\naction = echo\n"
                            "[listener:b]\naddress = 192.0.2.77:7799\naction = echo\n", 1)
        self.assertIn("[listener:a] address: ", said)
        self.assertRegex(said, r"\[listener:b\] address: .*no interface has this address.*freebind")

    @unittest.skipIf(unprivileged_port_start() < 2, "everybody may bind every port here")
    def test_forbidden_port(self):
        said = self.start("[listener:a]\naddress = 127.0.0.1:1\naction = echo\n", wrapper=without("net_bind_service"))
        self.assertEqual(said.wait(), 77)
        self.assertRegex("\n".join(said.lines), r"\[listener:a\] address: 127\.0\.0\.1:1: not permitted")

    def test_freebind(self):
        daemon = self.serve("[listener:a]\naddress = 192.0.2.77:0\naction = echo\nfreebind = on\n")
        self.assertEqual(daemon.address("a")[0], "192.0.2.77")
        daemon.end()

    def test_clipped_buffers_are_logged(self):
        daemon = self.serve("[listener:a]\naddress = 127.0.0.1:0\naction = echo\nreceive_buffer = 1000M\n"
                            "send_buffer = 1000M\n", wrapper=without("net_admin"))
        daemon.await_line(r"warning: listener a: receive_buffer: asked for 1048576000 bytes, the kernel grants \d+: "
                          r"raise net\.core\.rmem_max")
        daemon.await_line(r"warning: listener a: send_buffer: .* raise net\.core\.wmem_max")
        daemon.end()

    def test_unknown_interface(self):
        said = self.refused("[listener:a]\naddress = 127.0.0.1:0\naction = echo\ninterface = nosuch0\n", 69)
        self.assertRegex(said, r":4: \[listener:a\] interface: nosuch0: no such interface")
        said = self.refused("[listener:a]\naddress = 0.0.0.0:0\naction = echo\nmulticast = 239.1.2.3%nosuch0\n", 69)
        self.assertRegex(said, r":4: \[listener:a\] multicast: 239\.1\.2\.3%nosuch0: no such interface")
        self.assertNotIn("listening on", said)

    def test_max_datagram(self):
        daemon = self.serve("[listener:a]\naddress = 127.0.0.1:0\naction = echo\nmax_datagram = 10\n")
        client = self.udp()
        client.sendto(b"x" * 11, daemon.address("a"))
        self.assert_echoes(client, daemon.address("a"), b"x" * 10)
        self.assertEqual(daemon.records(2)[0]["verdict"], "dropped:too_large")
        counters = daemon.end()["listener a"]
        self.assertEqual((counters["received"], counters["echoed"], counters["too_large"]), (2, 1, 1))


class UnixTest(harness.TestCase):
    def setUp(self):
        self.directory = harness.tempfile.TemporaryDirectory(prefix="udprelayd-unix-")
        self.addCleanup(self.directory.cleanup)
        self.path = os.path.join(self.directory.name, "socket")
        self.config = f"[listener:a]\naddress = unix:{self.path}\naction = echo\n"

    def client(self, name="client"):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.settimeout(harness.PATIENCE)
        if name:
            sock.bind(os.path.join(self.directory.name, name))
        return sock

    def test_echo(self):
        daemon = self.serve(self.config)
        client = self.client()
        client.sendto(b"hello", self.path)
        self.assertEqual(client.recvfrom(100), (b"hello", self.path))
        record = daemon.records(1)[0]
        self.assertEqual(record["source"], f"unix:{self.directory.name}/client")
        self.assertEqual(record["destination"], f"unix:{self.path}")
        daemon.end()
        self.assertFalse(os.path.exists(self.path), "the socket's file stays behind")

    def test_a_sender_without_a_name_gets_no_reply(self):
        daemon = self.serve(self.config)
        self.client(None).sendto(b"who am I?", self.path)
        record = daemon.records(1)[0]
        self.assertEqual((record["source"], record["verdict"]), ("unix:", "dropped:no_return"))
        self.assertEqual(daemon.end()["listener a"]["no_return"], 1)

    def test_descriptors_in_a_datagram_are_closed(self):
        """A sender must not be able to fill the descriptor table of the daemon."""
        daemon = self.serve(self.config)
        client = self.client()
        daemon.summary()  # after its start: it opens more descriptors after the line `ready`
        before = len(os.listdir(f"/proc/{daemon.process.pid}/fd"))
        for i in range(20):
            client.connect(self.path)
            socket.send_fds(client, [b"%d" % i], [0, 1, 2] * 5)
            self.assertEqual(client.recv(100), b"%d" % i)
        self.assertEqual(len(os.listdir(f"/proc/{daemon.process.pid}/fd")), before)
        self.assertEqual(daemon.end()["listener a"]["echoed"], 20)

    def test_a_path_without_room_for_its_nul(self):
        daemon = self.serve(self.config)
        client = self.client((self.directory.name + "/" + "x" * 108)[len(self.directory.name) + 1:107])
        client.sendto(b"long", self.path)
        self.assertEqual(client.recv(100), b"long")
        daemon.end()

    def test_the_file_of_a_later_socket_stays(self):
        daemon = self.serve(self.config)
        os.unlink(self.path)
        self.client("socket")
        daemon.end()
        self.assertTrue(os.path.exists(self.path))

    def test_a_socket_file_without_a_program_is_replaced(self):
        self.client("socket").close()
        daemon = self.serve(self.config)
        client = self.client()
        client.sendto(b"hello", self.path)
        self.assertEqual(client.recv(100), b"hello")
        daemon.end()

    def test_a_socket_in_use_is_not_replaced(self):
        self.client("socket")
        self.assertIn("another program uses it", self.refused(self.config, 1))
        self.assertTrue(stat.S_ISSOCK(os.stat(self.path).st_mode))

    def test_a_directory_that_is_missing(self):
        self.assertIn("the directory does not exist: create it",
                      self.refused("[listener:a]\naddress = unix:/nowhere/socket\naction = echo\n", 73))

    def test_a_file_is_not_removed(self):
        with open(self.path, "w", encoding="ascii") as file:
            file.write("precious")
        self.assertRegex(self.refused(self.config, 73), r"address: unix:\S+: the path is a file of another kind")
        with open(self.path, encoding="ascii") as file:
            self.assertEqual(file.read(), "precious")


if __name__ == "__main__":
    harness.main()
