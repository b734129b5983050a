"""Each example configuration is good as it stands, and does what it says once its addresses are those of this host."""
import glob
import os
import re
import subprocess

import harness
import relay_peers

DIRECTORY = os.path.join(os.environ.get("UDPRELAYD_CONF", "conf"), "examples")
HELLO = "你好, udp"


def read(name):
    with open(os.path.join(DIRECTORY, name), encoding="utf-8") as file:
        return file.read()


class ExamplesTest(harness.TestCase):
    def on_this_host(self, name, peers):
        """The example with the peers' sockets for its peers, any port for its listeners, and only us for clients."""
        text, section, sockets = [], None, dict(peers)
        for line in read(name).splitlines():
            if head := re.match(r"\[(.*)\]", line):
                section = head[1]
            if line.startswith("address = "):
                to = relay_peers.at(sockets.pop(section[5:])) if section.startswith("peer:") else "127.0.0.1:0"
                line = f"address = {to}"
            elif line.startswith("allow = "):
                line = "allow = 127.0.0.0/8"
            text.append(line)
        self.assertEqual(sockets, {})
        return "\n".join(text) + "\n"

    def serve_example(self, name, **peers):
        return self.serve(self.on_this_host(name, {peer.replace("_", "-"): sock for peer, sock in peers.items()}))

    def test_all_are_good(self):
        names = sorted(os.path.basename(path) for path in glob.glob(os.path.join(DIRECTORY, "*")))
        self.assertEqual(names, ["dns-relay.ini", "echo-probe.ini", "fan-out.ini", "game-relay.ini", "gbk-bridge.ini"])
        for name in names:
            path = os.path.join(DIRECTORY, name)
            done = subprocess.run([harness.DAEMON, "-c", path, "-t"], capture_output=True, text=True,
                                  timeout=harness.PATIENCE)
            self.assertEqual((done.returncode, done.stdout, done.stderr),
                             (0, f"{path}: the configuration is valid\n", ""))
            self.assertEqual([line for line in read(name).splitlines() if len(line) >= 120], [], name)

    def test_echo_probe(self):
        daemon = self.serve_example("echo-probe.ini")
        self.assert_echoes(self.udp(), daemon.address("echo"), b"probe")
        daemon.end()

    def test_fan_out(self):
        names = ["log_archive", "log_search", "flow_billing", "flow_security"]
        sockets = [self.udp() for _ in names]
        daemon = self.serve_example("fan-out.ini", **dict(zip(names, sockets)))
        client = self.udp()
        for listener, receivers in (("syslog", sockets[:2]), ("netflow", sockets[2:])):
            for payload in (b"<13>one", bytes(range(256)), b""):
                client.sendto(payload, daemon.address(listener))
                for receiver in receivers:
                    self.assertEqual(receiver.recv(1000), payload)
        for receiver in sockets:
            self.assert_nothing_waits(receiver)
        counters = daemon.end()
        self.assertEqual([counters[f"peer {name.replace('_', '-')}"]["sent"] for name in names], [3, 3, 3, 3])

    def test_dns_relay(self):
        """A name server that does not answer is passed over."""
        names = ["first", "second", "spare"]
        silent, second, spare = (self.udp() for _ in names)
        peers = relay_peers.Echo(self, second, spare)
        daemon = self.serve_example("dns-relay.ini", **dict(zip(names, (silent, second, spare))))
        daemon.await_line(rf"peer first: {re.escape(relay_peers.at(silent))} is down: ")
        for number in range(5):
            answer, source = self.ask(self.udp(), daemon.address("dns"), b"question %d" % number)
            self.assertEqual((answer, source), (b"0:question %d" % number, daemon.address("dns")))
        self.assertEqual(peers.heard[1], [])
        daemon.end()

    def test_game_relay(self):
        servers = [self.udp(), self.udp()]
        peers = relay_peers.Echo(self, *servers)
        daemon = self.serve_example("game-relay.ini", server1=servers[0], server2=servers[1])
        client = self.udp()
        answers = {self.ask(client, daemon.address("game"), b"move")[0] for _ in range(5)}
        self.assertEqual(len(answers), 1)
        self.assertTrue(answers <= {b"0:move", b"1:move"})
        question = b"\xff\xff\xff\xffTSource Engine Query\0"
        daemon.await_that(lambda: all(question in dict(heard) for heard in peers.heard.values()), "a server is not asked")
        daemon.end()

    def test_gbk_bridge(self):
        server, client = self.udp(), self.udp()
        daemon = self.serve_example("gbk-bridge.ini", server=server)
        client.sendto(HELLO.encode("gbk"), daemon.address("bridge"))
        question, session = server.recvfrom(1000)
        self.assertEqual(question, HELLO.encode())
        for answer, expected in (("再见", "再见"), ("𝄞 music", "? music")):
            server.sendto(answer.encode(), session)
            self.assertEqual(client.recvfrom(1000), (expected.encode("gbk"), daemon.address("bridge")))
        verdicts = [(record["encoding"], record["verdict"], record["payload"]) for record in daemon.records(3)]
        self.assertEqual(verdicts, [("gbk", "relayed:server", HELLO), ("utf-8", "answered:server", "再见"),
                                    ("utf-8", "answered:server", "𝄞 music")])
        daemon.end()


if __name__ == "__main__":
    harness.main()
