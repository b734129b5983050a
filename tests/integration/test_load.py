"""`udprelay load` against faulty servers: the report names each fault. Also its targets and its end."""
import json
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import threading
import time

import harness
import tool
from faulty_servers import (Counted, FaultyServer, Relay, confusing, doubling, faithful, inventing, keeping, lossy,
                            silent, swapping)

UDP_SEGMENT, UDP_GRO = 103, 104  # <linux/udp.h>
CLEAN = ("lost", "duplicated", "reordered", "misdelivered", "unsent", "refused")
SECONDS = 0.15  # seconds of a load, unless a test sets another time


def without_right_to_raise():
    """Returns a wrapper that fixes the descriptor limit, also for root."""
    return ["setpriv", "--bounding-set=-sys_resource"] if os.geteuid() == 0 else []


def may_open(soft, hard):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class LoadTestCase(harness.TestCase):
    def server(self, fault, *host):
        server = FaultyServer(fault, *host)
        self.addCleanup(server.end)
        return server

    def load(self, fault, *options):
        status, out, said = tool.run("load", "--json", "-n", SECONDS, *options, *self.server(fault).target)
        self.assertEqual((status, said), (0, ""))
        return json.loads(out)

    def start(self, *options):
        process = tool.start("load", "--json", "-n", SECONDS, *options)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def result(self, process, line=None):
        out, said = process.communicate(line, timeout=harness.PATIENCE)
        self.assertEqual((process.returncode, said), (0, b""))
        return json.loads(out)

    def go(self, process):
        """Returns the result of the load after its sessions are open."""
        self.assertEqual(process.stdout.readline(), b"ready\n")
        return self.result(process, b"go\n")

    def peers(self, process):
        """Returns the addresses in the first line of output."""
        addresses = [text.rpartition(":") for text in process.stdout.readline().decode().split()]
        return [(host.strip("[]"), int(port)) for host, _, port in addresses]

    def aim(self, process, address):
        process.stdin.write(b"%s:%d\n" % (address[0].encode(), address[1]))
        process.stdin.flush()

    def assert_clean(self, result, *but):
        for key in {*CLEAN} - set(but):
            self.assertEqual(result[key], 0, (key, result))

    def assert_all_back(self, result, least=50):
        self.assertGreater(result["received"], least)
        self.assertEqual(result["received"], result["sent"])
        self.assert_clean(result)


class FaultTest(LoadTestCase):
    def test_a_faithful_server(self):
        for options in (["-d", "64"], ["-f", "20", "-d", "2"], ["-d", "50", "-t", "10", "-s", "100"],
                        ["-t", "16"], ["-f", "3", "-r", "1000"], ["-f", "3", "-r", "1000", "-t", "8", "-s", "24"]):
            with self.subTest(options):
                self.assert_all_back(self.load(faithful, *options))

    def test_large_datagrams(self):
        """One datagram at a time, because the buffer of a server may hold only one."""
        for size in ("65507", "1473"):
            self.assert_all_back(self.load(faithful, "-s", size), least=10)

    def test_loss(self):
        result = self.load(lossy, "-f", "4", "-r", "1000")
        self.assertAlmostEqual(result["lost"] / result["sent"], 0.1, delta=0.02)
        self.assertAlmostEqual(result["lost_percent"], 100 * result["lost"] / result["sent"], places=2)
        self.assert_clean(result, "lost")

    def test_loss_in_a_closed_loop(self):
        """If no more replies arrive, the datagrams in flight count as lost."""
        result = self.load(lossy, "-d", "8")
        self.assertGreater(result["sent"], 15)
        self.assertGreater(result["lost"], 1)
        self.assert_clean(result, "lost")

    def test_duplicates(self):
        result = self.load(doubling, "-f", "2", "-r", "1000")
        self.assertAlmostEqual(result["duplicated"] / result["sent"], 0.1, delta=0.02)
        self.assert_clean(result, "duplicated")

    def test_reordering(self):
        result = self.load(swapping, "-d", "64")
        self.assertAlmostEqual(result["reordered"] / result["sent"], 0.5, delta=0.05)
        self.assert_clean(result, "reordered", "lost")

    def test_misdelivery(self):
        result = self.load(confusing, "-f", "7", "-r", "1000")
        self.assertAlmostEqual(result["misdelivered"] / result["sent"], 0.1, delta=0.03)
        self.assert_clean(result, "misdelivered", "lost")

    def test_datagrams_from_other_runs(self):
        result = self.load(inventing, "-f", "2", "-r", "500")
        self.assertEqual((result["misdelivered"], result["received"]), (7, result["sent"]))
        self.assert_clean(result, "misdelivered")


