"""Forwarding: every peer gets a copy, and a slow or failed peer does not affect the others."""
import os
import re
import socket
import tempfile
import time

import harness


def config(peers, extra=""):
    sections = "".join(f"[peer:p{i}]\naddress = {address}\n" for i, address in enumerate(peers))
    names = ", ".join(f"p{i}" for i in range(len(peers)))
    return f"[listener:a]\naddress = 127.0.0.1:0\naction = forward\npeers = {names}\n{extra}\n{sections}"


def at(sock):
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class ForwardTest(harness.TestCase):
    def test_every_peer_gets_a_copy(self):
        peers = [self.udp(), self.udp("::1"), self.udp()]
        daemon = self.serve(config([at(peer) for peer in peers]))
        client = self.udp()
        for payload in (b"hello", b"", b"x" * 65507, b"end"):
            client.sendto(payload, daemon.address("a"))
            for peer in peers:
                self.assertEqual(peer.recv(65536), payload)
        self.assertEqual({r["verdict"] for r in daemon.records(4)}, {"forwarded:3/3"})
        counters = daemon.end()
        self.assertEqual(counters["listener a"]["forwarded"], 4)
        for i in range(3):
            self.assertEqual((counters[f"peer p{i}"]["sent"], counters[f"peer p{i}"]["bytes"]), (4, 65515))

    def test_peers_can_be_written_as_addresses(self):
        """The address is the name of the peer in counters. Two listeners share the peer."""
        peers = [self.udp(), self.udp("::1")]
        names = [at(peer) for peer in peers]
        daemon = self.serve(f"[listener:a]\naddress = 127.0.0.1:0\naction = forward\npeers = {', '.join(names)}\n"
                            f"[listener:b]\naddress = 127.0.0.1:0\naction = relay\npeers = {names[0]}\n")
        client = self.udp()
        client.sendto(b"copy", daemon.address("a"))
        self.assertEqual([peer.recv(100) for peer in peers], [b"copy"] * 2)
        client.sendto(b"query", daemon.address("b"))
        payload, session = peers[0].recvfrom(100)
        self.assertEqual(payload, b"query")
        peers[0].sendto(b"reply", session)
        self.assertEqual(client.recv(100), b"reply")
        self.assertEqual([r["verdict"] for r in daemon.records(3)],
                         ["forwarded:2/2", f"relayed:{names[0]}", f"answered:{names[0]}"])
        counters = daemon.end()
        self.assertEqual([counters[f"peer {name}"]["sent"] for name in names], [2, 1])

    def test_order_and_bursts(self):
        """Bursts become GSO sends. A peer gets each datagram, in order."""
        peer = self.udp()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        daemon = self.serve(config([at(peer)]))
        client = self.udp()
        for turn in range(20):
            sent = [b"%d/%d" % (turn, i) for i in range(60)]
            for payload in sent:
                client.sendto(payload, daemon.address("a"))
            self.assertEqual([peer.recv(100) for _ in sent], sent)
        daemon.end()

    def test_a_peer_that_is_down_does_not_affect_the_others(self):
        address = at(self.deaf())
        peers = [self.udp(), self.udp()]
        daemon = self.serve(config([at(peers[0]), address, at(peers[1])]))
        client = self.udp()
        for i in range(300):
            client.sendto(b"%d" % i, daemon.address("a"))
            for peer in peers:
                self.assertEqual(peer.recv(100), b"%d" % i)
        counters = daemon.end()
        self.assertEqual(counters["listener a"]["forwarded"], 300)
        for name in ("peer p0", "peer p2"):
            self.assertEqual((counters[name]["sent"], counters[name]["dropped"]), (300, 0))
        self.assertGreater(counters["peer p1"]["icmp_errors"], 0)
        self.assertEqual(counters["peer p1"]["handed"], 300)

    def test_errors_are_logged_at_a_bounded_rate(self):
        address = at(self.deaf())
        daemon = self.serve(config([address], "log = none"))
        client = self.udp()
        for _ in range(300):
            client.sendto(b"anybody?", daemon.address("a"))
            daemon.await_counter("listener a", "received", 1)
        daemon.end()
        self.assertIn(len([line for line in daemon.lines if re.search("warning: peer p0", line)]), range(1, 21))

    def test_the_refusal_of_a_single_datagram_is_logged(self):
        """No later send reports the ICMP error, so the daemon reads it at the end."""
        address = at(self.deaf())
        daemon = self.serve(config([address]))
        self.udp().sendto(b"anybody?", daemon.address("a"))
        daemon.records(1)
        self.assertEqual(daemon.end()["peer p0"]["icmp_errors"], 1)
        daemon.await_line(f"warning: peer p0: an earlier datagram to {address} was refused")

    def test_a_peer_comes_back(self):
        first = self.udp()
        address, port = at(first), first.getsockname()[1]
        first.close()
        daemon = self.serve(config([address]))
        client = self.udp()
        client.sendto(b"lost", daemon.address("a"))
        daemon.records(1)
        again = self.udp(port=port)
        client.sendto(b"found", daemon.address("a"))
        self.assertEqual(again.recv(100), b"found")
        daemon.end()

    def test_replies_of_peers_are_discarded(self):
        peer = self.udp()
        daemon = self.serve(config([at(peer)]))
        client = self.udp()
        for _ in range(3):
            client.sendto(b"question", daemon.address("a"))
            _, source = peer.recvfrom(100)
            peer.sendto(b"answer", source)
        counters = daemon.end()
        self.assert_nothing_waits(client)
        self.assertEqual((counters["listener a"]["received"], counters["peer p0"]["icmp_errors"]), (3, 0))

    def test_max_datagram(self):
        peer = self.udp()
        daemon = self.serve(config([at(peer)], "max_datagram = 5"))
        client = self.udp()
        client.sendto(b"123456", daemon.address("a"))
        client.sendto(b"12345", daemon.address("a"))
        self.assertEqual(peer.recv(100), b"12345")
        self.assertEqual(daemon.end()["listener a"]["too_large"], 1)


