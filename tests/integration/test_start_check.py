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


class StartTest(harness.TestCase):
    """The file is valid, but the start fails: -t names the missing object, and its exit status is 0."""

    def assert_cannot_start(self, config, complaint, status):
        """The check and the start name the same line and the same fix. complaint has %s where they differ."""
        now = "valid, but cannot start now: "
        daemon = self.start(config)
        self.assertEqual(daemon.wait(), status, daemon.lines)
        self.assertRegex("\n".join(daemon.lines), complaint % "")
        checked, output, errors = check(daemon, "-t")
        self.assertEqual((checked, output), (0, f"{daemon.path}: the configuration is valid\n"), errors)
        self.assertRegex(errors, complaint % now)
        self.assertEqual(errors.count("\n"), 1, errors)

    def test_address(self):
        self.assert_cannot_start(LISTENER.replace("127.0.0.1", "192.0.2.77"),
                                 r":2: \[listener:a\] address: `?192\.0\.2\.77:0`?: %sno interface has this address: "
                                 "correct it, or set freebind", 69)

    def test_interface(self):
        self.assert_cannot_start(LISTENER + "interface = absent0\n", r":4: \[listener:a\] interface: `?absent0`?: "
                                 "%sno such interface: write one that `ip link` lists", 69)

    def test_interface_of_a_group(self):
        """The line is that of the group."""
        self.assert_cannot_start(LISTENER.replace("127.0.0.1", "*") + "multicast = 239.1.2.3%lo,\n  239.1.2.4%absent0\n",
                                 r":5: \[listener:a\] multicast: `?(239\.1\.2\.4%%)?absent0`?: %sno such interface: "
                                 "write one that `ip link` lists", 69)

    def test_log_directory(self):
        self.assert_cannot_start(LISTENER + "[datagram_log]\ntarget = /nonexistent/datagrams\n",
                                 r":5: \[datagram_log\] target: .*/nonexistent/datagrams`?: %sNo such file or directory: "
                                 "create its directory", 73)

    def test_directory_as_log(self):
        self.assert_cannot_start(LISTENER + "[datagram_log]\ntarget = /tmp/\n", r":5: \[datagram_log\] target: .*/tmp/`?: "
                                 "%sIs a directory: add the name of a file", 73)

    def test_path(self):
        self.assert_cannot_start(LISTENER.replace("127.0.0.1:0", "unix:/nonexistent/socket"),
                                 r":2: \[listener:a\] address: `?unix:/nonexistent/socket`?: %sthe directory does not exist: "
                                 "create it", 73)

    def test_path_of_a_file(self):
        with harness.tempfile.NamedTemporaryFile() as file:
            self.assert_cannot_start(LISTENER.replace("127.0.0.1:0", f"unix:{file.name}"),
                                     r":2: \[listener:a\] address: .*: %sthe path is a file of another kind: remove it", 73)

    def test_http(self):
        if not harness.built_with("http"):
            self.skipTest("this udprelayd is built without http")
        self.assert_cannot_start(LISTENER + "[http]\nlisten = 192.0.2.77:9100\n",
                                 r":5: \[http\] listen: `?192\.0\.2\.77:9100`?: %sno interface has this address", 69)

    def test_what_can_start(self):
        """No complaint about a running daemon, an address that may come later, or a group."""
        with harness.tempfile.TemporaryDirectory() as directory:
            config = (f"[listener:a]\naddress = *:0, unix:{directory}/a\naction = echo\n"
                      "[listener:b]\naddress = 192.0.2.77:0\naction = sink\nfreebind = on\n"
                      "[listener:c]\naddress = 239.1.2.3:0\naction = sink\n"
                      f"[datagram_log]\ntarget = {directory}/log\n")
            daemon = self.serve(config)
            self.assertEqual(check(daemon, "-t"), (0, f"{daemon.path}: the configuration is valid\n", ""))
            os.remove(f"{directory}/log")
            self.assertEqual(check(daemon, "-t")[2], "")
            self.assertFalse(os.path.exists(f"{directory}/log"))
            daemon.end()


if __name__ == "__main__":
    harness.main()
