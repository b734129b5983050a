"""The units under a real systemd: start, echo, stop, an invalid configuration, crashes, reloads and restarts under
load, sockets that systemd keeps or creates, and log rotation.

Usage: test_systemd.py DAEMON UNIT LOGROTATE-FILE SEALED-DROP-IN LOW-PORTS-DROP-IN CONFIGURATION [TEST]…
"""
import contextlib
import os
import re
import shutil
import signal
import sys
import unittest

from lab import Lab, Unavailable, wait_until

SKIPPED = 77
SERVICE, SOCKET = "udprelayd.service", "udprelayd.socket"
TEXT = "你好, systemd"

GOOD = """
[listener:echo]
address = *:7788
action = echo
encoding = utf-8, gbk
"""
QUIET = "[udprelayd]\nworkers = {workers}\n[datagram_log]\ntarget = off\n[listener:echo]\naddress = {address}\naction = echo\n"
PASSED = QUIET.format(workers=1, address="fd:udprelayd")
WRONG = GOOD.replace("action", "actoin")
FILES = """
[datagram_log]
target = /var/log/udprelayd/datagrams.log
[listener:echo]
address = *:7788, unix:/run/udprelayd/echo.sock
action = echo
"""

# Sends until a reply arrives, because a restarted service may not listen yet.
CLIENT = """
import socket, sys
host, port, payload = sys.argv[1], int(sys.argv[2]), bytes.fromhex(sys.argv[3])
with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.connect((host, port))
    client.settimeout(1)
    for attempt in range(20):
        try:
            client.send(payload)
            print(client.recv(65536).hex())
            break
        except OSError as error:
            print(error, file=sys.stderr)
"""

# Sends numbered datagrams at a rate until a line comes. Then prints their count, and the numbers without a reply.
LOAD = """
import select, socket, sys, time
SO_RCVBUFFORCE, missing, sent, rate = 33, set(), 0, int(sys.argv[3])
def hear(sock):
    try:
        while True:
            missing.discard(int(sock.recv(100)))
    except (BlockingIOError, ConnectionRefusedError):
        pass
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
    sock.setblocking(False)
    begin = time.monotonic()
    while not select.select([sys.stdin], [], [], max(0, begin + sent / rate - time.monotonic()))[0]:
        missing.add(sent)
        sock.sendto(b"%d" % sent, (sys.argv[1], int(sys.argv[2])))
        sent += 1
        hear(sock)
        if sent == rate // 10:
            print("going", flush=True)
    end = time.monotonic() + 5
    while missing and time.monotonic() < end:
        select.select([sock], [], [], 0.1)
        hear(sock)
print(sent, *sorted(missing))
"""


