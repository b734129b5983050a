"""The README: its commands run and print what it shows, its configurations are valid, its links and pictures are right,
and it is short.

Usage: test_readme.py DAEMON UDPRELAY ROOT

The commands run as a user would paste them: into an interactive bash on a terminal, without LANG. They use fixed ports, so
the test starts itself again in a network namespace."""
import ctypes
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
import xml.etree.ElementTree

SKIPPED = 77
DEADLINE_S = 90
INSIDE = "UDPRELAYD_README_NAMESPACE"
DAEMON, TOOL, ROOT = (os.path.abspath(path) for path in sys.argv[1:4])
README, BENCH = os.path.join(ROOT, "README.md"), os.path.join(ROOT, "tests", "bench", "README.md")
PROGRAMS = ["bash", "nc.openbsd", "iconv", "pgrep"]
NOT_RUN = ["Install", "Run as a service"]  # sections whose commands change the host

sys.dont_write_bytecode = True
sys.path[:0] = [os.path.join(ROOT, "conf", "pictures"), os.path.join(ROOT, "tests", "bench")]
import overview  # noqa: E402, pylint: disable=wrong-import-position
import picture  # noqa: E402, pylint: disable=wrong-import-position
import publish  # noqa: E402, pylint: disable=wrong-import-position
import speed  # noqa: E402, pylint: disable=wrong-import-position


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def blocks():
    """The fenced blocks as (section, language, text)."""
    section, found = "", []
    for heading, language, text in re.findall(r"^## ([^\n]*)$|^```(\w+)\n(.*?)^```$", read(README), re.MULTILINE | re.DOTALL):
        if heading:
            section = heading
        else:
            found.append((section, language, text))
    return found


def blocks_of(language):
    return [text for _, kind, text in blocks() if kind == language]


def setup_commands():
    return [text.strip() for section, language, text in blocks() if section == "Install" and language == "sh"]


