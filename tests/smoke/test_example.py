"""The example configuration: it is good, it stays good with every setting in it switched on, and none is missing.

Usage: test_example.py DAEMON CONFIGURATION SOURCE-OF-THE-KEYS
"""
import os
import re
import subprocess
import sys
import tempfile
import unittest

DAEMON, EXAMPLE, KEYS = sys.argv[1:4] if len(sys.argv) > 3 else ("udprelayd", "udprelayd.ini", "config_keys.c")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def switched_on(text):
    """The example without the ";" before its settings; a daemon that was built without HTTP is not asked for it."""
    text = re.sub(r"^;", "", text, flags=re.MULTILINE)
    if "http no" in subprocess.check_output([DAEMON, "-V"], text=True):
        text = re.sub(r"^listen = .*", "listen = off", text, flags=re.MULTILINE)
    return text


def built_in_settings(source):
    """Each (section, key) of the table in C, but for those that are to come later."""
    for entry in source.split("{SECTION_")[1:]:
        section, key, rest = re.match(r'(\w+), "(\w+)"([^}]*)', entry).groups()
        if "later" not in rest.lower():
            yield "udprelayd" if section == "DAEMON" else section.lower(), key


def settings(text):
    """Each (section, key) of the text; "listener:echo" counts as listener."""
    section = None
    for line in text.splitlines():
        if head := re.match(r"\[(\w+)", line):
            section = head[1]
        elif entry := re.match(r"(\w+) *=", line):
            yield section, entry[1]


class ExampleTest(unittest.TestCase):
    def check(self, path):
        done = subprocess.run([DAEMON, "-c", path, "-t"], capture_output=True, text=True, timeout=20)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_as_it_stands(self):
        self.check(EXAMPLE)

    def test_every_setting_switched_on(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "all.ini")
            with open(path, "w", encoding="utf-8") as file:
                file.write(switched_on(read(EXAMPLE)))
            self.check(path)

    def test_no_setting_is_missing(self):
        """Every key that this version has built in is in the example."""
        wanted = set(built_in_settings(read(KEYS)))
        self.assertTrue(wanted)
        self.assertEqual(wanted - set(settings(switched_on(read(EXAMPLE)))), set())

    def test_lines_are_short(self):
        self.assertEqual([line for line in read(EXAMPLE).splitlines() if len(line.encode()) >= 120], [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
