"""Privileges: those that remain after a start as root, and warnings about files that other users can change."""
import os
import pwd
import signal
import socket
import subprocess
import tempfile

import harness

if os.geteuid() != 0:
    harness.skip("only root can become another user")

NOBODY = pwd.getpwnam("nobody")
LISTENER = "[listener:a]\naddress = 127.0.0.1:0\naction = echo\n"
USER = "[udprelayd]\nuser = nobody\nworkers = 2\n"
SECCOMP = harness.built_with("seccomp")


def may_change_user():
    """A namespace may lack the user, or the permission to drop supplementary groups."""
    def change():
        os.setgroups([])
        os.setresgid(NOBODY.pw_gid, NOBODY.pw_gid, NOBODY.pw_gid)
        os.setresuid(NOBODY.pw_uid, NOBODY.pw_uid, NOBODY.pw_uid)
    try:
        return subprocess.run(["true"], preexec_fn=change).returncode == 0
    except subprocess.SubprocessError:
        return False


if not may_change_user():
    harness.skip("this root may not become another user")


def states(daemon):
    """Returns /proc/PID/status of each thread, as a dictionary."""
    directory = f"/proc/{daemon.process.pid}/task"
    found = []
    for thread in os.listdir(directory):
        with open(f"{directory}/{thread}/status", encoding="utf-8") as file:
            found.append({key: value.split() for key, value in (line.split(":", 1) for line in file)})
    return found