class LabCase(unittest.TestCase):
    def setUp(self):
        for unit in (SERVICE, SOCKET):
            self.addCleanup(self.lab.run, ["systemctl", "reset-failed", unit])
            self.addCleanup(self.lab.run, ["systemctl", "stop", unit])

    # --- Steps ---

    def configure(self, text):
        with open(self.lab.path("/etc/udprelayd/udprelayd.ini"), "w", encoding="utf-8") as config:
            config.write(text)

    def systemctl(self, *arguments):
        return self.lab.run(["systemctl", *arguments])

    def start(self, config=GOOD):
        self.configure(config)
        done = self.systemctl("start", SERVICE)
        self.assertEqual(done.returncode, 0, f"{done.stderr}\n{self.journal()}")

    def show(self, name):
        return self.systemctl("show", "--value", "-p", name, SERVICE).stdout.strip()

    def journal(self):
        return self.lab.run(["journalctl", "-q", "--no-pager", "-o", "cat", "-u", SERVICE]).stdout

    def wait_for_journal(self, pattern):
        """Returns the journal lines of this start."""
        invocation = self.show("InvocationID")
        command = ["journalctl", "-q", "--no-pager", "-o", "cat", f"_SYSTEMD_INVOCATION_ID={invocation}"]
        return wait_until(lambda: re.search(pattern, self.lab.run(command).stdout), f"the journal has {pattern!r}")

    def assert_echoes(self, payload=TEXT.encode(), host="127.0.0.1", port=7788):
        done = self.lab.run_on_host_files([sys.executable, "-c", CLIENT, host, str(port), payload.hex()],
                                          capture_output=True, text=True)
        self.assertEqual(done.stdout.strip(), payload.hex(), f"{done.stderr}\n{self.journal()}")

    def add_drop_in(self, unit, text):
        directory = self.lab.path(f"/run/systemd/system/{unit}.d")
        os.makedirs(directory, exist_ok=True)
        self.addCleanup(self.systemctl, "daemon-reload")
        self.addCleanup(shutil.rmtree, directory)
        with open(os.path.join(directory, "test.conf"), "w", encoding="utf-8") as file:
            file.write(text)
        self.assertEqual(self.systemctl("daemon-reload").returncode, 0)

    def bound_ports(self):
        """Returns the ports of UDP sockets that were not chosen by the kernel."""
        ports = []
        for name in ("udp", "udp6"):
            lines = self.lab.run(["cat", f"/proc/net/{name}"]).stdout.splitlines()[1:]
            ports += [int(line.split()[1].rsplit(":", 1)[1], 16) for line in lines]
        return {port for port in ports if port < 32768}

    def stored(self):
        return int(self.show("NFileDescriptorStore"))

    @contextlib.contextmanager
    def load(self, lost, host="127.0.0.1", port=7788, rate=1000):
        """Sends datagrams at a rate per second. At the end, lost has the numbers of those without a reply."""
        with self.lab.popen_on_host_files([sys.executable, "-c", LOAD, host, str(port), str(rate)]) as client:
            self.assertEqual(client.stdout.readline(), "going\n")
            try:
                yield
            finally:
                sent, *numbers = client.communicate("end\n", timeout=60)[0].split()
        lost += numbers
        print(f"{self.id()}: lost of {sent}: {' '.join(numbers) or 'none'}", file=sys.stderr)


