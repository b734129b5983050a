"""The end of a relay's sessions after changes of names, reloads, changes of interfaces, failed checks and broken
sockets.

The peer sees the socket of a session: if the source changes, the session has ended.

    near0 192.0.2.1/24   far0 192.0.2.2/24, in a separate namespace, with the peer of some tests
"""
import ctypes
import os
import socket
import subprocess
import time

import harness
from relay_peers import at, config, Echo
from resolver_files import names

harness.in_namespace("mount")

CLONE_NEWNET = 0x40000000


def enter_namespace(file):
    """Moves only this thread into the namespace."""
    if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class EndsTest(harness.TestCase):
    def hear(self, client, daemon, peer, payload=b"hello"):
        """Returns the socket of the client's session as the peer sees it."""
        client.sendto(payload, daemon.address("a"))
        heard, session = peer.recvfrom(100)
        self.assertEqual(heard, payload)
        return session

    def converse(self, client, daemon, peer, payload=b"hello"):
        """Does the same, with a reply."""
        session = self.hear(client, daemon, peer, payload)
        peer.sendto(b"re: " + payload, session)
        self.assertEqual(client.recv(100), b"re: " + payload)
        return session

    def reload(self, daemon, text):
        with open(daemon.path, "w", encoding="utf-8") as file:
            file.write(text)
        before = len([line for line in daemon.lines if "active" in line])
        daemon.send_signal(harness.signal.SIGHUP)
        daemon.await_line("active", before + 1)

    def ended(self, daemon):
        return daemon.summary()["relay a"]["ended"]


