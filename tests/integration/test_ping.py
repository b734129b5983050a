"""`udprelay ping` against the daemon, and against servers with all faults that a network can have."""
import json
import os
import re
import signal
import socket
import subprocess
import time

import harness
import tool
from pings import ANSWER, HEAD, PingTest, Said


class DaemonTest(PingTest):
    def assert_answers(self, said, name, size=64):
        self.assertEqual(said.status, 0, said.output + said.errors)
        self.assertEqual([(a["size"], a["source"], a["seq"], a["remarks"]) for a in said.answers],
                         [(str(size), name, str(seq), "") for seq in (1, 2, 3)])
        self.assertEqual(said.lines[3], f"--- {name} ---")
        self.assertEqual(said.counts("sent", "answered", "lost", "percent", "duplicates", "out_of_order", "refused"),
                         (3, 3, 0, 0, 0, 0, 0))
        times = sorted(float(a["time"]) for a in said.answers)
        self.assertEqual((said.times[0], said.times[5]), (times[0], times[2]))
        self.assertAlmostEqual(said.times[1], sum(times) / 3, delta=0.002)
        self.assertEqual(len(said.lines), 6)

    def test_echo(self):
        path = self.directory() + "/echo"
        daemon = self.serve(f"[listener:four]\naddress = 127.0.0.1:0\naction = echo\n"
                            f"[listener:six]\naddress = [::1]:0\naction = echo\n"
                            f"[listener:local]\naddress = unix:{path}\naction = echo\n"
                            "[datagram_log]\ntarget = off\n")
        four, six = daemon.address("four")[1], daemon.address("six")[1]
        fast = "-c", 3, "-i", 0.002
        self.assert_answers(self.ping(*fast, "127.0.0.1", four), f"127.0.0.1:{four}")
        self.assert_answers(self.ping(*fast, f"127.0.0.1:{four}", "-s", 24), f"127.0.0.1:{four}", 24)
        self.assert_answers(self.ping(*fast, "-4", "127.0.0.1", four, "-s", 65507), f"127.0.0.1:{four}", 65507)
        self.assert_answers(self.ping(*fast, "::1", six), f"[::1]:{six}")
        self.assert_answers(self.ping(*fast, "-6", "::1", six, "-s", 65507), f"[::1]:{six}", 65507)
        self.assert_answers(self.ping(*fast, f"unix:{path}"), f"unix:{path}")
        self.assertEqual(daemon.end()["listener four"]["echoed"], 9)

    def test_a_name(self):
        harness.needs_localhost(self)
        daemon = self.serve("[listener:a]\naddress = 127.0.0.1:0\naction = echo\n")
        port = daemon.address("a")[1]
        self.assert_answers(self.ping("-c", 3, "-i", 0.002, "-4", "localhost", port), f"127.0.0.1:{port}")
        self.assertEqual(daemon.end()["listener a"]["echoed"], 3)


