"""Servers for tests of `udprelay load`: echo servers, each with a specific fault."""
import collections
import socket
import struct
import threading

import harness

PROBE = struct.Struct("=IIQQ")  # run, flow, number, time: the header of a datagram


class FaultyServer(threading.Thread):
    """An echo. fault(server, n, data, address) sends the replies to datagram number n."""

    def __init__(self, fault, host="127.0.0.1"):
        super().__init__(daemon=True)
        self.fault, self.count, self.kept, self.ends = fault, 0, None, False
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.sock.bind((host, 0))
        self.target = self.sock.getsockname()[:2]
        self.changed = threading.Condition()
        self.start()

    def run(self):
        with self.sock:
            while not self.ends:
                data, address = self.sock.recvfrom(65536)
                if data == b"end":
                    return
                self.fault(self, self.count, data, address)
                with self.changed:
                    self.count += 1
                    self.changed.notify_all()

    def send(self, data, address):
        self.sock.sendto(data, address)

    def await_count(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: self.count >= count, harness.PATIENCE), self.count

    def end(self):
        with socket.socket(self.sock.family, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"end", self.target)
        self.join(10)


def faithful(server, _, data, address):
    server.send(data, address)


def silent(*_):
    pass


def keeping(server, _, data, address):
    """Keeps the first datagram and does not reply to it."""
    server.kept = server.kept or (data, address)


def lossy(server, n, data, address):
    if n % 10:
        server.send(data, address)


def doubling(server, n, data, address):
    for _ in range(2 if n % 10 == 0 else 1):
        server.send(data, address)


def swapping(server, n, data, address):
    """Sends each second datagram before the previous one."""
    if n % 2 == 0:
        server.kept = data
    else:
        server.send(data, address)
        server.send(server.kept, address)


def confusing(server, n, data, address):
    """Replies to the client of the previous datagram."""
    previous, server.kept = server.kept, address
    server.send(data, previous if previous and n % 10 == 0 else address)


def inventing(server, n, data, address):
    """With the tenth datagram, sends invalid ones: empty, too short, too long, with another run, flow, number or
    time."""
    server.send(data, address)
    if n == 10:
        run, flow, number, then = PROBE.unpack_from(data)
        rest = data[PROBE.size:]
        for invented in (b"", data[:20], data + b"x", PROBE.pack(run ^ 1, flow, number, then) + rest,
                         PROBE.pack(run, flow + 1, number, then) + rest, PROBE.pack(run, flow, 1 << 40, then) + rest,
                         PROBE.pack(run, flow, number, then + (1 << 50)) + rest):
            server.send(invented, address)


class Relay:
    """A relay between clients and an echoing peer. fault(n, flow) returns the flow that gets reply number n."""

    def __init__(self, peer, fault=lambda n, flow: flow):
        self.peer, self.fault, self.clients, self.answers = peer, fault, {}, 0

    def __call__(self, server, _, data, address):
        flow = PROBE.unpack_from(data)[1]
        if address != self.peer:
            self.clients[flow] = address
            server.send(data, self.peer)
            return
        server.send(data, self.clients[self.fault(self.answers, flow)])
        self.answers += 1


class Counted:
    """A fault, and how many datagrams came from each address."""

    def __init__(self, fault=faithful):
        self.fault, self.sources = fault, collections.Counter()

    def __call__(self, server, n, data, address):
        self.sources[address] += 1
        self.fault(server, n, data, address)
