"""How much the unit leaves exposed, as systemd-analyze(1) counts it.

Usage: test_security.py UNIT
"""
import re
import shutil
import subprocess
import sys

SKIPPED = 77
EXPOSURE_MAX = 1.1


def main():
    unit = sys.argv[1]
    if not shutil.which("systemd-analyze"):
        print("skipped: systemd-analyze is not installed (Debian package systemd)")
        return SKIPPED
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", unit], capture_output=True,
                          text=True, timeout=60)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    if not found and "unrecognized option" in done.stderr:
        print("skipped: this systemd-analyze is older than 250 and cannot look at a file")
        return SKIPPED
    print(done.stdout, done.stderr, sep="\n")
    return 0 if found and float(found[1]) <= EXPOSURE_MAX else 1


if __name__ == "__main__":
    sys.exit(main())
