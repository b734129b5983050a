"""Runs `udprelay send` in a test, and has servers for it."""
import threading

import harness
import tool

HELLO = "你好, udp"


class Server(threading.Thread):
    """Replies to each datagram with answer(socket, data, source), which echoes by default."""

    def __init__(self, sock, answer=lambda sock, data, source: sock.sendto(data, source)):
        super().__init__(daemon=True)
        self.sock, self.answer, self.heard, self.sources = sock, answer, [], []
        self.start()

    def run(self):
        while True:
            try:
                data, source = self.sock.recvfrom(1 << 18)
            except OSError:  # the test has closed it
                return
            self.heard.append(data)
            self.sources.append(source)
            self.answer(self.sock, data, source)


class SendTestCase(harness.TestCase):
    def setUp(self):
        self.sock = self.udp()
        self.host, self.port = self.sock.getsockname()

    def send(self, *arguments, status=0, to=None, **options):
        """Sends without status lines. Returns the output after checking the exit status."""
        host, port = to or (self.host, self.port)
        got, output, said = tool.run("send", "-q", *arguments[:-1], host, port, *arguments[-1], **options)
        self.assertEqual(got, status, said)
        self.said = said
        return output

    def received(self, count=1):
        return [self.sock.recv(65536) for _ in range(count)]
