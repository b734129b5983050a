"""How much the unit leaves exposed, as systemd-analyze(1) counts it: as it is, and sealed.

Usage: test_security.py UNIT SEALED-DROP-IN
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
EXPOSURE_MAX = {"as it is": 1.1, "sealed": 0.5}


def exposure(unit):
    """The figure, or None; prints what it comes from."""
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", unit], capture_output=True,
                          text=True, timeout=60)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    if not found and "unrecognized option" in done.stderr:
        print("skipped: this systemd-analyze is older than 250 and cannot look at a file")
        sys.exit(SKIPPED)
    print(done.stdout, done.stderr, sep="\n")
    return float(found[1]) if found else None


def seal(unit, drop_in, directory):
    """The unit as it is with the drop-in: what comes later counts."""
    path = os.path.join(directory, os.path.basename(unit))
    with open(path, "w", encoding="utf-8") as file:
        for part in (unit, drop_in):
            with open(part, encoding="utf-8") as source:
                file.write(source.read() + "\n")
    return path


def main():
    unit, drop_in = sys.argv[1:3]
    if not shutil.which("systemd-analyze"):
        print("skipped: systemd-analyze is not installed (Debian package systemd)")
        return SKIPPED
    with tempfile.TemporaryDirectory() as directory:
        found = {"as it is": exposure(unit), "sealed": exposure(seal(unit, drop_in, directory))}
    print(found)
    return 0 if all(found[which] is not None and found[which] <= most for which, most in EXPOSURE_MAX.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
