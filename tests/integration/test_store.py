"""Sockets from systemd: sockets of a unit (fd:NAME), and the file descriptor store, which keeps the daemon's sockets
between two runs. A class of this test acts as systemd."""
import array
import contextlib
import os
import re
import signal
import socket
import sys
import tempfile
import threading
import time

import harness
from forged import Forger, needs_raw_sockets

harness.in_namespace()

PORT = 7788
SO_RCVBUFFORCE = 33  # socket(7); Python has no name for it
ECHO = f"[udprelayd]\nworkers = 1\n[listener:a]\naddress = 127.0.0.1:{PORT}\naction = echo\nlog = none\n"
REUSED = [(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)]

# Moves the descriptors to the numbers of sd_listen_fds(3), and executes the daemon.
PASS = """
import fcntl, os, sys
high = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 200) for fd in sys.argv[1].split(",") if fd]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
os.closerange(3 + len(high), 400)
os.environ.update(LISTEN_FDS=str(len(high)), LISTEN_FDNAMES=sys.argv[2], LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[3], sys.argv[3:])
"""


class Manager:
    """Keeps the stored descriptors and passes them on, like systemd(1). It may read messages with a delay."""

    def __init__(self, test):
        self.test, self.store, self.lock = test, [], threading.Lock()
        directory = tempfile.TemporaryDirectory(prefix="udprelayd-store-")
        test.addCleanup(directory.cleanup)
        self.path = os.path.join(directory.name, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.setblocking(False)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.listen)
        self.thread.start()
        test.addCleanup(self.close)

    def listen(self):
        while not self.over.wait(0.1):
            self.hear()

    def close(self):
        self.over.set()
        self.thread.join()
        for _, fd in self.store:
            os.close(fd)
        self.socket.close()

    def hear(self):
        """Returns the messages of the daemon until now."""
        with self.lock, contextlib.suppress(BlockingIOError):
            while True:
                text, ancillary, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(4))
                fds = array.array("i")
                for _, _, data in ancillary:
                    fds.frombytes(data)
                self.take(dict(line.split("=", 1) for line in text.decode().splitlines()), fds)
        return sorted(name for name, _ in self.store)

    def take(self, said, fds):
        name = said.get("FDNAME")
        self.test.assertRegex(name or "-", r"^[ -9;-~]{1,255}$")
        if "FDSTORE" in said:
            self.test.assertEqual(said.get("FDPOLL"), "0")
            self.store += [(name, fd) for fd in fds]
        elif "FDSTOREREMOVE" in said:
            for _, fd in [item for item in self.store if item[0] == name]:
                os.close(fd)
            self.store = [item for item in self.store if item[0] != name]

    def start(self, config, units=()):
        """units: names and sockets."""
        self.hear()
        passed = [*self.store, *((name, unit.fileno()) for name, unit in units)]
        fds = [fd for _, fd in passed]
        wrapper = [sys.executable, "-c", PASS, ",".join(map(str, fds)), ":".join(name for name, _ in passed)]
        return self.test.start(config, wrapper=wrapper, pass_fds=fds, env={**os.environ, "NOTIFY_SOCKET": self.path})


def bound_ports():
    """Returns the UDP ports in use in the namespace, except those that the kernel chose."""
    ports = []
    for name in ("udp", "udp6"):
        with open(f"/proc/net/{name}", encoding="ascii") as file:
            ports += [int(line.split()[1].rsplit(":", 1)[1], 16) for line in file.readlines()[1:]]
    return [port for port in ports if port < 32768]


class Load(threading.Thread):
    """Sends a thousand numbered datagrams per second until it is stopped."""

    def __init__(self, sock, address):
        super().__init__()
        self.sock, self.address, self.sent, self.over = sock, address, 0, threading.Event()
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)  # the test reads it at the end
        self.start()

    def run(self):
        begin = time.monotonic()
        while not self.over.wait(max(0, begin + self.sent / 1000 - time.monotonic())):
            self.sock.sendto(b"%d" % self.sent, self.address)
            self.sent += 1

    def end(self):
        """Returns the numbers without a reply."""
        self.over.set()
        self.join()
        missing = set(range(self.sent))
        self.sock.settimeout(2)
        with contextlib.suppress(TimeoutError):
            while missing:
                missing.discard(int(self.sock.recv(100)))
        return missing


