"""Runs a service under a separate systemd in private namespaces, without contact to the systemd of the host."""
import contextlib
import os
import shutil
import subprocess
import tempfile
import time

BOOT_S = 60
COMMAND_S = 60
SYSTEMD = "/lib/systemd/systemd"
PROGRAMS = ["setpriv", "unshare", "nsenter", "mount", "pivot_root", "ip", "hostname", "systemctl", "journalctl"]
NAMESPACES = ["--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup"]


class Unavailable(Exception):
    """The host cannot run a lab. The text is the reason."""


def wait_until(condition, what, seconds=COMMAND_S):
    """Returns the first true value of condition()."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.02)
    return value


def read(path):
    """Returns the text of a file in /proc, or an empty text if its process has ended."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def check_host():
    if os.geteuid() != 0:
        raise Unavailable("needs root")
    if not os.path.exists(SYSTEMD):
        raise Unavailable(f"there is no {SYSTEMD} (Debian package systemd)")
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    if missing:
        raise Unavailable("not installed: " + ", ".join(missing))


def cgroup_mount():
    for line in read("/proc/self/mounts").splitlines():
        _, where, kind = line.split()[:3]
        if kind == "cgroup2":
            return where
    raise Unavailable("no cgroup2 is mounted")


def remove_cgroup(path):
    """Returns true after the cgroup is removed. Its processes may take a moment to end."""
    for directory, _, _ in os.walk(path, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(directory)
    return not os.path.exists(path)


class Lab:
    """Boots when it is created, and ends with this process at the latest."""

    def __init__(self, unit, daemon):
        check_host()
        self.pid = self.child = None
        self.cgroup = os.path.join(cgroup_mount(), f"udprelayd-lab-{os.getpid()}")
        self.directory = tempfile.mkdtemp(prefix="udprelayd-lab-")
        try:
            self.boot(unit, daemon)
        except BaseException:
            self.close()
            raise

    # --- Life ---

    def boot(self, unit, daemon):
        try:
            os.mkdir(self.cgroup)
        except OSError as error:
            raise Unavailable(f"no cgroup can be made: {error}") from error
        root, script = os.path.join(self.directory, "root"), os.path.join(os.path.dirname(__file__), "lab.sh")
        os.mkdir(root)
        # The shell enters the cgroup and then executes unshare, so that the new namespace begins there.
        enter = 'echo $$ >"$0/cgroup.procs" && exec setpriv --pdeathsig KILL unshare "$@"'
        with open(os.path.join(self.directory, "output"), "wb") as output:
            self.child = subprocess.Popen(
                ["sh", "-c", enter, self.cgroup, *NAMESPACES, "--fork", "--kill-child", "--propagation", "private",
                 "sh", os.path.abspath(script), root, os.path.abspath(unit), os.path.abspath(daemon)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
        try:
            wait_until(self.is_up, "systemd is up", BOOT_S)
        except TimeoutError as error:
            raise Unavailable(f"{error}\n{self.output()}") from error

    def output(self):
        with open(os.path.join(self.directory, "output"), encoding="utf-8", errors="replace") as output:
            return output.read()

    def is_up(self):
        if self.child.poll() is not None:
            raise Unavailable("systemd cannot be booted here:\n" + self.output())
        if not self.pid:
            self.pid = self.find_systemd()
            return False
        state = self.run(["systemctl", "is-system-running"]).stdout.strip()
        return state in ("running", "degraded")

    def find_systemd(self):
        """Returns process 1 of the lab. Before it executes systemd, its files are those of the host, so no command may
        run there."""
        children = read(f"/proc/{self.child.pid}/task/{self.child.pid}/children").split()
        return children[0] if children and read(f"/proc/{children[0]}/comm") == "systemd\n" else None

    def close(self):
        if self.child:
            self.child.kill()
            self.child.wait()
        wait_until(lambda: remove_cgroup(self.cgroup), "the cgroup is empty")
        shutil.rmtree(self.directory)

    # --- Inside ---

    def run(self, command, timeout=COMMAND_S):
        return subprocess.run(["nsenter", "-t", self.pid, *NAMESPACES, *command], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, errors="replace", timeout=timeout)

    def run_on_host_files(self, command, **options):
        """Runs a command in the network of the lab, but with the files of the host."""
        return subprocess.run(["nsenter", "-t", self.pid, "--net", *command], timeout=COMMAND_S, **options)

    def popen_on_host_files(self, command):
        """Starts a command with pipes for its standard streams."""
        return subprocess.Popen(["nsenter", "-t", self.pid, "--net", *command], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True)

    def path(self, path):
        """Returns the path outside the lab for a path inside."""
        return f"/proc/{self.pid}/root{path}"
