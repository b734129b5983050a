"""--explain: its report, and that the running daemon with the same configuration behaves as reported."""
import os
import re
import socket

import harness
from explained import ExplainCase
from relay_peers import at, config

HELLO = "你好, udp"


ECHO = "[listener:e]\naddress = 127.0.0.1:7788\naction = echo\n"
PEERS = "[peer:p]\naddress = 192.0.2.1:1\n[peer:q]\naddress = 192.0.2.2:2\n"
RELAY = "[listener:r]\naddress = 127.0.0.1:7789\naction = relay\npeers = p, q\n"


class CommandLineTest(ExplainCase):
    def test_ways_to_write_it(self):
        path = self.write(ECHO)
        expected = self.explain(path, "127.0.0.2:4242 > e", "x")
        for way in ("127.0.0.2:4242>e", " 127.0.0.2:4242  >  127.0.0.1:7788 ", "127.0.0.2:4242 >127.0.0.1:7788"):
            self.assertEqual(self.explain(path, way, "x"), expected)

    def test_payloads(self):
        path = self.write(ECHO)
        for payload, shown in [("a b", '"a b"'), (HELLO, f'"{HELLO}"'), ("hex: 01 61,62ff", r'"\u0001ab\xff"'),
                               ("HEX:61", '"a"'), ("", '""'), ("hexagon", '"hexagon"')]:
            self.assertIn(f"log: utf-8 {shown}", " ".join(self.explain(path, "127.0.0.2:4242 > e", payload)))
        facts = self.explain(path, "127.0.0.2:4242 > e", "-", stdin=b"\0piped\n")
        self.assertIn(r'log: utf-8 "\u0000piped\n", the first that decodes (encoding, default)', facts)

    def test_without_a_payload_the_report_does_not_mention_one(self):
        facts = self.facts(ECHO, "127.0.0.2:4242 > e")
        self.assertFalse([fact for fact in facts if re.match("size|encoding|log", fact)])
        self.assertIn("reply: the same bytes to 127.0.0.2:4242, from 127.0.0.1:7788", facts)
        self.assertEqual(facts[-1], "verdict: echoed")

    def test_wrong_command_lines(self):
        path = self.write(ECHO)
        for way, said in [("foo", "`>` is missing"), ("foo > e", "the source is not valid"), ("> e", "the source is not valid"),
                          ("1.2.3.4 > e", "the port is missing"), ("[fe80::1]:5 > e", "needs its interface"),
                          ("1.2.3.4:5 > x", "no such listener: `x`; the listeners are: e (127.0.0.1:7788)"),
                          ("1.2.3.4:5 >", "no such listener: ``"),
                          ("1.2.3.4:5 > 127.0.0.2:7788", "no such listener: `127.0.0.2:7788`"),
                          ("[::1]:5 > e", "no address of that family"), ("unix: > e", "no address of that family")]:
            self.assertIn(said, self.wrong(path, "--explain", way))
        for payload in ("hex:", "hex: 1", "hex: zz", "hex: 01,,02 0"):
            self.assertIn("`", self.wrong(path, "--explain", "1.2.3.4:5 > e", payload))
        self.assertIn("too many arguments", self.wrong(path, "--explain", "1.2.3.4:5 > e", "a", "b"))
        self.assertIn("exclude each other", self.wrong(path, "-t", "--explain", "1.2.3.4:5 > e"))
        self.assertEqual(self.run_it(path, "--explain").returncode, 64)

    def test_payloads_that_are_too_large(self):
        path = self.write(ECHO + "[listener:six]\naddress = [::1]:7788\naction = echo\nmax_datagram = 65527\n")
        for source, listener, most in [("127.0.0.2:4242", "e", 65507), ("[::2]:4242", "six", 65527)]:
            done = self.run_it(path, "--explain", f"{source} > {listener}", "-", stdin=b"x" * most)
            self.assertEqual((done.returncode, done.stdout[-17:]), (0, b"verdict: echoed\n".rjust(17)))
            done = self.run_it(path, "--explain", f"{source} > {listener}", "-", stdin=b"x" * (most + 1))
            self.assertEqual(done.returncode, 64)
            self.assertIn(f"at most {most} bytes".encode(), done.stderr)

    def test_a_wrong_configuration(self):
        done = self.run_it(self.write("[listener:e]\naddress = 127.0.0.1:7788\naction = ecko\n"), "--explain", "x")
        self.assertEqual((done.returncode, done.stdout), (78, b""))
        self.assertIn(b":3: [listener:e] action: `ecko` is not valid", done.stderr)

    def test_no_socket_is_bound(self):
        taken = self.udp()
        facts = self.facts(ECHO.replace("127.0.0.1:7788", at(taken)), "127.0.0.2:4242 > e", "x")
        self.assertEqual(facts[-1], "verdict: echoed")
        self.assert_nothing_waits(taken)

    def test_no_escape_gets_through(self):
        """This covers payloads, arguments and file names."""
        path = os.path.join(self.directory.name, "a\033[31mb.ini")
        with open(path, "w", encoding="utf-8") as file:
            file.write(ECHO + "[listener:u]\naddress = unix:/tmp/\u202e\naction = forward\npeers = p\nencoding = gbk\n"
                       "[peer:p]\naddress = unix:/tmp/\u202e2\nencoding = utf-8\n")
        evil = "\033[31m\x9b\u202e\x7f"
        for arguments in (["127.0.0.2:4242 > e", evil], ["unix:/\033 > u", evil], ["127.0.0.2:4242 > \033"],
                          ["\033 > e"], ["\033"], ["127.0.0.2:4242 > e", "hex: \033"], ["unix: > unix:/\033"]):
            done = self.run_it(path, "--explain", *arguments)
            said = (done.stdout + done.stderr).decode()
            self.assertNotRegex(said, "[\0-\x09\x0b-\x1f\x7f-\x9f\u202e]", arguments)
        self.assertIn(r"a\x1b[31mb.ini:1", self.explain(path, "127.0.0.2:4242 > e")[0])


