"""Loops between hosts in network namespaces. Forged datagrams start them, and each ends within the bound of the
manual."""
import ctypes
import os
import shutil
import socket
import subprocess
import threading
import time
import unittest

import forged
import harness

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
HOSTS = ("h1", "h2", "h3")
PORTS = {"h1": 7701, "h2": 7702, "h3": 7703}
FOREIGN_PORT = 7009
BOUND = 256  # Maximum number of datagrams of one daemon for each forged one, on average.


def ip_of(host):
    return f"192.0.2.{HOSTS.index(host) + 1}"


def ip6_of(host):
    return f"2001:db8::{HOSTS.index(host) + 1}"


def set_up_network():
    """Three hosts and a forger at one switch. The forger is in this namespace."""
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
    harness.ip("link", "set", "lo", "up")
    harness.ip("link", "add", "switch", "type", "bridge")
    harness.ip("address", "add", "192.0.2.99/24", "dev", "switch")
    harness.ip("address", "add", "2001:db8::99/64", "dev", "switch", "nodad")
    harness.ip("link", "set", "switch", "up")
    for host in HOSTS:
        harness.ip("netns", "add", host)
        harness.ip("link", "add", f"to-{host}", "type", "veth", "peer", "name", "eth0", "netns", host)
        harness.ip("link", "set", f"to-{host}", "master", "switch", "up")
        harness.ip("-n", host, "address", "add", ip_of(host) + "/24", "dev", "eth0")
        harness.ip("-n", host, "address", "add", ip6_of(host) + "/64", "dev", "eth0", "nodad")
        harness.ip("-n", host, "link", "set", "eth0", "up")
        harness.ip("-n", host, "link", "set", "lo", "up")


def enter(host):
    namespace = os.open(f"/run/netns/{host}", os.O_RDONLY)
    if LIBC.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    os.close(namespace)


def config_of(host, action, peer=None, more=""):
    text = (f"[datagram_log]\ntarget = off\n[udprelayd]\nworkers = 1\n[listener:a]\n"
            f"address = {ip_of(host)}:{PORTS[host]}\naction = {action.replace('convert', 'forward')}\n{more}\n")
    if action == "convert":
        text += "encoding = utf-8, gbk\n"
    if peer:
        text += f"peers = p\n[peer:p]\naddress = {peer[0]}:{peer[1]}\n"
        text += "encoding = utf-8\n" if action == "convert" else ""
    return text


class ForeignEcho:
    """An echo server of another program, in another namespace."""

    def __init__(self, test, host):
        made = threading.Event()
        self.sent = 0
        self.ended = False

        def run():
            enter(host)
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            self.sock.bind((ip_of(host), FOREIGN_PORT))
            self.sock.settimeout(0.1)
            made.set()
            while not self.ended:
                try:
                    payload, source = self.sock.recvfrom(65536)
                    self.sock.sendto(payload, source)
                    self.sent += 1
                except (TimeoutError, ConnectionRefusedError):
                    pass

        self.thread = threading.Thread(target=run)
        self.thread.start()
        made.wait()
        test.addCleanup(self.end)

    def end(self):
        self.ended = True
        self.thread.join()
        self.sock.close()


def payloads_of(count, equal):
    return [b"\xc4\xe3\xba\xc3" if equal else b"\xc4\xe3\xba\xc3 %d" % i for i in range(count)]


