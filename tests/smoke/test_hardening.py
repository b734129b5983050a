"""The programs of an optimised build are hardened: PIE, RELRO, BIND_NOW, stack protector and FORTIFY.

Usage: test_hardening.py PROGRAM…
"""
import os
import shutil
import subprocess
import sys
import unittest

SKIPPED = 77
PROGRAMS = sys.argv[1:]


def readelf(*arguments):
    return subprocess.run(["readelf", "--wide", *arguments], capture_output=True, text=True, check=True, timeout=60,
                          env=os.environ | {"LC_ALL": "C"}).stdout


class HardeningTest(unittest.TestCase):
    def test_pie(self):
        for program in PROGRAMS:
            self.assertIn("DYN (Position-Independent Executable", readelf("--file-header", program), program)

    def test_relocations_are_read_only(self):
        for program in PROGRAMS:
            self.assertIn("GNU_RELRO", readelf("--program-headers", program), program)
            self.assertIn("BIND_NOW", readelf("--dynamic", program), program)

    def test_checks_of_the_stack_and_of_buffers(self):
        for program in PROGRAMS:
            symbols = readelf("--dyn-syms", program)
            self.assertIn("__stack_chk_fail", symbols, program)
            self.assertIn("__snprintf_chk", symbols, program)


if __name__ == "__main__":
    if not shutil.which("readelf"):
        print("skipped: readelf is not installed (Debian package binutils)")
        sys.exit(SKIPPED)
    unittest.main(argv=sys.argv[:1], verbosity=2)
