"""Runs `udprelay ping` in a test, parses its output, and has servers that reply to it."""
import re
import socket
import struct
import subprocess
import tempfile
import threading

import harness
import tool

# The header of a datagram: run, flow, number, nanoseconds.
HEAD = struct.Struct("=IIQQ")

ANSWER = re.compile(r"(?P<size>\d+) bytes from (?P<source>\S+): seq=(?P<seq>\d+) time=(?P<time>\d+\.\d{3}) ms"
                    r"(?P<remarks>( \(.*\))?)$")

SUMMARY = re.compile(r"(?P<sent>\d+) sent, (?P<answered>\d+) answered, (?P<lost>\d+) lost \((?P<percent>\S+) %\), "
                     r"(?P<duplicates>\d+) duplicates, (?P<out_of_order>\d+) out of order, (?P<refused>\d+) refused, "
                     r"time (?P<seconds>\d+\.\d{3}) s$")

TIMES = re.compile(r"round trip min/avg/p50/p90/p99/max = "
                   r"(\d+\.\d{3})/(\d+\.\d{3})/(\d+\.\d{3})/(\d+\.\d{3})/(\d+\.\d{3})/(\d+\.\d{3}) ms, "
                   r"jitter (\d+\.\d{3}) ms$")


class Said:
    """The parsed output of a ping."""

    def __init__(self, status, output, errors):
        self.status, self.output, self.errors = status, output, errors
        self.lines = output.splitlines()
        self.answers = [m.groupdict() for m in map(ANSWER.match, self.lines) if m]
        summaries = [m.groupdict() for m in map(SUMMARY.match, self.lines) if m]
        self.summary = {key: float(value) for key, value in summaries[0].items()} if len(summaries) == 1 else None
        times = [m.groups() for m in map(TIMES.match, self.lines) if m]
        self.times = [float(time) for time in times[0]] if times else None

    def counts(self, *names):
        return tuple(int(self.summary[name]) for name in names)


class Server:
    """Replies as answer(number, datagram, source) returns, in a thread. number counts the received datagrams from 0."""

    def __init__(self, sock, answer):
        self.sock, self.answer = sock, answer
        self.heads = []
        self.sources = []
        self.failure = None
        self.come = threading.Condition()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            while True:
                data, source = self.sock.recvfrom(65536)
                if not data:
                    return
                with self.come:
                    self.heads.append(HEAD.unpack_from(data))
                    self.sources.append(source)
                    self.come.notify_all()
                self.answer(len(self.heads) - 1, data, source)
        except Exception as failure:  # end() sends an empty datagram
            self.failure = failure

    def await_count(self, count):
        with self.come:
            if not self.come.wait_for(lambda: len(self.heads) >= count, harness.PATIENCE):
                raise AssertionError(f"only {len(self.heads)} datagrams of {count} came")

    def seqs(self):
        return [seq for _, _, seq, _ in self.heads]

    def times(self):
        """Returns the send times in seconds."""
        return [ns / 1e9 for _, _, _, ns in self.heads]

    def end(self):
        """An empty datagram stops the thread."""
        host, port = self.sock.getsockname()[:2]
        with socket.socket(self.sock.family, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", (host, port))
        self.thread.join(harness.PATIENCE)
        if self.failure:
            raise self.failure


class PingTest(harness.TestCase):
    def begin(self, *arguments, **popen):
        process = subprocess.Popen([tool.PROGRAM, "ping", *map(str, arguments)], stdin=subprocess.DEVNULL, text=True,
                                   **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **popen})
        self.addCleanup(self._finish, process)
        return process

    def _finish(self, process):
        if process.poll() is None:
            process.kill()
            process.wait()
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()

    def finish(self, process):
        output, errors = process.communicate(timeout=harness.PATIENCE)
        return Said(process.returncode, output, errors)

    def ping(self, *arguments):
        said = self.finish(self.begin(*arguments))
        self.assertNotIn("Sanitizer", said.errors)
        return said

    def server(self, answer, host="127.0.0.1"):
        server = Server(self.udp(host), answer)
        self.addCleanup(server.end)
        return server

    def port(self, server):
        return server.sock.getsockname()[1]

    def silent(self):
        return self.server(lambda number, data, source: None)

    def echo(self):
        server = self.server(lambda number, data, source: server.sock.sendto(data, source))
        return server

    def closed_port(self, host="127.0.0.1"):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((host, 0))
            return sock.getsockname()[1]

    def directory(self):
        directory = tempfile.TemporaryDirectory(prefix="ping-")
        self.addCleanup(directory.cleanup)
        return directory.name
