"""The unit under a real systemd: start, echo, stop, a wrong configuration, a crash, a reload, a rotation of logs.

Usage: test_systemd.py DAEMON UNIT LOGROTATE-FILE
"""
import os
import re
import shutil
import signal
import sys
import unittest

from lab import Lab, Unavailable, wait_until

SKIPPED = 77
SERVICE = "udprelayd.service"
TEXT = "你好, systemd"

GOOD = """
[listener:echo]
address = *:7788
action = echo
encoding = utf-8, gbk
"""
WRONG = GOOD.replace("action", "actoin")
FILES = """
[datagram_log]
target = /var/log/udprelayd/datagrams.log
[listener:echo]
address = *:7788, unix:/run/udprelayd/echo.sock
action = echo
"""

# Sends until an answer comes: a service that has just been started again may not listen yet.
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


class ServiceTest(unittest.TestCase):
    def setUp(self):
        self.addCleanup(self.lab.run, ["systemctl", "reset-failed", SERVICE])
        self.addCleanup(self.lab.run, ["systemctl", "stop", SERVICE])

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
        """Of this start: what earlier ones wrote does not count."""
        invocation = self.show("InvocationID")
        command = ["journalctl", "-q", "--no-pager", "-o", "cat", f"_SYSTEMD_INVOCATION_ID={invocation}"]
        return wait_until(lambda: re.search(pattern, self.lab.run(command).stdout), f"the journal has {pattern!r}")

    def assert_echoes(self, payload=TEXT.encode(), host="127.0.0.1"):
        done = self.lab.run_on_host_files([sys.executable, "-c", CLIENT, host, "7788", payload.hex()],
                                          capture_output=True, text=True)
        self.assertEqual(done.stdout.strip(), payload.hex(), f"{done.stderr}\n{self.journal()}")

    # --- Tests ---

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

    def test_wrong_configuration_is_not_tried_again(self):
        self.configure(WRONG)
        self.assertNotEqual(self.systemctl("start", SERVICE).returncode, 0)
        self.assertEqual([self.show(name) for name in ("ActiveState", "ExecMainStatus", "NRestarts")],
                         ["failed", "78", "0"])
        self.wait_for_journal(r"udprelayd\.ini:4: \[listener:echo\] actoin: .*`action`")

    def test_killed_is_started_again(self):
        self.start()
        before = self.show("MainPID")
        self.assertEqual(self.systemctl("kill", "-s", "KILL", SERVICE).returncode, 0)
        wait_until(lambda: self.show("NRestarts") == "1" and self.show("ActiveState") == "active", "it runs again")
        self.assertNotEqual(self.show("MainPID"), before)
        self.assert_echoes()

    def test_one_that_stands_still_is_started_again(self):
        """With less patience than the unit has."""
        self.start()
        self.assertEqual(self.show("WatchdogUSec"), "10s")
        self.systemctl("stop", SERVICE)
        directory = self.lab.path(f"/run/systemd/system/{SERVICE}.d")
        os.makedirs(directory, exist_ok=True)
        self.addCleanup(self.systemctl, "daemon-reload")
        self.addCleanup(shutil.rmtree, directory)
        with open(os.path.join(directory, "patience.conf"), "w", encoding="ascii") as file:
            file.write("[Service]\nWatchdogSec=1s\n")
        self.assertEqual(self.systemctl("daemon-reload").returncode, 0)
        self.start()
        self.assertEqual(self.systemctl("kill", "-s", "STOP", SERVICE).returncode, 0)
        wait_until(lambda: self.show("NRestarts") == "1" and self.show("ActiveState") == "active", "it runs again")
        wait_until(lambda: "Watchdog timeout" in self.journal(), "the journal tells why")
        self.assert_echoes()

    def test_reload_keeps_it_running(self):
        if not os.path.exists("/bin/kill"):
            self.skipTest("there is no /bin/kill (Debian package procps)")
        self.start()
        before = self.show("MainPID")
        done = self.systemctl("reload", SERVICE)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_echoes()
        self.assertEqual([self.show("MainPID"), self.show("NRestarts")], [before, "0"])

    def test_files_of_its_own(self):
        """It can write below /var/log/udprelayd and /run/udprelayd."""
        self.start(FILES)
        self.assertTrue(os.path.exists(self.lab.path("/run/udprelayd/echo.sock")))
        self.assert_echoes()
        done = wait_until(lambda: self.lab.run(["cat", "/var/log/udprelayd/datagrams.log"]).stdout, "a record is there")
        self.assertRegex(done, rf'7788 \d+B utf-8 echoed "{TEXT}"\n$')

    def test_logrotate(self):
        """With the installed file as it is; it is no error that the service does not run."""
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

    def test_nothing_in_the_unit_is_unknown(self):
        done = self.lab.run(["systemd-analyze", "verify", SERVICE])
        complaints = [line for line in done.stderr.splitlines() if "udprelayd.service:" in line]
        self.assertEqual(complaints, [])


def main():
    daemon, unit, ServiceTest.rules = sys.argv[1:4]
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        ServiceTest.lab = Lab(unit, daemon)
    except Unavailable as reason:
        print(f"skipped: {reason}")
        return SKIPPED
    try:
        return 0 if unittest.main(argv=sys.argv[:1], exit=False, verbosity=2).result.wasSuccessful() else 1
    finally:
        ServiceTest.lab.close()


if __name__ == "__main__":
    sys.exit(main())
