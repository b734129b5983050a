"""Compares the metrics and the fields of /status.json in udprelayd(8) with those that the daemon serves."""
import json
import os
import re
import unittest
import urllib.request

import harness

if not harness.built_with("http"):
    harness.skip("built without libmicrohttpd")

MANUAL = os.environ.get("UDPRELAYD_MANUAL", "build/conf/man/udprelayd.8")

# A relay and a forward, so that each metric has a sample.
CONFIG = """
[udprelayd]
workers = 1
[http]
listen = 127.0.0.1:0
[listener:copy]
address = 127.0.0.1:0
action = forward
peers = server
[listener:relay]
address = 127.0.0.1:0
action = relay
peers = server
[peer:server]
address = 127.0.0.1:9
"""


def part(begin, end):
    """Returns the text of the manual between two headings."""
    with open(MANUAL, encoding="utf-8") as file:
        return file.read().split(f"\n{begin}\n", 1)[1].split(f"\n{end}\n", 1)[0]


def documented_metrics():
    """Returns {name: labels}."""
    items = re.findall(r"^\.It Li ((?:udprelayd|process)_\w+)(?:\{(.*)\})?$", part(".Sh METRICS", ".Ss Alerts"), re.M)
    return {name: set(filter(None, labels.split(","))) for name, labels in items}


def served_metrics(text):
    """Returns {name: labels}. Each bucket of a histogram has the label le, which belongs to the format."""
    metrics = {}
    for family, body in re.findall(r"^# TYPE (\w+) \w+\n((?:[^#].*\n)+)", text, re.M):
        metrics[family] = set(re.findall(r'(\w+)="', body.split("\n")[0])) - {"le"}
    return metrics


def field_names(value):
    """Yields the names of all fields. The names in dropped_by_reason and similar objects are reasons."""
    if isinstance(value, list):
        for item in value:
            yield from field_names(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            if not name.endswith("_by_reason"):
                yield from field_names(item)


class DocumentedTest(harness.TestCase):
    def get(self, path):
        daemon = self.serve(CONFIG)
        address = daemon.await_line(r"http: listening on (\S+)$")[1]
        with urllib.request.urlopen(f"http://{address}{path}", timeout=harness.PATIENCE) as response:
            return response.read().decode()

    def test_metrics(self):
        self.assertEqual(documented_metrics(), served_metrics(self.get("/metrics")))

    def test_status(self):
        lines = re.findall(r"^\.(?:It )?Li (.*)$", part(".Ss Status", ".Sh SECURITY"), re.M)
        documented = {name for line in lines for name in re.findall(r"\b[a-z_]{2,}\b", line)}
        self.assertEqual(documented, set(field_names(json.loads(self.get("/status.json")))))


if __name__ == "__main__":
    unittest.main(verbosity=2)
