"""The datagram log: its formats and targets, and that written plus missing records equal the number of datagrams."""
import json
import os
import random
import re
import signal
import socket
import subprocess
import time
import unicodedata

import harness
from escapes import unescape

LISTENER = "[listener:a]\naddress = 127.0.0.1:0\naction = echo\n"


def payloads(seed, count):
    rng = random.Random(seed)
    nasty = ['"', "\\", "\n", "\r", "\u2028", "\u202e", "\x1b[2J", "你", "\0", "<0>", "\x85", "😀", "\ufeff"]
    for _ in range(count):
        text = "".join(rng.choices(nasty, k=rng.randrange(8))).encode()
        yield text + rng.randbytes(rng.randrange(20))


class FormatTest(harness.TestCase):
    def test_the_record_of_the_design(self):
        daemon = self.serve(LISTENER)
        client = self.udp()
        self.assert_echoes(client, daemon.address("a"), "你好, udp\n".encode())
        source, destination = (f"127.0.0.1:{port}" for port in (client.getsockname()[1], daemon.address("a")[1]))
        line = daemon.records(1)[0].string
        self.assertRegex(line, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z a "
                         + re.escape(f'{source} > {destination} 12B utf-8 echoed "你好, udp') + r'\\n"$')

    def test_any_bytes_make_one_reversible_line(self):
        daemon = self.serve(LISTENER)
        client = self.udp()
        sent = list(payloads(1, 300))
        for payload in sent:
            self.assert_echoes(client, daemon.address("a"), payload)
        records = daemon.records(len(sent))
        for payload, record in zip(sent, records):
            shown = {unicodedata.category(c) for c in record.string}
            self.assertFalse(shown & {"Cc", "Cf", "Cs", "Zl", "Zp"}, record.string)
            self.assertEqual(unescape(record["payload"]), payload)
        daemon.end()

    def test_json_is_valid_for_any_bytes(self):
        daemon = self.serve("[datagram_log]\nformat = json\n" + LISTENER)
        client = self.udp()
        sent = list(payloads(2, 300))
        for payload in sent:
            self.assert_echoes(client, daemon.address("a"), payload)
        daemon.await_line(r"^\{", len(sent))
        records = [json.loads(line) for line in daemon.lines if line.startswith("{")]
        for payload, record in zip(sent, records):
            self.assertEqual(list(record), ["time", "listener", "source", "destination", "size", "encoding", "verdict",
                                            "payload", "truncated"])
            self.assertEqual((record["payload"], record["size"], record["truncated"]),
                             (payload.decode("utf-8", "backslashreplace"), len(payload), False))
        daemon.end()

    def test_payload_is_cut(self):
        daemon = self.serve("[datagram_log]\npayload = 5\n" + LISTENER)
        for payload, shown in [(b"12345", '"12345"'), (b"123456", '"12345"…'), ("123你".encode(), '"123"…')]:
            self.assert_echoes(self.udp(), daemon.address("a"), payload)
            daemon.await_line(f" {len(payload)}B utf-8 echoed {shown}$")

    def test_no_payload(self):
        daemon = self.serve("[datagram_log]\npayload = 0\n" + LISTENER)
        self.assert_echoes(self.udp(), daemon.address("a"), b"secret")
        self.assertTrue(daemon.records(1)[0].string.endswith(" 6B - echoed"))

    def test_sampling(self):
        daemon = self.serve("[udprelayd]\nworkers = 1\n[listener:a]\naddress = 127.0.0.1:0\naction = echo\nlog = 1/10\n"
                            "[listener:b]\naddress = 127.0.0.1:0\naction = echo\nlog = none\n")
        client = self.udp()
        for i in range(100):
            for listener in "ab":
                self.assert_echoes(client, daemon.address(listener), b"%d" % i)
        daemon.end()
        self.assertEqual((len(daemon.records(listener="a")), len(daemon.records(listener="b"))), (10, 0))

    def test_off(self):
        daemon = self.serve("[datagram_log]\ntarget = off\n" + LISTENER)
        self.assert_echoes(self.udp(), daemon.address("a"), b"hello")
        daemon.end()
        self.assertEqual(daemon.records(), [])

    def test_stdout(self):
        daemon = self.serve("[datagram_log]\ntarget = stdout\n" + LISTENER)
        self.assert_echoes(self.udp(), daemon.address("a"), b"hello")
        daemon.await_that(lambda: [line for line in daemon.output if line.endswith('echoed "hello"')], "no record")
        daemon.end()
        self.assertEqual(daemon.records(), [])


