"""Loops on one host: each ends soon, and clients that repeat payloads lose few datagrams or none."""
import os
import signal
import socket
import threading
import time
import unittest

import harness

# A ring without the guard sends far more datagrams in this time than the limit with the guard.
ROUND_SECONDS = 1


def port_for_later(test):
    """Returns a port that is free now. No other part of the test binds it before its use."""
    sock = test.udp()
    port = sock.getsockname()[1]
    sock.close()
    return port


def forwarder(port, peers, more=""):
    """peers: ports of 127.0.0.1, or addresses with ports."""
    addresses = [peer if isinstance(peer, str) else f"127.0.0.1:{peer}" for peer in peers]
    return (f"[datagram_log]\ntarget = off\n[listener:a]\naddress = 127.0.0.1:{port}\naction = forward\n{more}\n"
            f"peers = {', '.join(f'p{i}' for i in range(len(peers)))}\n"
            + "".join(f"[peer:p{i}]\naddress = {address}\n" for i, address in enumerate(addresses)))


def listeners(ports, peers):
    """A listener at each of the ports, which forwards to all peers."""
    names = ", ".join(f"p{i}" for i in range(len(peers)))
    return ("[datagram_log]\ntarget = off\n"
            + "".join(f"[listener:l{i}]\naddress = 127.0.0.1:{port}\naction = forward\npeers = {names}\n"
                      for i, port in enumerate(ports))
            + "".join(f"[peer:p{i}]\naddress = 127.0.0.1:{port}\n" for i, port in enumerate(peers)))


def processor_seconds(daemon):
    """Returns the CPU time of all threads."""
    nanoseconds = 0
    for thread in os.listdir(f"/proc/{daemon.process.pid}/task"):
        with open(f"/proc/{daemon.process.pid}/task/{thread}/schedstat", encoding="ascii") as file:
            nanoseconds += int(file.read().split()[0])
    return nanoseconds / 1e9


class RingCase(harness.TestCase):
    def received(self, daemon):
        return daemon.summary()["listener a"]["received"]

    def await_silence(self, daemons):
        """Waits until no datagram was received for a while. Returns the number that each daemon has received."""
        end = time.monotonic() + harness.PATIENCE
        before = None
        while (now := [self.received(daemon) for daemon in daemons]) != before:
            if time.monotonic() > end:
                self.fail(f"it goes on and on: {before}, {now}")
            before = now
            time.sleep(0.3)
        return now

    def assert_goes_round(self, daemon):
        before = self.received(daemon)
        time.sleep(ROUND_SECONDS)
        self.assertGreater(self.received(daemon), before + 1000)

    def assert_at_rest(self, daemons):
        """Checks that the process uses less than 1 % of a CPU two seconds later."""
        before = [processor_seconds(daemon) for daemon in daemons]
        time.sleep(ROUND_SECONDS)
        for daemon, seconds in zip(daemons, before):
            self.assertLess(processor_seconds(daemon) - seconds, 0.01 * ROUND_SECONDS)