class NetworkTest(PingTest):
    """Faults on the path."""

    def test_loss(self):
        def answer(number, data, source):
            if number % 2:
                server.sock.sendto(data, source)
        server = self.server(answer)
        said = self.ping("-c", 6, "-i", 0.002, "-W", 0.1, "127.0.0.1", self.port(server))
        self.assertEqual(said.status, 0)
        self.assertEqual([a["seq"] for a in said.answers], ["2", "4", "6"])
        self.assertEqual(said.counts("sent", "answered", "lost", "percent", "out_of_order"), (6, 3, 3, 50, 0))
        self.assertGreaterEqual(said.summary["seconds"], 0.1)

    def test_duplicates(self):
        def answer(number, data, source):
            server.sock.sendto(data, source)
            server.sock.sendto(data, source)
        server = self.server(answer)
        # The duplicate of the last reply arrives after the end of the wait.
        said = self.ping("-c", 4, "-i", 0.1, "127.0.0.1", self.port(server))
        self.assertEqual([(a["seq"], a["remarks"]) for a in said.answers][:6],
                         [(seq, remark) for seq in "123" for remark in ("", " (duplicate)")])
        self.assertEqual(said.counts("sent", "answered", "lost"), (4, 4, 0))
        self.assertIn(said.counts("duplicates"), [(3,), (4,)])
        found = json.loads(self.ping("--json", "-c", 4, "-i", 0.1, "127.0.0.1", self.port(server)).output)
        self.assertGreaterEqual(found["duplicates"], 3)
        self.assertEqual(sum(bin["count"] for bin in found["bins"]), 4, "times are those of first answers")

    def test_reordering(self):
        held = []

        def answer(number, data, source):
            held.append(data)
            if number % 2:
                server.sock.sendto(held.pop(), source)
                server.sock.sendto(held.pop(), source)
        server = self.server(answer)
        said = self.ping("-c", 4, "-i", 0.02, "127.0.0.1", self.port(server))
        self.assertEqual([(a["seq"], a["remarks"]) for a in said.answers],
                         [("2", ""), ("1", " (out of order)"), ("4", ""), ("3", " (out of order)")])
        self.assertEqual(said.counts("sent", "answered", "lost", "duplicates", "out_of_order"), (4, 4, 0, 0, 2))
        self.assertGreater(float(said.answers[1]["time"]), float(said.answers[0]["time"]))
        self.assertGreater(said.times[6], 0, "jitter")

    def test_jitter_and_percentiles_are_those_of_the_lines(self):
        server = self.echo()
        said = self.ping("-c", 20, "-i", 0.002, "127.0.0.1", self.port(server))
        times = [float(a["time"]) for a in said.answers]
        self.assertEqual(len(times), 20)
        self.assertAlmostEqual(said.times[6], sum(abs(a - b) for a, b in zip(times, times[1:])) / 19, delta=0.002)
        times.sort()
        for told, rank in zip(said.times[2:5], (10, 18, 20)):
            self.assertAlmostEqual(told, times[rank - 1], delta=0.004 * times[rank - 1] + 0.001)

    def test_other_sizes(self):
        def answer(number, data, source):
            server.sock.sendto(data[:30] if number == 0 else data + b"more" if number == 1 else data, source)
        server = self.server(answer)
        said = self.ping("-c", 3, "-i", 0.002, "127.0.0.1", self.port(server))
        self.assertEqual([(a["size"], a["remarks"]) for a in sorted(said.answers, key=lambda a: a["seq"])],
                         [("30", " (64 were sent)"), ("68", " (64 were sent)"), ("64", "")])
        self.assertEqual(said.status, 0)
        self.assertIn("replies of another size: 2", said.lines)

    def test_another_address(self):
        other = self.udp("127.0.0.2")
        server = self.server(lambda number, data, source: other.sendto(data, source))
        said = self.ping("-c", 2, "-i", 0.002, "127.0.0.1", self.port(server))
        for answer in said.answers:
            self.assertEqual(answer["source"], f"127.0.0.2:{other.getsockname()[1]}")
            self.assertEqual(answer["remarks"], f" (not 127.0.0.1:{self.port(server)})")
        self.assertEqual(said.counts("sent", "answered"), (2, 2))
        self.assertIn("replies from another address: 2", said.lines)

    def test_broadcast(self):
        """Replies to a broadcast come from another address. This is not reported as a fault."""
        server = self.server(lambda number, data, source: server.sock.sendto(data, source), "0.0.0.0")
        said = self.ping("-c", 1, "127.255.255.255", self.port(server))
        self.assertEqual([(a["source"], a["remarks"]) for a in said.answers], [(f"127.0.0.1:{self.port(server)}", "")])
        self.assertEqual(len(said.lines), 4)

    def test_junk(self):
        """A datagram counts as a reply only if this run sent it."""
        def answer(number, data, source):
            run, flow, seq, ns = HEAD.unpack_from(data)
            for junk in [b"", b"hello", data[:HEAD.size - 1], bytes(64), HEAD.pack(run ^ 1, flow, seq, ns),
                         HEAD.pack(run, flow, seq + 1, ns), HEAD.pack(run, flow + 1, seq, ns),
                         HEAD.pack(run, flow, seq, ns + 10**12), HEAD.pack(run, flow, seq, 0)]:
                server.sock.sendto(junk, source)
        server = self.server(answer)
        to = "127.0.0.1", self.port(server)
        said = self.ping("-c", 1, "-W", 0.2, *to)
        self.assertEqual(said.status, 1)
        self.assertEqual(said.answers, [])
        self.assertEqual(said.counts("sent", "answered", "lost", "duplicates"), (1, 0, 1, 0))
        self.assertEqual(said.lines[0], f"a datagram from 127.0.0.1:{to[1]} is not a reply to this run; "
                         "further ones are only counted")
        self.assertEqual(len([line for line in said.lines if line.startswith("a datagram from")]), 1)
        self.assertIn("datagrams that are not replies: 9", said.lines)
        self.assertEqual(len(said.lines), 4)

    def test_replies_to_another_run_do_not_count(self):
        """The port and the server are the same, and the server still has a reply to the previous run."""
        kept = []

        def answer(number, data, source):
            for old in kept:
                server.sock.sendto(old, source)
            kept.append(data)
            server.sock.sendto(data, source)
        server = self.server(answer)
        local = f"127.0.0.1:{self.closed_port()}"
        first = self.ping("-c", 1, "-b", local, "127.0.0.1", self.port(server))
        second = self.ping("-c", 1, "-b", local, "127.0.0.1", self.port(server))
        self.assertEqual(first.counts("sent", "answered"), (1, 1))
        self.assertEqual(second.counts("sent", "answered", "duplicates"), (1, 1, 0))
        self.assertIn("datagrams that are not replies: 1", second.lines)


