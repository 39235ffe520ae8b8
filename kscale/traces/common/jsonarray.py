"""One JSON document that is an array of objects, of any length: read in pieces of whole elements.

Where an element ends is found by looking at brackets and quotes alone; the decoder then checks each piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from kscale.errors import InputError
from kscale.traces.common import files
from kscale.traces.common.checks import Checker

Element = TypeVar("Element")
#: Bytes that are looked at in one go.
PIECE = 4 << 20
#: What the decoder raises; the last where brackets nest too deeply.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_EXPECTED = "a whole JSON array"


def pieces(path: Path) -> Iterator[bytes]:
    """Yield the elements of the array in a file (also .gz), each time some of them as an array of their own.

    Raises InputError when the document is no array or is cut off.
    """
    with files.opened(path) as file:
        size = min(PIECE, files.BATCH_BYTES)
        rest = _opened(file.read(size), path)
        some = False
        while part := file.read(size):
            rest += part
            if end := _last_comma(rest):
                yield b"[%b]" % rest[:end]
                rest, some = rest[end + 1 :], True
            elif len(rest) > files.BATCH_BYTES:
                raise InputError(f"has an element of more than {files.BATCH_BYTES >> 20} MiB", file=path)
        rest = rest.rstrip()
        if not rest.endswith(b"]") or (some and not rest[:-1].strip()):
            raise InputError("is cut off", file=path, expected=_EXPECTED)
        yield b"[%b" % rest


def _opened(data: bytes, path: Path) -> bytes:
    """Return what follows the bracket that opens the array."""
    data = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not data.startswith(b"["):
        raise InputError("is no JSON array", file=path, expected=_EXPECTED)
    return data[1:]


def _last_comma(data: bytes) -> int:
    """Return where the last comma between elements is, 0 where there is none; ``data`` begins with an element."""
    code = np.frombuffer(data, np.uint8)
    quote = code == ord('"')
    if b"\\" in data:
        quote &= ~_escaped(code)
    outside = ~np.logical_xor.accumulate(quote)
    # { and [ differ from } and ] in the same way: 0x7B and 0x5B open, 0x7D and 0x5D close.
    step = (((code | 0x20) == 0x7B) & outside).astype(np.int8) - (((code | 0x20) == 0x7D) & outside)
    between = np.flatnonzero((code == ord(",")) & outside)
    depth = np.cumsum(step, dtype=np.int32)[between]
    found = between[depth == 0]
    return int(found[-1]) if len(found) else 0


def _escaped(code: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return which bytes stand behind an odd number of backslashes."""
    place = np.arange(len(code), dtype=np.int32)
    plain = np.maximum.accumulate(np.where(code != ord("\\"), place, -1))
    before = np.r_[np.int32(0), place[:-1] - plain[:-1]]
    return before % 2 == 1


def elements(check: Checker, kind: type[Element]) -> Iterator[tuple[list[int], list[Element]]]:
    """Yield the elements of the file of ``check`` as structs, with their rows, from 1.

    An element that is none is an InputError, or is left out and counted under ``lenient``.
    """
    decode = msgspec.json.Decoder(list[kind]).decode  # type: ignore[valid-type]
    row = 1
    for piece in pieces(check.path):
        try:
            found = decode(piece)
            rows = list(range(row, row + len(found)))
            row += len(found)
        except _UNREADABLE:
            count, rows, found = _one_by_one(piece, row, check, kind)
            row += count
        yield rows, found


def _one_by_one(piece: bytes, row: int, check: Checker, kind: type[Element]) -> tuple[int, list[int], list[Element]]:
    """Return how many elements a piece has, and those that are of the ``kind``, with their rows."""
    try:
        raws = msgspec.json.decode(piece, type=list[msgspec.Raw])
    except _UNREADABLE as error:
        raise InputError(f"cannot be read as JSON: {error}", file=check.path, row=row, expected=_EXPECTED) from None
    rows: list[int] = []
    found: list[Element] = []
    for number, raw in enumerate(raws, row):
        try:
            found.append(msgspec.json.decode(raw, type=kind))
            rows.append(number)
        except _UNREADABLE as error:
            if not check.options.lenient:
                problem = f"is not as it should be: {error}"
                raise InputError(problem, file=check.path, row=number, expected="an element of the format") from None
            check.dropped["element: not as it should be"] = check.dropped.get("element: not as it should be", 0) + 1
    return len(raws), rows, found
