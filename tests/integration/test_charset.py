"""Charsets: the text in the log, and the bytes that peers get."""
import json

import harness

HELLO = "你好, udp"


class LogTest(harness.TestCase):
    def assert_logged(self, extra, payload, encoding, text):
        daemon = self.serve(f"[listener:a]\naddress = 127.0.0.1:0\naction = echo\n{extra}\n")
        self.assert_echoes(self.udp(), daemon.address("a"), payload)
        record = daemon.records(1)[0]
        self.assertEqual((record["encoding"], record["payload"]), (encoding, text))
        daemon.end()

    def test_utf8_is_the_default(self):
        self.assert_logged("", HELLO.encode(), "utf-8", HELLO)

    def test_gbk(self):
        self.assert_logged("encoding = gbk", HELLO.encode("gbk"), "gbk", HELLO)

    def test_the_first_that_decodes(self):
        self.assert_logged("encoding = utf-8, gbk", HELLO.encode("gbk"), "gbk", HELLO)
        self.assert_logged("encoding = utf-8, gbk", HELLO.encode(), "utf-8", HELLO)
        self.assert_logged("encoding = utf-8, hex", b"\xff\x00", "hex", "ff00")

    def test_errors(self):
        for errors, text in [("strict", "61ff62"), ("replace", "a\ufffdb"), ("ignore", "ab"),
                             ("backslashreplace", r"a\xffb")]:
            self.assert_logged(f"errors = {errors}", b"a\xffb", "hex" if errors == "strict" else "utf-8", text)

    def test_other_charsets(self):
        for encoding, text in [("big5", "中文"), ("shift_jis", "日本語"), ("utf-16-le", "mixed 中"), ("latin-1", "é"),
                               ("gb18030", "𠀀"), ("koi8-r", "Привет")]:
            self.assert_logged(f"encoding = {encoding}", text.encode(encoding), encoding, text)

    def test_an_unknown_charset(self):
        said = self.refused("[listener:a]\naddress = 127.0.0.1:0\naction = echo\nencoding = klingon\n", 78)
        self.assertRegex(said, r":4: \[listener:a\] encoding: .*klingon")


class ConversionTest(harness.TestCase):
    def setUp(self):
        self.client = self.udp()

    def serve_peers(self, listener, *peers):
        """Returns the daemon and the sockets of its peers, each with other keys."""
        sockets = [self.udp() for _ in peers]
        sections = "".join(f"[peer:p{i}]\naddress = 127.0.0.1:{sock.getsockname()[1]}\n{keys}\n"
                           for i, (keys, sock) in enumerate(zip(peers, sockets)))
        names = ", ".join(f"p{i}" for i in range(len(peers)))
        config = f"[listener:a]\naddress = 127.0.0.1:0\naction = forward\npeers = {names}\n{listener}\n{sections}"
        return self.serve(config), sockets

    def send(self, daemon, payload):
        self.client.sendto(payload, daemon.address("a"))

    def test_gbk_to_utf8(self):
        daemon, (plain, converted) = self.serve_peers("encoding = gbk", "", "encoding = utf-8")
        self.send(daemon, HELLO.encode("gbk"))
        self.assertEqual(plain.recv(100), HELLO.encode("gbk"))
        self.assertEqual(converted.recv(100), HELLO.encode())
        record = daemon.records(1)[0]
        self.assertEqual((record["size"], record["encoding"], record["verdict"]),
                         (str(len(HELLO.encode("gbk"))), "gbk", "forwarded:2/2"))
        daemon.end()

    def test_each_peer_its_own(self):
        daemon, sockets = self.serve_peers("encoding = utf-8, gbk", "encoding = gbk", "encoding = utf-16-be",
                                           "encoding = big5")
        for encoding in ("utf-8", "gbk"):
            self.send(daemon, "中文".encode(encoding))
            for sock, target in zip(sockets, ("gbk", "utf-16-be", "big5")):
                self.assertEqual(sock.recv(100), "中文".encode(target))
        daemon.end()

    def test_strict_drops_the_copy_and_counts_it(self):
        daemon, (plain, converted) = self.serve_peers("errors = strict", "", "encoding = gbk")
        self.send(daemon, "𝄞".encode())
        self.send(daemon, b"\xff")
        self.send(daemon, b"fine")
        self.assertEqual([plain.recv(100) for _ in range(3)], ["𝄞".encode(), b"\xff", b"fine"])
        self.assertEqual(converted.recv(100), b"fine")
        self.assertEqual(sorted(r["verdict"] for r in daemon.records(3)),
                         ["forwarded:1/2", "forwarded:1/2", "forwarded:2/2"])
        counters = daemon.end()
        self.assertEqual(counters["peer p1"]["unconvertible"], 2)

    def test_the_other_rules(self):
        for errors in ("replace", "ignore", "backslashreplace"):
            daemon, (converted,) = self.serve_peers(f"errors = {errors}", "encoding = gbk")
            for payload in ("a𝄞b".encode(), b"a\xffb"):
                self.send(daemon, payload)
                self.assertEqual(converted.recv(100), payload.decode("utf-8", errors).encode("gbk", errors))
            daemon.end()

    def test_a_result_larger_than_a_udp_payload_is_dropped(self):
        daemon, (converted,) = self.serve_peers("encoding = latin-1", "encoding = utf-16-be")
        self.send(daemon, b"x" * 40000)
        self.send(daemon, b"small")
        self.assertEqual(converted.recv(100), "small".encode("utf-16-be"))
        self.assertEqual(daemon.end()["peer p0"]["too_large"], 1)

    def test_empty_stays_empty(self):
        daemon, (converted,) = self.serve_peers("encoding = gbk", "encoding = utf-8")
        self.send(daemon, b"")
        self.assertEqual(converted.recv(100), b"")
        daemon.end()


class JsonTest(harness.TestCase):
    def test_any_charset_is_utf8_in_json(self):
        daemon = self.serve("[datagram_log]\nformat = json\n[listener:a]\naddress = 127.0.0.1:0\naction = echo\n"
                            "encoding = utf-8, gbk\n")
        self.assert_echoes(self.udp(), daemon.address("a"), HELLO.encode("gbk"))
        record = json.loads(daemon.await_line(r"^\{.*\}$")[0])
        self.assertEqual((record["encoding"], record["payload"]), ("gbk", HELLO))
        daemon.end()


if __name__ == "__main__":
    harness.main()