class NamesTest(EndsTest):
    def setUp(self):
        self.old, self.client = self.udp("127.0.0.11"), self.udp()
        self.port = self.old.getsockname()[1]
        self.new = self.udp("127.0.0.12", self.port)

    def serve_name(self, extra=""):
        names("127.0.0.11 peer.test\n")
        daemon = self.serve(config([f"peer.test:{self.port}"], "log = none", peer_extra="resolve_interval = 1s\n" + extra))
        daemon.await_line(r"peer p0: peer\.test is 127\.0\.0\.11:\d+$")
        return daemon

    def move_name(self, daemon, text, pattern):
        names(text)
        daemon.await_line(rf"peer p0: peer\.test is {pattern}")

    def test_a_name_that_moves(self):
        """The session stays while its endpoint replies. New clients use the new address."""
        daemon = self.serve_name("fail_timeout = 1s")
        session = self.converse(self.client, daemon, self.old)
        self.move_name(daemon, "127.0.0.12 peer.test\n", r"127\.0\.0\.12:\d+$")
        end = time.monotonic() + 2
        while time.monotonic() < end:
            payload = b"%d" % time.monotonic_ns()  # the ring guard drops repetitions
            self.assertEqual(self.converse(self.client, daemon, self.old, payload), session)
        self.converse(self.udp(), daemon, self.new)
        self.assertEqual(self.ended(daemon), 0)
        # The old endpoint is silent from now on: the session moves to the new one within fail_timeout.
        self.new.settimeout(0.05)
        end = time.monotonic() + harness.PATIENCE
        while time.monotonic() < end:
            self.client.sendto(b"anybody?", daemon.address("a"))
            try:
                self.new.recv(100)
                break
            except socket.timeout:
                pass
        else:
            self.fail("the client never goes to the new address")
        daemon.end()

    def assert_stays_silent(self, extra):
        """The peer never replies, and its name alternates. Nothing has failed."""
        names("127.0.0.11 peer.test\n")
        daemon = self.serve(config([f"peer.test:{self.port}"], "log = none\n" + extra,
                                   peer_extra="resolve_interval = 1s\nfail_timeout = 500ms"))
        daemon.await_line(r"peer p0: peer\.test is 127\.0\.0\.11:\d+$")
        session = self.hear(self.client, daemon, self.old)
        for host in ("127.0.0.12", "127.0.0.11", "127.0.0.12"):
            before = len([line for line in daemon.lines if f"peer.test is {host}" in line])
            names(f"{host} peer.test\n")
            daemon.await_line(rf"peer p0: peer\.test is {host}", before + 1)
            for _ in range(10):
                self.assertEqual(self.hear(self.client, daemon, self.old), session)
                time.sleep(0.1)
        self.assertEqual(self.ended(daemon), 0)
        daemon.end()

    def test_a_name_that_alternates_without_replies(self):
        for extra in ("", "responses = 0"):
            with self.subTest(extra):
                self.assert_stays_silent(extra)

    def test_an_old_address_that_refuses(self):
        daemon = self.serve_name()
        self.converse(self.client, daemon, self.old)
        self.move_name(daemon, "127.0.0.12 peer.test\n", r"127\.0\.0\.12:\d+$")
        self.old.close()
        self.new.settimeout(0.05)

        def arrives():
            self.client.sendto(b"anybody?", daemon.address("a"))
            try:
                return self.new.recv(100)
            except socket.timeout:
                return None
        daemon.await_that(arrives, "the client never goes to the new address")
        daemon.end()

    def test_an_address_is_removed_and_returns(self):
        daemon = self.serve_name()
        session = self.converse(self.client, daemon, self.old)
        for _ in range(2):
            self.move_name(daemon, "127.0.0.12 peer.test\n", r"127\.0\.0\.12:\d+$")
            self.assertEqual(self.converse(self.client, daemon, self.old), session)
            self.move_name(daemon, "127.0.0.12 peer.test\n127.0.0.11 peer.test\n", r"127\.0\.0\.12:\d+, 127\.0\.0\.11:\d+$")
            self.assertEqual(self.converse(self.client, daemon, self.old), session)
            self.move_name(daemon, "127.0.0.11 peer.test\n", r"127\.0\.0\.11:\d+$")
            self.assertEqual(self.converse(self.client, daemon, self.old), session)
        self.assertEqual(self.ended(daemon), 0)
        daemon.end()

    def test_a_reload_after_a_name_has_moved(self):
        daemon = self.serve_name()
        session = self.converse(self.client, daemon, self.old)
        self.move_name(daemon, "127.0.0.12 peer.test\n", r"127\.0\.0\.12:\d+$")
        with open(daemon.path, encoding="utf-8") as file:
            self.reload(daemon, file.read().replace("log = none", "log = none\nidle_timeout = 1h"))
        self.assertEqual(self.converse(self.client, daemon, self.old), session)
        daemon.end()

    def test_a_reload_with_the_name_written_in_another_way(self):
        daemon = self.serve_name()
        session = self.converse(self.client, daemon, self.old)
        with open(daemon.path, encoding="utf-8") as file:
            text = file.read()
        for name in ("Peer.TEST", "peer.test"):
            self.reload(daemon, text.replace("peer.test", name))
            self.assertEqual(self.converse(self.client, daemon, self.old, name.encode()), session)
        self.assertEqual(self.ended(daemon), 0)
        daemon.end()

    def test_a_name_that_comes_to_be_the_clients(self):
        """The client's datagrams are dropped as a loop while the peer has its address. Then the session continues."""
        client = self.udp("127.0.0.13", self.port)
        daemon = self.serve_name()
        session = self.converse(client, daemon, self.old)
        self.move_name(daemon, "127.0.0.11 peer.test\n127.0.0.13 peer.test\n", r"127\.0\.0\.11:\d+, 127\.0\.0\.13:\d+$")
        daemon.await_that(lambda: client.sendto(b"round and round", daemon.address("a"))
                          and daemon.summary()["listener a"].get("loop"), "no drop")
        self.assertEqual(self.ended(daemon), 0)
        self.move_name(daemon, "127.0.0.11 peer.test\n", r"127\.0\.0\.11:\d+$")
        self.old.setblocking(False)
        try:
            while self.old.recv(100):
                pass
        except BlockingIOError:
            self.old.settimeout(0.05)

        def goes_on():
            client.sendto(b"again", daemon.address("a"))
            try:
                return self.old.recvfrom(100)
            except socket.timeout:
                return None
        self.assertEqual(daemon.await_that(goes_on, "the session does not go on"), (b"again", session))
        daemon.end()


