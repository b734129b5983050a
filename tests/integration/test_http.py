"""HTTP: metrics, health and status, for correct and faulty clients, while datagrams flow."""
import contextlib
import http.client
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import harness

if not harness.built_with("http"):
    harness.skip("built without libmicrohttpd")

# The same values as in src/admin/http.c.
CONNECTIONS, EACH, REQUEST_S = 32, 16, 10

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def config(listen, more=""):
    return (f"[udprelayd]\nworkers = 2\n[datagram_log]\ntarget = off\n[http]\nlisten = {listen}\n"
            f"[listener:e]\naddress = 127.0.0.1:0\naction = echo\n{more}")


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=harness.PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(harness.PATIENCE)
        self.sock.connect(self.path)


def parse_metrics(text):
    """Returns {('name', (('label', 'value'), …)): number, …}. Every line must belong to a family with a HELP line."""
    series, family = {}, None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family = line.split()[2]
        elif not line.startswith("# TYPE "):
            match = re.fullmatch(r'(\w+)(?:\{(.*)\})? (\S+)', line)
            assert match, line
            assert match[1].startswith(family), (line, family)
            labels = tuple(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or ""))
            assert (match[1], labels) not in series, line
            series[match[1], labels] = float(match[3])
    return series


class HttpTest(harness.TestCase):
    def serve_http(self, listen="127.0.0.1:0", more="", **popen):
        daemon = self.serve(config(listen, more), **popen)
        daemon.http = daemon.await_line(r"http: listening on (\S+)$")[1]
        return daemon

    def connection(self, daemon):
        if daemon.http.startswith("unix:"):
            connection = UnixConnection(daemon.http[len("unix:"):])
        else:
            host, port = daemon.http.rsplit(":", 1)
            connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=harness.PATIENCE)
        self.addCleanup(connection.close)
        return connection

    def get(self, daemon, path, method="GET", connection=None, **arguments):
        """Returns (status, headers, body)."""
        own = connection or self.connection(daemon)
        own.request(method, path, **arguments)
        response = own.getresponse()
        body = response.read()
        if not connection:
            own.close()
        return response.status, response.headers, body

    def metrics(self, daemon):
        status, _, body = self.get(daemon, "/metrics")
        self.assertEqual(status, 200)
        return parse_metrics(body.decode("utf-8"))

    def status(self, daemon):
        status, _, body = self.get(daemon, "/status.json")
        self.assertEqual(status, 200)
        return json.loads(body)

    def raw(self, daemon, host="127.0.0.1"):
        """Returns a connection from this loopback address, for raw requests."""
        sock = socket.socket()
        self.addCleanup(sock.close)
        sock.settimeout(harness.PATIENCE)
        sock.bind((host, 0))
        sock.connect(("127.0.0.1", int(daemon.http.rsplit(":", 1)[1])))
        return sock

    def read_all(self, sock):
        """Returns all bytes until the connection ends or is reset."""
        parts = []
        with contextlib.suppress(ConnectionResetError):
            while part := sock.recv(65536):
                parts.append(part)
        return b"".join(parts)

    def assert_serves(self, daemon):
        self.assertEqual(self.get(daemon, "/healthz")[::2], (200, b"ok\n"))

    def assert_all_pages(self, daemon):
        status, headers, body = self.get(daemon, "/metrics")
        self.assertEqual((status, headers["Content-Type"]), (200, METRICS_TYPE))
        self.assertIn(b"udprelayd_build_info{", body)
        status, headers, body = self.get(daemon, "/healthz")
        self.assertEqual((status, headers["Content-Type"], body), (200, "text/plain; charset=utf-8", b"ok\n"))
        status, headers, body = self.get(daemon, "/status.json")
        self.assertEqual((status, headers["Content-Type"]), (200, "application/json"))
        self.assertEqual(json.loads(body)["pid"], daemon.process.pid)

    # --- Where, and what ---

    def test_ipv4(self):
        daemon = self.serve_http()
        self.assertRegex(daemon.http, r"^127\.0\.0\.1:[1-9]\d*$")
        self.assert_all_pages(daemon)
        daemon.end()

    def test_ipv6(self):
        daemon = self.serve_http("[::1]:0")
        self.assert_all_pages(daemon)
        daemon.end()

    def test_unix(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "http")
            daemon = self.serve_http(f"unix:{path}")
            self.assert_all_pages(daemon)
            self.assertIn(f"[http] listen: unix:{path}: another program uses it",
                          self.refused(config(f"unix:{path}"), 1))
            self.assert_serves(daemon)
            daemon.end()
            self.assertFalse(os.path.exists(path))

    def test_unix_socket_that_a_crash_left(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "http")
            daemon = self.serve_http(f"unix:{path}")
            daemon.process.kill()
            daemon.process.wait()
            self.assertTrue(os.path.exists(path))
            self.assert_all_pages(daemon := self.serve_http(f"unix:{path}"))
            daemon.end()

    def test_off_by_default(self):
        daemon = self.serve(config("off"))
        daemon.end()
        self.assertNotIn("http:", "\n".join(daemon.lines))

    def test_without_the_rights_of_root(self):
        """The address is bound before the drop of privileges, and the pages need none."""
        if os.geteuid():
            raise unittest.SkipTest("only root has rights to give up")
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "http")
            daemon = self.serve(config(f"unix:{path}").replace("workers = 2", "workers = 2\nuser = nobody"))
            daemon.http = daemon.await_line(r"http: listening on (\S+)$")[1]
            self.assert_all_pages(daemon)
            self.assertGreater(self.metrics(daemon)["process_resident_memory_bytes", ()], 0)
            daemon.end()
            daemon.await_line(rf"warning: http: cannot remove unix:{path}: Permission denied: let the daemon's user write")

    def test_addresses_that_cannot_be_bound(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            said = self.refused(config(f"127.0.0.1:{port}"), 1)
            self.assertRegex(said, rf"\.ini:6: \[http\] listen: 127\.0\.0\.1:{port}: another program uses it \(`ss -ltnp`")
        self.assertIn("[http] listen: 192.0.2.1:1: no interface has this address: correct it",
                      self.refused(config("192.0.2.1:1"), 69))
        self.assertIn("[http] listen: unix:/nowhere/http: the directory does not exist: create it",
                      self.refused(config("unix:/nowhere/http"), 73))

    def test_a_port_is_free_again_immediately(self):
        daemon = self.serve_http()
        connection = self.connection(daemon)
        self.get(daemon, "/healthz", connection=connection)
        daemon.end()
        self.assert_serves(self.serve_http(daemon.http))

    def test_head(self):
        daemon = self.serve_http()
        for path in ("/metrics", "/healthz", "/status.json"):
            status, headers, body = self.get(daemon, path, "HEAD")
            self.assertEqual((status, body), (200, b""))
            self.assertGreater(int(headers["Content-Length"]), 0)
        self.assertEqual(self.get(daemon, "/", "HEAD")[::2], (404, b""))

    def test_other_paths(self):
        daemon = self.serve_http()
        for path in ("/", "/metrics/", "/Metrics", "//metrics", "/status", "/" + "x" * 2000, "/%00", "/../metrics"):
            status, headers, _ = self.get(daemon, path)
            self.assertEqual((status, headers["Content-Type"]), (404, "text/plain; charset=utf-8"), path)
        self.assertEqual(self.get(daemon, "/metrics?name=x")[0], 200)

    def test_other_methods(self):
        daemon = self.serve_http()
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get", "NONSENSE"):
            status, headers, _ = self.get(daemon, "/metrics", method)
            self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD"), method)
        self.assertEqual(self.get(daemon, "/metrics", "POST", body=b"x" * 100)[0], 405)
        self.assertEqual(self.get(daemon, "/metrics", "GET", body=b"x" * 100)[0], 400)
        self.assertEqual(self.get(daemon, "/metrics", headers={"Content-Length": "0"})[0], 200)

    # --- What the pages say ---

    def test_promtool_accepts_the_metrics(self):
        promtool = shutil.which("promtool")
        if not promtool:
            raise unittest.SkipTest("there is no promtool (Debian package prometheus)")
        daemon = self.serve_http(more='[listener:r]\naddress = 127.0.0.1:0\naction = relay\npeers = p, q\n'
                                      '[peer:p]\naddress = 127.0.0.1:9\n[peer:q]\naddress = unix:/a"b\\c\n')
        _, _, body = self.get(daemon, "/metrics")
        result = subprocess.run([promtool, "check", "metrics"], input=body, capture_output=True, check=False)
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, b"", b""))
        daemon.end()

    def test_pages_and_summary_agree(self):
        peer = self.udp()
        peer_port = peer.getsockname()[1]
        daemon = self.serve_http(more=f"max_datagram = 1000\n"
                                      f"[listener:f]\naddress = 127.0.0.1:0\naction = forward\npeers = p, q\n"
                                      f"[listener:r]\naddress = 127.0.0.1:0\naction = relay\npeers = p\n"
                                      f"[listener:s]\naddress = 127.0.0.1:0\naction = sink\n"
                                      f"[peer:p]\naddress = 127.0.0.1:{peer_port}\n"
                                      f"[peer:q]\naddress = unix:/nowhere/at/all\n")
        client = self.udp()
        for i in range(50):
            self.assert_echoes(client, daemon.address("e"), b"x" * i)
        client.sendto(b"x" * 1001, daemon.address("e"))
        for i in range(30):
            client.sendto(b"copy %d" % i, daemon.address("f"))
            peer.recv(100)
        for i in range(20):
            client.sendto(b"question %d" % i, daemon.address("r"))
            _, source = peer.recvfrom(100)
            peer.sendto(b"answer %d" % i, source)
            client.recv(100)
        client.sendto(b"sunk", daemon.address("s"))
        # A datagram is counted after it is sent, when its receiver may already have it.
        for section, key, value in (("listener e", "received", 51), ("listener f", "forwarded", 30),
                                    ("listener r", "relayed", 20), ("relay r", "answered", 20), ("listener s", "sunk", 1)):
            daemon.await_counter(section, key, value)
        summary, metrics, status = daemon.summary(), self.metrics(daemon), self.status(daemon)
        listeners = {listener["name"]: listener for listener in status["listeners"]}
        peers = {peer["name"]: peer for peer in status["peers"]}

        def metric(name, label, value):
            return metrics[f"udprelayd_{name}", ((label, value),)]

        def drops(name, label, value):
            return sum(number for (family, labels), number in metrics.items()
                       if family == f"udprelayd_{name}" and labels[0] == (label, value))
        for name in "efrs":
            counters = summary[f"listener {name}"]
            for key in ("sunk", "echoed", "forwarded", "relayed"):
                self.assertEqual(counters[key], metric(f"listener_{key}_datagrams_total", "listener", name))
                self.assertEqual(counters[key], listeners[name][key])
            self.assertEqual(counters["received"], metric("listener_received_datagrams_total", "listener", name))
            self.assertEqual(counters["received"], listeners[name]["received"])
            self.assertEqual(counters["bytes"], metric("listener_received_bytes_total", "listener", name))
            self.assertEqual(counters["bytes"], listeners[name]["received_bytes"])
            self.assertEqual(counters["dropped"], drops("listener_dropped_datagrams_total", "listener", name))
            self.assertEqual(counters["dropped"], listeners[name]["dropped"])
            self.assertEqual(counters["kernel_dropped"],
                             metric("listener_kernel_dropped_datagrams_total", "listener", name))
        self.assertEqual((summary["listener e"]["echoed"], summary["listener e"]["dropped"]), (50, 1))
        self.assertEqual(listeners["e"]["dropped_by_reason"], {"too_large": 1})
        for key, name in (("sessions", "sessions"), ("started", "sessions_started_total"),
                          ("ended", "sessions_ended_total"), ("answers", "received_answers_total"),
                          ("bytes", "received_answer_bytes_total"), ("answered", "sent_answers_total"),
                          ("kernel_dropped", "kernel_dropped_answers_total")):
            self.assertEqual(summary["relay r"][key], metric(f"relay_{name}", "listener", "r"), key)
        self.assertEqual((summary["relay r"]["answered"], summary["relay r"]["sessions"]), (20, 1))
        self.assertEqual(listeners["r"]["relay"]["answered"], 20)
        self.assertEqual(summary["relay r"]["dropped"], drops("relay_dropped_answers_total", "listener", "r"))
        for name in "pq":
            counters = summary[f"peer {name}"]
            for key, family in (("handed", "handed_datagrams"), ("sent", "sent_datagrams"), ("bytes", "sent_bytes"),
                                ("answers", "received_answers"), ("icmp_errors", "icmp_errors")):
                self.assertEqual(counters[key], metric(f"peer_{family}_total", "peer", name), key)
            self.assertEqual(counters["dropped"], drops("peer_dropped_datagrams_total", "peer", name))
            self.assertEqual((counters["handed"], counters["sent"], counters["dropped"]),
                             tuple(peers[name][key] for key in ("handed", "sent", "dropped")))
        self.assertEqual((summary["peer q"]["handed"], summary["peer q"]["dropped"]), (30, 30))
        self.assertEqual(metrics["udprelayd_peer_up", (("peer", "p"), ("address", f"127.0.0.1:{peer_port}"))], 1)
        # Every datagram and every reply arrived in a train of a receive.
        received = sum(summary[f"listener {name}"]["received"] for name in "efrs") + 20
        self.assertEqual(metrics["udprelayd_train_datagrams_sum", ()], received)
        self.assertEqual(metrics["udprelayd_receive_trains_sum", ()], metrics["udprelayd_train_datagrams_count", ()])
        daemon.end()

    def test_status(self):
        peer = self.udp()
        daemon = self.serve_http(more=f"[peer:named]\naddress = localhost:{peer.getsockname()[1]}\n"
                                      f"[peer:none]\naddress = nobody.invalid:1\n")
        status = self.status(daemon)
        self.assertEqual(status["configuration"], {"path": daemon.path, "generation": 1, "reloads_failed": 0,
                                                   "last_reload_failed": False})
        self.assertEqual(status["faults"], [])
        self.assertEqual([worker["number"] for worker in status["workers"]], [0, 1])
        for worker in status["workers"]:
            self.assertLess(worker["seconds_since_last_turn"], 5)
        self.assertLess(status["uptime_seconds"], harness.PATIENCE)
        self.assertRegex(status["start_time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
        [listener] = status["listeners"]
        self.assertEqual((listener["name"], listener["action"]), ("e", "echo"))
        host, port = daemon.address("e")
        self.assertEqual(listener["addresses"], [f"{host}:{port}"])
        self.assertEqual([peer["name"] for peer in status["peers"]], ["named", "none"])
        self.assertEqual(status["peers"][1]["addresses"], [])
        self.assertIsNone(status["datagram_log"])
        daemon.end()

    def test_rates(self):
        daemon = self.serve_http()
        client = self.udp()
        end = time.monotonic() + harness.PATIENCE
        rate = 0
        while not rate and time.monotonic() < end:
            for _ in range(20):
                self.assert_echoes(client, daemon.address("e"), os.urandom(10))
            [listener] = self.status(daemon)["listeners"]
            rate = listener["datagrams_per_second"]
        self.assertGreater(rate, 0)
        self.assertAlmostEqual(listener["bytes_per_second"], 10 * rate, delta=0.02)
        while self.status(daemon)["listeners"][0]["datagrams_per_second"]:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.1)

    def test_the_queue_of_the_datagram_log(self):
        """The pipe is not read: records wait, and then are dropped."""
        with tempfile.TemporaryDirectory() as directory:
            pipe = os.path.join(directory, "pipe")
            os.mkfifo(pipe)
            reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
            self.addCleanup(os.close, reader)
            daemon = self.serve(config("127.0.0.1:0").replace("target = off", f"target = {pipe}\nqueue = 16"))
            daemon.http = daemon.await_line(r"http: listening on (\S+)$")[1]
            client = self.udp()
            for i in range(3000):
                self.assert_echoes(client, daemon.address("e"), b"%0200d" % i)
            metrics = self.metrics(daemon)
            written, dropped, waiting = (metrics[f"udprelayd_datagram_log_{name}", ()] for name in
                                         ("written_records_total", "dropped_records_total", "waiting_records"))
            self.assertEqual(written + dropped + waiting, 3000)
            self.assertGreater(waiting, 0)
            self.assertGreater(dropped, 0)
            threading.Thread(target=self.drain, args=(reader,), daemon=True).start()
            self.assertEqual(daemon.end()["listener e"]["echoed"], 3000)

    def drain(self, reader):
        with contextlib.suppress(OSError):
            while True:
                try:
                    if not os.read(reader, 65536):
                        return
                except BlockingIOError:
                    time.sleep(0.001)

    def test_a_pause_of_the_whole_process_is_visible(self):
        """All threads stop and continue together. The first response may report late workers, later ones do not."""
        daemon = self.serve_http()
        daemon.pause()
        time.sleep(0.5)
        daemon.process.send_signal(signal.SIGCONT)
        self.assertIn(self.get(daemon, "/healthz")[0], (200, 503))
        end = time.monotonic() + harness.PATIENCE
        while self.get(daemon, "/healthz")[0] != 200:
            self.assertLess(time.monotonic(), end)

    def test_results_of_reloads(self):
        """A failed reload is reported until the next reload."""
        daemon = self.serve_http()
        for text, loaded, failed in ((None, 0, 0), (config("127.0.0.1:0"), 1, 0), ("wrong", 1, 1), ("wrong", 1, 2),
                                     (config("127.0.0.1:0"), 2, 2)):
            if text:
                with open(daemon.path, "w", encoding="utf-8") as file:
                    file.write(text)
                daemon.send_signal(signal.SIGHUP)
                daemon.await_line(r"(configuration \d+ active|the last reload failed)", loaded + failed)
            metrics = self.metrics(daemon)
            self.assertEqual([metrics["udprelayd_reloads_total", (("result", result),)]
                              for result in ("success", "failure")], [loaded, failed])
            self.assertEqual(metrics["udprelayd_last_reload_successful", ()], text != "wrong")
            told = self.status(daemon)["configuration"]
            self.assertEqual((told["generation"], told["reloads_failed"], told["last_reload_failed"]),
                             (loaded + 1, failed, text == "wrong"))
        daemon.end()

    # --- Bad clients ---

    def test_a_reload(self):
        """Counters continue. Keys that need a restart are logged."""
        daemon = self.serve_http()
        client, before = self.udp(), {}
        for number in range(1, 4):
            for i in range(20):
                self.assert_echoes(client, daemon.address("e"), b"%d %d" % (number, i))
            daemon.await_counter("listener e", "received", 20 * number)
            self.assertEqual(self.status(daemon)["configuration"]["generation"], number)
            now = self.metrics(daemon)
            self.assertEqual(now["udprelayd_listener_received_datagrams_total", (("listener", "e"),)], 20 * number)
            for series in before:
                if series[0].endswith(("_total", "_count", "_sum", "_bucket")):
                    self.assertGreaterEqual(now[series], before[series], series)
            before = now
            with open(daemon.path, "w", encoding="utf-8") as file:
                file.write(config("127.0.0.1:1"))
            daemon.send_signal(signal.SIGHUP)
            daemon.await_line("notice: configuration %d active" % (number + 1))
        daemon.await_line(r"\[http\] listen: a reload cannot change it: restart the daemon")
        self.assert_serves(daemon)
        daemon.end()

    def test_keep_alive_and_pipelined_requests(self):
        daemon = self.serve_http()
        connection = self.connection(daemon)
        connection.connect()
        port = connection.sock.getsockname()
        for _ in range(200):
            self.assertEqual(self.get(daemon, "/healthz", connection=connection)[0], 200)
        self.assertEqual(connection.sock.getsockname(), port)
        sock = self.raw(daemon)
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50 +
                     b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        said = self.read_all(sock)
        self.assertEqual(said.count(b"HTTP/1.1 200 OK\r\n"), 50)
        self.assertEqual(said.count(b"HTTP/1.1 404 Not Found\r\n"), 1)
        daemon.end()

    def ask_raw(self, daemon, *headers, method="GET", version="1.1"):
        """Returns the status of a request with only these headers, followed by another request."""
        sock = self.raw(daemon)
        lines = [f"{method} /healthz HTTP/{version}", *headers, "", ""]
        sock.sendall("\r\n".join(lines).encode("latin-1"))
        with contextlib.suppress(ConnectionError):
            sock.sendall(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        said = self.read_all(sock)
        status = int(said.split()[1])
        self.assertEqual(said.count(b" 404 "), status == 200, said)
        return status

    def test_host(self):
        """A page whose name now leads to this server (DNS rebinding) gets no data."""
        daemon = self.serve_http()
        for host in ("localhost", "LOCALHOST:1", "127.0.0.1", daemon.http, "[::1]:9100", "127.9.9.9"):
            self.assertEqual(self.ask_raw(daemon, f"Host: {host}"), 200, host)
        for host in ("evil.example", "evil.example:9100", "localhost.evil.example", "192.0.2.1"):
            self.assertEqual(self.ask_raw(daemon, f"Host: {host}"), 421, host)
            self.assertEqual(self.ask_raw(daemon, f"Host: {host}", version="1.0"), 421, host)
        for host in ("", "localhost:x", "a b", "[::1", "localhost/"):
            self.assertEqual(self.ask_raw(daemon, f"Host: {host}"), 400, host)
        status, _, body = self.get(daemon, "/metrics", headers={"Host": "evil.example"})
        self.assertEqual((status, body), (421, b"this host name is not accepted: add it to `hosts` in section [http]\n"))
        daemon.end()

    def test_no_host(self):
        daemon = self.serve_http()
        self.assertEqual(self.ask_raw(daemon), 400)
        self.assertEqual(self.ask_raw(daemon, "X: y"), 400)
        self.assertEqual(self.ask_raw(daemon, "Host: localhost", "Host: localhost"), 400)
        self.assertEqual(self.ask_raw(daemon, "Host: localhost", "host: evil.example"), 400)
        sock = self.raw(daemon)
        sock.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        self.assertIn(b" 200 ", self.read_all(sock))
        daemon.end()

    def test_more_hosts(self):
        """A reload changes the hosts. The address of the server is always accepted."""
        listen = "127.0.0.1:0\nhosts = metrics.example.net, 2001:db8::7"
        daemon = self.serve_http(listen)
        for host in ("metrics.example.net", "Metrics.Example.Net.:80", "[2001:db8::7]", "localhost"):
            self.assertEqual(self.ask_raw(daemon, f"Host: {host}"), 200, host)
        self.assertEqual(self.ask_raw(daemon, "Host: other.example.net"), 421)
        with open(daemon.path, "w", encoding="utf-8") as file:
            file.write(config("127.0.0.1:0\nhosts = other.example.net"))
        daemon.send_signal(signal.SIGHUP)
        daemon.await_line(r"configuration \d+ active")
        self.assertEqual(self.ask_raw(daemon, "Host: other.example.net"), 200)
        self.assertEqual(self.ask_raw(daemon, "Host: metrics.example.net"), 421)
        daemon.end()

    def test_hosts_at_a_path(self):
        """Browsers cannot use AF_UNIX sockets."""
        with tempfile.TemporaryDirectory() as directory:
            daemon = self.serve_http(f"unix:{directory}/http")
            self.assertEqual(self.get(daemon, "/healthz", headers={"Host": "any.example"})[0], 200)
            self.assertEqual(self.get(daemon, "/healthz", headers={"Host": "a b"})[0], 400)
            daemon.end()

    def test_conflicting_lengths(self):
        """A proxy could parse the remaining bytes as another request than the server."""
        daemon = self.serve_http()
        host = "Host: localhost"
        for method in ("GET", "POST", "HEAD"):
            for lengths in (("0", "5"), ("5", "0"), ("5", "6"), ("0", "0", "7"), ("0, 5",), ("0, 0",), ("+0",), ("0x0",)):
                headers = [f"Content-Length: {length}" for length in lengths]
                self.assertEqual(self.ask_raw(daemon, host, *headers, method=method), 400, (method, lengths))
            self.assertEqual(self.ask_raw(daemon, host, "Content-Length: 0", "Transfer-Encoding: chunked", method=method), 400)
        self.assertEqual(self.ask_raw(daemon, host, "Content-Length: 0", "content-length: 0"), 200)
        self.assert_serves(daemon)
        daemon.end()

    def test_invalid_header_names(self):
        """A proxy could read a name with a blank as the name without it."""
        daemon = self.serve_http()
        host = "Host: localhost"
        for header in ("Content-Length : 5", "Transfer-Encoding : chunked", "Transfer-Encoding\t: chunked", "X Y: z",
                       "X(: y", "X\x00Y: z", "Host : localhost", "X\x0b: y", "X\x7f: y"):
            self.assertEqual(self.ask_raw(daemon, host, header), 400, header)
            self.assertEqual(self.ask_raw(daemon, host, "Content-Length: 0", header), 400, header)
        self.assertEqual(self.ask_raw(daemon, host, "!#$%&'*+-.^_`|~09azAZ: y"), 200)
        self.assertEqual(self.ask_raw(daemon, " " + host, host), 400)
        self.assert_serves(daemon)
        daemon.end()

    def test_garbage(self):
        """Invalid requests are refused, or closed after the time limit."""
        daemon = self.serve_http()
        asked = []
        for garbage in (b"\0" * 100, b"\r\n\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
                        bytes(range(256)) * 4, b"GET /metrics HTTP/9.9\r\n\r\n", b"GET /metr",
                        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
                        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999999\r\n\r\n",
                        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                        b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + b"5\r\nhello\r\n" * 99,
                        b"GET " + b"/x" * 50000 + b" HTTP/1.1\r\n\r\n"):
            sock = self.raw(daemon, "127.0.0.2")
            with contextlib.suppress(ConnectionError):
                sock.sendall(garbage)
                sock.shutdown(socket.SHUT_WR)
            asked.append((garbage[:60], sock))
        self.assert_serves(daemon)
        for garbage, sock in asked:
            self.assertRegex(self.read_all(sock), rb"^(HTTP/1\.[01] [45]|$)", garbage)
        self.assert_serves(daemon)
        daemon.end()

    def test_large_headers(self):
        daemon = self.serve_http()
        for headers in (b"X: " + b"x" * 100000 + b"\r\n", b"X: x\r\n" * 20000, b"X" * 100000 + b": x\r\n"):
            sock = self.raw(daemon)
            with contextlib.suppress(ConnectionError):
                sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n" + headers + b"\r\n")
            self.assertNotIn(b"200 OK", self.read_all(sock))
            self.assert_serves(daemon)
        sock = self.raw(daemon)
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: " + b"x" * 2000 + b"\r\n\r\n")
        self.assertIn(b"200 OK", self.read_all(sock))
        daemon.end()

    def test_half_open_connections_of_one_client(self):
        """One address may use its share of connections. Further ones are closed at once, and other addresses are
        served."""
        daemon = self.serve_http()
        held = [self.raw(daemon, "127.0.0.2") for _ in range(3 * EACH)]
        for sock in held[1::2]:
            with contextlib.suppress(ConnectionError):
                sock.send(b"GET /met")
        self.assert_serves(daemon)
        ended = 0
        for sock in held:
            sock.setblocking(False)
            try:
                ended += sock.recv(1) == b""
            except ConnectionResetError:
                ended += 1
            except BlockingIOError:
                pass
        self.assertEqual(ended, 2 * EACH)
        daemon.end()

    def test_more_connections_than_there_may_be(self):
        """Waiting clients are served after the slow ones reach their time limit. Datagrams flow meanwhile."""
        daemon = self.serve_http()
        begin = time.monotonic()
        held = [self.raw(daemon, f"127.0.0.{2 + i % 5}") for i in range(CONNECTIONS)]
        served = []
        asker = threading.Thread(target=lambda: served.append(self.get(daemon, "/healthz")[0]), daemon=True)
        asker.start()
        client = self.udp()
        while asker.is_alive():
            self.assert_echoes(client, daemon.address("e"), b"%f" % time.monotonic())
            for sock in held:
                with contextlib.suppress(ConnectionError):
                    sock.send(b"G")  # a byte at intervals does not extend the time limit
            asker.join(0.3)
        self.assertEqual(served, [200])
        self.assertGreater(time.monotonic() - begin, REQUEST_S - 2)
        self.assertLess(time.monotonic() - begin, REQUEST_S + 5)
        daemon.end()

    def test_a_client_that_does_not_read(self):
        """A large page and a closed window: the connection ends, and other clients are not affected."""
        peers = "".join(f"[peer:p{i}]\naddress = 127.0.0.1:{i + 1}\n" for i in range(500))
        daemon = self.serve_http(more=peers)
        sock = socket.socket()
        self.addCleanup(sock.close)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(harness.PATIENCE)
        host, port = daemon.http.rsplit(":", 1)
        sock.connect((host, int(port)))
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
        self.assert_serves(daemon)
        whole = len(self.get(daemon, "/metrics")[2])
        self.assertGreater(whole, 500 * 24 * 50)
        time.sleep(REQUEST_S + 2)
        self.assertLess(len(self.read_all(sock)), 20 * whole)
        self.assert_serves(daemon)
        daemon.end()

    def test_no_descriptor_for_a_connection(self):
        """The loop does not spin, and continues when descriptors are available."""
        daemon = self.serve_http()
        self.assert_serves(daemon)
        self.assert_rests_without_descriptors(daemon)
        held = self.connection(daemon)
        self.get(daemon, "/healthz", connection=held)
        self.assert_rests_without_descriptors(daemon, held)
        daemon.end()

    def assert_rests_without_descriptors(self, daemon, held=None):
        pid = daemon.process.pid
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
        sock = self.raw(daemon)
        sock.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        before = self.cpu_seconds(pid)
        time.sleep(1)
        self.assertLess(self.cpu_seconds(pid) - before, 0.3)
        self.assert_echoes(self.udp(), daemon.address("e"), b"still there")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        if held:
            held.close()
        self.assertIn(b"200 OK", self.read_all(sock))

    def cpu_seconds(self, pid):
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def test_an_end_during_requests(self):
        daemon = self.serve_http()
        held = [self.raw(daemon) for _ in range(5)]
        for sock in held:
            sock.sendall(b"GET /metrics HTTP/1.1\r\n")
        self.assert_serves(daemon)
        daemon.end()
        self.assertLess(daemon.ending_seconds, 5)

    def test_datagrams_flow_during_many_requests(self):
        daemon = self.serve_http()
        stop = threading.Event()

        def ask():
            connection = self.connection(daemon)
            while not stop.is_set():
                self.get(daemon, "/metrics", connection=connection)
        askers = [threading.Thread(target=ask, daemon=True) for _ in range(4)]
        for asker in askers:
            asker.start()
        client = self.udp()
        for i in range(500):
            self.assert_echoes(client, daemon.address("e"), b"%d" % i)
        stop.set()
        for asker in askers:
            asker.join(harness.PATIENCE)
        self.assertEqual(daemon.end()["listener e"]["echoed"], 500)


if __name__ == "__main__":
    harness.main()