class PrivilegesTest(harness.TestCase):
    def directory(self, owner=0, mode=0o755):
        directory = tempfile.TemporaryDirectory(prefix="udprelayd-rights-")
        self.addCleanup(directory.cleanup)
        os.chown(directory.name, owner, -1)
        os.chmod(directory.name, mode)
        return directory.name

    def warnings(self, daemon):
        return [line.split("warning: ", 1)[1] for line in daemon.lines if "warning: " in line]

    def assert_dropped(self, daemon, uid=NOBODY.pw_uid, gid=NOBODY.pw_gid):
        threads = states(daemon)
        self.assertGreaterEqual(len(threads), 5)  # main, log, datagram log, workers
        for state in threads:
            self.assertEqual(state["Uid"], [str(uid)] * 4)
            self.assertEqual(state["Gid"], [str(gid)] * 4)
            self.assertEqual(state["Groups"], [])
            for kind in ("CapEff", "CapPrm", "CapAmb"):
                self.assertEqual(int(state[kind][0], 16), 0, kind)
            self.assertEqual(state["NoNewPrivs"], ["1"])

    def test_root_becomes_the_user(self):
        """The port and the directory need root. Afterwards the process has no capabilities."""
        path = os.path.join(self.directory(), "socket")
        daemon = self.serve(USER + LISTENER.replace("127.0.0.1:0", f"127.77.88.99:779, unix:{path}"),
                            extra_groups=[0, 1])
        self.assert_dropped(daemon)
        self.assert_echoes(self.udp(), ("127.77.88.99", 779), b"hello")
        daemon.end()
        said = [line for line in self.warnings(daemon) if "cannot remove" in line]
        self.assertEqual(len(said), 1, daemon.lines)
        self.assertIn(f"unix:{path}: Permission denied", said[0])

    def test_a_socket_file_that_remains_does_not_block_the_next_start(self):
        path = os.path.join(self.directory(), "socket")
        for _ in range(2):
            self.serve(USER + LISTENER.replace("127.0.0.1:0", f"unix:{path}")).end()

    def test_a_directory_of_the_user_is_cleaned(self):
        path = os.path.join(self.directory(NOBODY.pw_uid), "socket")
        daemon = self.serve(USER + LISTENER.replace("127.0.0.1:0", f"unix:{path}"))
        daemon.end()
        self.assertFalse(os.path.exists(path), daemon.lines)

    def test_numbers(self):
        self.assert_dropped(self.serve(USER.replace("nobody", "54321\ngroup = 54322") + LISTENER), 54321, 54322)

    def test_a_file_that_the_user_cannot_read(self):
        """The start succeeds, but a reload would fail."""
        closed = ["sh", "-c", 'chmod 700 "$(dirname "$3")"; exec "$@"', "sh"]
        daemon = self.serve(USER + LISTENER, wrapper=closed)
        daemon.await_line(r"warning: .*\.ini:2: \[udprelayd\] user: `nobody` cannot read this file \(Permission denied\), "
                          "so a reload will fail: let this user read the file and enter its directories, or move it")
        daemon.send_signal(signal.SIGHUP)
        daemon.await_line("error: .*Permission denied")
        daemon.await_line("reload failed")
        daemon.end()

    def test_a_session_begins_after_the_drop(self):
        """Sockets, look-ups and ICMP errors need no privileges."""
        harness.needs_localhost(self)
        peer = self.udp()
        daemon = self.serve(USER + f"""
            [listener:a]
            address = 127.0.0.1:0
            action = relay
            peers = p
            [peer:p]
            address = localhost:{peer.getsockname()[1]}
            """)
        client = self.udp()
        end = harness.time.monotonic() + harness.PATIENCE
        peer.settimeout(0.1)
        while True:  # until the name is resolved
            self.assertLess(harness.time.monotonic(), end, daemon.lines)
            client.sendto(b"hello", daemon.address("a"))
            try:
                _, source = peer.recvfrom(100)
                break
            except socket.timeout:
                pass
        peer.sendto(b"answer", source)
        self.assertEqual(client.recv(100), b"answer")
        self.assert_dropped(daemon)
        daemon.end()

    def test_the_datagram_log_belongs_to_the_user(self):
        """The process reopens it as the user."""
        path = os.path.join(self.directory(NOBODY.pw_uid), "log")
        daemon = self.serve(USER + f"[datagram_log]\ntarget = {path}\n" + LISTENER)
        self.assertEqual(os.stat(path).st_uid, NOBODY.pw_uid)
        os.rename(path, path + ".1")
        daemon.send_signal(signal.SIGUSR2)
        daemon.await_line("reopened")
        self.assert_echoes(self.udp(), daemon.address("a"), b"hello")
        harness.await_file(path, b"hello")
        daemon.end()
        self.assertEqual(self.warnings(daemon), [])

    def test_a_datagram_log_that_cannot_be_reopened(self):
        path = os.path.join(self.directory(), "log")
        daemon = self.serve(USER + f"[datagram_log]\ntarget = {path}\n" + LISTENER)
        os.rename(path, path + ".1")
        daemon.send_signal(signal.SIGUSR2)
        daemon.await_line(f"error: datagram log: cannot reopen {path}, the old file stays open: Permission denied")
        self.assert_echoes(self.udp(), daemon.address("a"), b"hello")
        harness.await_file(path + ".1", b"hello")
        daemon.end()

    def test_an_old_file_keeps_its_owner(self):
        path = os.path.join(self.directory(), "log")
        open(path, "wb").close()
        self.serve(USER + f"[datagram_log]\ntarget = {path}\n" + LISTENER).end()
        self.assertEqual(os.stat(path).st_uid, 0)

    def test_wrong_users(self):
        for key, value in (("user", "no-such-user"), ("user", "root"), ("user", "54321"), ("group", "nogroup")):
            self.assertIn(f"[udprelayd] {key}: ", self.refused(f"[udprelayd]\n{key} = {value}\n" + LISTENER, 78))

    def test_only_root_becomes_another_user(self):
        other = {"user": 54321, "group": 54321, "extra_groups": []}
        directory = self.directory()
        path = os.path.join(directory, "udprelayd.ini")
        for text, status in ((USER, 77), (USER.replace("nobody", "54321\ngroup = 54322"), 77),
                             (USER.replace("nobody", "54321\ngroup = 54321"), None)):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text + LISTENER)
            try:
                process = subprocess.Popen([harness.DAEMON, "-c", path], stderr=subprocess.PIPE, text=True, **other)
            except PermissionError:
                self.skipTest("another user may not run the daemon where it is")
            self.addCleanup(process.stderr.close)
            self.addCleanup(process.kill)
            if status is None:
                self.assertTrue(any(" ready: " in line for line in process.stderr))
                harness.send_signal(process, signal.SIGTERM)
            else:
                said = process.stderr.read()
                self.assertEqual(said.count("error: "), 1, said)
                self.assertIn(f"error: {path}:2: [udprelayd] user: only root can become ", said)
            self.assertEqual(process.wait(harness.PATIENCE), status or 0)

    def test_root_without_a_user_is_warned_once(self):
        daemon = self.serve(LISTENER)
        self.assertTrue(all(state["NoNewPrivs"] == ["1"] for state in states(daemon)))
        daemon.end()
        said = [line for line in self.warnings(daemon) if "root" in line]
        self.assertEqual(len(said), 1)
        self.assertRegex(said[0], "^running as root.*write `user = nobody`")

    def test_files_that_others_can_change(self):
        directory = self.directory(mode=0o777)
        path = os.path.join(directory, "log")
        open(path, "wb").close()
        os.chown(path, 54321, -1)
        daemon = self.serve(USER + f"[datagram_log]\ntarget = {path}\n" + LISTENER)
        daemon.end()
        self.assertEqual(self.warnings(daemon), [
            f"{path} belongs to user 54321, who can change what root executes: run `chown root {path}`",
            f"{directory} can be changed by users other than its owner: run `chmod go-w {directory}`"])

    def test_a_configuration_that_others_can_change(self):
        path = os.path.join(self.directory(), "udprelayd.ini")
        with open(path, "w", encoding="utf-8") as file:
            file.write(USER + LISTENER)
        os.chmod(path, 0o664)
        process = subprocess.Popen([harness.DAEMON, "-c", path], stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        said = []
        while not said or " ready: " not in said[-1]:
            said.append(process.stderr.readline())
            self.assertTrue(said[-1], said)
        harness.send_signal(process, signal.SIGTERM)
        self.assertEqual(process.wait(harness.PATIENCE), 0)
        self.assertIn(f"warning: {path} can be changed by users other than its owner: run `chmod go-w {path}`", "".join(said))

    def test_system_calls_are_filtered(self):
        if not SECCOMP:
            self.skipTest("built without libseccomp")
        for config in (USER + LISTENER, "[udprelayd]\nworkers = 2\n" + LISTENER):
            daemon = self.serve(config)
            threads = states(daemon)
            self.assertEqual({state["Seccomp"][0] for state in threads}, {"2"})
            self.assertNotIn("cannot filter system calls", "\n".join(daemon.lines))
            daemon.end()

    def test_a_filter_of_systemd_is_sufficient(self):
        """If the process already has a filter, the daemon adds none."""
        if not SECCOMP:
            self.skipTest("built without libseccomp")
        state = states(self.serve(LISTENER))[0]
        if "Seccomp_filters" not in state:
            self.skipTest("this kernel does not count filters")
        with open("/proc/self/status", encoding="utf-8") as file:
            own = [line.split()[1] for line in file if line.startswith("Seccomp_filters")]
        self.assertEqual(int(state["Seccomp_filters"][0]), max(int(own[0]), 1))


if __name__ == "__main__":
    harness.main()
