"""Each message about the configuration has a line and a fix. The test applies the fix and expects a valid file.

The messages are extracted from the sources, and each one must be produced by a case."""
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import harness

ROOT = Path(__file__).resolve().parents[2]

# --- The messages in the sources ---

SOURCES = [*sorted((ROOT / "src/config").glob("*.c")), ROOT / "src/base/address_parse.c", ROOT / "src/base/prefix_set.c"]
HEADERS = sorted((ROOT / "include").rglob("*.h"))

# Texts that no case produces, and the reason.
EXCEPTIONS = {
    "the line cannot be read: write it again": "libinih accepts every line that it gets",
    "… and %zu more error%s": "it counts errors, and each of them has a fix",
}

HTTP, SYSTEMD = harness.built_with("http"), harness.built_with("systemd")

# Messages of another build.
UNBUILT = "|".join(["built without libmicrohttpd" if HTTP else
                    "shows the names|an address of this host|not a host name: write a name or|has no effect without an address: "
                    "write `listen|choose another path|off, or an address such as|names and IP addresses of this host",
                    "built with systemd" if SYSTEMD else "does not name a socket|systemd (sets|binds)"])

# The functions that add a message.
REPORTERS = re.compile(r"\b(config_field_error|section_error|section_error_at|section_warning|report_line_error|diagnostics_add"
                       r"|config_report_file_error|fputs)\(")

# Formats of messages whose text is another literal.
PASSED_ON = {"%s", "`%s`: %s", "`%s` %s"}

LITERAL = r'"(?:\\.|[^"\\\n])*"'
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/|(" + LITERAL + r"|'(?:\\.|[^'\\\n])*')", re.S)
DIRECTIVE = re.compile(r"%[-+ #0]*(?:\*|\d+)?(?:\.(?:\*|\d+))?(?:hh|h|ll|l|z)?[diouxXcs]")


def code(path):
    """Returns the text of a source without comments, includes and the ends of continued lines."""
    text = COMMENT.sub(lambda match: match[1] or " ", path.read_text())
    return re.sub(r"\\\n", " ", re.sub(r"^#include .*$", "", text, flags=re.M))


def unquote(literal):
    return re.sub(r"\\(.)", lambda match: {"n": "\n", "t": "\t"}.get(match[1], match[1]), literal[1:-1])


def string_macros():
    """Returns the macros that are string literals, such as ACTION_CHOICES."""
    macros = {"PRIu64": '"llu"'}
    for path in [*HEADERS, *SOURCES]:
        for name, value in re.findall(rf"^#define (\w+)\s+((?:{LITERAL}\s*)+)$", code(path), re.M):
            macros[name] = value
    return macros


MACROS = string_macros()
GROUP = re.compile(rf"(?:(?:{LITERAL}|\b(?:{'|'.join(MACROS)})\b)\s*)+")


def literals(text):
    """Yields the text of each group of adjacent literals and macros."""
    for match in GROUP.finditer(re.sub(r"#define \w+", ";", text)):
        parts = re.findall(rf"{LITERAL}|\w+", match[0])
        parts = [MACROS.get(part, part) for part in parts]
        yield "".join(unquote(literal) for part in parts for literal in re.findall(LITERAL, part))


def arguments(text, start):
    """Returns the arguments of a call, up to its closing parenthesis."""
    depth, end = 1, start
    for token in re.finditer(rf"{LITERAL}|'(?:\\.|[^'\\])*'|[()]", text[start:]):
        depth += {"(": 1, ")": -1}.get(token[0], 0)
        if not depth:
            end = start + token.start()
            break
    return text[start:end]


def is_message(text):
    """A message has at least two words."""
    return re.search(r"[A-Za-z]\S* \S*.*[A-Za-z]{2}", text) and text not in EXCEPTIONS and not re.search(UNBUILT, text)


def messages():
    return sorted({text for path in SOURCES for text in literals(code(path)) if is_message(text)})


def pattern(message):
    """Returns a regular expression for the lines with this message."""
    parts = [re.escape(part).replace("%%", "%") for part in DIRECTIVE.split(message.strip("\n"))]
    return re.compile(".*".join(parts))


# --- The rules that apply a fix ---

VERBS = "write|remove|add|choose|name|shorten|save|create|make|complete|begin|install|build"
LINE = re.compile(r"(?P<warning>warning: )?(?P<path>[^ ]*?)(?::(?P<line>\d+))?: (?:\[(?P<section>.*?)\](?: (?P<key>[^:]+))?: )?"
                  rf"(?P<problem>.+?): (?P<fix>(?:{VERBS}|did you mean)\b.*)")

# Fixes of the system, not of the file.
ELSEWHERE = r"create it \(`|install|build it"

# Fixes that leave a choice to the user, and the form of this choice.
V4 = r"\d+\.\d+\.\d+\.\d+"
ADDRESS = rf"({V4}|\*|\[[0-9a-f:]+(%\w+)?\]):\d{{1,5}}|unix:/.{{1,107}}"
HOST_ADDRESS = rf"[a-z][a-z0-9.-]*:\d{{1,5}}|{ADDRESS}"
CHOICES = [
    (r"(write|name) (the name of )?(a|another) (user|group)\b(?! without)", r"[\w-]+"),
    (r"write the name of an interface|write one that `ip link` lists", r".*\blo\b.*"),
    (r"write (one or more of IPV4:PORT|IPV4:PORT|\[IPV6\]:PORT|one, as in \[|an IP address$|an address$|another port)", ADDRESS),
    (r"write a single address instead|choose another (address|path)|shorten it$", ADDRESS),
    (r"write (an address to send to|the address of [^`]*$|ADDRESS:PORT|four numbers|letters, digits|its address)", HOST_ADDRESS),
    (r"write \d+ to \d+ letters", r"\[\w+:[\w.-]{1,32}\]"),
    (r"write (names of charsets|the name of a charset|another charset|one that `iconv|a charset$|one charset of it)", r"[\w-]+"),
    (r"write (a name or an IP address|names and IP addresses)", r"[\w.-]+"),
    (r"write one of 224\.0\.0\.0/4", r"2(2[4-9]|3\d)\.\d+\.\d+\.\d+|ff.*"),
    (r"write fd:NAME", r"fd:\w+"),
    (r"write two( digits)? for each byte", r"([0-9a-f]{2} ?)+"),
    (r"write at most 1024", r"hex: [0-9a-f ]{1,2000}"),
    (r"write it, as in `key = value`|complete it", r"\w+ = .+"),
    (r"(write|add) `\w+ = (N|NAME|TEXT)`", r"\w+"),
    (r"write (`\w+ = )?\S*:PORT`?$", r"\d{1,5}"),
    (r"write HOST:\d+$", V4),
]


