r"""Lists the functions and source files that a worker enters for one datagram, and counts them.

    trace.py [--build DIRECTORY] [--jobs N] [--case NAME] [--no-log] [--any] [--new-source] [--key LINE]
             [--max NAME=FUNCTIONS,FILES] [--limits FILE] [--count-headers] [-v]

The method:
  - The build has -finstrument-functions, no optimization and no system call filter. No function is inlined.
  - trace_hooks.c is loaded with LD_PRELOAD. It records the functions that worker threads
    enter and leave.
  - Each case starts a separate daemon with one worker, on loopback. Some datagrams warm it up. All datagrams have
    different payloads.
  - Then the worker is idle. The trace records the functions that its loop calls meanwhile, such as its timer. They and
    the functions that they enter do not count, now or later.
  - Then the trace sends exactly one datagram. All other functions that the loop calls until the worker sleeps again
    count, with the functions that they enter.
  - A function that is entered often counts once. A `static inline` function of a header counts once, too, for any
    number of files that include it. Its file is the header. Macros, and functions of libraries and system headers, do
    not count.
  - "files" are .c files. "with headers" adds the headers whose functions are entered.
  - The datagram log is on, as it is by default. The thread that writes it is not a worker. --no-log turns it off.
  - The listener has the address 127.0.0.1 and otherwise only defaults. With --any its address is `*`, and more functions
    determine the destination of a datagram. --key 'source_limit = 1000' adds a line to the section of the listener. With
    --new-source, the datagram that counts is the first of its address, for an echo or a forward.

An echo enters the most functions and files with these options:

    trace.py --case echo --any --new-source --key 'source_limit = 1000' --key 'allow = 127.0.0.0/8' \
             --key 'deny = 192.0.2.1'

--max echo=70,14 allows the case echo 70 functions and 14 .c files; a `-` has no limit. --limits names a file that has
such limits, one per line. With --count-headers, limits of files are for .c files and headers together. The exit status is
1 if a limit is exceeded, and 2 after a failure.
"""
import argparse
import json
import mmap
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

# Deadline for operations that normally take a moment.
PATIENCE = 20.0

# Wait for a second run of the timer of an idle worker. A worker without a timer costs this time.
IDLE_PATIENCE = 3.0

WARM_UP = 8  # datagrams

THREAD_PREFIX = "worker-"

# The format of trace_hooks.c.
HEAD = struct.Struct("=IIQ")
EVENT = struct.Struct("=QQ")
ENTER, EXIT = 1, 2
ROOM = 1 << 20  # events

# addr2line of binutils 2.40 attributes functions of headers to the .c file if gcc writes DWARF 5.
C_ARGS = "-finstrument-functions -gdwarf-4"

HERE = os.path.dirname(os.path.abspath(__file__))


class Failure(Exception):
    """A failure; the text names it."""


def await_that(condition, complaint, patience=PATIENCE):
    """Polls until the condition is true and returns its result. Shared memory has no notification."""
    end = time.monotonic() + patience
    while not (result := condition()):
        if time.monotonic() > end:
            raise Failure(f"in {patience:g} seconds {complaint}")
        time.sleep(0.001)
    return result


# --- Build ---

def run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    if done.returncode:
        raise Failure(f"{' '.join(command)}:\n{done.stdout}")
    return done.stdout


def source_root():
    """Returns the nearest directory above that contains a project."""
    directory = HERE
    while True:
        path = os.path.join(directory, "meson.build")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                if re.search(r"^project\(", file.read(), re.MULTILINE):
                    return directory
        if directory == os.path.dirname(directory):
            raise Failure(f"there is no project above {HERE}")
        directory = os.path.dirname(directory)


def find_program(build, name):
    targets = json.loads(run("meson", "introspect", "--targets", build))
    for target in targets:
        if target["name"] == name and target["type"] == "executable":
            return target["filename"][0]
    raise Failure(f"the build has no program {name}")