class UnixPeerTest(harness.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="udprelayd-unix-")
        self.addCleanup(self.directory.cleanup)
        self.path = os.path.join(self.directory.name, "peer")

    def receiver(self):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.settimeout(harness.PATIENCE)
        sock.bind(self.path)
        return sock

    def test_forward(self):
        receiver = self.receiver()
        daemon = self.serve(config([f"unix:{self.path}"]))
        for payload in (b"hello", b"", b"x" * 60000):
            self.udp().sendto(payload, daemon.address("a"))
            self.assertEqual(receiver.recv(65536), payload)
        daemon.end()

    def test_a_path_that_is_not_there_yet(self):
        other = self.udp()
        daemon = self.serve(config([f"unix:{self.path}", at(other)]))
        client = self.udp()
        client.sendto(b"early", daemon.address("a"))
        self.assertEqual(other.recv(100), b"early")
        self.assertEqual(daemon.records(1)[0]["verdict"], "forwarded:1/2")
        receiver = self.receiver()
        receiver.settimeout(0.05)
        for _ in range(200):  # the daemon tries again after a second
            client.sendto(b"late", daemon.address("a"))
            try:
                self.assertEqual(receiver.recv(100), b"late")
                break
            except socket.timeout:
                continue
        else:
            self.fail("the peer is never tried again")
        daemon.end()

    def test_a_receiver_that_does_not_read_delays_others_only_briefly(self):
        """Its queue fills: further datagrams are dropped and counted, and the other peer gets all datagrams."""
        self.receiver()
        other = self.udp()
        other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        daemon = self.serve(config([f"unix:{self.path}", at(other)]))
        client = self.udp()
        for i in range(2000):
            client.sendto(b"%d" % i, daemon.address("a"))
            self.assertEqual(other.recv(100), b"%d" % i)
        counters = daemon.end()
        self.assertEqual(counters["peer p1"]["sent"], 2000)
        self.assertGreater(counters["peer p0"]["congested"], 0)
        self.assertEqual(counters["listener a"]["forwarded"], 2000)

    def test_a_flood_for_a_receiver_that_does_not_read(self):
        """The flood is longer than the wait budget of a second. So the waiting begins again during the flood, which the
        other peers make too large for the daemon."""
        self.receiver()
        others = [self.udp() for _ in range(12)]
        daemon = self.serve(config([*map(at, others), f"unix:{self.path}"], "log = none"))
        client = self.udp()
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            client.sendto(b"flood", daemon.address("a"))
        counters = daemon.end()
        a, peer = counters["listener a"], counters["peer p12"]
        self.assertGreater(peer["congested"], 0)
        self.assertEqual(a["received"], a["forwarded"] + a["dropped"])
        self.assertEqual(peer["handed"], peer["sent"] + peer["dropped"])

    def test_our_own_socket_by_another_name(self):
        """A symbolic link leads to one of our listeners: datagrams would loop."""
        os.symlink(self.directory.name, os.path.join(self.directory.name, "link"))
        inside, around = (os.path.join(self.directory.name, path) for path in ("in", "link/in"))
        said = self.refused(f"[listener:a]\naddress = unix:{inside}\naction = forward\npeers = p\n"
                            f"[peer:p]\naddress = unix:{around}\n", 1)
        self.assertRegex(said, r":6: \[peer:p\] address: .* is one of our own listeners, .*: write the address of another program")
        said = self.refused(f"[listener:a]\naddress = unix:{inside}\naction = forward\npeers = 192.0.2.1:9,\n unix:{around}\n", 1)
        self.assertRegex(said, rf":5: \[listener:a\] peers: `unix:{around}` is one of our own listeners, .*: write the address")

    def test_a_slow_receiver_gets_everything(self):
        """While it is slow, reading pauses. All datagrams that were read arrive."""
        receiver = self.receiver()
        daemon = self.serve(config([f"unix:{self.path}"]))
        client = self.udp()
        for i in range(400):
            client.sendto(b"%d" % i, daemon.address("a"))
        for i in range(400):
            self.assertEqual(receiver.recv(100), b"%d" % i)
        self.assertEqual(daemon.end()["peer p0"]["dropped"], 0)


if __name__ == "__main__":
    harness.main()
