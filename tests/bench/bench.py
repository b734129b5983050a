"""Benchmarks: CPU time per datagram, of the daemon and of minimal servers, in one run.

    bench.py DAEMON UDPRELAY REFERENCE DIRECTORY [--publish] [--rounds N] [--seconds S] [--only WORDS] [--list]

Server and load generator (`udprelay load`) have one CPU each. Every round of a case starts and measures each server once,
in random order. The results are medians of the rounds. A ratio is the median of the ratios of the rounds, because a
disturbance of the machine usually affects a whole round. The results (results.json) are written to DIRECTORY. With
--publish, they are written into the documentation, too: see publish.py."""
import argparse
import atexit
import json
import os
import platform
import random
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import publish

SERVER_CPU, LOAD_CPU = 0, 1
OURS = "udprelayd"
BEFORE = "before"  # another build of the daemon, with --before
REFERENCES = ["r1", "r2", "r3", "r4", "r7", "r8"]
NGINX = "nginx"
NGINX_PATH = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
START_S = 0.25  # time besides the load, to start and end the programs
NGINX_DEADLINE = 10  # seconds for the start of a program
BARE = ["bare-1", "bare-n"]  # the minimum of a relay
ALIVE = {"10,000 alive": 9800, "200 alive": 0}  # the daemon with this number of idle sessions
FILES = 65536  # the descriptor limit for every process here
FIGURES = {"process": None, "worker": "worker-0", "writer": "datagram-log"}  # names of threads


class Case:
    """One load, its servers, and its result rows: each with a figure, a reference and a goal."""

    def __init__(self, name, load, contestants, goals=(), peers=0, relay=False, network=False, rows=None, rounds=1):
        self.name, self.load, self.contestants = name, load.split(), contestants
        self.rounds = rounds  # factor on the rounds of other cases, if the goal is close
        self.rows = rows or [(name, "process", goals)]
        self.peers, self.host, self.prefix = peers, "127.0.0.1", []
        if network:
            self.host, self.prefix = "192.0.2.1", ["ip", "netns", "exec", "far"]
            self.load += ["-b", "192.0.2.2", "--yes-i-own-it"]
        else:
            self.load += ["-b", "127.0.0.1"]
        self.relay, self.network = relay, network
        self.files = 1000 + max(ALIVE.get(kind, 0) for kind in contestants)  # maximum per process


CASES = [
    Case("echo, 1 flow, depth 256", "-f 1 -d 256", [OURS, *REFERENCES], [("r1", 0.75), ("r7", 0.60)],
         rounds=2),
    Case("echo, 100 flows, depth 16", "-f 100 -d 16", [OURS, *REFERENCES], [("r1", 0.70)]),
    Case("echo, 500 flows, depth 1", "-f 500 -d 1", [OURS, "r1", "r2", "r3"], [("best of r1 r2 r3", 1.03)],
         rounds=4),
    Case("echo, trains of 50", "-f 1 -d 1000 -t 50", [OURS, *REFERENCES], [("r1", 0.045), ("r4", 1.10)]),
    Case("echo, 1400 bytes, trains of 40", "-f 1 -d 800 -t 40 -s 1400", [OURS, "r1", "r4"], [("r4", 1.10)]),
    Case("echo over veth, trains of 50", "-f 1 -d 1000 -t 50", [OURS, "r1", "r4"], [("r1", 0.05)], network=True),
    Case("forward to 4 peers, one by one", "-f 1 -d 64", [OURS, "fanout"], [("fanout", 0.55)], peers=4),
    Case("forward to 4 peers, trains of 50", "-f 1 -d 400 -t 50", [OURS, "fanout"], [("fanout", 0.10)], peers=4),
    Case("forward, 200 clients to 1 peer (r1 echoes)", "-f 200 -d 4", [OURS, "r1"], [("r1", 0.60)], peers=1, rounds=4),
    Case("relay, 1 flow, depth 16", "-f 1 -d 16", [OURS, NGINX, *BARE], [(NGINX, 0.45)], relay=True),
    Case("relay, 200 flows, depth 16", "-f 200 -d 16", [OURS, NGINX, *BARE], [(NGINX, 0.55)], relay=True),
    Case("relay, 200 flows, depth 1", "-f 200 -d 1", [OURS, NGINX, *BARE], [(NGINX, 0.75)], relay=True),
    # The peer socket of nginx holds 256 datagrams with the default settings of Linux. It would lose further ones.
    Case("relay, 1 flow, trains of 50", "-f 1 -d 200 -t 50", [OURS, NGINX], [(NGINX, 0.06)], relay=True),
    Case("relay, 10,000 sessions of which 200 talk", "-f 200 -d 16", [*ALIVE], [("200 alive", 1.1)], relay=True),
    Case("every datagram logged", "-f 1 -d 256", ["log = all", "log = none"], rows=[
        ("every datagram logged, whole process", "process", [("log = none", 1.35)]),
        ("every datagram logged, worker's thread", "worker", [("log = none", 1.08)]),
        ("every datagram logged, writer's thread", "writer", [(1.0, 1)])]),
    Case("round trip, depth 1", "-f 1 -d 1", [OURS, "r2"], rounds=4, rows=[
        ("round trip at depth 1, p50, µs of time", "p50_us", [("r2", 1.1)]),
        ("round trip at depth 1, p99, µs of time", "p99_us", [("r2", 1.1)])]),
]


