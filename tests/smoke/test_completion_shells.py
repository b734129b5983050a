"""The completions in a real, interactive shell on a separate terminal. The test types a word and a TAB, and reads the
arguments that the command gets.

Usage: test_completion_shells.py SHELL DAEMON TOOL COMPLETION COMPLETION
"""
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SKIPPED, DEADLINE_S = 77, 60
SHELL, DAEMON, TOOL, *COMPLETIONS = sys.argv[1:]
PROGRAMS = ("udprelayd", "udprelay")

# A function replaces each program and prints its arguments.
START = {
    "bash": (["bash", "--norc", "--noprofile", "-i"],
             "source ./udprelayd; source ./udprelay\n"
             "got() { printf 'GOT%s<' ''; printf '%s|' \"$@\"; printf '>\\n'; }\n"
             "udprelayd() { got \"$@\"; }; udprelay() { got \"$@\"; }\n"),
    "zsh": (["zsh", "-f", "-i"],
            "fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D; unsetopt zle_bracketed_paste; LISTMAX=9999\n"
            "got() { printf 'GOT%s<' ''; printf '%s|' \"$@\"; printf '>\\n'; }\n"
            "udprelayd() { got \"$@\"; }; udprelay() { got \"$@\"; }\n"),
    "fish": (["fish", "--no-config", "-i"],
             "source ./udprelayd.fish; source ./udprelay.fish\n"
             "function got; printf 'GOT%s<' ''; printf '%s|' $argv; printf '>\\n'; end\n"
             "function udprelayd; got $argv; end; function udprelay; got $argv; end\n"),
}
FILE_NAMES = {"bash": "{}", "zsh": "_{}", "fish": "{}.fish"}
CONFIG = "[listener:mirror]\naddress = 127.0.0.1:0\naction = echo\n"


class Terminal:
    """The shell, in a directory that has the completions and a configuration."""

    def __init__(self, directory):
        command, setup = START[SHELL]
        self.seen = ""
        environment = {"PATH": os.environ["PATH"], "HOME": directory, "TERM": "dumb" if SHELL != "fish" else "vt100",
                       "LC_ALL": "C.UTF-8", "PS1": "", "XDG_CONFIG_HOME": directory, "XDG_DATA_HOME": directory}
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(directory)
            os.execvpe(command[0], command, environment)
        self.type(setup + "echo READ''Y\n")
        self.wait_for(r"READY")

    def type(self, text):
        os.write(self.fd, text.encode())

    def wait_for(self, pattern):
        """Returns the match, and discards the text up to its end."""
        end = time.monotonic() + DEADLINE_S
        while not (match := re.search(pattern, self.seen)):
            if not select.select([self.fd], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError(f"no {pattern!r} in {self.seen!r}")
            self.seen += os.read(self.fd, 65536).decode(errors="replace")
        self.seen = self.seen[match.end():]
        return match

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


class ShellTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="udprelayd-completion-")
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        for program, path in zip(PROGRAMS, COMPLETIONS):
            shutil.copy(path, os.path.join(cls.directory, FILE_NAMES[SHELL].format(program)))
        with open(os.path.join(cls.directory, "mirror.ini"), "w", encoding="utf-8") as file:
            file.write(CONFIG)
        cls.terminal = Terminal(cls.directory)
        cls.addClassCleanup(cls.terminal.close)

    def arguments(self, line):
        """The arguments of the command after TAB and ENTER."""
        self.terminal.type(line + "\t")
        self.terminal.type("\n")
        return self.terminal.wait_for(r"GOT<(.*)\|>")[1].split("|")

    def assert_completes(self, line, *arguments):
        with self.subTest(line=line):
            self.assertEqual(self.arguments(line), list(arguments))

    def test_options(self):
        self.assert_completes("udprelayd --che", "--check-config")
        self.assert_completes("udprelay ping --cou", "ping", "--count")
        self.assert_completes("udprelay load --yes", "load", "--yes-i-own-it")

    def test_commands(self):
        self.assert_completes("udprelay pi", "ping")
        self.assert_completes("udprelay lis", "listen")

    def test_files(self):
        self.assert_completes("udprelayd -c mir", "-c", "mirror.ini")
        self.assert_completes("udprelay send -f mir", "send", "-f", "mirror.ini")

    def test_charsets(self):
        self.assert_completes("udprelay send -e gb1803", "send", "-e", "gb18030")
        self.assert_completes("udprelay listen -e EUC-JISX02", "listen", "-e", "EUC-JISX0213")
        self.assert_completes("udprelay listen -e utf-8,shift_j", "listen", "-e", "utf-8,shift_jis")
        self.assert_completes("udprelay send -d gbk,gb1803", "send", "-d", "gbk,gb18030")

    def test_rules(self):
        self.assert_completes("udprelay send --errors repl", "send", "--errors", "replace")

    def test_listeners(self):
        self.assert_completes("udprelayd -c mirror.ini --explain ", "-c", "mirror.ini", "--explain",
                              "127.0.0.1:4242 > mirror")
        self.assert_completes("udprelayd -c mirror.ini --explain '192.0.2.7:53 > mir", "-c", "mirror.ini", "--explain",
                              "192.0.2.7:53 > mirror")

    def test_every_option_is_known(self):
        """By the text of the completion; test_completion.py compares the options of bash for each command."""
        commands = [[DAEMON], [TOOL], *([TOOL, name] for name in ("send", "listen", "ping", "load"))]
        for command in commands:
            path = COMPLETIONS[command[0] == TOOL]
            with open(path, encoding="utf-8") as file:
                text = file.read()
            shown = subprocess.run([*command, "--help"], capture_output=True, text=True, timeout=20).stdout
            options = re.findall(r"^  (?:-\w, |    )--([\w-]+)", shown, re.MULTILINE)
            self.assertTrue(options)
            self.assertEqual([option for option in options if not re.search(rf"[ -]{option}\b", text)], [], path)


if __name__ == "__main__":
    if not shutil.which(SHELL):
        print(f"skipped: {SHELL} is not installed (Debian package {SHELL})")
        sys.exit(SKIPPED)
    try:
        pty.openpty()
    except OSError as reason:
        print(f"skipped: there are no pseudo-terminals here: {reason}")
        sys.exit(SKIPPED)
    unittest.main(argv=sys.argv[:1], verbosity=2)
