"""`udprelay send`: sends text and prints replies."""
import os
import re
import select
import signal
import socket
import subprocess
import tempfile
import time

import harness
import tool
from sends import HELLO, SendTestCase, Server

SMILE = "a🙂b"  # GBK has no code for it


class PayloadTest(SendTestCase):
    """The payloads, received by a socket that does not reply."""

    def test_a_text(self):
        self.assertEqual(self.send([HELLO]), "")
        self.assertEqual(self.received(), [HELLO.encode()])

    def test_words_are_one_text(self):
        self.send(["three", "small", "words"])
        self.assertEqual(self.received(), [b"three small words"])

    def test_lines(self):
        self.send([], input=f"one\n\n{HELLO}\nthe last has no end")
        self.assertEqual(self.received(4), [b"one", b"", HELLO.encode(), b"the last has no end"])
        self.assert_nothing_waits(self.sock)

    def test_no_lines(self):
        self.send([], input="")
        self.assert_nothing_waits(self.sock)

    def test_lines_of_a_file(self):
        with tempfile.TemporaryFile() as file:
            file.write(b"one\ntwo\n")
            file.seek(0)
            self.send([], stdin=file)
        self.assertEqual(self.received(2), [b"one", b"two"])

    def test_newline(self):
        self.send("--newline", ["one"])
        self.send("--newline", [], input="two\n")
        self.assertEqual(self.received(2), [b"one\n", b"two\n"])

    def test_charsets(self):
        for encoding in ("gbk", "big5", "shift_jis", "utf-16-le", "latin-1"):
            text = "é" if encoding == "latin-1" else "中文"
            self.send("-e", encoding, [text])
            self.assertEqual(self.received(), [text.encode(encoding)])

    def test_errors(self):
        for rule in ("replace", "ignore", "backslashreplace"):
            self.send("-e", "gbk", "--errors", rule, [SMILE])
            self.assertEqual(self.received(), [SMILE.encode("gbk", rule)])

    def test_text_that_cannot_be_encoded(self):
        """The line is not sent, but the lines before and after it are."""
        self.send("-e", "gbk", [SMILE], status=1)
        self.assertIn("cannot send: gbk", self.said)
        self.send("-e", "gbk", "--errors", "strict", [], input=f"one\n{SMILE}\nthree\n", status=1)
        self.assertIn("line 2 is not sent: gbk", self.said)
        self.assertEqual(self.received(2), [b"one", b"three"])
        self.assert_nothing_waits(self.sock)

    def test_invalid_utf8(self):
        self.send([], input=b"\xff\n", status=1, text=False)
        self.assertIn(b"line 1 is not sent: it is not UTF-8", self.said)

    def test_hex(self):
        self.send("-x", ["00", "fF0a"])
        self.send("-x", [], input="01 02,03\n\n")
        self.assertEqual(self.received(3), [b"\x00\xff\x0a", b"\x01\x02\x03", b""])
        for text, fault in (("0", "`0` has an odd number"), ("0 0", "`0` has an odd number"), ("zz", "`zz` is not a hex")):
            self.send("-x", [text], status=1)
            self.assertIn(fault, self.said)
        self.assert_nothing_waits(self.sock)

    def test_files(self):
        payload = bytes(range(256)) * 16
        with tempfile.NamedTemporaryFile() as file:
            file.write(payload)
            file.flush()
            self.send("-f", file.name, [])
        self.send("-f", "-", [], input=payload, text=False)
        self.send("-f", "/dev/null", [])
        self.assertEqual(self.received(3), [payload, payload, b""])
        self.send("-f", "/nonexistent", [], status=1)
        self.assertIn("cannot read `/nonexistent`: No such file", self.said)

    def test_the_largest(self):
        self.send(["x" * 65507])
        self.assertEqual(self.received(), [b"x" * 65507])

    def test_more_than_a_datagram_carries(self):
        self.send(["x" * 65508], status=1)
        self.assertIn("it is too large for the path to", self.said)
        self.send([], input="one\n" + 65528 * "x" + "\n" + 300000 * "x" + "\nfour\n", status=1)
        for line in (2, 3):
            self.assertIn(f"line {line} is not sent: it has more bytes than a datagram can carry", self.said)
        with tempfile.NamedTemporaryFile() as file:
            file.truncate(65528)
            self.send("-f", file.name, [], status=1)
        self.assertIn("has more bytes than a datagram can carry", self.said)
        self.assertEqual(self.received(2), [b"one", b"four"])
        self.assert_nothing_waits(self.sock)


