"""Relaying: every client has a session with one peer, on a separate socket, and gets the replies of this peer."""
import itertools
import os
import socket
import tempfile
import time

import harness
from relay_peers import at, config, returning

NUMBERS = itertools.count()


class RelayTest(harness.TestCase):
    def peer(self, host="127.0.0.1"):
        return self.udp(host)

    def clients(self, count):
        return [self.udp() for _ in range(count)]

    def heard(self, peer, client, address, payload=None):
        """Sends a new datagram from the client. Returns the source address at the peer."""
        payload = payload or b"hello %d" % next(NUMBERS)
        client.sendto(payload, address)
        got, session = peer.recvfrom(65536)
        self.assertEqual(got, payload)
        return session

    def answered(self, peer, session, client, payload=None):
        """Sends a reply from the peer. Returns its source address at the client."""
        payload = payload or b"answer %d" % next(NUMBERS)
        peer.sendto(payload, session)
        got, source = client.recvfrom(65536)
        self.assertEqual(got, payload)
        return source

    # --- Sessions ---

    def test_a_client_and_a_peer_talk(self):
        peer, (client,) = self.peer(), self.clients(1)
        daemon = self.serve(config([at(peer)]))
        address = daemon.address("a")
        session = self.heard(peer, client, address)
        self.assertEqual(self.answered(peer, session, client), address)
        for i in range(100):
            self.assertEqual(self.heard(peer, client, address, b"%d" % i), session)
            self.assertEqual(self.answered(peer, session, client, b"re: %d" % i), address)
        counters = daemon.end()
        self.assertEqual(counters["listener a"]["relayed"], 101)
        self.assertEqual((counters["relay a"]["answered"], counters["relay a"]["started"]), (101, 1))
        self.assertEqual((counters["peer p0"]["sent"], counters["peer p0"]["answers"]), (101, 101))

    def test_each_client_has_a_separate_port(self):
        peer, clients = self.peer(), self.clients(20)
        daemon = self.serve(config([at(peer)]))
        sessions = [self.heard(peer, client, daemon.address("a")) for client in clients]
        self.assertEqual(len(set(sessions)), len(clients))
        for client, session in zip(reversed(clients), reversed(sessions)):
            self.answered(peer, session, client, b"for %d" % client.getsockname()[1])
        self.assertEqual([self.heard(peer, client, daemon.address("a")) for client in clients], sessions)
        self.assertEqual(daemon.end()["relay a"]["started"], len(clients))

    def test_an_idle_session_ends(self):
        peer, (client, other) = self.peer(), self.clients(2)
        daemon = self.serve(config([at(peer)], "idle_timeout = 100ms", log="level = debug"))
        address = daemon.address("a")
        first = self.heard(peer, client, address)
        daemon.await_line(rf"session of {at(client)} at {at(address)} with peer p0 \({at(peer)}\) started")
        daemon.await_line(rf"session of {at(client)} .* ended: idle; datagrams=1 answers=0")
        self.assertNotEqual(self.heard(peer, client, address), first)
        peer.sendto(b"to nobody", first)
        self.assertEqual(self.heard(peer, other, address, b"other"), self.heard(peer, other, address, b"again"))
        self.assert_nothing_waits(client)
        daemon.await_counter("relay a", "ended", 3)
        counters = daemon.end()
        self.assertEqual((counters["relay a"]["started"], counters["relay a"]["sessions"]), (3, 0))

    def test_either_side_keeps_it_alive(self):
        """Each side is silent for longer than the timeout, but never both at once."""
        peer, (client,) = self.peer(), self.clients(1)
        daemon = self.serve(config([at(peer)], "idle_timeout = 1s"))
        session = self.heard(peer, client, daemon.address("a"))
        end = time.monotonic() + 2
        while time.monotonic() < end:
            self.answered(peer, session, client)
            time.sleep(0.1)
        while time.monotonic() < end + 1.5:
            self.assertEqual(self.heard(peer, client, daemon.address("a")), session)
            time.sleep(0.1)
        self.assertEqual(daemon.end()["relay a"]["started"], 1)

    # --- Answers that are expected ---

    def test_one_response(self):
        peer, (client,) = self.peer(), self.clients(1)
        daemon = self.serve(config([at(peer)], "responses = 1"))
        first = self.heard(peer, client, daemon.address("a"))
        self.answered(peer, first, client)
        daemon.await_counter("relay a", "ended", 1)
        peer.sendto(b"one too many", first)
        second = self.heard(peer, client, daemon.address("a"))
        self.assertNotEqual(second, first)
        self.answered(peer, second, client, b"the second")
        self.assertEqual(daemon.end()["relay a"]["started"], 2)

    def test_two_responses_for_each_datagram(self):
        peer, (client,) = self.peer(), self.clients(1)
        daemon = self.serve(config([at(peer)], "responses = 2"))
        session = self.heard(peer, client, daemon.address("a"), b"1")
        self.assertEqual(self.heard(peer, client, daemon.address("a"), b"2"), session)
        for payload in (b"1a", b"2a", b"1b"):
            self.answered(peer, session, client, payload)
        self.assertEqual(daemon.summary()["relay a"]["sessions"], 1)
        self.answered(peer, session, client, b"2b")
        daemon.await_counter("relay a", "ended", 1)
        daemon.end()

    def test_more_responses_than_expected_are_dropped(self):
        """The burst is read at once: only the permitted number of replies passes."""
        peer, (client,) = self.peer(), self.clients(1)
        daemon = self.serve(config([at(peer)], "responses = 3"))
        session = self.heard(peer, client, daemon.address("a"))
        daemon.pause()
        for i in range(10):
            peer.sendto(b"%d" % i, session)
        daemon.process.send_signal(harness.signal.SIGCONT)
        self.assertEqual([client.recv(100) for _ in range(3)], [b"0", b"1", b"2"])
        self.heard(peer, client, daemon.address("a"))
        self.assert_nothing_waits(client)
        relay = daemon.end()["relay a"]
        self.assertEqual(relay["answered"], 3)
        self.assertEqual(relay.get("unexpected", 0), relay["answers"] - 3)

    def test_no_response_expected(self):
        """The relay is one-way, but a late reply still passes."""
        peer, (client,) = self.peer(), self.clients(1)
        daemon = self.serve(config([at(peer)], "responses = 0"))
        session = self.heard(peer, client, daemon.address("a"), b"1")
        self.assertEqual(self.heard(peer, client, daemon.address("a"), b"2"), session)
        self.answered(peer, session, client, b"late")
        self.answered(peer, session, client, b"later")
        self.assertEqual(self.heard(peer, client, daemon.address("a"), b"3"), session)
        daemon.end()

    def test_responses_without_a_bound(self):
        peer, (client,) = self.peer(), self.clients(1)
        daemon = self.serve(config([at(peer)]))
        session = self.heard(peer, client, daemon.address("a"))
        for i in range(300):
            self.answered(peer, session, client, b"%d" % i)
        self.assertEqual(daemon.end()["relay a"]["answered"], 300)

    # --- Addresses ---

    def test_replies_leave_from_the_address_that_the_client_used(self):
        peer, (client,) = self.peer(), self.clients(1)
        daemon = self.serve(config([at(peer)], address="*:0"))
        port = daemon.address("a")[1]
        sessions = {}
        for host in ("127.0.0.1", "127.0.0.2", "127.1.2.3"):
            sessions[host] = self.heard(peer, client, (host, port))
        self.assertEqual(len(set(sessions.values())), 3)
        for host, session in sessions.items():
            self.assertEqual(self.answered(peer, session, client), (host, port))
        daemon.end()

    def test_the_families_meet(self):
        v4, v6 = self.peer(), self.peer("::1")
        daemon = self.serve(config([at(v6)], name="to6") + config([at(v4)], address="[::1]:0", name="to4", peer="q"))
        client4, client6 = self.udp(), self.udp("::1")
        for client, listener, peer in ((client4, "to6", v6), (client6, "to4", v4)):
            for payload in (b"hello", b"", b"x" * 65507):
                session = self.heard(peer, client, daemon.address(listener), payload)
                self.answered(peer, session, client, payload)
        daemon.end()

    def test_several_addresses_of_a_listener(self):
        peer, (client,) = self.peer(), self.clients(1)
        daemon = self.serve(config([at(peer)], address="127.0.0.1:0, 127.0.0.2:0"))
        first, second = daemon.address("a", 1), daemon.address("a", 2)
        sessions = [self.heard(peer, client, first), self.heard(peer, client, second)]
        self.assertNotEqual(*sessions)
        self.assertEqual(self.answered(peer, sessions[1], client), second)
        self.assertEqual(self.answered(peer, sessions[0], client), first)
        daemon.end()

    # --- Payloads ---

    def test_empty_and_large_datagrams_both_ways(self):
        peer, (client,) = self.peer(), self.clients(1)
        daemon = self.serve(config([at(peer)]))
        for payload in (b"", b"x", b"y" * 65507, b""):
            session = self.heard(peer, client, daemon.address("a"), payload)
            self.answered(peer, session, client, payload)
        counters = daemon.end()
        self.assertEqual((counters["listener a"]["relayed"], counters["relay a"]["answered"]), (4, 4))

    def test_too_large_for_the_other_side(self):
        """IPv6 carries 20 bytes more than IPv4. Larger datagrams are dropped and counted, and the session stays."""
        v4, v6 = self.peer(), self.peer("::1")
        daemon = self.serve(config([at(v4)], "max_datagram = 65527", address="[::1]:0", name="to4")
                            + config([at(v6)], name="to6", peer="q"))
        client4, client6 = self.udp(), self.udp("::1")
        session = self.heard(v4, client6, daemon.address("to4"))
        client6.sendto(b"x" * 65527, daemon.address("to4"))
        self.assertEqual(self.heard(v4, client6, daemon.address("to4"), b"still there"), session)
        session = self.heard(v6, client4, daemon.address("to6"))
        v6.sendto(b"x" * 65527, session)
        self.answered(v6, session, client4, b"still there")
        counters = daemon.end()
        self.assertEqual(counters["listener to4"]["message_size"], 1)
        self.assertEqual(counters["relay to6"]["message_size"], 1)
        self.assertEqual(counters["relay to6"]["answered"], 1)

    def test_bursts_keep_their_order(self):
        peer, clients = self.peer(), self.clients(3)
        for sock in (peer, *clients):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        daemon = self.serve(config([at(peer)], "log = none"))
        sessions = {self.heard(peer, client, daemon.address("a")): client for client in clients}
        for turn in range(10):
            for i in range(60):
                for client in clients:
                    client.sendto(b"%d/%d" % (turn, i), daemon.address("a"))
            got = {session: [] for session in sessions}
            for _ in range(60 * len(clients)):
                payload, session = peer.recvfrom(100)
                got[session].append(payload)
                peer.sendto(b"re: " + payload, session)
            for session, client in sessions.items():
                self.assertEqual(got[session], [b"%d/%d" % (turn, i) for i in range(60)])
                self.assertEqual([client.recv(100) for _ in got[session]], [b"re: " + one for one in got[session]])
        daemon.end()

    def test_trains_both_ways(self):
        """A train of a client (GSO) reaches the peer as a train, and the replies reach the client as a train."""
        peer, (client,) = self.peer(), self.clients(1)
        for sock in (peer, client):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        daemon = self.serve(config([at(peer)], "log = none"))
        session = self.heard(peer, client, daemon.address("a"))
        for turn, (sock, to, receiver) in enumerate(((client, daemon.address("a"), peer), (peer, session, client)) * 5):
            train = [b"%d-%02d" % (turn, i) + b"." * 26 for i in range(49)] + [b"short %d" % turn]
            sock.sendmsg([b"".join(train)], [(socket.IPPROTO_UDP, 103, (30).to_bytes(2, "little"))], 0, to)
            self.assertEqual([receiver.recv(100) for _ in train], train)
        daemon.end()

    def test_charsets_both_ways(self):
        """The client writes GBK, the server reads UTF-8."""
        peer, (client,) = self.peer(), self.clients(1)
        daemon = self.serve(config([at(peer)], "encoding = gbk", peer_extra="encoding = utf-8"))
        client.sendto("你好".encode("gbk"), daemon.address("a"))
        payload, session = peer.recvfrom(100)
        self.assertEqual(payload.decode(), "你好")
        peer.sendto("再见".encode(), session)
        self.assertEqual(client.recv(100).decode("gbk"), "再见")
        records = daemon.records(2)
        self.assertEqual([r["payload"] for r in records], ["你好", "再见"])
        self.assertEqual([r["encoding"] for r in records], ["gbk", "utf-8"])
        daemon.end()

    def test_records_name_peer_and_client(self):
        peer, (client,) = self.peer(), self.clients(1)
        daemon = self.serve(config([at(peer)]))
        session = self.heard(peer, client, daemon.address("a"), b"question")
        self.answered(peer, session, client, b"answer")
        question, answer = daemon.records(2)
        self.assertEqual((question["source"], question["destination"], question["verdict"], question["payload"]),
                         (at(client), at(daemon.address("a")), "relayed:p0", "question"))
        self.assertEqual((answer["source"], answer["destination"], answer["verdict"], answer["payload"]),
                         (at(peer), at(client), "answered:p0", "answer"))
        daemon.end()

    # --- Limits ---

    def test_at_the_cap_new_clients_are_dropped(self):
        peer, clients = self.peer(), self.clients(5)
        daemon = self.serve(config([at(peer)], "max_sessions = 3\nsource_sessions = 0\nidle_timeout = 2s"))
        address = daemon.address("a")
        sessions = [self.heard(peer, client, address) for client in clients[:3]]
        for session, client in zip(sessions, clients):
            self.answered(peer, session, client)
        self.assertEqual([self.heard(peer, client, address) for client in clients[:3]], sessions)
        for client in clients[3:]:
            client.sendto(b"let me in", address)
        daemon.await_counter("listener a", "session_limit", 2)
        self.assertEqual([self.heard(peer, client, address) for client in clients[:3]], sessions)
        for session, client in zip(sessions, clients):
            self.answered(peer, session, client)
        daemon.await_line(r"warning: listener a: all 3 sessions are in use \(max_sessions\)")
        daemon.await_counter("relay a", "ended", 3)
        self.heard(peer, clients[4], address)
        counters = daemon.end()
        self.assertEqual(counters["listener a"]["session_limit"], 2)
        self.assertEqual(counters["relay a"]["started"], 4)

    def test_descriptors_for_fewer_sessions(self):
        """The start reports the limit. New clients are dropped before look-ups or logs run out of descriptors."""
        # root could raise its limit again
        wrapper = ["prlimit", "--nofile=400:400", *["setpriv", "--bounding-set", "-sys_resource"] * (os.geteuid() == 0)]
        peer, clients = self.peer(), self.clients(350)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        daemon = self.serve("[udprelayd]\nworkers = 1\n" + config([at(peer)], "log = none\nsource_sessions = 0"), wrapper=wrapper)
        told = daemon.await_line(r"warning: the relays may have 16384 sessions .* may open only 400, which is \d+ too few, "
                                 r"and is enough for (\d+) sessions")
        possible = int(told[1])
        self.assertTrue(100 <= possible <= 330, possible)
        for client in clients:
            client.sendto(b"hello", daemon.address("a"))
        daemon.await_counter("listener a", "received", 350)
        self.assertEqual(daemon.summary()["relay a"]["sessions"], possible)
        counters = daemon.end()  # the last clients replaced the first ones
        self.assertEqual((counters["relay a"]["started"], counters["listener a"]["dropped"]), (350, 0))

    def test_a_source_has_a_quarter_of_the_sessions(self):
        """Further clients replace a session of the source, or are dropped if their worker has none."""
        peer = self.peer()
        daemon = self.serve(config([at(peer)], "max_sessions = 12\nlog = none"))
        address = daemon.address("a")
        clients = [self.udp("127.0.0.1") for _ in range(10)] + [self.udp("127.0.0.2")]
        for client in clients:
            client.sendto(b"hello", address)
        daemon.await_counter("listener a", "received", 11)
        self.assertEqual(daemon.summary()["relay a"]["sessions"], 3 + 1)
        counters = daemon.end()
        self.assertEqual(counters["relay a"]["started"] + counters["listener a"].get("source_sessions", 0), 11)

    def test_fewer_ports_than_sessions_are_logged(self):
        daemon = self.serve(config([at(self.peer())], "max_sessions = 200000"))
        daemon.await_line(r"warning: the relays may have 200000 sessions .* this host has only \d+ local ports")
        daemon.end()

    # --- Counters ---

    def test_unread_replies_are_counted(self):
        """One reply is expected and ends the session. The others have already arrived."""
        peer, (client,) = self.peer(), self.clients(1)
        daemon = self.serve(config([at(peer)], "responses = 1\nlog = none"))
        session = self.heard(peer, client, daemon.address("a"))
        daemon.pause()
        for i in range(200):
            peer.sendto(b"%d" % i, session)
        daemon.process.send_signal(harness.signal.SIGCONT)
        self.assertEqual(client.recv(100), b"0")
        relay = daemon.end()["relay a"]
        self.assertEqual((relay["answers"], relay["answered"]), (200, 1))
        self.assertEqual(relay.get("unexpected", 0) + relay.get("session_ended", 0), 199)

    def test_a_pause_of_the_daemon_loses_no_reply(self):
        peer, (client,) = self.peer(), self.clients(1)
        daemon = self.serve(config([at(peer)], "idle_timeout = 200ms\nlog = none"))
        session = self.heard(peer, client, daemon.address("a"))
        daemon.pause()
        for i in range(5):
            peer.sendto(b"%d" % i, session)
        time.sleep(0.4)  # longer than the timeout
        daemon.process.send_signal(harness.signal.SIGCONT)
        self.assertEqual([client.recv(100) for _ in range(5)], [b"%d" % i for i in range(5)])
        daemon.end()

    def test_a_dropped_reply_counts_as_a_response(self):
        peer, (client,) = self.peer("::1"), self.clients(1)
        daemon = self.serve(config([at(peer)], "responses = 1\nlog = none"))
        session = self.heard(peer, client, daemon.address("a"))
        peer.sendto(b"x" * 65527, session)
        daemon.await_counter("relay a", "ended", 1)
        self.assertEqual(daemon.end()["relay a"]["message_size"], 1)

    # --- Several relays ---

    def test_each_relay_has_its_own_timeout(self):
        slow, fast, (client,) = self.peer(), self.peer(), self.clients(1)
        daemon = self.serve("[udprelayd]\nworkers = 1\n"
                            + config([at(slow)], "idle_timeout = 1h", name="slow", peer="p")
                            + config([at(fast)], "idle_timeout = 100ms\nlog = none", name="fast", peer="q"))
        self.heard(slow, client, daemon.address("slow"))
        daemon.records(1, "slow")
        self.heard(fast, client, daemon.address("fast"))
        daemon.await_counter("relay fast", "ended", 1)
        self.assertEqual(daemon.end()["relay slow"]["started"], 1)

    def test_a_relay_with_conversion_next_to_one_without(self):
        plain, converting, clients = self.peer(), self.peer(), self.clients(100)
        for peer in (plain, converting):
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        daemon = self.serve("[udprelayd]\nworkers = 1\n"
                            + config([at(plain)], "log = none", name="plain", peer="p")
                            + config([at(converting)], "encoding = gbk\nlog = none", name="gbk", peer="q",
                                     peer_extra="encoding = utf-8"))
        sessions = [(client, self.heard(plain, client, daemon.address("plain")),
                     self.heard(converting, client, daemon.address("gbk"))) for client in clients]
        daemon.pause()  # so that all reply at once
        for client, one, other in sessions:
            for i in range(3):
                plain.sendto(b"%d" % i, one)
                converting.sendto(f"你{i}".encode(), other)
        daemon.process.send_signal(harness.signal.SIGCONT)
        for client, _, _ in sessions:
            got = [client.recv(100) for _ in range(6)]
            self.assertEqual([one for one in got if len(one) == 1], [b"0", b"1", b"2"])
            self.assertEqual([one.decode("gbk") for one in got if len(one) > 1], ["你0", "你1", "你2"])
        daemon.end()

    # --- What happens to others ---

    def test_a_client_that_is_gone(self):
        """Its host refuses the replies. This does not affect other clients."""
        peer, (gone, other) = self.peer(), self.clients(2)
        daemon = self.serve(config([at(peer)], "log = none"))
        address = daemon.address("a")
        lost, kept = self.heard(peer, gone, address), self.heard(peer, other, address)
        gone.close()
        for i in range(50):
            peer.sendto(b"anybody? %d" % i, lost)
            self.answered(peer, kept, other, b"%d" % i)
            self.assertEqual(self.heard(peer, other, address), kept)
        self.assertEqual(daemon.end()["relay a"]["answered"], 100)

    def test_a_peer_stops_and_returns(self):
        peer, (client,) = returning(self), self.clients(1)
        port = peer.getsockname()[1]
        daemon = self.serve(config([at(peer)], "log = none", peer_extra="max_fails = 0"))
        self.heard(peer, client, daemon.address("a"))
        peer.close()
        client.sendto(b"anybody?", daemon.address("a"))
        daemon.await_counter("peer p0", "icmp_errors", 1)
        again = self.udp(port=port)
        session = self.heard(again, client, daemon.address("a"), b"found")
        self.answered(again, session, client)
        counters = daemon.end()
        self.assertEqual(counters["peer p0"]["sent"], 3)
        daemon.await_line("warning: peer p0: an earlier datagram to .* was refused")

    def test_a_listener_of_our_own_is_not_a_peer(self):
        said = self.refused("[listener:a]\naddress = 127.0.0.1:7788\naction = relay\npeers = p\n"
                            "[peer:p]\naddress = 127.0.0.1:7788\n", 78)
        self.assertRegex(said, "is our own listener `a`")


