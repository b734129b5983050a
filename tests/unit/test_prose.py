"""Searches documentation, messages and comments for phrases that are hard to read. PHRASES lists them with the fix."""

import io
import re
import sys
import tempfile
import tokenize
import unittest
from pathlib import Path

ROOT = Path(sys.argv.pop(1)) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2]

# Regular expressions without regard to case, and a better wording. A blank matches any white space. START matches the
# start of a sentence, of a clause after a colon or semicolon, or of a text.
START = r"(?:\A|[.:;!?]\s)\s*"
PHRASES = [
    # Persons who stand for programs, hosts and data.
    (r"(?<!=\s)(?<!user\s)\bnobody(?!:)\b", "no program, no client, no socket; or say what happens"),
    (r"\b(anybody|everybody|somebody|no one)\b", "any host, every client, a program"),
    (r"\b(whoever|whichever)\b", "a client that, any host that"),
    (r"\bwhom\b", "name it: the client, the peer"),
    (r"\bwhence\b", "where ... from; or name the source"),
    (r"\bwhatever\b", "any, all, regardless of"),
    (r"\bwho (is|was|are|were|has|had|comes|came|sends|sent|wrote|asks|reads)\b", "a client that, the sender that"),
    (r"\b(tell|tells|told|telling)\b", "report, log, show, print; or distinguish"),
    (r"\b(say|says|said|know|knows|speaks) (nothing |everything |something )?of\b", "about; or reports"),
    (r"\b(hear|hears|heard)\b", "receive"),
    (r"\b(anothers|ours|theirs|another's|everybody's)\b", "name the owner and the thing"),
    (r"\bwants\b", "needs, requests, expects"),
    (r"\b(forget|forgets|forgotten)\b", "evict, remove, discard"),
    (r"\b(fare|fares|fared)\b", "say what happens"),
    (r"\b(misled|misleads)\b", "misdelivered"),
    (r"\bbooks\b", "counters"),
    (r"\b(rests|resting)\b", "is ejected, is not used"),
    (r"\bbears?\b", "handles, accepts"),
    (r"\bminded\b", "counted, checked"),
    (r"\bstand(s|ing)? still\b", "is blocked, does not respond"),
    (r"\bhanded to\b", "passed to"),
    (r"\b(had (its|their) time|in hand|at a loss|to blame)\b", "say what happens"),
    (r"\bin vain\b", "without success, but failed"),
    # Sentences that start with a relative clause, a genitive or an inversion.
    (START + r"(what|who|whose|which|where)\b(?! (to|can) \w+)(?![^.:;]*\?)", "start with the subject"),
    (r"\bwhat (is|was|are|were|comes|came|goes|went|waits|remains|follows|stays|has|had|does|did|it has|looks)\b",
     "name the thing: the address, the datagrams"),
    (r"\b(become|becomes|became) of\b", "happens to, the result of"),
    (START + r"of (a|an|the|each|all|many|several|two|these|those|its|it|them)\b", "start with the subject"),
    (START + r"(should|were|had) (a|an|the|it|they|this|that|both|no|one)\b(?![^.:;]*\?)", "if"),
    (START + r"nothing (of|that|is|was|but)\b", "start with the subject and negate the verb"),
    (START + r"(not|never|only|nor) (is|are|was|does|do|did|has|have|can|must)\b", "start with the subject"),
    (r"\b(with|without|after|before) which\b", "make two sentences"),
    (r"(?<!there\s)\b(is|are|was|were) no (?!longer\b|more\b|less\b|such\b|different\b)\w+", "is not a"),
    (r"\b(is|are|was|were) to (be|have|go|come|stay|run|get|give|take)\b", "must, will; or the present tense"),
    # Old or private idioms.
    (r"\bso many\b", "this number of, N"),
    (r"\bany ?more\b", "no longer"),
    (r"\b(amid|amidst|in the midst)\b", "during, in the middle of"),
    (r"\blest\b", "so that ... not"),
    (r"\bat all events\b", "in any case"),
    (r"\banew\b", "again"),
    (r"\b(goes|go|went|going) on\b(?! (top|the|a|an|its|each)\b)", "continue"),
    (r"\bof (its|their|one's|his) own\b", "own, separate, private"),
    (r"\bof (no )?use\b", "useful, used"),
    (r"\bthird way\b", "either ... or"),
    (r"\bone before\b", "the previous one"),
    (r"\bto be had\b", "available"),
    (r"\bfor good\b", "permanently"),
    (r"\ball the same\b", "still"),
    (r"\bin force\b", "active"),
    (r"\b(no matter|as it were)\b", "leave it out"),
    (r"\bbut for\b|\bnone but\b", "except"),
    (r"\bnothing but\b", "only"),
    (r"\bbeside\b", "next to, with, in addition to"),
    (r"\b(stand|stands|stood|standing)\b(?! (for|still)\b)", "is, appears"),
    (r"\b(goes|go|going|went) round\b", "loops, circulates"),
    (r"\bunder way\b", "outstanding, in progress"),
    (r"\b(remedy|remedies)\b", "fix"),
    (r"\bclothes\b", "form"),
    (r"\bdoubled\b", "duplicated"),
    (r"\bovertak(en|es|e|ing)\b", "reordered, out of order"),
    (r"(\b(datagrams|packets|requests|records|lines|times|once|sent|N|\d+)|%\S*) an? (second|minute)\b", "per second"),
    (r"\bas \S+ (has|would have) it\b", "as in"),
]
PHRASES = [(re.compile(phrase.replace(" ", r"\s+"), re.I), fix) for phrase, fix in PHRASES]

