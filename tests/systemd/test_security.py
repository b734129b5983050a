"""The exposure of the unit as systemd-analyze(1) rates it: as it is, and with each drop-in.

Usage: test_security.py UNIT SEALED-DROP-IN LOW-PORTS-DROP-IN
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
EXPOSURE_MAX = {"as it is": 1.1, "sealed": 0.5, "low ports": 1.5}


def exposure(unit):
    """Returns the level or None, and prints its parts."""
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", unit], capture_output=True,
                          text=True, timeout=60)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    if not found and "unrecognized option" in done.stderr:
        print("skipped: this systemd-analyze is older than 250 and cannot look at a file")
        sys.exit(SKIPPED)
    print(done.stdout, done.stderr, sep="\n")
    return float(found[1]) if found else None


def with_drop_in(unit, drop_in, directory):
    """The unit with the drop-in behind it: later lines override earlier ones."""
    path = os.path.join(directory, os.path.basename(unit))
    with open(path, "w", encoding="utf-8") as file:
        for part in (unit, drop_in):
            with open(part, encoding="utf-8") as source:
                file.write(source.read() + "\n")
    return path


def main():
    unit, sealed, low_ports = sys.argv[1:4]
    if not shutil.which("systemd-analyze"):
        print("skipped: systemd-analyze is not installed (Debian package systemd)")
        return SKIPPED
    with tempfile.TemporaryDirectory() as directory:
        found = {"as it is": exposure(unit), "sealed": exposure(with_drop_in(unit, sealed, directory)),
                 "low ports": exposure(with_drop_in(unit, low_ports, directory))}
    print(found)
    return 0 if all(found[which] is not None and found[which] <= most for which, most in EXPOSURE_MAX.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