# --- Processes ---

def pin(cpu):
    return lambda: os.sched_setaffinity(0, {cpu})


def cpu_ns(pid, thread=None):
    """Returns the CPU time of a process, or of its threads with this name."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        base = f"/proc/{pid}/task/{task}"
        with open(f"{base}/comm", encoding="ascii") as file:
            name = file.read().strip()
        if thread in (None, name):
            with open(f"{base}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
    return total


def resident_mb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1]) / 1024


class Server:
    """A server under test, pinned to a CPU."""

    logs = False

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        stdin=subprocess.DEVNULL, preexec_fn=pin(SERVER_CPU))
        atexit.register(self.process.terminate)  # in any case

    def pids(self):
        return [self.process.pid]

    def cpu_ns(self):
        return {figure: sum(cpu_ns(pid, thread) for pid in self.pids()) for figure, thread in FIGURES.items()}

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=20)


class Reference(Server):
    def __init__(self, kind, host, peers=()):
        super().__init__([arguments.reference, kind, f"{host}:0", *peers])
        self.address = self.process.stdout.readline().decode().strip()


class Daemon(Server):
    def __init__(self, config, kind=None):
        self.directory = tempfile.TemporaryDirectory(prefix="udprelayd-bench-")
        self.logs = "log = all" in config
        path = os.path.join(self.directory.name, "udprelayd.ini")
        with open(path, "w", encoding="ascii") as file:
            file.write("[log]\nlevel = notice\n" + config.replace("DIRECTORY", self.directory.name))
        super().__init__([arguments.before if kind == BEFORE else arguments.daemon, "-c", path])
        said = ""
        while " ready: " not in said:
            line = self.process.stderr.readline().decode()
            if not line:
                sys.exit(f"the daemon does not start:\n{said}")
            said += line
        self.addresses = re.findall(r"listening on (\S+)", said)
        self.address = self.addresses[0]

    def count_records(self):
        with open(os.path.join(self.directory.name, "log"), "rb") as file:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))

    def end(self):
        super().end()
        if self.logs:
            self.records = self.count_records()
        self.directory.cleanup()


def nginx_module():
    """Returns the line that loads the stream module, an empty line if it is built in, or None without a suitable
    nginx."""
    built = subprocess.run([NGINX_PATH, "-V"], capture_output=True, text=True).stderr if NGINX_PATH else ""
    if re.search(r"--with-stream(\s|$)", built):
        return ""
    directory = re.search(r"--modules-path=([^\s']+)", built)
    module = f"{directory[1] if directory else '.'}/ngx_stream_module.so"
    return f"load_module {module};" if os.path.exists(module) else None


def nginx_version():
    said = subprocess.run([NGINX_PATH, "-v"], capture_output=True, text=True, check=True).stderr
    return said.strip().rpartition("/")[2]


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def nginx_config(directory, port, peer):
    """One worker that reads all waiting datagrams before the next epoll call, with the same buffers as the daemon."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return f"""
{nginx_module()}
daemon off;
pid {directory}/pid;
error_log stderr notice;
worker_processes 1;
worker_rlimit_nofile {files};
events {{ worker_connections {FILES}; use epoll; multi_accept on; }}
stream {{
    access_log off;
    server {{
        listen 127.0.0.1:{port} udp reuseport rcvbuf=4m sndbuf=4m;
        proxy_pass {peer};
        proxy_timeout 60s;
    }}
}}
"""


class Nginx(Server):
    """A relay to one peer. Its worker is a separate process."""

    def __init__(self, peer):
        self.directory = tempfile.TemporaryDirectory(prefix="udprelayd-bench-")
        self.address = f"127.0.0.1:{free_port()}"
        path = os.path.join(self.directory.name, "nginx.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write(nginx_config(self.directory.name, self.address.split(":")[1], peer))
        super().__init__([NGINX_PATH, "-p", self.directory.name, "-c", path])
        self.wait_for_worker()

    def wait_for_worker(self):
        """The port is open before a worker exists: datagrams wait in its socket."""
        deadline = threading.Timer(NGINX_DEADLINE, self.process.kill)
        deadline.start()
        said, found = "", None
        while not found:
            line = self.process.stderr.readline().decode()
            if not line:
                break
            said += line
            found = re.search(r"start worker process (\d+)$", line)
        deadline.cancel()
        if not found:
            sys.exit(f"nginx does not start:\n{said}")
        self.worker = int(found[1])

    def pids(self):
        return [self.process.pid, self.worker]

    def end(self):
        super().end()
        self.directory.cleanup()


def echo_config(log, listeners=1, workers=1, host="127.0.0.1"):
    return (f"[udprelayd]\nworkers = {workers}\n[datagram_log]\ntarget = DIRECTORY/log\n" + "".join(
        f"[listener:l{i}]\naddress = {host}:0\naction = echo\nlog = {log}\n" for i in range(listeners)))


def forward_config(peers):
    return ("[udprelayd]\nworkers = 1\n[listener:l]\naddress = 127.0.0.1:0\naction = forward\nlog = none\n"
            f"peers = {', '.join(f'p{i}' for i in range(len(peers)))}\n"
            + "".join(f"[peer:p{i}]\naddress = {peer}\n" for i, peer in enumerate(peers)))


def relay_config(peer):
    return ("[udprelayd]\nworkers = 1\n[datagram_log]\ntarget = off\n"
            "[listener:l]\naddress = 127.0.0.1:0\naction = relay\nlog = none\npeers = p\nidle_timeout = 60s\n"
            "source_sessions = 0\n"
            f"[peer:p]\naddress = {peer}\n")


class Load:
    """The load generator. If it has peers, it prints their addresses before the server starts. For a relay it opens the
    sessions first, and starts after a line on its standard input."""

    def __init__(self, target, options, seconds, prefix=()):
        self.process = subprocess.Popen([*prefix, arguments.udprelay, "load", "--json", "-q", "-n", str(seconds), *options,
                                         target],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=pin(LOAD_CPU))

    def peers(self):
        return self.process.stdout.readline().decode().split()

    def open_sessions(self, address):
        self.process.stdin.write(f"{address}\n".encode())
        self.process.stdin.flush()
        if self.process.stdout.readline() != b"ready\n":
            sys.exit("no sessions could be opened")

    def result(self, line=None):
        out, _ = self.process.communicate(f"{line}\n".encode() if line else None, timeout=60)
        if not out:
            sys.exit("the load generator fails")
        return json.loads(out.splitlines()[-1])


# --- Measuring ---

NOTES = []  # notes below the table


def wrongs(samples):
    """Returns notes about a server that loses, duplicates or misdelivers datagrams: it has not done all the work."""
    notes = []
    for kind, results in samples.items():
        for wrong in ("lost", "duplicated", "misdelivered", "unrecorded"):
            count = sum(result.get(wrong, 0) for result in results)
            if count:
                notes.append(f"{kind}: {count} {wrong} of {sum(result['sent'] for result in results)} sent")
    return notes


def start_server(kind, case, peers):
    if kind in (OURS, BEFORE) and peers:
        return Daemon(forward_config(peers), kind)
    if kind in (OURS, BEFORE):
        return Daemon(echo_config("none", host=case.host), kind)
    if kind.startswith("log = "):
        return Daemon(echo_config(kind.removeprefix("log = ")))
    return Reference(kind, case.host, peers)


def finish(server, load, line, before):
    """Returns the result of the load, and the CPU time since `before`, by figure."""
    result = load.result(line)
    used = {figure: ns - before[figure] for figure, ns in server.cpu_ns().items()}
    server.end()
    if server.logs:
        result["unrecorded"] = result["sent"] - server.records
    return result, used


def start_relay(kind, peer):
    if kind in BARE:
        return Reference(kind, "127.0.0.1", [peer])
    return Nginx(peer) if kind == NGINX else Daemon(relay_config(peer), kind)


def run_relay(kind, case):
    """Opens the sessions before it reads the CPU time."""
    load = Load("-", [*case.load, "--hold", "--echo-peers", "1", "--idle", str(ALIVE.get(kind, 0))], arguments.seconds)
    peer, = load.peers()
    server = start_relay(kind, peer)
    load.open_sessions(server.address)
    return finish(server, load, "begin", server.cpu_ns())


def run_peers(kind, case):
    load = Load("-", [*case.load, "--receivers", str(case.peers)], arguments.seconds)
    server = start_server(kind, case, load.peers())
    return finish(server, load, server.address, server.cpu_ns())


def run_echo(kind, case):
    server = start_server(kind, case, [])
    before = server.cpu_ns()
    return finish(server, Load(server.address, case.load, arguments.seconds, case.prefix), None, before)


def measure(kind, case):
    """Returns microseconds per datagram, or per round trip of a relay, by figure; and the result of the generator."""
    copies = case.peers if kind != "r1" else 0  # r1 is an echo: its datagrams return to the flow
    run = run_relay if case.relay else run_peers if copies else run_echo
    result, used = run(kind, case)
    arrived = (result["received"] - result["greeted"]) / max(1, copies)
    if not arrived:
        sys.exit(f"{kind}, {case.name}: nothing comes back")
    return result | {figure: ns / arrived / 1000 for figure, ns in used.items()}


def run_case(case):
    samples = {kind: [] for kind in case.contestants}
    for kind in case.contestants:  # a first run to warm up
        measure(kind, case)
    for _ in range(arguments.rounds * case.rounds):
        for kind in random.sample(case.contestants, len(case.contestants)):
            samples[kind].append(measure(kind, case))
    for note in wrongs(samples):
        NOTES.append(f"{case.name}: {note}")
    return [Result(name, {kind: [sample[figure] for sample in values] for kind, values in samples.items()
                          if figure != "writer" or kind == case.contestants[0]}, goals)
            for name, figure, goals in case.rows]


def run_memory():
    """Returns resident megabytes, not microseconds."""
    daemon = Daemon(echo_config("none", listeners=8, workers=2))
    idle = resident_mb(daemon.process.pid)
    for address in daemon.addresses:
        Load(address, ["-f", "16", "-d", "1000", "-t", "50"], 0.2).result()
    loaded = resident_mb(daemon.process.pid)
    daemon.end()
    return [Result("resident MB, 2 workers, 8 listeners, idle", {OURS: [idle]}, [(12.0, 1)]),
            Result("resident MB, the same after trains", {OURS: [loaded]}, [(32.0, 1)])]


# --- Results ---

class Result:
    """A row. The goal is the maximum ratio to a reference or to a number."""

    def __init__(self, name, samples, goals):
        self.name, self.samples = name, samples
        self.ours = next(iter(samples))
        self.medians = {kind: statistics.median(values) for kind, values in samples.items()}
        self.goals = [(reference, self.against(reference), goal) for reference, goal in goals]

    def against(self, reference):
        if isinstance(reference, float):
            return self.medians[self.ours] / reference
        if reference.startswith("best of "):
            return max(self.against(kind) for kind in reference.split()[2:])
        return statistics.median(a / b for a, b in zip(self.samples[self.ours], self.samples[reference]))

    def data(self):
        """A row of results.json."""
        return {"case": self.name,
                "medians": {kind: round(value, 4) for kind, value in self.medians.items()},
                "ratios": {kind: round(self.against(kind), 3) for kind in self.medians if kind != self.ours},
                "goals": [{"reference": reference, "ratio": round(ratio, 3), "goal": goal}
                          for reference, ratio, goal in self.goals]}

    def row(self):
        return publish.table_row(self.data())


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    version = subprocess.run([arguments.daemon, "-V"], capture_output=True, text=True, check=True).stdout.strip()
    others = "" if nginx_module() is None else f", nginx {nginx_version()}"
    return (f"{model[1] if model else platform.machine()}, {os.cpu_count()} processors, Linux {platform.release()}, "
            f"{version}{others}; medians of {arguments.rounds} to {4 * arguments.rounds} rounds of {arguments.seconds} s")


def write_results(results):
    os.makedirs(arguments.directory, exist_ok=True)
    data = {"machine": f"Measured on {time.strftime('%Y-%m-%d')} on {machine()}",
            "rows": [result.data() for result in results], "notes": NOTES}
    with open(os.path.join(arguments.directory, "results.json"), "w", encoding="utf-8") as file:
        json.dump(data, file, indent=1, ensure_ascii=False)
    print("\n" + publish.table(data))
    if arguments.publish:
        publish.publish(data)


def set_up_network():
    """Creates namespaces for the case that crosses a network. Without the permission the case is left out."""
    if os.environ.get("UDPRELAYD_BENCH_NAMESPACE"):
        for words in ["netns add far", "link set lo up", "link add near type veth peer name far netns far",
                      "address add 192.0.2.1/24 dev near", "-n far address add 192.0.2.2/24 dev far",
                      "link set near up", "-n far link set far up"]:
            subprocess.run(["ip", *words.split()], check=True)
        return True
    if not shutil.which("ip") or not shutil.which("unshare"):
        return False
    if subprocess.run(["unshare", "--net", "--mount", "sh", "-c", "ip link"], capture_output=True).returncode:
        return False
    os.environ["UDPRELAYD_BENCH_NAMESPACE"] = "1"
    os.execvp("unshare", ["unshare", "--net", "--mount", "sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh",
                          sys.executable, *sys.argv])


def raise_files():
    """Every session has a socket in the server and in the generator. Returns the possible number of open
    descriptors."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if limit < FILES:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
            return FILES
        except (ValueError, OSError):  # not permitted
            pass
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limit, FILES), limit))
    return min(limit, FILES)


