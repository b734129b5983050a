"""Compares the keys and defaults in the manual and the example configuration with those of the daemon.

The daemon itself compares a default: a configuration that sets the key to the documented default must have the same
values as a configuration without the key. A documented example must change the value.

Usage: test_documented_keys.py UDPRELAYD.INI.5 UDPRELAYD.8 UDPRELAYD.INI; the environment has CONFIG_CLI
"""
import os
import re
import subprocess
import sys
import tempfile
import unittest

INI_5, UDPRELAYD_8, EXAMPLE = sys.argv[1:4] if len(sys.argv) > 3 else ("udprelayd.ini.5", "udprelayd.8", "udprelayd.ini")
CLI = os.environ.get("CONFIG_CLI", "config_cli")

BASE = {
    "udprelayd": {}, "log": {}, "http": {}, "datagram_log": {},
    "listener:echo": {"address": "127.0.0.1:7788", "action": "echo"},
    "listener:relay": {"address": "127.0.0.1:5300", "action": "relay", "peers": "spare, resolver"},
    "peer:resolver": {"address": "192.0.2.53:53"},
    "peer:spare": {"address": "192.0.2.54:53"},
}

# The section of BASE in which the keys of a kind of section are tried, and the other keys that some keys require. The
# key `action` is tried in the echo, because other actions would invalidate the other keys of the relay.
PLACES = {"listener": "listener:relay", "peer": "peer:resolver", ("listener", "action"): "listener:echo"}
COMPANIONS = {
    ("udprelayd", "group"): {"user": "daemon"},
    ("http", "hosts"): {"listen": "127.0.0.1:9100"},
    ("listener", "source_burst"): {"source_limit": "1000"},
    ("listener", "multicast"): {"address": "*:5300"},
    **{("peer", key): {"check": "on"} for key in ("check_send", "check_expect", "check_interval", "check_timeout",
                                                  "check_rise", "check_fall")},
}


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def ask(*arguments):
    return subprocess.run([CLI, *arguments], capture_output=True, text=True, timeout=20)


def known_keys():
    """Returns all keys of the daemon as a set of (section, key)."""
    return {re.fullmatch(r"\[(\w+)(?::NAME)?\] (\w+)", line).groups() for line in ask("keys").stdout.splitlines()}


def place_of(setting):
    return PLACES.get(setting, PLACES.get(setting[0], setting[0]))


class Configuration:
    """The sections and keys of a configuration file. Immutable: with_key() and without_key() return a copy."""

    def __init__(self, sections):
        self.sections = sections

    def with_key(self, section, key, value):
        return Configuration({**self.sections, section: {**self.sections.get(section, {}), key: value}})

    def without_key(self, section, key):
        rest = {name: value for name, value in self.sections[section].items() if name != key}
        return Configuration({**self.sections, section: rest})

    def run(self):
        with tempfile.NamedTemporaryFile("w", suffix=".ini", encoding="utf-8") as file:
            for section, keys in self.sections.items():
                file.write(f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items()))
            file.flush()
            return ask("values", file.name)


def base_for(setting):
    configuration = Configuration(BASE)
    for key, value in COMPANIONS.get(setting, {}).items():
        configuration = configuration.with_key(place_of(setting), key, value)
    return configuration


class DocumentedTest(unittest.TestCase):
    def values(self, configuration):
        """Returns the values of the configuration as {(section, key): value}."""
        done = configuration.run()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return {(section, key): value for section, key, value in
                re.findall(r"^\[(\S+)\] (\w+) (.*)$", done.stdout, re.MULTILINE)}

    def assert_required(self, setting):
        done = base_for(setting).without_key(place_of(setting), setting[1]).run()
        self.assertEqual(done.returncode, 78)
        self.assertIn(f"] {setting[1]}: missing", done.stderr)

    def assert_unset(self, setting):
        """Tests a listener key in the echo, which is the listener in BASE that has only required keys."""
        section, key = setting
        place = {"listener": "listener:echo", "peer": "peer:resolver"}.get(section, section)
        self.assertEqual(self.values(Configuration(BASE))[place, key], "unset")

    def is_default(self, setting, value):
        base = base_for(setting)
        return self.values(base) == self.values(base.with_key(place_of(setting), setting[1], value))

    def assert_example(self, setting, value):
        base, place = base_for(setting), (place_of(setting), setting[1])
        example = base.with_key(*place, value)
        if "was built without" in example.run().stderr:
            self.skipTest(f"{place}: not in this build")
        self.assertNotEqual(self.values(base)[place], self.values(example)[place])


