"""The daemon as a user sees it: text from printf through iconv and a real netcat, the echo, and its record.

Usage: test_netcat.py DAEMON NETCAT
"""
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

DEADLINE_S = 20
SKIPPED = 77
DAEMON, NETCAT = sys.argv[1:3] if len(sys.argv) > 2 else ("udprelayd", "nc.openbsd")

# The `read` keeps standard input open: at its end, ncat would exit before the reply arrives.
PIPELINE = """{ printf '%s' "$1" | iconv -f utf-8 -t "$2"; read -r until_closed; } | { shift 2; exec "$@"; }"""

CONFIG = """
[listener:v4]
address = 127.0.0.1:0
action = echo
encoding = utf-8, gbk
{v6}
[listener:local]
address = unix:{directory}/echo.sock
action = echo
encoding = utf-8, gbk
"""
CONFIG_V6 = """
[listener:v6]
address = [::1]:0
action = echo
encoding = utf-8, gbk
"""


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


class Daemon:
    """A running daemon and its standard error."""

    def __init__(self, config):
        self.lines, self.changed = [], threading.Condition()
        self.child = subprocess.Popen([DAEMON, "-c", config], stderr=subprocess.PIPE)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.child.stderr:
            with self.changed:
                self.lines.append(line.decode().rstrip("\n"))
                self.changed.notify_all()

    def find(self, pattern):
        return next((found for line in self.lines if (found := re.search(pattern, line))), None)

    def wait_for(self, pattern):
        with self.changed:
            if self.changed.wait_for(lambda: self.find(pattern), DEADLINE_S):
                return self.find(pattern)
            raise AssertionError(f"no line like {pattern!r} in:\n" + "\n".join(self.lines))

    def stop(self):
        self.child.terminate()
        try:
            return self.child.wait(DEADLINE_S)
        finally:
            self.child.kill()
            self.reader.join(DEADLINE_S)
            self.child.stderr.close()


def netcat_echo(text, charset, arguments, size):
    """Sends text in the charset. Returns the reply after size bytes, or at the deadline."""
    command = ["sh", "-c", PIPELINE, "sh", text, charset, NETCAT, *arguments]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    deadline, answer = time.monotonic() + DEADLINE_S, b""
    try:
        while len(answer) < size and select.select([child.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
            part = os.read(child.stdout.fileno(), 65536)
            if not part:
                break
            answer += part
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
    return answer


class NetcatTest(unittest.TestCase):
    TEXTS = [("hello, udp", "utf-8", "utf-8"), ("你好, udp", "utf-8", "utf-8"), ("你好, udp", "gbk", "gbk")]

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="udprelayd-")
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        path = os.path.join(cls.directory, "udprelayd.ini")
        with open(path, "w", encoding="utf-8") as config:
            config.write(CONFIG.format(directory=cls.directory, v6=CONFIG_V6 if has_ipv6() else ""))
        cls.daemon = Daemon(path)
        cls.addClassCleanup(cls.stop)
        cls.daemon.wait_for(" ready")

    @classmethod
    def stop(cls):
        status = cls.daemon.stop()
        if status:
            raise AssertionError(f"the daemon ended with status {status}:\n" + "\n".join(cls.daemon.lines))

    def address_of(self, listener):
        return self.daemon.wait_for(rf"listener {listener}: listening on (\S+)")[1]

    def check(self, listener, arguments, source):
        """source: a regular expression for the sender in the record."""
        address = self.address_of(listener)
        for number, (text, charset, encoding) in enumerate(self.TEXTS):
            text = f"{text} {listener} {number}"
            payload = text.encode(charset)
            with self.subTest(text=text, charset=charset):
                self.assertEqual(netcat_echo(text, charset, arguments(number), len(payload)), payload)
                self.daemon.wait_for(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{6}}Z {listener} {source} > "
                                     rf'{re.escape(address)} {len(payload)}B {encoding} echoed "{re.escape(text)}"$')

    def test_ipv4(self):
        port = self.address_of("v4").rsplit(":", 1)[1]
        self.check("v4", lambda number: ["-u", "127.0.0.1", port], r"127\.0\.0\.1:\d+")

    @unittest.skipUnless(has_ipv6(), "this host has no IPv6")
    def test_ipv6(self):
        port = self.address_of("v6").rsplit(":", 1)[1]
        self.check("v6", lambda number: ["-u", "::1", port], r"\[::1\]:\d+")

    def test_unix(self):
        path = os.path.join(self.directory, "echo.sock")
        client = os.path.join(self.directory, "client")
        self.check("local", lambda number: ["-uU", "-s", f"{client}{number}", path], rf"unix:{client}\d")


def main():
    for program in (NETCAT, "iconv"):
        if not shutil.which(program):
            print(f"skipped: {program} is not installed")
            return SKIPPED
    return 0 if unittest.main(argv=sys.argv[:1], exit=False, verbosity=2).result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