class PeersTest(LoadTestCase):
    """Receivers, echo peers, idle sessions, and the opening of sessions before the load."""

    def test_receivers(self):
        """Each peer of a forwarder gets all datagrams."""
        process = self.start("--receivers", "2", "-d", "16", "-")
        peers = self.peers(process)
        server = self.server(lambda server, n, data, address: [server.send(data, peer) for peer in peers])
        self.aim(process, server.target)
        result = self.result(process)
        self.assertGreater(result["sent"], 50)
        self.assertEqual(result["received"], 2 * result["sent"])
        self.assert_clean(result)

    def relay(self, fault, *options):
        process = self.start("--echo-peers", "1", "--hold", *options, "-")
        peer, = self.peers(process)
        self.aim(process, self.server(Relay(peer, fault)).target)
        return self.go(process)

    def test_echoing_peers(self):
        """Few and many echo peers with few and many flows. They are the target themselves."""
        for options in (["1", "-d", "16"], ["1", "-f", "20", "-d", "2"], ["7", "-f", "3", "-d", "8", "--hold"],
                        ["1", "-d", "200", "-t", "50"], ["6", "-f", "9", "-d", "30", "-t", "7", "-s", "1400"],
                        ["2", "-f", "3", "-r", "5000", "--hold"], ["2", "-6", "-d", "16"]):
            with self.subTest(options):
                process = self.start("--echo-peers", *options, "-")
                peers = self.peers(process)
                self.assertEqual(len(set(peers)), int(options[0]))
                host, port = peers[-1]
                self.aim(process, (f"[{host}]" if ":" in host else host, port))
                self.assert_all_back(self.go(process) if "--hold" in options else self.result(process))

    def test_addresses_of_peers(self):
        """The peers are bound to the address that the target can reach, if the target is known."""
        for host, shown in (("127.0.0.2", "127.0.0.1"), ("::1", "::1")):
            process = self.start("--echo-peers", "3", "-r", "100", *map(str, self.server(faithful, host).target))
            self.assertEqual({peer for peer, _ in self.peers(process)}, {shown})
            self.assert_all_back(self.result(process), least=10)
        process = self.start("--receivers", "1", "-b", "127.0.0.3", "-")
        self.assertEqual(self.peers(process)[0][0], "127.0.0.3")

    def test_a_train_goes_back_as_a_train(self):
        """A train and its shorter last datagram return as one message; a single datagram returns alone."""
        sock = self.udp()
        process = self.start("--echo-peers", "1", "-r", "10", "--hold", "-")
        peer, = self.peers(process)
        self.aim(process, sock.getsockname())
        greeting, flow = sock.recvfrom(65536)
        sock.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
        train = bytes(range(250)) + bytes(100)
        sock.sendmsg([train], [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", 100))], 0, peer)
        sock.sendto(b"one", peer)
        received = [sock.recvmsg(65536, 64) for _ in range(2)]
        self.assertEqual([(data, source) for data, _, _, source in received], [(train, peer), (b"one", peer)])
        self.assertEqual([[struct.unpack("=i", value)[0] for _, _, value in control]
                          for _, control, _, _ in received], [[100], []])
        sock.sendto(greeting, flow)
        self.go(process)

    def test_relay(self):
        for options in (["-d", "16"], ["-f", "20", "-d", "2"], ["-d", "50", "-t", "10"], ["-f", "5", "--idle", "100"]):
            with self.subTest(options):
                self.assert_all_back(self.relay(lambda n, flow: flow, *options))

    def test_answers_to_the_wrong_client(self):
        """The relay sends replies to the wrong client after all clients have sent a datagram."""
        result = self.relay(lambda n, flow: (flow + 1) % 7 if n >= 7 and n % 10 == 0 else flow, "-f", "7", "-r", "1000")
        self.assertAlmostEqual(result["misdelivered"] / result["sent"], 0.1, delta=0.03)
        self.assertEqual(result["lost"], result["misdelivered"])
        self.assert_clean(result, "misdelivered", "lost")

    def test_answers_to_an_idle_client(self):
        """The session is open during the load, and its replies are counted."""
        result = self.relay(lambda n, flow: 6 if n == 20 else flow, "-f", "2", "--idle", "5", "-r", "200")
        self.assertEqual((result["misdelivered"], result["lost"]), (1, 1))
        self.assert_clean(result, "misdelivered", "lost")

    def test_idle_sessions(self):
        """Each idle session sends one datagram before the load. The load uses the other sessions."""
        counted = Counted()
        process = self.start("-f", "3", "-d", "4", "--idle", "150", "--hold", *map(str, self.server(counted).target))
        self.assertEqual(process.stdout.readline(), b"ready\n")
        self.assertEqual(list(counted.sources.values()), [1] * 153)
        result = self.result(process, b"go\n")
        self.assertEqual(len(counted.sources), 153)
        self.assertEqual(sorted(counted.sources.values())[:150], [1] * 150)
        self.assertGreater(min(sorted(counted.sources.values())[150:]), 10)
        self.assertEqual(result["greeted"], 153)
        self.assertEqual(result["sent"], sum(counted.sources.values()))
        self.assert_all_back(result)

    def test_idle_sessions_without_hold(self):
        counted = Counted()
        result = self.result(self.start("-n", "0.2", "--idle", "70", "-r", "100", *map(str, self.server(counted).target)))
        self.assertEqual(sorted(counted.sources.values()), [1] * 70 + [21])
        self.assertEqual((result["greeted"], result["sent"]), (71, 91))
        self.assertAlmostEqual(result["sent_per_second"], 100, delta=1)  # the datagrams that open sessions do not count

    def test_unanswered_greetings(self):
        """The wait for their replies is limited, and they count as lost."""
        result = self.go(self.start("-f", "2", "--idle", "38", "-r", "20", "-n", "0.1", "--hold",
                                    *map(str, self.server(lossy).target)))
        self.assertEqual(result["greeted"], 36)
        self.assertIn(result["lost"], (4, 5))  # datagrams of the load; one in ten is lost, too
        self.assert_clean(result, "lost")

    def test_no_greeting_answered(self):
        target = self.server(silent).target
        self.assertEqual(tool.run("load", "--hold", "--idle", "3", *target),
                         (1, "", "udprelay: no reply came from %s:%d (a sink and a forward send none: for them, use --receivers)\n" % target))

    def test_standard_input_ends(self):
        for options, what in ((["--echo-peers", "1", "-"], "the target"),
                              (["--hold", *self.server(faithful).target], "a line to begin")):
            status, _, said = tool.run("load", *options)
            self.assertEqual((status, said), (1, f"udprelay: standard input ended before {what} came\n"))


class PaceTest(LoadTestCase):
    def test_the_rate_is_kept(self):
        """The number of datagrams is exact, for any train size."""
        for options, sent in ((["-r", "1000", "-f", "7"], 200), (["-r", "100", "-t", "4"], 20),
                              (["-r", "70", "-t", "8"], 16), (["-r", "1"], 1), (["-r", "20000", "-t", "10"], 4000)):
            with self.subTest(options):
                result = self.load(faithful, "-n", "0.2", *options)
                self.assertEqual(result["sent"] + result["unsent"], sent)
                self.assertGreater(result["received"], 0)

    def test_latency_counts_from_when_a_datagram_was_due(self):
        """While the generator is stopped, most datagrams become due and are sent late: the latency shows this."""
        def stop(server, n, data, address):
            server.send(data, address)
            if n == 50:
                process.send_signal(signal.SIGSTOP)
                threading.Event().wait(0.2)
                process.send_signal(signal.SIGCONT)

        server = self.server(stop)
        process = tool.start("load", "--json", "-r", "1000", "-n", "0.3", *server.target)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        result = self.result(process)
        self.assertEqual((result["sent"] + result["unsent"], result["received"]), (300, result["sent"]))
        self.assertGreater(result["p50_us"], 30000)
        self.assertGreater(result["p90_us"], 140000)
        self.assertGreater(result["max_us"], 180000)

    def test_it_sleeps_while_no_datagram_is_due(self):
        process = tool.start("load", "--json", "-r", "10", "-n", "0.6", *self.server(faithful).target)
        self.addCleanup(process.communicate)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(process.returncode, 0)
        self.assertLess(used.ru_utime + used.ru_stime, 0.3)


class TargetTest(LoadTestCase):
    """The permitted targets."""

    def refused(self, *words):
        """Refused targets are in the documentation networks (RFC 5737, RFC 3849), in case they are loaded by
        mistake."""
        begin = time.monotonic()
        status, out, said = tool.run("load", "-n", "60", *words)
        self.assertEqual((status, out), (64, ""), words)
        self.assertLess(time.monotonic() - begin, 10)
        return said

    def test_public_addresses(self):
        for host, shown in (("192.0.2.1", "192.0.2.1:7"), ("2001:db8::1", "[2001:db8::1]:7"),
                            ("::ffff:192.0.2.1", "192.0.2.1:7")):
            self.assertEqual(self.refused(host, "7"),
                             f"udprelay: {shown} is not loopback, private or link-local: add --yes-i-own-it if you "
                             "may load it\n")

    def test_groups_and_broadcast(self):
        """The owner of the addresses does not matter. Only the kernel knows that 127.255.255.255 is a broadcast
        address."""
        for host in ("233.252.0.1", "255.255.255.255", "ff02::db8:1%lo", "::ffff:233.252.0.1", "127.255.255.255"):
            self.assertIn(" is not the address of one host: write another address\n", self.refused("--yes-i-own-it", host, "7"))

    def test_a_target_from_standard_input(self):
        status, _, said = tool.run("load", "--echo-peers", "1", "-", input="192.0.2.1:7\n")
        self.assertEqual(status, 64)
        self.assertIn("--yes-i-own-it", said)

    def test_ipv6(self):
        """An IPv6 address, and an IPv4 address in IPv4-mapped form."""
        _, port6 = self.server(faithful, "::1").target
        _, port4 = self.server(faithful).target
        for words in (["::1", port6], ["-6", f"[::1]:{port6}"], ["-b", "::1", "-t", "4", "::1", port6],
                      ["::ffff:127.0.0.1", port4], ["-r", "500", "::1", port6]):
            status, out, said = tool.run("load", "--json", "-n", "0.1", *words)
            self.assertEqual((status, said), (0, ""), words)
            self.assert_all_back(json.loads(out), least=5)

    def test_bound(self):
        counted = Counted()
        server, spare = self.server(counted), self.udp("127.0.0.2")
        port = spare.getsockname()[1]
        spare.close()
        for words, source in ((["127.0.0.3", "-f", "2"], "127.0.0.3"), ([f"127.0.0.2:{port}"], "127.0.0.2")):
            counted.sources.clear()
            status, _, said = tool.run("load", "-n", "0.05", "-b", *words, *server.target)
            self.assertEqual((status, said), (0, ""))
            self.assertEqual({host for host, _ in counted.sources}, {source})
        self.assertEqual([*counted.sources], [("127.0.0.2", port)])

    def test_wrong_command_lines(self):
        for words in ([], ["127.0.0.1"], ["127.0.0.1", "0"], ["127.0.0.1", "7", "8"], ["-", "7"], ["unix:/nowhere"],
                      ["-f", "0"], ["-f", "16385"], ["-d", "0"], ["-d", "65537"], ["-r", "0"], ["-r", "10000001"],
                      ["-s", "23"], ["-s", "65508"], ["-t", "0"], ["-t", "65"], ["-n", "0"], ["-n", "3600.1"],
                      ["-n", "-1"], ["-n", "1e3"], ["-n", "inf"], ["-f", "1k"], ["--idle", "16385"],
                      ["--receivers", "0"], ["--receivers", "65"], ["--echo-peers", "65"], ["-b", "localhost"],
                      ["-b", "unix:/nowhere"], ["-b", "::1"], ["-b", "127.0.0.1:70000"], ["-f", "2", "-b", "127.0.0.1:7"],
                      ["--idle", "1", "-b", "127.0.0.1:7"], ["-d", "2", "-r", "2"], ["-f", "16384", "-d", "17"],
                      ["-d", "4", "-t", "5"], ["-t", "50", "-s", "1400"], ["--receivers", "1", "--echo-peers", "1"],
                      ["--receivers", "1", "--idle", "1"], ["--receivers", "5", "-f", "16384"], ["--nonsense"]):
            target = ["127.0.0.1", "7"] if words and words[0].startswith("-") and words != ["-", "7"] else []
            with self.subTest(words):
                self.assertIn("Try `udprelay load --help`.", self.refused(*words, *target))

    def test_descriptor_limit(self):
        """It raises the limit as needed, or reports the limit."""
        target = [*map(str, self.server(faithful).target)]
        for limits, status, said in ((may_open(64, 1024), 0, ""),
                                     (may_open(64, 64), 69,
                                      "udprelay: 200 sockets need 232 descriptors, but this process may open only 64: "
                                      "lower --flows or --idle, or raise the limit (`ulimit -Hn`)\n")):
            done = subprocess.run([*without_right_to_raise(), tool.PROGRAM, "load", "-f", "150", "--idle", "50",
                                   "-n", "0.1", *target], capture_output=True, text=True, timeout=harness.PATIENCE,
                                  stdin=subprocess.DEVNULL, preexec_fn=limits)
            self.assertEqual((done.returncode, done.stderr), (status, said))


class EndTest(LoadTestCase):
    """The end of a load, and its messages."""

    def test_a_port_without_a_program(self):
        """The port belongs to a socket that receives from one sender only, so no other program can bind it
        meanwhile."""
        for host in ("127.0.0.1", "::1"):
            sock = self.udp(host)
            sock.connect((host, 9))
            port = sock.getsockname()[1]
            shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            for options in ([], ["-d", "64"], ["-f", "9", "-d", "256", "-t", "16"], ["-r", "100"], ["--hold"],
                            ["--receivers", "1", "-d", "16"]):
                with self.subTest((host, options)):
                    begin = time.monotonic()
                    status, _, said = tool.run("load", *options, host, port)
                    self.assertEqual((status, said), (69, f"udprelay: no program listens at {shown} (ICMP)\n"))
                    self.assertLess(time.monotonic() - begin, 5)

    def test_the_server_stops(self):
        def end(server, n, data, address):
            server.send(data, address)
            server.ends = n == 100

        status, out, said = tool.run("load", "--json", "-n", 0.3, "-r", "1000", *self.server(end).target)
        result = json.loads(out)
        self.assertEqual(status, 69)
        self.assertIn("no program listens at ", said)
        self.assertEqual(result["received"], 101)
        self.assertGreater(result["refused"], 50)

    def test_silence(self):
        target = self.server(silent).target
        status, out, said = tool.run("load", "--json", "-n", "0.1", *target)
        result = json.loads(out)
        self.assertEqual((status, said), (1, "udprelay: no reply came from %s:%d (a sink and a forward send none: for them, use --receivers)\n" % target))
        self.assertEqual((result["received"], result["lost"], result["lost_percent"]), (0, result["sent"], 100))
        self.assertIsNone(result["p50_us"])

    def test_signals(self):
        """The signal arrives after the first replies, while the load is busy or sleeps."""
        for number, options, count in ((signal.SIGINT, ["-d", "4"], 100), (signal.SIGTERM, ["-r", "20"], 3)):
            server = self.server(faithful)
            process = tool.start("load", "--json", "-n", "3600", *options, *server.target)
            self.addCleanup(process.communicate)
            self.addCleanup(process.kill)
            server.await_count(count)
            process.send_signal(number)
            result = self.result(process)
            self.assertLess(result["seconds"], harness.PATIENCE)
            self.assertGreaterEqual(result["received"], count)
            self.assert_clean(result)

    def test_a_second_signal_does_not_wait_for_replies(self):
        """Duplicates of one reply continue, so the wait for the others would not end by itself."""
        server = self.server(keeping)
        process = tool.start("load", "--json", "-n", "3600", "-r", "20", *server.target)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        server.await_count(3)
        end = time.monotonic() + harness.PATIENCE
        while process.poll() is None and time.monotonic() < end:
            server.send(*server.kept)
            process.send_signal(signal.SIGINT)  # the kernel merges signals that arrive together
            threading.Event().wait(0.02)
        self.assertIsNotNone(process.poll(), "it waits for answers after the second signal")
        result = json.load(process.stdout)
        self.assertGreaterEqual(result["lost"], 2)
        self.assertGreaterEqual(result["received"], 1)

    def test_text(self):
        """The text has the same numbers as JSON, which unit tests check."""
        host, port = self.server(lossy).target
        status, out, said = tool.run("load", "-f", "2", "-r", "1000", "-n", "0.2", host, port)
        self.assertEqual((status, said), (0, ""))
        self.assertRegex(out, rf"""^127\.0\.0\.1:{port}: 2 flows, 1000 datagrams per second, 64 bytes, 0\.2 s
sent         200 datagrams, 1000 per second, 512 kbit/s
back         180 datagrams, \d+ per second, \d+ kbit/s
lost         20 \(10 %\)
duplicated   0, out of order 0, misdelivered 0
latency      min [\d.]+ [mµ]s, p50 [\d.]+ [mµ]s, p90 [\d.]+ [mµ]s, p99 [\d.]+ [mµ]s, p99\.9 [\d.]+ [mµ]s, max [\d.]+ [mµ]s
$""")

    def test_progress_on_a_terminal(self):
        terminal = tool.Terminal("load", "-r", "1000", "-n", "1.2", *self.server(faithful).target)
        self.addCleanup(terminal.close)
        for seconds in (0.5, 1.0):
            shown = terminal.await_text(rb"\r\x1b\[K([\d.]+) s of 1\.2 s: (\d+) sent/s, (\d+) back/s, (\d+) kbit/s")
            self.assertAlmostEqual(float(shown[1]), seconds, delta=0.2)
            for i, rate in ((2, 1000), (3, 1000), (4, 512)):
                self.assertAlmostEqual(int(shown[i]), rate, delta=0.2 * rate)
        terminal.await_text(rb"^\r\x1b\[K127\.0\.0\.1:\d+: 1 flow, ")  # the line is cleared
        terminal.await_text(rb"latency +min ")
        self.assertEqual(terminal.status(), 0)

    def test_no_progress(self):
        terminal = tool.Terminal("load", "-q", "-r", "1000", "-n", "0.6", *self.server(faithful).target)
        self.addCleanup(terminal.close)
        self.assertEqual(terminal.status(), 0)
        self.assertTrue(re.match(rb"127\.0\.0\.1:\d+: 1 flow, ", terminal.seen), terminal.seen)
        self.assertNotIn(b"\x1b", terminal.seen)


if __name__ == "__main__":
    harness.main()