# Path, text of the hit, reason.
EXCEPTIONS = [
    ("src/client/listen.c", "nobody", "the name of a user"),
    ("src/config/setters.c", "nobody", "the name of a user"),
]


class Chunk:
    """A text without its surrounding syntax. It keeps all line breaks, so that a hit has a line."""

    def __init__(self, line, text):
        self.line = line
        self.text = text

    def hits(self):
        """Yields line, phrase and fix. Of overlapping hits, only the first one counts."""
        found = sorted((match.end() - len(match[0].lstrip(".:;!? \t\n")), match.end(), fix)
                       for phrase, fix in PHRASES for match in phrase.finditer(self.text))
        end = 0
        for start, stop, fix in found:
            if start >= end:
                yield self.line + self.text.count("\n", 0, start), " ".join(self.text[start:stop].split()), fix
                end = stop


TOKEN = re.compile(r"""//[^\n]* | /\*.*?\*/ | "(?:\\.|[^"\\\n])*"(?:\s*(?:PRI\w+\s*)?"(?:\\.|[^"\\\n])*")*
                       | '(?:\\.|[^'\\\n])*'""", re.S | re.X)


def c_tokens(text):
    """Yields line and text of each comment and of each group of adjacent string literals."""
    for match in TOKEN.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, match[0]


def c_comments(text):
    for line, token in c_tokens(text):
        if token.startswith("/"):
            yield Chunk(line, re.sub(r"\n\s*\*", "\n", token.removesuffix("*/").lstrip("/*")))


def c_strings(text):
    for line, token in c_tokens(text):
        if token.startswith('"'):
            token = re.sub(r'"(\s*)(?:PRI\w+(\s*))?"', r"\1\2", token[1:-1])
            yield Chunk(line, token.replace(r"\n", "  "))


def c_test_names(text):
    for match in re.finditer(r"^static void test_(\w+)\(", text, re.M):
        yield Chunk(text.count("\n", 0, match.start()) + 1, match[1].replace("_", " "))


def python_test_names(text):
    for match in re.finditer(r"^\s*def test_(\w+)\(", text, re.M):
        yield Chunk(text.count("\n", 0, match.start(1)) + 1, match[1].replace("_", " "))


def python_comments(text):
    """Yields comments and docstrings; a docstring is a string at the start of a statement."""
    block, last = [], None
    previous = tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            if block and token.start[0] != last + 1:
                yield Chunk(block[0][0], "\n".join(line for _, line in block))
                block = []
            last = token.start[0]
            block.append((last, token.string.lstrip("#! ")))
        elif token.type == tokenize.STRING and previous in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT):
            yield Chunk(token.start[0], token.string.strip("\"'"))
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            previous = token.type
    if block:
        yield Chunk(block[0][0], "\n".join(line for _, line in block))