class ReloadTest(EndsTest):
    def test_other_keys_and_sections(self):
        peer, client = self.udp(), self.udp()
        with self.udp() as free:
            address = at(free)
        relay = config([at(peer)], "log = none", address=address)
        daemon = self.serve(relay)
        session = self.converse(client, daemon, peer)
        one = relay.replace("log = none", "{}")
        http = "[http]\nlisten = 127.0.0.1:0\n" if harness.built_with("http") else ""
        for more in (http, "[log]\nlevel = debug\n",
                     "[listener:e]\naddress = 127.0.0.1:0\naction = echo\n",
                     "[listener:s]\naddress = 127.0.0.1:0\naction = relay\npeers = q\n[peer:q]\naddress = 127.0.0.1:9\n"):
            self.reload(daemon, relay + more)
            self.assertEqual(self.converse(client, daemon, peer), session)
        for keys in ("max_sessions = 100", "max_sessions = 30000", "max_sessions = 1", "source_sessions = 1",
                     "idle_timeout = 1h", "balance = failover", "responses = 100", "loop_guard = off",
                     "encoding = gbk", "source_limit = 1000", "receive_buffer = 64K", "deny = 192.0.2.0/24"):
            self.reload(daemon, one.format(keys))
            self.assertEqual(self.converse(client, daemon, peer, keys.encode()), session, keys)
        for keys in ("weight = 5", "max_fails = 1", "fail_timeout = 1h", "check = on\ncheck_interval = 1h",
                     "encoding = gbk"):
            self.reload(daemon, relay + keys + "\n")
            if "check" in keys:
                self.assertEqual(peer.recv(100), b"")
            self.assertEqual(self.converse(client, daemon, peer), session)
        self.assertEqual(self.ended(daemon), 0)
        daemon.end()

    def test_another_socket_of_the_same_address(self):
        """With several workers, the kernel could give the client to another worker, where it has no session."""
        peer, client = self.udp(), self.udp()
        with self.udp() as free:
            address = at(free)
        relay = "[udprelayd]\nworkers = 1\n" + config([at(peer)], "log = none\n{}", address=address)
        daemon = self.serve(relay.format(""))
        session = self.converse(client, daemon, peer)
        for keys in ("freebind = on", "interface = lo", ""):
            self.reload(daemon, relay.format(keys))
            self.assertEqual(self.converse(client, daemon, peer, keys.encode()), session, keys)
        daemon.end()

    def test_fewer_sessions_than_existing_ones(self):
        """The old sessions stay; new clients get none until there are fewer."""
        peer, clients = self.udp(), [self.udp() for _ in range(20)]
        relay = config([at(peer)], "log = none\nsource_sessions = 0\n{}")
        daemon = self.serve(relay.format(""))
        sessions = [self.converse(client, daemon, peer) for client in clients for _ in range(2)][1::2]
        self.reload(daemon, relay.format("max_sessions = 5"))
        self.assertEqual([self.converse(client, daemon, peer) for client in clients], sessions)
        newcomer = self.udp()
        newcomer.sendto(b"let me in", daemon.address("a"))
        daemon.await_counter("listener a", "session_limit", 1)
        self.reload(daemon, relay.format("max_sessions = 500"))
        self.assertEqual([self.converse(client, daemon, peer) for client in clients], sessions)
        self.converse(newcomer, daemon, peer)
        counters = daemon.end()
        self.assertEqual(counters["relay a"]["started"], 21)

    def test_another_address_of_the_peer(self):
        """A peer with another address is another peer."""
        old, new, client = self.udp(), self.udp(), self.udp()
        daemon = self.serve(config([at(old)], "log = none"))
        self.converse(client, daemon, old)
        self.reload(daemon, config([at(new)], "log = none"))
        self.assertEqual(daemon.summary()["relay a"]["sessions"], 0)
        self.converse(client, daemon, new)
        daemon.end()


class CheckTest(EndsTest):
    def test_a_peer_that_fails_its_check_but_answers_clients(self):
        first, second, client = self.udp(), self.udp(), self.udp()
        Echo(self, second)
        echo = Echo(self, first)
        daemon = self.serve(config([at(first), at(second)], "log = none\nbalance = failover", peer_extra=[
            "check = on\ncheck_send = ping\ncheck_expect = pong\ncheck_interval = 30ms\ncheck_timeout = 30ms", ""]))
        self.assertEqual(self.ask(client, daemon.address("a"), b"hello")[0], b"0:hello")
        daemon.await_line("peer p0: .* is down: wrong reply")
        end = time.monotonic() + 2
        while time.monotonic() < end:
            payload = b"%d" % time.monotonic_ns()
            self.assertEqual(self.ask(client, daemon.address("a"), payload)[0], b"0:" + payload)
        self.assertEqual(self.ended(daemon), 0)
        self.assertEqual(len({session for said, session in echo.heard[0] if said != b"ping"}), 1)
        daemon.end()