def choice_form(fix):
    """Returns the form of the choice that the fix leaves to the user, or None."""
    return next((form for start, form in CHOICES if re.match(start, fix)), None)


class File:
    """The lines of a configuration, one message about them, and the choice of the user."""

    def __init__(self, text, message, choice):
        self.lines = text.split("\n")
        self.problem, self.key, self.number = message["problem"], message["key"], int(message["line"] or 0)
        self.quoted = re.findall(r"`([^`]*)`", self.problem)
        self.choice = choice

    def text(self):
        return "\n".join(self.lines)

    @property
    def line(self):
        return self.lines[self.number - 1]

    @line.setter
    def line(self, text):
        self.lines[self.number - 1:self.number] = text.split("\n")

    def fill(self, text):
        return re.sub(r"\b(PORT|HOST|NAME|N)\b", self.choice, text) if self.choice else text

    # Lines and sections. A number is that of a line, counted from 1.

    def delete(self, number):
        """Deletes the line and the lines that continue its value."""
        while self.lines.pop(number - 1).endswith(",") and "=" not in self.lines[number - 1]:
            pass

    def append(self, text):
        self.lines += text.rstrip("\n").split("\n")

    def header(self):
        """Returns the number of the section's header."""
        return next(n for n in range(self.number, 0, -1) if self.lines[n - 1].startswith("["))

    def end_of(self, header):
        """Returns the number of the last line of a section."""
        return next((n for n in range(header, len(self.lines)) if self.lines[n].startswith("[")), len(self.lines))

    def delete_section(self, header):
        del self.lines[header - 1:self.end_of(header)]

    def set_key(self, key, value):
        """Replaces the line of the key, or adds the key to the section."""
        header = self.header()
        for i in range(header, self.end_of(header)):
            if re.match(rf"{key}\s*[=:]", self.lines[i]):
                self.lines[i] = f"{key} = {value}"
                return
        self.lines.insert(header, f"{key} = {value}")

    # Fixes of the value.

    def replace(self, value):
        """Replaces the item that the message quotes, the value, or the header; or adds the missing key."""
        item = next((quoted for quoted in self.quoted if quoted and quoted in self.line.split("=", 1)[-1]), None)
        if self.line.startswith("[") and self.key and "=" not in self.line:
            self.set_key(self.key, value)
        elif self.line.startswith("["):
            self.line = value
        elif item:
            self.line = value.join(self.line.rsplit(item, 1))
        else:
            self.lines.insert(self.number - 1, f"{self.key} = {value}")
            self.delete(self.number + 1)

    def remove_item(self, item, last):
        """Removes the first or the last occurrence of the item from the list, which becomes one line."""
        first = self.number
        while "=" not in self.lines[first - 1]:
            first -= 1
        while self.lines[first - 1].endswith(","):
            self.lines[first - 1] += self.lines.pop(first)
        key, value = self.lines[first - 1].split("=", 1)
        items = [text.strip() for text in value.split(",")]
        del items[len(items) - 1 - items[::-1].index(item) if last else items.index(item)]
        self.lines[first - 1] = f"{key}= {', '.join(items)}"

    def remove_comma(self):
        self.line = re.sub(r"(,)\s*,|,\s*$|(?<==)\s*,|^\s*,", lambda match: match[1] or "", self.line, 1)

    def remove_quotes(self):
        for i in range(self.number - 1, len(self.lines)):
            self.lines[i] = re.sub("[\"']", "", self.lines[i])
            if not self.lines[i].endswith(","):
                break

    def remove_character(self, column):
        self.line = self.line[:column - 1] + self.line[column:]

    def remove_peer(self, name):
        self.remove_item(name, True)
        if f"[peer:{name}]" in self.lines:
            self.delete_section(self.lines.index(f"[peer:{name}]") + 1)

    def break_line(self):
        comma = self.line.rindex(",", 0, 196)
        self.line = self.line[:comma + 1] + "\n" + self.line[comma + 1:]

    # Fixes of other lines.

    def set_line(self, number, text):
        self.lines[number - 1] = text

    def add_to_previous_line(self, text):
        self.lines[self.number - 2] += text

    def add_peer(self, name):
        number = next(n for n, line in enumerate(self.lines, 1) if line.startswith("peers ="))
        self.set_line(number, f"{self.lines[number - 1]}, {name}")

    def make_peer_section(self):
        address = self.quoted[0]
        self.replace("made")
        self.append(f"[peer:made]\naddress = {address}")

    def move_key(self):
        """Moves the line to the first section that the message names, and creates it if necessary."""
        target, key = re.search(r"belongs to (\[\w+)", self.problem)[1], self.line
        self.delete(self.number)
        if not any(line.startswith(target) for line in self.lines):
            self.append(target + "]")
        self.lines.insert(next(n for n, line in enumerate(self.lines, 1) if line.startswith(target)), key)

    def move_section(self, header):
        keys = self.lines[self.number:self.end_of(self.number)]
        self.delete_section(self.number)
        self.lines[header:header] = keys


def other_line(file):
    return int(re.search(r"in line (\d+)", file.problem)[1])