class ForwarderTest(RingCase):
    def ring(self, size=2, more="", workers=1, sink=None):
        """Daemons that forward to the next one in a ring. The first one also forwards to a sink."""
        ports = [port_for_later(self) for _ in range(size)]
        daemons = []
        for i, port in enumerate(ports):
            peers = [ports[(i + 1) % size]] + ([sink] if sink and not i else [])
            daemons.append(self.serve(f"[udprelayd]\nworkers = {workers}\n" + forwarder(port, peers, more)))
        return daemons

    def test_without_the_guard(self):
        """The ring of the other tests is endless without the guard."""
        daemon, other = self.ring(more="ring_guard = off")
        client = self.udp()
        for i in range(10):
            client.sendto(b"round %d" % i, daemon.address("a"))
        self.assert_goes_round(daemon)
        other.end()

    def assert_is_cut(self, daemons, client, payloads):
        """Each datagram circulates only a few times."""
        for payload in payloads:
            client.sendto(payload, daemons[0].address("a"))
        received = self.await_silence(daemons)
        self.assertLessEqual(sum(received), 9 * len(payloads))
        self.assert_at_rest(daemons)
        counters = [daemon.end()["listener a"] for daemon in daemons]
        self.assertEqual(sum(c.get("hop_limit", 0) + c.get("ring", 0) for c in counters), len(payloads))

    def test_one_datagram(self):
        self.assert_is_cut(self.ring(), self.udp(), [b"round"])

    def test_many(self):
        self.assert_is_cut(self.ring(), self.udp(), [b"round %d" % i for i in range(200)])

    def test_many_that_are_the_same(self):
        self.assert_is_cut(self.ring(), self.udp(), [b"tick"] * 200)

    def test_empty_ones(self):
        self.assert_is_cut(self.ring(), self.udp(), [b""] * 20)

    def test_several_workers(self):
        self.assert_is_cut(self.ring(workers=3), self.udp(), [b"round %d" % i for i in range(200)])

    def test_three_on_one_host(self):
        self.assert_is_cut(self.ring(size=3), self.udp(), [b"round %d" % i for i in range(50)])

    def test_others_get_everything_meanwhile(self):
        """A peer outside the ring gets all datagrams of the client."""
        sink, client = self.udp(), self.udp()
        daemons = self.ring(sink=sink.getsockname()[1])
        expected = [b"round %d" % i for i in range(100)]
        for payload in expected:
            client.sendto(payload, daemons[0].address("a"))
        got = set()
        while len(got) < len(expected):
            got.add(sink.recv(100))
        self.assertEqual(got, set(expected))


class ForeignSender(threading.Thread):
    """A forwarder of another program, which gives each datagram a new hop limit."""

    def __init__(self, test, host, to=None, fresh_ports=False):
        super().__init__()
        self.sock = test.udp(host=host)
        self.sock.settimeout(0.1)
        self.address = self.sock.getsockname()
        self.to = to
        self.fresh_ports = fresh_ports
        self.ended = False
        test.addCleanup(self.end)

    def send(self, payload):
        if not self.fresh_ports:
            self.sock.sendto(payload, self.to)
            return
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((self.address[0], 0))
            sock.sendto(payload, self.to)

    def run(self):
        while not self.ended:
            try:
                self.send(self.sock.recv(65536))
            except (TimeoutError, ConnectionRefusedError):
                pass

    def end(self):
        self.ended = True
        if self.is_alive():
            self.join()
        self.sock.close()


class ForeignTest(RingCase):
    """Loops through programs that give each datagram a new hop limit: the repetitions end them."""

    def assert_ends(self, hosts, fresh_ports=False):
        """Starts a loop of the daemon and foreign programs at these hosts."""
        senders = [ForeignSender(self, host, fresh_ports=fresh_ports) for host in hosts]
        daemon = self.serve(forwarder(0, [f"{senders[0].address[0]}:{senders[0].address[1]}"]))
        for sender, following in zip(senders, senders[1:]):
            sender.to = following.address
        senders[-1].to = daemon.address("a")
        for sender in senders:
            sender.start()
        client = self.udp()
        for i in range(20):
            client.sendto(b"round %d" % i, daemon.address("a"))
        self.assertLessEqual(sum(self.await_silence([daemon])), 256 * 20)
        self.assertEqual(daemon.end()["listener a"]["ring"], 20)

    def test_the_last_one_is_not_a_peer(self):
        self.assert_ends(["127.0.0.2", "127.0.0.3"])

    def test_a_new_port_for_each_datagram(self):
        self.assert_ends(["127.0.0.2"], fresh_ports=True)


