"""Forged datagrams and floods of them: the refusals of the guard, possible loops, and the counters.

The test runs in a network namespace where every IPv4 address has a route: replies to forged clients leave through near0
and are lost at its other end.

    near0 192.0.2.1/24, broadcast 192.0.2.255   far0, without a program
"""
import os
import random
import socket
import time

import harness
from forged import Forger, Tap, needs_raw_sockets
from relay_peers import Echo, at, config

harness.in_namespace()
needs_raw_sockets()

FLOOD = int(os.environ.get("FLOOD_SOURCES", "200000"))
SEED = 7788
ECHO = "[listener:a]\naddress = {}\naction = echo\n"

# A loop on loopback sends tens of thousands of datagrams in this time.
WINDOW = 2.0


def set_up_network():
    harness.ip("link", "add", "near0", "type", "veth", "peer", "name", "far0")
    for device in ("near0", "far0"):
        harness.ip("link", "set", device, "arp", "off", "up")
    harness.ip("address", "add", "192.0.2.1/24", "broadcast", "+", "dev", "near0")
    harness.ip("route", "add", "default", "dev", "near0")


def cpu_ticks(process):
    """Returns the user and system time of the process."""
    with open(f"/proc/{process.pid}/stat", encoding="utf-8") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def memory(process):
    """Returns the memory in kilobytes: {"VmRSS": …, "VmHWM": …, …}."""
    with open(f"/proc/{process.pid}/status", encoding="utf-8") as file:
        return {line.split(":")[0]: int(line.split()[1]) for line in file if line.startswith("Vm")}


class ForgedTest(harness.TestCase):
    def setUp(self):
        self.forger, self.tap = Forger(self), Tap(self)

    def assert_refused(self, daemon, port, reason, count, listener="a"):
        """Checks that all count forged datagrams are dropped for the reason, and that no datagram leaves the port."""
        daemon.await_counter(f"listener {listener}", "received", count)
        sent = self.tap.sent(port, WINDOW)
        self.assertEqual((len(sent), sent[:3]), (0, []))
        counters = daemon.summary()[f"listener {listener}"]
        self.assertEqual((counters["received"], counters.get(reason, 0)), (count, count), counters)

    def polite(self, daemon, to, listener="a"):
        """Checks that the daemon runs and replies to permitted clients."""
        client = self.udp(to[0])
        self.assert_echoes(client, to, b"polite")
        return daemon.end()[f"listener {listener}"]