def why_not(case, network, files):
    """Returns the reason why the case cannot run here, with the fix, or None."""
    if case.network and not network:
        if not shutil.which("ip") or not shutil.which("unshare"):
            return "`ip` and `unshare` are not installed: install the Debian packages iproute2 and util-linux"
        return "this user cannot create network namespaces: run it as root"
    if NGINX in case.contestants and nginx_module() is None:
        return ("nginx with its stream module is not installed: install the Debian packages nginx and "
                "libnginx-mod-stream")
    if case.files > files:
        return f"it needs {case.files} open files and may open {files}: raise the limit (`ulimit -Hn`)"
    return None


def compare_with_before():
    """Returns the same cases with another build of the daemon as the only reference. The goal: at most 2 % worse."""
    cases = [case for case in CASES if OURS in case.contestants]
    for case in cases:
        case.contestants = [OURS, BEFORE]
        case.rows = [(name, figure, [(BEFORE, 1.02)]) for name, figure, _ in case.rows]
        case.rounds = 1
    CASES[:] = cases


def build_options(program):
    """Returns the options of the meson build that contains the program; empty for an installed program."""
    directory = os.path.dirname(os.path.abspath(program))
    while directory != "/":
        path = os.path.join(directory, "meson-info", "intro-buildoptions.json")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                return {option["name"]: option["value"] for option in json.load(file)}
        directory = os.path.dirname(directory)
    return {}


