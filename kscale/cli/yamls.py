"""YAML of plain data: blocks, scalars bare where every reader takes them for text, else quoted as in JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator

#: Texts that no YAML reader takes for anything but text (a word alone may be a truth value, a number or nothing).
_BARE = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*")
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}
_ESCAPED = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def yaml_text(value: object) -> str:
    """Return one document; every key and text is what it was when it is read back."""
    return "\n".join(_lines(value, 0)) + "\n"


def _lines(value: object, depth: int) -> Iterator[str]:
    pad = "  " * depth
    if isinstance(value, dict) and value:
        for key, one in value.items():
            yield from _entry(f"{pad}{_scalar(str(key))}:", one, depth, indent=isinstance(one, dict))
    elif isinstance(value, list) and value:
        for one in value:
            if isinstance(one, (dict, list)) and one:
                first, *others = _lines(one, depth + 1)
                yield f"{pad}- {first[len(pad) + 2 :]}"
                yield from others
            else:
                yield f"{pad}- {_scalar(one)}"
    else:
        yield f"{pad}{_scalar(value)}"


def _entry(head: str, value: object, depth: int, *, indent: bool) -> Iterator[str]:
    if isinstance(value, (dict, list)) and value:
        yield head
        yield from _lines(value, depth + indent)
    else:
        yield f"{head} {_scalar(value)}"


def _scalar(value: object) -> str:
    if isinstance(value, str):
        return value if _BARE.fullmatch(value) and value.lower() not in _WORDS else _quoted(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "null"
    return json.dumps(value)


def _quoted(text: str) -> str:
    return f'"{"".join(_ESCAPED.get(c) or (c if c.isprintable() else _escape(ord(c))) for c in text)}"'


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
