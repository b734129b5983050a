"""What the README shows of --explain is what it says.

Usage: test_readme.py DAEMON README
"""
import os
import re
import shlex
import subprocess
import sys
import tempfile
import textwrap
import unittest

DAEMON, README = (os.path.abspath(path) for path in sys.argv[1:3]) if len(sys.argv) > 2 else ("udprelayd", "README.md")


def blocks():
    """The indented parts, without their indent."""
    with open(README, encoding="utf-8") as file:
        return [textwrap.dedent(block) for block in re.findall(r"(?:^(?: {4}.*)?\n)+", file.read(), re.MULTILINE)
                if block.strip()]


class ReadmeTest(unittest.TestCase):
    def test_explain(self):
        example = next(block for block in blocks() if "$ build/src/udprelayd" in block and "--explain" in block)
        command, expected = example.strip("\n").split("\n", 1)
        arguments = shlex.split(command)[2:]
        config = next(block for block in blocks() if "[listener:copy]" in block).strip("\n") + "\n"
        with tempfile.TemporaryDirectory() as directory:
            with open(os.path.join(directory, "copy.ini"), "w", encoding="utf-8") as file:
                file.write(config)
            done = subprocess.run([DAEMON, *arguments], cwd=directory, capture_output=True, text=True, timeout=20)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout, expected + "\n")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