def build_all(build, root, jobs):
    """Builds and returns the daemon and the hooks. Files that are up to date do not change."""
    if not os.path.exists(os.path.join(build, "build.ninja")):
        run("meson", "setup", build, root, "-Dbuildtype=debug", "-Doptimization=0", "-Dtests=disabled",
            "-Dseccomp=disabled", f"-Dc_args={C_ARGS}")
    program = find_program(build, "udprelayd")
    run("ninja", *([f"-j{jobs}"] if jobs else []), "-C", build, os.path.relpath(program, os.path.realpath(build)))
    hooks = os.path.join(build, "trace_hooks.so")
    made = f"{hooks}.{os.getpid()}"  # another run may load the library meanwhile
    run(*os.environ.get("CC", "cc").split(), "-std=gnu17", "-Wall", "-Wextra", "-O2", "-shared", "-fPIC", "-pthread",
        "-o", made, os.path.join(HERE, "trace_hooks.c"))
    os.replace(made, hooks)
    return program, hooks


# --- The trace of a daemon ---

class Trace:
    """The file that the hooks write."""

    def __init__(self, path):
        self.path = path
        with open(path, "w+b") as file:
            file.truncate(HEAD.size + ROOM * EVENT.size)
            self.map = mmap.mmap(file.fileno(), 0)

    def switch(self, on):
        struct.pack_into("=I", self.map, 0, on)

    def count(self):
        return HEAD.unpack_from(self.map, 0)[2]

    def calls(self, begin, end):
        """Returns the calls of the loop between two events, each as (function, functions that it enters, including
        itself). Returns None if the last one has not returned yet."""
        if end > ROOM:
            raise Failure(f"there is room for {ROOM} events, and {end} come")
        calls, depth = [], 0
        for i in range(begin, end):
            function, kind = EVENT.unpack_from(self.map, HEAD.size + i * EVENT.size)
            if kind == 0:
                return None
            if kind == ENTER:
                if depth == 0:
                    calls.append((function, []))
                calls[-1][1].append(function)
                depth += 1
            elif depth > 0:
                depth -= 1
        return None if depth else calls

    def close(self):
        self.map.close()