class OwnAddressTest(ForgedTest):
    def test_from_the_listener_itself(self):
        daemon = self.serve(ECHO.format("127.0.0.1:0"))
        address = daemon.address("a")
        for _ in range(3):
            self.forger.send(address, address)
        self.assert_refused(daemon, address[1], "loop", 3)
        self.polite(daemon, address)

    def test_from_each_address_of_a_wildcard(self):
        """127.9.9.9 is local although no interface has it. The same applies to datagrams to a broadcast address."""
        daemon = self.serve(ECHO.format("0.0.0.0:0"))
        port = daemon.address("a")[1]
        hosts = ("127.0.0.1", "127.9.9.9", "192.0.2.1")
        for source in (*hosts, "192.0.2.255"):
            for to in hosts:
                self.forger.send((source, port), (to, port))
        self.assert_refused(daemon, port, "loop", 12)
        self.polite(daemon, ("192.0.2.1", port))

    def test_from_another_listener(self):
        daemon = self.serve(ECHO.format("127.0.0.1:0") + "[listener:b]\naddress = *:0\naction = echo\n")
        a, b = daemon.address("a"), daemon.address("b")
        self.forger.send(("127.0.0.1", b[1]), a)
        self.forger.send(("192.0.2.1", b[1]), a)
        self.assert_refused(daemon, a[1], "loop", 2)
        daemon.end()

    def test_over_ipv6(self):
        """The tap records only IPv4, so the counters show the result."""
        daemon = self.serve(ECHO.format("[::]:0"))
        port = daemon.address("a")[1]
        self.forger.send(("::1", port), ("::1", port))
        daemon.await_counter("listener a", "loop", 1)
        self.forger.send(("::1", 53), ("::1", port))
        daemon.await_counter("listener a", "source_port", 1)
        self.assert_echoes(self.udp("::1"), ("::1", port), b"polite")
        counters = daemon.end()["listener a"]
        self.assertEqual((counters["received"], counters["echoed"]), (3, 1))

    def test_a_relay_and_itself(self):
        peer = self.udp()
        Echo(self, peer)
        daemon = self.serve(config([at(peer)]))
        address = daemon.address("a")
        self.forger.send(address, address)
        self.assert_refused(daemon, address[1], "loop", 1)
        self.assertEqual(daemon.end()["relay a"]["started"], 0)

    def test_a_relay_and_its_peer(self):
        """A client with the forged address of a peer: replies would be relayed to the peer in an endless loop."""
        peers = [self.udp(), self.udp()]
        Echo(self, *peers)
        daemon = self.serve(config([at(peer) for peer in peers], "log = none"))
        address = daemon.address("a")
        for peer in peers:
            self.forger.send(peer.getsockname(), address)
        self.assert_refused(daemon, address[1], "loop", 2)
        client = self.udp()
        client.sendto(b"polite", address)
        self.assertIn(b":polite", client.recv(100))
        self.assertEqual(daemon.end()["relay a"]["started"], 1)

    def test_a_relay_and_its_own_session_socket(self):
        """A client with the forged address of a session's socket: the reply reaches no client, and the exchange
        ends."""
        peer, client = self.udp(), self.udp()
        echo = Echo(self, peer)
        daemon = self.serve(config([at(peer)]))
        address = daemon.address("a")
        client.sendto(b"first", address)
        client.recv(100)
        self.forger.send(echo.heard[0][0][1], address)
        self.assertEqual(len(self.tap.sent(address[1], WINDOW)), 2)
        self.assertEqual(daemon.end()["relay a"]["started"], 2)


class TwoDaemonsTest(ForgedTest):
    def set_on_each_other(self, ports, extra=""):
        """Runs two echo daemons, and forges one datagram from the first to the second. Returns the counters of both."""
        addresses = [("127.0.0.2", ports[0]), ("127.0.0.3", ports[1])]
        daemons = [self.serve(ECHO.format(at(address)) + extra) for address in addresses]
        self.forger.send(addresses[1], addresses[0])
        daemons[0].await_counter("listener a", "received", 1)
        begin, before = time.monotonic(), [cpu_ticks(daemon.process) for daemon in daemons]
        sent = [to for port in set(ports) for to in self.tap.sent(port, WINDOW / len(set(ports)))]
        seconds = time.monotonic() - begin
        self.assertLessEqual(len(sent), 1)
        for daemon, ticks in zip(daemons, before):
            share = (cpu_ticks(daemon.process) - ticks) / os.sysconf("SC_CLK_TCK") / seconds
            self.assertLess(share, 0.011, "two ticks of the clock are allowed for")
        for address in addresses:
            self.assert_echoes(self.udp(), address, b"polite")
        return [daemon.end()["listener a"] for daemon in daemons]

    def test_at_the_same_port(self):
        port = self.udp().getsockname()[1]
        one, other = self.set_on_each_other((port, port))
        self.assertEqual((one["received"], one["source_port"], other["received"]), (2, 1, 1))

    def test_at_ports_that_are_refused(self):
        ports = [self.udp().getsockname()[1] for _ in "12"]
        one, _ = self.set_on_each_other(ports, f"refuse_source_ports = {ports[0]}, {ports[1]}\n")
        self.assertEqual((one["received"], one["source_port"]), (2, 1))


