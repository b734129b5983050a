"""Name look-ups that take long: they delay neither other look-ups nor the end of the daemon."""
import re
import select
import shutil
import socket
import struct
import threading

import harness
from resolver_files import names

harness.in_namespace("mount")

HEADER = struct.Struct("!HHHHHH")
TYPE_A = 1


def reply_to(query, address):
    """The reply to a DNS query: one A record, or no record for another type."""
    number, flags, *_ = HEADER.unpack_from(query)
    end = query.index(b"\0", HEADER.size) + 5  # end of the question: name, type, class
    is_a = query[end - 4:end - 2] == struct.pack("!H", TYPE_A)
    record = struct.pack("!HHHLH", 0xC00C, TYPE_A, 1, 60, 4) + socket.inet_aton(address)
    head = HEADER.pack(number, 0x8180 | flags & 0x0100, 1, 1 if is_a else 0, 0, 0)
    return head + query[HEADER.size:end] + (record if is_a else b"")


def name_in(query):
    """The name that a DNS query asks for."""
    labels, position = [], HEADER.size
    while size := query[position]:
        labels.append(query[position + 1:position + 1 + size].decode("ascii"))
        position += 1 + size
    return ".".join(labels)


class NameServer(threading.Thread):
    """The name server at 127.0.0.53. It keeps all queries and replies to none until release() is called."""

    def __init__(self):
        super().__init__(daemon=True)
        # The kernel spreads the queries over the sockets: the buffer of one is too small for hundreds of queries.
        self.socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(8)]
        for sock in self.socks:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(("127.0.0.53", 53))
        self.lock = threading.Lock()
        self.ended = False
        self.keep()
        self.start()

    def run(self):
        while not self.ended:
            for sock in select.select(self.socks, [], [], 0.05)[0]:
                query, client = sock.recvfrom(65536)
                with self.lock:
                    self.names.add(name_in(query))
                    if self.released:
                        sock.sendto(reply_to(query, "127.0.0.8"), client)
                    else:
                        self.kept.append((query, client))

    def keep(self):
        """Stops replying to queries and discards the stored ones."""
        with self.lock:
            self.names, self.kept, self.released = set(), [], False

    def release(self):
        """Replies to all stored queries, and to all later ones."""
        with self.lock:
            self.released = True
            for query, client in self.kept:
                self.socks[0].sendto(reply_to(query, "127.0.0.8"), client)

    def end(self):
        self.ended = True
        self.join(harness.PATIENCE)
        for sock in self.socks:
            sock.close()