class UnixTest(harness.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def path(self, name):
        return os.path.join(self.directory.name, name)

    def unix(self, name=None):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.settimeout(harness.PATIENCE)
        if name:
            sock.bind(self.path(name))
        return sock

    def test_a_unix_peer(self):
        peer, clients = self.unix("peer"), [self.udp() for _ in range(3)]
        daemon = self.serve(config([f"unix:{self.path('peer')}"]))
        sessions = {}
        for client in clients:
            client.sendto(b"hello", daemon.address("a"))
            payload, session = peer.recvfrom(100)
            self.assertEqual(payload, b"hello")
            sessions[session] = client
        self.assertEqual(len(sessions), 3)
        for session, client in sessions.items():
            for payload in (b"answer", b"", b"z" * 60000):
                peer.sendto(payload, session)
                self.assertEqual(client.recvfrom(65536), (payload, daemon.address("a")))
        daemon.end()

    def test_a_unix_client(self):
        peer, client = self.udp(), self.unix("client")
        daemon = self.serve(config([at(peer)], address=f"unix:{self.path('in')}"))
        client.sendto(b"hello", self.path("in"))
        payload, session = peer.recvfrom(100)
        peer.sendto(b"answer", session)
        self.assertEqual((payload, client.recvfrom(100)), (b"hello", (b"answer", self.path("in"))))
        daemon.end()

    def test_a_client_without_a_name(self):
        """It cannot get a reply, so it is accepted only if no reply is expected."""
        peer, client = self.udp(), self.unix()
        daemon = self.serve(config([at(peer)], address=f"unix:{self.path('in')}", name="a")
                            + config([at(peer)], "responses = 0", address=f"unix:{self.path('oneway')}", name="b",
                                     peer="q"))
        client.sendto(b"hello", self.path("in"))
        client.sendto(b"one way", self.path("oneway"))
        payload, session = peer.recvfrom(100)
        self.assertEqual(payload, b"one way")
        peer.sendto(b"late", session)
        daemon.await_counter("relay b", "answers", 1)
        counters = daemon.end()
        self.assertEqual(counters["listener a"]["no_return"], 1)
        self.assertEqual(counters["relay b"]["no_return"], 1)

    def test_a_client_that_does_not_read_delays_others_only_briefly(self):
        """Its queue is full, so batches wait for space, while other sessions start, time out and end."""
        peer, slow, other = self.udp(), self.unix("slow"), self.unix("other")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        daemon = self.serve(config([at(peer)], "idle_timeout = 20ms\nlog = none", address=f"unix:{self.path('in')}"))
        slow.sendto(b"hello", self.path("in"))
        _, lost = peer.recvfrom(100)
        for i in range(300):
            peer.sendto(b"nobody reads this", lost)
            other.sendto(b"%d" % i, self.path("in"))
            payload, session = peer.recvfrom(100)
            peer.sendto(payload, session)
            self.assertEqual(other.recv(100), b"%d" % i)
        counters = daemon.end()
        self.assertGreater(counters["relay a"]["congested"], 0)
        self.assertGreater(counters["relay a"]["ended"], 1)
        self.assertEqual(counters["listener a"]["relayed"], 301)

    def test_an_oversized_reply_is_dropped_as_a_whole(self):
        peer, client = self.unix("peer"), self.unix("client")
        daemon = self.serve(config([f"unix:{self.path('peer')}"], "log = none", address=f"unix:{self.path('in')}"))
        client.sendto(b"hello", self.path("in"))
        _, session = peer.recvfrom(100)
        peer.sendto(b"x" * 100000, session)
        peer.sendto(b"next", session)
        self.assertEqual(client.recv(200000), b"next")
        self.assertEqual(daemon.end()["relay a"]["too_large"], 1)

    def test_an_end_while_a_reply_waits_for_space(self):
        peer, client = self.udp(), self.unix("client")
        daemon = self.serve(config([at(peer)], "log = none", address=f"unix:{self.path('in')}"))
        client.sendto(b"hello", self.path("in"))
        _, session = peer.recvfrom(100)
        filler = self.unix()
        filler.setblocking(False)
        with self.assertRaises(BlockingIOError):
            for _ in range(10000):
                filler.sendto(b"full", self.path("client"))
        for _ in range(5):
            peer.sendto(b"no room", session)
        relay = daemon.end()["relay a"]
        self.assertEqual((relay["answered"], relay["answers"]), (0, relay["dropped"]))

    def test_a_unix_peer_stops_and_returns(self):
        client = self.udp()
        daemon = self.serve(config([f"unix:{self.path('peer')}"], peer_extra="max_fails = 0"))
        client.sendto(b"nobody", daemon.address("a"))
        daemon.await_counter("listener a", "refused", 1)
        for _ in range(3):
            peer = self.unix("peer")
            self.assertTrue(self.reaches(client, daemon, peer))
            peer.close()
            os.unlink(self.path("peer"))
        daemon.end()

    def reaches(self, client, daemon, peer):
        """One datagram may fail because the old socket was closed. The next one uses the new socket."""
        peer.settimeout(0.2)
        end = time.monotonic() + harness.PATIENCE
        while time.monotonic() < end:
            client.sendto(b"hello", daemon.address("a"))
            try:
                payload, session = peer.recvfrom(100)
            except socket.timeout:
                continue
            peer.sendto(b"answer", session)
            return client.recv(100) == b"answer"
        return False


if __name__ == "__main__":
    harness.main()