class SourceTest(ForgedTest):
    def test_ports_of_services(self):
        daemon = self.serve(ECHO.format("192.0.2.1:0"))
        address = daemon.address("a")
        for port in (0, 7, 19, 53, 1023):
            self.forger.send(("198.51.100.7", port), address)
        self.assert_refused(daemon, address[1], "source_port", 5)
        self.forger.send(("198.51.100.7", 1024), address)
        self.assertEqual(self.tap.sent(address[1], harness.PATIENCE, 1), [(("198.51.100.7", 1024), b"forged")])
        self.polite(daemon, address)

    def test_addresses_that_belong_to_no_host(self):
        daemon = self.serve(ECHO.format("0.0.0.0:0"))
        port = daemon.address("a")[1]
        for host in ("224.0.0.1", "239.255.255.250", "255.255.255.255", "0.1.2.3", "240.0.0.1"):
            self.forger.send((host, 40000), ("192.0.2.1", port))
        self.forger.send_from("far0", ("0.0.0.0", 40000), ("255.255.255.255", port))
        self.assert_refused(daemon, port, "source_address", 6)
        self.polite(daemon, ("192.0.2.1", port))

    def test_the_same_of_a_relay(self):
        peer = self.udp()
        Echo(self, peer)
        daemon = self.serve(config([at(peer)], address="0.0.0.0:0"))
        port = daemon.address("a")[1]
        for host in ("224.0.0.1", "255.255.255.255", "0.1.2.3", "240.0.0.1"):
            self.forger.send((host, 40000), ("192.0.2.1", port))
        self.assert_refused(daemon, port, "source_address", 4)
        self.forger.send(("198.51.100.7", 0), ("192.0.2.1", port))
        daemon.await_counter("listener a", "source_port", 1)
        self.assertEqual(daemon.end()["relay a"]["started"], 0)

    def test_the_broadcast_address_of_an_interface(self):
        """The guard does not know the address. The kernel does not send to it, because the socket lacks
        SO_BROADCAST."""
        daemon = self.serve(ECHO.format("192.0.2.1:0"))
        address = daemon.address("a")
        self.forger.send(("192.0.2.255", 40000), address)
        self.assert_refused(daemon, address[1], "denied", 1)
        self.polite(daemon, address)


class AmplificationTest(ForgedTest):
    def test_a_peer_that_answers_ten_times(self):
        peer, victim = self.udp(), self.udp()
        daemon = self.serve(config([at(peer)], "responses = 1"))
        for turn in range(1, 21):
            self.forger.send(victim.getsockname(), daemon.address("a"), b"%d" % turn)
            _, session = peer.recvfrom(100)
            for i in range(10):
                peer.sendto(b"%d %d" % (turn, i), session)
            self.assertEqual(victim.recv(100), b"%d 0" % turn)
            daemon.await_counter("relay a", "ended", turn)
        self.assert_nothing_waits(victim)
        relay = daemon.end()["relay a"]
        self.assertEqual(relay["answered"], 20)
        self.assertEqual(relay["answers"] - 20, relay.get("unexpected", 0) + relay.get("session_ended", 0))


