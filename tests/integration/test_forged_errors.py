"""Forged ICMP errors for the sessions of a relay: they do not end sessions of a peer that replies. The relay still
leaves a peer that is really gone."""
import time

import harness
from forged import Forger, needs_raw_sockets
from relay_peers import Echo, at, config

harness.in_namespace()
needs_raw_sockets()

CLIENTS = 100
SWEEPS = 4


def local_ports():
    """Returns the ports that the kernel gives to sessions. An attacker can send to all of them."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        first, last = map(int, file.read().split())
    return range(first, last + 1)


class RelayCase(harness.TestCase):
    def serve_relay(self, peer_extra=""):
        """Two peers; the clients use the second one only if the first one fails."""
        self.peers = [self.udp(), self.udp()]
        self.echoes = [Echo(self, peer) for peer in self.peers]
        self.daemon = self.serve(config([at(peer) for peer in self.peers], "log = none\nbalance = failover",
                                        peer_extra=peer_extra))
        self.address = self.daemon.address("a")
        self.forger = Forger(self)
        self.clients = [self.udp() for _ in range(CLIENTS)]

    def sweep(self, between=None):
        """Forges an error for each port that a session can have."""
        peer = self.peers[0].getsockname()
        for i, port in enumerate(local_ports()):
            self.forger.refuse(("127.0.0.1", port), peer)
            if between and i % 200 == 0:
                between()

    def ask_all(self, payload):
        for client in self.clients:
            self.assertEqual(self.ask(client, self.address, payload)[0], b"0:" + payload)

    def sessions(self, payload, peer=0):
        """Returns the sockets from which the peer got this payload."""
        return {session for said, session in self.echoes[peer].heard[0] if said == payload}


class SweepTest(RelayCase):
    def assert_same_sessions(self):
        kept = len(self.sessions(b"after") & self.sessions(b"before"))
        moved = len(self.sessions(b"after", 1))
        self.assertEqual((kept, moved), (CLIENTS, 0), f"sessions kept, moved to the other peer: {kept}, {moved}")

    def assert_untouched(self):
        """Every client still has the session that it began with."""
        self.ask_all(b"after")
        self.assert_same_sessions()
        counters = self.daemon.end()
        print(f"\n{self.id()}: icmp_errors={counters['peer p0']['icmp_errors']} "
              f"started={counters['relay a']['started']}")
        self.assertEqual(counters["relay a"]["started"], CLIENTS)
        self.assertEqual(counters["listener a"]["dropped"], 0)
        self.assertGreaterEqual(counters["peer p0"]["icmp_errors"], CLIENTS)

    def test_while_some_clients_talk(self):
        self.serve_relay()
        self.ask_all(b"before")
        turn = iter(range(10 ** 6))

        def talk():
            payload = b"%d" % next(turn)  # always another one: equal ones would look like a ring
            client = self.clients[int(payload) % 10]
            self.assertEqual(self.ask(client, self.address, payload)[0], b"0:" + payload)

        for _ in range(SWEEPS):
            self.sweep(talk)
        self.assert_untouched()

    def test_while_all_are_silent(self):
        """No datagram was sent that an error could belong to."""
        self.serve_relay("max_fails = 1")
        self.ask_all(b"before")
        time.sleep(1.1)  # so that the replies are not recent
        for _ in range(SWEEPS):
            self.sweep()
        self.assert_untouched()

    def test_before_the_replies(self):
        """The errors arrive while all clients wait for replies. The replies arrive later."""
        self.serve_relay("max_fails = 1")
        self.ask_all(b"before")
        self.echoes[0].stop()
        time.sleep(1.1)
        for client in self.clients:
            client.sendto(b"slow", self.address)
        asked = [self.peers[0].recvfrom(100) for _ in self.clients]
        self.sweep()
        for payload, session in asked:
            self.peers[0].sendto(b"0:" + payload, session)
        for client in self.clients:
            self.assertEqual(client.recv(100), b"0:slow")
        self.echoes[0] = Echo(self, self.peers[0])
        self.echoes[0].heard[0] += [(b"before", session) for _, session in asked]
        self.assert_untouched()


class KindsTest(harness.TestCase):
    """Every kind of error that the kernel reports to a socket. No datagram is lost, and the source port stays."""
    # Type, code and MTU: port, protocol, administratively prohibited, unknown host, too large, and a bad header.
    KINDS = [(3, 3), (3, 2), (3, 13), (3, 7), (3, 4, 552), (12, 0)]
    DATAGRAMS = 300
    ERRORS = 20  # while the daemon sends a datagram

    def flood(self, action, error):
        peer, client, forger = self.udp(), self.udp(), Forger(self)
        daemon = self.serve(f"[listener:a]\naddress = 127.0.0.1:0\naction = {action}\npeers = p0\nlog = none\n"
                            f"[peer:p0]\naddress = {at(peer)}\n")
        client.sendto(b"first", daemon.address("a"))
        _, session = peer.recvfrom(100)
        for i in range(self.DATAGRAMS):
            payload = b"%d" % i
            client.sendto(payload, daemon.address("a"))
            for _ in range(self.ERRORS):
                forger.refuse(session, peer.getsockname(), *error)
            self.assertEqual(peer.recvfrom(100), (payload, session), "lost, or from another port")
            if action == "relay":
                peer.sendto(payload, session)
                self.assertEqual(client.recv(100), payload)
        self.assertEqual(daemon.end()["listener a"]["dropped"], 0)

    def test_a_relay(self):
        for error in self.KINDS:
            with self.subTest(error):
                self.flood("relay", error)

    def test_a_forward(self):
        for error in self.KINDS:
            with self.subTest(error):
                self.flood("forward", error)


class CheckTest(harness.TestCase):
    def test_a_peer_without_replies(self):
        """The peer receives only, but it replies to checks. Forged errors for each datagram do not end the session."""
        peer, other, client, forger = self.udp(), self.udp(), self.udp(), Forger(self)
        daemon = self.serve(config([at(peer), at(other)], "log = none\nbalance = failover", peer_extra=(
            "max_fails = 1\ncheck = on\ncheck_send = ping\ncheck_expect = pong\ncheck_interval = 2s\n"
            "check_timeout = 500ms")))
        payload, probe = peer.recvfrom(100)
        peer.sendto(b"pong", probe)
        time.sleep(0.1)
        sources, end = set(), time.monotonic() + 5
        client.sendto(b"record", daemon.address("a"))
        while time.monotonic() < end:
            payload, source = peer.recvfrom(100)
            if payload == b"ping":
                peer.sendto(b"pong", source)
                continue
            sources.add(source)
            forger.refuse(source, peer.getsockname())
            time.sleep(0.02)
            client.sendto(b"record", daemon.address("a"))
        self.assertEqual(len(sources), 1)
        self.assertEqual(daemon.summary()["relay a"]["ended"], 0)
        daemon.end()

    def test_a_reply_after_a_forged_error(self):
        """The probe of a check has a port, too."""
        peer, forger = self.udp(), Forger(self)
        daemon = self.serve(config([at(peer)], "log = none", peer_extra=(
            "check = on\ncheck_send = ping\ncheck_expect = pong\ncheck_interval = 50ms\ncheck_timeout = 50ms\n"
            "check_fall = 2")))
        for _ in range(20):
            payload, probe = peer.recvfrom(100)
            self.assertEqual(payload, b"ping")
            forger.refuse(probe, peer.getsockname())
            peer.sendto(b"pong", probe)
        self.assertFalse([line for line in daemon.lines if "is down" in line])
        peer.close()
        daemon.await_line(r"peer p0: .* is down: refused \(ICMP\), 2 checks in a row")
        daemon.end()


class GoneTest(RelayCase):
    def time_until_left(self, keys, pause=0.0):
        """Ends the first peer while a client talks. Returns the time until the second one answers. pause: seconds
        between two datagrams, besides the wait for a reply."""
        self.serve_relay(keys)
        self.ask_all(b"before")
        client = self.clients[0]
        client.settimeout(0.02)
        self.echoes[0].stop()
        self.peers[0].close()
        begin = time.monotonic()
        while not self.sessions(b"anybody?", 1) and time.monotonic() < begin + harness.PATIENCE:
            client.sendto(b"anybody?", self.address)
            try:
                client.recv(100)
            except TimeoutError:
                time.sleep(pause)
        seconds = time.monotonic() - begin
        print(f"\n{self.id()}: left after {seconds:.2f} s")
        self.assertTrue(self.sessions(b"anybody?", 1), "nobody answers")
        self.daemon.await_line("peer p0: .* refuses datagrams: new sessions use other peers")
        self.daemon.end()
        return seconds

    def test_a_peer_that_is_gone(self):
        self.time_until_left("")

    def test_with_max_fails_1(self):
        self.time_until_left("max_fails = 1")

    def test_with_a_short_fail_timeout(self):
        self.time_until_left("fail_timeout = 2s")

    def test_a_slow_client(self):
        """It leaves with its third datagram."""
        self.assertLess(self.time_until_left("fail_timeout = 4s", pause=1.5), 4)

    def test_without_replies(self):
        """Only errors show the failure. They count one at a time, but still within fail_timeout."""
        self.peers = [self.udp(), self.udp()]
        daemon = self.serve(config([at(peer) for peer in self.peers],
                                   "log = none\nbalance = failover\nresponses = 0",
                                   peer_extra="fail_timeout = 3s"))
        client = self.udp()
        client.sendto(b"first", daemon.address("a"))
        self.assertEqual(self.peers[0].recv(100), b"first")
        self.peers[0].close()
        self.peers[1].settimeout(0.02)
        begin = time.monotonic()
        while time.monotonic() < begin + harness.PATIENCE:
            client.sendto(b"next", daemon.address("a"))
            try:
                self.peers[1].recv(100)
                break
            except TimeoutError:
                pass
        else:
            self.fail("the peer is never left")
        print(f"\n{self.id()}: left after {time.monotonic() - begin:.2f} s")
        daemon.end()


if __name__ == "__main__":
    harness.main()