class StoreCase(harness.TestCase):
    def setUp(self):
        if not harness.built_with("systemd"):
            self.skipTest("built without systemd")
        self.manager = Manager(self)

    def serve(self, config, units=(), **popen):
        return self.manager.start(config, units).ready()

    def end(self, daemon, number=signal.SIGTERM):
        """Starts the daemon like systemd, with the stored sockets and no others."""
        if number == signal.SIGKILL:
            daemon.process.kill()
            daemon.wait()
        else:
            daemon.end(number)

    def reload(self, daemon, config):
        before = len([line for line in daemon.lines if re.search("configuration .* active", line)])
        with open(daemon.path, "w", encoding="utf-8") as file:
            file.write(config)
        daemon.send_signal(signal.SIGHUP)
        daemon.await_line("configuration .* active", before + 1)
        return self.manager.hear()


class RestartTest(StoreCase):
    def restart_under_load(self, workers, number):
        config = ECHO.replace("workers = 1", f"workers = {workers}")
        daemon = self.serve(config)
        client = self.udp()
        load = Load(client, ("127.0.0.1", PORT))
        try:
            for _ in range(3):
                heard = load.sent
                daemon.await_that(lambda: load.sent > heard + 100, "no load")
                self.end(daemon, number)
                heard = load.sent
                daemon = self.serve(config)
                self.assertIn(", a socket from systemd", daemon.lines[0])
        finally:
            missing = load.end()
        daemon.end()
        return missing

    def test_terminated(self):
        for workers in (1, 3):
            self.assertEqual(self.restart_under_load(workers, signal.SIGTERM), set())

    def test_killed(self):
        """Only the datagrams in the memory of the daemon at that moment may be lost."""
        self.assertLessEqual(len(self.restart_under_load(2, signal.SIGKILL)), 3)

    def test_killed_while_idle(self):
        daemon, client = self.serve(ECHO), self.udp()
        self.assert_echoes(client, ("127.0.0.1", PORT), b"before")
        self.end(daemon, signal.SIGKILL)
        for i in range(200):
            client.sendto(b"%d" % i, ("127.0.0.1", PORT))
        daemon = self.serve(ECHO)
        self.assertEqual([client.recv(100) for _ in range(200)], [b"%d" % i for i in range(200)])
        daemon.end()


class PathTest(StoreCase):
    """AF_UNIX sockets and their files."""

    def setUp(self):
        super().setUp()
        self.path = os.path.join(os.path.dirname(self.manager.path), "echo.sock")
        self.config = ECHO.replace(f"127.0.0.1:{PORT}", f"unix:{self.path}")

    def client(self):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(client.close)
        client.settimeout(harness.PATIENCE)
        client.bind("")  # a name that the kernel chooses
        client.connect(self.path)
        return client

    def assert_answers(self, client, payload):
        client.send(payload)
        self.assertEqual(client.recv(100), payload)

    def test_datagrams_wait_during_a_restart(self):
        """Clients stay connected, because the socket is the same."""
        daemon = self.serve(self.config)
        client = self.client()
        self.assert_answers(client, b"before")
        inode = os.lstat(self.path).st_ino
        for number in (signal.SIGTERM, signal.SIGKILL):
            self.end(daemon, number)
            for i in range(5):  # net.unix.max_dgram_qlen is at least 10
                client.send(b"%d" % i)
            daemon = self.serve(self.config)
            self.assertIn(", a socket from systemd", daemon.lines[0])
            self.assertEqual([client.recv(100) for _ in range(5)], [b"%d" % i for i in range(5)])
            self.assertEqual(os.lstat(self.path).st_ino, inode)
            self.assertEqual(len(self.manager.hear()), 1)
        daemon.end()

    def test_a_removed_file(self):
        """Clients can no longer reach the stored socket."""
        self.end(self.serve(self.config))
        os.unlink(self.path)
        daemon = self.serve(self.config)
        self.assert_answers(self.client(), b"anew")
        self.assertEqual(len(self.manager.hear()), 1)
        daemon.end()

    def test_a_file_of_another_socket(self):
        self.end(self.serve(self.config))
        os.rename(self.path, self.path + ".old")
        other = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(other.close)
        other.bind(self.path)
        daemon = self.manager.start(self.config)
        self.assertEqual(daemon.wait(), 1)
        self.assertRegex("\n".join(daemon.lines), r"address: unix:\S+: another program uses it")
        self.assertEqual(self.manager.hear(), [])
        self.assertTrue(os.path.exists(self.path))

    def test_another_path(self):
        """The path changes at a restart and at a reload."""
        other = self.path + ".2"
        for reloaded in (False, True):
            daemon = self.serve(self.config)
            before = self.manager.hear()
            config = self.config.replace(self.path, other)
            if reloaded:
                self.reload(daemon, config)
            else:
                self.end(daemon)
                daemon = self.serve(config)
            self.assertFalse(os.path.exists(self.path))
            self.assertTrue(os.path.exists(other))
            after = self.manager.hear()
            self.assertEqual(len(after), 1)
            self.assertNotEqual(before, after)
            self.end(daemon)

    def test_workers(self):
        """One worker reads it. The other addresses have sockets for all workers."""
        config = (self.config.replace("workers = 1", "workers = 3").replace("[listener:a]", "[listener:a]\ninterface = lo")
                  .replace("unix:", f"127.0.0.1:{PORT}, unix:"))
        for workers in (3, 2):
            daemon = self.serve(config.replace("workers = 3", f"workers = {workers}"))
            self.manager.hear()  # the daemon closes removed sockets; until then a datagram may go to one of them
            self.assert_answers(self.client(), b"one")
            self.assert_echoes(self.udp(), ("127.0.0.1", PORT), b"many")
            self.assertEqual(len(self.manager.hear()), workers + 1)
            self.end(daemon)

    def test_a_final_end_leaves_the_file(self):
        """systemd closes the socket then. The next start replaces the file."""
        self.end(self.serve(self.config))
        self.manager.hear()
        for _, fd in self.manager.store:
            os.close(fd)
        self.manager.store = []
        with self.assertRaises(ConnectionRefusedError):
            self.client()
        daemon = self.serve(self.config)
        self.assert_answers(self.client(), b"anew")
        daemon.end()


