"""Benchmarks: CPU time for each datagram, of the daemon and of the plainest servers there are, in one run.

    bench.py DAEMON LOADGEN REFERENCE DIRECTORY [--rounds N] [--only WORDS]

Server and load generator have a processor each. For each case the contestants take turns, round by round; what is
printed are medians, and ratios against each reference in the same run. The table (results.md, results.json) and the plot
(results.svg) are written to DIRECTORY."""
import argparse
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile

import plot

SERVER_CPU, LOAD_CPU = 0, 1
ECHO = "[listener:a]\naddress = {host}:0\naction = echo\nlog = {log}\n"
REFERENCES = ["r1", "r2", "r3", "r4", "r7", "r8"]


class Case:
    """One load, with the servers that take it and the ratios that are to be reached."""

    def __init__(self, name, load, references, targets=(), log="none", peers=0, network=False):
        self.name, self.load, self.references, self.targets = name, load.split(), references, targets
        self.log, self.peers, self.network = log, peers, network


CASES = [
    Case("echo, 1 flow, depth 256", "-f 1 -d 256", REFERENCES, [("r1", 0.75), ("r7", 0.60)]),
    Case("echo, 100 flows, depth 16", "-f 100 -d 16", REFERENCES, [("r1", 0.70)]),
    Case("echo, 500 flows, depth 1", "-f 500 -d 1", REFERENCES, [("best of r1 r2 r3", 1.03)]),
    Case("echo, trains of 50", "-f 1 -d 1000 -t 50", REFERENCES, [("r1", 0.045), ("r4", 1.10)]),
    Case("echo, 1400 bytes, trains of 40", "-f 1 -d 800 -t 40 -s 1400", ["r1", "r4"], [("r4", 1.10)]),
    Case("echo over veth, trains of 50", "-f 1 -d 1000 -t 50", ["r1", "r4"], [("r1", 0.05)], network=True),
    Case("forward to 4 peers, one by one", "-f 1 -d 64 -p 4", ["fanout"], [("fanout", 0.55)], peers=4),
    Case("forward to 4 peers, trains of 50", "-f 1 -d 400 -t 50 -p 4", ["fanout"], [("fanout", 0.10)], peers=4),
    Case("forward, 200 clients to 1 peer", "-f 200 -d 4 -p 1", ["r1"], [("r1", 0.60)], peers=1),
]


# --- Processes ---

def pin(cpu):
    return lambda: os.sched_setaffinity(0, {cpu})


def cpu_ns(pid, thread=None):
    """On-CPU time of a process, or of its threads of that name."""
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
    """A contestant: pinned, started once for a case, idle while the others have their turn."""

    def __init__(self, name, command):
        self.name, self.samples, self.workers, self.writers = name, [], [], []
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        stdin=subprocess.DEVNULL, preexec_fn=pin(SERVER_CPU))

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=20)


class Reference(Server):
    def __init__(self, kind, host, peers):
        super().__init__(kind, [arguments.reference, kind, f"{host}:0", *peers])
        self.address = self.process.stdout.readline().decode().strip()


class Daemon(Server):
    def __init__(self, name, config):
        self.directory = tempfile.TemporaryDirectory(prefix="udprelayd-bench-")
        path = os.path.join(self.directory.name, "udprelayd.ini")
        with open(path, "w", encoding="ascii") as file:
            file.write("[log]\nlevel = notice\n" + config.replace("DIRECTORY", self.directory.name))
        super().__init__(name, [arguments.daemon, "-c", path])
        said = ""
        while " ready: " not in said:
            line = self.process.stderr.readline().decode()
            if not line:
                sys.exit(f"the daemon does not start:\n{said}")
            said += line
        self.addresses = re.findall(r"listening on (\S+)", said)
        self.address = self.addresses[0]

    def end(self):
        super().end()
        self.directory.cleanup()