# The beginning of an instruction, and the edit. The first rule that matches is used.
RULES = [
    (r"did you mean `(\[.*\])`\?$", lambda f, m: f.replace(m[1])),
    (r"did you mean `(\w+)`\?$", lambda f, m: setattr(f, "line", f.line.replace(f.key, m[1], 1))),
    (r"write `=` between", lambda f, m: setattr(f, "line", re.sub(r"\s+", " = ", f.line, 1))),
    (r"write it, as in|complete it", lambda f, m: setattr(f, "line", f.choice)),
    (r"write it$", lambda f, m: f.set_key(*f.quoted[0].split(" = "))),
    (r"write it there", lambda f, m: f.move_key()),
    (r"write it in a separate line", lambda f, m: setattr(f, "line", re.sub(r"\]\s*", "]\n", f.line, 1))),
    (r"write all its keys there", lambda f, m: f.move_section(other_line(f))),
    (r"write the line `(.*)`", lambda f, m: setattr(f, "line", f.fill(m[1]))),
    (r"(?:write|add) `(\w+) = (.*?)`", lambda f, m: f.set_key(m[1], f.fill(m[2]))),
    (r"write the name of its section above it, such as (\[.*\])", lambda f, m: setattr(f, "line", f"{m[1]}\n{f.line}")),
    (r"write its interface, as in (.*)%eth0(.*)", lambda f, m: f.replace(f"{m[1]}%lo{m[2]}")),
    (r"write a section \[peer:NAME\]", lambda f, m: f.make_peer_section()),
    (r"write a single address instead of `(.*)` into line (\d+)",
     lambda f, m: f.set_line(int(m[2]), f.lines[int(m[2]) - 1].replace(m[1], f.choice))),
    (r"write (\d+) after the /", lambda f, m: f.replace(f.quoted[0].split("/")[0] + "/" + m[1])),
    (r"write (\[\w+\]), \[", lambda f, m: f.replace(m[1])),
    (r"name a user without privileges, such as (\w+)", lambda f, m: f.replace(m[1])),
    (r"remove this line", lambda f, m: f.delete(f.number)),
    (r"remove line (\d+)", lambda f, m: f.delete(int(m[1]))),
    (r"remove column (\d+)", lambda f, m: f.remove_character(int(m[1]))),
    (r"remove the (first|last) `(.*)`", lambda f, m: f.remove_item(m[2], m[1] == "last")),
    (r"remove `(\w+)` from the list", lambda f, m: f.remove_item(m[1], True)),
    (r"remove a comma", lambda f, m: f.remove_comma()),
    (r"remove the peer `(.*)`", lambda f, m: f.remove_peer(m[1])),
    (r"remove the section", lambda f, m: f.delete_section(f.number)),
    (r"remove (all quotes from the list|them, unless)", lambda f, m: f.remove_quotes()),
    (r"add a comma to the previous line", lambda f, m: f.add_to_previous_line(",")),
    (r"begin it with ;", lambda f, m: setattr(f, "line", "; " + f.line)),
    (r"add a section \[listener:NAME\]", lambda f, m: f.append(GOOD)),
    (r"add a section (\[peer:.*?\])", lambda f, m: f.append(f"{m[1]}\naddress = 192.0.2.9:9")),
    (r"add `(.*)` to the list", lambda f, m: setattr(f, "line", f"{f.line}, {m[1]}")),
    (r"add `(.*)` to the peers of one", lambda f, m: f.add_peer(m[1])),
    (r"shorten it; a list may continue", lambda f, m: f.break_line()),
    (r"write `([^`]*)`$|write (?!ADDRESS|\[IPV6\])([^ `]+)$|write the value (.*)",
     lambda f, m: f.replace(f.fill(m[1] or m[2] or m[3]))),
    (r"", lambda f, m: f.replace(f.choice)),
]


def values(text):
    """Returns the values that a text such as `off, or a number from 1 to 9` names: a word, and the example or the limits."""
    example = re.search(r"such as (`[^`]+`|[^,]+?(?= or |,|$))", text)
    limits = re.search(r"from (\w+) to (\w+)$", text)
    words = re.split(r", or |, | or ", text.removeprefix("one of ").split(" such as ")[0])
    zero = re.search(r"\b(0) (for|to)\b", text)
    return [*(words[:1] if len(words) > 1 and re.fullmatch(r"[a-z]+", words[0]) and words[1] else []),
            *([example[1].strip("`")] if example else limits.groups() if limits else []), *([zero[1]] if zero else [])]


def instructions(file, fix):
    """Returns one instruction for each way to apply the fix, which is one alternative of the message."""
    listed = re.findall(r"`\w+ = [^`]*`", fix)
    after = re.fullmatch(r"write a number from (\d+) to (\d+) after the /", fix)
    column = re.match(r"column (\d+) ", file.problem)
    if listed and fix.startswith("write") and not file.choice:
        return [f"write {'the line ' if 'unknown key' in file.problem else ''}{key}" for key in listed]
    if after:
        return [f"write {number} after the /" for number in after.groups()]
    if fix == "remove it":
        return [f"remove column {column[1]}" if column else "remove this line"]
    if fix == "remove one" and " in line " in file.problem:
        return ["remove this line", f"remove line {other_line(file)}"]
    if fix == "remove one":
        return [f"remove the last `{file.quoted[0]}`", f"remove the first `{file.quoted[-1]}`"]
    if fix.startswith("remove one of them"):
        return [f"remove the peer `{name}`" for name in file.quoted[:2]]
    if fix.startswith("write `") and "unknown key" in file.problem and listed:
        return [fix.replace("write", "write the line", 1)]
    known = any(re.match(rule, fix) for rule, _ in RULES[:-1])
    return [fix] if known or file.choice else [f"write the value {value}" for value in values(fix.removeprefix("write "))]


def apply(file, instruction):
    match, edit = next((match, edit) for rule, edit in RULES if (match := re.match(rule, instruction)))
    edit(file, match)


# --- The cases ---

GOOD = "[listener:a]\naddress = 127.0.0.1:0\naction = echo\n"
FORWARD = "[listener:a]\naddress = 127.0.0.1:0\naction = forward\npeers = 192.0.2.1:9\n"
RELAY = FORWARD.replace("forward", "relay")
PEER = "[listener:a]\naddress = 127.0.0.1:0\naction = relay\npeers = p\n[peer:p]\n"

# Redirects GBK to a module that does not exist.
GCONV = "module GBK// INTERNAL ./missing-module 1\nmodule INTERNAL GBK// ./missing-module 1\n"


def listen(address, keys=""):
    return f"[listener:a]\naddress = {address}\naction = echo\n{keys}"


def peers(value, keys=""):
    return f"[listener:a]\naddress = 127.0.0.1:0\naction = relay\npeers = {value}\n{keys}"


def peer(address, keys=""):
    return f"{PEER}address = {address}\n{keys}"


