"""The two programs of the lesson, written with Python's socket, encode and decode, exchange datagrams with udprelay and
udprelayd, in every combination."""
import itertools
import os
import subprocess
import sys
import unittest

import harness
import tool

LESSON = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "lesson")
ENCODINGS = ("utf-8", "gbk")
RULES = ("strict", "ignore", "replace")
LINES = ["hello", "你好, udp", "", "€100 ½", "a🙂b é"]  # GBK has no code for ½, 🙂 and letters such as é from other scripts

# The bytes of a broken sender.
TORN = {"utf-8": ["你好".encode()[:-1], b"a\xffb\xc0\xaf", b"\xed\xa0\x80"], "gbk": ["你好".encode("gbk")[:-1], b"\xffa\x80", b"\x81 "]}


def python_sender(port, encoding, rule):
    """Returns the function that sends lines."""
    command = [sys.executable, os.path.join(LESSON, "send.py"), "127.0.0.1", str(port), encoding, rule]

    def send(lines):
        return subprocess.run(command, input="".join(f"{line}\n" for line in lines).encode(), stderr=subprocess.PIPE,
                              timeout=harness.PATIENCE).returncode
    return send


def our_sender(port, encoding, rule):
    def send(lines):
        return tool.run("send", "-q", "-e", encoding, "--errors", rule, "127.0.0.1", port,
                        input="".join(f"{line}\n" for line in lines))[0]
    return send


class PythonReceiver:
    def __init__(self, test, encoding, rule):
        self.process = subprocess.Popen([sys.executable, os.path.join(LESSON, "receive.py"), "0", encoding, rule],
                                        stdout=subprocess.PIPE)
        test.addCleanup(self.process.communicate)
        test.addCleanup(self.process.kill)
        self.port = int(self.process.stdout.readline().split(b":")[1])

    def texts(self, count):
        return [self.process.stdout.readline().decode().rstrip("\n").split(": ", 1)[1] for _ in range(count)]


class OurListener:
    def __init__(self, test, encoding, rule):
        self.listener = tool.Listener("-e", encoding, "--errors", rule, "127.0.0.1:0")
        test.addCleanup(test._end, self.listener)
        self.port = self.listener.ready().address("listen")[1]

    def texts(self, count):
        return [line.split(": ", 1)[1] for line in self.listener.await_output(count)]


class OurDaemon:
    def __init__(self, test, encoding, rule):
        self.daemon = test.serve("[udprelayd]\nworkers = 1\n[listener:l]\naddress = 127.0.0.1:0\naction = sink\n"
                                 f"encoding = {encoding}\nerrors = {rule}\n")
        self.port = self.daemon.address("l")[1]

    def texts(self, count):
        return [record["payload"] for record in self.daemon.records(count)]


class LessonTest(harness.TestCase):
    def each(self, *kinds):
        for kinds_and_rules in itertools.product(*kinds, ENCODINGS, RULES):
            with self.subTest([getattr(kind, "__name__", kind) for kind in kinds_and_rules]):
                yield kinds_and_rules

    def test_the_receiver_shows_the_sent_text(self):
        """Any sender and any receiver: the output is the result of Python's encode() and decode()."""
        for sender, receiver, encoding, rule in self.each((python_sender, our_sender),
                                                          (PythonReceiver, OurListener, OurDaemon)):
            lines = [line for line in LINES if rule != "strict" or self.can_be_said(line, encoding)]
            there = receiver(self, encoding, rule)
            self.assertEqual(sender(there.port, encoding, rule)(lines), 0)
            self.assertEqual(there.texts(len(lines)),
                             [line.encode(encoding, rule).decode(encoding, rule) for line in lines])

    def can_be_said(self, line, encoding):
        try:
            return bool(line.encode(encoding)) or True
        except UnicodeEncodeError:
            return False

    def test_the_same_bytes(self):
        """Our program sends the same bytes as Python."""
        sock = self.udp()
        for encoding, rule in itertools.product(ENCODINGS, ("ignore", "replace")):
            said = []
            for sender in (python_sender, our_sender):
                self.assertEqual(sender(sock.getsockname()[1], encoding, rule)(LINES), 0)
                said.append([sock.recv(65536) for _ in LINES])
            self.assertEqual(said[0], said[1])

    def test_text_that_cannot_be_encoded(self):
        """With strict, both refuse the line, and have sent the lines before it."""
        sock = self.udp()
        for sender in (python_sender, our_sender):
            self.assertEqual(sender(sock.getsockname()[1], "gbk", "strict")(["one", "🙂"]), 1)
            self.assertEqual(sock.recv(65536), b"one")
            self.assert_nothing_waits(sock)

    def test_bytes_that_cannot_be_decoded(self):
        """Our program shows the same text as Python."""
        for receiver, encoding, rule in self.each((OurListener, OurDaemon)):
            python, ours, client = PythonReceiver(self, encoding, rule), receiver(self, encoding, rule), self.udp()
            for payload, there in itertools.product(TORN[encoding], (python, ours)):
                client.sendto(payload, ("127.0.0.1", there.port))
            count = len(TORN[encoding])
            self.assertEqual(ours.texts(count), python.texts(count))


if __name__ == "__main__":
    harness.main()