def hash_comments(text):
    """Yields blocks of whole-line comments (INI, meson, shell, units), and comments behind code."""
    for match in re.finditer(r"(?:^[ \t]*[#;][^\n]*\n?)+", text, re.M):
        yield Chunk(text.count("\n", 0, match.start()) + 1, re.sub(r"^\s*?[#;!]+", "", match[0], flags=re.M))
    for match in re.finditer(r"^[^\n#;'\"]*\S[^\n#;'\"]*[ \t]#([^\n]*)", text, re.M):
        yield Chunk(text.count("\n", 0, match.start()) + 1, match[1])


def descriptions(text):
    """Yields the values that people read in a unit or in a list of options."""
    for match in re.finditer(r"^(?:Description|.*description)\s*[=:]\s*([^\n]*)", text, re.M):
        yield Chunk(text.count("\n", 0, match.start()) + 1, match[1].strip("\"' "))


def markdown(text):
    """Yields the paragraphs. A heading, an item and a table cell are paragraphs, too."""
    for match in re.finditer(r"(?:(?!^\s*(?:[-*#]|\d+\.)\s)[^\n|]|(?!\n\s*(?:[-*#|]|\d+\.)|\n\s*\n)\n|^\s*(?:[-*#]+|\d+\.)\s)+",
                             text, re.M):
        lead = re.match(r"[\s#*-]*(?:\d+\.\s)?", match[0])[0]
        yield Chunk(text.count("\n", 0, match.start()) + lead.count("\n") + 1, match[0][len(lead):])


def manual(text):
    """Yields the paragraphs of a page in mdoc. Macros that only mark words up are left out."""
    line, block = 1, []
    for number, source in enumerate(text.splitlines() + [".Pp"], 1):
        source = source.replace(r"\&", "").replace(r"\-", "-")
        if re.match(r'\.\s*(Pp|Sh|Ss|It|Bl|El|Bd|Ed|Nd|D[l1]|\\")', source):
            if block:
                yield Chunk(line, "\n".join(block))
            rest = re.sub(r'^\.\s*(\\"|\w+)\s*', "", source)
            line, block = number, [rest] if re.match(r'\.(Nd|\\")', source) else []
            if not block:
                line += 1
        else:
            source = re.sub(r"^\.\s*[A-Z][a-z]\b\s*", "", source)
            block.append(re.sub(r"\b(Ic|Cm|Ar|Ns|Sq|Ql|Xr|Pa|Va|Li|Fl|No) ", "", source))


# Group, globs, and the readers of these files. A file may be in several groups.
GROUPS = [
    ("readme", ["README.md", "conf/NEWS", "src/README.md", "tests/README.md", "tests/bench/README.md"], [markdown]),
    ("manuals", ["conf/man/*.in"], [manual]),
    ("setup", ["conf/*.ini", "conf/examples/*.ini", "conf/logrotate/*", "conf/completion/*", "conf/meson.build",
               "systemd/*", "meson.build", "meson_options.txt", "src/**/meson.build", "tests/**/meson.build", ".ci/*"],
     [hash_comments, descriptions]),
    ("messages", ["src/**/*.[ch]"], [c_strings]),
    ("comments", ["src/**/*.[ch]", "include/**/*.[ch]"], [c_comments]),
    ("tests", ["tests/**/*.[ch]"], [c_comments, c_test_names]),
    ("tests", ["tests/**/*.py"], [python_comments, python_test_names]),
]


def files_of(root, globs):
    return sorted({path for glob in globs for path in root.glob(glob) if path.is_file()})


def problems(root, group, exceptions=()):
    """Yields FILE:LINE, the phrase and the fix for each hit in a group of files."""
    for name, globs, readers in GROUPS:
        if name != group:
            continue
        for path in files_of(root, globs):
            relative = str(path.relative_to(root))
            text = path.read_text()
            for line, found, fix in sorted(hit for read in readers for chunk in read(text) for hit in chunk.hits()):
                if not any(relative == file and found == phrase for file, phrase, _ in exceptions):
                    yield f"{relative}:{line}: `{found}`: write: {fix}"