# The text of a file, its only message without the path, and the choices of the user.
# A part of the message, the text of the file, and the choices of the user.
CASES = [
    # The lines of the file.
    ("no listener is configured", ""),
    ("no listener is configured", "[log]\nlevel = info\n"),
    ("2: [listener:b]: the `]` after the section name", "\n[listener:b\naddress = 127.0.0.1:0\naction = sink\n"),
    ("1: [listener:b]: unexpected `address = *:0`", "[listener:b] address = *:0\naction = sink\n"),
    ("4: [listener:a]: the section exists in line 1", GOOD + "[listener:a]\nlog = all\n"),
    ("1: workers: the key is not in a section", "workers = 1\n" + GOOD),
    ("5: [listener:a] log: the key exists in line 4", GOOD + "log = all\nlog = none\n"),
    ("4: [listener:a] allow: the line has 299 bytes", GOOD + "allow = " + ", ".join(["192.0.2.100/32"] * 18) + ", ::1\n"),
    ("4: [listener:a]: the key before `=` is missing", GOOD + "= 5\n", "source_limit = 5"),
    ("4: [listener:a]: the key before `:` is missing", GOOD + ": 5\n", "source_limit = 5"),
    ("5: [listener:a]: `gbk` is neither [section] nor key = value: add a comma", GOOD + "encoding = utf-8\ngbk\n"),
    ("4: [listener:a]: `all datagrams` is neither [section] nor key = value: complete", GOOD + "all datagrams\n", "log = all"),
    ("4: [listener:a] log: column 8 is the control character 0x01", GOOD + "log = a\x01ll\n"),
    ("4: [listener:a]: column 3 is the control character 0x00", GOOD + "; \x00\n"),
    # Sections.
    ("1: [listner:a]: unknown section: did you mean `[listener:a]`?", GOOD.replace("listener", "listner")),
    ("1: [listener]: unknown section: did you mean `[listener:NAME]`?", GOOD.replace("listener:a", "listener")),
    ("4: [logs:x]: unknown section: did you mean `[log]`?", GOOD + "[logs:x]\nlevel = info\n"),
    ("4: [daemon]: unknown section: write [udprelayd], [log]", GOOD + "[daemon]\nworkers = 1\n"),
    ("1: [listener:a b]: not a valid name: write 1 to 32", GOOD.replace(":a]", ":a b]"), "[listener:a-b]"),
    # Keys.
    ("2: [listener:a] listen: unknown key: write `address = 127.0.0.1:0`", GOOD.replace("address", "listen")),
    ("2: [listener:a] port: unknown key: write `address = *:0`", "[listener:a]\nport = 0\naction = echo\n"),
    ("2: [listener:a] bind: unknown key: write `address = 127.0.0.1:PORT`", "[listener:a]\nbind = 127.0.0.1\naction = echo\n", "0"),
    ("6: [peer:p] host: unknown key: write `address = dns.example:PORT`", PEER + "host = dns.example\n", "53"),
    ("5: [listener:a] timeout: unknown key: write `idle_timeout = 30s`", RELAY + "timeout = 30\n"),
    ("2: [listener:a] address *: unknown key: write `=` between `address`", "[listener:a]\naddress *:0\naction = echo\n"),
    ("4: [listener:a] format: the key belongs to [log] or [datagram_log]", GOOD + "format = json\n"),
    ("5: [listener:a] weight: the key belongs to [peer:NAME]", peers("p", "weight = 2\n[peer:p]\naddress = 192.0.2.1:9\n")),
    ("4: [listener:a] encodign: unknown key: did you mean `encoding`?", GOOD + "encodign = gbk\n"),
    ("5: [listener:a] 192.0.2.2: unknown key: add a comma to the previous line", FORWARD + "192.0.2.2:9\n"),
    ("4: [listener:a] colour: unknown key in this section: remove it", GOOD + "colour = red\n"),
    ("4: [listener:a] log: a value has no quotes: write `log = all`", GOOD + 'log = "all"\n'),
    ("4: [listener:a] encoding: a value has no quotes: write `encoding = utf-8, gbk`", GOOD + "encoding = 'utf-8, gbk'\n"),
    ("5: [listener:a] encoding: a value has no quotes: remove all", GOOD + "encoding = utf-8,\n  'gbk',\n  'hex'\n"),
    # Plain values.
    ("2: [udprelayd] workers: `many` is not valid: write auto", "[udprelayd]\nworkers = many\n" + GOOD),
    ("2: [udprelayd] user: unknown user `absent`", "[udprelayd]\nuser = absent\n" + GOOD, "nobody"),
    ("2: [udprelayd] user: `root` has all permissions", "[udprelayd]\nuser = root\n" + GOOD),
    ("2: [udprelayd] user: `a b` is not valid", "[udprelayd]\nuser = a b\n" + GOOD, "nobody"),
    ("3: [udprelayd] group: unknown group `absent`", "[udprelayd]\nuser = nobody\ngroup = absent\n" + GOOD, "daemon"),
    ("2: [udprelayd] group: has no effect without a user", "[udprelayd]\ngroup = daemon\n" + GOOD, "nobody"),
    ("2: [udprelayd] user: no user has the number 4242424242", "[udprelayd]\nuser = 4242424242\n" + GOOD, "daemon"),
    ("5: [datagram_log] target: `sdterr` is not valid", GOOD + "[datagram_log]\ntarget = sdterr\n"),
    ("4: [listener:a] encoding: unknown charset `utf-88`", GOOD + "encoding = utf-88\n", "utf-8"),
    ("5: [listener:a] encoding: unknown charset `gkb`", GOOD + "encoding = utf-8,\n  gkb\n", "gbk"),
    ("4: [listener:a] encoding: this system cannot convert `gbk`", GOOD + "encoding = gbk\n", "utf-8"),
    ("4: [listener:a] encoding: the list has an empty item", GOOD + "encoding = utf-8,, gbk\n"),
    ("5: [listener:a] encoding: the list has an empty item", GOOD + "encoding = utf-8,\n  gbk,\n"),
    ("5: [listener:a] refuse_source_ports: `70000` is not valid", GOOD + "refuse_source_ports = 1,\n  70000\n"),
    # [http].
    *([("5: [http] listen: `9100` shows the names", GOOD + "[http]\nlisten = 9100\n"),
       ("5: [http] listen: `[::]:9100` shows the names", GOOD + "[http]\nlisten = [::]:9100\n"),
       ("5: [http] listen: `239.1.2.3:9100` is a multicast group", GOOD + "[http]\nlisten = 239.1.2.3:9100\n"),
       ("5: [http] listen: `[fe80::5]:9100` is link-local", GOOD + "[http]\nlisten = [fe80::5]:9100\n"),
       ("6: [http] hosts: `a.example:80` is not a host name", GOOD + "[http]\nlisten = 127.0.0.1:9788\nhosts = a.example:80\n",
        "a.example"),
       ("7: [http] hosts: `b:80` is not a host name", GOOD + "[http]\nlisten = 127.0.0.1:9788\nhosts = a.example,\n b:80\n", "b"),
       ("5: [http] hosts: has no effect without an address", GOOD + "[http]\nhosts = a.example\n"),
       ("5: [http] listen: `unix:/tmp/s` is already used by listener `a`", listen("unix:/tmp/s")
        + "[http]\nlisten = unix:/tmp/s\n", "unix:/tmp/t"),
       ] if HTTP else [("5: [http] listen: this udprelayd was built without", GOOD + "[http]\nlisten = 127.0.0.1:9788\n")]),
    # Addresses of listeners.
    ("2: [listener:a] address: `fd:` does not name a socket", listen("fd:"), "fd:udprelayd") if SYSTEMD else
    ("2: [listener:a] address: `fd:x` needs a udprelayd that is built with systemd", listen("fd:x"), "127.0.0.1:0"),
    ("3: [listener:a] address: `7788`: the address before the port is missing: write *:7788",
     "[listener:a]\naddress = 127.0.0.1:0,\n  7788\naction = echo\n"),
    ("`7788x`: the port is not a number: write *:7788", listen("7788x")),
    ("`127.0.0.1:0053x`: the port is not a number: write 127.0.0.1:53", listen("127.0.0.1:0053x")),
    ("`127.0.0.1:http`: the port is not a number: write 127.0.0.1:PORT", listen("127.0.0.1:http"), "80"),
    ("`127.0.0.1`: the port is missing: write 127.0.0.1:PORT", listen("127.0.0.1"), "7788"),
    ("`*`: the port is missing: write *:PORT", listen("*"), "7788"),
    ("`[::1]`: the port is missing: write [::1]:PORT", listen("[::1]"), "7788"),
    ("`127.0.0.1:07788`: the port begins with 0: write 127.0.0.1:7788", listen("127.0.0.1:07788")),
    ("`127.0.0.1:77880`: the port is greater than 65535: write 127.0.0.1:PORT", listen("127.0.0.1:77880"), "7788"),
    ("`:`: the address is missing: write ADDRESS:PORT", listen(":"), "127.0.0.1:7788"),
    ("`unix:`: the path is missing", listen("unix:")),
    ("`unix:run/s`: the path does not begin with `/`: write unix:/run/s", listen("unix:run/s")),
    ("the path has 120 bytes, but a socket address holds at most 107", listen("unix:/" + "x" * 119), "unix:/tmp/s"),
    ("`UNIX:/tmp/s`: `unix:` has capital letters: write unix:/tmp/s", listen("UNIX:/tmp/s")),
    ("`/tmp/s`: a path needs `unix:` before it: write unix:/tmp/s", listen("/tmp/s")),
    ("`[::1:7788`: the `]` is missing: write [::1]:7788", listen("[::1:7788")),
    ("`[::g:7788`: the `]` is missing: write [IPV6]:PORT", listen("[::g:7788"), "[::1]:7788"),
    ("`[127.0.0.1]:7788`: only an IPv6 address has brackets: write 127.0.0.1:7788", listen("[127.0.0.1]:7788")),
    ("`[::g]:7788`: the brackets do not contain an IPv6 address", listen("[::g]:7788"), "[::1]:7788"),
    ("`[::1%lo]:7788`: only a link-local address has an interface: write [::1]:7788", listen("[::1%lo]:7788")),
    ("`[fe80::1%absent0]:7788`: no such interface", listen("[fe80::1%absent0]:7788"), "[fe80::1%lo]:7788"),
    ("`::1:7788`: an IPv6 address needs brackets: write [::1]:7788", listen("::1:7788")),
    ("`::1`: an IPv6 address needs brackets: write [::1]:PORT", listen("::1"), "7788"),
    ("`a:b:c`: too many `:`", listen("a:b:c"), "127.0.0.1:7788"),
    ("`192.0.2:7788`: not an IPv4 address", listen("192.0.2:7788"), "192.0.2.0:7788"),
    ("`localhost:7788`: names are not accepted here", listen("localhost:7788"), "127.0.0.1:7788"),
    ("`loc@l:7788`: not an IP address", listen("loc@l:7788"), "127.0.0.1:7788"),
    ("`[::ffff:127.0.0.1]:7788` is an IPv4-mapped IPv6 address: write 127.0.0.1:7788", listen("[::ffff:127.0.0.1]:7788")),
    ("2: [listener:a] address: `[fe80::5]:0` is link-local: write its interface, as in [fe80::5%eth0]:0", listen("[fe80::5]:0")),
    ("3: [listener:a] address: `127.0.0.1:7` is listed twice", listen("127.0.0.1:7,\n 127.0.0.1:7")),
    ("2: [listener:a] address: `*:7` covers the same address as `127.0.0.1:7`", listen("127.0.0.1:7, *:7")),
    ("6: [listener:b] address: `*:7` is already used by listener `a` (`127.0.0.1:7`)", listen("127.0.0.1:7")
     + "[listener:b]\naddress = 127.0.0.1:8,\n *:7\naction = sink\n", "*:9"),
    ("1: [listener:a] address: missing", "[listener:a]\naction = echo\n"),
    # The other keys of listeners.
    ("1: [listener:a] action: missing: write one of sink", "[listener:a]\naddress = 127.0.0.1:0\n"),
    ("3: [listener:a] action: `shout` is not valid", "[listener:a]\naddress = 127.0.0.1:0\naction = shout\n"),
    ("4: [listener:a] interface: `a/b` is not valid", GOOD + "interface = a/b\n", "lo"),
    ("5: [listener:a] multicast: `192.0.2.1` is not a multicast group", listen("*:0", "multicast = 239.1.2.3,\n 192.0.2.1\n"),
     "239.1.2.4"),
    ("4: [listener:a] multicast: `a/b` is not the name of an interface", listen("*:0", "multicast = 239.1.2.3%a/b\n"), "lo"),
    ("5: [listener:a] multicast: `239.1.2.3` is listed twice", listen("*:0", "multicast = 239.1.2.3,\n 239.1.2.3\n")),
    ("2: [listener:a] address: no address receives the multicast group `239.1.2.3`: add `239.1.2.3:7`",
     listen("127.0.0.1:7", "multicast = 239.1.2.3\n")),
    ("2: [listener:a] address: no address receives the multicast group `ff02::5`: add `[ff02::5%lo]:7`",
     listen("127.0.0.1:7", "multicast = ff02::5%lo\n")),
    ("2: [listener:a] address: no address receives the multicast group `ff02::5`: add `[::]:7`",
     listen("127.0.0.1:7", "multicast = ff02::5\n")),
    *([("4: [listener:a] interface: systemd sets the interface", listen("fd:x", "interface = lo\n")),
       ("4: [listener:a] freebind: systemd binds a fd:NAME socket", listen("fd:x", "freebind = on\n"))] if SYSTEMD else []),
    ("4: [listener:a] interface: unix: addresses have no interface", listen("unix:/tmp/s", "interface = lo\n")),
    ("4: [listener:a] allow: unix: addresses have no prefixes", listen("unix:/tmp/s", "allow = ::1\n")),
    ("4: [listener:a] deny: unix: addresses have no prefixes", listen("unix:/tmp/s", "deny = ::1\n")),
    ("4: [listener:a] source_limit: has no effect on unix: addresses", listen("unix:/tmp/s", "source_limit = 9\n")),
    ("4: [listener:a] source_burst: has no effect without a limit", GOOD + "source_burst = 9\n", "9"),
    ("4: [listener:a] idle_timeout: only a relay has sessions: remove this line", GOOD + "idle_timeout = 5s\n"),
    ("5: [listener:a] balance: only a relay has sessions: remove this line, or write", FORWARD + "balance = hash\n"),
    ("5: [listener:a] encoding: `hex` is not a charset, but peer `p` needs conversion to gbk: remove `hex` from the list",
     peers("p", "encoding = utf-8, hex\n[peer:p]\naddress = 192.0.2.1:9\nencoding = gbk\n")),
    ("5: [listener:a] encoding: `hex` is not a charset, but peer `p` needs conversion to gbk: remove this line",
     peers("p", "encoding = hex\n[peer:p]\naddress = 192.0.2.1:9\nencoding = gbk\n")),
    # Prefixes.
    ("5: [listener:a] allow: `0.0.0.0/33`: not a prefix length: write a number from 0 to 32", GOOD + "allow = ::1,\n  0.0.0.0/33\n"),
    ("`::/129`: not a prefix length: write a number from 0 to 128", GOOD + "deny = ::/129\n"),
    ("`fe80::1%eth0/64`: a prefix has no interface: write fe80::/64", GOOD + "deny = fe80::1%eth0/64\n"),
    ("`example.org`: not a prefix: write one such as", GOOD + "allow = example.org\n"),
    ("`::ffff:192.0.2.1`: this is an IPv4-mapped IPv6 prefix: write 192.0.2.1/32", GOOD + "allow = ::ffff:192.0.2.1\n"),
    ("`192.0.2.1/24`: some bits after the prefix length are set: write 192.0.2.0/24", GOOD + "allow = 192.0.2.1/24\n"),
    # Lists of peers.
    ("1: [listener:a] peers: missing: relay needs at least one peer", "[listener:a]\naddress = 127.0.0.1:0\naction = relay\n"),
    ("4: [listener:a] peers: only forward and relay send to peers", GOOD + "peers = 192.0.2.1:9\n"),
    ("5: [listener:a] peers: there is no peer `q`", peers("192.0.2.1:9,\n q"), "192.0.2.2:9"),
    ("5: [listener:a] peers: there is no peer `Spare`: write `spare`",
     peers("192.0.2.1:9,\n Spare\n[peer:spare]\naddress = 192.0.2.2:9")),
    ("5: [listener:a] peers: `192.0.2.2:9 192.0.2.3:9` has no commas: write `192.0.2.2:9, 192.0.2.3:9`",
     peers("192.0.2.1:9,\n 192.0.2.2:9 192.0.2.3:9")),
    ("5: [listener:a] peers: `peer:spare` is the header of a section: write `spare`",
     peers("192.0.2.1:9,\n peer:spare\n[peer:spare]\naddress = 192.0.2.2:9")),
    ("5: [listener:a] peers: `192.0.2.2/9`: a colon is missing before the port: write 192.0.2.2:9",
     peers("192.0.2.1:9,\n 192.0.2.2/9")),
    ("`udp://192.0.2.2:9`: an address has no `udp://`: write 192.0.2.2:9", peer("udp://192.0.2.2:9")),
    ("5: [listener:a] peers: `192.0.2.1:9` is listed twice", peers("192.0.2.1:9,\n 192.0.2.1:9")),
    ("5: [listener:a] peers: `192.0.2.1:0` has port 0: write 192.0.2.1:PORT", peers("192.0.2.1:9,\n 192.0.2.1:0"), "53"),
    ("5: [listener:a] peers: `127.0.0.1:7` is our own listener", "[listener:a]\naddress = 127.0.0.1:7\naction = relay\n"
     "peers = 192.0.2.1:9,\n 127.0.0.1:7\n", "127.0.0.1:8"),
    ("5: [listener:a] peers: `[fe80::5]:9` is link-local: write its interface, as in [fe80::5%eth0]:9",
     peers("192.0.2.1:9,\n [fe80::5]:9")),
    ("4: [listener:a] peers: `unix:/tmp/a b` is too long for this list", peers("unix:/tmp/a b")),
    ("9: [peer:p] backup: every peer of listener `a` is a backup", peers("p, q", "[peer:q]\naddress = 192.0.2.2:9\nbackup = on\n"
     "[peer:p]\nbackup = on\naddress = 192.0.2.1:9\n")),
    # Peers.
    ("5: [peer:p] address: missing", PEER),
    ("6: [peer:p] address: `*:9` is not the address of a host", peer("*:9"), "192.0.2.1:9"),
    ("6: [peer:p] address: `0.0.0.0:9` is not the address of a host", peer("0.0.0.0:9"), "192.0.2.1:9"),
    ("6: [peer:p] address: `255.255.255.255:9` is a broadcast address", peer("255.255.255.255:9"), "192.0.2.1:9"),
    ("`[::ffff:192.0.2.1]:9` is an IPv4-mapped IPv6 address: write 192.0.2.1:9", peer("[::ffff:192.0.2.1]:9")),
    ("`-a:9`: not a host name", peer("-a:9"), "a.example:9"),
    ("`dns.example`: the port is missing: write dns.example:PORT", peer("dns.example"), "53"),
    ("`53`: the address before the port is missing: write HOST:53", peer("53"), "192.0.2.1"),
    ("6: [peer:p] address: `127.0.0.1:7` is our own listener `a`, which receives on every", PEER.replace("127.0.0.1:0", "*:7")
     + "address = 127.0.0.1:7\n", "127.0.0.1:8", "192.0.2.1:7"),
    ("6: [peer:p] address: `127.0.0.1:7` is our own listener `a`, so datagrams", PEER.replace("127.0.0.1:0", "127.0.0.1:7")
     + "address = 127.0.0.1:7\n", "127.0.0.1:8"),
    ("6: [peer:p] address: `[fe80::5]:9` is link-local", peer("[fe80::5]:9")),
    ("7: [peer:p] encoding: `hex` is only for the log", peer("192.0.2.1:9", "encoding = hex\n"), "gbk"),
    ("7: [peer:p] encoding: `utf-8, gbk` is a list", peer("192.0.2.1:9", "encoding = utf-8, gbk\n"), "gbk"),
    ("8: [peer:p] check_send: `0g` is not a hex number", peer("192.0.2.1:9", "check = on\ncheck_send = hex: 00 0g\n"), "00"),
    ("9: [peer:p] check_send: `0` has an odd number of hex digits", peer("192.0.2.1:9", "check = on\ncheck_send = hex: 01,\n 0\n"),
     "00"),
    ("8: [peer:p] check_send: the bytes after `hex:` are missing", peer("192.0.2.1:9", "check = on\ncheck_send = hex:\n")),
    ("8: [peer:p] check_send: 1040 bytes are too many", peer("192.0.2.1:9", "check = on\ncheck_send = hex: "
     + ",\n ".join(["00" * 80] * 13) + "\n"), "hex: 00 ff"),
    ("8: [peer:p] check_timeout: check_timeout (6000ms) is longer than check_interval (5000ms)",
     peer("192.0.2.1:9", "check = on\ncheck_timeout = 6s\n")),
    ("8: [peer:p] check_interval: check_timeout (2000ms) is longer than check_interval (1000ms)",
     peer("192.0.2.1:9", "check = on\ncheck_interval = 1s\n")),
    ("7: [peer:p] check_rise: has no effect without `check = on`", peer("192.0.2.1:9", "check_rise = 2\n")),
    # Warnings.
    ("8: [peer:p] check_send: the quotes are part of the text", peer("192.0.2.1:9", 'check = on\ncheck_send = "x"\n')
     .replace("relay", "forward")),
    ("7: [peer:p] check: a silent server counts as up", peer("192.0.2.1:9", "check = on\n"), "pong"),
    ("9: [peer:p] check_expect: `0x7564` is taken as text: write `check_expect = hex: 7564`",
     peer("192.0.2.1:9", "check = on\ncheck_send = ping\ncheck_expect = 0x7564\n")),
    ("5: [peer:spare]: no listener uses this peer", FORWARD + "[peer:spare]\naddress = 192.0.2.2:9\n"),
    ("4: [listener:a] peers: `192.0.2.1:9` and `p` have the same address", peers("192.0.2.1:9, p").replace("relay", "forward")
     + "[peer:p]\naddress = 192.0.2.1:9\n"),
    ("7: [peer:p] weight: has no effect, because a forward", peer("192.0.2.1:9", "weight = 2\n").replace("relay", "forward")),
    ("7: [peer:p] resolve_interval: has no effect, because the address", peer("192.0.2.1:9", "resolve_interval = 5s\n")),
]

