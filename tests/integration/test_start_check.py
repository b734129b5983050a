"""A valid file whose start fails on this host: the messages of -t and of the start."""
import os
import subprocess

import harness
import tool

LISTENER = "[listener:a]\naddress = 127.0.0.1:0\naction = echo\n"

# Redirects GBK to a module that does not exist.
GCONV = "module GBK// INTERNAL ./missing-module 1\nmodule INTERNAL GBK// ./missing-module 1\n"


def check(daemon, *arguments, **environment):
    """Runs the program with the configuration of the daemon. Returns exit status, output and errors."""
    done = subprocess.run([harness.DAEMON, "-c", daemon.path, *arguments], text=True, capture_output=True,
                          env=os.environ | environment, check=False)
    return done.returncode, done.stdout, done.stderr


class MissingModuleTest(harness.TestCase):
    """A charset whose gconv module is missing."""

    def setUp(self):
        self.environment = {"GCONV_PATH": self.make_modules()}

    def make_modules(self):
        directory = harness.tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        with open(os.path.join(directory.name, "gconv-modules"), "w", encoding="utf-8") as file:
            file.write(GCONV)
        return directory.name

    def test_daemon(self):
        """The check, the start and --explain agree."""
        complaint = r":4: \[listener:a\] encoding: this system cannot convert `gbk`: install the gconv modules"
        daemon = self.start(LISTENER + "encoding = gbk\n", env=os.environ | self.environment)
        self.assertEqual(daemon.wait(), 78, daemon.lines)
        self.assertRegex("\n".join(daemon.lines), complaint)
        for arguments in [("-t",), ("--explain", "192.0.2.1:4242 > a", "hello")]:
            status, output, errors = check(daemon, *arguments, **self.environment)
            self.assertEqual((status, output), (78, ""), errors)
            self.assertRegex(errors, complaint)

    def test_peer(self):
        daemon = self.start(LISTENER.replace("echo", "forward") + "peers = p\n[peer:p]\naddress = 192.0.2.1:9\n"
                            "encoding = gbk\n", env=os.environ | self.environment)
        self.assertEqual(daemon.wait(), 78, daemon.lines)
        self.assertRegex("\n".join(daemon.lines), r":7: \[peer:p\] encoding: this system cannot convert `gbk`: install")

    def test_client(self):
        for arguments, option in [(("send", "-e", "gbk", "127.0.0.1", "9", "x"), "--encoding"),
                                  (("send", "-d", "utf-8,gbk", "127.0.0.1", "9", "x"), "--decoding"),
                                  (("listen", "-e", "utf-8,gbk", "0"), "--encoding")]:
            status, _, errors = tool.run(*arguments, env=os.environ | self.environment)
            self.assertEqual(status, 64, errors)
            self.assertIn(f"{option}: this system cannot convert `gbk`: install the gconv modules", errors)


if __name__ == "__main__":
    harness.main()
