"""Peers with names: looked up in the background at intervals, without delay for datagrams. The test provides the
resolver's files."""
import socket

import harness
from resolver_files import names, resolver_file

harness.in_namespace("mount")


def several(*addresses):
    """Writes a hosts file in which one name has all addresses, in the order of the lines."""
    return "127.0.0.1 localhost\n" + "".join(f"{address} receiver.test\n" for address in addresses)


class ResolveTest(harness.TestCase):
    def setUp(self):
        names("127.0.0.9 receiver.test\n")

    def serve_peers(self, *names, extra=""):
        sections = "".join(f"[peer:p{i}]\naddress = {name}\n{extra}\n" for i, name in enumerate(names))
        peers = ", ".join(f"p{i}" for i in range(len(names)))
        return self.serve(f"[listener:a]\naddress = 127.0.0.1:0\naction = forward\npeers = {peers}\n{sections}")

    def test_a_name(self):
        receiver = self.udp("127.0.0.9")
        port = receiver.getsockname()[1]
        daemon = self.serve_peers(f"receiver.test:{port}")
        daemon.await_line(rf"peer p0: receiver\.test is 127\.0\.0\.9:{port}")
        client = self.udp()
        daemon.await_that(lambda: self.arrives(client, daemon, receiver), "nothing arrives")
        daemon.end()

    def arrives(self, client, daemon, receiver):
        client.sendto(b"hello", daemon.address("a"))
        receiver.settimeout(0.1)
        try:
            return receiver.recv(100) == b"hello"
        except socket.timeout:
            return False

    def test_an_unknown_name_does_not_affect_the_others(self):
        receiver = self.udp("127.0.0.9")
        # No server runs at 127.0.0.53: each look-up fails at once.
        daemon = self.serve_peers("unknown.test:1", f"127.0.0.9:{receiver.getsockname()[1]}")
        daemon.await_line(r"warning: peer p0: cannot resolve unknown\.test: ")
        client = self.udp()
        for i in range(100):
            client.sendto(b"%d" % i, daemon.address("a"))
            self.assertEqual(receiver.recv(100), b"%d" % i)
        counters = daemon.end()
        self.assertEqual(counters["peer p0"]["unresolved"], 100)
        self.assertEqual((counters["peer p1"]["sent"], counters["listener a"]["forwarded"]), (100, 100))

    def test_a_name_of_no_host(self):
        """Broadcast, multicast and 0/8 addresses: the owner of the name could reach all hosts, or this host."""
        client = self.udp()
        self.addCleanup(names, "127.0.0.9 receiver.test\n")
        for address in ("255.255.255.255", "127.255.255.255", "0.1.2.3", "0.0.0.0", "239.1.2.3", "ff05::1"):
            for action in "forward", "relay":
                with self.subTest(address=address, action=action):
                    names(f"{address} none.test\n")
                    daemon = self.serve(f"[listener:a]\naddress = 127.0.0.1:0\naction = {action}\npeers = b\n"
                                        "[peer:b]\naddress = none.test:7799\n")
                    daemon.await_line(r"warning: peer b: cannot resolve none\.test: \S+:7799 is (a broadcast address|not the "
                                      r"address of a host|a multicast group); datagrams for it are dropped; the look-up is repeated")

                    def dropped():
                        client.sendto(b"to all", daemon.address("a"))
                        return [record for record in daemon.records() if record["verdict"] == "dropped:no_address"]
                    daemon.await_that(dropped, "no drop")
                    where = "peer b" if action == "forward" else "listener a"
                    self.assertGreaterEqual(daemon.end()[where]["no_address"], 1)

    def test_a_name_that_gets_the_address_of_a_host(self):
        """The broadcast address in the same reply is not used."""
        receiver = self.udp("127.0.0.9")
        port = receiver.getsockname()[1]
        names("255.255.255.255 receiver.test\n")
        daemon = self.serve_peers(f"receiver.test:{port}", extra="resolve_interval = 1s")
        daemon.await_line(r"cannot resolve receiver\.test: 255\.255\.255\.255")
        resolver_file("hosts", several("255.255.255.255", "127.0.0.9"))
        daemon.await_line(rf"info: peer p0: receiver\.test is 127\.0\.0\.9:{port}$")
        daemon.await_line(rf"warning: peer p0: receiver\.test is also 255\.255\.255\.255:{port}, a broadcast address: it is not")
        client = self.udp()
        daemon.await_that(lambda: self.arrives(client, daemon, receiver), "nothing arrives")
        names("255.255.255.255 receiver.test\n")  # the last address stays in use, as after any failure
        daemon.await_line(r"cannot resolve receiver\.test: \S+ is a broadcast address; its previous address stays in use")
        self.assertTrue(self.arrives(client, daemon, receiver))
        daemon.end()

    def test_a_name_becomes_known(self):
        daemon = self.serve_peers("late.test:7799")
        daemon.await_line(r"cannot resolve late\.test")
        resolver_file("hosts", "127.0.0.8 late.test\n")
        daemon.await_line(r"peer p0: late\.test is 127\.0\.0\.8:7799")
        daemon.end()

    def test_a_name_that_moves(self):
        old = self.udp("127.0.0.9")
        port = old.getsockname()[1]
        new = self.udp("127.0.0.10", port)
        daemon = self.serve_peers(f"receiver.test:{port}", extra="resolve_interval = 1s")
        client = self.udp()
        daemon.await_that(lambda: self.arrives(client, daemon, old), "nothing arrives")
        resolver_file("hosts", "127.0.0.10 receiver.test\n")
        daemon.await_line(rf"peer p0: receiver\.test is 127\.0\.0\.10:{port}")
        daemon.await_that(lambda: self.arrives(client, daemon, new), "nothing arrives at the new address")
        daemon.end()

    def test_a_name_with_several_addresses(self):
        """All addresses are found, each once. Datagrams are forwarded to the first."""
        first = self.udp("127.0.0.9")
        port = first.getsockname()[1]
        others = [self.udp("127.0.0.10", port), self.udp("127.0.0.11", port)]
        resolver_file("hosts", several("127.0.0.9", "127.0.0.10", "127.0.0.9", "127.0.0.11", "127.0.0.10"))
        daemon = self.serve_peers(f"receiver.test:{port}")
        daemon.await_line(rf"info: peer p0: receiver\.test is 127\.0\.0\.9:{port}, 127\.0\.0\.10:{port}, "
                          rf"127\.0\.0\.11:{port}$")
        client = self.udp()
        daemon.await_that(lambda: self.arrives(client, daemon, first), "nothing arrives")
        counters = daemon.end()
        for other in others:
            self.assert_nothing_waits(other)
        self.assertGreaterEqual(counters["peer p0"]["sent"], 1)

    def test_an_address_stays_in_use_while_it_is_in_the_reply(self):
        first = self.udp("127.0.0.9")
        port = first.getsockname()[1]
        second = self.udp("127.0.0.10", port)
        resolver_file("hosts", several("127.0.0.9", "127.0.0.10"))
        daemon = self.serve_peers(f"receiver.test:{port}", extra="resolve_interval = 1s")
        client = self.udp()
        daemon.await_line(rf"receiver\.test is 127\.0\.0\.9:{port}, 127\.0\.0\.10:{port}$")
        daemon.await_that(lambda: self.arrives(client, daemon, first), "nothing arrives")
        # The new address shows that the reply was read.
        resolver_file("hosts", several("127.0.0.12", "127.0.0.10", "127.0.0.9"))
        daemon.await_line(rf"receiver\.test is 127\.0\.0\.9:{port}, 127\.0\.0\.10:{port}, 127\.0\.0\.12:{port}$")
        daemon.await_that(lambda: self.arrives(client, daemon, first), "nothing arrives any more")
        resolver_file("hosts", several("127.0.0.12", "127.0.0.10"))
        daemon.await_line(rf"receiver\.test is 127\.0\.0\.10:{port}, 127\.0\.0\.12:{port}$")
        daemon.await_that(lambda: self.arrives(client, daemon, second), "nothing arrives at the second address")
        daemon.end()

    def test_another_order_has_no_effect(self):
        resolver_file("hosts", several("127.0.0.9", "127.0.0.10"))
        daemon = self.serve_peers("receiver.test:7799", "other.test:7799", extra="resolve_interval = 1s")
        daemon.await_line(r"p0: receiver\.test is 127\.0\.0\.9:7799, 127\.0\.0\.10:7799$")
        for number in "8", "7":  # the change of another name shows that time has passed
            resolver_file("hosts", several("127.0.0.10", "127.0.0.9") + f"127.0.0.{number} other.test\n")
            daemon.await_line(rf"p1: other\.test is 127\.0\.0\.{number}:7799")
        daemon.end()
        self.assertFalse([line for line in daemon.lines if "receiver.test is 127.0.0.10" in line])

    def test_one_of_several_addresses_is_our_own(self):
        receiver = self.udp("127.0.0.10")
        port = receiver.getsockname()[1]
        resolver_file("hosts", several("127.0.0.10", "127.0.0.9"))
        daemon = self.serve(f"[listener:a]\naddress = 127.0.0.9:{port}\naction = forward\npeers = b\n"
                            f"[peer:b]\naddress = receiver.test:{port}\n")
        daemon.await_line(r"error: peer b: receiver\.test is 127\.0\.0\.9:\d+, one of our own listeners")
        daemon.await_line(rf"info: peer b: receiver\.test is 127\.0\.0\.10:{port}$")
        client = self.udp()
        daemon.await_that(lambda: self.arrives(client, daemon, receiver), "nothing arrives")
        daemon.end()

    def test_a_name_server_that_never_replies(self):
        """It delays neither datagrams nor the end."""
        self.udp("127.0.0.53", 53)
        receiver = self.udp("127.0.0.9")
        daemon = self.serve_peers("unknown.test:1", f"receiver.test:{receiver.getsockname()[1]}")
        daemon.await_line(r"peer p1: receiver\.test is ")
        client = self.udp()
        daemon.await_that(lambda: self.arrives(client, daemon, receiver), "nothing arrives")
        daemon.send_signal(harness.signal.SIGTERM)
        while daemon.process.poll() is None:  # further signals do not interrupt the end
            daemon.process.send_signal(harness.signal.SIGINT)
            harness.time.sleep(0.001)
        daemon.end()
        self.assertLess(daemon.ending_seconds, 5)

    def test_a_name_that_is_our_own(self):
        """A name that resolves to our own listener is not used, because datagrams would loop."""
        port = self.udp().getsockname()[1]
        daemon = self.serve(f"[listener:a]\naddress = 127.0.0.9:{port}\naction = forward\npeers = b\n"
                            f"[peer:b]\naddress = receiver.test:{port}\n")
        daemon.await_line(r"error: peer b: receiver\.test is 127\.0\.0\.9:\d+, one of our own listeners")
        client = self.udp("127.0.0.1")

        def dropped_as_a_loop():
            client.sendto(b"round and round", ("127.0.0.9", port))
            return [record for record in daemon.records() if record["verdict"] == "dropped:loop"]
        daemon.await_that(dropped_as_a_loop, "no drop")
        counters = daemon.end()
        self.assertGreaterEqual(counters["peer b"]["loop"], 1)
        self.assertEqual(counters["peer b"]["sent"], 0)

    def test_a_name_gets_the_address_of_a_client(self):
        """The session is blocked: otherwise both hosts would reply to each other in an endless loop."""
        peer = self.udp("127.0.0.9")
        port = peer.getsockname()[1]
        client = self.udp("127.0.0.10", port)
        daemon = self.serve("[listener:a]\naddress = 127.0.0.1:0\naction = relay\npeers = p0\n"
                            f"[peer:p0]\naddress = receiver.test:{port}\nresolve_interval = 1s\n")
        daemon.await_line(rf"peer p0: receiver\.test is 127\.0\.0\.9:{port}")
        client.sendto(b"hello", daemon.address("a"))
        payload, session = peer.recvfrom(100)
        peer.sendto(payload, session)
        self.assertEqual(client.recv(100), b"hello")
        resolver_file("hosts", several("127.0.0.9", "127.0.0.10"))
        daemon.await_line(rf"peer p0: receiver\.test is 127\.0\.0\.9:{port}, 127\.0\.0\.10:{port}")

        def dropped_as_a_loop():
            client.sendto(b"round and round", daemon.address("a"))
            return [record for record in daemon.records() if record["verdict"] == "dropped:loop"]
        daemon.await_that(dropped_as_a_loop, "no drop")
        counters = daemon.end()
        self.assertEqual((counters["relay a"]["started"], counters["relay a"]["ended"]), (1, 1))
        self.assert_nothing_waits(client)

    def test_a_name_that_moves_to_our_own(self):
        """Datagrams continue to the old address."""
        receiver = self.udp("127.0.0.9")
        port = receiver.getsockname()[1]
        self.addCleanup(names, "127.0.0.9 receiver.test\n")
        for action in "forward", "relay":
            with self.subTest(action=action):
                names("127.0.0.9 receiver.test\n")
                daemon = self.serve(f"[listener:a]\naddress = 127.0.0.10:{port}\naction = {action}\npeers = b\n"
                                    f"[peer:b]\naddress = receiver.test:{port}\nresolve_interval = 1s\n")
                client = self.udp("127.0.0.1")
                daemon.await_that(lambda: self.arrives(client, daemon, receiver), "nothing arrives")
                resolver_file("hosts", "127.0.0.10 receiver.test\n")
                daemon.await_line(r"error: peer b: receiver\.test is 127\.0\.0\.10:\d+, one of our own listeners")

                newcomer = self.udp("127.0.0.1")  # an existing session stays at the old address

                def dropped_as_a_loop():
                    newcomer.sendto(b"round and round", daemon.address("a"))
                    return [record for record in daemon.records() if record["verdict"] == "dropped:loop"]
                daemon.await_that(dropped_as_a_loop, "no drop")
                daemon.end()


if __name__ == "__main__":
    harness.main()
