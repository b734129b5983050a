"""Decodes the escapes of a record."""
import re

ESCAPE = re.compile(r'\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))')
SHORT = {"n": b"\n", "r": b"\r", "t": b"\t", '"': b'"', "\\": b"\\"}


def unescape(text, encoding="utf-8"):
    """Returns the original bytes of a payload in a text record."""
    out, at = bytearray(), 0
    for match in ESCAPE.finditer(text):
        byte, small, large, short = match.groups()
        out += text[at:match.start()].encode(encoding)
        if byte:
            out.append(int(byte, 16))
        else:
            out += SHORT[short] if short else chr(int(small or large, 16)).encode(encoding)
        at = match.end()
    return bytes(out + text[at:].encode(encoding))