class InterfaceTest(EndsTest):
    """The peer is in another namespace, behind near0."""

    @classmethod
    def setUpClass(cls):
        cls.holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec cat"], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE)
        cls.holder.stdout.readline()
        harness.ip("link", "add", "near0", "type", "veth", "peer", "name", "far0", "netns", str(cls.holder.pid))
        cls.inside("ip", "address", "add", "192.0.2.2/24", "dev", "far0")
        cls.inside("ip", "link", "set", "far0", "up")

    @classmethod
    def tearDownClass(cls):
        cls.holder.stdin.close()
        cls.holder.wait()
        cls.holder.stdout.close()
        subprocess.run(["ip", "link", "delete", "near0"], stderr=subprocess.DEVNULL, check=False)

    @classmethod
    def inside(cls, *command):
        subprocess.run(["nsenter", f"--net=/proc/{cls.holder.pid}/ns/net", *command], check=True)

    def setUp(self):
        harness.ip("address", "flush", "dev", "near0")
        harness.ip("address", "add", "192.0.2.1/24", "dev", "near0")
        harness.ip("link", "set", "near0", "up")
        with open("/proc/self/ns/net", "rb") as here, open(f"/proc/{self.holder.pid}/ns/net", "rb") as there:
            enter_namespace(there)
            try:
                self.peer = self.udp("192.0.2.2")
            finally:
                enter_namespace(here)
        self.client = self.udp()
        self.daemon = self.serve(config([at(self.peer)], "log = none"))
        self.peer.settimeout(0.05)

    def drop_one(self, reason="unreachable"):
        before = self.daemon.summary()["listener a"].get(reason, 0)

        def dropped():
            self.client.sendto(b"lost", self.daemon.address("a"))
            return self.daemon.summary()["listener a"].get(reason, 0) > before
        self.daemon.await_that(dropped, "nothing is dropped")

    def goes_on(self):
        """Returns the socket of the session after its datagrams arrive again."""
        def arrives():
            self.client.sendto(b"again", self.daemon.address("a"))
            try:
                payload, session = self.peer.recvfrom(100)
            except socket.timeout:
                return None
            return session if payload == b"again" else None
        session = self.daemon.await_that(arrives, "the session does not go on")
        self.peer.sendto(b"answer", session)
        self.assertEqual(self.client.recv(100), b"answer")
        return session

    def assert_one_session(self):
        counters = self.daemon.end()
        self.assertEqual(counters["relay a"]["started"], 1)

    def test_a_link_that_goes_down(self):
        session = self.goes_on()
        harness.ip("link", "set", "near0", "down")
        self.drop_one()
        harness.ip("link", "set", "near0", "up")
        self.assertEqual(self.goes_on(), session)
        self.assert_one_session()

    def test_an_address_that_comes_back(self):
        session = self.goes_on()
        harness.ip("address", "flush", "dev", "near0")
        self.drop_one()
        harness.ip("address", "add", "192.0.2.1/24", "dev", "near0")
        self.assertEqual(self.goes_on(), session)
        self.assert_one_session()

    def test_another_address(self):
        """The session needs another socket, but it is the same session."""
        self.goes_on()
        harness.ip("address", "flush", "dev", "near0")
        harness.ip("address", "add", "192.0.2.9/24", "dev", "near0")
        self.assertEqual(self.goes_on()[0], "192.0.2.9")
        self.assert_one_session()

    def test_changes_of_other_addresses(self):
        session = self.goes_on()
        for command in ("add", "delete"):
            harness.ip("address", command, "198.51.100.1/24", "dev", "near0")
            self.assertEqual(self.goes_on(), session)
        self.assert_one_session()


class UnixPeerTest(EndsTest):
    def test_a_restarted_peer(self):
        """The peer has another socket, but the session is the same."""
        path, client = os.path.join(self.directory(), "peer"), self.udp()
        daemon = self.serve(config([f"unix:{path}"], "log = none", peer_extra="max_fails = 0"))
        for _ in range(3):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
                peer.bind(path)
                peer.settimeout(0.05)

                def arrives():
                    client.sendto(b"hello", daemon.address("a"))
                    try:
                        return peer.recvfrom(100)
                    except socket.timeout:
                        return None
                _, session = daemon.await_that(arrives, "nothing arrives")
                peer.sendto(b"answer", session)
                self.assertEqual(client.recv(100), b"answer")
            os.unlink(path)
        self.assertEqual(daemon.end()["relay a"]["started"], 1)

    def directory(self):
        place = harness.tempfile.TemporaryDirectory(prefix="udprelayd-")
        self.addCleanup(place.cleanup)
        return place.name


if __name__ == "__main__":
    harness.main()
