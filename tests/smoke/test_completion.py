"""The bash completion: it offers exactly the options of the programs.

Usage: test_completion.py DAEMON TOOL COMPLETION COMPLETION
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SKIPPED = 77
DAEMON, TOOL, *COMPLETIONS = sys.argv[1:]

# The state of bash at a TAB after the last word.
SCRIPT = """
source "$1"
shift
function=$(complete -p "$1")
function=${function#*-F }
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
${function% *} "$1" "${@: -1}" "${@: -2:1}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


class CompletionTestCase(unittest.TestCase):
    program = completion = None

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        for name in ("one.ini", "a two.ini", "other"):
            with open(os.path.join(self.directory.name, name), "w", encoding="utf-8"):
                pass

    def complete(self, *words):
        done = subprocess.run(["bash", "--norc", "-c", SCRIPT, "bash", os.path.abspath(self.completion),
                               self.program, *words],
                              cwd=self.directory.name, capture_output=True, text=True, timeout=20)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return sorted(done.stdout.split("\n")[:-1] if done.stdout.strip() else [])

    def options(self, *command):
        """The options in --help, and its whole text."""
        text = subprocess.run([*command, "--help"], capture_output=True, text=True, timeout=20).stdout
        pairs = re.findall(r"^  (?:(-\w), |    )(--[\w-]+)", text, re.MULTILINE)
        known = [option for pair in pairs for option in pair if option]
        self.assertTrue(known)
        return known, text


class DaemonTest(CompletionTestCase):
    program, completion = "udprelayd", COMPLETIONS[0]

    def test_every_option(self):
        self.assertEqual(self.complete(""), sorted(self.options(DAEMON)[0]))

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

    def test_listeners(self):
        with open(os.path.join(self.directory.name, "one.ini"), "w", encoding="utf-8") as file:
            file.write("[listener:first]\n [listener:second] ; comment\n;[listener:off]\n[peer:p]\n")
        for option in (["-c", "one.ini"], ["--config", "=", "one.ini"]):
            for typed in ("", "="):
                self.assertEqual(self.complete(*option, "--explain", typed),
                                 ["'127.0.0.1:4242 > first'", "'127.0.0.1:4242 > second'"])
        self.assertEqual(self.complete("-c", "one.ini", "--explain", "'192.0.2.7:1 > s"), ["192.0.2.7:1 > second"])
        self.assertEqual(self.complete("-c", "no.ini", "--explain", ""), [])

    def test_behind_a_file(self):
        self.assertIn("-t", self.complete("-c", "one.ini", "-"))


class ToolTest(CompletionTestCase):
    program, completion = "udprelay", COMPLETIONS[1]

    def test_commands(self):
        known, text = self.options(TOOL)
        names = re.findall(r"^  ([a-z]+) ", text, re.MULTILINE)
        self.assertEqual(self.complete(""), sorted(known + names))
        self.assertEqual(self.complete("l"), ["listen", "load"])
        for name in names:
            self.assertEqual(self.complete(name, ""), sorted(self.options(TOOL, name)[0]), name)

    def test_values(self):
        self.assertEqual(self.complete("send", "--errors", "r"), ["replace"])
        self.assertEqual(self.complete("listen", "--errors", ""), ["backslashreplace", "ignore", "replace", "strict"])
        self.assertEqual(self.complete("send", "-f", "o"), ["one.ini", "other"])
        self.assertEqual(self.complete("send", "--file", "=", "a"), ["a two.ini"])
        self.assertEqual(self.complete("shout", ""), [])

    def test_charsets(self):
        self.assertIn("gbk", self.complete("send", "-e", ""))
        self.assertEqual(self.complete("send", "--encoding", "=", "gb1803"), ["gb18030"])
        self.assertEqual(self.complete("send", "--decoding", "utf-8,GB1803"), ["utf-8,GB18030"])
        self.assertEqual(self.complete("listen", "-e", "utf-8,hex"), ["utf-8,hex"])

    def test_options_with_a_free_value(self):
        for words in (("send", "-w"), ("ping", "--count"), ("load", "-b")):
            self.assertEqual(self.complete(*words, ""), [])
        self.assertIn("--quiet", self.complete("send", "-b", "127.0.0.1:0", ""))


if __name__ == "__main__":
    if not shutil.which("bash"):
        print("skipped: bash is not installed")
        sys.exit(SKIPPED)
    unittest.main(argv=sys.argv[:1], verbosity=2)