class RelayTest(StoreCase):
    """Sessions end with the daemon. It waits a moment for replies."""

    def test_replies_in_flight(self):
        peer, client = self.udp(), self.udp()
        config = (f"[udprelayd]\nworkers = 1\n[listener:a]\naddress = 127.0.0.1:{PORT}\naction = relay\npeers = p\n"
                  f"[peer:p]\naddress = 127.0.0.1:{peer.getsockname()[1]}\n")
        daemon = self.serve(config)
        for i in range(3):
            client.sendto(b"%d" % i, ("127.0.0.1", PORT))
        asked = [peer.recvfrom(10) for _ in range(3)]
        daemon.send_signal(signal.SIGTERM)
        for question, session in asked:
            peer.sendto(b"answer to " + question, session)
        self.assertEqual([client.recv(100) for _ in asked], [b"answer to %d" % i for i in range(3)])
        client.sendto(b"late", ("127.0.0.1", PORT))
        self.assertEqual(daemon.end()["relay a"]["answered"], 3)
        daemon = self.serve(config)
        self.assertEqual(peer.recv(10), b"late")
        daemon.end()

    def test_no_reply(self):
        """The wait is limited."""
        peer, client = self.udp(), self.udp()
        daemon = self.serve(f"[listener:a]\naddress = 127.0.0.1:{PORT}\naction = relay\npeers = p\n"
                            f"[peer:p]\naddress = 127.0.0.1:{peer.getsockname()[1]}\n")
        client.sendto(b"hello?", ("127.0.0.1", PORT))
        peer.recv(10)
        self.assertEqual(daemon.end()["relay a"]["answers"], 0)