class Daemon:
    """The real daemon with one worker, and its trace."""

    def __init__(self, program, hooks, config):
        self.program = os.path.realpath(program)
        self.directory = tempfile.TemporaryDirectory(prefix="udprelayd-trace-")
        path = os.path.join(self.directory.name, "udprelayd.ini")
        with open(path, "w", encoding="utf-8") as file:
            file.write("[udprelayd]\nworkers = 1\n" + config)
        self.trace = Trace(os.path.join(self.directory.name, "trace"))
        self.lines, self.changed = [], threading.Condition()
        self.process = subprocess.Popen([self.program, "-c", path], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        stdout=subprocess.DEVNULL,
                                        env={**os.environ, "LD_PRELOAD": hooks, "TRACE_FILE": self.trace.path})
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stderr:
            with self.changed:
                self.lines.append(line.decode("utf-8", "backslashreplace").rstrip("\n"))
                self.changed.notify_all()

    def await_line(self, pattern):
        """Returns the first matching line of its log."""
        def find():
            return next(filter(None, (re.search(pattern, line) for line in self.lines)), None)
        with self.changed:
            if not self.changed.wait_for(lambda: find() or not self.reader.is_alive(), PATIENCE) or not find():
                raise Failure(f"the daemon does not write {pattern!r}. It writes:\n" + "\n".join(self.lines))
            return find()

    def await_ready(self):
        """Returns the address of its listener."""
        address = self.await_line(r"listening on (?:127\.0\.0\.1|0\.0\.0\.0):(\d+)")
        self.await_line(r"udprelayd \S+ ready")
        tasks = f"/proc/{self.process.pid}/task"
        workers = [task for task in os.listdir(tasks)
                   if self._read_file(f"{tasks}/{task}/comm").startswith(THREAD_PREFIX)]
        if len(workers) != 1:
            raise Failure(f"there are {len(workers)} workers, not 1")
        self.worker = f"{tasks}/{workers[0]}/stat"
        return "127.0.0.1", int(address[1])

    @staticmethod
    def _read_file(path):
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def _sleeps(self):
        return self._read_file(self.worker).rsplit(")", 1)[1].split()[0] == "S"

    def await_sleep(self, begin):
        """Waits until every function since that event has returned, and the worker sleeps in its loop. Returns the
        number of events so far."""
        def is_asleep():
            count = self.trace.count()
            if self.trace.calls(begin, count) is None or not self._sleeps() or self.trace.count() != count:
                return None
            return [count]
        return await_that(is_asleep, "the worker does not come to rest")[0]

    def idle_functions(self, begin):
        """Returns the calls of the idle loop, until it calls one of these functions for the second time."""
        def is_periodic():
            functions = [function for function, _ in self.trace.calls(begin, self.trace.count()) or []]
            return len(set(functions)) < len(functions)
        try:
            await_that(is_periodic, "nothing is periodic", IDLE_PATIENCE)
        except Failure:
            pass  # the loop has no timer
        return {function for function, _ in self.trace.calls(begin, self.await_sleep(begin))}

    def base(self):
        """Returns the load address of the program, if it is position-independent."""
        with open(self.program, "rb") as file:
            kind = struct.unpack_from("=H", file.read(18), 16)[0]
        if kind != 3:  # ET_DYN
            return 0
        for line in self._read_file(f"/proc/{self.process.pid}/maps").splitlines():
            fields = line.split(None, 5)
            if len(fields) == 6 and fields[5] == self.program and int(fields[2], 16) == 0:
                return int(fields[0].split("-")[0], 16)
        raise Failure(f"{self.program} is not in its own memory")

    def close(self):
        self.trace.switch(0)
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.reader.join(PATIENCE)
        self.process.stderr.close()
        self.trace.close()
        self.directory.cleanup()


# --- Cases ---

class Network:
    """Sockets of a case, and payloads that are all different."""

    def __init__(self):
        self.sockets, self.number = [], 0

    def socket(self, host="127.0.0.1"):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sockets.append(sock)
        sock.settimeout(PATIENCE)
        sock.bind((host, 0))
        return sock

    def pass_on(self, sender, address, *receivers):
        """Sends a datagram. Returns its source address at the last receiver."""
        self.number += 1
        payload = b"datagram %d" % self.number
        sender.sendto(payload, address)
        source = None
        for receiver in receivers:
            try:
                received, source = receiver.recvfrom(65536)
            except TimeoutError:
                raise Failure("a datagram does not arrive") from None
            if received != payload:
                raise Failure(f"{received!r} arrives, not {payload!r}")
        return source

    def close(self):
        for sock in self.sockets:
            sock.close()


class Case:
    """A case configures the daemon, warms it up, and sends one datagram."""

    name = title = action = ""
    peer_count = 0

    def __init__(self, network, new_source):
        self.network = network
        self.client = network.socket()
        self.warm_client = network.socket("127.0.0.2") if new_source else self.client
        self.peers = [network.socket() for _ in range(self.peer_count)]
        self.address = None  # lines for the listener

    def config_text(self, options):
        lines = ["[datagram_log]", f"target = {'off' if options.no_log else 'stderr'}", "[listener:l]",
                 f"address = {'*' if options.any else '127.0.0.1'}:0", f"action = {self.action}", *options.key]
        if self.peers:
            lines.append("peers = " + ", ".join(f"p{i}" for i in range(len(self.peers))))
        for i, peer in enumerate(self.peers):
            lines += [f"[peer:p{i}]", f"address = 127.0.0.1:{peer.getsockname()[1]}"]
        return "\n".join(lines) + "\n"

    def warm_up(self):
        for _ in range(WARM_UP):
            self.send_from(self.warm_client)

    def send(self):
        self.send_from(self.client)

    def send_from(self, client):
        raise NotImplementedError