class FanOutTest(RingCase):
    """Copies of copies. All forwards together send at most 256 datagrams for each one."""

    def two_daemons(self, first_count, second_count):
        """Two daemons with several listeners. Each listener forwards to all listeners of the other daemon."""
        first = [port_for_later(self) for _ in range(first_count)]
        second = [port_for_later(self) for _ in range(second_count)]
        return first[0], [self.serve(listeners(first, second)), self.serve(listeners(second, first))]

    def test_different_numbers_of_peers(self):
        for counts in ((1, 5), (1, 15), (3, 15), (2, 2)):
            with self.subTest(counts=counts):
                port, daemons = self.two_daemons(*counts)
                client = self.udp()
                for i in range(5):
                    client.sendto(b"round %d" % i, ("127.0.0.1", port))
                while not sum(self.received(daemon) for daemon in daemons):
                    pass
                self.await_silence(daemons)
                sent = sum(count["sent"] for daemon in daemons for name, count in daemon.end().items()
                           if name.startswith("peer "))
                self.assertLessEqual(sent, 256 * 5)
                self.assertGreater(sent, 5)

    def received(self, daemon):
        return sum(count["received"] for name, count in daemon.summary().items() if name.startswith("listener "))

    def test_two_large_forwards_in_sequence(self):
        """The first one has 15 peers. One of them is a forward with 15 peers, too."""
        sinks = [self.udp() for _ in range(29)]
        ports = [sink.getsockname()[1] for sink in sinks]
        second = self.serve(forwarder(0, ports[:15]))
        first = self.serve(forwarder(0, [second.address("a")[1]] + ports[15:]))
        self.udp().sendto(b"all", first.address("a"))
        for sink in sinks:
            self.assertEqual(sink.recv(100), b"all")


class HonestTest(RingCase):
    """Clients of a forward that repeat a payload."""

    def setUp(self):
        self.sink = self.udp()
        self.sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.daemon = self.serve(forwarder(0, [self.sink.getsockname()[1]]))

    def assert_all_forwarded(self, count):
        for _ in range(count):
            self.sink.recv(100)
        self.assertEqual(self.daemon.end()["listener a"]["forwarded"], count)

    def test_a_client_that_repeats_itself(self):
        """It loses at most 0.5 %."""
        client = self.udp()
        for _ in range(4000):
            client.sendto(b"requests:1|c", self.daemon.address("a"))
        self.daemon.await_counter("listener a", "received", 4000)
        counters = self.daemon.end()["listener a"]
        self.assertEqual(counters["forwarded"] + counters.get("ring", 0), 4000)
        self.assertLessEqual(counters.get("ring", 0), 4000 // 144)

    def test_a_client_whose_datagrams_differ(self):
        client = self.udp()
        for i in range(3000):
            client.sendto(b"requests:%d|c" % i, self.daemon.address("a"))
        self.assert_all_forwarded(3000)

    def test_a_new_client_each_time(self):
        """They are not on the host of a peer, whose ports are one sender."""
        for _ in range(500):
            client = self.udp(host="127.0.0.2")
            client.sendto(b"requests:1|c", self.daemon.address("a"))
            client.close()
        self.assert_all_forwarded(500)


class EchoTest(RingCase):
    def echoes(self, more=""):
        """Starts two echo daemons that exchange datagrams: the first one replied to a client whose port now belongs to
        the second one."""
        port = port_for_later(self)
        config = "[datagram_log]\ntarget = off\n[listener:a]\naction = echo\n" + more + "\naddress = 127.0.0.1:"
        first = self.serve(config + "0")
        first.pause()
        client = self.udp(port=port)
        for i in range(10):
            client.sendto(b"back and forth %d" % i, first.address("a"))
        client.close()
        second = self.serve(config + str(port))
        first.send_signal(signal.SIGCONT)
        return first, second

    def test_without_the_guard(self):
        first, second = self.echoes("ring_guard = off")
        self.assert_goes_round(first)
        second.end()

    def test_two_echoes_that_reply_to_each_other(self):
        daemons = self.echoes()
        received = self.await_silence(daemons)
        self.assertLess(sum(received), 10 * 330)
        self.assert_at_rest(daemons)
        counters = [daemon.end()["listener a"] for daemon in daemons]
        self.assertEqual(sum(c.get("ring", 0) for c in counters), 10)
        self.assertTrue(any("repeat as in a loop" in line
                            for daemon in daemons for line in daemon.lines))

    def test_a_client_that_repeats_itself(self):
        daemon = self.serve("[datagram_log]\ntarget = off\n[listener:a]\naddress = 127.0.0.1:0\naction = echo\n")
        client = self.udp()
        client.settimeout(1)
        lost = 0
        for _ in range(3000):
            client.sendto(b"hello", daemon.address("a"))
            try:
                client.recv(100)
            except TimeoutError:
                lost += 1
        self.assertLessEqual(lost, 3000 // 144)
        self.assertEqual(daemon.end()["listener a"].get("ring", 0), lost)


if __name__ == "__main__":
    unittest.main()
