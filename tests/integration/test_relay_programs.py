"""Real programs talk through a relay: DNS (kdig or dig with nsd) and NTP (chronyd with chronyd)."""
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

import harness
from relay_peers import config

ZONE = """$ORIGIN test.
$TTL 60
@ IN SOA ns hostmaster 1 3600 600 86400 60
@ IN NS ns
ns IN A 127.0.0.1
www IN A 192.0.2.80
www IN AAAA 2001:db8::80
long IN TXT "{0}" "{0}" "{0}" "{0}"
""".format("x" * 250)


def program(*names):
    """Returns the first program that is installed. Daemons are not in every user's PATH."""
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    return next((found for found in (shutil.which(name, path=path) for name in names) if found), None)


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class ProgramsTest(harness.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="udprelayd-programs-")
        self.addCleanup(self.directory.cleanup)

    def file(self, name, text=""):
        path = os.path.join(self.directory.name, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        return path

    def run_server(self, *command):
        log = open(self.file("log"), "wb")
        self.addCleanup(log.close)
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        return process

    def await_answer(self, port, question, server):
        """Waits until the server replies directly. These queries do not go through the relay."""
        end = time.monotonic() + harness.PATIENCE
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", port))
            sock.settimeout(0.1)
            while time.monotonic() < end and server.poll() is None:
                try:
                    sock.send(question)
                    sock.recv(1000)
                    return
                except (socket.timeout, ConnectionRefusedError):
                    continue
        with open(os.path.join(self.directory.name, "log"), encoding="utf-8", errors="replace") as log:
            self.fail(f"the server does not answer:\n{log.read()}")

    def relay_to(self, port, extra=""):
        return self.serve(config([f"127.0.0.1:{port}"], "log = none\n" + extra))

    def test_dns(self):
        server, client = program("nsd"), program("kdig", "dig")
        if not server or not client:
            raise unittest.SkipTest("there is no nsd, or neither kdig nor dig")
        port, directory = free_port(), self.directory.name
        user = pwd.getpwuid(os.geteuid()).pw_name
        self.file("test.zone", ZONE)
        nsd = self.run_server(server, "-d", "-c", self.file("nsd.conf", f"""
server:
    ip-address: 127.0.0.1@{port}
    do-ip6: no
    server-count: 1
    username: "{user}"
    chroot: ""
    zonesdir: "{directory}"
    database: ""
    pidfile: "{directory}/nsd.pid"
    xfrdfile: "{directory}/xfrd.state"
    xfrdir: "{directory}"
    zonelistfile: "{directory}/zone.list"
    logfile: "{directory}/nsd.log"
remote-control:
    control-enable: no
zone:
    name: "test"
    zonefile: "test.zone"
"""))
        self.await_answer(port, b"\0\1\0\0\0\1\0\0\0\0\0\0\4test\0\0\6\0\1", nsd)
        daemon = self.relay_to(port, "responses = 1")
        relay = str(daemon.address("a")[1])

        def ask(name, kind):
            result = subprocess.run([client, "@127.0.0.1", "-p", relay, "+short", "+ignore", "+bufsize=4096", name, kind],
                                    capture_output=True, text=True, timeout=harness.PATIENCE)
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
            return result.stdout.strip()
        self.assertEqual(ask("www.test", "A"), "192.0.2.80")
        self.assertEqual(ask("www.test", "AAAA"), "2001:db8::80")
        self.assertEqual(ask("long.test", "TXT").count("x"), 1000)
        self.assertEqual(ask("nobody.test", "A"), "")
        daemon.await_counter("relay a", "ended", 4)  # each session with its reply
        counters = daemon.end()
        self.assertEqual(counters["relay a"]["started"], 4)
        self.assertEqual(counters["relay a"]["answered"], 4)

    def test_ntp(self):
        chronyd = program("chronyd")
        if not chronyd:
            raise unittest.SkipTest("there is no chronyd")
        port, directory = free_port(), self.directory.name
        user = pwd.getpwuid(os.geteuid()).pw_name
        server = self.run_server(chronyd, "-d", "-x", "-U", "-u", user, "-f", self.file("server.conf", f"""
port {port}
bindaddress 127.0.0.1
allow 127.0.0.1
local stratum 2
cmdport 0
bindcmdaddress /
pidfile {directory}/server.pid
"""))
        self.await_answer(port, b"\x23" + bytes(47), server)
        daemon = self.relay_to(port)
        client = subprocess.run([chronyd, "-Q", "-U", "-u", user, "-t", "15", "-f", self.file("client.conf", f"""
server 127.0.0.1 port {daemon.address('a')[1]} iburst minpoll -2 maxsamples 4
cmdport 0
bindcmdaddress /
port 0
pidfile {directory}/client.pid
""")], capture_output=True, text=True, timeout=harness.PATIENCE)
        said = client.stdout + client.stderr
        self.assertEqual(client.returncode, 0, said)
        self.assertRegex(said, r"System clock wrong by -?0\.0\d* seconds")
        counters = daemon.end()
        self.assertGreaterEqual(counters["relay a"]["answered"], 1)
        self.assertEqual(counters["relay a"]["answered"], counters["listener a"]["relayed"])


if __name__ == "__main__":
    harness.main()
