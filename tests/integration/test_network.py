"""Datagrams between two hosts: separate network namespaces, connected by two pairs of interfaces.

    near (the daemon)  near0 192.0.2.1/24, 192.0.2.11, 2001:db8::1     far0 192.0.2.2, 2001:db8::2    far (the clients)
                       near1 198.51.100.1/24                           far1 198.51.100.2
"""
import ctypes
import json
import os
import socket
import struct
import subprocess
import threading
import time

import harness
import tool

harness.in_namespace("mount")

CLONE_NEWNET = 0x40000000
IPV6_JOIN = struct.Struct("@I")
UDP_SEGMENT = 103
LIBC = ctypes.CDLL(None, use_errno=True)


def set_up_network():
    # `ip netns` keeps its namespaces there. A separate mount hides the namespaces of this test from other programs.
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
    harness.ip("netns", "add", "far")
    for i in "01":
        harness.ip("link", "add", f"near{i}", "type", "veth", "peer", "name", f"far{i}", "netns", "far")
    for netns, side in ((), "near"), (("-n", "far"), "far"):
        for i in "01":
            harness.ip(*netns, "link", "set", f"{side}{i}", "addrgenmode", "none")
            harness.ip(*netns, "link", "set", f"{side}{i}", "up")
        harness.ip(*netns, "link", "set", "lo", "up")
    for netns, device, *addresses in [((), "near0", "192.0.2.1/24", "192.0.2.11/24", "2001:db8::1/64", "fe80::1/64"),
                                      (("-n", "far"), "far0", "192.0.2.2/24", "2001:db8::2/64", "fe80::2/64"),
                                      ((), "near1", "198.51.100.1/24"), (("-n", "far"), "far1", "198.51.100.2/24")]:
        for address in addresses:
            nodad = ["nodad"] if ":" in address else ["broadcast", "+"]
            harness.ip(*netns, "address", "add", address, "dev", device, *nodad)