class Load:
    """The generator; its peers' ports are known before the server's address must be."""

    def __init__(self, options, seconds, address=None, prefix=()):
        target = ["-a", address] if address else []
        self.process = subprocess.Popen([*prefix, arguments.loadgen, *target, *options, "-n", str(seconds)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=pin(LOAD_CPU))

    def peers(self):
        return [f"127.0.0.1:{int(port)}" for port in self.process.stdout.readline().split()]

    def result(self, address=None):
        out, _ = self.process.communicate(f"{address}\n".encode() if address else None, timeout=60)
        return json.loads(out.splitlines()[-1])


# --- Measuring ---

def check(result, name, case):
    """A server that loses, doubles or misleads datagrams has not done the work."""
    wrong = {key: result[key] for key in ("duplicated", "misdelivered") if result[key]}
    if wrong or result["lost"] > result["sent"] / 100:
        print(f"  note: {name}, {case}: {result}", flush=True)


def measure(server, case, prefix=()):
    """Adds to the server's samples: microseconds for each datagram, of the process and of two of its threads."""
    threads = [(None, server.samples), ("worker-0", server.workers), ("datagram-log", server.writers)]
    before = [cpu_ns(server.process.pid, name) for name, _ in threads]
    result = Load(case.load, arguments.seconds, server.address, prefix).result()
    check(result, server.name, case.name)
    for (name, samples), begin in zip(threads, before):
        samples.append((cpu_ns(server.process.pid, name) - begin) / max(1, result["received"]) / 1000)


def measure_forward(kind, case):
    """A forwarder's peers live in the generator, so both are started anew for every round."""
    load = Load(case.load, arguments.seconds)
    peers = load.peers()
    if kind == "udprelayd":
        names = ", ".join(f"p{i}" for i in range(len(peers)))
        server = Daemon(kind, "[udprelayd]\nworkers = 1\n[datagram_log]\ntarget = off\n[listener:a]\n"
                        f"address = 127.0.0.1:0\naction = forward\npeers = {names}\nlog = none\n"
                        + "".join(f"[peer:p{i}]\naddress = {peer}\n" for i, peer in enumerate(peers)))
    elif kind == "r1":  # an echo has no peer: its datagrams go back to where they came from
        load.process.kill()
        load.process.communicate()
        server = Reference(kind, "127.0.0.1", [])
        flows = [word for word in case.load if word not in ("-p", "1")][:4]
        load = Load(flows, arguments.seconds, server.address)
    else:
        server = Reference(kind, "127.0.0.1", peers)
    before = cpu_ns(server.process.pid)
    result = load.result(server.address)
    check(result, kind, case.name)
    used = cpu_ns(server.process.pid) - before
    server.end()
    return used / max(1, result["received"]) * (len(peers) if kind != "r1" else 1) / 1000


def run_forward(case):
    samples = {kind: [] for kind in ["udprelayd", *case.references]}
    for _ in range(arguments.rounds):
        for kind, values in samples.items():
            values.append(measure_forward(kind, case))
    return {kind: statistics.median(values) for kind, values in samples.items()}


def run_echo(case):
    host, prefix = "127.0.0.1", ()
    if case.network:
        host, prefix = "192.0.2.1", ("ip", "netns", "exec", "far")
        case.load += ["-b", "192.0.2.2:0"]
    servers = [Daemon("udprelayd", "[udprelayd]\nworkers = 1\n[datagram_log]\ntarget = off\n"
                      + ECHO.format(host=host, log=case.log))]
    servers += [Reference(kind, host, []) for kind in case.references]
    for _ in range(arguments.rounds):
        for server in servers:
            measure(server, case, prefix)
    for server in servers:
        server.end()
    return {server.name: statistics.median(server.samples) for server in servers}


def run_logging():
    """Every datagram written to a file, against none: the whole process, the worker's thread alone, and the writer's,
    which is to write a million records a second on a core."""
    case = Case("echo, every datagram logged", "-f 1 -d 256", [])
    silent, logging = [Daemon(name, "[udprelayd]\nworkers = 1\n[datagram_log]\ntarget = DIRECTORY/log\n"
                              + ECHO.format(host="127.0.0.1", log=log)) for name, log in
                       [("log = none", "none"), ("log = all", "all")]]
    for _ in range(arguments.rounds):
        for server in (silent, logging):
            measure(server, case)
            path = os.path.join(server.directory.name, "log")
            os.truncate(path, 0)
    for server in (silent, logging):
        server.end()
    whole = [statistics.median(server.samples) for server in (silent, logging)]
    worker = [statistics.median(server.workers) for server in (silent, logging)]
    return [Result("every datagram logged, whole process", {"log = all": whole[1], "log = none": whole[0]},
                   [("log = none", 1.35)]),
            Result("every datagram logged, worker's thread", {"log = all": worker[1], "log = none": worker[0]},
                   [("log = none", 1.08)]),
            Result("log writer, one record", {"udprelayd": statistics.median(logging.writers), "limit": 1},
                   [("limit", 1)])]


def run_latency():
    servers = [Daemon("udprelayd", "[udprelayd]\nworkers = 1\n[datagram_log]\ntarget = off\n"
                      + ECHO.format(host="127.0.0.1", log="none")), Reference("r2", "127.0.0.1", [])]
    times = {server.name: ([], []) for server in servers}
    for _ in range(arguments.rounds):
        for server in servers:
            result = Load(["-f", "1", "-d", "1", "-l"], arguments.seconds, server.address).result()
            times[server.name][0].append(result["p50_us"])
            times[server.name][1].append(result["p99_us"])
    for server in servers:
        server.end()
    return [Result(f"round trip at depth 1, {name}", {kind: statistics.median(values[i])
                                                      for kind, values in times.items()}, [("r2", 1.1)])
            for i, name in enumerate(["p50", "p99"])]


def run_memory():
    """Resident megabytes, not microseconds."""
    daemon = Daemon("udprelayd", "[udprelayd]\nworkers = 2\n[datagram_log]\ntarget = off\n" + "".join(
        f"[listener:l{i}]\naddress = 127.0.0.1:0\naction = echo\nlog = none\n" for i in range(8)))
    idle = resident_mb(daemon.process.pid)
    for address in daemon.addresses:
        Load(["-f", "16", "-d", "1000", "-t", "50"], 0.2, address).result()
    loaded = resident_mb(daemon.process.pid)
    daemon.end()
    return [Result("resident MB, 2 workers, 8 listeners, idle", {"udprelayd": idle, "limit": 12}, [("limit", 1)]),
            Result("resident MB, the same after trains", {"udprelayd": loaded, "limit": 32}, [("limit", 1)])]


# --- Results ---

class Result:
    def __init__(self, name, medians, targets):
        self.name, self.medians = name, medians
        self.ours = next(iter(medians.values()))
        self.goals = [(reference, self.against(reference), goal) for reference, goal in targets]

    def against(self, reference):
        if reference.startswith("best of "):
            return self.ours / min(self.medians[kind] for kind in reference.split()[2:])
        return self.ours / self.medians[reference]

    def row(self):
        others = [f"{kind} {value:.3f} ({self.ours / value:.3f})" for kind, value in self.medians.items()][1:]
        goals = [f"{ratio:.3f} × {reference} (goal {goal:g}{'' if ratio <= goal else ', MISSED'})"
                 for reference, ratio, goal in self.goals]
        return f"| {self.name} | {self.ours:.3f} | {', '.join(others)} | {'; '.join(goals)} |"


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    version = subprocess.run([arguments.daemon, "-V"], capture_output=True, text=True, check=True).stdout.strip()
    return (f"{model[1] if model else platform.machine()}, {os.cpu_count()} processors, Linux {platform.release()}, "
            f"{version}; medians of {arguments.rounds} rounds of {arguments.seconds} s")


def write_results(results):
    head = ["| case | udprelayd | reference (ratio) | goals |", "|---|---|---|---|"]
    table = "\n".join([f"Measured on {machine()}. Microseconds of CPU for each datagram, unless a row says otherwise.", "",
                       *head, *(result.row() for result in results)]) + "\n"
    with open(os.path.join(arguments.directory, "results.md"), "w", encoding="utf-8") as file:
        file.write(table)
    with open(os.path.join(arguments.directory, "results.json"), "w", encoding="utf-8") as file:
        json.dump([{"case": result.name, "medians": result.medians} for result in results], file, indent=1)
    plot.write(os.path.join(arguments.directory, "results.svg"), results, machine())
    print("\n" + table)


def run_case(case):
    medians = run_forward(case) if case.peers else run_echo(case)
    return [Result(case.name, medians, case.targets)]


def set_up_network():
    """Namespaces for the case that crosses a network; without the right to make them it is left out."""
    if os.environ.get("UDPRELAYD_BENCH_NAMESPACE"):
        for words in ["netns add far", "link set lo up", "link add near type veth peer name far netns far",
                      "address add 192.0.2.1/24 dev near", "-n far address add 192.0.2.2/24 dev far",
                      "link set near up", "-n far link set far up"]:
            subprocess.run(["ip", *words.split()], check=True)
        return True
    if subprocess.run(["unshare", "--net", "--mount", "sh", "-c", "ip link"], capture_output=True).returncode:
        return False
    os.environ["UDPRELAYD_BENCH_NAMESPACE"] = "1"
    os.execvp("unshare", ["unshare", "--net", "--mount", "sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh",
                          sys.executable, *sys.argv])


def main():
    network = set_up_network()
    runs = [(case.name, lambda case=case: run_case(case)) for case in CASES if network or not case.network]
    runs += [("logging", run_logging), ("latency", run_latency), ("memory", run_memory)]
    results = []
    for name, run in runs:
        if arguments.only in name:
            print(name, flush=True)
            results += run()
            print(results[-1].row(), flush=True)
    if not network:
        print("left out, since network namespaces may not be made here: the case over veth")
    write_results(results)


parser = argparse.ArgumentParser()
parser.add_argument("daemon")
parser.add_argument("loadgen")
parser.add_argument("reference")
parser.add_argument("directory")
parser.add_argument("--rounds", type=int, default=7)
parser.add_argument("--seconds", type=float, default=0.5)
parser.add_argument("--only", default="")
arguments = parser.parse_args()
if os.cpu_count() < 2:
    sys.exit("server and load generator need a processor each")
main()