class TargetTest(harness.TestCase):
    def setUp(self):
        self.directory = harness.tempfile.TemporaryDirectory(prefix="udprelayd-log-")
        self.addCleanup(self.directory.cleanup)
        self.path = os.path.join(self.directory.name, "datagrams.log")

    def serve_to(self, path, extra=""):
        return self.serve(f"[udprelayd]\nworkers = 1\n[datagram_log]\ntarget = {path}\n{extra}\n" + LISTENER)

    def text(self, path=None):
        with open(path or self.path, encoding="utf-8") as file:
            return file.read()

    def await_text(self, text):
        harness.await_file(self.path, text.encode())

    def flood(self, daemon, count):
        """Echoes of count datagrams; returns how many the daemon received."""
        client = self.udp()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        for i in range(0, count, 50):
            for j in range(50):
                client.sendto(b"%d" % (i + j), daemon.address("a"))
            for j in range(50):
                self.assertEqual(client.recv(100), b"%d" % (i + j))

    def test_file_and_rotation(self):
        daemon = self.serve_to(self.path)
        client = self.udp()
        self.assert_echoes(client, daemon.address("a"), b"before")
        self.await_text('"before"\n')
        os.rename(self.path, self.path + ".1")
        daemon.send_signal(signal.SIGUSR2)
        harness.await_file(self.path, b"")
        self.assert_echoes(client, daemon.address("a"), b"after")
        self.await_text('"after"\n')
        self.assertNotIn("after", self.text(self.path + ".1"))
        daemon.end()

    def test_a_path_that_cannot_be_written(self):
        said = self.refused(f"[datagram_log]\ntarget = {self.directory.name}\n" + LISTENER, 73)
        self.assertIn(f":2: [datagram_log] target: cannot write {self.directory.name}: Is a directory: add", said)

    def test_written_and_missing_records_add_up(self):
        """The queue is far too small: missing records are reported and counted."""
        daemon = self.serve_to(self.path, "queue = 16")
        self.flood(daemon, 20000)
        counters = daemon.end()
        text = self.text()
        written = len(re.findall(r'^.* echoed "\d+"$', text, re.M))
        declared = sum(int(n) for n in re.findall(r"^\S+ records dropped: (\d+)$", text, re.M))
        self.assertEqual(written + declared, 20000)
        self.assertEqual(len(text.splitlines()), written + text.count("records dropped"))
        self.assertEqual((counters["datagram log"]["written"], counters["datagram log"]["dropped"]), (written, declared))

    def test_a_full_disk(self):
        daemon = self.serve_to("/dev/full")
        self.flood(daemon, 1000)
        daemon.await_line("error: datagram log: cannot write to /dev/full: No space left on device")
        self.flood(daemon, 1000)
        counters = daemon.end()
        self.assertEqual(counters["listener a"]["echoed"], 2000)
        self.assertEqual((counters["datagram log"]["written"], counters["datagram log"]["dropped"]), (0, 2000))
        self.assertEqual(len([line for line in daemon.lines if "No space left" in line]), 1)

    def test_a_full_disk_that_is_freed(self):
        """The file system is separate and has only a page or two."""
        harness.needs_mounts(self)
        mounted = os.path.join(self.directory.name, "small")
        os.mkdir(mounted)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", mounted], check=True)
        self.addCleanup(subprocess.run, ["umount", mounted], check=True)
        self.path = os.path.join(mounted, "log")
        daemon = self.serve_to(self.path, "queue = 64")
        for _ in range(10):
            self.flood(daemon, 500)
        daemon.await_line("error: datagram log: .*: No space left on device")
        before = self.text()
        os.truncate(self.path, 0)
        daemon.await_line("notice: datagram log: .*: writing again")
        self.assert_echoes(self.udp(), daemon.address("a"), b"recovered")
        self.await_text("records dropped: ")
        counters = daemon.end()
        text = before + self.text()
        written = len(re.findall(r' echoed "', text))
        declared = sum(int(n) for n in re.findall(r"records dropped: (\d+)", text))
        self.assertEqual(written + declared, 5001)
        self.assertEqual((counters["datagram log"]["written"], counters["datagram log"]["dropped"]), (written, declared))

    def test_a_closed_pipe(self):
        os.mkfifo(self.path)
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        daemon = self.serve_to(self.path)
        self.flood(daemon, 50)
        os.close(reader)
        self.flood(daemon, 1000)
        daemon.await_line("error: datagram log: .*: Broken pipe")
        self.assertEqual(daemon.end()["listener a"]["echoed"], 1050)

    def test_a_stalled_reader(self):
        """Standard error is not read for a while. Datagrams flow during this time and afterwards."""
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        directory = self.directory.name
        config = os.path.join(directory, "stalled.ini")
        said = os.path.join(directory, "stdout")
        port = self.udp().getsockname()[1]
        with open(config, "w", encoding="utf-8") as file:
            file.write(f"[datagram_log]\nqueue = 100\n[listener:a]\naddress = 127.0.0.2:{port}\naction = echo\n")
        with open(said, "wb") as out:
            process = subprocess.Popen([harness.DAEMON, "-c", config], stdin=subprocess.DEVNULL, stdout=out, stderr=write)
        os.close(write)
        self.addCleanup(process.kill)
        text = b""
        while b" ready: " not in text:
            text += os.read(read, 65536)
        client = self.udp("127.0.0.2")
        for i in range(3000):
            self.assert_echoes(client, ("127.0.0.2", port), b"%d" % i)
        harness.send_signal(process, signal.SIGTERM)
        while chunk := os.read(read, 65536):
            text += chunk
        self.assertEqual(process.wait(harness.PATIENCE), 0)
        declared = sum(int(n) for n in re.findall(rb"records dropped: (\d+)", text))
        self.assertGreater(declared, 0)
        self.assertEqual(len(re.findall(rb' echoed "\d+"\n', text)) + declared, 3000)

    def test_an_end_with_a_stalled_reader(self):
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        config = os.path.join(self.directory.name, "stalled.ini")
        port = self.udp().getsockname()[1]
        with open(config, "w", encoding="utf-8") as file:
            file.write(f"[listener:a]\naddress = 127.0.0.2:{port}\naction = echo\n")
        process = subprocess.Popen([harness.DAEMON, "-c", config], stdin=subprocess.DEVNULL, stderr=write)
        os.close(write)
        self.addCleanup(process.kill)
        text = b""
        while b" ready: " not in text:
            text += os.read(read, 65536)
        client = self.udp("127.0.0.2")
        for i in range(3000):
            self.assert_echoes(client, ("127.0.0.2", port), b"%d" % i)
        begin = time.monotonic()
        harness.send_signal(process, signal.SIGTERM)
        self.assertEqual(process.wait(harness.PATIENCE), 0)
        self.assertLess(time.monotonic() - begin, 5)


if __name__ == "__main__":
    harness.main()
