"""Checks the layers of the source tree (src/README.md): a folder includes only folders below it."""

import re
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(sys.argv.pop(1)) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2]

# From top to bottom.
ORDER = ["main.c", "client", "daemon", "admin", "worker", "relay", "datapath", "guard", "upstream", "datagram_log", "net",
         "config", "base", "text"]
# These folders may use libuv; the data path below them must not know the event loop.
WITH_UV = {"main.c", "client", "daemon", "admin", "worker", "upstream"}
# The client runs the daemon only for `udprelay listen`.
CLIENT_LISTEN = "src/client/listen.c"

INCLUDE = re.compile(r'\s*#\s*include\s+(["<])([^">]+)[">]')


def problems_of(root, path):
    """Yields each problem with the includes of one file, as FILE:LINE: problem."""
    relative = path.relative_to(root)
    folder = relative.parts[1]
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quote, name = match.groups()
        target = name.split("/")[0]
        where = f"{relative}:{number}"
        if quote == "<":
            if target == "uv.h" and folder not in WITH_UV:
                yield f"{where}: {folder} must not include <uv.h>"
        elif name == "build_config.h":
            continue
        elif "/" not in name or target not in ORDER:
            yield f'{where}: "{name}" does not name its folder'
        elif ORDER.index(target) < ORDER.index(folder):
            yield f"{where}: {folder} must not include {target}, which is above it"
        elif folder == "client" and target == "daemon" and str(relative) != CLIENT_LISTEN:
            yield f"{where}: only {CLIENT_LISTEN} may include daemon"
        elif target != folder and not (root / "include" / name).exists():
            yield f"{where}: {name} is private to {target}"
        elif target == folder and not ((root / "include" / name).exists() or (root / "src" / name).exists()):
            yield f"{where}: there is no {name}"


def structs_of(text):
    """Yields line number and name of each struct that the code names. A pointer to a struct is a dependency, too."""
    code = re.sub(r"/\*.*?\*/", lambda comment: "\n" * comment[0].count("\n"), text, flags=re.S)
    for number, line in enumerate(code.splitlines(), 1):
        for name in re.findall(r"\bstruct (\w+)", line):
            yield number, name


def problems(root):
    """Checks every source file and header."""
    files = sorted(path for top in ("src", "include") for path in (root / top).rglob("*.[ch]"))
    homes = {}
    for path in files:
        for name in re.findall(r"^struct (\w+) \{", path.read_text(), re.M):
            homes.setdefault(name, set()).add(path.relative_to(root).parts[1])
    for path in files:
        yield from problems_of(root, path)
        relative = path.relative_to(root)
        folder = relative.parts[1]
        for number, name in structs_of(path.read_text()):
            if name in homes and all(ORDER.index(home) < ORDER.index(folder) for home in homes[name]):
                yield f"{relative}:{number}: {folder} must not name struct {name}, which {min(homes[name])} defines"


class Layers(unittest.TestCase):
    def test_no_include_points_up(self):
        self.assertEqual(list(problems(ROOT)), [])

    def check(self, **files):
        """Returns the problems of a tree that has these files besides a header of each of two folders."""
        with tempfile.TemporaryDirectory() as directory:
            root = Path(directory)
            files = {"include/base/log.h": "struct log {\n};\n", "include/worker/worker.h": "struct worker {\n};\n",
                     "src/base/hidden.h": ""} | {name.replace("__", "/").replace("_h", ".h").replace("_c", ".c"): text
                                                for name, text in files.items()}
            for name, text in files.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
            return list(problems(root))

    def test_a_reversed_include_is_found(self):
        self.assertEqual(self.check(src__worker__worker_c='#include "base/log.h"\n'), [])
        self.assertEqual(self.check(src__base__log_c='\n#include "worker/worker.h"\n'),
                         ["src/base/log.c:2: base must not include worker, which is above it"])

    def test_a_private_header_is_found(self):
        self.assertEqual(self.check(src__worker__worker_c='#include "base/hidden.h"\n'),
                         ["src/worker/worker.c:1: base/hidden.h is private to base"])

    def test_libuv_below_the_worker_is_found(self):
        self.assertEqual(self.check(src__base__log_c="#include <uv.h>\n"),
                         ["src/base/log.c:1: base must not include <uv.h>"])

    def test_a_pointer_to_a_struct_from_above_is_found(self):
        self.assertEqual(self.check(src__base__log_c="/* struct worker */\nstruct worker;\n"),
                         ["src/base/log.c:2: base must not name struct worker, which worker defines"])

    def test_an_include_without_a_folder_is_found(self):
        self.assertEqual(self.check(src__base__log_c='#include "log.h"\n'),
                         ['src/base/log.c:1: "log.h" does not name its folder'])


if __name__ == "__main__":
    unittest.main()