class ManualTest(DocumentedTest):
    def items(self):
        """Returns [((section, key), lines)] for each key in the manual, with the lines that describe it."""
        items, section = [], None
        for line in read(INI_5).splitlines():
            if head := re.match(r"\.Ss \[(\w+)", line):
                section = head[1]
            elif line.startswith((".Ss", ".Sh")):
                section = None
            elif section and (head := re.match(r"\.It Ic (\w+) ", line)):
                items.append(((section, head[1]), []))
            elif section and items:
                items[-1][1].append(line)
        return items

    def test_the_keys(self):
        """The manual describes exactly the keys of this build."""
        named = [setting for setting, _ in self.items()]
        built = known_keys()
        self.assertTrue(built)
        self.assertEqual(sorted(named), sorted(built))

    def test_the_defaults(self):
        for setting, lines in self.items():
            with self.subTest(setting=setting):
                text = "\n".join(lines)
                said = re.findall(r"^(Required\.|Default: unset|Default:\n\.Cm (\S+))", text, re.MULTILINE)
                self.assertEqual(len(said), 1, text)
                if said[0][0] == "Required.":
                    self.assert_required(setting)
                elif said[0][1]:
                    self.assertTrue(self.is_default(setting, said[0][1]), said[0][1])
                else:
                    self.assert_unset(setting)

    def test_the_ports_that_an_echo_refuses(self):
        """This is the only default that depends on the action."""
        lines = dict(self.items())["listener", "refuse_source_ports"]
        self.assertIn("for a relay; for an echo, 0-1023 and the ports of all echo listeners.", lines)
        base = Configuration(BASE)
        written = base.with_key("listener:echo", "refuse_source_ports", "0-1023, 7788")
        self.assertEqual(self.values(base), self.values(written))

    def test_the_examples(self):
        for setting, lines in self.items():
            with self.subTest(setting=setting):
                examples = [match for line in lines if (match := re.fullmatch(r"\.Dl (\w+) = (.*)", line))]
                self.assertEqual([match[1] for match in examples], [setting[1]])
                self.assert_example(setting, examples[0][2])

    def test_whole_configurations(self):
        """Tests the complete configurations in the manual, between .Bd and .Ed."""
        displays = re.findall(r"^\.Bd -literal.*\n((?:.*\n)*?)\.Ed$", read(INI_5), re.MULTILINE)
        self.assertEqual(len(displays), 3)
        for text in displays:
            with tempfile.NamedTemporaryFile("w", suffix=".ini", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                done = ask("values", file.name)
            self.assertEqual((done.returncode, done.stderr), (0, ""), text)

    def test_reasons_for_drops(self):
        page = read(UDPRELAYD_8).split(".Ss Reasons for drops\n")[1].split(".Ss ")[0]
        self.assertEqual(re.findall(r"^\.It Li (\S+)", page, re.MULTILINE), ask("reasons").stdout.split())


class ExampleTest(DocumentedTest):
    def settings(self):
        """Returns {(section, key): (value, whether ";" disables it, comment)} for the first occurrence of each key. The
        comment is the nearest block of comment lines above the key."""
        found, section, comment, fresh = {}, None, "", False
        lines = iter(read(EXAMPLE).splitlines())
        for line in lines:
            if line.startswith("#"):
                comment = f"{comment} {line[1:].strip()}" if fresh else line[1:].strip()
                fresh = True
                continue
            fresh = False
            if head := re.match(r";?\[(\w+)", line):
                section, comment = head[1], ""
            elif entry := re.match(r"(;?)(\w+) *= *(.*)", line):
                off, key, value = entry.groups()
                while value.endswith(","):
                    value += " " + next(lines).lstrip("; ")
                found.setdefault((section, key), (value, bool(off), comment))
        return found

    def test_the_keys(self):
        self.assertEqual(set(self.settings()), known_keys())

    def test_the_defaults(self):
        """A disabled setting shows the default, unless its comment states another default."""
        optional = {setting: found for setting, found in self.settings().items() if found[1]}
        for setting, (value, _, comment) in optional.items():
            with self.subTest(setting=setting):
                told = re.search(r"The default is ([\w-]+(?:,\w+)*)", comment)
                if setting[1] in ("address", "action", "peers"):
                    continue
                if told:
                    self.assertTrue(self.is_default(setting, told[1]), comment)
                elif "Unset: " in comment:
                    self.assert_unset(setting)
                else:
                    self.assertTrue(self.is_default(setting, value), f"{value} is not the default; {comment}")
        self.assertGreater(len(optional), 30)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