class AnswerTest(SendTestCase):
    def test_replies_are_shown(self):
        Server(self.sock)
        self.assertEqual(self.send("-w", "20", ["hello\n"]), f"{self.host}:{self.port}: hello\\n\n")
        self.assertEqual(self.send("-w", "20", [], input="one\ntwo\n").splitlines(),
                         [f"{self.host}:{self.port}: {word}" for word in ("one", "two")])

    def test_charsets(self):
        """Replies use the charset of the datagram, unless an option sets another."""
        Server(self.sock)
        self.assertIn(HELLO, self.send("-w", "20", "-e", "gbk", [HELLO]))
        Server(other := self.udp(), lambda sock, data, source: sock.sendto(HELLO.encode("big5"), source))
        self.assertIn(HELLO, self.send("-w", "20", "-e", "gbk", "-d", "utf-8, big5", ["?"], to=other.getsockname()))

    def test_bytes_that_do_not_fit(self):
        Server(self.sock, lambda sock, data, source: sock.sendto(b"a\xffb", source))
        for rule, text in ((None, r"a\xffb"), ("replace", "a\ufffdb"), ("ignore", "ab"), ("strict", "61ff62")):
            rules = ["--errors", rule] if rule else []
            self.assertEqual(self.send("-w", "20", *rules, ["?"]), f"{self.host}:{self.port}: {text}\n")

    def test_raw(self):
        payload = bytes(range(256))
        Server(self.sock, lambda sock, data, source: sock.sendto(payload, source))
        self.assertEqual(self.send("-w", "20", "--raw", ["?"], text=False), payload)

    def test_a_missing_reply(self):
        self.assertEqual(self.send("-w", "0.05", ["?"], status=1), "")
        self.received()
        Server(self.sock, lambda sock, data, source: data == b"one" and sock.sendto(data, source))
        self.assertIn("one", self.send("-w", "0.05", [], input="one\ntwo\n", status=1))

    def test_a_reply_from_another_address(self):
        """It is printed, but does not count as the expected reply."""
        other = self.udp()
        Server(self.sock, lambda sock, data, source: other.sendto(data, source))
        self.assertEqual(self.send("-w", "0.2", ["?"], status=1), "%s:%d: ?\n" % other.getsockname())

    def test_a_port_without_a_program(self):
        """The ICMP error is reported at once, with and without a wait for a reply."""
        self.sock.close()
        for wait in ([], ["-w", "20"]):
            for options, arguments in (({}, ["?"]), ({"input": "one\ntwo\n"}, [])):
                self.send(*wait, arguments, status=69, **options)
                self.assertIn(f"no program listens at {self.host}:{self.port} (ICMP from {self.host})", self.said)

    def test_a_refusal_does_not_affect_other_lines(self):
        """The next line is sent, although the kernel reports the error of the previous one."""
        self.sock.close()
        process = self.begin()
        process.stdin.write(b"one\n")
        process.stdin.flush()
        self.assertIn(b"no program listens", process.stderr.readline())
        server = Server(self.udp(port=self.port))
        process.stdin.write(b"two\nthree\n")
        process.stdin.flush()
        self.assertTrue(all(process.stdout.readline().endswith(word) for word in (b" two\n", b" three\n")))
        self.assertEqual(server.heard, [b"two", b"three"])

    def begin(self, *arguments):
        process = tool.start("send", "-q", *arguments, self.host, self.port)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def test_both_at_once(self):
        """Replies appear before the next line is read. Unrequested datagrams are printed, too."""
        Server(self.sock, lambda sock, data, source: [sock.sendto(word, source) for word in data.split()])
        process = self.begin()
        for line in (b"one", b"two three", b"four"):
            process.stdin.write(line + b"\n")
            process.stdin.flush()
            for word in line.split():
                self.assertEqual(process.stdout.readline(), b"%s:%d: %s\n" % (self.host.encode(), self.port, word))

    def test_signals(self):
        """It ends at once and does not wait for missing replies."""
        for number, wait, status in ((signal.SIGINT, [], 0), (signal.SIGTERM, [], 0), (signal.SIGINT, ["-w", "9"], 1)):
            process = self.begin(*wait)
            process.stdin.write(b"?\n")
            process.stdin.flush()
            self.received()
            harness.send_signal(process, number)
            self.assertEqual(process.wait(harness.PATIENCE), status)

    def test_the_reader_is_gone(self):
        Server(self.sock)
        process = self.begin("-w", "20")
        process.stdout.close()
        process.stdin.write(b"?\n")
        process.stdin.flush()
        self.assertEqual(process.wait(harness.PATIENCE), 1)
        self.assertIn(b"cannot write to standard output", process.stderr.read())
        process.stdout = None


