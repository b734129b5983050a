"""`udprelay listen`: the daemon's sink in one command."""
import contextlib
import os
import re
import signal
import socket
import subprocess
import tempfile
import unittest

import harness
import tool
from escapes import unescape

HELLO = "你好, udp"


def sockets_of(pid):
    """Returns the inodes of the sockets. Descriptors may close during the search."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            inodes |= set(re.findall(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{fd}")))
    return inodes


class ListenTest(harness.TestCase):
    def listen(self, *arguments):
        listener = tool.Listener(*arguments)
        self.addCleanup(self._end, listener)
        return listener.ready()

    def hear(self, listener, payload):
        """Returns the output for one datagram, without the source."""
        client, count = self.udp(), len(listener.output) + 1
        client.sendto(payload, listener.address("listen"))
        line = listener.await_output(count)[-1]
        source = "%s:%d: " % client.getsockname()
        self.assertTrue(line.startswith(source), (line, source))
        return line.removeprefix(source)

    def test_source_and_text(self):
        listener = self.listen("127.0.0.1:0")
        self.assertEqual(self.hear(listener, HELLO.encode()), HELLO)
        self.assertEqual(self.hear(listener, b""), "")
        self.assertEqual(listener.end()["listener listen"]["sunk"], 2)

    def test_charsets(self):
        listener = self.listen("-e", "utf-8, gbk", "127.0.0.1:0")
        for encoding in ("utf-8", "gbk"):
            self.assertEqual(self.hear(listener, HELLO.encode(encoding)), HELLO)

    def test_errors(self):
        for rule, shown in (("strict", "61ff62"), ("replace", "a\ufffdb"), ("ignore", "ab"), ("backslashreplace", r"a\xffb")):
            self.assertEqual(self.hear(self.listen("--errors", rule, "127.0.0.1:0"), b"a\xffb"), shown)

    def test_any_bytes_make_one_line(self):
        """The payloads have any bytes and up to the largest size. The line is reversible."""
        listener = self.listen("127.0.0.1:0")
        for payload in (b"a\r\nb\0", "\u202e\u2028\x1b[31m\x85".encode(), b'"\\', bytes(range(256)), b"\n" * 65507,
                        b"\xff" * 65507):
            shown = self.hear(listener, payload)
            self.assertTrue(shown.isprintable())
            self.assertEqual(unescape(shown), payload)

    def test_echo(self):
        listener = self.listen("--echo", "127.0.0.1:0")
        self.assert_echoes(self.udp(), listener.address("listen"), b"\xff\0")
        self.assertEqual(listener.end()["listener listen"]["echoed"], 1)

    def test_a_sink_does_not_answer(self):
        listener = self.listen("127.0.0.1:0")
        client = self.udp()
        client.sendto(b"?", listener.address("listen"))
        listener.end()
        self.assert_nothing_waits(client)

    def test_a_port_alone(self):
        """The listener is on both families."""
        listener = self.listen("0")
        ports = [listener.address("listen", number) for number in (1, 2)]
        self.assertEqual([host for host, _ in ports], ["0.0.0.0", "::"])
        for host, (_, port) in zip(("127.0.0.1", "::1"), ports):
            self.udp(host).sendto(b"x", (host, port))
        self.assertEqual(sorted(line[0] for line in listener.await_output(2)), ["1", "["])

    def test_a_path(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "socket")
            listener = self.listen(f"unix:{path}")
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
                client.sendto(b"x", path)
            self.assertEqual(listener.await_output(1), ["unix:: x"])
            listener.end()
            self.assertFalse(os.path.exists(path))

    def test_quiet(self):
        listener = tool.Listener("-q", "127.0.0.1:0")
        self.addCleanup(self._end, listener)
        port = self.port_of(listener)
        self.udp().sendto(b"x", ("127.0.0.1", port))
        listener.await_output(1)
        listener.end(signal.SIGINT)
        self.assertEqual(listener.lines, [])

    def port_of(self, listener):
        """Returns the port of a listener without status lines, from the kernel."""
        def find():
            inodes = sockets_of(listener.process.pid)
            with open("/proc/net/udp", encoding="ascii") as table:
                rows = [row.split() for row in table.readlines()[1:]]
            return next((int(row[1].split(":")[1], 16) for row in rows if row[9] in inodes), None)
        return listener.await_that(find, "no port is open")

    @unittest.skipUnless(os.geteuid() == 0, "only root can become somebody else")
    def test_root_drops_its_privileges(self):
        listener = self.listen("127.0.0.1:0")
        with open(f"/proc/{listener.process.pid}/status", encoding="ascii") as status:
            user = re.search(r"^Uid:\s(.*)$", status.read(), re.MULTILINE)[1]
        self.assertEqual(set(user.split()), {"65534"})
        self.assertEqual([line for line in listener.lines if "warning" in line], [])

    def test_the_reader_is_gone(self):
        """The command then has no purpose and ends."""
        process = tool.start("listen", "127.0.0.1:0", stdin=subprocess.DEVNULL)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        process.stdout.close()
        said = b""
        while not (match := re.search(rb"listening on 127.0.0.1:(\d+)", said)):
            said = process.stderr.readline()
            self.assertTrue(said)
        self.udp().sendto(b"x", ("127.0.0.1", int(match[1])))
        self.assertEqual(process.wait(harness.PATIENCE), 0)
        self.assertIn(b"the last 1 records could not be written", process.stderr.read())

    def test_addresses_that_cannot_be_bound(self):
        """The reason names no file and no key, because the user wrote none."""
        port = self.udp().getsockname()[1]
        for address, why in ((f"127.0.0.1:{port}", "another program uses it"), ("192.0.2.77:1", "no interface has"),
                             ("unix:/nowhere/s", "the directory does not exist: create it")):
            status, output, said = tool.run("listen", address)
            self.assertEqual((status, output), (69, ""))
            self.assertRegex(said, f"error: {address}: {why}")

    def test_wrong_command_lines(self):
        for arguments, fault in [([], "PORT is missing"), (["127.0.0.1", "2"], "write ADDR:PORT as one"),
                                 (["65536"], "`65536`: the port"), (["007"], "`007`: the port begins with 0"),
                                 (["host:1"], "`host:1`"), (["1.2.3.4"], "`1.2.3.4`"),
                                 (["::1:7788"], "`::1:7788`"), (["7788\naction = echo"], "`7788"),
                                 (["unix:/tmp/a\naction = echo"], "the path must not contain"),
                                 (["unix:/tmp/a,b"], "the path must not contain"),
                                 (["unix:/tmp/a ;b"], "the path must not contain"), (["unix:/tmp/a "], "the path must not contain"),
                                 (["-e", "klingon", "7788"], "unknown charset `klingon`"),
                                 (["-e", "utf-8\nlog = none", "7788"], "unknown charset"), (["-e", "", "7788"], "``"),
                                 (["--errors", "lax", "7788"], "`lax` is not valid"), (["--loud", "7788"], "--loud")]:
            with self.subTest(arguments):
                status, output, said = tool.run("listen", *arguments)
                self.assertEqual((status, output), (64, ""))
                self.assertIn(fault, said)
                self.assertIn("Try `udprelay listen --help`.", said)

    def test_help(self):
        status, output, said = tool.run("listen", "--help")
        self.assertEqual((status, said), (0, ""))
        self.assertIn("[ADDR:]PORT", output)


if __name__ == "__main__":
    harness.main()
