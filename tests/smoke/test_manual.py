"""The manual pages: their markup is valid, they list all options, and their configurations are valid.

Usage: test_manual.py DAEMON TOOL UDPRELAYD.8 UDPRELAY.1 PAGE…
"""
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SKIPPED = 77
DAEMON, TOOL, *PAGES = sys.argv[1:]
OPTIONS = r"^  (?:-(\w), |    )--([\w-]+)"  # options in --help
ITEMS = r"^\.It Fl (?:(\w) , Fl )?-([\w-]+)"  # options in a page
SECTION = re.compile(r"^\[(udprelayd|log|datagram_log|http|listener:.*|peer:.*)\]$", re.MULTILINE)

# Terms that users search for: metrics, algorithms, settings of systemd and of the kernel.
WORDS = ["peer_up", "kernel_dropped", "Maglev", "seccomp", "trigger-limit", "WatchdogSec", "ip_local_port_range"]


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def read(path):
    with open(path, encoding="utf-8") as page:
        return page.read()


def configurations(path):
    """Returns the displays of a page that contain a configuration of the daemon."""
    displays = re.findall(r"^\.Bd -literal.*\n((?:.*\n)*?)\.Ed$", read(path), re.MULTILINE)
    return [display for display in displays if SECTION.search(display)]


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
        """The text has the options of --help, and no others."""
        wanted = re.findall(OPTIONS, run(*command, "--help").stdout, re.MULTILINE)
        self.assertTrue(wanted)
        self.assertEqual(re.findall(ITEMS, text, re.MULTILINE), wanted)

    def test_options(self):
        self.assert_options(read(PAGES[0]), DAEMON)

    def test_options_of_commands(self):
        """Each command has a separate section."""
        common, *parts = re.split(r"^\.S[sh] ([a-z]+)$", read(PAGES[1]), flags=re.MULTILINE)
        self.assert_options(common, TOOL)
        names = re.findall(r"^  ([a-z]+) ", run(TOOL, "--help").stdout, re.MULTILINE)
        self.assertEqual(parts[::2], names)
        for name, part in zip(names, parts[1::2]):
            self.assert_options(part.split("\n.Sh ")[0] + "\n.It Fl h , Fl -help\n", TOOL, name)

    def test_versions(self):
        version = run(DAEMON, "--version").stdout.split()[1]
        for path in PAGES:
            self.assertIn(f".Os udprelayd {version}\n", read(path))

    def test_words(self):
        text = "".join(map(read, PAGES))
        self.assertEqual([word for word in WORDS if word not in text], [])

    def test_configurations(self):
        examples = [(path, text) for path in PAGES for text in configurations(path)]
        self.assertGreaterEqual(len(examples), 6)
        for path, text in examples:
            with self.subTest(page=path, configuration=text), tempfile.NamedTemporaryFile("w", suffix=".ini") as file:
                file.write(text)
                file.flush()
                done = run(DAEMON, "-c", file.name, "-t")
                # An interface or a user of an example may be missing on this host.
                errors = [line for line in done.stderr.splitlines() if "cannot start now" not in line]
                self.assertEqual((done.returncode, errors), (0, []))


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
