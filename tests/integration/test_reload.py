"""Reload of the configuration: unchanged parts continue, and no datagram is lost."""
import os
import re
import socket
import tempfile
import threading
import time
import unittest

import harness
import relay_peers
from relay_peers import at

RELOADS = int(os.environ.get("RELOADS", "60"))

ECHO = "[datagram_log]\ntarget = off\n[listener:a]\naddress = 127.0.0.1:0\naction = echo\n"


def resident(daemon):
    with open(f"/proc/{daemon.process.pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+) kB", file.read())[1]) * 1024


def descriptors(daemon):
    return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))


def threads(daemon):
    return len(os.listdir(f"/proc/{daemon.process.pid}/task"))


class ReloadCase(harness.TestCase):
    def reload(self, daemon, config, good=True):
        """Returns after the daemon has logged the result."""
        with open(daemon.path, "w", encoding="utf-8") as file:
            file.write(config)
        wanted = r"notice: configuration \d+ active" if good else r"notice: the last reload failed"
        before = len([line for line in daemon.lines if re.search(wanted, line)])
        daemon.send_signal(harness.signal.SIGHUP)
        daemon.await_line(wanted, before + 1)


class Echoes:
    """Clients that send all the time, each after its previous reply, but at most a few hundred times per second."""

    def __init__(self, test, address, clients=4):
        self.test, self.address = test, address
        self.stopping = threading.Event()
        self.asked = [0] * clients
        self.wrong = []
        self.threads = [threading.Thread(target=self.ask, args=(i, test.udp())) for i in range(clients)]
        for thread in self.threads:
            thread.start()
        test.addCleanup(self.stop)

    def ask(self, i, sock):
        while not self.stopping.is_set() and not self.wrong:
            payload = b"%d %d" % (i, self.asked[i])
            sock.sendto(payload, self.address)
            self.asked[i] += 1
            try:
                if (answer := sock.recv(100)) != payload:
                    self.wrong.append((payload, answer))
            except TimeoutError:
                self.wrong.append((payload, None))
            time.sleep(0.002)

    def stop(self):
        """Returns the number of datagrams and of replies."""
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        self.test.assertEqual(self.wrong, [])
        return sum(self.asked)


