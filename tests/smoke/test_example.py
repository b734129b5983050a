"""The example configuration is valid, also with every setting enabled.

Usage: test_example.py DAEMON CONFIGURATION
"""
import os
import re
import subprocess
import sys
import tempfile
import unittest

DAEMON, EXAMPLE = sys.argv[1:3] if len(sys.argv) > 2 else ("udprelayd", "udprelayd.ini")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def switched_on(text):
    """The example without the ";" before its settings, with an address that can receive multicast. A daemon that was
    built without HTTP gets no keys for it."""
    text = re.sub(r"^;", "", text, flags=re.MULTILINE).replace("address = 127.0.0.1:7788\n", "address = *:7788\n")
    if "http no" in subprocess.check_output([DAEMON, "-V"], text=True):
        text = re.sub(r"^(listen|hosts) = .*\n", "", text, flags=re.MULTILINE)
    return text


class ExampleTest(unittest.TestCase):
    def check(self, path):
        done = subprocess.run([DAEMON, "-c", path, "-t"], capture_output=True, text=True, timeout=20)
        # The interface of the example may be missing on this host.
        errors = [line for line in done.stderr.splitlines() if "cannot start now" not in line]
        self.assertEqual((done.returncode, errors), (0, []))

    def test_as_installed(self):
        self.check(EXAMPLE)

    def test_every_setting_switched_on(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "all.ini")
            with open(path, "w", encoding="utf-8") as file:
                file.write(switched_on(read(EXAMPLE)))
            self.check(path)

    def test_lines_are_short(self):
        self.assertEqual([line for line in read(EXAMPLE).splitlines() if len(line.encode()) >= 120], [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
