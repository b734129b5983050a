"""Starts the real daemon with a configuration, talks to it over real sockets, stops it and checks its counters."""
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

# Deadline for operations that normally take a moment.
PATIENCE = 20.0

DAEMON = os.path.abspath(os.environ.get("UDPRELAYD", "build/src/udprelayd"))

# For tests that do not set the number of workers.
WORKERS = os.environ.get("UDPRELAYD_WORKERS")

SANITIZED_THREADS = "UDPRELAYD_SANITIZED_THREADS" in os.environ

RECORD = re.compile(
    r'(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) (?P<listener>\S+) (?P<source>\S+) > (?P<destination>\S+) '
    r'(?P<size>\d+)B (?P<encoding>\S+) (?P<verdict>\S+)(?: "(?P<payload>.*)"(?P<more>…?))?$')


def send_signal(process, number):
    """ThreadSanitizer may delay a signal until the next system call or signal ends. This sends one more signal."""
    process.send_signal(number)
    if SANITIZED_THREADS:
        threading.Timer(1, lambda: process.poll() is None and process.send_signal(number)).start()


class Daemon:
    """One process of udprelayd. Lines of its standard error are kept in .lines, those of standard output in .output."""

    def __init__(self, config, wrapper=(), **popen):
        if WORKERS and "[udprelayd]" not in config:
            config += f"\n[udprelayd]\nworkers = {WORKERS}\n"
        self.directory = tempfile.TemporaryDirectory(prefix="udprelayd-")
        os.chmod(self.directory.name, 0o755)
        self.path = os.path.join(self.directory.name, "udprelayd.ini")
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(config)
        self.lines, self.output = [], []
        self.changed = threading.Condition()
        self.process = subprocess.Popen([*wrapper, *self.command()], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **popen)
        self.readers = [threading.Thread(target=self._read, args=(stream, lines), daemon=True) for stream, lines in
                        [(self.process.stderr, self.lines), (self.process.stdout, self.output)]]
        for reader in self.readers:
            reader.start()

    def command(self):
        return [DAEMON, "-c", self.path]

    def _read(self, stream, lines):
        for line in stream:
            with self.changed:
                lines.append(line.decode("utf-8", "backslashreplace").rstrip("\n"))
                self.changed.notify_all()

    def await_line(self, pattern, count=1):
        """Waits for count matching lines. Returns the last match object, or fails."""
        return self.await_that(lambda: self._match(pattern, count), f"no line {pattern!r}")

    def _match(self, pattern, count):
        found = [m for m in (re.search(pattern, line) for line in self.lines) if m]
        return found[count - 1] if len(found) >= count else None

    def await_that(self, condition, complaint):
        end = time.monotonic() + PATIENCE
        with self.changed:
            while not (result := condition()):
                left = end - time.monotonic()
                if left <= 0 or (self.process.poll() is not None and not self._alive_readers()):
                    raise AssertionError(f"{complaint}; it says:\n" + "\n".join(self.lines))
                self.changed.wait(min(left, 0.1))
        return result

    def _alive_readers(self):
        return any(reader.is_alive() for reader in self.readers)

    def ready(self):
        self.await_line(r"udprelayd \S+ ready")
        return self

    def address(self, listener, number=1):
        """Returns the address (host, port) of socket number `number` of the listener, from the log."""
        text = self.await_line(rf"listener {listener}: listening on (\S+)", number)[1]
        host, port = text.rsplit(":", 1)
        return host.strip("[]"), int(port)

    def records(self, count=0, listener=None):
        """Waits for count records in standard error and returns them."""
        def find():
            found = [m for m in map(RECORD.match, list(self.lines)) if m and listener in (None, m["listener"])]
            return found if len(found) >= count else None
        return self.await_that(find, f"no {count} records") if count else find()

    def send_signal(self, number):
        send_signal(self.process, number)

    def pause(self):
        """Sends SIGSTOP and returns when all threads have stopped. SIGCONT continues the process."""
        self.process.send_signal(signal.SIGSTOP)
        end = time.monotonic() + PATIENCE
        while not os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOHANG):
            if time.monotonic() > end:
                raise AssertionError("it does not stand still")

    def is_sanitized(self):
        """Then what it keeps in memory says nothing."""
        with open(f"/proc/{self.process.pid}/maps", encoding="utf-8") as file:
            return bool(re.search("lib[at]san|libclang_rt", file.read()))

    def summary(self):
        """Sends SIGUSR1 and returns the counters: {"listener echo": {"received": 1, …}, …}."""
        last = r"info: datagram log: (written|off)"
        before = len([line for line in self.lines if re.search(last, line)])
        self.send_signal(signal.SIGUSR1)
        self.await_line(last, before + 1)
        return self._counters()

    def _counters(self):
        counters = {}
        for line in self.lines:
            match = re.search(r"info: ((?:listener|relay|peer) \S+|datagram log): (\w+=.*)", line)
            if match:
                pairs = re.findall(r"([a-z_]+)=(\d+)", match[2].split("dropped=")[0] + " " + match[2])
                counters[match[1]] = {key: int(value) for key, value in pairs}
        return counters

    def await_counter(self, section, key, value):
        """Polls until the counter is at least value, for states that a test cannot observe from outside."""
        end = time.monotonic() + PATIENCE
        while (now := self.summary()[section].get(key, 0)) < value:
            if time.monotonic() > end:
                raise AssertionError(f"{section} {key} is {now}, not {value}:\n" + "\n".join(self.lines))
        return now

    def wait(self):
        """Returns the exit status after the process has ended by itself and its output is read."""
        status = self.process.wait(PATIENCE)
        for reader in self.readers:
            reader.join(PATIENCE)
        return status

    def end(self, number=signal.SIGTERM):
        """Sends SIGTERM, and checks the exit status and the balance of the counters. Returns the last counters."""
        if self.process.poll() is None:
            self.send_signal(number)
        begin = time.monotonic()
        status = self.wait()
        if status != 0:
            raise AssertionError(f"exit status {status}:\n" + "\n".join(self.lines))
        self.ending_seconds = time.monotonic() - begin
        counters = self._counters()
        check_balance(counters)
        return counters

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for reader in self.readers:
            reader.join(PATIENCE)
        self.process.stdout.close()
        self.process.stderr.close()
        self.directory.cleanup()


