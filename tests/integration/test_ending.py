"""The end of the daemon: it is immediate, every datagram that was read is processed, and other signals do not end
it."""
import fcntl
import os
import pty
import signal
import socket
import subprocess
import tempfile
import termios
import threading

import harness

CONFIG = "[listener:a]\naddress = *:0\naction = echo\n"


class EndingTest(harness.TestCase):
    def test_term_and_int(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            daemon = self.serve(CONFIG)
            self.assert_echoes(self.udp(), ("127.0.0.1", daemon.address("a")[1]), b"hello")
            daemon.end(number)
            self.assertRegex("\n".join(daemon.lines), f"notice: ending: {number.name} received")
            self.assertTrue(daemon.lines[-1].endswith("notice: ended"), daemon.lines[-1])

    def test_no_handle_stays_open(self):
        """The loops are closed without open handles; an open handle would be logged as an error."""
        daemon = self.serve("[udprelayd]\nworkers = 4\n" + CONFIG)
        daemon.end()
        self.assertEqual([line for line in daemon.lines if "error" in line], [])

    def test_all_records_are_written(self):
        daemon = self.serve(CONFIG)
        client = self.udp()
        for i in range(1000):
            self.assert_echoes(client, ("127.0.0.1", daemon.address("a")[1]), b"%d" % i)
        counters = daemon.end()
        self.assertEqual(counters["datagram log"], {"written": 1000, "dropped": 0})
        self.assertEqual(len(daemon.records()), 1000)

    def test_under_load(self):
        """The counters balance (end() checks this) while datagrams keep arriving."""
        daemon = self.serve("[udprelayd]\nworkers = 2\n[datagram_log]\ntarget = off\n" + CONFIG)
        address = ("127.0.0.1", daemon.address("a")[1])
        stop = threading.Event()

        def shoot():
            client = self.udp()
            for _ in range(200000):
                if stop.is_set():
                    return
                try:
                    client.sendto(b"x" * 100, address)
                except ConnectionRefusedError:
                    pass

        shooters = [threading.Thread(target=shoot) for _ in range(2)]
        for shooter in shooters:
            shooter.start()
        try:
            daemon.await_counter("listener a", "received", 5000)
            counters = daemon.end()
        finally:
            stop.set()
            for shooter in shooters:
                shooter.join()
        self.assertGreaterEqual(counters["listener a"]["received"], 5000)

    def test_more_signals_while_it_ends(self):
        """Records wait for a reader, so the end takes a while. Further signals do not shorten it."""
        directory = tempfile.TemporaryDirectory(prefix="udprelayd-end-")
        self.addCleanup(directory.cleanup)
        path = os.path.join(directory.name, "log")
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            daemon = self.serve(f"[datagram_log]\ntarget = {path}\n" + CONFIG)
            client = self.udp()
            for i in range(1000):
                self.assert_echoes(client, ("127.0.0.1", daemon.address("a")[1]), b"%d" % i)
            daemon.send_signal(signal.SIGTERM)
            end = harness.time.monotonic() + harness.PATIENCE
            while daemon.process.poll() is None and harness.time.monotonic() < end:
                daemon.send_signal(number)
                harness.time.sleep(0.01)
            self.assertEqual(daemon.wait(), 0)
            self.assertTrue(daemon.lines[-1].endswith("ended"), daemon.lines[-1])

    def test_datagrams_in_the_sockets_are_processed(self):
        """Every datagram that arrived before the signal is read and counted."""
        daemon = self.serve("[datagram_log]\ntarget = off\n[listener:a]\naddress = 127.0.0.1:0\naction = sink\n")
        client = self.udp()
        daemon.send_signal(signal.SIGSTOP)
        for i in range(2000):
            client.sendto(b"%d" % i, daemon.address("a"))
        daemon.send_signal(signal.SIGTERM)
        daemon.send_signal(signal.SIGCONT)
        counters = daemon.end()["listener a"]
        self.assertEqual(counters["received"] + counters["kernel_dropped"], 2000)

    def test_started_without_standard_streams(self):
        """No socket gets the number of a standard stream, which the log writes to."""
        address = ("127.0.0.2", self.udp().getsockname()[1])
        daemon = self.start(f"[listener:a]\naddress = {address[0]}:{address[1]}\naction = echo\n",
                            wrapper=["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"])
        client = self.udp("127.0.0.2")
        client.settimeout(0.1)

        def answered():
            client.sendto(b"hello", address)
            try:
                return client.recv(100)
            except socket.timeout:
                return None
        end = harness.time.monotonic() + harness.PATIENCE
        while not (answer := answered()):
            self.assertLess(harness.time.monotonic(), end, "no answer")
        self.assertEqual(answer, b"hello")
        self.assert_nothing_waits(client)
        daemon.send_signal(signal.SIGTERM)
        self.assertEqual(daemon.wait(), 0)

    def test_a_terminal_that_is_closed(self):
        """The user can no longer stop it, so it ends. (A SIGHUP from another source does not end it.)"""
        try:
            master, slave = pty.openpty()
        except OSError as error:
            self.skipTest(f"there are no pseudo-terminals here: {error}")
        with tempfile.NamedTemporaryFile("w", suffix=".ini") as config:
            config.write("[listener:a]\naddress = 127.0.0.1:0\naction = echo\n")
            config.flush()
            process = subprocess.Popen([harness.DAEMON, "-c", config.name], stdin=slave, stdout=slave, stderr=slave,
                                       start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
            os.close(slave)
            self.addCleanup(process.kill)
            said = b""
            while b" ready: " not in said:
                said += os.read(master, 65536)
            harness.send_signal(process, signal.SIGHUP)
            while b"active" not in said:
                said += os.read(master, 65536)
            os.close(master)
            self.assertEqual(process.wait(harness.PATIENCE), 0)

    def test_summary(self):
        daemon = self.serve(CONFIG)
        client = self.udp()
        for i in range(1, 4):
            self.assert_echoes(client, ("127.0.0.1", daemon.address("a")[1]), b"hello")
            daemon.await_counter("listener a", "echoed", i)
            counters = daemon.summary()["listener a"]
            self.assertEqual((counters["received"], counters["bytes"], counters["echoed"]), (i, 5 * i, i))
        daemon.end()


if __name__ == "__main__":
    harness.main()