class Echo(Case):
    name, title = "echo", "echo"
    action = "echo"

    def send_from(self, client):
        self.network.pass_on(client, self.address, client)


class Forward(Case):
    name, title = "forward", "forward to two peers"
    action = "forward"
    peer_count = 2

    def send_from(self, client):
        self.network.pass_on(client, self.address, *self.peers)


class Relay(Case):
    action = "relay"
    peer_count = 1

    def ask(self, client):
        """Returns the address of the session's socket."""
        return self.network.pass_on(client, self.address, self.peers[0])

    def answer(self, client, session):
        self.network.pass_on(self.peers[0], session, client)

    def converse(self, client):
        session = self.ask(client)
        self.answer(client, session)
        return session

    def warm_up(self):
        for _ in range(WARM_UP):
            self.converse(self.network.socket())


class RelayFirst(Relay):
    name, title = "relay-first", "relay, first datagram of a session"

    def send(self):
        self.ask(self.client)


class RelayNext(Relay):
    name, title = "relay-next", "relay, next datagram"

    def warm_up(self):
        super().warm_up()
        for _ in range(WARM_UP):
            self.converse(self.client)

    def send(self):
        self.ask(self.client)


class RelayReply(Relay):
    name, title = "relay-reply", "relay, reply"

    def warm_up(self):
        super().warm_up()
        for _ in range(WARM_UP):
            self.converse(self.client)
        self.session = self.ask(self.client)

    def send(self):
        self.answer(self.client, self.session)


CASES = [Echo, Forward, RelayFirst, RelayNext, RelayReply]


# --- Results ---

def locate(program, addresses, root, build):
    """Returns the function and the file of each address: {address: (name, file)}."""
    lines = run("addr2line", "-f", "-e", program, *(f"{address:#x}" for address in addresses)).splitlines()
    found = {}
    for address, name, place in zip(addresses, lines[::2], lines[1::2]):
        path = re.sub(r" \(discriminator \d+\)$", "", place).rsplit(":", 1)[0]
        if name == "??" or path == "??":
            raise Failure(f"address {address:#x} is in no function that is known")
        path = os.path.relpath(os.path.normpath(os.path.join(build, path)), root)
        found[address] = (name, path)
    return found


class Result:
    """The functions that a datagram enters, as (function, file) in the order of the first entry."""

    def __init__(self, case, calls, idle, places):
        def distinct(chosen):
            found = dict.fromkeys(places[function] for _, entered in chosen for function in entered)
            return [(name, file) for name, file in found if not file.startswith("..")]
        self.case = case
        self.functions = distinct(call for call in calls if call[0] not in idle)
        self.left_out = distinct(call for call in calls if call[0] in idle)
        if not self.functions:
            raise Failure(f"{case.name}: the worker enters no function for the datagram")
        self.all_files = list(dict.fromkeys(file for _, file in self.functions))
        self.files = [file for file in self.all_files if not file.endswith(".h")]

    def print(self, verbose):
        in_headers = sum(file.endswith(".h") for _, file in self.functions)
        print(f"{self.case.name:<12} {len(self.functions):>9} {in_headers:>10} {len(self.files):>6}"
              f" {len(self.all_files):>13}  {self.case.title}")
        if not verbose:
            return
        for name, file in self.functions:
            print(f"    {name:<40} {file}")
        for name, file in self.left_out:
            print(f"    not counted: {name:<27} {file}")

    def excess(self, limits, count_headers):
        """Returns a line for each exceeded limit."""
        files = self.all_files if count_headers else self.files
        return [f"{self.case.name}: {count} {what}, at most {limit} are allowed"
                for what, count, limit in zip(("functions", "files"), (len(self.functions), len(files)), limits)
                if limit is not None and count > limit]