class LoopTest(harness.TestCase):
    def setUp(self):
        self.forger = forged.Forger(self)

    def serve_on(self, host, action, peer=None, more=""):
        peer = peer and (peer if isinstance(peer, tuple) else (ip_of(peer), PORTS[peer]))
        return self.serve(config_of(host, action, peer, more), preexec_fn=lambda: enter(host))

    def sent(self, daemon):
        """Returns the number of datagrams that the daemon has sent."""
        counters = daemon.summary()
        return (counters["listener a"]["echoed"] + counters.get("peer p", {}).get("sent", 0)
                + counters.get("relay a", {}).get("answered", 0))

    def await_silence(self, daemons):
        """Waits until no daemon sends. Returns the number of datagrams that each has sent."""
        end = time.monotonic() + 3 * harness.PATIENCE
        before = None
        while (now := [self.sent(daemon) for daemon in daemons]) != before:
            if time.monotonic() > end:
                self.fail(f"the loop does not end: {now}")
            before = now
            time.sleep(0.15)
        return before

    def assert_ends(self, daemons, source, to, payloads, bound=BOUND):
        before = [self.sent(daemon) for daemon in daemons]
        received = daemons[0].summary()["listener a"]["received"]
        for i, payload in enumerate(payloads):
            self.forger.send(source, to, payload)
            if i % 100 == 99:
                self.sent(daemons[0])  # not faster than the daemon replies
        daemons[0].await_counter("listener a", "received", received + len(payloads))
        after = self.await_silence(daemons)
        for first, last in zip(before, after):
            self.assertLessEqual(last - first, bound * len(payloads))
        return [last - first for first, last in zip(before, after)]

    def assert_all_end(self, daemons, source, to, counts=(40,)):
        for count in counts:
            for equal in (True, False):
                with self.subTest(count=count, equal=equal):
                    self.assert_ends(daemons, source, to, payloads_of(count, equal))

    def address(self, host):
        return ip_of(host), PORTS[host]


class TwoHosts(LoopTest):
    def test_echo_and_echo(self):
        daemons = [self.serve_on("h1", "echo"), self.serve_on("h2", "echo")]
        self.assert_all_end(daemons, self.address("h2"), self.address("h1"), (40, 4000))

    def test_one_datagram_on_average(self):
        daemons = [self.serve_on("h1", "echo"), self.serve_on("h2", "echo")]
        sent = [self.assert_ends(daemons, self.address("h2"), self.address("h1"), [b"one %d" % i], 4096)
                for i in range(12)]
        for i in range(2):
            self.assertLessEqual(sum(each[i] for each in sent) / len(sent), BOUND)

    def pair(self, first, second):
        daemons = [self.serve_on("h1", first, "h2"), self.serve_on("h2", second, "h1")]
        for source in (self.address("h2"), ("192.0.2.99", 5555)):
            with self.subTest(source=source):
                self.assert_ends(daemons, source, self.address("h1"), payloads_of(1, True))
                self.assert_all_end(daemons, source, self.address("h1"))
        return daemons

    def test_pairs_of_forwards_and_relays(self):
        actions = ("forward", "convert", "relay")
        for first in actions:
            for second in actions:
                with self.subTest(first=first, second=second):
                    for daemon in self.pair(first, second):
                        daemon.end()

    def test_over_ipv6(self):
        for action in ("forward", "relay"):
            with self.subTest(action=action):
                daemons = [self.serve(config_of(host, action, (f"[{ip6_of(other)}]", PORTS[other]))
                                      .replace(f"{ip_of(host)}:", f"[{ip6_of(host)}]:"),
                                      preexec_fn=lambda host=host: enter(host))
                           for host, other in (("h1", "h2"), ("h2", "h1"))]
                self.assert_all_end(daemons, (ip6_of("h2"), PORTS["h2"]), (ip6_of("h1"), PORTS["h1"]))
                self.assert_all_end(daemons, ("2001:db8::99", 5555), (ip6_of("h1"), PORTS["h1"]))
                counters = [daemon.end()["listener a"] for daemon in daemons]
                self.assertGreater(sum(c.get("hop_limit", 0) for c in counters), 0, counters)

    def test_many_through_two_forwards(self):
        daemons = self.pair("forward", "convert")
        self.assert_all_end(daemons, self.address("h2"), self.address("h1"), (4000,))

    def test_forward_to_an_echo(self):
        daemons = [self.serve_on("h1", "forward", "h2"), self.serve_on("h2", "echo")]
        self.assert_all_end(daemons, self.address("h2"), self.address("h1"))
        self.assert_all_end(daemons[::-1], self.address("h1"), self.address("h2"))

    def test_without_the_guard_the_loop_is_endless(self):
        daemons = [self.serve_on("h1", "forward", "h2", "loop_guard = off"),
                   self.serve_on("h2", "forward", "h1", "loop_guard = off")]
        self.forger.send(self.address("h2"), self.address("h1"), b"round")
        end = time.monotonic() + harness.PATIENCE
        while self.sent(daemons[0]) < 5000:
            self.assertLess(time.monotonic(), end)
        for daemon in daemons:
            daemon.close()