def check_build(program):
    """Exits with an error for a build whose figures have no meaning."""
    options = build_options(program)
    optimization, sanitizer = options.get("optimization", "3"), options.get("b_sanitize", "none")
    if optimization in ("0", "g"):
        wrong = f"is a debug build (optimization={optimization})"
    elif sanitizer != "none":
        wrong = f"is built with a sanitizer (b_sanitize={sanitizer})"
    else:
        return
    sys.exit(f"bench.py: {program} {wrong}, and its figures mean nothing. Make an optimised build:\n"
             "    meson setup build-release --buildtype=release\n"
             "    meson test -C build-release --benchmark bench --verbose")


class Progress:
    """The number of the case, and an estimate of the time that is left. Cases that have ended correct the estimate."""

    def __init__(self, runs, seconds):
        self.total, self.number = sum(runs), 0
        self.runs, self.done, self.seconds = runs, 0, seconds
        self.begin = time.monotonic()

    def next(self, name):
        seconds = (time.monotonic() - self.begin) / self.done if self.done else self.seconds
        minutes = max(1, round((self.total - self.done) * seconds / 60))
        self.done += self.runs[self.number]
        self.number += 1
        return f"case {self.number} of {len(self.runs)}: {name} (about {minutes} minute{'s'[:minutes > 1]} left)"


