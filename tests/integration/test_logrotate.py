"""The logrotate file with the real logrotate and the real daemon: no record is lost or duplicated."""
import glob
import gzip
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

import harness

# Debian installs logrotate in a directory that is not in every user's PATH.
LOGROTATE = shutil.which("logrotate", path=os.environ.get("PATH", "") + ":/usr/sbin")
RULES = os.path.join(os.environ.get("UDPRELAYD_CONF", "conf"), "logrotate", "udprelayd")
BATCH = 50


def read(path):
    with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8") as file:
        return file.read()


class LogrotateTest(harness.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="udprelayd-log-")
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.path = os.path.join(self.directory, "datagrams.log")

    def serve_to_file(self):
        return self.serve(f"[udprelayd]\nworkers = 1\n[datagram_log]\ntarget = {self.path}\n"
                          "[listener:a]\naddress = 127.0.0.1:0\naction = echo\n")

    def write_rules(self, pid):
        """Returns the installed rules, for this directory and this process."""
        text = read(RULES)
        text, logs = re.subn(r"^/var/log/udprelayd/\*\.log ", f"{self.directory}/*.log ", text, flags=re.MULTILINE)
        text, signals = re.subn(r"^\t\t.*\bsystemctl kill -s USR2 udprelayd\.service$", f"\t\tkill -USR2 {pid}", text,
                                flags=re.MULTILINE)
        self.assertEqual((logs, signals), (1, 1), text)
        self.assertNotRegex(text, r"(?m)^\s*(copytruncate|copy|create)\b")
        path = os.path.join(self.directory, "rules")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o644)
        return path

    def rotate(self, rules):
        done = subprocess.run([LOGROTATE, "--force", "--state", os.path.join(self.directory, "state"), rules],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def talk(self, address, stop):
        """Sends numbers until the test stops it, each batch after the echo of the previous one. Returns their count."""
        client, count = self.udp(), 0
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        while not stop.is_set():
            for number in range(count, count + BATCH):
                client.sendto(b"%d" % number, address)
            for _ in range(BATCH):
                client.recv(100)
            count += BATCH
        return count

    def files(self):
        """Returns the files with records, the oldest first."""
        def age(path):
            number = re.search(r"\.log\.(\d+)", path)
            return int(number[1]) if number else 0
        return sorted(glob.glob(self.path + "*"), key=age, reverse=True)

    def test_under_load(self):
        daemon = self.serve_to_file()
        rules, stop, sent = self.write_rules(daemon.process.pid), threading.Event(), []
        talker = threading.Thread(target=lambda: sent.append(self.talk(daemon.address("a"), stop)))
        talker.start()
        try:
            for _ in range(4):
                harness.await_file(self.path, b"\n")
                self.rotate(rules)
                if harness.SANITIZED_THREADS:
                    daemon.send_signal(signal.SIGUSR1)
            harness.await_file(self.path, b"\n")
        finally:
            stop.set()
            talker.join()
        counters = daemon.end()
        self.assertEqual(len(sent), 1)
        self.assertEqual((counters["datagram log"]["written"], counters["datagram log"]["dropped"]), (sent[0], 0))
        self.assertEqual([os.path.basename(path) for path in self.files()],
                         ["datagrams.log.4.gz", "datagrams.log.3.gz", "datagrams.log.2.gz", "datagrams.log.1",
                          "datagrams.log"])
        text = "".join(map(read, self.files()))
        self.assertEqual(re.findall(r'^\S+Z a \S+ > \S+ \d+B utf-8 echoed "(\d+)"$', text, re.MULTILINE),
                         [str(number) for number in range(sent[0])])
        self.assertEqual(len(text.splitlines()), sent[0])

    def test_an_empty_log_is_not_rotated(self):
        daemon = self.serve_to_file()
        self.rotate(self.write_rules(daemon.process.pid))
        self.assertEqual([os.path.basename(path) for path in self.files()], ["datagrams.log"])
        self.assert_echoes(self.udp(), daemon.address("a"), b"hello")
        daemon.end()


if __name__ == "__main__":
    if not LOGROTATE:
        harness.skip("logrotate is not installed")
    harness.main()
