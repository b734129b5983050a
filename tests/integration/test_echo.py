"""The echo: replies, dropped datagrams, and the count of every datagram."""
import socket
import struct

import harness

CONFIG = "[listener:a]\naddress = 127.0.0.1:0\naction = echo\n"
UDP_SEGMENT = 103


class EchoTest(harness.TestCase):
    def test_bytes_come_back_unchanged(self):
        daemon = self.serve(CONFIG)
        client = self.udp()
        for payload in (b"hello", bytes(range(256)), b"\xff" * 1472, b"x" * 9000):
            self.assert_echoes(client, daemon.address("a"), payload)
        counters = daemon.end()["listener a"]
        self.assertEqual((counters["received"], counters["bytes"], counters["echoed"]), (4, 5 + 256 + 1472 + 9000, 4))

    def test_empty_datagrams(self):
        daemon = self.serve(CONFIG)
        client = self.udp()
        for _ in range(3):
            self.assert_echoes(client, daemon.address("a"), b"")
        self.assertEqual(daemon.records(3)[2]["payload"], "")

    def test_largest_datagrams(self):
        daemon = self.serve(CONFIG)
        client = self.udp()
        for size in (65506, 65507):
            self.assert_echoes(client, daemon.address("a"), bytes(i % 251 for i in range(size)))
        self.assertEqual(daemon.end()["listener a"]["echoed"], 2)

    def test_largest_datagrams_over_ipv6(self):
        daemon = self.serve("[listener:a]\naddress = [::1]:0\naction = echo\nmax_datagram = 65527\n")
        self.assert_echoes(self.udp("::1"), daemon.address("a"), b"6" * 65527)
        daemon.end()

    def test_order_within_a_flow(self):
        daemon = self.serve(CONFIG)
        client = self.udp()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        for turn in range(20):
            sent = [struct.pack("!II", turn, i) for i in range(60)]
            for payload in sent:
                client.sendto(payload, daemon.address("a"))
            self.assertEqual([client.recv(100) for _ in sent], sent)
        self.assertEqual(daemon.end()["listener a"]["echoed"], 20 * 60)

    def test_many_clients(self):
        daemon = self.serve(CONFIG)
        clients = [self.udp() for _ in range(100)]
        for turn in range(5):
            for i, client in enumerate(clients):
                client.sendto(b"%d %d" % (i, turn), daemon.address("a"))
            for i, client in enumerate(clients):
                self.assertEqual(client.recv(100), b"%d %d" % (i, turn))
        self.assertEqual(daemon.end()["listener a"]["echoed"], 500)

    def test_trains_stay_whole(self):
        """A GSO train of 50 datagrams returns complete and in order, including the short last one."""
        daemon = self.serve(CONFIG)
        client = self.udp()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        control = [(socket.SOL_UDP, UDP_SEGMENT, struct.pack("=H", 100))]
        for turn in range(20):
            segments = [bytes([i, turn]) * 50 for i in range(50)] + [b"e%02d" % turn]
            client.sendmsg([b"".join(segments)], control, 0, daemon.address("a"))
            self.assertEqual([client.recv(200) for _ in segments], segments)
        counters = daemon.end()["listener a"]
        self.assertEqual((counters["received"], counters["bytes"]), (20 * 51, 20 * 5003))

    def test_clients_that_leave_do_not_affect_others(self):
        """The replies to closed clients cause ICMP errors, which do not count against other datagrams."""
        daemon = self.serve(CONFIG)
        client = self.udp()
        for i in range(200):
            gone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            gone.sendto(b"farewell", daemon.address("a"))
            gone.close()
            self.assert_echoes(client, daemon.address("a"), b"%d" % i)
        counters = daemon.end()["listener a"]
        self.assertEqual((counters["received"], counters["dropped"]), (400, 0))

    def test_sink(self):
        daemon = self.serve(CONFIG.replace("echo", "sink"))
        client = self.udp()
        client.sendto(b"hush", daemon.address("a"))
        self.assertEqual(daemon.records(1)[0]["verdict"], "sunk")
        self.assert_nothing_waits(client)
        self.assertEqual(daemon.end()["listener a"]["sunk"], 1)

    def test_refused_source_ports(self):
        client = self.udp()
        port = client.getsockname()[1]
        daemon = self.serve(CONFIG + f"refuse_source_ports = 7, {port}\n")
        client.sendto(b"answer me", daemon.address("a"))
        self.assertEqual(daemon.records(1)[0]["verdict"], "dropped:source_port")
        self.assert_echoes(self.udp(), daemon.address("a"), b"me")
        self.assert_nothing_waits(client)
        self.assertEqual(daemon.end()["listener a"]["source_port"], 1)

    def test_echoes_do_not_echo_each_other(self):
        """A forged datagram from one echo listener to another is dropped as a loop."""
        daemon = self.serve("[listener:a]\naddress = 127.0.0.1:0\naction = echo\n"
                            "[listener:b]\naddress = 127.0.0.2:0\naction = echo\n")
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
            source, target = daemon.address("a")[1], daemon.address("b")
            raw.bind(("127.0.0.1", 0))
            raw.sendto(struct.pack("!HHHH", source, target[1], 8 + 4, 0) + b"ping", (target[0], 0))
        self.assertEqual(daemon.records(1, "b")[0]["verdict"], "dropped:loop")
        counters = daemon.end()
        self.assertEqual(counters["listener b"]["loop"], 1)
        self.assertEqual(counters["listener a"]["received"], 0)


def may_use_raw_sockets():
    try:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP).close()
        return True
    except PermissionError:
        return False


if not may_use_raw_sockets():
    EchoTest.test_echoes_do_not_echo_each_other = harness.unittest.skip("raw sockets need root")(
        EchoTest.test_echoes_do_not_echo_each_other)

if __name__ == "__main__":
    harness.main()
