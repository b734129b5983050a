"""The manual pages: nothing in them is wrong for those who print them, and they name the options that there are.

Usage: test_manual.py DAEMON TOOL UDPRELAYD.8 UDPRELAY.1 PAGE…
"""
import re
import shutil
import subprocess
import sys
import unittest

SKIPPED = 77
DAEMON, TOOL, *PAGES = sys.argv[1:]
OPTIONS = r"^  (?:-(\w), |    )--([\w-]+)"  # of --help
ITEMS = r"^\.It Fl (?:(\w) , Fl )?-([\w-]+)"  # of a page


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


class ManualTest(unittest.TestCase):
    @unittest.skipUnless(shutil.which("mandoc"), "mandoc is not installed")
    def test_mandoc(self):
        for page in PAGES:
            done = run("mandoc", "-T", "lint", "-W", "warning", page)
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    @unittest.skipUnless(shutil.which("man") and shutil.which("groff"), "man or groff is not installed")
    def test_man(self):
        for page in PAGES:
            done = run("man", "--warnings", "-E", "UTF-8", "-l", page)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("SEE ALSO", done.stdout)

    def assert_options(self, text, *command):
        """Those of --help, all of them and no others."""
        wanted = re.findall(OPTIONS, run(*command, "--help").stdout, re.MULTILINE)
        self.assertTrue(wanted)
        self.assertEqual(re.findall(ITEMS, text, re.MULTILINE), wanted)

    def test_options(self):
        with open(PAGES[0], encoding="utf-8") as page:
            self.assert_options(page.read(), DAEMON)

    def test_options_of_commands(self):
        """Each command has a part of its own."""
        with open(PAGES[1], encoding="utf-8") as page:
            common, *parts = re.split(r"^\.S[sh] ([a-z]+)$", page.read(), flags=re.MULTILINE)
        self.assert_options(common, TOOL)
        names = re.findall(r"^  ([a-z]+) ", run(TOOL, "--help").stdout, re.MULTILINE)
        self.assertEqual(parts[::2], names)
        for name, part in zip(names, parts[1::2]):
            self.assert_options(part.split("\n.Sh ")[0] + "\n.It Fl h , Fl -help\n", TOOL, name)

    def test_versions(self):
        version = run(DAEMON, "--version").stdout.split()[1]
        for path in PAGES:
            with open(path, encoding="utf-8") as page:
                self.assertIn(f".Os udprelayd {version}\n", page.read())


def main():
    missing = [name for name in ("mandoc", "man") if not shutil.which(name)]
    result = unittest.main(argv=sys.argv[:1], exit=False, verbosity=2).result
    if not result.wasSuccessful():
        return 1
    if missing:
        print("skipped: not installed: " + ", ".join(missing))
    return SKIPPED if missing else 0


if __name__ == "__main__":
    sys.exit(main())
