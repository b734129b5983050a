"""Common parts of the tests of --explain."""
import os
import re
import subprocess
import tempfile

import harness
from relay_peers import at


class ExplainCase(harness.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="udprelayd-explain-")
        self.addCleanup(self.directory.cleanup)

    def write(self, text):
        path = os.path.join(self.directory.name, "t.ini")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def run_it(self, path, *arguments, stdin=b""):
        return subprocess.run([harness.DAEMON, "-c", path, *arguments], input=stdin, capture_output=True,
                              timeout=harness.PATIENCE)

    def explain(self, path, way, *payload, stdin=b""):
        """Returns the facts without the indentation of each."""
        done = self.run_it(path, "--explain", way, *payload, stdin=stdin)
        self.assertEqual((done.returncode, done.stderr), (0, b""), way)
        head, *facts = done.stdout.decode().splitlines()
        self.assertTrue(all(fact.startswith("  ") for fact in facts))
        return [head] + [fact[2:] for fact in facts]

    def facts(self, text, way, *payload, **more):
        return self.explain(self.write(text), way, *payload, **more)

    def verdict(self, path, way, *payload):
        last = self.explain(path, way, *payload)[-1]
        self.assertRegex(last, "^verdict: ")
        return last[len("verdict: "):]

    def wrong(self, path, *arguments):
        """Returns the error messages for a wrong command line."""
        done = self.run_it(path, *arguments)
        self.assertEqual((done.returncode, done.stdout), (64, b""), arguments)
        said = done.stderr.decode()
        self.assertIn("for example: udprelayd -c FILE --explain '192.0.2.7:4242 > ", said)
        self.assertEqual(len(said.splitlines()), 2, said)
        return said

    def told(self, daemon, source):
        def find():
            return [r for r in daemon.records() if r["source"] == source]
        return daemon.await_that(find, f"no record of {source}")[0]

    def compare(self, daemon, sock, to, payload, source=None, send=None):
        """Sends the datagram and compares the verdicts of --explain and of the record. Returns the verdict."""
        (send or sock.sendto)(payload, to)
        source = source or at(sock)
        record = self.told(daemon, source)
        destination = at(to) if isinstance(to, tuple) else f"unix:{to}"
        facts = self.explain(daemon.path, f"{source} > {destination}", "-", stdin=payload)
        self.assertEqual(facts[-1], "verdict: " + record["verdict"])
        log = next(fact for fact in facts if re.match(r'log: \S+ "', fact))
        self.assertTrue(log.startswith(f'log: {record["encoding"]} "{record["payload"]}"'), (log, record))
        return record["verdict"]
