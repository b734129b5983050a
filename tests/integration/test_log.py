"""The operational log: its levels and formats."""
import json
import os
import socket
import tempfile

import harness

LISTENER = "[listener:a]\naddress = 127.0.0.1:0\naction = echo\n"


class LogTest(harness.TestCase):
    def test_text(self):
        daemon = self.serve(LISTENER)
        daemon.end()
        for line in daemon.lines:
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z (error|warning|notice|info|debug): ")

    def test_json(self):
        daemon = self.start("[log]\nformat = json\n" + LISTENER)
        daemon.await_line(" ready")
        daemon.end()
        entries = [json.loads(line) for line in daemon.lines]
        self.assertEqual({tuple(entry) for entry in entries}, {("time", "level", "message")})
        self.assertEqual(entries[-1]["message"], "ended")

    def test_level(self):
        daemon = self.serve("[log]\nlevel = notice\n" + LISTENER)
        daemon.end()
        self.assertEqual([line for line in daemon.lines if " info: " in line], [])

    def test_only_errors(self):
        """The daemon logs no line. Its replies show that it runs."""
        address = ("127.0.0.2", self.udp().getsockname()[1])
        daemon = self.start("[log]\nlevel = error\n[datagram_log]\ntarget = stdout\n"
                            f"[listener:a]\naddress = {address[0]}:{address[1]}\naction = echo\n")
        client = self.udp("127.0.0.2")
        client.settimeout(0.1)

        def answered():
            client.sendto(b"hello", address)
            try:
                return client.recv(100)
            except socket.timeout:
                return None
        daemon.await_that(answered, "no answer")
        daemon.send_signal(harness.signal.SIGTERM)
        self.assertEqual((daemon.wait(), daemon.lines), (0, []))

    def test_journal(self):
        """If JOURNAL_STREAM says that standard error is the journal, each line begins with its priority and has no
        time."""
        directory = tempfile.TemporaryDirectory(prefix="udprelayd-journal-")
        self.addCleanup(directory.cleanup)
        journal = os.path.join(directory.name, "journal")
        config = os.path.join(directory.name, "udprelayd.ini")
        with open(config, "w", encoding="utf-8") as file:
            file.write(LISTENER)
        with open(journal, "wb") as file:
            status = os.fstat(file.fileno())
            process = harness.subprocess.Popen(
                [harness.DAEMON, "-c", config], stdin=harness.subprocess.DEVNULL, stderr=file,
                env={**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
            self.addCleanup(process.kill)
            harness.await_file(journal, b" ready: ")
            harness.send_signal(process, harness.signal.SIGTERM)
            self.assertEqual(process.wait(harness.PATIENCE), 0)
        with open(journal, encoding="utf-8") as file:
            lines = file.read().splitlines()
        self.assertRegex(lines[0], r"^<5>listener a: listening on ")
        self.assertEqual(lines[-1], "<5>ended")

    def test_notifications(self):
        """The messages for Type=notify."""
        if not harness.built_with("systemd"):
            self.skipTest("built without libsystemd")
        directory = tempfile.TemporaryDirectory(prefix="udprelayd-notify-")
        self.addCleanup(directory.cleanup)
        path = os.path.join(directory.name, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(path)
            sock.settimeout(harness.PATIENCE)
            daemon = self.serve(LISTENER, env={**os.environ, "NOTIFY_SOCKET": path})
            self.assertIn(b"READY=1", sock.recv(1000))
            daemon.end()
            self.assertIn(b"STOPPING=1", sock.recv(1000))


if __name__ == "__main__":
    harness.main()
