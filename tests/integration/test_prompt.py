"""`udprelay send` on a terminal."""
import os
import pty
import unittest

import harness
import tool
from sends import HELLO, SendTestCase, Server


class TerminalTest(SendTestCase):
    def terminal(self, *arguments, **environment):
        terminal = tool.Terminal("send", *arguments, self.host, self.port, **environment)
        self.addCleanup(terminal.close)
        terminal.await_text(rb"from port \d+ to .*\r\n> ")
        return terminal

    def setUp(self):
        super().setUp()
        self.server = Server(self.sock)
        self.answer = f"{self.host}:{self.port}: ".encode()

    def test_lines(self):
        terminal = self.terminal()
        for text in ("hello", HELLO):
            terminal.type(f"{text}\r".encode())
            terminal.await_text(self.answer + text.encode() + rb"\r\n> ")
        terminal.type(b"\x04")
        self.assertEqual(terminal.status(), 0)
        self.assertEqual(self.server.heard, [b"hello", HELLO.encode()])

    @unittest.skipUnless(tool.built_with("editing"), "built without libedit")
    def test_editing(self):
        """Keys change the line, and recall earlier lines."""
        terminal = self.terminal()
        terminal.type("hxllo 你\x01\x06\x04e\x05好\r".encode())  # to the beginning, right, delete, e, to the end
        terminal.await_text(self.answer + "hello 你好".encode())
        terminal.type(b"\x1b[A!\r")  # the previous line, with more text
        terminal.await_text(self.answer + "hello 你好!".encode())
        terminal.type(b"\x1b[A\x1b[A\r")
        terminal.await_text(self.answer + "hello 你好".encode() + rb"\r\n")
        self.assertEqual([data.decode() for data in self.server.heard], ["hello 你好", "hello 你好!", "hello 你好"])

    @unittest.skipUnless(tool.built_with("editing"), "built without libedit")
    def test_a_reply_while_a_line_is_typed(self):
        """The reply appears above the line, and the input continues below."""
        terminal = self.terminal()
        terminal.type(b"first\r")
        terminal.await_text(self.answer + rb"first\r\n> ")
        terminal.type(b"sec")
        terminal.await_text(b"sec")
        self.sock.sendto(b"by the way", self.server.sources[0])
        terminal.await_text(rb"\r\x1b\[J" + self.answer + rb"by the way\r\n> sec")
        terminal.type(b"ond\r")
        terminal.await_text(self.answer + b"second")

    def test_the_end(self):
        """Ctrl-D waits for missing replies, Ctrl-C does not. The terminal has its original mode."""
        self.server.answer = lambda sock, data, source: None
        for key, status in ((b"\x04", 1), (b"\x03", 1)):
            terminal = self.terminal("-w", "0.1")
            terminal.type(b"?\r")
            terminal.await_text(rb"\?\r\n> ")
            terminal.type(key)
            self.assertEqual(terminal.status(), status)

    @unittest.skipUnless(tool.built_with("editing"), "built without libedit")
    def test_keys_on_an_empty_line(self):
        """Keys that leave the line empty do not end the input, except Ctrl-D."""
        terminal = self.terminal()
        for key in (b"\x7f", b"\x1b[D", b"\x01", b"\x0b", b"\x0c", b"\t", b"a\x7f", b"abc\x15", b"x\x01\x04"):
            terminal.type(key)
            terminal.type(b"hello\r")
            terminal.await_text(self.answer + rb"hello\r\n> ")
        terminal.type(b"\x04")
        self.assertEqual(terminal.status(), 0)

    @unittest.skipUnless(tool.built_with("editing"), "built without libedit")
    def test_a_reply_while_a_long_line_is_typed(self):
        """All rows of the line move down, for any position of the cursor."""
        terminal = self.terminal()
        terminal.resize(20)  # the cursor counts from the next line on
        terminal.type(b"first\r")
        terminal.await_text(self.answer + rb"first\r\n> ")
        for text, rows in (("x" * 16 + "!", 0), ("x" * 17 + "!", 1), ("x" * 36 + "!", 1), ("x" * 37 + "!", 2),
                           ("x" * 17 + "好!", 1), ("好" * 18 + "!", 1), ("好" * 20 + "!", 2), ("x" * 50 + "\x01!", 0)):
            with self.subTest(text):
                terminal.type(text.encode())
                terminal.await_text(b"!")
                self.sock.sendto(b"by the way", self.server.sources[0])
                shown = terminal.await_text(rb"((?:\x1b\[A)*)\r\x1b\[J" + self.answer + rb"by the way\r\n> ")
                self.assertEqual(shown[1], b"\x1b[A" * rows)
                terminal.type(b"\r")
                terminal.await_text(self.answer + rb"[^:]*!.*\r\n> ")

    def test_faults(self):
        """An error is printed on a separate line, and the prompt appears again."""
        with self.udp() as nobody:
            self.host, self.port = nobody.getsockname()
        terminal = self.terminal()
        terminal.type(b"hello\r")
        terminal.await_text(rb"> \r\x1b\[Judprelay: no program listens at .*\)\r\n> ")

    def test_the_end_of_the_line(self):
        """The next program on the terminal starts at the beginning of a line."""
        for keys in (b"\x04", b"\x03", b"abc\x03"):
            terminal = self.terminal()
            terminal.type(keys)
            terminal.status()
            self.assertTrue(terminal.seen.endswith(b"\r\n"), terminal.seen)

    def test_output_into_a_file(self):
        """Has no prompt in it."""
        try:
            own, other = pty.openpty()
        except OSError as error:
            self.skipTest(f"there are no pseudo-terminals here: {error}")
        self.addCleanup(os.close, own)
        process = tool.start("send", "-w", "20", self.host, self.port, stdin=other)
        os.close(other)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        os.write(own, b"hello\n\x04")
        self.assertEqual(process.stdout.read(), self.answer + b"hello\n")
        self.assertEqual(process.wait(harness.PATIENCE), 0)

    def test_a_dumb_terminal(self):
        terminal = self.terminal(TERM="dumb")
        terminal.type(b"hello\r")
        terminal.await_text(self.answer + b"hello")


if __name__ == "__main__":
    harness.main()