def trace(case_class, program, hooks, root, build, options):
    network, daemon = Network(), None
    try:
        case = case_class(network, options.new_source)
        daemon = Daemon(program, hooks, case.config_text(options))
        case.address = daemon.await_ready()
        case.warm_up()
        daemon.trace.switch(1)  # the worker is in its loop now
        idle = daemon.idle_functions(daemon.await_sleep(0))
        begin = daemon.await_sleep(0)
        case.send()
        calls = daemon.trace.calls(begin, daemon.await_sleep(begin))
        daemon.trace.switch(0)
        base = daemon.base()
        addresses = sorted({function for _, entered in calls for function in entered})
        places = locate(program, [address - base for address in addresses], root, build)
        return Result(case, calls, idle, {address: places[address - base] for address in addresses})
    finally:
        if daemon:
            daemon.close()
        network.close()


def parse_limit(text):
    """NAME=FUNCTIONS,FILES"""
    match = re.fullmatch(r"([\w-]+)=(\d+|-),(\d+|-)", text.strip())
    if not match or match[1] not in [case.name for case in CASES]:
        raise argparse.ArgumentTypeError(f"`{text}` is not valid: write NAME=FUNCTIONS,FILES, such as echo=70,14")
    return match[1], tuple(None if number == "-" else int(number) for number in match.groups()[1:])


def read_limits(path):
    if path == "none":
        return []
    try:
        with open(path, encoding="utf-8") as file:
            lines = [line.split("#")[0].strip() for line in file]
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{path}: {error.strerror}") from None
    return [parse_limit(line) for line in lines if line]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [case.name for case in CASES]
    parser.add_argument("--build", metavar="DIRECTORY",
                        help="builds here, and leaves the build (default: a temporary directory)")
    parser.add_argument("-j", "--jobs", metavar="N", type=int, help="compiles so many files at a time")
    parser.add_argument("--case", metavar="NAME", action="append", choices=names,
                        help=f"only this one, which may be given more than once: {', '.join(names)}")
    parser.add_argument("--no-log", action="store_true", help="turns the datagram log off")
    parser.add_argument("--any", action="store_true", help="the listener has the address `*`")
    parser.add_argument("--new-source", action="store_true",
                        help="echo, forward: nothing comes from the address before the datagram that counts")
    parser.add_argument("--key", metavar="LINE", action="append", default=[],
                        help="a line for the section of the listener")
    parser.add_argument("--max", metavar="NAME=FUNCTIONS,FILES", action="append", default=[], type=parse_limit,
                        help="what a case may enter at most")
    parser.add_argument("--limits", metavar="FILE", type=read_limits, default=[], help="a file of such limits, or none")
    parser.add_argument("--count-headers", action="store_true", help="headers count for limits of files")
    parser.add_argument("-v", "--verbose", action="store_true", help="lists the functions")
    return parser.parse_args()


def trace_all(options, build):
    limits = dict([*options.limits, *options.max])
    root = source_root()
    program, hooks = build_all(build, root, options.jobs)
    excess = []
    print(f"{'case':<12} {'functions':>9} {'in headers':>10} {'files':>6} {'with headers':>13}")
    for case in CASES:
        if options.case and case.name not in options.case:
            continue
        result = trace(case, program, hooks, root, build, options)
        result.print(options.verbose)
        excess += result.excess(limits.get(case.name, ()), options.count_headers)
    for line in excess:
        print(f"too many: {line}")
    return 1 if excess else 0


def main():
    options = parse_arguments()
    build = os.path.realpath(options.build or tempfile.mkdtemp(prefix="udprelayd-trace-build-"))
    try:
        return trace_all(options, build)
    except (Failure, OSError) as error:
        print(f"trace.py: {error}", file=sys.stderr)
        return 2
    finally:
        if not options.build:
            shutil.rmtree(build, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