def far_socket(family=socket.AF_INET):
    """A socket in the other namespace. A separate thread enters the namespace to create it."""
    made = []

    def make():
        namespace = os.open("/run/netns/far", os.O_RDONLY)
        if LIBC.setns(namespace, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        os.close(namespace)
        made.append(socket.socket(family, socket.SOCK_DGRAM))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return made[0]


class NetworkTest(harness.TestCase):
    def far(self, host):
        """A client in the other namespace, bound to the host's address."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = far_socket(family)
        self.addCleanup(sock.close)
        sock.settimeout(harness.PATIENCE)
        sock.bind(socket.getaddrinfo(host, 0, family, socket.SOCK_DGRAM)[0][4] if "%" not in host else (host, 0))
        return sock

    def test_replies_leave_from_the_address_written_to(self):
        daemon = self.serve("[listener:a]\naddress = *:0\naction = echo\n")
        port = daemon.address("a")[1]
        client = self.far("192.0.2.2")
        for host in ("192.0.2.1", "192.0.2.11", "192.0.2.1"):
            self.assert_echoes(client, (host, port), b"whence?")
        self.assert_echoes(self.far("2001:db8::2"), ("2001:db8::1", port), b"and here?")
        self.assertEqual(daemon.records(4)[1]["destination"], f"192.0.2.11:{port}")
        daemon.end()

    def test_link_local_addresses(self):
        daemon = self.serve("[listener:a]\naddress = [::]:0\naction = echo\n")
        client = far_socket(socket.AF_INET6)
        self.addCleanup(client.close)
        client.settimeout(harness.PATIENCE)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"far0")
        index = subprocess.check_output(["ip", "netns", "exec", "far", "cat", "/sys/class/net/far0/ifindex"])
        client.sendto(b"hello", ("fe80::1", daemon.address("a")[1], 0, int(index)))
        self.assertEqual(client.recv(100), b"hello")
        self.assertRegex(daemon.records(1)[0]["source"], r"^\[fe80::2%near0\]:\d+$")
        daemon.end()

    def test_bound_to_an_interface(self):
        daemon = self.serve("[listener:a]\naddress = 0.0.0.0:0\naction = echo\ninterface = near0\n")
        port = daemon.address("a")[1]
        self.assert_echoes(self.far("192.0.2.2"), ("192.0.2.1", port), b"this way")
        other = self.far("198.51.100.2")
        other.connect(("198.51.100.1", port))
        other.send(b"not that way")
        self.assertRaises(ConnectionRefusedError, other.recv, 100)
        self.assertEqual(daemon.end()["listener a"]["received"], 1)

    def test_broadcast(self):
        """The reply to a broadcast leaves from the address of the interface."""
        daemon = self.serve("[listener:a]\naddress = 0.0.0.0:0\naction = echo\n")
        port = daemon.address("a")[1]
        client = self.far("192.0.2.2")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        client.sendto(b"anybody?", ("192.0.2.255", port))
        self.assertEqual(client.recvfrom(100), (b"anybody?", ("192.0.2.1", port)))
        daemon.end()

    def test_a_broadcast_is_one_datagram(self):
        """The kernel gives each worker's socket a copy. The broadcast is received, echoed and counted once."""
        daemon = self.serve("[udprelayd]\nworkers = 4\n[listener:a]\naddress = 0.0.0.0:0\naction = echo\n")
        port = daemon.address("a")[1]
        client = self.far("192.0.2.2")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        for i in range(10):
            client.sendto(b"%d" % i, ("192.0.2.255", port))
            self.assertEqual(client.recv(100), b"%d" % i)
        self.assert_nothing_waits(client)
        self.assertEqual(daemon.end()["listener a"]["received"], 10)

    def test_a_peer_with_a_broadcast_address(self):
        """A broadcast reaches this host, too: a forward that listens on the port would send it again. For the kernel,
        the last address of a network is a broadcast address even if the interface has none configured."""
        harness.ip("address", "add", "203.0.113.1/24", "dev", "near0")
        self.addCleanup(harness.ip, "address", "del", "203.0.113.1/24", "dev", "near0")
        for everybody in "192.0.2.255", "203.0.113.255", "255.255.255.255":
            with self.subTest(everybody=everybody):
                said = self.refused("[listener:a]\naddress = 0.0.0.0:7788\naction = forward\npeers = p\n"
                                    f"[peer:p]\naddress = {everybody}:7788\n", 78)
                self.assertRegex(said, rf":6: \[peer:p\] address: `{everybody}:7788` is a broadcast address")

    def test_a_network_with_a_prefix_of_31_bits_has_no_broadcast_address(self):
        """Both of its addresses are hosts."""
        harness.ip("address", "add", "203.0.113.0/31", "dev", "near0")
        self.addCleanup(harness.ip, "address", "del", "203.0.113.0/31", "dev", "near0")
        self.serve("[listener:a]\naddress = 0.0.0.0:7788\naction = forward\npeers = p\n"
                   "[peer:p]\naddress = 203.0.113.1:7788\n").end()

    def test_this_host_gets_the_address_of_a_peer(self):
        """Hosts that share an address do this. Datagrams never loop, and reach the peer again after the address has
        moved back."""
        address = ["203.0.113.7/32", "dev", "near0"]
        harness.ip("route", "add", "203.0.113.7", "dev", "near0")
        self.addCleanup(harness.ip, "route", "del", "203.0.113.7", "dev", "near0")
        client = self.udp("192.0.2.1")
        for action, section in ("forward\nring_guard = off", "peer p"), ("relay", "listener a"):
            with self.subTest(action=action):
                daemon = self.serve("[listener:a]\naddress = 0.0.0.0:7788\npeers = p\n"
                                    f"action = {action}\n[peer:p]\naddress = 203.0.113.7:7788\n")
                client.sendto(b"there", ("192.0.2.1", 7788))
                daemon.await_counter("peer p", "sent", 1)
                harness.ip("address", "add", *address)
                self.addCleanup(subprocess.run, ["ip", "address", "del", *address], stderr=subprocess.DEVNULL)
                end = time.monotonic() + harness.PATIENCE
                while not daemon.summary()[section].get("loop"):
                    self.assertLess(time.monotonic(), end)
                    client.sendto(b"here", ("192.0.2.1", 7788))
                before = daemon.summary()
                self.assertLess(before["listener a"]["received"], 1000)
                harness.ip("address", "del", *address)
                while daemon.summary()["peer p"]["sent"] < before["peer p"]["sent"] + 2:
                    self.assertLess(time.monotonic(), end)
                    client.sendto(b"there again", ("192.0.2.1", 7788))
                daemon.end()

    def test_replies_from_a_link_local_address(self):
        """A client writes to our link-local address from another address. The reply leaves from the link-local
        address."""
        daemon = self.serve("[listener:a]\naddress = [::]:0\naction = echo\n")
        client = self.far("2001:db8::2")
        index = int(subprocess.check_output(["ip", "netns", "exec", "far", "cat", "/sys/class/net/far0/ifindex"]))
        client.sendto(b"hello", ("fe80::1", daemon.address("a")[1], 0, index))
        answer, source = client.recvfrom(100)
        self.assertEqual((answer, source[0].split("%")[0]), (b"hello", "fe80::1"))
        daemon.end()

    def test_a_slow_peer_delays_others_little(self):
        """The peer is behind a slow device: its copies are dropped and counted, and an echo on the same worker replies
        all the time."""
        if subprocess.run(["tc", "qdisc", "add", "dev", "near1", "root", "tbf", "rate", "400kbit", "burst", "4kb",
                           "limit", "10mb"]).returncode:
            self.skipTest("there is no tc, or no tbf in this kernel")
        self.addCleanup(subprocess.run, ["tc", "qdisc", "del", "dev", "near1", "root"], check=True)
        slow = self.far("198.51.100.2")
        daemon = self.serve("[udprelayd]\nworkers = 1\n[datagram_log]\ntarget = off\n"
                            "[listener:a]\naddress = 127.0.0.1:0\naction = forward\npeers = slow\nsend_buffer = 64K\n"
                            "[listener:e]\naddress = 127.0.0.1:0\naction = echo\n"
                            f"[peer:slow]\naddress = 198.51.100.2:{slow.getsockname()[1]}\n")
        client, other = self.udp(), self.udp()
        waits, end = [], time.monotonic() + 4
        while time.monotonic() < end:
            client.sendto(b"x" * 1000, daemon.address("a"))
            begin = time.monotonic()
            self.assert_echoes(other, daemon.address("e"), b"%d" % len(waits))  # all different, because the ring guard drops repeated ones
            waits.append(time.monotonic() - begin)
        counters = daemon.end()
        self.assertGreater(counters["peer slow"]["dropped"], 0)
        # Reading pauses at most a fifth of the time. The test allows twice as much.
        self.assertLess(sum(wait for wait in waits if wait > 0.005), 4 * 0.4)

    def test_a_load_on_an_own_public_address(self):
        """The address looks public, so --yes-i-own-it is required."""
        daemon = self.serve("[datagram_log]\ntarget = off\n[listener:a]\naddress = 192.0.2.1:0\naction = echo\n")
        target = [*map(str, daemon.address("a"))]
        self.assertEqual(tool.run("load", "--json", "-n", "0.1", *target)[0], 64)
        status, out, _ = tool.run("load", "--json", "-n", "0.1", "--yes-i-own-it", *target)
        result = json.loads(out)
        self.assertEqual((status, result["lost"], result["misdelivered"]), (0, 0, 0))
        self.assertEqual(daemon.end()["listener a"]["echoed"], result["sent"])

    def test_multicast_ipv4(self):
        daemon = self.serve("[listener:a]\naddress = 0.0.0.0:0\naction = echo\nmulticast = 239.1.2.3%near0\n")
        port = daemon.address("a")[1]
        client = self.far("192.0.2.2")
        client.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("192.0.2.2"))
        client.sendto(b"group", ("239.1.2.3", port))
        self.assertEqual(client.recvfrom(100), (b"group", ("192.0.2.1", port)))
        self.assertEqual(daemon.records(1)[0]["destination"], f"239.1.2.3:{port}")
        daemon.end()

    def test_multicast_ipv6(self):
        daemon = self.serve("[udprelayd]\nworkers = 2\n"
                            "[listener:a]\naddress = [::]:0\naction = echo\nmulticast = ff15::1234%near0\n")
        port = daemon.address("a")[1]
        client = self.far("2001:db8::2")
        index = int(subprocess.check_output(["ip", "netns", "exec", "far", "cat", "/sys/class/net/far0/ifindex"]))
        client.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, IPV6_JOIN.pack(index))
        client.sendto(b"group", ("ff15::1234", port))
        self.assertEqual(client.recv(100), b"group")
        self.assertRegex(daemon.records(1)[0]["destination"], rf"^\[ff15::1234\]:{port}$")
        self.assertEqual(daemon.end()["listener a"]["received"], 1, "a copy for each worker?")

    def test_multicast_on_another_interface_is_not_received(self):
        daemon = self.serve("[listener:a]\naddress = 0.0.0.0:0\naction = echo\nmulticast = 239.1.2.3%near1\n")
        port = daemon.address("a")[1]
        client = self.far("192.0.2.2")
        client.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("192.0.2.2"))
        client.sendto(b"group", ("239.1.2.3", port))
        self.assert_echoes(client, ("192.0.2.1", port), b"but this")
        self.assertEqual(daemon.end()["listener a"]["received"], 1)

    def test_trains_across_a_network(self):
        """GSO on one side, GRO on the other side, in both directions."""
        daemon = self.serve("[listener:a]\naddress = 192.0.2.1:0\naction = echo\n")
        client = self.far("192.0.2.2")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        for turn in range(10):
            segments = [bytes([i, turn]) * 500 for i in range(40)] + [b"end %d" % turn]
            client.sendmsg([b"".join(segments)], [(socket.SOL_UDP, UDP_SEGMENT, struct.pack("=H", 1000))], 0,
                           daemon.address("a"))
            self.assertEqual([client.recv(2000) for _ in segments], segments)
        self.assertEqual(daemon.end()["listener a"]["echoed"], 410)

    def forward_to_far(self, host, extra_peer=""):
        receiver = self.far(host)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        peers = "p, q" if extra_peer else "p"
        other = f"[peer:q]\naddress = {extra_peer}\n" if extra_peer else ""
        return receiver, self.serve(f"[listener:a]\naddress = 127.0.0.1:0\naction = forward\npeers = {peers}\n"
                                    f"[peer:p]\naddress = {host}:{receiver.getsockname()[1]}\n{other}")

    def test_gso_that_the_path_refuses(self):
        """Segments larger than the path MTU cannot be sent with GSO. The datagrams are then sent one by one."""
        harness.ip("link", "set", "near1", "mtu", "600")
        self.addCleanup(harness.ip, "link", "set", "near1", "mtu", "1500")
        receiver, daemon = self.forward_to_far("198.51.100.2")
        client = self.udp()
        segments = [bytes([i]) * 1000 for i in range(30)]
        for _ in range(5):
            client.sendmsg([b"".join(segments)], [(socket.SOL_UDP, UDP_SEGMENT, struct.pack("=H", 1000))], 0,
                           daemon.address("a"))
            self.assertEqual([receiver.recv(2000) for _ in segments], segments)
        counters = daemon.end()["peer p"]
        self.assertEqual((counters["sent"], counters["dropped"]), (150, 0))

    def test_unreachable_peers(self):
        """Each costs only its own copy, and the kernel's errno gives the reason."""
        harness.ip("route", "add", "prohibit", "203.0.113.0/24")
        self.addCleanup(harness.ip, "route", "del", "prohibit", "203.0.113.0/24")
        for address, reason in [("203.0.113.1:9", "denied"), ("233.252.0.1:9", "unreachable")]:
            receiver, daemon = self.forward_to_far("192.0.2.2", address)
            client = self.udp()
            for i in range(10):
                client.sendto(b"%d" % i, daemon.address("a"))
                self.assertEqual(receiver.recv(100), b"%d" % i)
            counters = daemon.end()
            self.assertEqual((counters["peer p"]["sent"], counters["peer q"][reason]), (10, 10))

    def test_an_interface_is_removed_and_created_again(self):
        receiver, daemon = self.forward_to_far("198.51.100.2")
        client = self.udp()
        client.sendto(b"one", daemon.address("a"))
        self.assertEqual(receiver.recv(100), b"one")
        harness.ip("link", "set", "near1", "down")
        client.sendto(b"two", daemon.address("a"))
        self.assertEqual(daemon.records(2)[1]["verdict"], "dropped:unreachable")
        harness.ip("link", "set", "near1", "up")
        receiver.settimeout(0.1)

        def arrives():
            client.sendto(b"three", daemon.address("a"))
            try:
                return receiver.recv(100)
            except socket.timeout:
                return None
        self.assertEqual(daemon.await_that(arrives, "nothing arrives any more"), b"three")
        daemon.end()


if __name__ == "__main__":
    set_up_network()
    harness.main()