def choose_runs(network, files):
    """Returns the cases that can run, as (name, number of measurements, function), and a line for each row that is left
    out."""
    runs, left_out = [], []
    for case in CASES:
        if arguments.only not in case.name:
            continue
        if reason := why_not(case, network, files):
            left_out += [f"not measured: {row}: {reason}" for row, _, _ in case.rows]
        else:
            measurements = len(case.contestants) * (arguments.rounds * case.rounds + 1)
            runs.append((case.name, measurements, lambda case=case: run_case(case)))
    if not arguments.before and arguments.only in "memory":
        runs.append(("memory", 10, run_memory))
    return runs, left_out


def main():
    if os.cpu_count() < 2:
        sys.exit("bench.py: server and load generator need a processor each, and this machine has one")
    for program in (arguments.daemon, arguments.before):
        if program:
            check_build(program)
    if arguments.before:
        compare_with_before()
    runs, left_out = choose_runs(set_up_network(), raise_files())
    if arguments.list:
        print(*(f"case: {name}" for name, _, _ in runs), *left_out, sep="\n")
        return
    results, progress = [], Progress([measurements for _, measurements, _ in runs], arguments.seconds + START_S)
    for name, _, run in runs:
        print(progress.next(name), flush=True)
        rows = run()
        print(*(row.row() for row in rows), sep="\n", flush=True)
        results += rows
    if not arguments.before:
        write_results(results)
    if left_out:
        print(*left_out, sep="\n")


parser = argparse.ArgumentParser()
parser.add_argument("daemon")
parser.add_argument("udprelay")
parser.add_argument("reference")
parser.add_argument("directory")
parser.add_argument("--publish", action="store_true", help="write the results into the documentation")
parser.add_argument("--rounds", type=int, default=25)
parser.add_argument("--seconds", type=float, default=0.1)
parser.add_argument("--only", default="")
parser.add_argument("--before", help="another build of the daemon: compare only with it, and write no results")
parser.add_argument("--list", action="store_true", help="list the cases, and the rows that cannot be measured here")
arguments = parser.parse_args()
main()
