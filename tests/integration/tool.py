"""Runs udprelay in a test: to its end or in the background, with or without a terminal."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import unittest

from harness import PATIENCE, Daemon

PROGRAM = os.path.abspath(os.environ.get("UDPRELAY", "build/src/client/udprelay"))


def run(*arguments, **options):
    """Runs to the end. Returns exit status, standard output and standard error, as bytes if text is False."""
    options = {"text": True, "stdin": subprocess.DEVNULL, "errors": "backslashreplace"} | options
    if "input" in options:
        del options["stdin"]
    if not options["text"]:
        del options["errors"]
    done = subprocess.run([PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=2 * PATIENCE, **options)
    return done.returncode, done.stdout, done.stderr


def start(*arguments, **options):
    """Runs in the background. The test must end it."""
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen([PROGRAM, *map(str, arguments)], **options)


def built_with(feature):
    return f"{feature} yes" in run("--version")[1]


class Listener(Daemon):
    """`udprelay listen`: a daemon with another start. Its standard output is in .output."""

    def __init__(self, *arguments, **popen):
        self.arguments = arguments
        super().__init__("[udprelayd]\n", **popen)

    def command(self):
        return [PROGRAM, "listen", *map(str, self.arguments)]

    def await_output(self, count):
        return self.await_that(lambda: self.output[:] if len(self.output) >= count else None, f"not {count} lines")


class Terminal:
    """udprelay on a separate terminal."""

    def __init__(self, *arguments, **environment):
        self.seen = b""
        try:
            self.pid, self.fd = pty.fork()
        except OSError as error:
            raise unittest.SkipTest(f"there are no terminals here: {error}") from error
        if self.pid == 0:
            os.execve(PROGRAM, [PROGRAM, *map(str, arguments)], os.environ | {"TERM": "xterm"} | environment)

    def type(self, keys):
        os.write(self.fd, keys)

    def resize(self, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def await_text(self, pattern, timeout=PATIENCE):
        """Reads until the pattern matches after the previous match. Returns the match."""
        end = time.monotonic() + timeout
        while not (match := re.search(pattern, self.seen)):
            if not self._read(end - time.monotonic()):
                raise AssertionError(f"{pattern!r} is not seen in {self.seen!r}")
        self.seen = self.seen[match.end():]
        return match

    def _read(self, timeout):
        """Returns false at the end."""
        if timeout <= 0 or not select.select([self.fd], [], [], timeout)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # EIO: no process has the terminal open
            data = b""
        self.seen += data
        return bool(data)

    def status(self):
        """Reads until the program ends. Returns its exit status."""
        while self._read(PATIENCE):
            pass
        if self.pid:
            self.ended = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            self.pid = 0
        return self.ended

    def close(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)
