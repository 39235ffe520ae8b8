"""What is wrong with an object, told in one line that says where: the file, the object, the field."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple, NoReturn, TypeVar

import msgspec

from kscale.errors import InputError, nearest

_PATH = re.compile(r"(.*?)(?: - at `(?:key in )?\$\.?(.*)`)?", re.DOTALL)
_TYPES = re.compile(r"Expected `(.*)`, got `(.*)`", re.DOTALL)
_WORDS = {
    "int": "a whole number",
    "str": "text",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
    "datetime": "a time",
}
_Found = TypeVar("_Found")


class Item(NamedTuple):
    """One object as it stands in the input: its file, its number there (from 1), and its JSON."""

    file: str
    number: int
    kind: str
    api_version: str
    raw: msgspec.Raw | bytes

    def refuse(self, error: InputError, name: str = "") -> NoReturn:
        """Raise ``error`` anew, saying which object it is."""
        called = " ".join(filter(None, (self.kind, name[:120])))
        raise InputError(
            error.problem,
            file=f"{self.file}, item {self.number}" + (f" ({called})" if called else ""),
            field=error.field,
            expected=error.expected,
        ) from None

    def decode(self, decode: Callable[[msgspec.Raw | bytes], _Found]) -> _Found:
        """Return what ``decode`` makes of its JSON. Raises InputError where a type is wrong."""
        try:
            return decode(self.raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            self.refuse(told(error), named(self.raw))


class _Named(msgspec.Struct):
    name: object = None
    namespace: object = None


class _Called(msgspec.Struct):
    metadata: _Named | None = None


def named(raw: msgspec.Raw | bytes) -> str:
    """Return ``namespace/name`` of an object that cannot be decoded whole, as far as it says."""
    try:
        meta = msgspec.json.decode(raw, type=_Called).metadata
    except (msgspec.DecodeError, ValueError, RecursionError):
        return ""
    return full_name(meta.namespace, meta.name) if meta is not None else ""


def full_name(namespace: object, name: object) -> str:
    """Return ``namespace/name``, or what there is of it."""
    return "/".join(part for part in (namespace, name) if isinstance(part, str) and part)


def told(error: Exception) -> InputError:
    """Return what a decoder said, in words."""
    if isinstance(error, RecursionError):
        return InputError("is nested too deeply", expected="an object as Kubernetes has them")
    found = _PATH.fullmatch(str(error))
    text, path = (found[1], found[2]) if found else (str(error), None)
    types = _TYPES.fullmatch(text)
    if types:
        return InputError(f"is {_words(types[2])}", field=path or None, expected=_words(types[1]))
    if isinstance(error, UnicodeDecodeError):
        text = "is not UTF-8 text"
    return InputError(text[:1].lower() + text[1:300], field=path or None, expected="what the API server would take")


def _words(types: str) -> str:
    kinds = [kind.strip() for kind in types.split("|")]
    kinds = [kind for kind in kinds if kind != "null"] or kinds
    return " or ".join(_WORDS.get(kind, kind) for kind in kinds)


def one_of(value: str, choices: Iterable[str], field: str) -> str:
    """Return ``value`` where it is among ``choices``. Raises InputError."""
    known = tuple(choices)
    if value not in known:
        raise InputError(
            f"'{value[:80]}' is not known{nearest(value[:80], known)}",
            field=field,
            expected=f"one of {', '.join(known)}",
        )
    return value


def need(value: _Found | None, field: str, what: str) -> _Found:
    """Return ``value`` where there is one. Raises InputError."""
    if value is None or value == "":
        raise InputError("is missing", field=field, expected=what)
    return value