class FactsTest(ExplainCase):
    def test_all_of_an_echo(self):
        path = self.write("; a comment\n[listener:e]\naddress = 127.0.0.1:7788\naction = echo\nallow = 10.0.0.0/8,\n"
                          "  127.0.0.0/8\ndeny = 127.0.0.9\nsource_limit = 5\nencoding = ascii, gbk\n")
        self.assertEqual(self.explain(path, "127.0.0.2:4242 > e", HELLO), [
            f"127.0.0.2:4242 > 127.0.0.1:7788, listener e (echo), {path}:2",
            "source: admitted by allow 127.0.0.0/8 (line 6)",
            "guard: passed: the source is a host, not one of our listeners (loop_guard, default), "
            "and its port is not refused (refuse_source_ports, default)",
            "source limit: 5 datagrams per second (source_limit, line 8), burst 5 (source_burst, default): "
            "further ones would be dropped:source_limit, except one in 32",
            "size: 11 bytes, of at most 65507 (max_datagram, default)",
            "ring guard: fast repetitions can be dropped:ring (ring_guard, default)",
            "encoding ascii: does not decode: wrong from byte 1: e4",
            'encoding gbk: decodes to "浣犲ソ, udp"',
            'log: gbk "浣犲ソ, udp", the first that decodes (encoding, line 9)',
            "reply: the same 11 bytes to 127.0.0.2:4242, from 127.0.0.1:7788",
            "verdict: echoed"])

    def test_keys_that_the_file_sets_have_their_line(self):
        facts = "\n".join(self.facts(RELAY + "loop_guard = on\nrefuse_source_ports = 9\nmax_datagram = 9\n"
                                     "source_limit = 9\nsource_burst = 8\nbalance = hash\nidle_timeout = 1500ms\n"
                                     "responses = 2\nmax_sessions = 3\nerrors = strict\ndeny = ::1\n" + PEERS,
                                     "127.0.0.2:4242 > r", "hex: ff"))
        for place in ("loop_guard, line 5", "refuse_source_ports, line 6", "max_datagram, line 7", "source_limit, line 8",
                      "source_burst, line 9", "balance, line 10", "1500ms without datagrams (idle_timeout, line 11",
                      "at most 2 for each datagram (responses, line 12", "max_sessions, line 13", "errors, line 14",
                      "deny, line 15", "peers, line 4", "peer q: 192.0.2.2:2 (line 19)"):
            self.assertIn(place, facts)
        self.assertIn('log: hex "ff", because no charset decodes it: errors = strict', facts)
        facts = "\n".join(self.facts(RELAY + PEERS, "127.0.0.2:4242 > r", "x"))
        for key in ("allow", "deny", "loop_guard", "refuse_source_ports", "source_limit", "max_datagram", "encoding",
                    "balance", "idle_timeout", "max_sessions", "responses"):
            self.assertIn(f"{key}, default", facts)

    def test_lists(self):
        lists = "deny = 127.0.1.0/24,\n 127.0.1.128/25\n"
        for source, extra, said in [
                ("127.0.1.1", "", "source: refused by deny 127.0.1.0/24 (line 4)"),
                ("127.0.1.129", "", "source: refused by deny 127.0.1.128/25 (line 5)"),
                ("127.0.2.1", "", "source: admitted: no prefix of deny matches (deny, line 4), and all others are allowed "
                 "(allow, default)"),
                ("127.0.2.1", "allow = 127.0.2.1\n", "source: admitted by allow 127.0.2.1/32 (line 6)"),
                ("127.0.3.1", "allow = 127.0.2.1\n", "source: refused: no prefix of allow matches (allow, line 6)")]:
            facts = self.facts(ECHO + lists + extra, f"{source}:4242 > e")
            self.assertEqual(facts[1], said)
            self.assertEqual(facts[-1], "verdict: " + ("dropped:source_denied" if "refused" in said else "echoed"))

    def test_the_ring_guard(self):
        forward = "[listener:f]\naddress = *:7788, unix:/tmp/f\naction = forward\npeers = p, q\n"
        usual = "ring guard: fast repetitions can be dropped:ring (ring_guard, default)"
        least = "hop limit: below 17 it would be dropped:hop_limit (ring_guard, default)"
        for source, to, said in [
                ("127.0.0.2:4242", "f", [usual, least]),
                ("192.0.2.2:4242", "f", [usual, least, "ring guard: 192.0.2.2:4242 is on the host of peer q: all ports of "
                                         "this host are one sender"]),
                ("127.0.0.2:4242", "239.1.2.3:7788", [usual, "hop limit: it has no meaning for groups, so the datagram is "
                                                      "sent on with 28 (ring_guard, default)"]),
                ("unix:/tmp/x", "unix:/tmp/f", [usual, "hop limit: unix: senders have none, so the datagram is sent on "
                                                "with 28 (ring_guard, default)"])]:
            facts = self.facts(forward + PEERS, f"{source} > {to}", "x")
            self.assertEqual([fact for fact in facts if re.match("(ring guard|hop limit):", fact)], said)
        for key in ("loop_guard", "ring_guard"):
            facts = self.facts(forward + f"{key} = off\n" + PEERS, "192.0.2.2:4242 > f", "x")
            self.assertEqual([fact for fact in facts if re.match("(ring guard|hop limit):", fact)],
                             [f"ring guard: off ({key}, line 5)"])

    def test_source_address_of_replies(self):
        everywhere = ECHO.replace("127.0.0.1:7788", "*:7788, 127.0.0.9:7789")
        for to, said in [("e", "the address that the datagram was sent to"), ("*:7788", "the address that the datagram "
                         "was sent to"), ("127.0.0.5:7788", "127.0.0.5:7788"), ("127.0.0.9:7789", "127.0.0.9:7789"),
                         ("239.1.2.3:7788", "an address that the kernel chooses")]:
            facts = self.facts(everywhere, f"127.0.0.2:4242 > {to}", "x")
            self.assertEqual(facts[-2], f"reply: the same 1 bytes to 127.0.0.2:4242, from {said}")
        facts = self.facts(everywhere, "[::2]:4242 > [::1]:7788", "x")
        self.assertEqual(facts[-2], "reply: the same 1 bytes to [::2]:4242, from [::1]:7788")

    def test_the_most_specific_address_applies(self):
        path = self.write("[listener:all]\naddress = *:7788\naction = sink\ninterface = eth0\n" + ECHO
                          + "interface = lo\n")
        self.assertIn("listener e (echo)", self.explain(path, "127.0.0.2:4242 > 127.0.0.1:7788")[0])
        self.assertIn("listener all (sink)", self.explain(path, "127.0.0.2:4242 > 127.0.0.2:7788")[0])

    def test_listeners_of_the_same_address_on_other_devices(self):
        path = self.write("[listener:a]\naddress = *:7788\naction = sink\ninterface = lo\n"
                          "[listener:b]\naddress = *:7788\naction = sink\ninterface = eth0\n")
        self.assertIn("listeners a and b both have this address", self.wrong(path, "--explain", "1.2.3.4:5 > *:7788"))
        self.assertEqual(self.verdict(path, "1.2.3.4:5 > b"), "sunk")

    def test_payloads_that_do_not_decode(self):
        for encoding, payload, said in [
                ("utf-8", "hex: 61 e4 bd", "does not decode: it ends inside a character that begins with byte 2: e4 bd"),
                ("utf-8", "hex: 61 62 ff 63", "does not decode: wrong from byte 3: ff"),
                ("utf-8", "hex: c4 e3", "does not decode: wrong from byte 1: c4 e3"),
                ("utf-16-le", "hex: 61", "does not decode: it ends inside a character that begins with byte 1: 61"),
                ("gbk", "hex: 61 62 ff 61 61", "does not decode: wrong from byte 3: ff 61"),
                ("hex", "hex: 61 ff", 'decodes to "61ff"')]:
            facts = self.facts(ECHO + f"encoding = {encoding}\n", "127.0.0.2:4242 > e", payload)
            self.assertIn(f"encoding {encoding}: {said}", facts)

    def test_the_log_record_in_the_report(self):
        for extra, said in [("log = none\n", "log: no record (log, line 4)"),
                            ("log = 1/7\n", "log: of 7 datagrams, one has a record (log, line 4)"),
                            ("[datagram_log]\ntarget = off\n", "log: no record: the datagram log is off (target)"),
                            ("[datagram_log]\npayload = 0\n", "log: a record without payload (payload = 0)"),
                            ("[datagram_log]\npayload = 3\n", "log: decodes the first 3 bytes"),
                            ("[datagram_log]\npayload = 3\n",
                             'log: utf-8 "你"…, the first that decodes (encoding, default)')]:
            self.assertIn(said, self.facts(ECHO + extra, "127.0.0.2:4242 > e", HELLO))

    def test_several_possible_peers(self):
        peers = PEERS + "[peer:s]\naddress = 192.0.2.3:3\nbackup = on\n"
        for balance, said in [("round-robin", "in turn"), ("random", "at random"), ("least-sessions", "fewest")]:
            facts = self.facts(RELAY.replace("q\n", "q, s\n") + f"balance = {balance}\n" + peers, "127.0.0.2:4242 > r")
            told = [fact for fact in facts if fact.startswith("balance: ")]
            self.assertRegex(told[0], rf"^balance: {balance} \(balance, line 5\): .*{said}.* "
                             r"p at 192\.0\.2\.1:1, q at 192\.0\.2\.2:2$")
            self.assertEqual(facts[-1], "verdict: relayed:p or relayed:q")
            facts = self.facts(RELAY.replace(", q", "") + f"balance = {balance}\n" + peers, "127.0.0.2:4242 > r")
            self.assertEqual(facts[-1], "verdict: relayed:p")

    def test_a_choice_with_drops(self):
        text = RELAY + "errors = strict\nbalance = random\n" + PEERS + "encoding = ascii\n"
        self.assertEqual(self.facts(text, "127.0.0.2:4242 > r", HELLO)[-1],
                         "verdict: relayed:p or dropped:unconvertible")
        text = text.replace("[peer:q]", "encoding = latin-1\n[peer:q]")
        self.assertEqual(self.facts(text, "127.0.0.2:4242 > r", HELLO)[-1], "verdict: dropped:unconvertible")

    def test_a_session_keeps_its_peer(self):
        facts = self.facts(RELAY + "balance = failover\n" + PEERS, "127.0.0.2:4242 > r")
        self.assertIn("balance: failover (balance, line 5): p at 192.0.2.1:1, the first peer that is up", facts)
        self.assertIn("session: a new one; an existing session of 127.0.0.2:4242 stays with its peer while the peer is up",
                      facts)

    UNKNOWN = ("guard: addresses with port 0 and fd:NAME become known at start: whether the source is one of them is "
               "not checked")

    def test_ports_that_the_kernel_chooses(self):
        facts = self.facts(ECHO.replace("7788", "0"), "127.0.0.2:4242 > e")
        self.assertIn(self.UNKNOWN, facts)
        facts = self.facts(ECHO.replace("7788", "0"), "127.0.0.1:0 > e")
        self.assertEqual(facts[-1], "verdict: dropped:source_port")

    def test_a_socket_from_systemd(self):
        if "systemd yes" not in self.run_it("-", "-V").stdout.decode():
            self.skipTest("built without systemd")
        for source in ("127.0.0.2:4242", "[::1]:4242", "unix:/run/x"):
            facts = self.facts(ECHO.replace("127.0.0.1:7788", "fd:echo"), source + " > e")
            self.assertEqual(facts[-1], "verdict: echoed")
            self.assertIn(self.UNKNOWN, facts)


