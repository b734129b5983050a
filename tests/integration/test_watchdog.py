"""The systemd watchdog: the daemon sends messages only while all its loops run."""
import ctypes
import os
import socket
import tempfile
import time
import unittest

import harness

if not harness.built_with("systemd"):
    harness.skip("built without systemd")

SECONDS = 1.5
CONFIG = ("[udprelayd]\nworkers = 2\n[datagram_log]\ntarget = off\n"
          "[listener:a]\naddress = 127.0.0.1:0\naction = sink\n")

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT, WALL = 0x11, 0x4206, 0x4207, 0x40000000


class Stopped:
    """Stops one thread of another process, and continues it at the end."""

    def __init__(self, test, thread):
        self.test, self.thread = test, thread
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        self.libc.ptrace.restype = ctypes.c_long

    def call(self, request):
        return self.libc.ptrace(request, self.thread, None, None)

    def __enter__(self):
        if self.call(PTRACE_SEIZE):
            self.test.skipTest(f"threads may not be stopped here: {os.strerror(ctypes.get_errno())}")
        self.test.assertEqual(self.call(PTRACE_INTERRUPT), 0)
        os.waitpid(self.thread, WALL)

    def __exit__(self, *_):
        self.call(PTRACE_DETACH)


class WatchdogTest(harness.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="udprelayd-watchdog-")
        self.addCleanup(directory.cleanup)
        path = os.path.join(directory.name, "notify")
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.manager.close)
        self.manager.bind(path)
        self.daemon = self.serve(CONFIG, env={**os.environ, "NOTIFY_SOCKET": path,
                                              "WATCHDOG_USEC": str(int(SECONDS * 1e6))})

    def assert_heard(self, seconds=harness.PATIENCE):
        self.manager.settimeout(seconds)
        while b"WATCHDOG=1" not in self.manager.recv(4096):
            pass

    def forget(self):
        self.manager.setblocking(False)
        try:
            while self.manager.recv(4096):
                pass
        except BlockingIOError:
            pass

    def thread(self, name):
        tasks = f"/proc/{self.daemon.process.pid}/task"
        for thread in os.listdir(tasks):
            with open(f"{tasks}/{thread}/comm", encoding="ascii") as file:
                if file.read().strip() == name:
                    return int(thread)
        raise AssertionError(f"no thread {name}")

    def test_messages_arrive(self):
        for _ in range(4):
            self.assert_heard()
        self.daemon.end()

    def test_a_busy_one(self):
        client, end = self.udp(), time.monotonic() + 2 * SECONDS
        self.forget()
        while time.monotonic() < end:
            for _ in range(100):
                client.sendto(b"work", self.daemon.address("a"))
        for _ in range(3):
            self.assert_heard(0.01)

    def test_a_worker_that_is_blocked(self):
        with Stopped(self, self.thread("worker-1")):
            time.sleep(SECONDS + 0.6)
            self.forget()
            self.manager.settimeout(SECONDS)
            with self.assertRaises(TimeoutError):
                self.manager.recv(4096)
        self.assert_heard()
        self.daemon.end()

    def test_a_main_loop_that_is_blocked(self):
        with Stopped(self, self.daemon.process.pid):
            self.forget()
            self.manager.settimeout(SECONDS)
            with self.assertRaises(TimeoutError):
                self.manager.recv(4096)
        self.assert_heard()
        self.daemon.end()


if __name__ == "__main__":
    unittest.main()