# For each key: a file that has all keys that it depends on.
BASE = ("[udprelayd]\nuser = nobody\n[log]\n[datagram_log]\n" + ("[http]\nlisten = 127.0.0.1:9788\n" if HTTP else "")
        + "[listener:a]\naddress = *:0\naction = relay\nsource_limit = 9\npeers = p, q\n"
        "[peer:p]\naddress = dns.example:9\ncheck = on\ncheck_interval = 1h\ncheck_timeout = 1ms\n[peer:q]\naddress = 192.0.2.2:9\n")
SECTIONS = {"DAEMON": "[udprelayd]", "LOG": "[log]", "DATAGRAM_LOG": "[datagram_log]", "HTTP": "[http]",
            "LISTENER": "[listener:a]", "PEER": "[peer:p]"}
KEY_CHOICES = {"user": "nobody", "group": "daemon", "encoding": "gbk", "interface": "lo", "hosts": "a.example",
               "[listener:a] address": "127.0.0.1:0", "[peer:p] address": "192.0.2.1:9"}


def key_cases():
    """Yields a case for each key of the table: its value is missing."""
    table = re.findall(r'\{SECTION_(\w+), "(\w+)",', code(ROOT / "src/config/keys.c"))
    assert len(table) > 45, table
    for section, key in table:
        header = SECTIONS[section]
        if header == "[http]" and not HTTP:
            continue
        base = GOOD if (header, key) == ("[listener:a]", "action") else BASE
        lines = base.split("\n")
        start = lines.index(header)
        end = next((i for i in range(start + 1, len(lines)) if lines[i].startswith("[")), len(lines))
        lines[start + 1:end] = [line for line in lines[start + 1:end] if not line.startswith(key + " =")]
        lines.insert(start + 1, f"{key} =")
        choice = KEY_CHOICES.get(f"{header} {key}") or KEY_CHOICES.get(key)
        yield f"{start + 2}: {header} {key}: the value is missing", "\n".join(lines), *([choice] if choice else [])