class SameAsTheDaemonTest(ExplainCase):
    """Sends each datagram and compares the verdict, encoding and payload of its record with the report."""

    def serve_same(self, text):
        daemon = self.serve("[udprelayd]\nworkers = 1\n" + text)
        return daemon, daemon.path

    def port(self):
        with self.udp() as sock:
            return sock.getsockname()[1]

    def test_hash(self):
        peers = [self.udp() for _ in range(5)]
        extras = ["", "weight = 3", "", "backup = on", "encoding = utf-16"]
        port = self.port()
        text = config([at(peer) for peer in peers], address=f"127.0.0.1:{port}, [::1]:{port}", peer_extra=extras)
        daemon, _ = self.serve_same("[peer:unused]\naddress = 192.0.2.1:1\n" + text)
        seen = set()
        for i in range(2, 42):
            seen.add(self.compare(daemon, self.udp(f"127.0.0.{i}"), ("127.0.0.1", port), b"hello"))
        self.assertEqual(seen, {"relayed:p0", "relayed:p1", "relayed:p2", "relayed:p4"})
        self.compare(daemon, self.udp("::1"), ("::1", port), b"hello")
        daemon.end()

    def test_failover(self):
        peers = [self.udp() for _ in range(2)]
        port = self.port()
        daemon, _ = self.serve_same(config([at(peer) for peer in peers], "balance = failover\n",
                                           address=f"127.0.0.1:{port}", peer_extra=["backup = on", ""]))
        self.assertEqual(self.compare(daemon, self.udp(), ("127.0.0.1", port), b"hello"), "relayed:p1")
        daemon.end()

    def test_a_client_that_is_a_peer(self):
        peer, port = self.udp(), self.port()
        for guard, verdict in [("on", "dropped:loop"), ("off", "relayed:p0")]:
            daemon, _ = self.serve_same(config([at(peer)], f"loop_guard = {guard}\n", address=f"127.0.0.1:{port}"))
            self.assertEqual(self.compare(daemon, peer, ("127.0.0.1", port), b"hello"), verdict)
            daemon.end()

    def test_refusals_of_an_echo(self):
        refused, port = self.udp(), self.port()
        daemon, _ = self.serve_same(f"[listener:e]\naddress = *:{port}\naction = echo\nmax_datagram = 20\n"
                                    f"deny = 127.0.5.0/24\nallow = 127.0.0.0/16, ::1\n"
                                    f"refuse_source_ports = {refused.getsockname()[1]}\n")
        to = ("127.0.0.1", port)
        self.assertEqual(self.compare(daemon, refused, to, b"hello"), "dropped:source_port")
        seen = [self.compare(daemon, self.udp(host), to, b"hello")
                for host in ("127.0.0.1", "127.0.0.2", "127.0.5.1", "127.1.0.1")]
        self.assertEqual(seen, ["echoed", "echoed", "dropped:source_denied", "dropped:source_denied"])
        self.assertEqual(self.compare(daemon, self.udp("::1"), ("::1", port), b"hello"), "echoed")
        self.assertEqual(self.compare(daemon, self.udp(), to, b"x" * 20), "echoed")
        self.assertEqual(self.compare(daemon, self.udp(), to, b"x" * 21), "dropped:too_large")
        daemon.end()

    def test_default_ports_and_unlike_them(self):
        """The sources are a port below 1024 and the port of another echo listener."""
        low, port, other = None, self.port(), self.port()
        for number in range(700, 1024):
            try:
                low = self.udp("127.0.0.1", number)
                break
            except PermissionError:
                self.skipTest("ports below 1024 may not be bound here")
            except OSError:
                continue
        for extra, verdicts in [("", ["dropped:source_port"] * 2), ("refuse_source_ports = none\n", ["echoed"] * 2),
                                ("loop_guard = off\n", ["echoed"] * 2)]:
            daemon, _ = self.serve_same(f"[listener:e]\naddress = 127.0.0.1:{port}\naction = echo\n{extra}"
                                        f"[listener:f]\naddress = 127.0.0.7:{other}\naction = echo\n")
            with self.udp("127.0.0.8", other) as twin:
                self.assertEqual([self.compare(daemon, sock, ("127.0.0.1", port), b"hello") for sock in (low, twin)],
                                 verdicts)
            daemon.end()

    def test_unix(self):
        path, port = os.path.join(self.directory.name, "in"), self.port()
        peer = self.udp()
        for action, extra, verdicts in [
                ("echo", "", ["dropped:no_return", "echoed"]), ("sink", "", ["sunk", "sunk"]),
                ("relay", "peers = p\n", ["dropped:no_return", "relayed:p"]),
                ("relay", "peers = p\nresponses = 0\n", ["relayed:p", "relayed:p"])]:
            daemon, _ = self.serve_same(f"[listener:u]\naddress = unix:{path}\naction = {action}\n{extra}"
                                        f"[peer:p]\naddress = {at(peer)}\n")
            name = os.path.join(self.directory.name, f"out{port}")
            for bound, verdict in zip((None, name), verdicts):
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
                    if bound:
                        client.bind(bound)
                    self.assertEqual(self.compare(daemon, client, path, b"hello", f"unix:{bound or ''}"), verdict)
            os.unlink(name)
            daemon.end()

    def test_encodings(self):
        port = self.port()
        for encoding, errors, payloads in [
                ("utf-8", "backslashreplace", [HELLO.encode(), b"\xff\x1b", HELLO.encode()[:2]]),
                ("utf-8, gbk", "strict", [HELLO.encode(), HELLO.encode("gbk"), b"\xff\xff"]),
                ("ascii, shift_jis, hex", "replace", [b"hello", "日本語".encode("shift_jis"), b"\xff\xff"]),
                ("ascii, utf-16", "replace", ["日本語".encode("utf-16"), b"\xff", b"\xff\xfe\x00"]),
                ("big5", "ignore", ["中文".encode("big5"), b"a\xffb"]), ("hex", "strict", [b"", b"\0\xff"])]:
            daemon, _ = self.serve_same(f"[listener:e]\naddress = 127.0.0.1:{port}\naction = echo\n"
                                        f"encoding = {encoding}\nerrors = {errors}\n[datagram_log]\npayload = 12\n")
            for payload in payloads + [payload * 7 for payload in payloads]:
                self.assertEqual(self.compare(daemon, self.udp(), ("127.0.0.1", port), payload), "echoed")
            daemon.end()

    def test_forward(self):
        """The peers get exactly the reported bytes, and exactly the reported number of peers gets a copy."""
        peers, port = [self.udp() for _ in range(4)], self.port()
        encodings = ["", "encoding = utf-8", "encoding = utf-16", "encoding = latin-1"]
        for errors in ("strict", "replace"):
            sections = "".join(f"[peer:p{i}]\naddress = {at(peer)}\n{encoding}\n"
                               for i, (peer, encoding) in enumerate(zip(peers, encodings)))
            daemon, _ = self.serve_same(f"[listener:f]\naddress = 127.0.0.1:{port}\naction = forward\nencoding = gbk\n"
                                        f"peers = p0, p1, p2, p3\nerrors = {errors}\n{sections}")
            for payload in (HELLO.encode("gbk"), b"ascii", b"\xff\xff"):
                client = self.udp()
                verdict = self.compare(daemon, client, ("127.0.0.1", port), payload)
                facts = self.explain(daemon.path, f"{at(client)} > f", "hex: " + payload.hex())
                told = [fact for fact in facts if fact.startswith("peer p")]
                for peer, fact in zip(peers, told):
                    if "unconvertible" in fact:
                        continue
                    wanted = re.search(r", hex:((?: [0-9a-f]{2})*) \(", fact)
                    self.assertEqual(peer.recv(100), bytes.fromhex(wanted[1]) if wanted else payload, fact)
                lost = sum("unconvertible to" in fact for fact in told)
                self.assertEqual(verdict, f"forwarded:{4 - lost}/4")
                self.assertEqual(lost, 0 if errors == "replace" else {b"ascii": 0, b"\xff\xff": 3}.get(payload, 1))
            for peer in peers:
                self.assert_nothing_waits(peer)
            daemon.end()

    def test_payloads_that_cannot_be_converted(self):
        peer, port = self.udp(), self.port()
        for action in ("forward", "relay"):
            daemon, _ = self.serve_same(f"[listener:f]\naddress = 127.0.0.1:{port}\naction = {action}\npeers = p\n"
                                        f"errors = strict\n[peer:p]\naddress = {at(peer)}\nencoding = ascii\n")
            self.assertEqual(self.compare(daemon, self.udp(), ("127.0.0.1", port), HELLO.encode()),
                             "dropped:unconvertible")
            daemon.end()
            daemon, _ = self.serve_same(f"[listener:f]\naddress = 127.0.0.1:{port}\naction = {action}\npeers = p\n"
                                        f"[peer:p]\naddress = {at(peer)}\nencoding = utf-32\n")
            self.assertEqual(self.compare(daemon, self.udp(), ("127.0.0.1", port), b"x" * 20000), "dropped:too_large")
            daemon.end()


if __name__ == "__main__":
    harness.main()
