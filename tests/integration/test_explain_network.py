"""--explain in a separate network namespace: peers with names, and forged sources."""
import harness
from explained import ExplainCase
from forged import Forger, needs_raw_sockets
from relay_peers import at, config
from resolver_files import names

harness.in_namespace("mount")
needs_raw_sockets()


class NamesTest(ExplainCase):
    def setUp(self):
        super().setUp()
        names("127.0.0.9 one.test\n127.0.0.10 two.test\n127.0.0.11 two.test\n255.255.255.255 all.test\n")

    def relay(self, extra=""):
        """A relay with two names that have three addresses together."""
        peers = [self.udp("127.0.0.9")]
        port = peers[0].getsockname()[1]
        peers += [self.udp(host, port) for host in ("127.0.0.10", "127.0.0.11")]
        return config([f"one.test:{port}", f"two.test:{port}"], extra, address="127.0.0.1:7788"), port

    def test_hash_over_all_addresses(self):
        text, port = self.relay()
        daemon = self.serve("[udprelayd]\nworkers = 1\n" + text)
        daemon.await_line(r"peer p0: one\.test is 127\.0\.0\.9:")
        daemon.await_line(r"peer p1: two\.test is 127\.0\.0\.10:\d+, 127\.0\.0\.11:")
        found = set()
        daemon.await_that(lambda: self.choose(daemon, found) == {"relayed:p0", "relayed:p1"}, "a name stays unknown")
        seen = {self.compare(daemon, self.udp(f"127.0.0.{i}"), ("127.0.0.1", 7788), b"hello") for i in range(20, 50)}
        self.assertEqual(seen, {"relayed:p0", "relayed:p1"})
        facts = self.explain(daemon.path, "127.0.0.1:5 > a")
        self.assertIn("balance: a name counts as all of its addresses; they may change", facts)
        self.assertTrue(any(fact.startswith(f"peer p1: two.test:{port} is now 127.0.0.10:{port}, 127.0.0.11:{port} (")
                            for fact in facts), facts)
        daemon.end()

    def choose(self, daemon, found):
        """Waits until the worker uses both names, which may be a moment after the log reports them. The choice for few
        sources depends on the ports of the peers."""
        for i in range(100, 200):
            with self.udp(f"127.0.0.{i}") as sock:
                sock.sendto(b"?", ("127.0.0.1", 7788))
                found.add(self.told(daemon, at(sock))["verdict"])
        return found - {"dropped:unresolved"}

    def test_a_forward_uses_the_first(self):
        facts = self.facts("[listener:f]\naddress = 127.0.0.1:7788\naction = forward\npeers = p\n"
                           "[peer:p]\naddress = two.test:9\n", "127.0.0.1:5 > f")
        self.assertIn("peer p: two.test:9 is now 127.0.0.10:9, 127.0.0.11:9; the first one is used (line 6), "
                      "payload unchanged (encoding, default)", facts)
        self.assertEqual(facts[-1], "verdict: forwarded:1/1")

    def test_a_name_that_is_unknown(self):
        for action in ("forward", "relay"):
            facts = self.facts(f"[listener:f]\naddress = 127.0.0.1:7788\naction = {action}\npeers = p\n"
                               "[peer:p]\naddress = nobody.test:9\n", "127.0.0.1:5 > f", "x")
            self.assertRegex("\n".join(facts), r"peer p: nobody\.test:9 has no address now \(.*\) \(line 6\), unresolved")
            self.assertEqual(facts[-1], "verdict: dropped:unresolved")

    def test_a_name_without_a_host_address(self):
        for action in ("forward", "relay"):
            facts = self.facts(f"[listener:f]\naddress = 127.0.0.1:7788\naction = {action}\npeers = p\n"
                               "[peer:p]\naddress = all.test:9\n", "127.0.0.1:5 > f", "x")
            self.assertIn("peer p: all.test:9 has no address now (255.255.255.255:9 is a broadcast address) (line 6), "
                          "no_address", facts)
            self.assertEqual(facts[-1], "verdict: dropped:no_address")

    def test_a_name_with_our_own_address(self):
        for action in ("forward", "relay"):
            facts = self.facts(f"[listener:f]\naddress = *:7788\naction = {action}\npeers = p\n"
                               "[peer:p]\naddress = one.test:7788\n", "127.0.0.1:5 > f", "x")
            self.assertEqual(facts[-1], "verdict: dropped:loop")


class ForgedTest(ExplainCase):
    SOURCES = [("127.0.0.1", 7788, "dropped:loop"), ("127.0.0.3", 7788, "dropped:loop"),
               ("127.0.0.3", 0, "dropped:source_port"), ("127.0.0.3", 40000, None), ("::1", 7788, "dropped:loop"),
               ("::1", 0, "dropped:source_port"), ("192.0.2.1", 7788, "dropped:loop")]

    def test_sources(self):
        forger = Forger(self)
        harness.ip("link", "add", "near0", "type", "veth", "peer", "name", "far0")
        self.addCleanup(harness.ip, "link", "delete", "near0")
        harness.ip("link", "set", "near0", "up")
        harness.ip("address", "add", "192.0.2.1/24", "broadcast", "+", "dev", "near0")
        for action, verdict in [("echo", "echoed"), ("sink", None)]:
            daemon = self.serve(f"[listener:e]\naddress = *:7788\naction = {action}\n"
                                "refuse_source_ports = none\n")
            for host, port, refusal in self.SOURCES:
                self.send(daemon, forger, (host, port), verdict and (refusal or verdict))
            daemon.end()

    def send(self, daemon, forger, source, verdict):
        to = ("::1" if ":" in source[0] else "127.0.0.1", 7788)
        said = self.compare(daemon, None, to, b"forged", at(source), lambda payload, _: forger.send(source, to, payload))
        self.assertEqual(said, verdict or "sunk")

    def test_sources_that_no_kernel_lets_through(self):
        path = self.write("[listener:e]\naddress = *:7788\naction = echo\nloop_guard = on\n")
        for source in ("0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255", "[::]", "[ff02::1]", "[::ffff:1.2.3.4]"):
            facts = self.explain(path, f"{source}:4242 > e", "x")
            self.assertIn(f"guard: refused: {source}:4242 is not the address of a host (loop_guard, line 4)", facts)
            self.assertEqual(facts[-1], "verdict: dropped:source_address")


if __name__ == "__main__":
    harness.main()
