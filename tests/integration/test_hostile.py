"""Hostile payloads, names and configurations. Each payload gives one log line, which is safe for a terminal and the
journal, and reversible. Each invalid configuration gets an error message quickly, in one sentence. Other cases are in
test_configuration.py, test_command_line.py and test_charset.py."""
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time

import harness
from escapes import unescape

UDP_MAX = 65507

PAYLOADS = {
    "terminal escapes": b"\x1b[2J\x1b[31m\x1b]0;title\x07\x1b]52;c;cm0gLXJm\x1b\\\x1bP+q\x1b\\\x7f",
    "line ends": b"\r\n\n\r\x0b\x0c\x1c\x1d\x1e\xc2\x85",
    "NUL": b"a\0b\0",
    "lone continuation bytes": b"\x80a\xbf\xbf",
    "overlong forms": b"\xc0\x8a\xc1\xbf\xe0\x80\x8a\xf0\x80\x80\x8a",
    "surrogates": b"\xed\xa0\x80\xed\xbf\xbf\xed\xa0\xbd\xed\xb8\x80",
    "forms of five bytes and six, beyond U+10FFFF, and none": b"\xf8\x88\x80\x80\x8a\xfc\x84\x80\x80\x80\x8a\xf4\x90\x80\x80\xfe\xff",
    "characters that end too soon": b"\xe4\xbd\xf0\x9f\x98",
    "directions": "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c".encode(),
    "separators": "\u2028\u2029".encode(),
    "invisible ones": "\u200b\u2060\ufeff\u00ad\ufff9\U000e0041\ufffe".encode(),
    "C1 controls": "".join(map(chr, range(0x80, 0xa0))).encode(),
    "backslashes and quotes": rb'''\"'\\x41\u0041\n\U0001f600\\"''',
    "a priority of the journal": b"<0>all is lost",
    "a record of its own": b'"\n2026-01-01T00:00:00.000000Z a 1.2.3.4:5 > 1.2.3.4:5 5B utf-8 sunk "forged"\nrecords dropped: 5\n',
    "the inside of JSON": b'"},{"payload":"x","size":1}\n{"time":"',
    "all bytes": bytes(range(256)),
}


def decodes(payload, encoding):
    try:
        payload.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


