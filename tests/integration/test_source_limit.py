"""source_limit: the rate of one source, for any ports and any number of workers."""
import itertools
import socket
import tempfile
import time

import harness

LIMIT, BURST = 200, 100
PORTS, EACH = 40, 50


def config(lines="", address="127.0.0.1:0"):
    return ("[udprelayd]\nworkers = 4\n[datagram_log]\ntarget = off\n"
            f"[listener:a]\naddress = {address}\naction = echo\n{lines}\n")


def limited(address="127.0.0.1:0", limit=LIMIT, burst=BURST):
    return config(f"source_limit = {limit}\nsource_burst = {burst}", address)


class SourceLimitTest(harness.TestCase):
    numbers = itertools.count()

    def senders(self, host, count):
        return [self.udp(host) for _ in range(count)]

    def count_answers(self, socks):
        """Returns the datagrams that wait in the sockets. All are counted, so none is in flight."""
        count = 0
        for sock in socks:
            sock.setblocking(False)
            try:
                while sock.recv(100):
                    count += 1
            except BlockingIOError:
                pass
        return count

    def flood(self, daemon, socks, each):
        """Returns payloads that are all different, because the ring guard drops some repeated ones."""
        for _ in range(each):
            payload = b"%d" % next(self.numbers)
            for sock in socks:
                sock.sendto(payload, daemon.address("a"))

    def test_a_flood_from_many_ports_affects_only_its_source(self):
        daemon = self.serve(limited())
        abuser, polite = self.senders("127.0.0.2", PORTS), self.udp("127.0.0.3")
        begin = time.monotonic()
        for number in range(EACH):
            self.flood(daemon, abuser, 1)
            self.assert_echoes(polite, daemon.address("a"), b"polite %d" % number)
            time.sleep(1 / LIMIT)
        sent = PORTS * EACH
        daemon.await_counter("listener a", "received", sent + EACH)
        seconds = time.monotonic() - begin
        answers = self.count_answers(abuser)
        counters = daemon.end()["listener a"]
        self.assertEqual(counters["received"], sent + EACH)
        self.assertEqual(counters["echoed"], answers + EACH)
        self.assertEqual(counters["source_limit"], sent - answers)
        self.assertEqual(counters["dropped"], sent - answers)
        self.assertGreaterEqual(answers, BURST)
        # Besides burst and rate, one in 32 passes. For 2000 datagrams this is 62 on average, and 120 is seven standard
        # deviations higher.
        self.assertLessEqual(answers, BURST + LIMIT * seconds + 1 + 120)

    def test_a_forged_source_does_not_block_the_real_host(self):
        """The forged flood is endless, but the real host still gets replies to one in 32 datagrams."""
        daemon = self.serve(limited(limit=1, burst=1))
        forger, victim = self.senders("127.0.0.2", 4), self.udp("127.0.0.2")
        end, answers = time.monotonic() + harness.PATIENCE, 0
        while not answers and time.monotonic() < end:
            self.flood(daemon, forger, 10)
            victim.sendto(b"hello?", daemon.address("a"))
            answers = self.count_answers([victim])
        self.assertTrue(answers)
        daemon.end()

    def test_an_ipv6_network_is_one_source(self):
        """::1 is the only loopback address. Its ports are spread over all workers and share the limit."""
        daemon = self.serve(limited("[::1]:0", limit=1, burst=10))
        socks = self.senders("::1", PORTS)
        self.flood(daemon, socks, 5)
        daemon.await_counter("listener a", "received", PORTS * 5)
        answers = self.count_answers(socks)
        counters = daemon.end()["listener a"]
        self.assertEqual(counters["source_limit"], PORTS * 5 - answers)
        self.assertTrue(10 <= answers < 60, answers)

    def test_without_a_limit_all_datagrams_are_echoed(self):
        daemon = self.serve(config("source_limit = 0"))
        socks = self.senders("127.0.0.2", PORTS)
        self.flood(daemon, socks, EACH)
        daemon.await_counter("listener a", "received", PORTS * EACH)
        self.assertEqual(self.count_answers(socks), PORTS * EACH)
        counters = daemon.end()["listener a"]
        self.assertEqual((counters["echoed"], counters["dropped"]), (PORTS * EACH, 0))

    def test_local_senders_are_not_limited(self):
        with tempfile.TemporaryDirectory() as directory:
            path = f"{directory}/socket"
            daemon = self.serve(limited(f"127.0.0.1:0, unix:{path}", limit=1, burst=1))
            client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            client.settimeout(harness.PATIENCE)
            client.bind(f"{directory}/client")
            for number in range(100):
                client.sendto(b"%d" % number, path)
                self.assertEqual(client.recv(100), b"%d" % number)
            client.close()
            self.assertEqual(daemon.end()["listener a"]["echoed"], 100)

    def test_it_is_recorded(self):
        daemon = self.serve(limited(limit=1, burst=1).replace("target = off", "target = stderr"))
        client = self.udp("127.0.0.2")
        self.flood(daemon, [client], 100)
        verdicts = [record["verdict"] for record in daemon.records(100)]
        self.assertEqual(verdicts[0], "echoed")
        self.assertEqual(set(verdicts), {"echoed", "dropped:source_limit"})
        self.assertEqual(daemon.end()["listener a"]["source_limit"], verdicts.count("dropped:source_limit"))


if __name__ == "__main__":
    harness.main()
