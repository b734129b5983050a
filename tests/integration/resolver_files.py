"""Replaces the resolver's files in this mount namespace."""
import atexit
import functools
import os
import subprocess
import tempfile

# Mounted files cannot be removed, so they are unmounted first.
_directory = functools.cache(lambda: tempfile.TemporaryDirectory(prefix="udprelayd-resolve-"))


def resolver_file(name, text):
    """Mounts a file over /etc/NAME in this mount namespace only."""
    path = os.path.join(_directory().name, name)
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    target = os.path.realpath(f"/etc/{name}")
    if not os.path.ismount(target):
        subprocess.run(["mount", "--bind", path, target], check=True)
        atexit.register(subprocess.run, ["umount", target], check=True)


def names(hosts):
    """Only the hosts file resolves names; no name server runs at the configured address."""
    resolver_file("hosts", "127.0.0.1 localhost\n" + hosts)
    resolver_file("nsswitch.conf", "hosts: files dns\n")
    resolver_file("resolv.conf", "nameserver 127.0.0.53\noptions timeout:30 attempts:1\n")
