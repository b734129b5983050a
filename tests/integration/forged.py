"""Sends datagrams with forged source addresses, and records the datagrams on the wire."""
import socket
import struct
import time

import harness

ETH_P_IP = 0x0800
# The mark of forged datagrams. Datagrams of the kernel have another value, so the tap can distinguish them.
FORGED_TTL = 99


def needs_raw_sockets():
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP)).close()
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW).close()
    except PermissionError:
        harness.skip("raw sockets are not permitted here")


def checksum(data):
    """The checksum of IP (RFC 1071)."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data[:len(data) & ~1])) + (data[-1] << 8 if len(data) & 1 else 0)
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def packet(source, to, payload):
    """An IPv4 packet from one (host, port) to another, without UDP checksum."""
    size = 8 + len(payload)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + size, 0, 0, FORGED_TTL, socket.IPPROTO_UDP, 0,
                         socket.inet_aton(source[0]), socket.inet_aton(to[0]))
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return header + struct.pack("!HHHH", source[1], to[1], size, 0) + payload


def packet6(source, to, payload):
    """An IPv6 packet, in which UDP must have a checksum."""
    size = 8 + len(payload)
    ends = socket.inet_pton(socket.AF_INET6, source[0]) + socket.inet_pton(socket.AF_INET6, to[0])
    udp = struct.pack("!HHHH", source[1], to[1], size, 0) + payload
    sum_of_udp = checksum(ends + struct.pack("!II", size, socket.IPPROTO_UDP) + udp) or 0xffff
    return (struct.pack("!IHBB", 6 << 28, size, socket.IPPROTO_UDP, FORGED_TTL) + ends
            + udp[:6] + struct.pack("!H", sum_of_udp) + udp[8:])


def unreachable(source, to, kind=3, code=3, mtu=0):
    """An ICMP error that claims to come from the destination of a datagram; by default, the port is unreachable. source
    and to are those of the datagram, which need not exist."""
    quoted = packet(source, to, b"")
    icmp = struct.pack("!BBHHH", kind, code, 0, 0, mtu) + quoted
    icmp = icmp[:2] + struct.pack("!H", checksum(icmp)) + icmp[4:]
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(icmp), 0, 0, FORGED_TTL, socket.IPPROTO_ICMP, 0,
                         socket.inet_aton(to[0]), socket.inet_aton(source[0]))
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + icmp


class Forger:
    def __init__(self, test):
        self.v4 = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.v6 = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.frames = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        for sock in (self.v4, self.v6, self.frames):
            test.addCleanup(sock.close)

    def send(self, source, to, payload=b"forged"):
        if ":" in to[0]:
            self.v6.sendto(packet6(source, to, payload), (to[0], 0))
        else:
            self.v4.sendto(packet(source, to, payload), (to[0], 0))

    def refuse(self, source, to, *error):
        """Sends an ICMP error to the sender of a datagram: its destination refuses it."""
        self.v4.sendto(unreachable(source, to, *error), (source[0], 0))

    def send_from(self, device, source, to, payload=b"forged"):
        """Sends to all hosts at the other end of the device. A raw socket would fill in a missing address; a frame is
        sent unchanged."""
        self.frames.sendto(packet(source, to, payload), (device, ETH_P_IP, 0, 0, b"\xff" * 6))


class Tap:
    """Records the IPv4 datagrams on all interfaces, except forged ones."""

    def __init__(self, test):
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        test.addCleanup(self.sock.close)

    def sent(self, port, seconds, enough=1000):
        """Returns the destination and payload of each datagram from this port, from the start of the tap until
        `seconds` from now, or until there are `enough` of them."""
        seen, end = [], time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and len(seen) < enough:
            self.sock.settimeout(left)
            try:
                data = self.sock.recv(65536)
            except socket.timeout:
                break
            udp = (data[0] & 15) * 4
            if data[8] == FORGED_TTL or data[9] != socket.IPPROTO_UDP:
                continue
            source, to = struct.unpack_from("!HH", data, udp)
            if source == port:
                seen.append(((socket.inet_ntoa(data[16:20]), to), data[udp + 8:]))
        return seen