class FloodTest(ForgedTest):
    # Number of forged datagrams between two datagrams of a polite client, which waits for its reply. There is one
    # worker, so a reply shows that the socket's buffer, at least 208 KiB, is empty again.
    PIECE = 200
    ONE_WORKER = "[udprelayd]\nworkers = 1\n"

    # Limit of resident memory in kilobytes, for a thousand sessions and everything else in a flood.
    GROWTH = 8 << 10

    def sources(self):
        """Returns different sources, except those that the guard refuses; the port of an echo is among them."""
        choose, seen = random.Random(SEED), set()
        while len(seen) < FLOOD:
            net = choose.randrange(1, 224)
            if net not in (127, 192):
                seen.add((net << 24 | choose.getrandbits(24), choose.randrange(1024, 32768)))
        return [(socket.inet_ntoa(host.to_bytes(4, "big")), port) for host, port in sorted(seen, key=hash)]

    def flood(self, daemon, address, answer):
        """Returns the number of datagrams that the polite client sent. It loses at most one in a hundred, during the
        flood and after it."""
        client = self.udp("192.0.2.1")
        self.assertEqual(self.ask(client, address, b"first")[0], answer(b"first"))
        client.settimeout(1)
        before = memory(daemon.process)["VmRSS"]
        sources, asked, lost = self.sources(), 0, 0
        begin = time.monotonic()
        for i in range(0, FLOOD, self.PIECE):
            for source in sources[i:i + self.PIECE]:
                self.forger.send(source, address)
            asked += 1
            lost += not self.is_answered(client, address, b"%d" % asked, answer)
        print(f"{FLOOD} datagrams in {time.monotonic() - begin:.1f} s; lost of {asked} polite ones: {lost}")
        self.assertLessEqual(lost, asked / 100)
        self.check_memory(daemon, before)
        client.settimeout(harness.PATIENCE)
        self.assertEqual(self.ask(client, address, b"last")[0], answer(b"last"))
        return asked + 2

    def is_answered(self, client, address, payload, answer):
        """A late reply to an earlier datagram counts as lost."""
        client.sendto(payload, address)
        try:
            while client.recv(100) != answer(payload):
                pass
            return True
        except socket.timeout:
            return False

    def check_memory(self, daemon, before):
        now = memory(daemon.process)
        print(f"resident: {before} kB before, {now['VmRSS']} kB after, at most {now['VmHWM']} kB")
        if now["VmPeak"] < 1 << 32:  # the shadow memory of a sanitizer has terabytes
            self.assertLess(now["VmHWM"] - before, self.GROWTH)

    def books(self, daemon, sent):
        """Waits until the counters of the listener and the relay contain all sent datagrams: received, or dropped by
        the kernel."""
        end = time.monotonic() + harness.PATIENCE
        while True:
            counters = daemon.summary()["listener a"]
            if counters["received"] + counters["kernel_dropped"] >= sent or time.monotonic() > end:
                break
        counters = daemon.end()
        listener = counters["listener a"]
        self.assertEqual(listener["received"] + listener["kernel_dropped"], sent)
        self.assertEqual(listener["kernel_dropped"], 0)
        return listener, counters.get("relay a")

    def test_a_relay(self):
        """Every forged client gets a session, which replaces a session of another forged client."""
        peer = self.udp("192.0.2.1")
        Echo(self, peer)
        daemon = self.serve(self.ONE_WORKER
                            + config([at(peer)], "max_sessions = 1000\nlog = none", address="192.0.2.1:0"))
        asked = self.flood(daemon, daemon.address("a"), lambda payload: b"0:" + payload)
        listener, relay = self.books(daemon, FLOOD + asked)
        self.assertEqual((listener["relayed"], listener["dropped"]), (asked + FLOOD, 0))
        self.assertEqual(relay["started"], FLOOD + 1)

    def converse(self, client, address):
        """Makes a conversation of a session: the client sends again after a reply."""
        for payload in (b"one", b"two"):
            self.assertEqual(self.ask(client, address, payload)[0], b"0:" + payload)

    def flood_a_full_relay(self, workers):
        """Returns the number of new clients, and of new clients with a reply. All established clients must get a
        reply."""
        peer = self.udp("192.0.2.1")
        Echo(self, peer)
        daemon = self.serve(f"[udprelayd]\nworkers = {workers}\n"
                            + config([at(peer)], "max_sessions = 1000\nlog = none", address="192.0.2.1:0"))
        address = daemon.address("a")
        established = [self.udp("192.0.2.1") for _ in range(50)]
        for client in established:
            self.converse(client, address)
        sources = self.sources()[:40000]
        answered = new = 0
        for i in range(0, len(sources), self.PIECE):
            for source in sources[i:i + self.PIECE]:
                self.forger.send(source, address)
            client = established[i // self.PIECE % len(established)]
            self.assertEqual(self.ask(client, address, b"%d" % i)[0], b"0:%d" % i)
            fresh = self.udp("192.0.2.1")
            fresh.settimeout(1)
            new += 1
            answered += self.is_answered(fresh, address, b"new", lambda payload: b"0:" + payload)
            fresh.close()
        for client in established:
            self.assertEqual(self.ask(client, address, b"still")[0], b"0:still")
        counters = daemon.end()
        print(f"\n{workers} workers: {answered} of {new} new clients answered, {counters['relay a']}")
        self.assertEqual(counters["listener a"]["dropped"], counters["listener a"].get("session_limit", 0))
        return new, answered

    def test_a_relay_that_is_full(self):
        for workers in (1, 3):
            with self.subTest(workers=workers):
                new, answered = self.flood_a_full_relay(workers)
                self.assertGreaterEqual(answered, 0.9 * new)

    def test_one_source_with_many_ports(self):
        """The source gets its share of the sessions with any number of workers, and so do other sources. The datagrams
        may be forged in the name of an honest host: its clients still get sessions."""
        peer = self.udp("192.0.2.1")
        Echo(self, peer)
        daemon = self.serve("[udprelayd]\nworkers = 3\n"
                            + config([at(peer)], "max_sessions = 400\nlog = none", address="192.0.2.1:0"))
        address = daemon.address("a")
        established = self.udp("127.0.0.1")
        self.converse(established, address)
        for i in range(2000):
            self.forger.send(("127.0.0.1", 1024 + i), address)
            if i % 50 == 0:
                time.sleep(0.01)
        daemon.await_counter("listener a", "received", 2002)
        self.assertLessEqual(daemon.summary()["relay a"]["sessions"], 100)
        daemon.await_line(r"warning: listener a: the source of 127\.0\.0\.1:\d+ has 100 sessions "
                          r"\(source_sessions\); its new clients replace its sessions without a conversation")
        for _ in range(20):
            self.converse(self.udp("127.0.0.1"), address)
        self.converse(self.udp("192.0.2.1"), address)
        self.assertEqual(self.ask(established, address, b"still")[0], b"0:still")
        daemon.end()

    def test_conversations_of_one_source(self):
        """They are not replaced: further clients of the source are dropped."""
        peer = self.udp("192.0.2.1")
        Echo(self, peer)
        daemon = self.serve(config([at(peer)], "source_sessions = 5\nlog = none", address="192.0.2.1:0"))
        address = daemon.address("a")
        clients = [self.udp("192.0.2.1") for _ in range(5)]
        for client in clients:
            self.converse(client, address)
        self.udp("192.0.2.1").sendto(b"one more", address)
        daemon.await_counter("listener a", "source_sessions", 1)
        for client in clients:
            self.assertEqual(self.ask(client, address, b"still")[0], b"0:still")
        self.assertEqual(daemon.end()["relay a"]["started"], 5)

    def test_an_echo(self):
        daemon = self.serve(self.ONE_WORKER + ECHO.format("192.0.2.1:0") + "log = none\n")
        asked = self.flood(daemon, daemon.address("a"), lambda payload: payload)
        listener, _ = self.books(daemon, FLOOD + asked)
        self.assertEqual(listener["received"], listener["echoed"] + listener["dropped"])
        self.assertEqual(listener["dropped"], 0)

    def test_an_echo_from_its_own_address(self):
        """Only the guard drops datagrams, and the log is on: records may be dropped, but all datagrams are counted."""
        daemon = self.serve(self.ONE_WORKER + ECHO.format("192.0.2.1:0"))
        address = daemon.address("a")
        client = self.udp("192.0.2.1")
        for i in range(0, 20000, self.PIECE):
            for _ in range(self.PIECE):
                self.forger.send(address, address)
            self.assert_echoes(client, address, b"%d" % i)
        listener, _ = self.books(daemon, 20000 + 100)
        self.assertEqual((listener["loop"], listener["echoed"]), (20000, 100))


if __name__ == "__main__":
    set_up_network()
    harness.main()