class ServiceTest(LabCase):
    def test_start_echo_stop(self):
        self.start()
        self.assertEqual(self.show("ActiveState"), "active")
        self.assertIn("listeners: 1", self.show("StatusText"))
        self.assert_echoes()
        self.wait_for_journal(rf'echo 127\.0\.0\.1:\d+ > 127\.0\.0\.1:7788 {len(TEXT.encode())}B utf-8 echoed "{TEXT}"')
        self.assert_echoes(TEXT.encode("gbk"), "::1")
        self.wait_for_journal(rf'echo \[::1\]:\d+ > \[::1\]:7788 {len(TEXT.encode("gbk"))}B gbk echoed "{TEXT}"')

        self.assertEqual(self.systemctl("stop", SERVICE).returncode, 0)
        self.assertEqual([self.show(name) for name in ("ActiveState", "Result", "ExecMainStatus")],
                         ["inactive", "success", "0"])

    def test_an_invalid_configuration_is_not_retried(self):
        self.configure(WRONG)
        self.assertNotEqual(self.systemctl("start", SERVICE).returncode, 0)
        self.assertEqual([self.show(name) for name in ("ActiveState", "ExecMainStatus", "NRestarts")],
                         ["failed", "78", "0"])
        self.wait_for_journal(r"udprelayd\.ini:4: \[listener:echo\] actoin: .*`action`")

    def test_documentation(self):
        for unit in (SERVICE, SOCKET):
            done = self.systemctl("show", "--value", "-p", "Documentation", unit)
            self.assertEqual(done.stdout, '"man:udprelayd(8)" "man:udprelayd.ini(5)"\n')

    def test_killed_is_started_again(self):
        self.start()
        before = self.show("MainPID")
        self.assertEqual(self.systemctl("kill", "-s", "KILL", SERVICE).returncode, 0)
        wait_until(lambda: self.show("NRestarts") == "1" and self.show("ActiveState") == "active", "it runs again")
        self.assertNotEqual(self.show("MainPID"), before)
        self.assert_echoes()

    def test_a_blocked_daemon_is_restarted(self):
        """The watchdog timeout is shorter than in the unit."""
        self.start()
        self.assertEqual(self.show("WatchdogUSec"), "10s")
        self.systemctl("stop", SERVICE)
        self.add_drop_in(SERVICE, "[Service]\nWatchdogSec=1s\n")
        self.start()
        self.assertEqual(self.systemctl("kill", "-s", "STOP", SERVICE).returncode, 0)
        wait_until(lambda: self.show("NRestarts") == "1" and self.show("ActiveState") == "active", "it runs again")
        wait_until(lambda: "Watchdog timeout" in self.journal(), "the journal tells why")
        self.assert_echoes()

    def test_reload_keeps_it_running(self):
        self.start()
        before = self.show("MainPID")
        done = self.systemctl("reload", SERVICE)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_echoes()
        self.assertEqual([self.show("MainPID"), self.show("NRestarts")], [before, "0"])

    def test_the_new_configuration_is_active_after_a_reload(self):
        self.start(QUIET.format(workers=1, address="127.0.0.1:7788"))
        for port in (7799, 7788) * 5:
            self.configure(QUIET.format(workers=1, address=f"127.0.0.1:{port}"))
            self.assertEqual(self.systemctl("reload", SERVICE).returncode, 0)
            self.assertEqual(self.bound_ports(), {port})

    def test_reload_of_an_invalid_file_fails(self):
        self.start()
        before = self.show("MainPID")
        self.configure(WRONG)
        self.assertNotEqual(self.systemctl("reload", SERVICE).returncode, 0)
        self.wait_for_journal(r"udprelayd\.ini:4: \[listener:echo\] actoin: .*`action`")
        self.assertEqual([self.show(name) for name in ("ActiveState", "MainPID", "NRestarts")], ["active", before, "0"])
        self.assert_echoes()
        self.configure(GOOD)
        self.assertEqual(self.systemctl("reload", SERVICE).returncode, 0)
        self.assert_echoes()

    def test_directories_of_the_service(self):
        """It can write below /var/log/udprelayd and /run/udprelayd."""
        self.start(FILES)
        self.assertTrue(os.path.exists(self.lab.path("/run/udprelayd/echo.sock")))
        self.assert_echoes()
        done = wait_until(lambda: self.lab.run(["cat", "/var/log/udprelayd/datagrams.log"]).stdout, "a record is there")
        self.assertRegex(done, rf'7788 \d+B utf-8 echoed "{TEXT}"\n$')

    def test_a_unix_socket_survives_a_restart(self):
        """The path keeps its socket, and datagrams wait during the restart."""
        self.start(FILES)
        path = self.lab.path("/run/udprelayd/echo.sock")
        inode = os.lstat(path).st_ino
        self.assertEqual(self.systemctl("restart", SERVICE).returncode, 0)
        self.assertEqual(os.lstat(path).st_ino, inode)
        self.assertRegex(self.journal(), r"listening on unix:/run/udprelayd/echo\.sock, a socket from systemd")
        self.assert_echoes()

    def test_logrotate(self):
        """The installed file is used unchanged. It is not an error if the service is not running."""
        if not shutil.which("logrotate", path=os.environ.get("PATH", "") + ":/usr/sbin"):
            self.skipTest("logrotate is not installed")
        os.makedirs(self.lab.path("/etc/logrotate.d"), exist_ok=True)
        shutil.copy(self.rules, self.lab.path("/etc/logrotate.d/udprelayd"))
        log = "/var/log/udprelayd/rotated.log"
        rotate = ["logrotate", "--force", "--state", "/run/logrotate", "/etc/logrotate.d/udprelayd"]
        self.start(FILES.replace("/datagrams.log", "/rotated.log"))
        for payload in (b"before", b"after"):
            self.assert_echoes(payload)
            wait_until(lambda: f'echoed "{payload.decode()}"\n' in self.lab.run(["cat", log]).stdout, "a record is there")
            if payload == b"after":
                self.systemctl("stop", SERVICE)
            done = self.lab.run(rotate)
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))
        self.assertIn('echoed "before"\n', self.lab.run(["zcat", f"{log}.2.gz"]).stdout)
        self.assertRegex(self.lab.run(["cat", f"{log}.1"]).stdout, r'\A\S+ echo .* echoed "after"\n\Z')
        self.assertFalse(os.path.exists(self.lab.path(log)))

    def test_systemd_knows_all_settings_of_the_unit(self):
        done = self.lab.run(["systemd-analyze", "verify", SERVICE, SOCKET])
        complaints = [line for line in done.stderr.splitlines() if re.search(r"udprelayd\.(service|socket):", line)
                      and "Command 'man " not in line]  # the lab has no manual pages
        self.assertEqual(complaints, [])