class ChangeTest(StoreCase):
    def test_removed_sockets_are_closed(self):
        """This includes a socket that blocks the address of a new one."""
        for old, new in (("127.0.0.1:7788", "127.0.0.1:7799"), ("*:7788", "127.0.0.1:7788"),
                         ("127.0.0.1:7788", "0.0.0.0:7788")):
            with self.subTest(old=old, new=new):
                daemon = self.serve(ECHO.replace("127.0.0.1:7788", old))
                self.end(daemon)
                self.assertEqual(set(bound_ports()), {PORT})
                daemon = self.serve(ECHO.replace("127.0.0.1:7788", new))
                port = int(new.split(":")[1])
                count = len(self.manager.hear())
                self.assertEqual(bound_ports(), [port])
                self.assertEqual(count, 1)
                self.assert_echoes(self.udp(), ("127.0.0.1", port), b"anew")
                self.end(daemon)
                for _, fd in self.manager.store:
                    os.close(fd)
                self.manager.store = []
                self.assertEqual(bound_ports(), [])

    def test_reload(self):
        daemon = self.serve(ECHO)
        first = self.manager.hear()
        self.assertEqual(len(first), 1)
        both = self.reload(daemon, ECHO.replace("127.0.0.1:7788", "127.0.0.1:7788, [::1]:7799"))
        self.assertEqual(len(both), 2)
        self.assertLess(set(first), set(both))
        self.assertEqual(self.reload(daemon, ECHO.replace("127.0.0.1:7788", "[::1]:7799")), list(set(both) - set(first)))
        daemon.await_that(lambda: bound_ports() == [7799], "the old port stays bound")
        daemon.end()

    def test_an_address_that_overlaps_the_previous_one(self):
        """The new socket is bound while the old one is open."""
        addresses = ["127.0.0.1:7788", "0.0.0.0:7788", "*:7788", "127.0.0.1:7788", "*:7788", "[::1]:7788"]
        for workers in (1, 2):
            config = ECHO.replace("workers = 1", f"workers = {workers}")
            daemon = self.serve(config)
            for address in addresses[1:]:
                stored = self.reload(daemon, config.replace(addresses[0], address))
                self.assertEqual(len(stored), (2 if "*" in address else 1) * workers)
                self.assert_echoes(self.udp("::1" if "::" in address else "127.0.0.1"),
                                   ("::1" if "::" in address else "127.0.0.1", PORT), b"covered")
            daemon.end()

    def test_an_overlapping_address_under_load(self):
        """The old socket receives no datagrams after its last read."""
        for workers in (1, 2):
            config = ECHO.replace("workers = 1", f"workers = {workers}")
            daemon = self.serve(config)
            load = Load(self.udp(), ("127.0.0.1", PORT))
            try:
                for address in ["*:7788", "127.0.0.1:7788"] * 5:
                    heard = load.sent
                    self.reload(daemon, config.replace("127.0.0.1:7788", address))
                    daemon.await_that(lambda: load.sent > heard + 20, "no load")
            finally:
                missing = load.end()
            self.assertEqual(missing, set())
            daemon.end()

    def test_groups(self):
        """An open socket stays in the groups that it has joined, also across restarts."""
        def config(groups):
            return (f"[udprelayd]\nworkers = 1\n[listener:a]\naddress = 0.0.0.0:{PORT}\naction = sink\nmulticast = {groups}\n")

        harness.ip("route", "add", "224.0.0.0/4", "dev", "lo")
        self.addCleanup(harness.ip, "route", "del", "224.0.0.0/4", "dev", "lo")
        daemon = self.serve(config("239.1.1.1%lo"))
        first = self.manager.hear()
        self.end(daemon)
        daemon = self.serve(config("239.1.1.1%lo"))
        self.assertIn(", a socket from systemd", daemon.lines[0])
        self.assertEqual(self.manager.hear(), first)
        second = self.reload(daemon, config("239.1.1.2%lo"))
        self.assertEqual(len(second), 1)
        self.assertNotEqual(first, second)
        self.end(daemon)
        daemon = self.serve(config("239.1.1.3%lo"))
        client = self.udp()
        client.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        for number in (1, 2, 3):
            client.sendto(b"group %d" % number, (f"239.1.1.{number}", PORT))
        client.sendto(b"last", ("127.0.0.1", PORT))
        self.assertEqual([record["payload"] for record in daemon.records(2)], ["group 3", "last"])
        daemon.end()

    def test_an_interface_that_was_created_again(self):
        """A socket that is bound to a deleted device receives no datagrams, even if a new device has the same name."""
        def make_device():
            harness.ip("link", "add", "near0", "type", "veth", "peer", "name", "far0")
            for device in ("near0", "far0"):
                harness.ip("link", "set", device, "arp", "off", "up")
            harness.ip("address", "add", "192.0.2.1/24", "dev", "near0")

        def assert_hears(daemon, count):
            Forger(self).send_from("far0", ("192.0.2.9", 4242), ("192.0.2.1", PORT))
            self.assertEqual(daemon.records(count)[-1]["payload"], "forged")

        needs_raw_sockets()
        config = (f"[udprelayd]\nworkers = 1\n[listener:a]\naddress = 0.0.0.0:{PORT}\naction = sink\n"
                  "interface = near0\n")
        self.addCleanup(harness.ip, "link", "delete", "near0")
        make_device()
        daemon = self.serve(config)
        assert_hears(daemon, 1)
        self.end(daemon)
        for reloaded in (False, True):
            harness.ip("link", "delete", "near0")
            make_device()
            if reloaded:
                self.reload(daemon, config)
            else:
                daemon = self.serve(config)
            assert_hears(daemon, 1 + reloaded)
            self.assertEqual(len(self.manager.hear()), 1)
        daemon.end()

    def test_workers(self):
        """With more workers, new sockets join the stored ones. With fewer workers, the other stored sockets are closed,
        because no worker would read their datagrams."""
        counts = []
        for workers in (1, 3, 2):
            daemon = self.serve(ECHO.replace("workers = 1", f"workers = {workers}"))
            self.manager.hear()
            for _ in range(40):
                self.assert_echoes(self.udp(), ("127.0.0.1", PORT), b"anybody there?")
            counts.append(len(self.manager.hear()))
            self.end(daemon)
        self.assertEqual(counts, [1, 3, 2])

    def test_port_0_gets_a_new_port_every_time(self):
        daemon = self.serve(ECHO.replace("7788", "0"))
        self.assertEqual(self.manager.hear(), [])
        daemon.end()

    def test_a_failed_start_keeps_the_stored_sockets(self):
        self.end(self.serve(ECHO))
        before = self.manager.hear()
        daemon = self.manager.start(ECHO + "nonsense = 1\n")
        self.assertEqual(daemon.wait(), 78)
        self.assertEqual(self.manager.hear(), before)


