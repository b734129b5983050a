"""Failing system calls: the daemon continues after each failure and each errno, and counts every lost datagram."""
import os
import re
import socket
import struct
import subprocess
import tempfile
import time

import harness
import relay_peers
from relay_peers import at

LIBRARY = os.environ.get("UDPRELAYD_FAULTS", "build/tests/faults/libfaults.so")

SOL_UDP, UDP_SEGMENT = 17, 103

# The datagrams that a case sends in one round: single ones, and trains that become GSO sends.
SINGLES, TRAINS, TRAIN, SIZE = 40, 10, 20, 16

# Pause without datagrams, in which the daemon is idle. It retries sockets within this time, too.
IDLE_SECONDS = 1.2

# Longest delay of a reply, even if its receiver has no space (EGRESS_PATIENCE_MS).
ANSWER_SECONDS = 0.5


class Faults:
    """The environment of a daemon whose calls fail by the rules, and the number of failures."""

    def __init__(self, test, rules):
        directory = tempfile.TemporaryDirectory(prefix="udprelayd-faults-")
        test.addCleanup(directory.cleanup)
        self.path = os.path.join(directory.name, "counts")
        self.environment = {**os.environ, "LD_PRELOAD": os.path.abspath(LIBRARY), "FAULTS": rules,
                            "FAULTS_COUNTS": self.path}

    def injected(self, rule=0):
        with open(self.path, "rb") as file:
            return struct.unpack_from("QQ", file.read(), 16 * rule)[1]


def processor_seconds(process):
    with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+) kB", file.read())[1]) * 1024