def alternatives(fix):
    """Splits `remove this line, or write it` into its parts, and leaves out those that do not change the file."""
    parts = re.split(rf",? or (?=(?:{VERBS})\b)", fix)
    return [part for part in parts if not re.match(ELSEWHERE, part)]


def write_file(path, text=GOOD):
    """Writes text or bytes and returns the path."""
    Path(path).unlink(missing_ok=True)
    Path(path).write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def make_directory(path):
    os.mkdir(path)
    return path


def make_pipe(path):
    os.mkfifo(path)
    return path


def make_loop(path):
    os.symlink(path, path)
    return path


def use_other(path, other):
    return write_file(other)


def use_inner(path, other):
    return write_file(os.path.join(path, "udprelayd.ini"))


def rewrite(path, other):
    return write_file(path)


def save_as_utf8(path, other):
    return write_file(other, Path(path).read_bytes().decode("utf-16").encode())


def keep_configuration(path, other):
    return write_file(other, "".join(Path(path).read_text().splitlines(keepends=True)[:3]))


# How to make the file, a part of the message, and its fix.
FILES = [
    (lambda path: path, ": cannot be opened: No such file or directory: create it, or name another file", use_other),
    (lambda path: path, ": cannot be opened: No such file or directory: create it, or name another file", rewrite),
    (make_loop, ": cannot be opened: Too many levels of symbolic links: make it a file that this user may read", rewrite),
    (make_directory, ": is a directory: name the file in it, such as ", use_inner),
    (make_pipe, ": is a device, a pipe or a socket: name a regular file", use_other),
    (lambda path: "", '"": the file name is empty: write one, such as udprelayd.ini', use_other),
    (lambda path: "/proc/self/mem", ": reading failed after line 0: Input/output error: name a file that can be read", use_other),
    (lambda path: write_file(path, "; x\n" * (4 << 20) + GOOD), ": the file is larger than 16 MiB: name a configuration file",
     use_other),
    (lambda path: write_file(path, GOOD.encode("utf-16")), ":1: this is not a text file: save it as UTF-8", save_as_utf8),
    (lambda path: write_file(path, GOOD + "".join(f"[{n}]\n" for n in range(10000))),
     ":10003: the file has too many sections: remove the lines that are not configuration", keep_configuration),
    (lambda path: write_file(path, GOOD + "".join(f"k{n} = 1\n" for n in range(1000))),
     ":1002: the section has too many keys: remove the lines that are not configuration", keep_configuration),
]


class FixesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        cls.path = os.path.join(cls.directory.name, "file.ini")
        modules = Path(cls.directory.name, "gconv")
        modules.mkdir()
        (modules / "gconv-modules").write_text(GCONV)
        cls.checked = {}
        cls.environment = os.environ | {"GCONV_PATH": str(modules)}

    def run_check(self, path, **options):
        """Returns the exit status and the messages about the file, without those about the start."""
        done = subprocess.run([harness.DAEMON, "-t", "-c", path], capture_output=True, text=True, check=False, **options)
        self.assertIn(done.returncode, (0, 78), done)
        return done.returncode, [line for line in done.stderr.splitlines() if ": valid, but cannot start now: " not in line]

    def options(self, expected):
        return {"env": self.environment} if "this system cannot convert" in expected else {}

    def check(self, text, **options):
        """As run_check() for a text. A text with the same options is checked only once."""
        case = (text, bool(options))
        if case not in self.checked:
            write_file(self.path, text)
            self.checked[case] = self.run_check(self.path, **options)
        return self.checked[case]

    def message(self, lines, expected):
        """Checks that there is one message of the right form."""
        self.assertEqual(len(lines), 1, lines)
        self.assertIn(expected, lines[0])
        message = LINE.fullmatch(lines[0])
        self.assertTrue(message, f"the fix of this message is not an instruction: {lines[0]}")
        return message

    def check_location(self, text, message):
        """The line has the key, or it is the header of the section that lacks the key."""
        if not message["line"]:
            self.assertIn("no listener is configured", message[0])
            return
        line = text.split("\n")[int(message["line"]) - 1].strip()
        key, section = message["key"], message["section"]
        if line.startswith("[") and section and not re.search(r"\]:\d", line):
            self.assertTrue(line.startswith(f"[{section}"), message[0])
            self.assertFalse(key and re.search(rf"^{key} *=", text.split(line)[1].split("\n[")[0], re.M), message[0])
        elif key and "=" in line:
            self.assertTrue(line.startswith(key), message[0])

    def try_fixes(self, text, expected, choices, options):
        status, lines = self.check(text, **options)
        message = self.message(lines, expected)
        self.assertEqual(status == 0, bool(message["warning"]), lines)
        self.check_location(text, message)
        left, changed, before = list(choices), [], text.split("\n")
        line = before[int(message["line"] or 1) - 1]
        for part in alternatives(message["fix"]):
            form = choice_form(part)
            choice = left.pop(0) if form else None
            if form:
                self.assertRegex(choice, f"^({form})$", part)
            for instruction in instructions(File(text, message, choice), part):
                file = File(text, message, choice)
                apply(file, instruction)
                self.assertNotEqual(file.text(), text, instruction)
                status, after = self.check(file.text(), **options)
                complaint = f"{lines[0]}\nthe instruction `{instruction}` gives\n{file.text()}"
                self.assertEqual((status, after if message["warning"] else []), (0, []), f"{after}\n{complaint}")
                changed.append(file.lines[file.number - 1:file.number] != [line] or file.lines.count(line) < before.count(line))
        self.assertTrue(changed, f"no rule applies this fix: {lines[0]}")
        self.assertTrue(any(changed) or message["fix"].startswith("add ") or (line.startswith("[") and message["key"]),
                        f"the fix is in another line: {lines[0]}")
        self.assertFalse(left, "a choice is not needed")

    def test_each_fix_gives_a_valid_file(self):
        for expected, text, *choices in [*CASES, *key_cases()]:
            with self.subTest(expected):
                self.try_fixes(text, expected, choices, self.options(expected))

    def test_files_as_a_whole(self):
        """The fix names another file, or changes the whole file."""
        for make, expected, fix in FILES:
            with self.subTest(expected), tempfile.TemporaryDirectory() as directory:
                path = make(os.path.join(directory, "file.ini"))
                status, lines = self.run_check(path)
                self.assertEqual(status, 78)
                self.message(lines, expected)
                self.assertEqual(self.run_check(fix(path, os.path.join(directory, "other.ini"))), (0, []), lines)

    def test_many_errors_are_counted(self):
        status, lines = self.check(GOOD + "".join(f"[x{n}]\n" for n in range(22)))
        self.assertEqual((status, len(lines)), (78, 21))
        self.assertEqual(lines[-1], f"{self.path}:24: … and 2 more errors")

    def test_each_message_has_a_case(self):
        lines = [line for expected, text, *_ in [*CASES, *key_cases()] for line in self.check(text, **self.options(expected))[1]]
        for make, _, _ in FILES:
            with tempfile.TemporaryDirectory() as directory:
                lines += self.run_check(make(os.path.join(directory, "file.ini")))[1]
        found = "\n".join(lines)
        texts = messages()
        self.assertGreater(len(texts), 150)
        missing = [text for text in texts if not pattern(text).search(found)]
        self.assertEqual(missing, [], "no case produces these messages")

    def test_each_exception_is_a_message(self):
        texts = {text for path in SOURCES for text in literals(code(path))}
        self.assertLessEqual(set(EXCEPTIONS), texts)

    def test_each_report_has_a_text(self):
        """The format of each call is a literal, or a placeholder for a text that is one."""
        for path in SOURCES:
            text = code(path)
            for call in REPORTERS.finditer(text):
                given = arguments(text, call.end())
                if "const char *format" in given:
                    continue
                formats = list(literals(given))
                self.assertTrue(formats, f"{path.name}: {call[1]}({given})")
                self.assertTrue(any(format in PASSED_ON or format in EXCEPTIONS or len(format.split()) > 2 for format in formats),
                                f"{path.name}: {call[1]}({given})")


if __name__ == "__main__":
    harness.main()