class Prose(unittest.TestCase):
    maxDiff = None

    def check(self, group):
        found = list(problems(ROOT, group, EXCEPTIONS))
        if found:
            self.fail("\n".join([f"{len(found)} phrases that are hard to read:", *found]))

    def test_readme(self):
        self.check("readme")

    def test_manuals(self):
        self.check("manuals")

    def test_setup(self):
        self.check("setup")

    def test_messages(self):
        self.check("messages")

    def test_comments(self):
        self.check("comments")

    def test_tests(self):
        self.check("tests")

    def test_every_exception_is_needed(self):
        hits = [problem for group in dict.fromkeys(name for name, _, _ in GROUPS) for problem in problems(ROOT, group)]
        for file, phrase, _ in EXCEPTIONS:
            self.assertTrue(any(hit.startswith(file + ":") and f"`{phrase}`" in hit for hit in hits), (file, phrase))

    def test_every_glob_finds_files(self):
        for _, globs, _ in GROUPS:
            for glob in globs:
                if glob not in ("NEWS*", "tests/bench/README.md"):
                    self.assertTrue(files_of(ROOT, [glob]), glob)


class Search(unittest.TestCase):
    """Plants phrases in each kind of file, and expects each to be found in its line."""

    def check(self, group, name, text, *expected):
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            found = [problem.split(": write: ")[0] for problem in problems(Path(directory), group)]
            self.assertEqual(found, [f"{name}:{place}" for place in expected])

    def test_a_phrase_in_the_readme(self):
        self.check("readme", "README.md", "# Title\n\nPlain text\nwith so\nmany clients.\n\n## What is new\n\n"
                   "- Nobody\n- reads\n\n| key | told |\n|---|---|\n",
                   "4: `so many`", "7: `What`", "9: `Nobody`", "12: `told`")

    def test_a_phrase_in_a_manual(self):
        self.check("manuals", "conf/man/x.1.in", '.\\" nobody\n.Sh NAME\n.Nd says what is heard\n.Pp\nA\n.Ic key\nis\nfor\n'
                   '.Em good .\nIt goes\non.\n.It Ic told\nWhat is it?\nIt stands.\n',
                   "1: `nobody`", "3: `heard`", "3: `what is`", "8: `for good`", "10: `goes on`", "13: `What is`",
                   "14: `stands`")

    def test_a_phrase_in_an_example_or_a_unit(self):
        self.check("setup", "conf/x.ini", "# Nobody\n# reads, lest\n[a]\nuser = nobody # any more\n; what is\n",
                   "1: `Nobody`", "2: `lest`", "4: `any more`", "5: `what`")
        self.check("setup", "systemd/x.service.in", "[Unit]\nDescription=Tells of datagrams\nUser=nobody\n", "2: `Tells`")
        self.check("setup", "meson.build", "x = 1\n# Whoever\n", "2: `Whoever`")
        self.check("setup", ".ci/run", "#!/bin/sh\n# whence\necho nobody\n", "2: `whence`")

    def test_a_phrase_in_a_message(self):
        self.check("messages", "src/a/b.c", '/* nobody */\n#include "nobody.h"\nf("so "\n  "many");\ng("%" PRIu64 " a second");\n'
                   'h("is no name", \'"\', "\\"told\\"");\n', "2: `nobody`", "3: `so many`", "5: `% a second`", "6: `is no name`",
                   "6: `told`")

    def test_a_phrase_in_a_comment(self):
        self.check("comments", "src/a/b.c", 'f("nobody");\n/* What is so\n * many. */\nint a; // told\n',
                   "2: `What`", "2: `so many`", "4: `told`")
        self.check("comments", "include/a/b.h", "/* whoever */\n", "1: `whoever`")

    def test_a_phrase_in_a_test(self):
        self.check("tests", "tests/unit/test_a.c", '/* nobody */\nstatic void test_what_waits(void **state)\n{ f("told"); }\n',
                   "1: `nobody`", "2: `what`")
        self.check("tests", "tests/x/test_a.py", '"""A test.\n\nNobody."""\n# so\n# many\ndef test_who_is_told(self):\n'
                   '    """Tells."""\n    x = "nobody"  # lest\n',
                   "3: `Nobody`", "4: `so many`", "6: `told`", "6: `who`", "7: `Tells`", "8: `lest`")


if __name__ == "__main__":
    unittest.main()