class UnitTest(StoreCase):
    CONFIG = ECHO.replace(f"127.0.0.1:{PORT}", "fd:echo")

    def unit_socket(self, family=socket.AF_INET, address=("127.0.0.1", PORT), options=()):
        unit = socket.socket(family, socket.SOCK_DGRAM)
        self.addCleanup(unit.close)
        for option in options:
            unit.setsockopt(*option)
        unit.bind(address)
        return unit

    def test_families(self):
        path = os.path.join(os.path.dirname(self.manager.path), "echo.sock")
        units = [("echo", self.unit_socket()),
                 ("other", self.unit_socket(address=("127.0.0.1", 7799))),
                 ("echo", self.unit_socket(socket.AF_INET6, ("::1", PORT))),
                 ("echo", self.unit_socket(socket.AF_UNIX, path))]
        daemon = self.serve(self.CONFIG, units)
        self.assert_echoes(self.udp(), ("127.0.0.1", PORT), b"four")
        self.assert_echoes(self.udp("::1"), ("::1", PORT), b"six")
        client = self.unit_socket(socket.AF_UNIX, path + ".client")
        client.settimeout(harness.PATIENCE)
        self.assertEqual(self.ask(client, path, b"file"), (b"file", path))
        self.assertEqual(self.manager.hear(), [])
        daemon.end()
        self.assertTrue(os.path.exists(path), "the file is systemd's")
        warnings = [line for line in daemon.lines if "no listener uses the socket at" in line]
        self.assertEqual(len(warnings), 1)
        self.assertIn("the socket at 127.0.0.1:7799 from systemd: write `address = fd:other`, or", warnings[0])

    def test_buffers_stay(self):
        """systemd may set larger buffers than the daemon can."""
        unit = self.unit_socket(options=[(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)])
        daemon = self.serve(self.CONFIG + "receive_buffer = 64K\n", [("echo", unit)])
        self.assertEqual(unit.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF), 16 << 20)
        daemon.end()

    def test_wildcard(self):
        """The reply leaves from the address that the client used."""
        daemon = self.serve(self.CONFIG, [("echo", self.unit_socket(address=("0.0.0.0", PORT)))])
        for host in ("127.0.0.1", "127.1.2.3"):
            self.assert_echoes(self.udp(), (host, PORT), b"who?")
        daemon.end()

    def test_both_families_in_one(self):
        """systemd creates such a socket by default."""
        unit = self.unit_socket(socket.AF_INET6, ("::", PORT), [(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)])
        daemon = self.manager.start(self.CONFIG, [("echo", unit)])
        self.assertEqual(daemon.wait(), 1)
        self.assertRegex("\n".join(daemon.lines), r"address: fd:echo: its IPv6 socket also receives IPv4: write BindIPv6Only=")

    def test_workers_take_turns(self):
        units = [("echo", self.unit_socket(options=REUSED)) for _ in range(3)]
        daemon = self.serve(self.CONFIG.replace("workers = 1", "workers = 2"), units)
        for _ in range(40):
            self.assert_echoes(self.udp(), ("127.0.0.1", PORT), b"anybody there?")
        daemon.end()

    def test_reload(self):
        """The daemon uses a copy, so the socket is available again for a later configuration."""
        unit = self.unit_socket()
        daemon = self.serve(self.CONFIG, [("echo", unit)])
        elsewhere = ECHO.replace(f"{PORT}", "7799")
        client = self.udp()
        for config, port in ((self.CONFIG, PORT), (elsewhere, 7799), (self.CONFIG, PORT)):
            self.reload(daemon, config)
            self.assert_echoes(client, ("127.0.0.1", port), b"here")
        daemon.end()
        client.sendto(b"later", ("127.0.0.1", PORT))
        self.assertEqual(unit.recvfrom(10)[0], b"later")

    def test_the_address_of_a_unit_socket(self):
        """A listener at exactly the unit's address uses the unit's socket: service and socket unit do not conflict."""
        unit = self.unit_socket()
        daemon = self.serve(ECHO, [("echo", unit)])
        self.assert_echoes(self.udp(), ("127.0.0.1", PORT), b"at the start")
        self.assertEqual([line for line in daemon.lines if "no listener uses" in line], [])
        for number, config in enumerate((self.CONFIG, ECHO, ECHO.replace(str(PORT), "7799"), ECHO)):
            self.reload(daemon, config)
            port = 7799 if "7799" in config else PORT
            self.assert_echoes(self.udp(), ("127.0.0.1", port), b"reload %d" % number)
        daemon.end()
        self.udp().sendto(b"later", ("127.0.0.1", PORT))
        self.assertEqual(unit.recvfrom(10)[0], b"later")

    def test_the_wildcard_address_of_a_unit_socket(self):
        units = [("echo", self.unit_socket(address=("0.0.0.0", PORT))),
                 ("echo", self.unit_socket(socket.AF_INET6, ("::", PORT), [(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)]))]
        daemon = self.serve(ECHO.replace(f"127.0.0.1:{PORT}", f"*:{PORT}"), units)
        for host in ("127.0.0.1", "::1"):
            self.assert_echoes(self.udp(host), (host, PORT), b"star")
        daemon.end()

    def test_two_listeners_do_not_share_a_unit(self):
        other = ECHO.replace("[listener:a]", "[listener:b]").split("[udprelayd]\nworkers = 1\n")[1]
        daemon = self.manager.start(self.CONFIG + other, [("echo", self.unit_socket())])
        self.assertEqual(daemon.wait(), 1)
        self.assertRegex("\n".join(daemon.lines), r"\[listener:b\] address: \S+: another program uses it")

    def test_an_address_that_covers_a_unit_socket(self):
        """The unit's socket stays open: the wildcard socket would not receive datagrams to its address."""
        daemon = self.serve(self.CONFIG, [("echo", self.unit_socket())])
        with open(daemon.path, "w", encoding="utf-8") as file:
            file.write(ECHO.replace(f"127.0.0.1:{PORT}", f"0.0.0.0:{PORT}"))
        daemon.send_signal(signal.SIGHUP)
        daemon.await_line(rf"address: 0\.0\.0\.0:{PORT}: another program uses it")
        daemon.await_line("configuration 1 stays active")
        self.assert_echoes(self.udp(), ("127.0.0.1", PORT), b"as before")
        daemon.end()

    def test_the_port_of_an_echo_is_refused_as_a_source(self):
        daemon = self.serve(self.CONFIG, [("echo", self.unit_socket())])
        self.udp("127.0.0.2", PORT).sendto(b"I am an echo, too", ("127.0.0.1", PORT))
        daemon.await_counter("listener a", "source_port", 1)
        daemon.end()

    def test_not_passed(self):
        """A restart cannot fix this. If the unit starts later, a datagram starts the service."""
        daemon = self.manager.start(self.CONFIG, [("other", self.unit_socket())])
        self.assertEqual(daemon.wait(), 78)
        self.assertRegex("\n".join(daemon.lines), r"ini:4: \[listener:a\] address: fd:echo: systemd passed no socket of "
                                                  r"this name: start udprelayd\.socket with this FileDescriptorName=")

    def test_unsuitable_sockets(self):
        """Stream sockets, unbound sockets and connected sockets."""
        stream, unbound, connected = socket.socket(), socket.socket(type=socket.SOCK_DGRAM), self.unit_socket()
        nameless = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        connected.connect(("127.0.0.1", 7799))
        for unit in (stream, unbound, connected, nameless):
            with self.subTest(unit=unit):
                self.addCleanup(unit.close)
                daemon = self.manager.start(self.CONFIG, [("echo", unit)])
                self.assertEqual(daemon.wait(), 78)
                self.assertIn("ignoring `echo` from systemd: not a bound, unconnected datagram socket", "\n".join(daemon.lines))


if __name__ == "__main__":
    harness.main()