class StandardStreamsTest(SendTestCase):
    """Standard streams that are closed or cannot be read."""

    def with_closed(self, redirections, *arguments):
        """Runs a command through a shell. Returns the exit status and the contents of the open streams."""
        done = subprocess.run(["sh", "-c", f'exec "$@" {redirections}', "sh", tool.PROGRAM, *map(str, arguments)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=2 * harness.PATIENCE)
        return done.returncode, done.stdout, done.stderr

    def test_closed_ones(self):
        """The socket does not get their numbers, so no input comes from it and no output goes to it."""
        server = Server(self.sock)
        for redirections, status in (("<&-", 0), (">&-", 1), ("2>&-", 0), ("<&- >&-", 1), ("<&- >&- 2>&-", 1)):
            for command in (["send", "-w", "20"], ["ping", "-c", "1"]):
                server.heard.clear()
                text = ["hello"] if command[0] == "send" else []
                with self.subTest(redirections, command=command):
                    got, _, said = self.with_closed(redirections, *command, self.host, self.port, *text)
                    self.assertEqual((got, len(server.heard)), (status, 1), said)
                    told = status == 1 and "2>" not in redirections
                    self.assertEqual("cannot write to standard output" in said, told)

    def test_a_closed_input(self):
        status, _, said = self.with_closed("<&-", "send", "-q", self.host, self.port)
        self.assertEqual((status, said), (1, "udprelay: cannot read standard input: Bad file descriptor\n"))

    def test_an_input_that_cannot_be_read(self):
        directory = os.open("/", os.O_RDONLY)
        self.addCleanup(os.close, directory)
        self.send([], stdin=directory, status=1)
        self.assertEqual(self.said, "udprelay: cannot read standard input: Is a directory\n")


class AddressTest(SendTestCase):
    def assert_reached(self, host, *arguments):
        sock = self.udp(host)
        arguments = [word.replace("PORT", str(sock.getsockname()[1])) for word in arguments]
        status, _, said = tool.run("send", *arguments, "hello")
        self.assertEqual((status, sock.recv(100)), (0, b"hello"), said)

    def test_forms(self):
        self.sock.close()
        for host, arguments in (("127.0.0.1", ["127.0.0.1:PORT"]), ("127.0.0.1", ["::ffff:127.0.0.1", "PORT"]),
                                ("::1", ["::1", "PORT"]), ("::1", ["[::1]", "PORT"]), ("::1", ["[::1]:PORT"])):
            self.assert_reached(host, *arguments)

    def test_a_name(self):
        harness.needs_localhost(self)
        self.assert_reached("127.0.0.1", "-4", "localhost", "PORT")

    def test_the_local_port(self):
        status, _, said = tool.run("send", self.host, self.port, "?")
        _, source = self.sock.recvfrom(100)
        self.assertEqual((status, said), (0, f"udprelay: from port {source[1]} to {self.host}:{self.port}\n"))

    def test_bind(self):
        with self.udp() as free:
            port = free.getsockname()[1]
        for bind in (f"127.0.0.1:{port}", f"*:{port}"):
            status, _, said = tool.run("send", "-b", bind, self.host, self.port, "?")
            self.assertEqual((status, said), (0, ""))
            self.assertEqual(self.sock.recvfrom(100)[1], ("127.0.0.1", port))
        with self.udp("127.0.0.1", port):
            self.send("-b", f"127.0.0.1:{port}", ["?"], status=69)
        self.assertIn(f"cannot send from 127.0.0.1:{port}: another program uses it", self.said)
        self.send("-b", "192.0.2.1:0", ["?"], status=69)
        self.assertIn("cannot send from 192.0.2.1:0: no interface has this address: `ip address` lists the addresses", self.said)

    def test_two_talk(self):
        """Each one is bound to the port that the other one sends to."""
        with self.udp() as free, self.udp() as other:
            ports = free.getsockname()[1], other.getsockname()[1]
        ends = []
        for own, peer in (ports, ports[::-1]):
            ends.append(tool.start("send", "-b", f"127.0.0.1:{own}", "127.0.0.1", peer))
            self.addCleanup(ends[-1].communicate)
            self.addCleanup(ends[-1].kill)
            self.await_port(own)
        for end, other, own in ((ends[0], ends[1], ports[0]), (ends[1], ends[0], ports[1])):
            end.stdin.write(f"I am {own}\n".encode())
            end.stdin.flush()
            self.assertEqual(other.stdout.readline().decode(), f"127.0.0.1:{own}: I am {own}\n")

    def await_port(self, port):
        """Waits until a socket is bound to the port. This sends no datagram."""
        for _ in range(100000):
            with open("/proc/net/udp", encoding="ascii") as table:
                local_addresses = [line.split()[1] for line in table.readlines()[1:]]
            if any(address.endswith(f":{port:04X}") for address in local_addresses):
                return
        self.fail(f"nobody binds port {port}")

    def test_paths(self):
        with tempfile.TemporaryDirectory() as directory:
            path, own = os.path.join(directory, "server"), os.path.join(directory, "client")
            Server(self.unix(path))
            for bind in ([], ["-b", f"unix:{own}"]):
                status, output, said = tool.run("send", *bind, "-w", "20", f"unix:{path}", "hello")
                self.assertEqual((status, output, said), (0, f"unix:{path}: hello\n", ""))
                self.assertFalse(os.path.exists(own))
            status, _, said = tool.run("send", "-b", f"unix:{directory}/none/client", f"unix:{path}", "hello")
            self.assertEqual(status, 69)
            self.assertIn("/none/client: the directory does not exist: create it", said)

    def test_paths_without_a_socket(self):
        with tempfile.TemporaryDirectory() as directory:
            left, none = os.path.join(directory, "left"), os.path.join(directory, "none")
            self.unix(left).close()
            for path, why in ((left, "no program listens at"), (none, "No such file or directory")):
                status, _, said = tool.run("send", f"unix:{path}", "hello")
                self.assertEqual(status, 69)
                self.assertIn(why, said)
                self.assertIn(f"unix:{path}", said)

    def unix(self, path):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.settimeout(harness.PATIENCE)
        sock.bind(path)
        return sock

    def test_a_slow_receiver(self):
        """While there is no space, lines wait without busy loop. No line is lost, and their order stays."""
        lines = [b"%d" % i for i in range(2000)]
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "server")
            sock = self.unix(path)
            with tempfile.TemporaryFile() as file:
                file.write(b"\n".join(lines))
                file.seek(0)
                process = tool.start("send", f"unix:{path}", stdin=file)
            self.addCleanup(process.communicate)
            self.addCleanup(process.kill)
            self.assertTrue(select.select([sock], [], [], harness.PATIENCE)[0])
            self.await_naps(process.pid, 20)
            self.assertEqual([sock.recv(100) for _ in lines], lines)
            self.assertEqual(process.wait(harness.PATIENCE), 0)

    def await_naps(self, pid, count):
        """Waits until the process has yielded the CPU this number of times."""
        begin, end = self.naps_of(pid), time.monotonic() + harness.PATIENCE
        while self.naps_of(pid) < begin + count:
            self.assertLess(time.monotonic(), end, "it does not sleep")

    def naps_of(self, pid):
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)$", status.read(), re.MULTILINE)[1])

    def test_broadcast(self):
        """Any host may reply."""
        sock = self.udp("0.0.0.0")
        port = sock.getsockname()[1]
        Server(sock, lambda sock, data, source: sock.sendto(b"here", source))
        self.assertEqual(self.send("-w", "20", ["?"], to=("127.255.255.255", port)), f"127.0.0.1:{port}: here\n")

    def test_unknown_hosts(self):
        for arguments in (["no such host", "1"], ["-6", "127.0.0.1", "1"], ["-4", "::1", "1"]):
            status, _, said = tool.run("send", *arguments, "?")
            self.assertEqual(status, 69)
            self.assertIn("cannot resolve `", said)


