"""YAML as kubectl reads it (sigs.k8s.io/yaml over go-yaml v2), document by document, as values of JSON.

PyYAML's C parser gives the events; what a plain scalar is, is decided here: ``yes`` and ``on`` are booleans, ``0777``
is octal, ``1e3`` a number, while times and sexagesimals (``12:30``) stay text.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import yaml

from kscale.errors import InputError

#: Deepest nesting that is taken; no Kubernetes object comes near.
MOST_LEVELS = 200
#: Most values and characters that the aliases of a file may stand for: this, or ten times the bytes of the file.
MOST_ALIASED = 1 << 22
# Items of a list become JSON as soon as they are whole: as values they would take ten times the memory.
_ITEM_LEVEL = 2
_TAG = "tag:yaml.org,2002:"
_WORDS: dict[str, Any] = (
    dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True)
    | dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False)
    | dict.fromkeys(("", "~", "null", "Null", "NULL"), None)
)
_INTEGER = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_NUMERIC = frozenset("+-.0123456789")
_LONGEST_NUMBER = 400
_EXACT = 1 << 53
_MERGE = object()


def documents(data: bytes | memoryview, file: str) -> Iterator[Any]:
    """Yield each document that is not empty, as dicts, lists, texts, numbers, booleans and None; items as raw JSON.

    Raises InputError where it is not YAML, is nested too deeply, or stands for far more than it says (aliases).
    """
    try:
        builder, budget = None, _Budget(max(MOST_ALIASED, 10 * len(data)))
        for event in yaml.parse(bytes(data), Loader=yaml.CSafeLoader):
            if isinstance(event, yaml.DocumentStartEvent):
                builder = _Builder(file, budget)
            elif isinstance(event, yaml.DocumentEndEvent):
                if builder is not None and builder.result is not None:
                    yield builder.result
                builder = None
            elif builder is not None:
                builder.take(event)
    except yaml.MarkedYAMLError as error:
        problem = " ".join(str(part) for part in (error.context, error.problem) if part)
        raise _refusal(f"cannot be read as YAML: {problem}", file, error.problem_mark) from None
    except (yaml.YAMLError, UnicodeError) as error:
        text = "is not UTF-8 text" if "codec" in str(error) or "UTF-8" in str(error) else f"is not YAML: {error}"
        raise InputError(text[:300], file=file, expected="YAML in UTF-8") from None


def _refusal(problem: str, file: str, mark: Any) -> InputError:
    where = f", line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
    return InputError(problem[:300], file=f"{file}{where}", expected="YAML as kubectl takes it")


@dataclass(slots=True)
class _Budget:
    """How much aliases may still stand for, in values and characters."""

    left: int


@dataclass(slots=True)
class _Level:
    """An open mapping or list. ``key`` is the key that waits for its value, ``size`` what it holds so far."""

    value: dict[str, Any] | list[Any]
    anchor: str | None
    key: Any = None
    has_key: bool = False
    size: int = 1
    merged: list[dict[str, Any]] = field(default_factory=list)


class _Builder:
    """Makes the value of one document from its events, without recursion."""

    def __init__(self, file: str, budget: _Budget) -> None:
        self.file, self._budget = file, budget
        self.result: Any = None
        self._levels: list[_Level] = []
        self._anchors: dict[str, tuple[Any, int] | None] = {}

    def take(self, event: Any) -> None:
        """Take one event of the document."""
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.MappingStartEvent):
            self._open({}, event, "map")
        elif isinstance(event, yaml.SequenceStartEvent):
            self._open([], event, "seq")
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        else:
            self._close(event)

    def _open(self, value: dict[str, Any] | list[Any], event: Any, kind: str) -> None:
        if event.tag not in (None, "!", f"{_TAG}{kind}"):
            raise _refusal(f"has the unknown tag '{event.tag[:80]}'", self.file, event.start_mark)
        if len(self._levels) >= MOST_LEVELS:
            raise _refusal(f"is nested more than {MOST_LEVELS} levels deep", self.file, event.start_mark)
        top = self._levels[-1] if self._levels else None
        if top is not None and isinstance(top.value, dict) and not top.has_key:
            raise _refusal("has a mapping or list as a key", self.file, event.start_mark)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._levels.append(_Level(value, event.anchor))

    def _close(self, event: Any) -> None:
        level = self._levels.pop()
        value = level.value
        if isinstance(value, dict):
            for merged in level.merged:
                for key, inner in merged.items():
                    value.setdefault(key, inner)
        if level.anchor is not None:
            self._anchors[level.anchor] = (value, level.size)
        elif len(self._levels) == _ITEM_LEVEL and self._levels[0].key == "items":
            self._put(msgspec.Raw(encoded(value, self.file)), level.size, event)
            return
        self._put(value, level.size, event)

    def _scalar(self, event: Any) -> None:
        text = event.value
        value = self._resolve(event)
        top = self._levels[-1] if self._levels else None
        is_key = top is not None and isinstance(top.value, dict) and not top.has_key
        if is_key and text == "<<" and event.implicit[0]:
            value = _MERGE
        size = 1 + len(text)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, size)
        self._put(value, size, event)

    def _alias(self, event: Any) -> None:
        found = self._anchors.get(event.anchor)
        if found is None:
            what = "contains itself" if event.anchor in self._anchors else "is not there"
            raise _refusal(f"the anchor '{event.anchor[:80]}' {what}", self.file, event.start_mark)
        value, size = found
        self._budget.left -= size
        if self._budget.left < 0:
            raise _refusal("has aliases that stand for far too much", self.file, event.start_mark)
        self._put(value, size, event)

    def _put(self, value: Any, size: int, event: Any) -> None:
        """Put a value where it belongs: into the open list, or as a key or a value into the open mapping."""
        if not self._levels:
            self.result = value
            return
        top = self._levels[-1]
        top.size += size
        if isinstance(top.value, list):
            top.value.append(value)
        elif not top.has_key:
            top.key, top.has_key = value if value is _MERGE else self._key(value, event), True
        else:
            if top.key is _MERGE:
                self._merge(top, value, event)
            elif top.key in top.value:
                raise _refusal(f"has the key '{top.key[:80]}' twice", self.file, event.start_mark)
            else:
                top.value[top.key] = value
            top.has_key = False

    def _merge(self, level: _Level, value: Any, event: Any) -> None:
        merged = value if isinstance(value, list) else [value]
        if not all(isinstance(one, dict) for one in merged):
            raise _refusal("merges something that is no mapping", self.file, event.start_mark)
        level.merged += merged

    def _key(self, value: Any, event: Any) -> str:
        """Return a key as text: Kubernetes reads YAML through JSON."""
        if isinstance(value, str):
            return value
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int):
            return str(value)
        if isinstance(value, float):
            return format(value, "g")
        raise _refusal("has a key that is no text", self.file, event.start_mark)

    def _resolve(self, event: Any) -> Any:
        tag, text = event.tag, event.value
        if tag is None:
            return plain(text) if event.implicit[0] else text
        if tag in ("!", f"{_TAG}str", f"{_TAG}timestamp"):
            return text
        if tag == f"{_TAG}binary":
            try:
                return base64.b64decode("".join(text.split()), validate=True).decode()
            except (binascii.Error, UnicodeError, ValueError):
                raise _refusal("has text that is not base64", self.file, event.start_mark) from None
        value = plain(text)
        kinds = {"int": int, "float": (int, float), "bool": bool, "null": type(None)}
        kind = kinds.get(tag.removeprefix(_TAG))
        if kind is None:
            raise _refusal(f"has the unknown tag '{tag[:80]}'", self.file, event.start_mark)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):  # type: ignore[arg-type]
            raise _refusal(f"'{text[:80]}' is not of the kind that its tag says", self.file, event.start_mark)
        return value


def encoded(value: Any, file: str) -> bytes:
    """Return a value as JSON. Raises InputError where JSON has no such value."""
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InputError(
            f"cannot be written as JSON: {error}"[:300], file=file, expected="a Kubernetes object"
        ) from None


def plain(text: str) -> Any:
    """Return what go-yaml v2 makes of a plain scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMERIC or len(text) > _LONGEST_NUMBER:
        return text
    bare = text.replace("_", "") if "_" in text else text
    found = _INTEGER.fullmatch(bare)
    if found:
        sign, hexadecimal, binary, octal, decimal = found.groups()
        base, digits = next(
            (base, digits)
            for base, digits in ((16, hexadecimal), (2, binary), (8, octal), (10, decimal))
            if digits is not None
        )
        value = int(digits, base) * (-1 if sign == "-" else 1)
        if -(1 << 63) <= value < 1 << 64:
            return value
    if _FLOAT.fullmatch(bare):
        number = float(bare)
        if abs(number) < _EXACT:
            return int(number) if number.is_integer() else number
        return number if abs(number) != float("inf") else text
    return text