def sentences(text):
    """The prose: without blocks, tables, headings and comments; code in a line counts as one word."""
    text = re.sub(r"^```.*?^```$|<!-- results -->.*<!-- end of results -->|<!--.*?-->", "\n", text,
                  flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^(\||#|!\[).*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"`[^`]*`", "code", text)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    text = re.sub(r"^(- |\d\. )", "\n", text, flags=re.MULTILINE)
    parts = re.split(r"(?<=[.!?:])\s+|\n\s*\n", text)
    return [words for part in parts if (words := re.findall(r"[\w’'-]+", part))]


class StyleTest(unittest.TestCase):
    def test_it_is_short(self):
        self.assertLessEqual(len(read(README).splitlines()), 250)

    def test_sentences_are_short(self):
        for path in (README, BENCH):
            found = sentences(read(path))
            self.assertGreater(len(found), 20)
            self.assertLessEqual(sum(map(len, found)) / len(found), 15, path)
            self.assertEqual([" ".join(words) for words in found if len(words) > 36], [], path)

    def test_blocks_can_be_pasted(self):
        for text in blocks_of("sh"):
            self.assertNotRegex(text, r"(?m)^\s*[$#>] ", "a prompt")
            self.assertNotIn("pkill", text)
            for conversion in re.findall(r"iconv[^|;\n]*", text):
                self.assertRegex(conversion, r"-f \S+ -t \S+", "it depends on LANG")
            if re.search(r"udprelayd -c .* &", text):
                self.assertIn("grep -q ' ready: '", text, "no wait for a daemon in the background")

    def test_two_setup_commands(self):
        first, second = setup_commands()
        self.assertEqual((first.count("\n"), second), (0, ".ci/run --quick"))
        wanted = re.search(r"apt-get install -y --no-install-recommends ([^&]*)", first)[1].split()
        packages = re.search(r"^packages=\((.*?)\)", read(os.path.join(ROOT, ".ci", "run")), re.MULTILINE | re.DOTALL)[1]
        self.assertEqual(set(wanted) - set(packages.split()), set())

    def test_links(self):
        for path in (README, BENCH):
            for link in re.findall(r"\]\(([^)#]+)", read(path)):
                if "://" not in link:
                    self.assertTrue(os.path.exists(os.path.join(os.path.dirname(path), link)), f"{path}: {link}")


class PictureTest(unittest.TestCase):
    """The pictures and the figures are what the scripts make of the results."""

    def test_pictures(self):
        results = json.loads(read(publish.RESULTS))
        for name, wanted in ("overview", overview.draw()), ("speed", speed.draw(results)):
            text = read(os.path.join(ROOT, "conf", "pictures", f"{name}.svg"))
            xml.etree.ElementTree.fromstring(text)
            self.assertEqual(text, wanted, f"draw {name}.svg again: see conf/pictures/{name}.py")

    def test_figures(self):
        results = json.loads(read(publish.RESULTS))
        self.assertIn(f"<!-- speed -->\n{publish.sentence(results)}<!-- end", read(README), "run tests/bench/publish.py")
        self.assertIn(f"<!-- results -->\n{publish.table(results)}<!-- end", read(BENCH), "run tests/bench/publish.py")

    def test_contrast(self):
        """Text is readable on the card and on the boxes, light and dark (WCAG: at least 4.5)."""
        def luminance(colour):
            parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
            linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
            return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

        for colours in (picture.LIGHT, picture.DARK):
            for text in ("ink", "muted", "main", "other", "bad"):
                for ground in ("card", "box"):
                    low, high = sorted((luminance(colours[text]), luminance(colours[ground])))
                    self.assertGreater((high + 0.05) / (low + 0.05), 4.5, f"{colours[text]} on {colours[ground]}")


class ConfigurationTest(unittest.TestCase):
    def test_three_uses(self):
        uses = blocks_of("ini")
        self.assertEqual(len(uses), 3)
        for text in uses:
            self.assertIn(len(text.splitlines()), range(6, 10), text)
            with tempfile.NamedTemporaryFile("w", suffix=".ini", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                done = subprocess.run([DAEMON, "-c", file.name, "-t"], capture_output=True, text=True, timeout=20)
            self.assertEqual((done.returncode, done.stderr), (0, ""), text)

    @unittest.skipUnless(shutil.which("promtool"), "promtool (package prometheus) is not installed")
    def test_prometheus(self):
        scrape, = blocks_of("yaml")
        alert = re.search(r"Alert on `(.*?)`", read(README))[1]
        rules = f"groups:\n- name: a\n  rules:\n  - alert: a\n    expr: {alert}\n"
        for kind, text in ("config", scrape), ("rules", rules):
            with tempfile.NamedTemporaryFile("w", suffix=".yml", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                done = subprocess.run(["promtool", "check", kind, file.name], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class Terminal:
    """An interactive bash on a terminal."""

    def __init__(self, directory, environment):
        pid, self.fd = pty.fork()
        if not pid:
            os.chdir(directory)
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"], environment)
        self.pid, self.count = pid, 0
        self.paste("stty -echo; PS1= PS2=\n")

    def paste(self, text):
        """Returns the lines that appear until all of it has run."""
        self.count += 1
        os.write(self.fd, f'{text}echo "END"-{self.count}\n'.encode())
        deadline, output = time.monotonic() + DEADLINE_S, b""
        while f"END-{self.count}\r".encode() not in output:
            if not select.select([self.fd], [], [], max(0, deadline - time.monotonic()))[0]:
                raise AssertionError(f"the block does not end:\n{text}\n{output.decode(errors='replace')}")
            output += os.read(self.fd, 65536)
        return output.decode(errors="replace").replace("\r\n", "\n").splitlines()

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def comparable(line):
    """Without control sequences, times, ports that the kernel chose, and measured values."""
    line = re.sub(r"\033\[[\d;]*\w|\r", "", line)
    line = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", line)
    line = re.sub(r":\d{5}\b", ":PORT", line)
    return re.sub(r"\d+\.\d+", "N", line).rstrip()


@unittest.skipUnless(os.environ.get(INSIDE), "no network namespace")
class CommandsTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="udprelayd-readme-")
        self.addCleanup(shutil.rmtree, self.directory)
        for path, target in ("build/src/udprelayd", DAEMON), ("build/src/client/udprelay", TOOL), \
                ("bin/nc", shutil.which("nc.openbsd")), ("conf", os.path.join(ROOT, "conf")):
            os.makedirs(os.path.dirname(self.path(path)), exist_ok=True)
            os.symlink(target, self.path(path))
        self.environment = {"PATH": f"{self.path('bin')}:{os.environ['PATH']}", "HOME": self.directory, "TERM": "dumb"}

    def path(self, name):
        return os.path.join(self.directory, name)

    def start(self, command):
        """Starts a daemon, and returns when it is ready. Its log is daemon.log."""
        with open(self.path("daemon.log"), "wb") as log:
            child = subprocess.Popen(command.split(), cwd=self.directory, stderr=log, env=self.environment)
        self.addCleanup(child.wait)
        self.addCleanup(child.terminate)
        self.wait_for(lambda: " ready: " in read(self.path("daemon.log")), lambda: read(self.path("daemon.log")))

    def wait_for(self, condition, what):
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            self.assertLess(time.monotonic(), deadline, what())
            time.sleep(0.05)

    def assert_shown(self, expected, output):
        """Each line that the README shows is in the output of the block or in the log of the daemon."""
        def missing():
            lines = {comparable(line) for line in output + read(self.path("daemon.log")).splitlines()}
            return [line for line in expected.splitlines() if comparable(line) not in lines]

        self.wait_for(lambda: not missing(), lambda: "\n".join(["missing:", *missing(), "output:", *output]))

    def test_commands(self):
        self.start(setup_commands()[0].split("&&")[-1])
        terminal = Terminal(self.directory, self.environment)
        self.addCleanup(terminal.close)
        output, ran, shown = [], 0, 0
        for section, language, text in blocks():
            if language == "sh" and section not in NOT_RUN:
                output, ran = terminal.paste(text), ran + 1
            elif language == "text":
                self.assert_shown(text, output)
                shown += 1
        self.assertGreaterEqual((ran, shown), (6, 6))
        records = [comparable(line) for line in read(self.path("daemon.log")).splitlines() if " echoed " in line]
        self.assertTrue(any(record.endswith('10B gbk echoed "你好, udp\\n"') for record in records), records)

    def test_metric_of_the_alert(self):
        if "http no" in subprocess.check_output([DAEMON, "-V"], text=True):
            self.skipTest("the daemon is built without HTTP")
        address = re.search(r"Write `(listen = (\S+))`", read(README))
        with open(self.path("metrics.ini"), "w", encoding="ascii") as file:
            file.write(f"[http]\n{address[1]}\n[listener:echo]\naddress = 127.0.0.1:7788\naction = echo\n")
        self.start("build/src/udprelayd -c metrics.ini")
        with urllib.request.urlopen(f"http://{address[2]}/metrics", timeout=20) as reply:
            metrics = reply.read().decode()
        self.assertIn(re.search(r"Alert on `rate\((\w+)", read(README))[1] + "{", metrics)
        self.assertIn(address[2], blocks_of("yaml")[0])


def raise_loopback():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, 0x8914, struct.pack("16sh14x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
    ctypes.CDLL(None).prctl(47, 4, 0, 0, 0)  # PR_CAP_AMBIENT_CLEAR_ALL: programs get no capability from here


def namespace():
    """Returns the command that starts a program in a separate namespace, or None."""
    identity = [] if os.getuid() == 0 else ["--user", "--map-current-user", "--keep-caps"]
    command = ["unshare", *identity, "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    try:
        return None if subprocess.run([*command, "true"], capture_output=True, timeout=20).returncode else command
    except OSError:
        return None


def main():
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    reason = "not installed: " + ", ".join(missing) if missing else ""
    if not reason and not os.environ.get(INSIDE):
        command = namespace()
        if command:
            os.environ[INSIDE] = "1"
            os.execvp(command[0], [*command, sys.executable, *sys.argv])
        reason = "no right to create a network namespace"
    if not reason:
        raise_loopback()
    result = unittest.main(argv=sys.argv[:1], exit=False, verbosity=2).result
    if not result.wasSuccessful():
        return 1
    if reason:
        print(f"skipped: the commands of the README did not run: {reason}")
    return SKIPPED if reason else 0


if __name__ == "__main__":
    sys.exit(main())
