"""The start: announced descriptors that are missing, and signals that arrive early."""
import os
import signal
import subprocess
import sys
import time
import unittest

import harness

LISTENER = "[listener:a]\naddress = 127.0.0.1:0\naction = echo\n"

SYSTEMD = "systemd yes" in subprocess.check_output([harness.DAEMON, "-V"], text=True)

# Runs the command line with LISTEN_FDS=N, but without these descriptors.
ANNOUNCE = """
import os, sys
os.closerange(3, 16)
os.environ.update(LISTEN_FDS=sys.argv[1], LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""

# Reading this many prefixes takes long enough to see the daemon while it reads.
PREFIXES = ",\n".join(f" 10.{i >> 8 & 255}.{i & 255}.{i >> 16}/32" for i in range(100000))


class DescriptorTest(harness.TestCase):
    @unittest.skipUnless(SYSTEMD, "built without systemd")
    def test_announced_descriptors_that_are_not_open(self):
        for count in (1, 2, 3, 5, 13):
            daemon = self.serve(LISTENER, wrapper=[sys.executable, "-c", ANNOUNCE, str(count)])
            daemon.await_line(r"warning: systemd announced sockets \(LISTEN_FDS\) that are not open: none of them is used")
            client = self.udp()
            client.sendto(b"hello", daemon.address("a"))
            self.assertEqual(client.recv(100), b"hello")
            self.assertEqual(daemon.end()["listener a"]["echoed"], 1)


class SignalTest(harness.TestCase):
    def await_reading(self, daemon):
        """Returns when the daemon reads its configuration."""
        directory = f"/proc/{daemon.process.pid}/fd"
        end = time.monotonic() + harness.PATIENCE
        while time.monotonic() < end:
            try:
                if any(os.readlink(f"{directory}/{fd}") == daemon.path for fd in os.listdir(directory)):
                    return
            except FileNotFoundError:
                pass
        self.fail("the daemon does not read its configuration")

    def test_signals_during_the_start(self):
        """They wait until the daemon is ready for them. TERM ends the program at once."""
        daemon = self.start(LISTENER + f"allow = 127.0.0.0/8,\n{PREFIXES}\n")
        self.await_reading(daemon)
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            daemon.send_signal(number)
        daemon.ready()
        daemon.await_line("configuration 2 active")
        daemon.await_line("info: listener a: received=0")
        daemon.end()

    def test_the_end_during_the_start(self):
        daemon = self.start(LISTENER + f"allow = 127.0.0.0/8,\n{PREFIXES}\n")
        self.await_reading(daemon)
        daemon.send_signal(signal.SIGTERM)
        self.assertEqual(daemon.wait(), -signal.SIGTERM)


if __name__ == "__main__":
    harness.main()