class FailedStartTest(LabCase):
    """Retries only what may heal, and not too often."""

    def assert_not_retried(self, config, status):
        self.configure(config)
        self.assertNotEqual(self.systemctl("start", SERVICE).returncode, 0)
        self.assertEqual([self.show(name) for name in ("ActiveState", "ExecMainStatus", "NRestarts")],
                         ["failed", status, "0"], self.journal())

    def add_low_ports(self, change=lambda text: text):
        with open(self.low_ports, encoding="utf-8") as file:
            self.add_drop_in(SERVICE, change(file.read()))

    def test_low_port(self):
        """The message names the installed drop-in, and with it the service works."""
        config = GOOD.replace("*:7788", "127.0.0.1:53")
        self.assertEqual(self.lab.run(["cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start"]).stdout.strip(), "1024")
        self.assert_not_retried(config, "77")
        self.wait_for_journal(rf"\[listener:echo\] address: 127\.0\.0\.1:53: not permitted: .*/"
                              rf"{re.escape(os.path.basename(self.low_ports))} to /etc/systemd/system/udprelayd\.service\.d/")
        self.add_low_ports()
        self.start(config)
        self.assert_echoes(port=53)
        status = self.lab.run(["cat", f"/proc/{self.show('MainPID')}/status"]).stdout
        for rights in ("CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertRegex(status, rf"{rights}:\t0{{13}}400\n")  # CAP_NET_BIND_SERVICE

    def test_low_port_with_private_users(self):
        """In a separate user namespace the capability has no effect."""
        self.add_low_ports(lambda text: text.replace("PrivateUsers=no", "PrivateUsers=yes"))
        self.assert_not_retried(GOOD.replace("*:7788", "127.0.0.1:53"), "77")

    def test_missing_directory(self):
        for target in ("/var/log/nowhere/datagrams.log", "/usr/datagrams.log"):
            self.assert_not_retried(FILES.replace("/var/log/udprelayd/datagrams.log", target), "73")
        self.assert_not_retried(FILES.replace("/run/udprelayd/echo.sock", "/run/nowhere/echo.sock"), "73")

    def test_missing_address(self):
        self.addCleanup(self.lab.run, ["ip", "address", "delete", "192.0.2.7/32", "dev", "lo"])
        self.configure(GOOD.replace("*:7788", "192.0.2.7:7788"))
        self.assertEqual(self.systemctl("start", "--no-block", SERVICE).returncode, 0)
        wait_until(lambda: self.show("SubState") == "stop-post", "it waits before the next start")
        self.assertEqual([self.show("ExecMainStatus"), self.show("NRestarts")], ["69", "0"])
        wait_until(lambda: self.show("NRestarts") == "1", "it is tried again")
        self.lab.run(["ip", "address", "add", "192.0.2.7/32", "dev", "lo"])
        wait_until(lambda: self.show("ActiveState") == "active", "it runs")
        self.assert_echoes(host="192.0.2.7")

    def test_stop_while_it_waits(self):
        self.configure(GOOD.replace("*:7788", "192.0.2.7:7788"))
        self.systemctl("start", "--no-block", SERVICE)
        wait_until(lambda: self.show("SubState") == "stop-post", "it waits before the next start")
        self.assertEqual(self.systemctl("stop", SERVICE).returncode, 0)
        self.assertIn(self.show("ActiveState"), ("inactive", "failed"))

    def test_crashes_without_end(self):
        self.add_drop_in(SERVICE, "[Service]\nExecStart=\nExecStart=/bin/sh -c 'kill -KILL $$$$'\n")
        self.configure(GOOD)
        self.systemctl("start", SERVICE)
        wait_until(lambda: self.show("ActiveState") == "failed" and "Start request repeated too quickly" in self.journal(),
                   "systemd gives up")
        self.assertLess(int(self.show("NRestarts")), 31)


class StoreTest(LabCase):
    """Datagrams wait in the sockets that systemd keeps while no process reads them."""

    def test_restarts_under_load(self):
        for workers in (1, 3):
            with self.subTest(workers=workers):
                self.start(QUIET.format(workers=workers, address="*:7788"))
                self.assertEqual(self.stored(), 2 * workers)
                lost = []
                with self.load(lost):
                    for _ in range(3):
                        before = self.show("MainPID")
                        self.assertEqual(self.systemctl("restart", SERVICE).returncode, 0)
                        self.assertNotEqual(self.show("MainPID"), before)
                self.assertEqual(lost, [])
                self.systemctl("stop", SERVICE)

    def test_reloads_under_load(self):
        self.start(QUIET.format(workers=2, address="*:7788"))
        lost = []
        with self.load(lost):
            for address in ("127.0.0.1:7788", "*:7788", "*:7788, *:7799", "*:7788"):
                self.configure(QUIET.format(workers=2, address=address))
                self.assertEqual(self.systemctl("reload", SERVICE).returncode, 0)
        self.assertEqual(lost, [])

    def test_killed_under_load(self):
        """Only the batch that a worker has received is lost, mostly one datagram. The rest waits in the receive buffer,
        which holds 256 datagrams with the kernel's default rmem_max: at this rate, those of 2.5 seconds."""
        self.start(QUIET.format(workers=1, address="127.0.0.1:7788") + "receive_buffer = 208K\n")
        lost = []
        with self.load(lost, rate=100):
            for kill in range(1, 3):
                self.systemctl("kill", "-s", "KILL", SERVICE)
                wait_until(lambda: self.show("NRestarts") == str(kill) and self.show("ActiveState") == "active",
                           "it runs again")
        self.assertLessEqual(len(lost), 4)

    def test_another_address(self):
        for old, new in (("127.0.0.1:7788", "127.0.0.1:7799"), ("*:7788", "127.0.0.1:7788")):
            for change in ("restart", "reload"):
                with self.subTest(old=old, new=new, change=change):
                    self.start(QUIET.format(workers=1, address=old))
                    self.assertEqual(self.bound_ports(), {7788})
                    self.configure(QUIET.format(workers=1, address=new))
                    done = self.systemctl(change, SERVICE)
                    self.assertEqual(done.returncode, 0, f"{done.stderr}\n{self.journal()}")
                    port = int(new.split(":")[1])
                    wait_until(lambda: self.bound_ports() == {port} and self.stored() == 1, "the old one is closed")
                    self.assert_echoes(port=port)
                    self.assertEqual(self.show("NRestarts"), "0")
                    self.systemctl("stop", SERVICE)
                    wait_until(lambda: not self.bound_ports(), "all are closed")


class SocketTest(LabCase):
    def start_socket(self, config=PASSED):
        self.configure(config)
        done = self.systemctl("start", SOCKET)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.show("ActiveState"), "inactive")

    def test_service_and_socket_are_enabled(self):
        """Both with the installed configuration, in each order: the service uses the socket of the unit."""
        with open(self.example, encoding="utf-8") as file:
            self.configure(file.read())
        for number, units in enumerate(([SERVICE, SOCKET], [SOCKET, SERVICE])):
            self.addCleanup(self.systemctl, "disable", *units)
            done = self.systemctl("enable", "--now", *units)
            self.assertEqual(done.returncode, 0, f"{done.stderr}\n{self.journal()}")
            self.assertEqual([self.systemctl("is-enabled", unit).stdout for unit in units], ["enabled\n"] * 2)
            self.assert_uses_the_socket(b"both %d" % number)
            self.assertEqual(self.systemctl("restart", SERVICE).returncode, 0)
            self.assert_uses_the_socket(b"restarted %d" % number)
            self.assertEqual([self.show(name) for name in ("ActiveState", "NRestarts")], ["active", "0"])
            self.assertEqual(self.systemctl("disable", "--now", *units).returncode, 0)

    def test_the_socket_is_enabled_for_a_running_service(self):
        with open(self.example, encoding="utf-8") as file:
            self.start(file.read())
        self.addCleanup(self.systemctl, "disable", SOCKET)
        self.assertEqual(self.systemctl("enable", SOCKET).returncode, 0)
        self.assertEqual(self.systemctl("restart", SERVICE).returncode, 0)
        self.assert_uses_the_socket(b"running")

    def assert_uses_the_socket(self, payload):
        self.assert_echoes(payload)
        self.wait_for_journal(r"listening on 127\.0\.0\.1:7788, a socket from systemd")

    def test_a_datagram_starts_the_service(self):
        self.add_drop_in(SOCKET, "[Socket]\nListenDatagram=\nListenDatagram=0.0.0.0:7788\nListenDatagram=[::]:7788\n")
        self.start_socket()
        self.assert_echoes()
        self.assert_echoes(host="::1")
        self.assertEqual([self.show("ActiveState"), self.stored()], ["active", 0])

    def test_restarts_under_load(self):
        self.start_socket()
        lost = []
        with self.load(lost):
            for _ in range(2):
                self.assertEqual(self.systemctl("restart", SERVICE).returncode, 0)
        self.assertEqual(lost, [])

    def test_a_privileged_port(self):
        self.add_drop_in(SOCKET, "[Socket]\nListenDatagram=\nListenDatagram=127.0.0.1:53\n")
        self.assertEqual(self.lab.run(["cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start"]).stdout.strip(), "1024")
        self.start_socket()
        self.assert_echoes(port=53)
        status = self.lab.run(["cat", f"/proc/{self.show('MainPID')}/status"]).stdout
        for rights in ("CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertRegex(status, rf"{rights}:\t0{{16}}\n")

    def test_sealed(self):
        """The service runs without network access."""
        with open(self.sealed, encoding="utf-8") as file:
            self.add_drop_in(SERVICE, file.read())
        self.start_socket(PASSED.replace("target = off", "target = /var/log/udprelayd/sealed.log"))
        self.assert_echoes()
        record = wait_until(lambda: self.lab.run(["cat", "/var/log/udprelayd/sealed.log"]).stdout, "a record is there")
        self.assertRegex(record, rf'7788 \d+B utf-8 echoed "{TEXT}"\n$')
        self.assertIn("ready", self.journal())

    def test_without_the_socket(self):
        """It is not tried again. As soon as the socket is there, a datagram starts the service."""
        self.configure(PASSED)
        self.assertNotEqual(self.systemctl("start", SERVICE).returncode, 0)
        self.wait_for_journal(r"start udprelayd\.socket with this FileDescriptorName=")
        self.assertEqual([self.show("ExecMainStatus"), self.show("NRestarts")], ["78", "0"])
        self.assertEqual(self.systemctl("start", SOCKET).returncode, 0)
        self.assert_echoes()
        self.assertEqual(self.show("ActiveState"), "active")


def main():
    daemon, unit, LabCase.rules, LabCase.sealed, LabCase.low_ports, LabCase.example = sys.argv[1:7]
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        LabCase.lab = Lab(unit, daemon)
    except Unavailable as reason:
        print(f"skipped: {reason}")
        return SKIPPED
    try:
        return 0 if unittest.main(argv=[sys.argv[0], *sys.argv[7:]], exit=False, verbosity=2).result.wasSuccessful() else 1
    finally:
        LabCase.lab.close()


if __name__ == "__main__":
    sys.exit(main())