class CommandLineTest(SendTestCase):
    def test_wrong_ones(self):
        for arguments, fault in [([], "HOST is missing"), (["h"], "PORT is missing after `h`"),
                                 (["h", "x"], "`x` is not a port"), (["h", "65536"], "`65536` is not a port"),
                                 (["h", "0"], "port 0 cannot receive"), (["*", "1"], "`*` is not a host"),
                                 (["0.0.0.0", "1"], "`0.0.0.0` is not a host"),
                                 (["[::]:1"], "`::` is not a host"), (["", "1"], "`` is not a host"),
                                 (["unix:relative"], "`unix:relative`"),
                                 (["-e", "klingon", "::1", "1"], "unknown charset `klingon`"),
                                 (["-e", "hex", "::1", "1"], "unknown charset `hex`"),
                                 (["-d", "utf-8,klingon", "::1", "1"], "unknown charset `klingon`"),
                                 (["--errors", "lax", "::1", "1"], "`lax` is not valid"),
                                 (["-w", "soon", "::1", "1"], "`soon` is not valid"), (["-w", "-1", "::1", "1"], "`-1` is not valid"),
                                 (["-w", "1e9", "::1", "1"], "`1e9` is not valid"), (["-w", ".", "::1", "1"], "`.` is not valid"),
                                 (["-b", "1.2.3", "::1", "1"], "`1.2.3` is not valid"),
                                 (["-b", "127.0.0.1:1", "::1", "1"], "it is IPv4, and the destination is IPv6"),
                                 (["-f", "x", "::1", "1", "text"], "TEXT and --file exclude each other"),
                                 (["-f", "x", "-x", "::1", "1"], "--file sends bytes"), (["--loud"], "--loud")]:
            with self.subTest(arguments):
                status, output, said = tool.run("send", *arguments)
                self.assertEqual((status, output), (64, ""), said)
                self.assertIn(fault, said)
                self.assertIn("Try `udprelay send --help`.", said)

    def test_operands_that_look_like_options(self):
        self.send(["--", "-x"])
        self.assertEqual(self.received(), [b"-x"])

    def test_commands(self):
        self.assertEqual(tool.run("--version")[0], 0)
        self.assertRegex(tool.run("--version")[1], r"^udprelay \d+\.\d+\.\d+ \(libuv \S+, editing (yes|no)\)\n$")
        status, output, _ = tool.run("--help")
        self.assertEqual(status, 0)
        for command in ("send", "listen", "ping", "load"):
            self.assertIn(f"\n  {command} ", output)
            self.assertEqual(tool.run(command, "-h")[::2], (0, ""))
        self.assertEqual(tool.run()[:2], (64, ""))
        self.assertEqual(tool.run("shout")[0], 64)
        self.assertIn("unknown command `shout`", tool.run("shout")[2])


if __name__ == "__main__":
    harness.main()
