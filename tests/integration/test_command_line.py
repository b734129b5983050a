"""The command line: options, exit statuses, and that a check binds nothing."""
import os
import socket
import subprocess
import tempfile

import harness


def run(*arguments):
    return subprocess.run([harness.DAEMON, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=harness.PATIENCE)


class CommandLineTest(harness.TestCase):
    def check(self, config):
        with tempfile.NamedTemporaryFile("w", suffix=".ini", encoding="utf-8") as file:
            file.write(config)
            file.flush()
            return run("-c", file.name, "-t"), file.name

    def test_version(self):
        for option in ("-V", "--version"):
            result = run(option)
            self.assertEqual(result.returncode, 0)
            self.assertRegex(result.stdout, r"^udprelayd \d+\.\d+\.\d+ \(libuv 1\.\d+\.\d+, systemd (yes|no), seccomp (yes|no), http (yes|no)\)\n$")

    def test_help(self):
        for option in ("-h", "--help"):
            result = run(option)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            for known in ("--config", "--check-config", "--version", "--help"):
                self.assertIn(known, result.stdout)

    def test_wrong_command_lines(self):
        for arguments in (["-x"], ["--nonsense"], ["-c"], ["file.ini"]):
            result = run(*arguments)
            self.assertEqual(result.returncode, 64, arguments)
            self.assertIn("--help", result.stderr)

    def test_check_of_a_good_file(self):
        result, name = self.check("[listener:a]\naddress = 127.0.0.1:0\naction = echo\n")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(result.stdout, f"{name}: the configuration is valid\n")

    def test_check_of_a_wrong_file(self):
        result, name = self.check("[listener:a]\naddress = 127.0.0.1:0\naktion = echo\n")
        self.assertEqual(result.returncode, 78)
        self.assertIn(f"{name}:3: [listener:a] aktion: ", result.stderr)

    def test_check_binds_nothing(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            result, _ = self.check(f"[listener:a]\naddress = 127.0.0.1:{port}\naction = echo\n")
            self.assertEqual(result.returncode, 0, result.stderr)

    def test_missing_file(self):
        result = run("-c", "/nowhere/udprelayd.ini")
        self.assertEqual(result.returncode, 78)
        self.assertIn("/nowhere/udprelayd.ini: ", result.stderr)
        self.assertIn("No such file", result.stderr)

    def test_directory(self):
        result = run("-c", os.path.dirname(__file__))
        self.assertEqual(result.returncode, 78)
        self.assertIn("directory", result.stderr)


if __name__ == "__main__":
    harness.main()
