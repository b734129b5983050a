"""A run with load under valgrind, without errors and leaks."""
import shutil
import socket
import subprocess

import harness

if not shutil.which("valgrind"):
    harness.skip("there is no program `valgrind`")

WRAPPER = ["valgrind", "--quiet", "--error-exitcode=99", "--leak-check=full", "--show-leak-kinds=definite,possible",
           "--errors-for-leak-kinds=definite,possible", "--track-fds=no"]
# All operations take longer under valgrind.
harness.PATIENCE = 60.0


class ValgrindTest(harness.TestCase):
    def test_load(self):
        receiver, converted = self.udp(), self.udp()
        daemon = self.serve(f"""
            [udprelayd]
            workers = 2
            [datagram_log]
            queue = 64
            [listener:echo]
            address = 127.0.0.1:0, [::1]:0
            action = echo
            encoding = utf-8, gbk
            [listener:copy]
            address = 127.0.0.1:0
            action = forward
            peers = plain, converted, named, gone
            [listener:sink]
            address = 127.0.0.1:0
            action = sink
            errors = replace
            [peer:plain]
            address = 127.0.0.1:{receiver.getsockname()[1]}
            [peer:converted]
            address = 127.0.0.1:{converted.getsockname()[1]}
            encoding = utf-16
            [peer:named]
            address = localhost:{receiver.getsockname()[1]}
            [peer:gone]
            address = unix:/nowhere/at/all
            """, wrapper=WRAPPER)
        client = self.udp()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        for i in range(100):
            for j in range(50):
                client.sendto("你好".encode("gbk") + b"%d %d" % (i, j), daemon.address("echo", 1))
            for _ in range(50):
                client.recv(100)
            client.sendto(b"copy %d" % i, daemon.address("copy"))
            client.sendto(b"\xff%d" % i, daemon.address("sink"))
            self.assertEqual(converted.recv(100), ("copy %d" % i).encode("utf-16"))
        counters = daemon.end()
        self.assertEqual(counters["listener echo"]["echoed"], 5000)
        self.assertEqual(daemon.process.returncode, 0)
        self.assertEqual([line for line in daemon.lines if line.startswith("==")], [])


if __name__ == "__main__":
    subprocess.run(["valgrind", "--version"], check=True)
    harness.main()
