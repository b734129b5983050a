"""The benchmark before it measures: it refuses some builds, and lists the rows that are left out.

Usage: test_bench.py BENCH
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

SKIPPED = 77
BENCH = os.path.abspath(sys.argv[1])


class BenchTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.build = directory.name

    def bench(self, options, *arguments, **environment):
        os.makedirs(os.path.join(self.build, "meson-info"), exist_ok=True)
        with open(os.path.join(self.build, "meson-info", "intro-buildoptions.json"), "w", encoding="utf-8") as file:
            json.dump([{"name": name, "value": value} for name, value in options.items()], file)
        daemon = os.path.join(self.build, "src", "udprelayd")
        return subprocess.run([sys.executable, BENCH, daemon, "udprelay", "reference", self.build, *arguments],
                              capture_output=True, text=True, timeout=60,
                              env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"} | environment)

    def test_a_debug_build_is_refused(self):
        for options, why in (({"optimization": "0"}, "is a debug build (optimization=0)"),
                             ({"optimization": "g"}, "is a debug build (optimization=g)"),
                             ({"optimization": "2", "b_sanitize": "address"}, "with a sanitizer (b_sanitize=address)")):
            done = self.bench(options, "--list")
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn(f"{self.build}/src/udprelayd ", done.stderr)
            self.assertIn(why, done.stderr)
            self.assertIn("meson setup build-release --buildtype=release\n", done.stderr)

    def test_rows_that_are_left_out(self):
        """Each row is listed once, with the package that it needs."""
        everything = self.bench({"optimization": "3"}, "--list", PATH="/nowhere")
        self.assertEqual((everything.returncode, everything.stderr), (0, ""))
        self.assertIn("case: echo, 1 flow, depth 256\n", everything.stdout)
        self.assertIn("case: memory\n", everything.stdout)
        left_out = re.findall(r"^not measured: (.*?): .*", everything.stdout, re.MULTILINE)
        self.assertEqual(len(left_out), len(set(left_out)))
        self.assertRegex(everything.stdout, r"case: relay, 1 flow, depth 16\n|"
                                            r"not measured: relay, 1 flow, depth 16: .* nginx and libnginx-mod-stream\n")
        self.assertRegex(everything.stdout, r"not measured: echo over veth, trains of 50: .* iproute2 and util-linux\n")

    def test_only(self):
        done = self.bench({"optimization": "3"}, "--list", "--only", "round trip")
        self.assertEqual((done.returncode, done.stdout), (0, "case: round trip, depth 1\n"))


if __name__ == "__main__":
    if os.cpu_count() < 2:
        print("skipped: the benchmark needs two processors")
        sys.exit(SKIPPED)
    unittest.main(argv=sys.argv[:1], verbosity=2)