class NobodyTest(PingTest):
    """The server does not exist, or exists and does not reply."""

    def test_refused(self):
        for host, shown in ("127.0.0.1", "127.0.0.1"), ("::1", "[::1]"):
            port = self.closed_port(host)
            said = self.ping("-c", 3, "-i", 0.002, "-W", 60, host, port)
            self.assertEqual(said.status, 69)
            self.assertEqual(said.lines[:3], [f"seq={seq}: no program listens at {shown}:{port} (ICMP from {shown})"
                                              for seq in (1, 2, 3)])
            self.assertEqual(said.counts("sent", "answered", "lost", "refused"), (3, 0, 0, 3))
            self.assertIsNone(said.times)

    def test_no_unix_socket(self):
        path = self.directory() + "/none"
        said = self.ping("-c", 2, "-i", 0.002, f"unix:{path}")
        self.assertEqual(said.status, 69)
        self.assertIn(f"unix:{path}", said.lines[0])
        self.assertTrue(said.lines[0].startswith("seq=1: "))
        self.assertEqual(said.counts("sent", "lost", "refused"), (2, 0, 2))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(path)
        said = self.ping("-c", 2, "-i", 0.002, f"unix:{path}")
        self.assertEqual(said.status, 69)
        self.assertTrue(said.lines[1].startswith(f"seq=2: no program listens at unix:{path}"), said.output)

    def test_silence(self):
        begin = time.monotonic()
        said = self.ping("-c", 2, "-i", 0.002, "-W", 0.1, "127.0.0.1", self.port(self.silent()))
        self.assertGreaterEqual(time.monotonic() - begin, 0.1)
        self.assertEqual(said.status, 1)
        self.assertEqual(len(said.lines), 2)
        self.assertEqual(said.counts("sent", "answered", "lost", "percent", "refused"), (2, 0, 2, 100, 0))

    def test_one_reply_is_enough(self):
        """A server listened for a while."""
        sock = self.udp()
        port = sock.getsockname()[1]
        process = self.begin("-c", 3, "-i", 0.2, "127.0.0.1", port)
        data, source = sock.recvfrom(65536)
        sock.sendto(data, source)
        sock.close()
        said = self.finish(process)
        self.assertEqual(said.status, 0)
        self.assertEqual(said.counts("sent", "answered", "lost", "refused"), (3, 1, 0, 2))

    def test_no_space_in_the_queue(self):
        """The receiver does not read, so its queue is full. This is reported, and ping does not retry in a loop."""
        path = self.directory() + "/busy"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(path)
            said = self.ping("-c", 600, "-i", 0.002, "-W", 0, f"unix:{path}")
        self.assertEqual(said.status, 1)
        not_sent = [line for line in said.lines if re.match(r"seq=\d+: not sent: ", line)]
        self.assertGreater(len(not_sent), 0)
        self.assertIn(f"could not be sent: {len(not_sent)}", said.lines)
        self.assertEqual(said.counts("sent", "lost"), (600 - len(not_sent), 600 - len(not_sent)))