class LoadTest(ReloadCase):
    def assert_nothing_lost(self, config, address_of, broken):
        daemon = self.serve(config)
        echoes = Echoes(self, address_of(daemon))
        for i in range(RELOADS):
            if i == RELOADS // 3:
                self.await_burial(daemon)
                before = descriptors(daemon), threads(daemon), resident(daemon)
            self.reload(daemon, broken if i % 2 else config, not i % 2)
        self.await_burial(daemon)
        self.assertEqual(descriptors(daemon), before[0])
        if not daemon.is_sanitized():
            self.assertLess(resident(daemon) - before[2], 2 << 20)
        asked = echoes.stop()
        self.assertGreater(asked, RELOADS)
        return daemon, asked

    def await_burial(self, daemon):
        """Waits until the descriptors of earlier configurations are closed and their threads have ended."""
        end, last = time.monotonic() + harness.PATIENCE, None
        while (now := (descriptors(daemon), threads(daemon))) != last:
            self.assertLess(time.monotonic(), end)
            last = now
            time.sleep(0.3)

    def test_an_echo(self):
        daemon, asked = self.assert_nothing_lost(ECHO, lambda daemon: daemon.address("a"),
                                                 ECHO + "peers = nobody\nport = 7\n")
        counters = daemon.end()["listener a"]
        self.assertEqual((counters["received"], counters["echoed"]), (asked, asked))

    def test_a_relay_with_records(self):
        """Each datagram and each reply has a record."""
        peer = self.udp()
        relay_peers.Echo(self, peer)
        with tempfile.TemporaryDirectory(prefix="udprelayd-reload-") as directory:
            log = os.path.join(directory, "log")
            config = relay_peers.config([at(peer)]) + f"[datagram_log]\ntarget = {log}\n"
            daemon = self.serve(config)
            client = self.udp()
            for i in range(RELOADS):
                self.assertEqual(self.ask(client, daemon.address("a"), b"%d" % i)[0], b"0:%d" % i)
                self.reload(daemon, config)
            counters = daemon.end()
            self.assertEqual(counters["relay a"]["started"], 1)
            self.assertEqual(counters["datagram log"], {"written": 2 * RELOADS, "dropped": 0})
            with open(log, encoding="utf-8") as file:
                payloads = [harness.RECORD.match(line)["payload"] for line in file]
            self.assertEqual(payloads, sum([[str(i), f"0:{i}"] for i in range(RELOADS)], []))

    def test_reloads_in_quick_succession(self):
        """Earlier configurations do not accumulate. Each has a file and a thread for a while."""
        with tempfile.TemporaryDirectory(prefix="udprelayd-reload-") as directory:
            config = ECHO.replace("target = off", f"target = {directory}/log")
            daemon = self.serve(config)
            before, most = descriptors(daemon), 0
            for _ in range(200):
                self.reload(daemon, config)
                most = max(most, descriptors(daemon))
            self.assertLess(most - before, 150)

    def test_waiting_datagrams_are_not_lost(self):
        """More than one batch arrives during the change of workers."""
        daemon = self.serve(ECHO.replace("echo", "sink"))
        client, count = self.udp(), 0
        for _ in range(10):
            daemon.pause()
            for _ in range(300):
                client.sendto(b"%d" % count, daemon.address("a"))
                count += 1
            daemon.send_signal(harness.signal.SIGHUP)
            daemon.send_signal(harness.signal.SIGCONT)
            daemon.await_line(r"notice: configuration \d+ active", count // 300)
        counters = daemon.end()["listener a"]
        self.assertEqual((counters["received"], counters["kernel_dropped"]), (count, 0))


class ChangeTest(ReloadCase):
    def test_an_invalid_file_changes_nothing(self):
        daemon = self.serve(ECHO)
        self.reload(daemon, "[listener:a]\naddress = nowhere\n[listener:b]\naction = dance\n", good=False)
        for line, what in ((2, "address"), (3, "address"), (4, "action")):
            daemon.await_line(rf"error: {re.escape(daemon.path)}:{line}: \[listener:.\].*{what}")
        self.assert_echoes(self.udp(), daemon.address("a"), b"still here")
        os.unlink(daemon.path)
        daemon.send_signal(harness.signal.SIGHUP)
        daemon.await_line("the last reload failed, configuration 1 stays", 2)
        self.assert_echoes(self.udp(), daemon.address("a"), b"still here")

    def test_an_address_that_is_taken(self):
        """No setting has changed."""
        taken = self.udp()
        daemon = self.serve(ECHO)
        self.reload(daemon, ECHO.replace("echo", "sink") + f"[listener:b]\naddress = {at(taken)}\naction = sink\n",
                    good=False)
        daemon.await_line("another program uses it")
        self.assert_echoes(self.udp(), daemon.address("a"), b"still an echo")

    def test_listeners_come_and_go(self):
        daemon = self.serve(ECHO)
        first = daemon.address("a")
        both = ECHO + "[listener:b]\naddress = 127.0.0.1:0\naction = echo\n"
        self.reload(daemon, both)
        second = daemon.address("b")
        self.assert_echoes(self.udp(), first, b"as before")
        self.assert_echoes(self.udp(), second, b"new")
        self.reload(daemon, ECHO)
        daemon.await_line("listener b: stopped listening on 127.0.0.1:%d" % second[1])
        end = time.monotonic() + harness.PATIENCE
        while time.monotonic() < end:
            try:
                self.udp(port=second[1])
                break
            except OSError:
                time.sleep(0.01)
        else:
            self.fail("the port is never free")
        self.assert_echoes(self.udp(), first, b"as ever")
        self.assertNotIn("listener b", daemon.end().keys() - {"listener b"})

    def test_datagrams_in_a_socket_that_is_removed(self):
        daemon = self.serve(ECHO.replace("echo", "sink") + "[listener:b]\naddress = 127.0.0.1:0\naction = forward\n"
                            "peers = p\n[peer:p]\naddress = " + at(peer := self.udp()) + "\n")
        client, address = self.udp(), daemon.address("b")
        daemon.pause()
        for i in range(200):
            client.sendto(b"%d" % i, address)
        with open(daemon.path, "w", encoding="utf-8") as file:
            file.write(ECHO)
        daemon.send_signal(harness.signal.SIGHUP)
        daemon.send_signal(harness.signal.SIGCONT)
        for i in range(200):
            self.assertEqual(peer.recv(100), b"%d" % i)

    def test_a_listener_gets_another_action(self):
        """It keeps its socket and its counters."""
        daemon = self.serve(ECHO)
        client, address = self.udp(), daemon.address("a")
        self.assert_echoes(client, address, b"echo")
        self.reload(daemon, ECHO.replace("action = echo", "action = sink"))
        client.sendto(b"sunk", address)
        daemon.await_counter("listener a", "sunk", 1)
        self.reload(daemon, ECHO + "deny = 127.0.0.1\n")
        client.sendto(b"denied", address)
        daemon.await_counter("listener a", "source_denied", 1)
        self.reload(daemon, ECHO)
        self.assert_echoes(client, address, b"echo again")
        counters = daemon.end()["listener a"]
        self.assertEqual((counters["received"], counters["echoed"], counters["sunk"]), (4, 2, 1))

    def test_a_listener_gets_another_name(self):
        port = self.udp().getsockname()[1] % 2000 + 20000
        config = ECHO.replace(":0", f":{port}")
        daemon = self.serve(config)
        self.assert_echoes(self.udp(), ("127.0.0.1", port), b"as a")
        self.reload(daemon, config.replace("listener:a", "listener:z"))
        self.assert_echoes(self.udp(), ("127.0.0.1", port), b"as z")
        self.assertFalse(any("not listening" in line for line in daemon.lines))

    def test_a_forwarder_keeps_its_sockets(self):
        one, other, client = self.udp(), self.udp(), self.udp()
        peers = "[peer:one]\naddress = {}\n[peer:other]\naddress = {}\n".format(at(one), at(other))
        config = "[datagram_log]\ntarget = off\n[listener:a]\naddress = 127.0.0.1:0\naction = forward\npeers = {}\n"
        daemon = self.serve("[udprelayd]\nworkers = 1\n" + config.format("one") + peers)
        sources = []
        for names in ("one", "other, one", "one", "other"):
            if sources:
                self.reload(daemon, "[udprelayd]\nworkers = 1\n" + config.format(names) + peers)
            client.sendto(b"hello", daemon.address("a"))
            for name, sock in (("one", one), ("other", other)):
                if name in names.split(", "):
                    payload, source = sock.recvfrom(100)
                    self.assertEqual(payload, b"hello")
                    sources.append((name, source))
        self.assertEqual(len(set(source for name, source in sources if name == "one")), 1)
        counters = daemon.end()
        self.assertEqual((counters["peer one"]["sent"], counters["peer other"]["sent"]), (3, 2))

    def test_unix_sockets(self):
        with tempfile.TemporaryDirectory(prefix="udprelayd-reload-") as directory:
            path = os.path.join(directory, "in")
            config = f"[datagram_log]\ntarget = off\n[listener:a]\naddress = unix:{path}\naction = sink\n"
            daemon = self.serve(config)
            client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.addCleanup(client.close)
            client.connect(path)
            client.send(b"one")
            self.reload(daemon, config)
            client.send(b"two")
            daemon.await_counter("listener a", "sunk", 2)
            self.reload(daemon, config.replace("unix:", "127.0.0.1:0, unix:") + "freebind = on\ninterface = lo\n")
            client.send(b"three")
            daemon.await_counter("listener a", "sunk", 3)
            self.reload(daemon, ECHO)
            end = time.monotonic() + harness.PATIENCE
            while os.path.exists(path):
                self.assertLess(time.monotonic(), end)
                time.sleep(0.01)
            daemon.end()

    def test_logs(self):
        """Level, format and target are those of the new file. Waiting records still go to the old target."""
        with tempfile.TemporaryDirectory(prefix="udprelayd-reload-") as directory:
            old, new = (os.path.join(directory, name) for name in ("old", "new"))
            config = ECHO.replace("target = off", f"target = {old}")
            daemon = self.serve(config)
            client = self.udp()
            for i in range(50):
                self.assert_echoes(client, daemon.address("a"), b"to the old one %d" % i)
            address = daemon.address("a")
            changed = config.replace(old, new) + "[log]\nlevel = debug\nformat = json\n"
            with open(daemon.path, "w", encoding="utf-8") as file:
                file.write(changed)
            daemon.send_signal(harness.signal.SIGHUP)
            daemon.await_line(r'\{"time":.*"message":"configuration 2 active')
            for i in range(50):
                self.assert_echoes(client, address, b"to the new one %d" % i)
            daemon.send_signal(harness.signal.SIGTERM)
            self.assertEqual(daemon.wait(), 0)
            for path, text in ((old, "to the old one"), (new, "to the new one")):
                with open(path, encoding="utf-8") as file:
                    self.assertEqual([harness.RECORD.match(line)["payload"] for line in file],
                                     [f"{text} {i}" for i in range(50)])

    def test_a_rotated_log(self):
        with tempfile.TemporaryDirectory(prefix="udprelayd-reload-") as directory:
            path = os.path.join(directory, "log")
            daemon = self.serve(ECHO.replace("target = off", f"target = {path}"))
            self.assert_echoes(self.udp(), daemon.address("a"), b"first")
            harness.await_file(path, b"first")
            os.rename(path, path + ".1")
            daemon.send_signal(harness.signal.SIGUSR2)
            harness.await_file(path, b"")
            self.assert_echoes(self.udp(), daemon.address("a"), b"second")
            harness.await_file(path, b"second")
            self.assertNotIn("active", "\n".join(daemon.lines))

    def test_keys_that_need_a_restart(self):
        daemon = self.serve("[udprelayd]\nworkers = 2\n" + ECHO)
        self.reload(daemon, "[udprelayd]\nworkers = 3\n" + ECHO)
        daemon.await_line(r"warning: .*\[udprelayd\] workers: a reload cannot change it: 2 stay until the daemon is restarted")
        self.assert_echoes(self.udp(), daemon.address("a"), b"as before")

    def test_systemd_is_notified(self):
        with tempfile.TemporaryDirectory(prefix="udprelayd-reload-") as directory:
            path = os.path.join(directory, "notify")
            manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.addCleanup(manager.close)
            manager.settimeout(harness.PATIENCE)
            manager.bind(path)
            daemon = self.start(ECHO, env={**os.environ, "NOTIFY_SOCKET": path})
            daemon.ready()
            if not harness.built_with("systemd"):
                self.skipTest("built without systemd")
            self.assertIn(b"READY=1", manager.recv(4096))
            for config, status in ((ECHO, b"configuration 2 active"), ("wrong", b"the last reload failed")):
                before = time.monotonic_ns() // 1000
                self.reload(daemon, config, good=config == ECHO)
                reloading, ready = manager.recv(4096), manager.recv(4096)
                self.assertIn(b"RELOADING=1", reloading)
                # If the time were earlier than the signal, systemd would wait for another message (Type=notify-reload).
                told = int(re.search(rb"MONOTONIC_USEC=(\d+)", reloading)[1])
                self.assertTrue(before <= told <= time.monotonic_ns() // 1000)
                self.assertIn(b"READY=1", ready)
                self.assertIn(status, ready)


class SessionTest(ReloadCase):
    def setUp(self):
        self.peers = [self.udp() for _ in range(2)]

    def config(self, peers=(0, 1), **keys):
        more = "".join(f"{key} = {value}\n" for key, value in keys.items())
        names = ", ".join(f"p{i}" for i in peers)
        return ("[datagram_log]\ntarget = off\n[listener:a]\naddress = 127.0.0.1:0\naction = relay\n"
                f"balance = failover\npeers = {names}\n{more}"
                + "".join(f"[peer:p{i}]\naddress = {at(self.peers[i])}\n" for i in peers))

    def converse(self, client, daemon, payload, peer=0):
        """Returns the address of the session at the peer."""
        client.sendto(payload, daemon.address("a"))
        heard, source = self.peers[peer].recvfrom(100)
        self.assertEqual(heard, payload)
        return source

    def answer(self, client, peer, session, payload):
        self.peers[peer].sendto(payload, session)
        self.assertEqual(client.recv(100), payload)

    def test_sessions_stay(self):
        """Replies are in flight. The reload changes settings, peers and the order of peers."""
        daemon = self.serve(self.config())
        clients = [self.udp() for _ in range(20)]
        sessions = [self.converse(client, daemon, b"%d" % i) for i, client in enumerate(clients)]
        for config in (self.config(), self.config(idle_timeout="1h", encoding="gbk"), self.config([1, 0]),
                       self.config([0])):
            daemon.pause()
            for client, session in zip(clients[:10], sessions):
                self.peers[0].sendto(b"on its way", session)
            with open(daemon.path, "w", encoding="utf-8") as file:
                file.write(config)
            before = len([line for line in daemon.lines if "active" in line])
            daemon.send_signal(harness.signal.SIGHUP)
            daemon.send_signal(harness.signal.SIGCONT)
            daemon.await_line("active", before + 1)
            for client in clients[:10]:
                self.assertEqual(client.recv(100), b"on its way")
            for i, (client, session) in enumerate(zip(clients, sessions)):
                self.assertEqual(self.converse(client, daemon, b"again %d" % i), session)
                self.answer(client, 0, session, b"answer %d" % i)
        counters = daemon.end()
        self.assertEqual((counters["relay a"]["started"], counters["relay a"]["answers"]), (20, 4 * 30))
        self.assertEqual((counters["peer p0"]["sent"], counters["peer p0"]["answers"]), (5 * 20, 4 * 30))

    def test_sessions_of_a_peer_that_is_removed(self):
        daemon = self.serve(self.config())
        client = self.udp()
        self.converse(client, daemon, b"to the first")
        self.reload(daemon, self.config([1]))
        self.assertEqual(daemon.summary()["relay a"]["sessions"], 0)
        session = self.converse(client, daemon, b"to the second", 1)
        self.answer(client, 1, session, b"from the second")
        self.assertEqual(daemon.end()["relay a"]["ended"], 2)

    def test_the_cap_holds(self):
        daemon = self.serve(self.config(max_sessions=2, source_sessions=0))
        clients = [self.udp() for _ in range(3)]
        for client in clients[:2]:
            self.answer(client, 0, self.converse(client, daemon, b"in"), b"welcome")
            self.converse(client, daemon, b"thanks")
        self.reload(daemon, self.config(max_sessions=2, source_sessions=0))
        clients[2].sendto(b"one too many", daemon.address("a"))
        daemon.await_counter("listener a", "session_limit", 1)
        self.assertEqual(daemon.summary()["relay a"]["sessions"], 2)
        self.reload(daemon, self.config(max_sessions=3, source_sessions=0))
        self.converse(clients[2], daemon, b"in now")
        daemon.end()

    def test_a_relay_that_becomes_an_echo(self):
        daemon = self.serve(self.config())
        client = self.udp()
        self.converse(client, daemon, b"hello")
        self.reload(daemon, ECHO)
        self.assert_echoes(client, daemon.address("a"), b"echo")
        self.reload(daemon, self.config())
        self.converse(client, daemon, b"hello")
        self.assertEqual(daemon.end()["relay a"]["sessions"], 0)

    def test_an_ejected_peer_stays_ejected(self):
        daemon = self.serve(self.config(**{"idle_timeout": "1h"}).replace("[peer:p0]\n", "[peer:p0]\nmax_fails = 1\n"
                                                                         "fail_timeout = 1h\n"))
        client, other = self.udp(), self.udp()
        self.converse(client, daemon, b"hello")
        port = self.peers[0].getsockname()[1]
        self.peers[0].close()
        client.sendto(b"refused", daemon.address("a"))
        daemon.await_line("peer p0: .* refuses datagrams: new sessions use other peers")
        with open(daemon.path, encoding="utf-8") as file:
            self.reload(daemon, file.read())
        self.peers[0] = self.udp(port=port)
        self.converse(other, daemon, b"to the second", 1)


if __name__ == "__main__":
    unittest.main()