def is_asleep(thread):
    with open(f"{thread}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0] == "S"


def await_sleep(process):
    """Waits until each of its threads sleeps: then all work is done."""
    end = time.monotonic() + harness.PATIENCE
    tasks = f"/proc/{process.pid}/task"
    while not all(is_asleep(f"{tasks}/{thread}") for thread in os.listdir(tasks)):
        if time.monotonic() > end:
            raise AssertionError("never asleep")


def received_by(sock):
    """Returns the datagrams that wait in the socket."""
    payloads = []
    sock.setblocking(False)
    while True:
        try:
            payloads.append(sock.recv(65536))
        except BlockingIOError:
            return payloads


def drops(counters):
    """Returns {reason: datagrams} over all sections."""
    known = {"received", "bytes", "sunk", "echoed", "forwarded", "relayed", "dropped", "kernel_dropped", "handed", "sent",
             "icmp_errors", "answers", "answered", "sessions", "started", "ended", "written"}
    found = {}
    for section in counters.values():
        for key in section.keys() - known:
            found[key] = found.get(key, 0) + section[key]
    return found


class Case:
    """A daemon with one client and numbered datagrams, all different."""

    def __init__(self, test, rules, **config):
        self.test, self.rules = test, rules
        self.faults = Faults(test, rules)
        self.client = test.udp()
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.sent = []
        self.heard = []  # received by the client
        self.prepare()
        self.daemon = test.start(f"[udprelayd]\nworkers = 1\n[datagram_log]\ntarget = off\n{self.config()}",
                                 env=self.faults.environment)

    def prepare(self):
        pass

    def receiver(self):
        sock = self.test.udp()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        return sock

    def begin(self):
        self.daemon.ready()
        self.round()

    def payloads(self, count):
        made = [b"%0*d" % (SIZE, len(self.sent) + i) for i in range(count)]
        self.sent += made
        return made

    def round(self):
        address = self.daemon.address("a")
        segment = [(SOL_UDP, UDP_SEGMENT, struct.pack("H", SIZE))]
        for payload in self.payloads(SINGLES):
            self.client.sendto(payload, address)
            await_sleep(self.daemon.process)
        for _ in range(TRAINS):
            self.client.sendmsg([b"".join(self.payloads(TRAIN))], segment, 0, address)
            time.sleep(0.001)

    def settle(self, all_answered):
        """Waits until all datagrams are counted, which happens after they are sent or dropped."""
        self.daemon.await_counter("listener a", "received", len(self.sent))
        self.heard += received_by(self.client)

    def is_whole(self, begin):
        """Returns whether all receivers got all datagrams from number begin on."""
        return self.heard[-len(self.sent[begin:]):] == self.sent[begin:]

    def check(self, counters):
        """Checks the counters against the received datagrams."""

    def assert_ordered(self, payloads):
        self.test.assertEqual(payloads, sorted(set(payloads)))


class EchoCase(Case):
    def config(self):
        return "[listener:a]\naddress = 127.0.0.1:0\naction = echo\n"

    def check(self, counters):
        self.assert_ordered(self.heard)
        self.test.assertEqual(len(self.heard), counters["listener a"]["echoed"])


class ForwardCase(Case):
    def prepare(self):
        self.peers = [self.receiver() for _ in range(2)]
        self.peers_heard = [[], []]

    def config(self):
        return ("[listener:a]\naddress = 127.0.0.1:0\naction = forward\npeers = p0, p1\n"
                + "".join(f"[peer:p{i}]\naddress = {at(peer)}\n" for i, peer in enumerate(self.peers)))

    def settle(self, all_answered):
        super().settle(all_answered)
        for peer, heard in zip(self.peers, self.peers_heard):
            heard += received_by(peer)

    def is_whole(self, begin):
        expected = self.sent[begin:]
        return all(heard[-len(expected):] == expected for heard in self.peers_heard)

    def check(self, counters):
        for i, heard in enumerate(self.peers_heard):
            self.assert_ordered(heard)
            self.test.assertEqual(len(heard), counters[f"peer p{i}"]["sent"])
            self.test.assertEqual(counters[f"peer p{i}"]["handed"], len(self.sent))
        self.test.assertEqual(len(set(sum(self.peers_heard, []))), counters["listener a"]["forwarded"])


class RelayCase(Case):
    def prepare(self):
        self.peer = self.receiver()
        self.peers = relay_peers.Echo(self.test, self.peer)

    def config(self):
        return relay_peers.config([at(self.peer)])

    def settle(self, all_answered):
        if all_answered:
            self.daemon.await_counter("relay a", "answered", len(self.sent))
        super().settle(all_answered)

    def exchange_singles(self):
        """Waits for each reply before the next datagram, so that the session reads each one with recv."""
        self.client.settimeout(harness.PATIENCE)
        for payload in self.payloads(SINGLES):
            self.client.sendto(payload, self.daemon.address("a"))
            self.heard.append(self.client.recv(65536))

    def asked(self):
        return [payload for payload, _ in self.peers.heard[0]]

    def is_whole(self, begin):
        """Replies of two sessions may arrive in another order."""
        expected = self.sent[begin:]
        return (self.asked()[-len(expected):] == expected
                and {b"0:" + payload for payload in expected} <= set(self.heard))

    def check(self, counters):
        self.assert_ordered(self.asked())
        self.test.assertEqual(len(self.heard), len(set(self.heard)))
        self.test.assertLessEqual({payload[2:] for payload in self.heard}, set(self.asked()))
        self.test.assertEqual(len(self.asked()), counters["listener a"]["relayed"])
        self.test.assertEqual(counters["peer p0"]["sent"], counters["listener a"]["relayed"])
        self.test.assertEqual(len(self.heard), counters["relay a"]["answered"])


# Rules that cost no datagram. The daemon waits for space about a millisecond each time, but at most
# EGRESS_OUTLET_PATIENCE_MS per second, so these faults are rare.
HARMLESS = [
    *[f"recvmmsg:{error}:every=2" for error in ("EAGAIN", "EINTR", "ENOMEM", "ENOBUFS", "EIO", "ECONNREFUSED")],
    "recvmmsg:short:every=2",
    "sendmmsg:EINTR:every=2",
    "sendmmsg:short:every=2",
    *[f"sendmmsg:{error}:first=5" for error in ("EAGAIN", "ENOBUFS", "ENOMEM")],
    "sendmmsg:EAGAIN:every=15",
    "sendmmsg:ENOBUFS:every=15",
    *[f"sendmmsg:{error}:gso" for error in ("EIO", "EINVAL", "EMSGSIZE", "EOPNOTSUPP")],
    "sendmmsg:EIO:gso:every=2",
    "sendmmsg:EINVAL:gso:after=3:first=1",
    "epoll_wait:EINTR:every=3",
    "setsockopt:ENOPROTOOPT",
    "recvmmsg:EINTR:every=3;sendmmsg:ENOBUFS:every=20;epoll_wait:EINTR:every=3;sendmmsg:EIO:gso:after=4",
]

# Rules for connected sockets. An error may belong to an earlier datagram, so a single error does not cause a drop.
HARMLESS_TO_PEERS = [
    "send:EINTR:every=2",
    *[f"send:{error}:first=5" for error in ("EAGAIN", "ENOBUFS", "ENOMEM")],
    *[f"send:{error}:every=2" for error in ("ECONNREFUSED", "EHOSTUNREACH", "EPERM", "EIO", "EINVAL")],
    "send:ECONNREFUSED:first=7",
]

# Rules that cost some datagrams, and the reason that counts them.
COSTLY_TO_CLIENTS = [
    ("sendmmsg:EPERM:every=3", "denied"),
    ("sendmmsg:EMSGSIZE:every=3", "message_size"),
    ("sendmmsg:EIO:every=3", "send_error"),
    ("sendmmsg:EINVAL:every=3", "send_error"),
    ("sendmmsg:ECONNREFUSED:every=3", "refused"),
    ("sendmmsg:EHOSTUNREACH:first=5", "unreachable"),
    ("sendmmsg:EPERM:first=5", "denied"),
    ("sendmmsg:EIO:first=12", "send_error"),
    ("sendmmsg:EAGAIN", "congested"),
    ("sendmmsg:ENOBUFS", "no_memory"),
    ("sendmmsg:ENOMEM", "no_memory"),
]

COSTLY_TO_PEERS = [
    ("send:EPERM:first=9", "denied"),
    ("send:EIO:first=9", "send_error"),
    ("send:EMSGSIZE:first=9", "message_size"),
    ("send:EINVAL:first=9", "send_error"),
    ("send:ECONNREFUSED:first=20", "refused"),
    ("send:EHOSTUNREACH:first=9", "unreachable"),
    ("send:EAGAIN", "congested"),
    ("send:ENOBUFS", "no_memory"),
    ("sendmmsg:EPERM:first=8", "denied"),
    ("sendmmsg:ENOBUFS", "no_memory"),
    ("socket:EMFILE:after=1:first=2", "no_descriptor"),
    ("socket:ENFILE:after=1:first=2", "no_descriptor"),
    ("socket:ENOMEM:after=1:first=2", "no_memory"),
    ("socket:ENOBUFS:after=1:first=2", "no_memory"),
    ("connect:EAGAIN:first=2", "no_port"),
    ("connect:EPERM:first=2", "denied"),
    ("connect:ENOMEM:first=2", "no_memory"),
    ("connect:EINTR:first=2", "unreachable"),
    ("connect:ECONNREFUSED:first=2", "refused"),
    ("connect:ENETUNREACH:first=2", "unreachable"),
]

HARMLESS_TO_RELAYS = [
    *[f"recv:{error}:every=2" for error in ("EAGAIN", "EINTR", "ENOMEM", "ECONNREFUSED", "EIO")],
    *[f"recvmsg:{error}" for error in ("EINTR", "ENOMEM", "ECONNREFUSED")],
]

COSTLY_TO_RELAYS = [
    ("epoll_ctl:ENOMEM:first=3", "no_memory"),
    ("epoll_ctl:ENOSPC:first=3", "no_descriptor"),
    ("sendmmsg:EPERM:every=3", "denied"),
    ("sendmmsg:EIO:every=3", "send_error"),
    ("sendmmsg:EINVAL:first=12", "send_error"),
]


def ends(rule):
    """Returns how often the rule makes a call fail, if there is a limit."""
    first = re.search("first=([0-9]+)", rule)
    return int(first[1]) if first else None


class FaultTest(harness.TestCase):
    def run_cases(self, kind, harmless, costly=()):
        """Runs all cases at once, so that they wait together."""
        cases = [(kind(self, rules), None) for rules in harmless] + [(kind(self, rules), why) for rules, why in costly]
        self.for_all(cases, lambda case, reason: case.begin())
        time.sleep(ANSWER_SECONDS)
        self.for_all(cases, self.look)
        time.sleep(IDLE_SECONDS)
        self.for_all(cases, self.go_on)
        time.sleep(ANSWER_SECONDS)
        self.for_all(cases, self.finish)

    def for_all(self, cases, step):
        for case, reason in cases:
            with self.subTest(rules=case.rules, kind=type(case).__name__):
                step(case, reason)

    def look(self, case, reason):
        case.settle(not reason)
        if ends(case.rules) and "recvmsg" not in case.rules:
            self.assertEqual(case.faults.injected(), ends(case.rules))
        if not reason:
            self.assertTrue(case.is_whole(0))
        case.seconds = processor_seconds(case.daemon.process)

    def go_on(self, case, reason):
        self.assertLess(processor_seconds(case.daemon.process) - case.seconds, 0.1 * IDLE_SECONDS)
        case.begun = len(case.sent)
        case.round()

    def finish(self, case, reason):
        """The last round, and the check of the counters."""
        case.settle(not reason)
        if not reason or ends(case.rules):
            self.assertTrue(case.is_whole(case.begun))
        counters = case.daemon.end()
        case.check(counters)
        self.assertGreater(case.faults.injected(), 0)
        self.assertEqual(counters["listener a"]["received"], len(case.sent))
        # A session with a broken socket may have unread replies.
        found = drops(counters).keys() - ({"session_ended"} if reason else set())
        self.assertEqual(found, {reason} if reason else set())

    def test_echo(self):
        self.run_cases(EchoCase, HARMLESS, COSTLY_TO_CLIENTS)

    def test_forward(self):
        self.run_cases(ForwardCase, HARMLESS + HARMLESS_TO_PEERS, COSTLY_TO_PEERS)

    def test_relay(self):
        self.run_cases(RelayCase, HARMLESS + HARMLESS_TO_PEERS + HARMLESS_TO_RELAYS, COSTLY_TO_PEERS + COSTLY_TO_RELAYS)


class ReceivingTest(harness.TestCase):
    def test_a_socket_that_cannot_be_read_for_a_while(self):
        """The daemon retries at intervals, not in a loop, and then reads all waiting datagrams."""
        case = EchoCase(self, "recvmmsg:ENOMEM:after=2:first=40")
        case.daemon.ready()
        seconds = processor_seconds(case.daemon.process)
        case.round()
        case.settle(True)
        self.assertLess(processor_seconds(case.daemon.process) - seconds, 0.2)
        self.assertEqual(case.faults.injected(), 40)
        case.check(case.daemon.end())
        self.assertEqual(case.heard, case.sent)

    def test_a_session_that_cannot_be_read_for_a_while(self):
        """The same applies to replies."""
        for error in ("ENOMEM", "EIO", "ECONNREFUSED"):
            with self.subTest(error=error):
                case = RelayCase(self, f"recv:{error}:after=2:first=40")
                case.daemon.ready()
                seconds = processor_seconds(case.daemon.process)
                case.exchange_singles()
                self.assertEqual(case.faults.injected(), 40)
                case.round()
                case.settle(True)
                self.assertLess(processor_seconds(case.daemon.process) - seconds, 0.2)
                counters = case.daemon.end()
                case.check(counters)
                self.assertTrue(case.is_whole(0))
                self.assertEqual(counters["relay a"]["started"], 1)

    def test_a_session_that_can_never_be_read(self):
        """It uses almost no CPU time, and few log lines."""
        peer = self.udp()
        case = Faults(self, "recv:EIO")
        daemon = self.serve("[udprelayd]\nworkers = 1\n" + relay_peers.config([at(peer)]), env=case.environment)
        client = self.udp()
        client.sendto(b"hello", daemon.address("a"))
        session = peer.recvfrom(100)[1]
        peer.sendto(b"answer", session)
        daemon.await_line("error: listener a: receiving replies of peer p0: Input/output error")
        seconds = processor_seconds(daemon.process)
        time.sleep(1)  # the period for which the CPU time is measured
        self.assertLess(processor_seconds(daemon.process) - seconds, 0.1)
        self.assertIn(len([line for line in daemon.lines if "receiving replies" in line]), range(1, 10))
        counters = daemon.end()["relay a"]
        self.assertEqual((counters["answers"], counters["session_ended"]), (1, 1))

    def test_an_interrupted_call_at_the_end(self):
        """Datagrams that arrived before the signal are processed."""
        for kind in (EchoCase, ForwardCase):
            with self.subTest(kind=kind.__name__):
                case = kind(self, "recvmmsg:EINTR:every=2;recvmmsg:EINTR:every=3")
                case.begin()
                case.settle(True)
                case.daemon.send_signal(harness.signal.SIGSTOP)
                for payload in case.payloads(600):
                    case.client.sendto(payload, case.daemon.address("a"))
                case.daemon.send_signal(harness.signal.SIGTERM)
                case.daemon.send_signal(harness.signal.SIGCONT)
                counters = case.daemon.end()["listener a"]
                self.assertEqual(counters["received"] + counters["kernel_dropped"], len(case.sent))

    def end_with(self, daemon, send):
        """Returns the last counters of a daemon that finds the datagrams of send() when it gets SIGTERM."""
        daemon.pause()
        send()
        daemon.send_signal(harness.signal.SIGTERM)
        daemon.send_signal(harness.signal.SIGCONT)
        return daemon.end()

    def test_sockets_that_cannot_be_read_at_the_end(self):
        """The daemon retries and processes the datagrams that have arrived."""
        for error in ("ENOMEM", "EIO", "ECONNREFUSED"):
            with self.subTest(error=error):
                faults = Faults(self, f"recvmmsg:{error}:after=2:first=20")
                daemon = self.serve("[udprelayd]\nworkers = 1\n[datagram_log]\ntarget = off\n[listener:a]\n"
                                    "address = 127.0.0.1:0, 127.0.0.2:0\naction = sink\n", env=faults.environment)
                client = self.udp()

                def send():
                    for i in range(600):
                        client.sendto(b"%d" % i, daemon.address("a", 1 + i % 2))
                counters = self.end_with(daemon, send)["listener a"]
                self.assertEqual(counters["received"] + counters["kernel_dropped"], 600)
                self.assertEqual(faults.injected(), 20)

    def test_sockets_that_can_never_be_read_at_the_end(self):
        """They delay the end by a moment. The daemon does not retry in a loop."""
        faults = Faults(self, "recvmmsg:EIO")
        daemon = self.serve("[udprelayd]\nworkers = 1\n[datagram_log]\ntarget = off\n[listener:a]\n"
                            "address = 127.0.0.1:0, 127.0.0.2:0\naction = sink\n", env=faults.environment)
        client = self.udp()

        def send():
            client.sendto(b"hello", daemon.address("a", 1))
            client.sendto(b"hello", daemon.address("a", 2))
        self.end_with(daemon, send)
        self.assertGreater(faults.injected(), 10)
        self.assertLess(faults.injected(), 250)
        self.assertLess(daemon.ending_seconds, 2)

    def test_answers_that_cannot_be_read_at_the_end(self):
        for error in ("ENOMEM", "EIO", "ECONNREFUSED"):
            with self.subTest(error=error):
                faults = Faults(self, f"recv:{error}:first=20")
                peer, client = self.udp(), self.udp()
                daemon = self.serve("[udprelayd]\nworkers = 1\n[datagram_log]\ntarget = off\n"
                                    + relay_peers.config([at(peer)]), env=faults.environment)
                client.sendto(b"hello", daemon.address("a"))
                session = peer.recvfrom(100)[1]
                counters = self.end_with(daemon, lambda: [peer.sendto(b"%d" % i, session) for i in range(100)])
                self.assertEqual(counters["relay a"]["answered"] + counters["relay a"]["kernel_dropped"], 100)
                self.assertEqual(faults.injected(), 20)


class ReceiverTest(harness.TestCase):
    def test_a_peer_that_reads_nothing_costs_no_memory(self):
        """It is blocked for seconds while more datagrams arrive for it. Another peer gets all datagrams."""
        directory = tempfile.TemporaryDirectory(prefix="udprelayd-unix-")
        self.addCleanup(directory.cleanup)
        path = os.path.join(directory.name, "peer")
        blocked = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(blocked.close)
        blocked.bind(path)
        other, client = self.udp(), self.udp()
        daemon = self.serve("[udprelayd]\nworkers = 1\n[datagram_log]\ntarget = off\n[listener:a]\n"
                            "address = 127.0.0.1:0\naction = forward\npeers = blocked, other\n"
                            f"[peer:blocked]\naddress = unix:{path}\n[peer:other]\naddress = {at(other)}\n")
        count, before, end = 0, None, time.monotonic() + 3
        while time.monotonic() < end:
            for i in range(count, count + 20):
                client.sendto(b"%d" % i + 1000 * b".", daemon.address("a"))
            for i in range(count, count + 20):
                self.assertEqual(other.recv(2000).rstrip(b"."), b"%d" % i)
            count += 20
            if not before and time.monotonic() > end - 2.5:
                before = resident(daemon.process)
        self.assertLess(resident(daemon.process) - before, 1 << 20)
        counters = daemon.end()
        self.assertEqual((counters["peer other"]["sent"], counters["peer other"]["dropped"]), (count, 0))
        self.assertGreater(counters["peer blocked"]["congested"], 0)
        self.assertEqual(counters["peer blocked"]["congested"], counters["peer blocked"]["dropped"])
        self.assertEqual(counters["peer blocked"]["sent"], len(received_by(blocked)))


class LogTest(harness.TestCase):
    """The calls of the log fail while datagrams flow."""

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="udprelayd-log-")
        self.addCleanup(self.directory.cleanup)
        self.path = os.path.join(self.directory.name, "datagrams.log")
        self.client = self.udp()
        self.echoed = 0

    def serve_with(self, rules, target, extra="", **popen):
        self.faults = Faults(self, rules)
        return self.serve(f"[udprelayd]\nworkers = 1\n[datagram_log]\ntarget = {target}\n{extra}\n"
                          "[listener:a]\naddress = 127.0.0.1:0\naction = echo\n", env=self.faults.environment, **popen)

    def echo(self, daemon, count):
        for _ in range(count):
            self.assert_echoes(self.client, daemon.address("a"), b"%d" % self.echoed)
            self.echoed += 1

    def assert_logged(self, lines):
        """Checks that the log has each datagram once, in order, and no other line."""
        records = [harness.RECORD.match(line) for line in lines]
        self.assertEqual([record and record["payload"] for record in records], [str(i) for i in range(self.echoed)])

    def end(self, daemon):
        counters = daemon.end()
        self.assertEqual(counters["listener a"]["echoed"], self.echoed)
        self.assertGreater(self.faults.injected(), 0)
        return counters["datagram log"]

    def lines(self):
        with open(self.path, encoding="utf-8") as file:
            return file.read().splitlines()

    def test_a_file_that_accepts_a_part_or_nothing_for_a_moment(self):
        for error in ("short:file", "EINTR:file:every=2", "EAGAIN:file:every=2"):
            with self.subTest(error=error):
                self.setUp()
                daemon = self.serve_with(f"write:{error}", self.path)
                self.echo(daemon, 300)
                self.assertEqual(self.end(daemon), {"written": 300, "dropped": 0})
                self.assert_logged(self.lines())
                self.assertFalse([line for line in daemon.lines if "error" in line])

    def test_a_file_that_fails_and_recovers(self):
        """It also fails in the middle of a line: no line is cut or duplicated."""
        for error, said in [("ENOSPC", "No space left on device"), ("EIO", "Input/output error"),
                            ("EDQUOT", "Disk quota exceeded")]:
            with self.subTest(error=error):
                self.setUp()
                daemon = self.serve_with(f"write:{error}:file:after=3:first=2;write:short:file", self.path)
                self.echo(daemon, 300)
                daemon.await_line(f"error: datagram log: cannot write to {self.path}: {said}: records wait")
                self.echo(daemon, 300)
                daemon.await_line("notice: datagram log: .*: writing again")
                self.echo(daemon, 300)
                self.assertEqual(self.end(daemon), {"written": 900, "dropped": 0})
                self.assert_logged(self.lines())
                self.assertEqual(len([line for line in daemon.lines if "error" in line]), 1)

    def test_a_stalled_pipe(self):
        """The reader pauses: this is logged once, and the records that do not fit into the queue are reported as
        missing."""
        os.mkfifo(self.path)
        pipe = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, pipe)
        daemon = self.serve_with("write:EINTR:file:every=2", self.path, "queue = 100")
        self.echo(daemon, 3000)
        daemon.await_line("error: datagram log: .*: the reader is too slow: records wait")
        seconds = processor_seconds(daemon.process)
        time.sleep(0.5)  # the period for which the CPU time is measured
        self.assertLess(processor_seconds(daemon.process) - seconds, 0.05)
        self.echo(daemon, 100)
        text = b""
        end = time.monotonic() + harness.PATIENCE
        while b"records dropped" not in text and time.monotonic() < end:
            try:
                text += os.read(pipe, 65536)
            except BlockingIOError:
                time.sleep(0.001)
        daemon.await_line("notice: datagram log: .*: writing again")
        self.echo(daemon, 20)
        counters = self.end(daemon)
        while rest := os.read(pipe, 65536):
            text += rest
        declared = sum(int(n) for n in re.findall(rb"records dropped: (\d+)", text))
        shown = [int(n) for n in re.findall(rb' echoed "(\d+)"\n', text)]
        self.assertEqual(shown, sorted(set(shown)))
        self.assertEqual(len(shown) + declared, self.echoed)
        self.assertEqual(counters, {"written": len(shown), "dropped": declared})
        self.assertEqual(len([line for line in daemon.lines if "error: datagram log" in line]), 1)

    def test_a_pipe_that_cannot_be_waited_for_for_a_moment(self):
        """Then nothing is written to it, because the write could block."""
        for error in ("EINTR", "ENOMEM", "EINVAL"):
            with self.subTest(error=error):
                self.setUp()
                os.mkfifo(self.path)
                pipe = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
                self.addCleanup(os.close, pipe)
                daemon = self.serve_with(f"poll:{error}:file:after=3:first=2", self.path)
                end = time.monotonic() + harness.PATIENCE
                while not self.faults.injected() and time.monotonic() < end:  # a wait covers many records
                    self.echo(daemon, 10)
                if error != "EINTR":
                    daemon.await_line("error: datagram log: .*: records wait")
                    seconds = processor_seconds(daemon.process)
                    daemon.await_line("notice: datagram log: .*: writing again")
                    self.assertLess(processor_seconds(daemon.process) - seconds, 0.2)
                self.echo(daemon, 100)
                self.assertEqual(self.end(daemon), {"written": self.echoed, "dropped": 0})
                self.assert_logged(os.read(pipe, 1 << 20).decode().splitlines())
                self.assertEqual(len([line for line in daemon.lines if "error" in line]), error != "EINTR")

    def fill_pipe(self):
        """Creates a pipe at the path, whose reader never reads."""
        os.mkfifo(self.path)
        for flags in os.O_RDONLY, os.O_WRONLY:
            pipe = os.open(self.path, flags | os.O_NONBLOCK)
            self.addCleanup(os.close, pipe)
        try:
            while True:
                os.write(pipe, b"." * 4096)
        except BlockingIOError:
            pass

    def test_a_full_pipe_that_cannot_be_waited_for_at_the_end(self):
        """A write to standard output could block: the daemon ends in time and reports the lost records."""
        for rule in ("poll:ENOMEM:stderr", "poll:EINTR:stderr:every=2"):
            with self.subTest(rule=rule):
                self.setUp()
                self.fill_pipe()
                daemon = self.serve_with(rule, "stdout", wrapper=["sh", "-c", 'exec "$@" >"$0"', self.path])
                self.echo(daemon, 100)
                daemon.await_line("error: datagram log: cannot write to stdout: .*: records wait")
                seconds = processor_seconds(daemon.process)
                time.sleep(0.5)
                self.assertLess(processor_seconds(daemon.process) - seconds, 0.1)
                self.assertEqual(self.end(daemon), {"written": 0, "dropped": 100})
                daemon.await_line("error: datagram log: stdout: the last 100 records could not be written")
                self.assertLess(daemon.ending_seconds, 4)

    def test_standard_error_that_accepts_a_part_or_nothing_for_a_moment(self):
        """Both logs use it."""
        for error in ("short:stderr", "EINTR:stderr:every=2", "EAGAIN:stderr:every=2"):
            with self.subTest(error=error):
                self.setUp()
                daemon = self.serve_with(f"write:{error}", "stderr")
                self.echo(daemon, 300)
                self.assertEqual(self.end(daemon), {"written": 300, "dropped": 0})
                self.assert_logged([line for line in daemon.lines if " > " in line])
                others = [line for line in daemon.lines if " > " not in line]
                self.assertFalse([line for line in others if not re.match(r"\S+Z (notice|info|warning: running as root)", line)],
                                 others)

    def test_standard_error_that_fails(self):
        """The log lines of that time are lost, but not later ones."""
        daemon = self.serve_with("write:EIO:stderr:after=20:first=1", self.path)
        end = time.monotonic() + harness.PATIENCE
        while not self.faults.injected() and time.monotonic() < end:
            daemon.send_signal(harness.signal.SIGUSR1)
            time.sleep(0.001)
        self.echo(daemon, 300)
        self.assertEqual(self.end(daemon), {"written": 300, "dropped": 0})

    def test_standard_error_that_cannot_be_waited_for(self):
        """The log retries without a busy loop, and the end does not wait for its lines."""
        daemon = self.serve_with("write:EAGAIN:stderr:after=20;poll:ENOMEM:stderr", self.path)
        end = time.monotonic() + harness.PATIENCE
        while not self.faults.injected() and time.monotonic() < end:
            daemon.send_signal(harness.signal.SIGUSR1)
            time.sleep(0.001)
        seconds = processor_seconds(daemon.process)
        time.sleep(1)  # the period for which the CPU time is measured
        self.assertLess(processor_seconds(daemon.process) - seconds, 0.1)
        self.echo(daemon, 100)
        daemon.send_signal(harness.signal.SIGTERM)
        self.assertEqual(daemon.wait(), 0)
        self.assert_logged(self.lines())


if __name__ == "__main__":
    harness.main()