class PaceTest(PingTest):
    def test_it_ends_after_the_last_reply(self):
        said = self.ping("-c", 2, "-i", 0.002, "-W", 3600, "127.0.0.1", self.port(self.echo()))
        self.assertEqual(said.counts("sent", "answered"), (2, 2))

    def pause(self, process, server, seconds, meanwhile=lambda: None):
        """The timeout is too short for a burst of all datagrams."""
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        meanwhile()
        with server.come:
            self.assertFalse(server.come.wait_for(lambda: len(server.heads) == 30, seconds))
        process.send_signal(signal.SIGCONT)

    def test_it_does_not_drift(self):
        """After a delay of one and a half intervals, datagrams are sent at whole multiples of the interval again."""
        interval = 0.1
        server = self.silent()
        process = self.begin("-i", interval, "127.0.0.1", self.port(server))
        server.await_count(2)
        self.pause(process, server, 1.5 * interval)
        server.await_count(6)
        process.send_signal(signal.SIGINT)
        self.finish(process)
        times = server.times()
        distances = [(late - early) / interval for early in times[:2] for late in times[3:6]]
        self.assertLess(min(abs(distance - round(distance)) for distance in distances), 0.2, distances)

    def test_replies_in_time_count(self):
        """They count even if the process was too busy to read them."""
        server = self.silent()
        process = self.begin("-c", 1, "-W", 0.2, "127.0.0.1", self.port(server))
        server.await_count(1)
        self.pause(process, server, 0.3, lambda: server.sock.sendto(HEAD.pack(*server.heads[0]), server.sources[0]))
        self.assertEqual(self.finish(process).counts("sent", "answered"), (1, 1))

    def test_missed_datagrams_are_skipped(self):
        """After a pause of the process there is no burst of the missed datagrams."""
        interval = 0.01
        server = self.silent()
        process = self.begin("-c", 30, "-i", interval, "-W", 0, "127.0.0.1", self.port(server))
        server.await_count(4)
        self.pause(process, server, 15 * interval)
        said = self.finish(process)
        server.await_count(30)
        self.assertEqual(server.seqs(), list(range(30)))
        self.assertEqual(said.counts("sent", "lost"), (30, 30))
        times = server.times()
        self.assertGreaterEqual(max(b - a for a, b in zip(times, times[1:])), 15 * interval)
        for early, late in zip(times, times[2:]):
            self.assertGreater(late - early, interval)

    def test_interruption(self):
        for number in signal.SIGINT, signal.SIGTERM:
            server = self.echo()
            process = self.begin("-i", 0.01, "127.0.0.1", self.port(server))
            lines = [process.stdout.readline() for _ in range(3)]
            process.send_signal(number)
            said = self.finish(process)
            self.assertEqual(said.status, 0)
            self.assertEqual([ANSWER.match(line.rstrip())["seq"] for line in lines], ["1", "2", "3"])
            sent, answered, lost = said.counts("sent", "answered", "lost")
            self.assertGreaterEqual(answered, 3)
            self.assertEqual(sent, answered + lost)
            self.assertIsNotNone(said.times)

    def test_interruption_of_silence(self):
        server = self.silent()
        process = self.begin("-W", 3600, "-c", 1, "127.0.0.1", self.port(server))
        server.await_count(1)
        process.send_signal(signal.SIGINT)
        said = self.finish(process)
        self.assertEqual(said.status, 1)
        self.assertEqual(said.counts("sent", "lost"), (1, 1))

    def test_the_reader_is_gone(self):
        """Ping ends when it cannot write its output."""
        process = self.begin("-i", 0.002, "127.0.0.1", self.port(self.echo()))
        process.stdout.readline()
        process.stdout.close()
        self.assertEqual(process.wait(harness.PATIENCE), 1)


class FloodTest(PingTest):
    def test_replies_make_it_fast(self):
        server = self.echo()
        said = self.ping("--flood", "-c", 1000, "127.0.0.1", self.port(server))
        self.assertEqual(said.status, 0)
        self.assertEqual(said.answers, [])
        self.assertEqual(len(said.lines), 3)
        self.assertEqual(said.counts("sent", "answered", "lost", "out_of_order"), (1000, 1000, 0, 0))
        self.assertEqual(server.seqs(), list(range(1000)))
        self.assertLess(said.summary["seconds"], 10, "that is what 100 a second take")

    def test_silence_makes_it_slow(self):
        server = self.silent()
        said = self.ping("--flood", "-c", 21, "-W", 0, "127.0.0.1", self.port(server))
        self.assertEqual(said.status, 1)
        self.assertEqual(said.counts("sent", "lost"), (21, 21))
        server.await_count(21)
        times = server.times()
        for early, late in zip(times, times[1:]):
            self.assertGreaterEqual(late - early, 0.01)
        self.assertLess(min(late - early for early, late in zip(times, times[1:])), 0.02, "it is 100 a second")

    def test_duplicates_do_not_make_it_faster(self):
        """Only the first of three replies triggers the next datagram."""
        def answer(number, data, source):
            for _ in range(0 if number else 3):
                server.sock.sendto(data, source)
        server = self.server(answer)
        said = self.ping("--flood", "-c", 4, "-W", 0.1, "127.0.0.1", self.port(server))
        self.assertEqual(said.counts("sent", "answered", "lost", "duplicates"), (4, 1, 3, 2))
        times = server.times()
        for early, late in zip(times[1:], times[2:]):
            self.assertGreaterEqual(late - early, 0.01)

    def test_late_replies_are_reported(self):
        """The first reply arrives after many others, so the window no longer shows whether it is a duplicate."""
        first = []

        def answer(number, data, source):
            if number == 0:
                first.append(data)
                return
            if number == 4199:
                server.sock.sendto(first[0], source)
            server.sock.sendto(data, source)
        server = self.server(answer)
        said = self.ping("--flood", "-c", 4200, "-W", 0.1, "127.0.0.1", self.port(server))
        self.assertIn("replies too late to distinguish from duplicates: 1", said.lines)
        self.assertEqual(said.counts("sent", "answered", "lost", "duplicates"), (4200, 4199, 1, 0))


