"""The manual pages: nothing in them is wrong for those who print them, and they name the options that there are.

Usage: test_manual.py DAEMON PAGE…
"""
import re
import shutil
import subprocess
import sys
import unittest

SKIPPED = 77
DAEMON, PAGES = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 2 else ("udprelayd", [])


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

    def test_options(self):
        """Those of --help, all of them and no others."""
        wanted = re.findall(r"^  (?:-(\w), |    )--([\w-]+)", run(DAEMON, "--help").stdout, re.MULTILINE)
        with open(PAGES[0], encoding="utf-8") as page:
            named = re.findall(r"^\.It Fl (?:(\w) , Fl )?-([\w-]+)", page.read(), re.MULTILINE)
        self.assertTrue(wanted)
        self.assertEqual(named, wanted)

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