class PayloadTest(harness.TestCase):
    LISTENERS = {f"{encoding}.{errors}": (encoding, errors) for encoding in ("utf-8", "gbk", "hex")
                 for errors in ("strict", "backslashreplace", "replace", "ignore")}

    def begin(self, form, names):
        directory = tempfile.TemporaryDirectory(prefix="udprelayd-hostile-")
        self.addCleanup(directory.cleanup)
        self.path = os.path.join(directory.name, "log")
        listeners = "".join(f"[listener:{name}]\naddress = 127.0.0.1:0\naction = sink\nencoding = {encoding}\n"
                            f"errors = {errors}\n" for name, (encoding, errors) in self.LISTENERS.items() if name in names)
        self.daemon = self.serve(f"[udprelayd]\nworkers = 1\n[datagram_log]\ntarget = {self.path}\nformat = {form}\n"
                                 f"payload = {UDP_MAX}\nqueue = 64\n{listeners}")
        self.client, self.names, self.sent = self.udp(), names, 0
        self.file = open(self.path, "rb")
        self.addCleanup(self.file.close)

    def lines(self):
        """Waits for one log line per listener. Checks that there are no others, and returns them."""
        end, rest, lines = time.monotonic() + harness.PATIENCE, b"", []
        while len(lines) < len(self.names):
            self.assertLess(time.monotonic(), end, f"only {lines!r:.300}")
            rest += self.file.read()
            *more, rest = rest.split(b"\n")
            lines += more
        self.assertEqual((len(lines), rest), (len(self.names), b""))
        self.sent += len(lines)
        return [line.decode() for line in lines]

    def records(self, kind, payload):
        for name in self.names:
            self.client.sendto(payload, self.daemon.address(name))
        for line in self.lines():
            self.assertTrue(line.isprintable(), (kind, line[:300]))
            self.assertIn(line[0], "2{", kind)  # the year, and not a priority
            yield line

    def end(self):
        counters = self.daemon.end()
        self.assertEqual(counters["datagram log"], {"written": self.sent, "dropped": 0})
        self.assertEqual(self.file.read(), b"")

    def check_text(self, kind, payload):
        for line in self.records(kind, payload):
            record = harness.RECORD.match(line)
            encoding, errors = self.LISTENERS[record["listener"]]
            if "hex" in (encoding, record["encoding"]):
                self.assertEqual(bytes.fromhex(record["payload"]), payload, kind)
                self.assertTrue(encoding == "hex" or (errors == "strict" and not decodes(payload, encoding)))
            elif errors in ("strict", "backslashreplace") or decodes(payload, encoding):
                self.assertEqual(unescape(record["payload"], encoding), payload, (kind, encoding, errors))
            else:  # the replaced or ignored bytes are gone: only the text can be restored
                self.assertEqual(unescape(record["payload"]).decode(), payload.decode(encoding, errors), kind)
            self.assertEqual(record["size"], str(len(payload)))
            self.assertEqual(record["more"], "")

    def check_json(self, kind, payload):
        for line in self.records(kind, payload):
            record = json.loads(line)
            encoding, errors = self.LISTENERS[record["listener"]]
            if "hex" in (encoding, record["encoding"]):
                self.assertEqual(bytes.fromhex(record["payload"]), payload, kind)
                self.assertTrue(encoding == "hex" or (errors == "strict" and not decodes(payload, encoding)))
            else:  # as in Python: with backslashreplace, the byte ff and the four characters \xff give the same text
                self.assertEqual(record["payload"], payload.decode(encoding, errors), (kind, encoding, errors))
            self.assertEqual((record["size"], record["truncated"]), (len(payload), False))

    def run_payloads(self, form, check, names, size=None):
        self.begin(form, names)
        for kind, payload in PAYLOADS.items():
            check(kind, (payload * (size // len(payload) + 1))[:size] if size else payload)
        self.end()

    def test_text(self):
        self.run_payloads("text", self.check_text, list(self.LISTENERS))

    def test_json(self):
        self.run_payloads("json", self.check_json, list(self.LISTENERS))

    LARGE = ["utf-8.strict", "utf-8.backslashreplace", "gbk.backslashreplace", "hex.strict"]

    def test_text_of_the_largest(self):
        self.run_payloads("text", self.check_text, self.LARGE, UDP_MAX)

    def test_json_of_the_largest(self):
        self.run_payloads("json", self.check_json, self.LARGE, UDP_MAX)


class SenderTest(harness.TestCase):
    """The owner of an AF_UNIX socket chooses its name."""

    def test_names_of_unix_senders(self):
        directory = tempfile.TemporaryDirectory(prefix="udprelayd-hostile-")
        self.addCleanup(directory.cleanup)
        path = os.path.join(directory.name, "in")
        for form in ("text", "json"):
            daemon = self.serve(f"[datagram_log]\nformat = {form}\n[listener:a]\naddress = unix:{path}\naction = sink\n")
            base = os.fsencode(directory.name) + b"/"
            names = [base + b"\x1b[2J\n<0>", base + "\u202e\u2028".encode(), base + b'\xff " > 1.2.3.4:5 \\',
                     b"\0" + b"abstract \0\n\x9b"]
            for name in names:
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                    sock.bind(name)
                    sock.sendto(b"x", path)
            if form == "text":
                lines = [record.string for record in daemon.records(len(names))]
                sources = [harness.RECORD.match(line)["source"] for line in lines]
            else:
                daemon.await_line(r"^\{", len(names))
                lines = [line for line in daemon.lines if line.startswith("{")]
                sources = [json.loads(line)["source"] for line in lines]
            self.assertTrue(all(line.isprintable() for line in lines), lines)
            self.assertEqual([unescape(source) for source in sources], [b"unix:" + name for name in names])
            daemon.end()
            for name in names[:-1]:
                if os.path.exists(name):
                    os.unlink(name)


GOOD = b"[listener:a]\naddress = 127.0.0.1:0\naction = sink\n"
RELAY = b"[listener:a]\naddress = 127.0.0.1:0\naction = relay\npeers = p\n[peer:p]\naddress = 127.0.0.1:9\n"
MEGABYTE = 1 << 20

# The lines after GOOD, and the beginning and the rest of the only error line.
ENTRIES = [
    # lines
    (b"encoding = " + b"x" * MEGABYTE, r":4: \[listener:a\] encoding: the line has 1048587 bytes, but the maximum is"),
    (b"x" * MEGABYTE + b" = 1", r":4: \[listener:a\] x+…x+: the line has 1048580 bytes"),
    (b"x" * MEGABYTE, r":4: \[listener:a\]: the line has 1048576 bytes"),
    (b"[" + b"x" * MEGABYTE + b"]", r":4: \[x+…?x*\]: unknown section"),
    (b"[listener:" + b"x" * MEGABYTE + b"]\naddress = 127.0.0.1:0\naction = sink", r":4: \[listener:x+…?x*\]: not a valid name: write 1 to"),
    (b"encoding = " + b"utf-8,\n" * 100000 + b",\nutf-8", r":100004: \[listener:a\] encoding: the list has an empty item"),
    (b"; \0", r":4: \[listener:a\]: column 3 is the control character 0x00"),
    (b"enco\0ding = gbk", r":4: \[listener:a\]: column 5 is the control character 0x00"),
    # sections and keys
    (b"[log] junk", r":4: \[log\]: unexpected `junk` after the section name"),
    (b"[log]]", r":4: \[log\]: unexpected `\]` after the section name"),
    (b"[log", r":4: \[log\]: the `\]` after the section name is missing"),
    (b"[]", r":4: \[\]: unknown section"),
    (b"[listener:\xff]\naddress = 127.0.0.1:0\naction = sink", r":4: \[listener:\\xff\]: not a valid name: write 1 to"),
    (b"[listener:\xe2\x80\xae]\naddress = 127.0.0.1:0\naction = sink", r":4: \[listener:\\xe2\\x80\\xae\]: not a valid name: write 1 to"),
    (b"[\xc2\x9b31m]", r":4: \[\\xc2\\x9b31m\]: unknown section"),
    (b"\xe2\x80\xaegol = all", r":4: \[listener:a\] \\xe2\\x80\\xaegol: unknown key"),
    (b"lo\xff = all", r":4: \[listener:a\] lo\\xff: unknown key"),
    # values
    (b"max_datagram = 1 ; 2\nlog = all 2", r":5: \[listener:a\] log: `all 2` is not valid: write"),
    (b"max_datagram = 100 100", r":4: \[listener:a\] max_datagram: `100 100` is not valid: write"),
    (b"loop_guard = on off", r":4: \[listener:a\] loop_guard: `on off` is not valid: write"),
    (b"errors = strict, replace", r":4: \[listener:a\] errors: `strict, replace` is not valid: write"),
    (b"allow = 10.0.0.0/8x", r":4: \[listener:a\] allow: `10\.0\.0\.0/8x`: "),
    (b"interface = lo\x1b[2J", r":4: \[listener:a\] interface: column 15 is the control character 0x1b"),
    (b"interface = \xff\xff", r":4: \[listener:a\] interface: `\\xff\\xff` is not valid"),
    (b"source_limit = 1e3", r":4: \[listener:a\] source_limit: `1e3` is not valid"),
    (b"source_limit = 99999999999999999999999999", r":4: \[listener:a\] source_limit: `9+` is not valid"),
    (b"source_limit = -1", r":4: \[listener:a\] source_limit: `-1` is not valid"),
    (b"refuse_source_ports = 65536", r":4: \[listener:a\] refuse_source_ports: `65536` is not valid"),
    (b"[udprelayd]\nworkers = 2 x", r":5: \[udprelayd\] workers: `2 x` is not valid"),
    # charsets
    (b"encoding = " + b"x" * 150, r":4: \[listener:a\] encoding: unknown charset `x{150}`"),
    (b"encoding = utf-8//TRANSLIT", r":4: \[listener:a\] encoding: unknown charset `utf-8//TRANSLIT`"),
    (b"encoding = gbk//IGNORE", r":4: \[listener:a\] encoding: unknown charset `gbk//IGNORE`"),
    (b"encoding = ../../../tmp/evil", r":4: \[listener:a\] encoding: unknown charset `\.\./\.\./\.\./tmp/evil`"),
    (b"encoding = \x1b[31mutf-8", r":4: \[listener:a\] encoding: column 12 is the control character 0x1b"),
    (b"encoding = \xc2\x9b31mutf-8", r":4: \[listener:a\] encoding: unknown charset `\\xc2\\x9b31mutf-8`"),
    (b"encoding = utf-8,", r":4: \[listener:a\] encoding: the list has an empty item"),
    (b"encoding = %s%n%n", r":4: \[listener:a\] encoding: unknown charset `%s%n%n`"),
]

# Whole files.
FILES = [
    (b"[listener:a]\naction = sink\naddress = *:65536\n", r":3: \[listener:a\] address: `\*:65536`: the port is greater than"),
    (b"[listener:a]\naction = sink\naddress = *:99999999999999999999\n", r":3: \[listener:a\] address: `\*:9+`: "),
    (b"[listener:a]\naction = sink\naddress = *:-1\n", r":3: \[listener:a\] address: `\*:-1`: "),
    (b"[listener:a]\naction = sink\naddress = *:7788 junk\n", r":3: \[listener:a\] address: `\*:7788 junk`: "),
    (b"[listener:a]\naction = sink\naddress = unix:/" + b"x" * 150 + b"\n", r":3: \[listener:a\] address: `unix:/x+`: "),
    (b"[listener:a]\naction = sink echo\naddress = *:7788\n", r":2: \[listener:a\] action: `sink echo` is not valid"),
    (RELAY + b"check_send = hex: zz\n", r":7: \[peer:p\] check_send: "),
    (RELAY + b"encoding = utf-8//TRANSLIT\n", r":7: \[peer:p\] encoding: unknown charset `utf-8//TRANSLIT`"),
    (b"\xff\xfe" + GOOD.decode().encode("utf-16-le"), r":1: this is not a text file: save it as UTF-8"),
    (b"\0" * MEGABYTE, r":1: this is not a text file"),
    (b"\xef\xbb\xbf" + GOOD.replace(b"\n", b"\r\n") + b"x = 1\r\n", r":4: \[listener:a\] x: unknown key"),
    (GOOD + b"".join(b"k%d = 1\n" % i for i in range(100000)), r":1002: the section has too many keys"),
    (GOOD + b"".join(b"[s%d]\n" % i for i in range(100000)), r":10003: the file has too many sections"),
    (GOOD + b"\n" * (16 * MEGABYTE), r":\d+: the file is larger than 16 MiB"),
]


class ConfigurationTest(harness.TestCase):
    MEMORY = 200 << 20

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="udprelayd-hostile-")
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.path = os.path.join(self.directory, "hostile.ini")

    def check(self, path, *options, **popen):
        """Runs a daemon with the file. It must end soon and use little memory. Returns its status and lines."""
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen([harness.DAEMON, "-c", path, *options], stdin=subprocess.DEVNULL, stdout=said,
                                       stderr=said, **popen)
            watch = threading.Timer(harness.PATIENCE, process.kill)
            watch.start()
            _, status, usage = os.wait4(process.pid, 0)
            watch.cancel()
            process.returncode = os.waitstatus_to_exitcode(status)
            said.seek(0)
            text = said.read()
        self.assertNotEqual(process.returncode, -signal.SIGKILL, "it does not end")
        self.assertLess(usage.ru_maxrss * 1024, self.MEMORY)
        self.assertTrue(text.endswith(b"\n"), text)
        lines = text.decode().splitlines()
        for line in lines:
            self.assertTrue(line.isprintable(), line)
            self.assertLess(len(line), 5000)
        return process.returncode, lines

    def write(self, content):
        with open(self.path, "wb") as file:
            file.write(content)
        return self.path

    def assert_refused(self, path, *complaints, **popen):
        """Checks that each error is reported once, with -t and at the start."""
        for options in (["-t"], []):
            status, lines = self.check(path, *options, **popen)
            self.assertEqual(status, 78, lines)
            self.assertEqual(len(lines), len(complaints), lines)
            for line, complaint in zip(lines, complaints):
                self.assertRegex(line, "^[^:]*" + complaint)

    def test_entries(self):
        for text, complaint in ENTRIES:
            with self.subTest(text[:60]):
                self.assert_refused(self.write(GOOD + text + b"\n"), complaint)

    def test_files(self):
        for text, complaint in FILES:
            with self.subTest(text[:60]):
                self.assert_refused(self.write(text), complaint)

    def test_unusual_but_valid_values(self):
        for text in (b"\xef\xbb\xbf" + GOOD.replace(b"\n", b"\r\n"), GOOD.rstrip(), b"; " + b"x" * MEGABYTE + b"\n" + GOOD,
                     b"; \xff\xe2\x80\xae\n" + GOOD, b"\n" * MEGABYTE + GOOD):
            self.assertEqual(self.check(self.write(text), "-t"), (0, [f"{self.path}: the configuration is valid"]))

    def test_very_many_errors(self):
        """The file has a thousand sections with a long name, and errors in each of them."""
        self.write(b"".join(b"[" + b"x" * 10000 + b"%d]\nstray\n= 1\n" % i for i in range(1000)))
        status, lines = self.check(self.path, "-t")
        self.assertEqual((status, len(lines)), (78, 21))
        self.assertRegex(lines[-1], r": … and \d+ more errors$")

    def test_a_file_without_end(self):
        """The file is sparse: its size is larger than any disk."""
        with open(self.path, "wb") as file:
            os.truncate(file.fileno(), 1 << 30)
        self.assert_refused(self.path, r":1: the file is larger than 16 MiB")

    def test_no_files(self):
        fifo = os.path.join(self.directory, "fifo")
        os.mkfifo(fifo)
        for path, why in ((self.directory, "is a directory"), (self.path, "cannot be opened: No such file"),
                          (fifo, "is a device, a pipe"), ("/dev/zero", "is a device, a pipe"),
                          ("/dev/full", "is a device, a pipe")):
            self.assert_refused(path, f": {why}.*: .+")

    def test_an_unreadable_file(self):
        user = {"user": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
        os.chmod(self.directory, 0o755)
        os.chmod(self.write(GOOD), 0)
        if user and subprocess.run(["test", "-x", harness.DAEMON], **user).returncode:
            self.skipTest("another user cannot run the daemon here")
        self.assert_refused(self.path, ": cannot be opened: Permission denied: ", **user)

    def test_names_that_harm_a_terminal(self):
        for name in (b"\x1b[2J\x1b]0;x\x07", b"a\nall is well", b"\xff\xc2\x9b", "\u202e\u2028".encode()):
            path = os.path.join(os.fsencode(self.directory), name)
            self.assert_refused(path, ": cannot be opened: No such file")
            with open(path, "wb") as file:
                file.write(GOOD + b"x = 1\n")
            self.assert_refused(path, r":4: \[listener:a\] x: unknown key")
            with open(path, "wb") as file:
                file.write(GOOD)
            status, lines = self.check(path, "-t")
            self.assertEqual((status, len(lines)), (0, 1))

    def test_names_in_the_log(self):
        """The path of the configuration may have any character except ASCII control characters."""
        path = os.path.join(self.directory, "\u009b31m\u202e\u2028")
        daemon = self.serve(f"[datagram_log]\ntarget = {path}\n[listener:a]\naddress = 127.0.0.1:0\naction = sink\n")
        daemon.send_signal(signal.SIGUSR2)
        daemon.await_line(r"datagram log: .*\\xc2\\x9b31m\\xe2\\x80\\xae\\xe2\\x80\\xa8: reopened")
        daemon.end()
        self.assertTrue(all(line.isprintable() for line in daemon.lines), daemon.lines)


if __name__ == "__main__":
    harness.main()