class OutputTest(PingTest):
    def json(self, *arguments):
        said = self.ping("--json", "-i", 0.002, *arguments)
        self.assertEqual(said.output.count("\n"), 1)
        self.assertEqual(said.errors, "")
        return said.status, json.loads(said.output)

    def test_json(self):
        server = self.echo()
        status, found = self.json("-c", 5, "-s", 100, "127.0.0.1", self.port(server))
        self.assertEqual(status, 0)
        self.assertEqual(found["to"], f"127.0.0.1:{self.port(server)}")
        self.assertEqual({key: found[key] for key in ("size", "outcome", "sent", "answered", "lost", "lost_percent",
                                                      "duplicates", "out_of_order", "refused", "not_sent", "foreign")},
                         {"size": 100, "outcome": "answered", "sent": 5, "answered": 5, "lost": 0, "lost_percent": 0,
                          "duplicates": 0, "out_of_order": 0, "refused": 0, "not_sent": 0, "foreign": 0})
        trip = found["round_trip_us"]
        self.assertTrue(0 < trip["min"] <= trip["p50"] <= trip["p90"] <= trip["p99"] <= trip["max"])
        self.assertTrue(trip["min"] <= trip["avg"] <= trip["max"])
        self.assertLessEqual(trip["jitter"], trip["max"])
        self.assertEqual(sum(bin["count"] for bin in found["bins"]), 5)
        self.assertEqual(found["bins"][0]["from_us"], trip["min"])
        self.assertAlmostEqual(found["bins"][-1]["below_us"], trip["max"] + 0.001, places=3)

    def test_json_of_silence_and_refusal(self):
        status, found = self.json("-c", 2, "-W", 0, "127.0.0.1", self.port(self.silent()))
        self.assertEqual((status, found["outcome"], found["lost"], found["refused"]), (1, "silent", 2, 0))
        self.assertIsNone(found["round_trip_us"])
        self.assertEqual(found["bins"], [])
        status, found = self.json("-c", 2, "127.0.0.1", self.closed_port())
        self.assertEqual((status, found["outcome"], found["lost"], found["refused"]), (69, "refused", 0, 2))

    def test_quiet(self):
        said = self.ping("-q", "-c", 2, "-i", 0.002, "127.0.0.1", self.port(self.echo()))
        self.assertEqual((len(said.lines), said.errors), (3, ""))
        self.assertEqual(said.counts("sent", "answered"), (2, 2))
        said = self.ping("-q", "-c", 2, "-i", 0.002, "127.0.0.1", self.closed_port())
        self.assertEqual((said.status, len(said.lines), said.errors), (69, 2, ""))

    def test_the_port_is_printed(self):
        server = self.echo()
        said = self.ping("-c", 1, "127.0.0.1", self.port(server))
        self.assertEqual(said.errors, f"udprelay: from port {server.sources[0][1]} to 127.0.0.1:{self.port(server)}\n")

    def on_terminal(self, *arguments):
        """Returns the output on the terminal."""
        terminal = tool.Terminal("ping", *arguments)
        self.addCleanup(terminal.close)
        self.assertEqual(terminal.status(), 0)
        return terminal.seen.decode().replace("\r\n", "\n")

    def test_terminal(self):
        arguments = "-c", 30, "-i", 0.002, "127.0.0.1", self.port(self.echo())
        row = re.compile(r" *(\d+\.\d{4}) to +(\d+\.\d{4}) ms +(\d+)( #+)?$", re.MULTILINE)
        said = Said(0, self.on_terminal(*arguments), "")
        self.assertEqual(len(said.answers), 30)
        rows = row.findall(said.output)
        self.assertTrue(1 <= len(rows) <= 10, said.output)
        self.assertEqual(said.lines[-len(rows):], [m[0] for m in row.finditer(said.output)])
        self.assertEqual(sum(int(count) for _, _, count, _ in rows), 30)
        self.assertEqual([bool(bar) for *_, bar in rows], [count != "0" for _, _, count, _ in rows])
        self.assertEqual(max(len(bar) for *_, bar in rows), 41)
        self.assertEqual(row.findall(self.ping(*arguments).output), [], "in a pipe")
        self.assertEqual(row.findall(self.on_terminal("--json", *arguments)), [])


