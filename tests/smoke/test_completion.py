"""The completion for bash: what it offers is what the daemon has.

Usage: test_completion.py DAEMON COMPLETION
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SKIPPED = 77
DAEMON, COMPLETION = sys.argv[1:3] if len(sys.argv) > 2 else ("udprelayd", "conf/completion/udprelayd")

# As bash does at a TAB behind the last word.
SCRIPT = """
source "$1"
shift
function=$(complete -p udprelayd)
function=${function#*-F }
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
${function% *} udprelayd "${@: -1}" "${@: -2:1}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


class CompletionTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        for name in ("one.ini", "a two.ini", "other"):
            with open(os.path.join(self.directory.name, name), "w", encoding="utf-8"):
                pass

    def complete(self, *words):
        done = subprocess.run(["bash", "--norc", "-c", SCRIPT, "bash", os.path.abspath(COMPLETION), "udprelayd", *words],
                              cwd=self.directory.name, capture_output=True, text=True, timeout=20)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return sorted(done.stdout.split("\n")[:-1] if done.stdout.strip() else [])

    def test_every_option(self):
        text = subprocess.run([DAEMON, "--help"], capture_output=True, text=True, timeout=20).stdout
        pairs = re.findall(r"^  (?:(-\w), |    )(--[\w-]+)", text, re.MULTILINE)
        known = [option for pair in pairs for option in pair if option]
        self.assertTrue(known)
        self.assertEqual(self.complete(""), sorted(known))

    def test_the_rest_of_an_option(self):
        self.assertEqual(self.complete("--c"), ["--check-config", "--config"])
        self.assertEqual(self.complete("-t", "--v"), ["--version"])
        self.assertEqual(self.complete("-x"), [])

    def test_files(self):
        for option in (["-c"], ["--config"], ["-t", "-c"]):
            self.assertEqual(self.complete(*option, ""), ["a two.ini", "one.ini", "other"])
            self.assertEqual(self.complete(*option, "on"), ["one.ini"])
        self.assertEqual(self.complete("--config", "="), ["a two.ini", "one.ini", "other"])
        self.assertEqual(self.complete("--config", "=", "a"), ["a two.ini"])

    def test_behind_a_file(self):
        self.assertIn("-t", self.complete("-c", "one.ini", "-"))


if __name__ == "__main__":
    if not shutil.which("bash"):
        print("skipped: bash is not installed")
        sys.exit(SKIPPED)
    unittest.main(argv=sys.argv[:1], verbosity=2)
