"""Relays under changes and shortages of a host: names with several addresses, and local ports."""
import collections

import harness
from relay_peers import config, Echo
from resolver_files import names

harness.in_namespace("mount")


class NamesTest(harness.TestCase):
    def peers(self, *hosts):
        """Echo peers at one port of several addresses."""
        first = self.udp(hosts[0])
        self.port = first.getsockname()[1]
        return Echo(self, first, *[self.udp(host, self.port) for host in hosts[1:]])

    def serve_name(self):
        """Round robin over the addresses of a name, which is resolved every second."""
        return self.serve("[udprelayd]\nworkers = 1\n" + config(
            [f"peer.test:{self.port}"], "log = none\nbalance = round-robin", peer_extra="resolve_interval = 1s"))

    def chosen(self, sock, daemon, payload=b"who?"):
        sock.sendto(payload, daemon.address("a"))
        answer = sock.recv(100)
        self.assertTrue(answer.endswith(b":" + payload))
        return int(answer.split(b":")[0])

    def chosen_by_new_clients(self, daemon, count):
        return collections.Counter(self.chosen(self.udp(), daemon) for _ in range(count))

    def test_every_address_of_a_name_is_used(self):
        self.peers("127.0.0.11", "127.0.0.12", "127.0.0.13")
        names("127.0.0.11 peer.test\n127.0.0.12 peer.test\n127.0.0.13 peer.test\n")
        daemon = self.serve_name()
        daemon.await_line(r"peer p0: peer\.test is 127\.0\.0\.11:\d+, 127\.0\.0\.12:\d+, 127\.0\.0\.13:\d+")
        self.assertEqual(self.chosen_by_new_clients(daemon, 9), {0: 3, 1: 3, 2: 3})
        daemon.end()

    def test_sessions_of_addresses_that_stay_are_untouched(self):
        echo = self.peers("127.0.0.11", "127.0.0.12", "127.0.0.13")
        names("127.0.0.11 peer.test\n127.0.0.12 peer.test\n")
        daemon = self.serve_name()
        daemon.await_line(r"peer p0: peer\.test is 127\.0\.0\.11:\d+, 127\.0\.0\.12:\d+")
        clients = [self.udp() for _ in range(6)]
        before = [self.chosen(client, daemon) for client in clients]
        self.assertEqual(collections.Counter(before), {0: 3, 1: 3})
        names("127.0.0.13 peer.test\n127.0.0.12 peer.test\n")
        daemon.await_line(r"peer p0: peer\.test is 127\.0\.0\.12:\d+, 127\.0\.0\.13:\d+")
        after = [self.chosen(client, daemon, b"again") for client in clients]
        self.assertEqual(after, before)  # the old address still replies
        self.assertEqual(daemon.summary()["relay a"]["ended"], 0)
        self.assertEqual(self.sessions(echo, 1, b"again") & self.sessions(echo, 1, b"who?"),
                         self.sessions(echo, 1, b"who?"))
        self.assertIn(2, self.chosen_by_new_clients(daemon, 4))
        daemon.end()

    def sessions(self, echo, peer, payload):
        return {session for said, session in echo.heard[peer] if said == payload}

    def test_a_name_that_stops_resolving_keeps_its_last_addresses(self):
        self.peers("127.0.0.11", "127.0.0.12")
        names("127.0.0.11 peer.test\n127.0.0.12 peer.test\n")
        daemon = self.serve_name()
        daemon.await_line(r"peer p0: peer\.test is 127\.0\.0\.11:\d+, 127\.0\.0\.12:\d+")
        client = self.udp()
        peer = self.chosen(client, daemon)
        names("")
        daemon.await_line(r"warning: peer p0: cannot resolve peer\.test: .*; its previous addresses stay in use")
        self.assertEqual(self.chosen(client, daemon), peer)
        self.assertEqual(self.chosen_by_new_clients(daemon, 4), {0: 2, 1: 2})
        self.assertEqual(daemon.end()["relay a"]["started"], 5)

    def test_a_name_without_an_address(self):
        self.peers("127.0.0.11")
        names("")
        daemon = self.serve_name()
        daemon.await_line(r"warning: peer p0: cannot resolve peer\.test")
        client = self.udp()
        client.sendto(b"too early", daemon.address("a"))
        daemon.await_counter("listener a", "unresolved", 1)
        names("127.0.0.11 peer.test\n")
        daemon.await_line(r"peer p0: peer\.test is 127\.0\.0\.11:\d+")
        client.sendto(b"in time", daemon.address("a"))
        self.assertEqual(client.recv(100), b"0:in time")
        daemon.end()


class PortsTest(harness.TestCase):
    def test_without_a_free_port_clients_are_dropped_and_counted(self):
        """All sessions share six local ports. A session keeps its port, and a new session starts when a port is
        free."""
        peer = self.udp()
        echo = Echo(self, peer)
        clients = [self.udp() for _ in range(10)]
        host, port = peer.getsockname()
        daemon = self.serve("[udprelayd]\nworkers = 1\n" + config([f"{host}:{port}"],
                                                                  "log = none\nidle_timeout = 1s"))
        address = daemon.address("a")
        self.ports("61000 61005")
        self.addCleanup(self.ports, "32768 60999")
        answered = []
        for i, client in enumerate(clients):
            client.sendto(b"hello", address)
            if i < 6:
                answered.append(client.recv(100))
        daemon.await_counter("listener a", "no_port", 4)
        daemon.await_line("warning: listener a: cannot begin a session with peer p0 .*: no local port is free")
        for client in clients[:6]:
            client.sendto(b"again", address)
            self.assertEqual(client.recv(100), b"0:again")
        daemon.await_counter("relay a", "ended", 6)
        clients[9].sendto(b"at last", address)
        self.assertEqual(clients[9].recv(100), b"0:at last")
        self.assertEqual(len({session for _, session in echo.heard[0]}), 6)
        self.assertEqual(daemon.end()["listener a"]["no_port"], 4)

    def test_a_session_is_never_with_itself(self):
        """No program listens at the peer's port, and the kernel can give only this port to a session."""
        self.ports("61004 61004")
        self.addCleanup(self.ports, "32768 60999")
        client = self.udp(port=20000)
        daemon = self.serve("[udprelayd]\nworkers = 1\n" + config(["127.0.0.1:61004"], "log = none",
                                                                  address="127.0.0.1:7788"))
        for _ in range(3):
            client.sendto(b"hello", daemon.address("a"))
        daemon.await_counter("listener a", "no_port", 3)
        self.assert_nothing_waits(client)
        self.udp(port=61004)  # the peer can bind it now
        daemon.end()

    def ports(self, between):
        with open("/proc/sys/net/ipv4/ip_local_port_range", "w", encoding="ascii") as file:
            file.write(between)


if __name__ == "__main__":
    harness.main()