class SlowNamesTest(harness.TestCase):
    def setUp(self):
        # A look-up without a reply takes 30 s, which is longer than any test waits.
        names("127.0.0.9 good.test other.test\n")
        self.server = NameServer()
        self.addCleanup(self.server.end)

    def config(self, hosts, log="[datagram_log]\ntarget = off\n"):
        sections = "".join(f"[peer:{host.split('.')[0]}]\naddress = {host}:7799\n" for host in hosts)
        return (f"[udprelayd]\nworkers = 1\n{log}"
                "[listener:a]\naddress = 127.0.0.1:0\naction = forward\npeers = " +
                ",\n  ".join(host.split(".")[0] for host in hosts) + "\n" + sections)

    def await_queries(self, daemon, hosts):
        daemon.await_that(lambda: self.server.names >= set(hosts), "the name server does not get all queries")

    def reload(self, daemon, hosts, **config):
        with open(daemon.path, "w", encoding="utf-8") as file:
            file.write(self.config(hosts, **config))
        pattern = rf"configuration \d+ active: listeners: 1, peers: {len(hosts)},"
        before = len([line for line in daemon.lines if re.search(pattern, line)])
        daemon.send_signal(harness.signal.SIGHUP)
        daemon.await_line(pattern, before + 1)

    def assert_none_failed(self, daemon):
        """So all look-ups of slow names are still in progress."""
        self.assertEqual([line for line in daemon.lines if "cannot resolve" in line], [])

    def test_a_look_up_of_the_old_configuration_delays_no_record(self):
        daemon = self.serve(self.config(["slow.test"], log=""))
        self.await_queries(daemon, ["slow.test"])
        client = self.udp()
        client.sendto(b"before", daemon.address("a"))
        daemon.records(1)
        self.reload(daemon, ["good.test"], log="")
        client.sendto(b"after", daemon.address("a"))
        self.assertEqual([record["payload"] for record in daemon.records(2)], ["before", "after"])
        self.assert_none_failed(daemon)
        daemon.end()

    def test_forty_slow_names_do_not_delay_another(self):
        slow = [f"slow{i}.test" for i in range(40)]
        daemon = self.serve(self.config([*slow, "good.test"]))
        daemon.await_line(r"peer good: good\.test is 127\.0\.0\.9:7799")
        self.await_queries(daemon, slow)
        self.assert_none_failed(daemon)
        self.server.release()
        for i in range(40):
            daemon.await_line(rf"peer slow{i}: slow{i}\.test is 127\.0\.0\.8:7799")
        self.assert_none_failed(daemon)
        daemon.end()

    def test_reload_from_no_names_to_slow_ones(self):
        slow = [f"slow{i}.test" for i in range(8)]
        daemon = self.serve(self.config(["127.0.0.9"]))
        self.reload(daemon, [*slow, "good.test"])
        daemon.await_line(r"peer good: good\.test is ")
        self.await_queries(daemon, slow)
        self.assert_none_failed(daemon)
        daemon.end()

    def test_look_ups_of_retired_configurations_do_not_delay_another(self):
        slow = [f"slow{i}.test" for i in range(8)]
        daemon = self.serve(self.config([*slow, "good.test"]))
        daemon.await_line(r"peer good: good\.test is ")
        for _ in range(4):
            self.reload(daemon, [*slow, "good.test"])
        self.reload(daemon, [*slow, "good.test", "other.test"])
        daemon.await_line(r"peer other: other\.test is ")
        self.assert_none_failed(daemon)
        self.server.release()
        for i in range(8):
            daemon.await_line(rf"peer slow{i}: slow{i}\.test is 127\.0\.0\.8:7799")
        daemon.end()
        # The results of retired configurations are discarded.
        self.assertEqual(len([line for line in daemon.lines if "slow0.test is" in line]), 1)

    def test_more_names_than_threads(self):
        """A name that gets no thread is logged and tried again."""
        slow = [f"slow{i}.test" for i in range(257)]
        daemon = self.serve(self.config(slow))
        daemon.await_line(r"warning: peer slow256: cannot resolve slow256\.test: Resource temporarily unavailable; "
                          r"datagrams for it are dropped; the look-up is repeated")
        self.await_queries(daemon, slow[:256])
        self.server.release()
        for i in range(257):
            daemon.await_line(rf"peer slow{i}: slow{i}\.test is 127\.0\.0\.8:7799")
        daemon.end()
        self.assertEqual(len([line for line in daemon.lines if "cannot resolve" in line]), 1)

    def threads(self, daemon):
        with open(f"/proc/{daemon.process.pid}/status", encoding="utf-8") as file:
            return int(re.search(r"Threads:\s+(\d+)", file.read())[1])

    def test_end_while_look_ups_run(self):
        slow = [f"slow{i}.test" for i in range(40)]
        daemon = self.serve(self.config(slow))
        self.await_queries(daemon, slow)
        self.assertGreater(self.threads(daemon), 40)
        daemon.end()
        self.assert_none_failed(daemon)
        self.assertRegex(daemon.lines[-1], "notice: ended$")

    def test_end_while_look_ups_return(self):
        """Results arrive while the daemon ends."""
        slow = [f"slow{i}.test" for i in range(40)]
        for _ in range(5):
            self.server.keep()
            daemon = self.serve(self.config(slow))
            self.await_queries(daemon, slow)
            self.server.release()
            daemon.end()
            self.assertRegex(daemon.lines[-1], "notice: ended$")

    def test_threads_end_after_a_reload(self):
        """All memory of the retired configuration is freed."""
        slow = [f"slow{i}.test" for i in range(40)]
        daemon = self.serve(self.config(["127.0.0.9"]))
        before = self.threads(daemon)
        self.reload(daemon, slow)
        self.await_queries(daemon, slow)
        self.reload(daemon, ["127.0.0.9"])
        self.server.release()
        daemon.await_that(lambda: self.threads(daemon) == before, "threads of look-ups stay")
        self.assertEqual([line for line in daemon.lines if ".test is" in line], [])
        daemon.end()

    def test_valgrind_finds_no_error_at_the_end(self):
        """Retired and current look-ups are running. valgrind reports the thread memory of the C library as possibly
        lost, so the test counts only definite losses."""
        if not shutil.which("valgrind"):
            self.skipTest("there is no program `valgrind`")
        slow = [f"slow{i}.test" for i in range(4)]
        wrapper = ["valgrind", "--quiet", "--error-exitcode=99", "--leak-check=full", "--track-fds=no",
                   "--show-leak-kinds=definite,indirect", "--errors-for-leak-kinds=definite,indirect"]
        daemon = self.serve(self.config(["127.0.0.9"]))
        sanitized = daemon.is_sanitized()
        daemon.end()
        if sanitized:
            self.skipTest("valgrind cannot run a sanitized program")
        daemon = self.serve(self.config(slow), wrapper=wrapper)
        self.await_queries(daemon, slow)
        self.reload(daemon, [*slow, "late.test"])
        self.await_queries(daemon, ["late.test"])
        daemon.end()
        self.assertEqual([line for line in daemon.lines if line.startswith("==")], [])


if __name__ == "__main__":
    harness.main()