class ThreeHosts(LoopTest):
    def test_rings(self):
        for actions in (("forward",) * 3, ("convert",) * 3, ("relay",) * 3, ("forward", "relay", "convert")):
            with self.subTest(actions=actions):
                daemons = [self.serve_on(host, action, HOSTS[(i + 1) % 3])
                           for i, (host, action) in enumerate(zip(HOSTS, actions))]
                self.assert_all_end(daemons, self.address("h3"), self.address("h1"))
                self.assert_all_end(daemons, ("192.0.2.99", 5555), self.address("h1"))
                for daemon in daemons:
                    daemon.end()

    def test_a_relay_between_two_echoes(self):
        """The forged client is a foreign echo server. The peer is an echo of the daemon or of a foreign program."""
        ForeignEcho(self, "h3")
        for daemons in ([self.serve_on("h1", "relay", "h2"), self.serve_on("h2", "echo")],):
            self.assert_all_end(daemons, (ip_of("h3"), FOREIGN_PORT), self.address("h1"))
            for daemon in daemons:
                daemon.end()
        ForeignEcho(self, "h2")
        daemons = [self.serve_on("h1", "relay", (ip_of("h2"), FOREIGN_PORT))]
        # Each round passes the relay twice, and the guard drops datagrams in both directions.
        self.assert_all_end(daemons, (ip_of("h3"), FOREIGN_PORT), self.address("h1"))

    def test_a_relay_with_one_response(self):
        ForeignEcho(self, "h3")
        daemons = [self.serve_on("h1", "relay", "h2", "responses = 1"), self.serve_on("h2", "echo")]
        self.assert_all_end(daemons, (ip_of("h3"), FOREIGN_PORT), self.address("h1"))

    def test_an_echo_and_a_foreign_echo(self):
        ForeignEcho(self, "h3")
        daemons = [self.serve_on("h1", "echo")]
        self.assert_all_end(daemons, (ip_of("h3"), FOREIGN_PORT), self.address("h1"), (40, 400))

    @unittest.skipUnless(shutil.which("socat"), "socat is not installed")
    def test_an_echo_and_socat(self):
        socat = subprocess.Popen(["socat", f"UDP4-RECVFROM:{FOREIGN_PORT},bind={ip_of('h3')},fork", "EXEC:cat"],
                                 preexec_fn=lambda: enter("h3"))
        self.addCleanup(lambda: (socat.kill(), socat.wait()))
        self.assert_all_end([self.serve_on("h1", "echo")], (ip_of("h3"), FOREIGN_PORT), self.address("h1"), (10,))

    def test_a_relay_refuses_small_services(self):
        daemon = self.serve_on("h1", "relay", "h2")
        for port in (7, 13, 17, 19):
            self.forger.send((ip_of("h3"), port), self.address("h1"), b"small")
        daemon.await_counter("listener a", "source_port", 4)


class Multicast(LoopTest):
    def test_a_group_that_forwards_back(self):
        """Datagrams to a group start with a small hop limit, so they are forwarded regardless of it."""
        daemon = self.serve(f"[datagram_log]\ntarget = off\n[listener:a]\naddress = 239.0.0.1:{PORTS['h1']}\n"
                            f"multicast = 239.0.0.1%eth0\naction = forward\npeers = p\n"
                            f"[peer:p]\naddress = {ip_of('h2')}:{PORTS['h2']}\n", preexec_fn=lambda: enter("h1"))
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(sender.close)
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("192.0.2.99"))
        for i in range(10):
            sender.sendto(b"group %d" % i, ("239.0.0.1", PORTS["h1"]))
        daemon.await_counter("peer p", "handed", 10)
        self.assertEqual(daemon.summary()["listener a"].get("hop_limit", 0), 0)


if __name__ == "__main__":
    harness.in_namespace()
    forged.needs_raw_sockets()
    set_up_network()
    unittest.main()
