"""Each example configuration is valid as it is, and works with real datagrams once its addresses are those of this
host. The installed configuration works as it is."""
import glob
import os
import re
import socket
import subprocess
import unittest

import harness
import relay_peers

CONF = os.environ.get("UDPRELAYD_CONF", "conf")
DIRECTORY = os.path.join(CONF, "examples")
LOW_PORTS_HOST = "127.77.88.98"  # an address that no other program uses
HELLO = "你好, udp"


def read(name):
    with open(os.path.join(DIRECTORY, name), encoding="utf-8") as file:
        return file.read()


def may_bind_low_ports():
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((LOW_PORTS_HOST, 514))
        return True
    except OSError:
        return False


class ExamplesTest(harness.TestCase):
    def on_this_host(self, name, peers, host=None):
        """The example with the peers' sockets for its peers, and only us for clients. Its listeners get any port of
        127.0.0.1, or their own ports at the host."""
        text, section, sockets = [], None, dict(peers)
        for line in read(name).splitlines():
            if head := re.match(r"\[(.*)\]", line):
                section = head[1]
            if line.startswith("address = "):
                own = line.replace("address = *", host) if host else "127.0.0.1:0"
                to = relay_peers.at(sockets.pop(section[5:])) if section.startswith("peer:") else own
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
        self.assertEqual(names, ["dns-relay.ini", "echo-probe.ini", "fan-out.ini", "game-relay.ini", "gbk-bridge.ini",
                                 "low-ports.ini"])
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
        """Queries alternate between the servers that are up, and the spare is used if none is up."""
        names = ["first", "second", "spare"]
        silent = self.udp()
        sockets = [[self.udp() for _ in names], [silent, self.udp(), self.udp()], [silent, self.udp(), self.udp()]]
        all_up, one_up, spare_up = (relay_peers.Echo(self, *up) for up in (sockets[0], sockets[1][1:], sockets[2][2:]))
        daemons = [self.serve_example("dns-relay.ini", **dict(zip(names, these))) for these in sockets]
        daemons[1].await_line(rf"peer first: {re.escape(relay_peers.at(silent))} is down: ")
        for peer in ("first", "second"):
            daemons[2].await_line(rf"peer {peer}: \S+ is down: ")
        for daemon, number, servers in ((daemons[0], 4, [b"0", b"1"]), (daemons[1], 4, [b"0"]), (daemons[2], 2, [b"0"])):
            names = set()
            for query in range(number):
                answer, source = self.ask(self.udp(), daemon.address("dns"), b"query %d" % query)
                name, _, text = answer.partition(b":")
                self.assertEqual((text, source), (b"query %d" % query, daemon.address("dns")))
                names.add(name)
            self.assertEqual(sorted(names), servers)
            daemon.end()
            self.assertEqual(daemon.records(), [])
        queries = [[payload for payload, _ in peers.heard[number] if payload.startswith(b"query")]
                   for peers, number in ((all_up, 2), (one_up, 1))]
        self.assertEqual(queries, [[], []])
        self.assertTrue(all_up.heard[2], "the spare is checked")

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

    @unittest.skipUnless(may_bind_low_ports(), "this user may not bind port 514, or another program has it")
    def test_low_ports(self):
        """At the ports of the example. Root also becomes the user."""
        log_server, trap_server = self.udp(), self.udp()
        config = self.on_this_host("low-ports.ini", {"log-server": log_server, "trap-server": trap_server}, LOW_PORTS_HOST)
        self.assertIn(f"address = {LOW_PORTS_HOST}:514\n", config)
        daemon = self.serve(config.replace(";user", "user") if os.geteuid() == 0 else config)
        client = self.udp()
        for port, receiver, payload in ((514, log_server, b"<13>low"), (162, trap_server, b"\x30\x26trap")):
            client.sendto(payload, (LOW_PORTS_HOST, port))
            self.assertEqual(receiver.recv(1000), payload)
        daemon.end()

    def test_installed_configuration(self):
        """Listens on loopback only, and decodes two charsets."""
        path = os.path.join(CONF, "udprelayd.ini")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        self.assertEqual(re.findall(r"^address = (.*)", text, re.MULTILINE), ["127.0.0.1:7788"])
        daemon = self.serve(text.replace("\naddress = 127.0.0.1:7788\n", "\naddress = 127.0.0.1:0\n"))
        for charset in ("utf-8", "gbk"):
            self.assert_echoes(self.udp(), daemon.address("echo"), HELLO.encode(charset))
        self.assertEqual([(record["encoding"], record["payload"]) for record in daemon.records(2)],
                         [("utf-8", HELLO), ("gbk", HELLO)])
        daemon.end()


if __name__ == "__main__":
    harness.main()
