"""Compares the codec, the converter and the escapes with Python, over random and exhaustive bytes."""
import itertools
import json
import os
import random
import re
import subprocess
import unicodedata
import unittest

ENCODINGS = ["utf-8", "gbk", "gb18030", "big5", "shift_jis", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "ascii"]
ERRORS = ["strict", "replace", "ignore", "backslashreplace"]
CASES = int(os.environ.get("CODEC_CASES", "400"))
SEED = int(os.environ.get("CODEC_SEED", "20261123"))
SAMPLE = ("Hello, 你好, 世界。 こんにちは カタカナ Привет äöüß “quotes” — €100 한국어 𝄞 𠀀 \\ ~ \t\r\n 碁銹裏 "
          "﹏ ・ • ‧ ￥ ¥ ¢ £ ⁄ ∕ ﹨ ㈱ ①②③ ⅰⅱⅲ ︐︒ ḿ �")


class Codec:
    """Runs the program codec_cli, whose path is in CODEC_CLI."""

    def __init__(self):
        self.child = subprocess.Popen([os.environ["CODEC_CLI"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, request, payload):
        self.child.stdin.write(f"{request} {len(payload)}\n".encode() + payload)
        self.child.stdin.flush()
        first, size = self.child.stdout.readline().decode().split()
        return first, self.child.stdout.read(int(size))

    def decode(self, encodings, errors, payload, cut=False):
        name, text = self.ask(f"decode {encodings} {errors} {int(cut)}", payload)
        return name, text.decode("utf-8", "surrogatepass")

    def convert(self, source, target, errors, payload):
        result, output = self.ask(f"convert {source} {target} {errors}", payload)
        return int(result), output

    def escape(self, kind, text):
        return self.ask(kind, text.encode("utf-8", "surrogatepass"))[1].decode("utf-8")

    def close(self):
        self.child.stdin.close()
        self.child.wait(10)
        self.child.stdout.close()


def escape_undecoded_bytes(text):
    """Replaces the lone surrogate of each byte that did not decode by its \\xNN, like Python's backslashreplace."""
    return re.sub("[\udc00-\udcff]", lambda m: f"\\x{ord(m[0]) & 0xff:02x}", text)


def mutate(rng, data):
    data = bytearray(data)
    for _ in range(rng.randrange(4)):
        if data:
            what, at = rng.randrange(3), rng.randrange(len(data))
            if what == 0:
                data[at] = rng.randrange(256)
            elif what == 1:
                del data[at]
            else:
                data.insert(at, rng.randrange(256))
    return bytes(data)


def payloads(rng, encoding, count):
    for i in range(count):
        if i % 3 == 0:
            yield rng.randbytes(rng.randrange(40))
        else:
            text = "".join(rng.choices(SAMPLE, k=rng.randrange(1, 20)))
            data = mutate(rng, text.encode(encoding, "ignore"))
            yield data[: rng.randrange(len(data) + 1)] if i % 3 == 1 else data


class CodecTest(unittest.TestCase):
    def setUp(self):
        self.codec = Codec()
        self.addCleanup(self.codec.close)
        self.rng = random.Random(SEED)

    def assert_decodes_like_python(self, encoding, errors, data):
        name, text = self.codec.decode(encoding, errors, data)
        context = f"{encoding} {errors} {data.hex()} (seed {SEED})"
        try:
            expected = data.decode(encoding, errors)
        except UnicodeDecodeError:
            self.assertEqual((name, text), ("hex", data.hex()), context)
            return
        self.assertEqual(name, encoding, context)
        self.assertEqual(escape_undecoded_bytes(text), expected, context)

    def test_random_bytes(self):
        """The error handlers do the same as in Python with random, damaged and truncated text."""
        for encoding in ENCODINGS:
            for data in payloads(self.rng, encoding, CASES):
                for errors in ERRORS:
                    self.assert_decodes_like_python(encoding, errors, data)

    def test_every_code_of_two_bytes(self):
        """All 65,536 pairs of bytes."""
        for encoding in ["gbk", "gb18030", "big5", "shift_jis", "latin-1", "ascii"]:
            for lead in range(256):
                data = b"".join(bytes([lead, trail]) + b"\n" for trail in range(256))
                for errors in ERRORS[1:]:
                    self.assert_decodes_like_python(encoding, errors, data)

    def test_every_code_of_four_bytes(self):
        """All four-byte codes of GB18030, including undefined ones."""
        for lead, second in itertools.product(range(0x81, 0xff), range(0x30, 0x3a)):
            data = b"".join(bytes([lead, second, third, fourth]) + b"\n"
                            for third in range(0x81, 0xff) for fourth in range(0x30, 0x3a))
            self.assert_decodes_like_python("gb18030", "backslashreplace", data)

    def test_malformed_sequences(self):
        """All sequences of bytes or UTF-16 units next to the limits of ranges. Checks the number of errors in each."""
        limits = bytes.fromhex("41 7f 80 8f 90 9f a0 bf c0 c1 c2 df e0 e1 ec ed ee ef f0 f1 f3 f4 f5 ff")
        units = [0x41, 0xd7ff, 0xd800, 0xdbff, 0xdc00, 0xdfff, 0xe000, 0xfeff, 0xfffe]
        for start in itertools.product(limits, repeat=2):
            data = b"".join(bytes(start + rest) + b"\n" for rest in itertools.product(limits, repeat=2))
            self.assert_decodes_like_python("utf-8", "replace", data)
        for sequence in itertools.product(limits, repeat=3):
            self.assert_decodes_like_python("utf-8", "replace", bytes(sequence))
        for sequence in itertools.product(units, repeat=3):
            data = b"".join(unit.to_bytes(2, "little") for unit in sequence)
            for encoding, length in itertools.product(["utf-16", "utf-16-le", "utf-16-be"], (3, 4, 5, 6)):
                self.assert_decodes_like_python(encoding, "backslashreplace", data[:length])

    def test_first_strict_encoding(self):
        """The first encoding that decodes strictly is used; if there is none, the first one with the error handler."""
        self.assertEqual(self.codec.decode("utf-8,gbk", "strict", "你好".encode("gbk")), ("gbk", "你好"))
        self.assertEqual(self.codec.decode("utf-8,gbk", "strict", "你好".encode()), ("utf-8", "你好"))
        self.assertEqual(self.codec.decode("utf-8,gbk", "replace", b"a\xff"), ("utf-8", "a\ufffd"))
        self.assertEqual(self.codec.decode("utf-8,hex", "strict", b"a\xff"), ("hex", "61ff"))

    def test_truncated_payload(self):
        """An incomplete character at the end of a truncated payload is left out and is not an error."""
        for encoding in ["utf-8", "gbk", "gb18030", "big5", "shift_jis", "utf-16-le"]:
            for sample in ["abc你", "ab𠀀" if encoding in ("utf-8", "gb18030", "utf-16-le") else "ab好"]:
                if encoding == "shift_jis":
                    sample = sample.replace("你", "日").replace("好", "本")
                data = sample.encode(encoding)
                last = len(sample[-1].encode(encoding))
                for cut in range(1, last):
                    part = data[:-cut]
                    name, text = self.codec.decode(encoding, "strict", part, cut=True)
                    self.assertEqual((name, text), (encoding, sample[:-1]), part.hex())

    def test_text_escape_can_be_undone(self):
        """Undoing the escapes returns the bytes of the payload. Every escaped text is printable."""
        for _ in range(CASES * 2):
            data = mutate(self.rng, "".join(self.rng.choices(SAMPLE + "\u202e\u2028\x00\x1b\ufeff\"", k=20)).encode())
            text = self.codec.decode("utf-8", "backslashreplace", data)[1]
            line = self.codec.escape("text", text)
            self.assert_printable(line)
            self.assertEqual(unescape(line), data)

    def test_json_is_what_python_decodes(self):
        """json.loads returns what Python decodes, with every error handler."""
        for errors in ERRORS[1:]:
            for data in payloads(self.rng, "utf-8", CASES):
                text = self.codec.decode("utf-8", errors, data)[1]
                line = self.codec.escape("json", text)
                self.assert_printable(line)
                self.assertEqual(json.loads(f'"{line}"'), data.decode("utf-8", errors))

    def assert_printable(self, line):
        for c in line:
            self.assertNotIn(unicodedata.category(c), ("Cc", "Cf", "Zl", "Zp", "Cs"), repr(line))
            self.assertNotIn(unicodedata.bidirectional(c), ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"))


class ConverterTest(unittest.TestCase):
    PAIRS = [("gbk", "utf-8"), ("utf-8", "gbk"), ("utf-8", "latin-1"), ("big5", "utf-8"), ("utf-8", "big5"),
             ("utf-8", "ascii"), ("utf-8", "shift_jis"), ("shift_jis", "gb18030"), ("utf-16", "utf-8"),
             ("utf-8", "utf-16"), ("gb18030", "utf-16-be"), ("latin-1", "utf-8")]

    def setUp(self):
        self.codec = Codec()
        self.addCleanup(self.codec.close)
        self.rng = random.Random(SEED)

    def assert_converts_like_python(self, source, target, errors, data):
        context = f"{source} {target} {errors} {data.hex()} (seed {SEED})"
        result, output = self.codec.convert(source, target, errors, data)
        try:
            expected = data.decode(source, errors).encode(target, errors)
        except UnicodeError:
            self.assertLess(result, 0, context)
            return
        self.assertEqual(output, expected, context)

    def test_random_bytes(self):
        """The result equals data.decode(source, errors).encode(target, errors)."""
        for source, target in self.PAIRS:
            for data in payloads(self.rng, source, CASES):
                for errors in ERRORS:
                    self.assert_converts_like_python(source, target, errors, data)

    def test_every_character(self):
        """All characters, in each charset with overrides, in latin-1 and in ascii."""
        for start in range(0, 0x110000, 4096):
            text = "".join(chr(c) for c in range(start, start + 4096) if not 0xd800 <= c < 0xe000)
            for target in ["gbk", "gb18030", "big5", "shift_jis", "latin-1", "ascii"]:
                if start < 0x30000 or target == "gb18030":
                    self.assert_converts_like_python("utf-8", target, "backslashreplace", text.encode())


def unescape(line):
    """Undoes the escapes of escape_text() and returns the bytes of a UTF-8 payload."""
    simple = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}
    out, i = bytearray(), 0
    while i < len(line):
        if line[i] != "\\":
            out += line[i].encode()
            i += 1
        elif line[i + 1] == "x":
            out.append(int(line[i + 2:i + 4], 16))
            i += 4
        elif line[i + 1] in "uU":
            digits = 4 if line[i + 1] == "u" else 8
            out += chr(int(line[i + 2:i + 2 + digits], 16)).encode()
            i += 2 + digits
        else:
            out += simple[line[i + 1]].encode()
            i += 2
    return bytes(out)


if __name__ == "__main__":
    unittest.main()