def check_balance(counters):
    """Checks that received datagrams = delivered + dropped, for listeners, relays and peers."""
    for name, c in counters.items():
        if name.startswith("listener"):
            assert c["received"] == c["sunk"] + c["echoed"] + c["forwarded"] + c["relayed"] + c["dropped"], \
                (name, c)
        elif name.startswith("relay"):
            assert c["answers"] == c["answered"] + c["dropped"], (name, c)
            assert c["sessions"] == c["started"] - c["ended"], (name, c)
        elif name.startswith("peer"):
            assert c["handed"] == c["sent"] + c["dropped"], (name, c)


class TestCase(unittest.TestCase):
    """Starts daemons and opens sockets, and cleans up after each test."""

    def start(self, config, **popen):
        daemon = Daemon(config, **popen)
        self.addCleanup(self._end, daemon)
        return daemon

    def _end(self, daemon):
        """Adds the output of the daemon to a failure."""
        daemon.close()
        result = self._outcome.result
        if any(test is self for test, _ in [*result.failures, *result.errors]):
            print(f"\n{self.id()}: the daemon said:\n" + "\n".join(daemon.lines), file=sys.stderr)

    def serve(self, config, **popen):
        return self.start(config, **popen).ready()

    def refused(self, config, status):
        """Returns the output of a daemon that exits at once with this status."""
        daemon = self.start(config)
        self.assertEqual(daemon.wait(), status, "\n".join(daemon.lines))
        return "\n".join(daemon.lines)

    def udp(self, host="127.0.0.1", port=0, family=None):
        """Returns a bound socket, which is closed after the test."""
        family = family or (socket.AF_INET6 if ":" in host else socket.AF_INET)
        sock = socket.socket(family, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.settimeout(PATIENCE)
        sock.bind((host, port))
        return sock

    def deaf(self, host="127.0.0.1"):
        """Reserves a port where no program listens: datagrams to it are refused, and no other program can bind it."""
        sock = self.udp(host)
        sock.connect(sock.getsockname())
        return sock

    def ask(self, sock, address, payload):
        """Sends one datagram and returns the reply and its source."""
        sock.sendto(payload, address)
        return sock.recvfrom(65536)

    def assert_echoes(self, sock, address, payload):
        answer, source = self.ask(sock, address, payload)
        self.assertEqual(answer, payload)
        self.assertEqual(source[:2], tuple(address)[:2])

    def assert_nothing_waits(self, sock):
        sock.setblocking(False)
        try:
            self.fail(f"unexpected datagram {sock.recv(65536)!r}")
        except BlockingIOError:
            sock.settimeout(PATIENCE)


def await_file(path, text):
    """Waits until the file contains the bytes."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if os.path.exists(path):
            with open(path, "rb") as file:
                if text in file.read():
                    return
        time.sleep(0.001)
    raise AssertionError(f"{path} does not contain {text!r}")


def skip(reason):
    """Ends the whole test script as skipped (meson: exit status 77) and prints the reason."""
    print(f"skipped: {reason}")
    sys.exit(77)


def built_with(feature):
    """Returns whether the daemon has an optional feature: systemd, seccomp or http."""
    return f"{feature} yes" in subprocess.check_output([DAEMON, "-V"], text=True)


def in_namespace(*needs):
    """Runs the script again in a separate network namespace, where it may configure interfaces. Skips the test if that
    is not permitted."""
    if os.environ.get("UDPRELAYD_NAMESPACE"):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return
    for program in ("unshare", "ip", *needs):
        if subprocess.run(["sh", "-c", f"command -v {program}"], stdout=subprocess.DEVNULL).returncode:
            skip(f"there is no program `{program}`")
    unshare = ["unshare", "--net", "--mount"] if os.geteuid() == 0 else ["unshare", "--net", "--mount", "--map-root-user"]
    if subprocess.run([*unshare, "true"], stderr=subprocess.DEVNULL).returncode:
        skip("network namespaces may not be made here")
    os.environ["UDPRELAYD_NAMESPACE"] = "1"
    os.execvp("unshare", [*unshare, sys.executable, *sys.argv])


def needs_mounts(test):
    """Skips the test if mounting is not permitted."""
    with tempfile.TemporaryDirectory() as directory:
        if subprocess.run(["mount", "-t", "tmpfs", "none", directory], stderr=subprocess.DEVNULL).returncode:
            test.skipTest("file systems may not be mounted here")
        subprocess.run(["umount", directory], check=True)


def needs_localhost(test):
    """Skips the test if the name cannot be resolved, for example without /etc/hosts."""
    try:
        socket.getaddrinfo("localhost", None, socket.AF_INET)
    except socket.gaierror:
        test.skipTest("the name localhost has no address here")


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


def main():
    unittest.main(verbosity=2)