class CommandLineTest(PingTest):
    def test_bind(self):
        server = self.echo()
        local = self.closed_port("127.0.0.2")
        said = self.ping("-c", 1, "-b", f"127.0.0.2:{local}", "127.0.0.1", self.port(server))
        self.assertEqual((said.status, said.errors), (0, ""))
        self.assertEqual(server.sources, [("127.0.0.2", local)])
        said = self.ping("-c", 1, "-b", f"127.0.0.1:{self.port(server)}", "127.0.0.1", self.port(server))
        self.assertEqual((said.status, said.output), (69, ""))
        self.assertIn(f"127.0.0.1:{self.port(server)}", said.errors)

    def test_bind_to_a_path(self):
        directory = self.directory()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(harness.PATIENCE)
            sock.bind(directory + "/echo")
            process = self.begin("-c", 1, "-b", f"unix:{directory}/own", f"unix:{directory}/echo")
            data, source = sock.recvfrom(65536)
            self.assertEqual(source, directory + "/own")
            sock.sendto(data, source)
            self.assertEqual(self.finish(process).counts("sent", "answered"), (1, 1))
        self.assertEqual(os.listdir(directory), ["echo"])

    def test_wrong(self):
        good = "127.0.0.1", "7788"
        for arguments, complaint in [
                ((), "HOST is missing"),
                (("127.0.0.1",), "PORT is missing"),
                (("127.0.0.1", "0"), "port 0"),
                (("127.0.0.1", "65536"), "is not a port"),
                ((*good, "hello"), "`hello`"),
                (("-c", "0", *good), "--count"),
                (("-c", "-1", *good), "--count"),
                (("-c", "many", *good), "--count"),
                (("-i", "0.001", *good), "--interval"),
                (("-i", "nan", *good), "--interval"),
                (("-s", "23", *good), "--size"),
                (("-s", "65508", *good), "--size"),
                (("-W", "-1", *good), "--timeout"),
                (("-W", "1e9", *good), "--timeout"),
                (("--flood", *good), "--count"),
                (("--flood", "-c", "5", "-i", "1", *good), "--interval"),
                (("-b", "nowhere", *good), "--bind"),
                (("-b", "[::1]:0", *good), "--bind"),
                (("-b", "127.0.0.1:0", "unix:/nowhere"), "--bind"),
                (("--fast", *good), "fast")]:
            with self.subTest(arguments):
                said = self.ping(*arguments)
                self.assertEqual((said.status, said.output), (64, ""))
                self.assertIn(complaint, said.errors)
                self.assertIn("udprelay ping --help", said.errors)

    def test_help(self):
        said = self.ping("--help")
        self.assertEqual((said.status, said.errors), (0, ""))
        options = re.findall(r"^  (?:(-\w), |    )(--[\w-]+)", said.output, re.MULTILINE)
        self.assertEqual([long for _, long in options],
                         ["--count", "--interval", "--size", "--timeout", "--flood", "--json", "--quiet", "--bind",
                          "--ipv4", "--ipv6", "--help"])
        self.assertLessEqual(max(map(len, said.lines)), 100)

    def test_unknown_host(self):
        process = self.begin("-c", 1, "host.invalid", 7788)
        try:
            output, errors = process.communicate(timeout=3)
        except subprocess.TimeoutExpired:
            self.skipTest("the resolver of this host does not answer")
        self.assertEqual((process.returncode, output), (69, ""))
        self.assertIn("`host.invalid`", errors)

    def test_other_family(self):
        said = self.ping("-c", 1, "-6", "127.0.0.1", 7788)
        self.assertEqual((said.status, said.output), (69, ""))
        self.assertIn("by IPv6", said.errors)


if __name__ == "__main__":
    harness.main()
