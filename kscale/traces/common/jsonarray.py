"""One JSON document that is an array of objects, of any length: read in pieces of whole elements.

Where an element ends is found by looking at brackets and quotes alone; the decoder then checks each piece.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np

from kscale.errors import InputError
from kscale.traces.common import files
from kscale.traces.common.checks import Checker
from kscale.traces.common.threads import ahead

Element = TypeVar("Element")
#: Bytes that are looked at in one go.
PIECE = 4 << 20
#: What the decoder raises; the last where brackets nest too deeply.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_EXPECTED = "a whole JSON array"
#: All bytes that say nothing of where an element ends.
_IDLE = bytes(set(range(256)) - set(b'"{}[],'))


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
                found, rest, some = rest[:end], rest[end + 1 :], True
                if found.isspace():
                    raise InputError("has a comma without an element", file=path, expected=_EXPECTED)
                yield b"[%b]" % found
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
    # Only brackets, commas and quotes matter, and no escaped quotes. Two quotes side by side have nothing between them
    # that counts, be they one text's or two texts': most of what is left goes with them.
    bare = data.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in data else data
    code = np.frombuffer(bare.translate(None, _IDLE).replace(b'""', b""), np.uint8)
    outside = np.cumsum(code == ord('"'), dtype=np.uint8) & 1 == 0
    # { and [ differ from } and ] in the same way: 0x7B and 0x5B open, 0x7D and 0x5D close.
    step = (((code | 0x20) == 0x7B) & outside).astype(np.int8) - (((code | 0x20) == 0x7D) & outside)
    commas = np.flatnonzero(code == ord(","))
    found = np.flatnonzero(outside[commas] & (np.cumsum(step, dtype=np.int32)[commas] == 0))
    # All commas are still there, so the place of one is that of the same one from the end.
    return _from_end(data, len(commas) - int(found[-1])) if len(found) else 0


def _from_end(data: bytes, number: int) -> int:
    """Return where the comma is that is, from the end, of this number."""
    size = 1 << 10
    while True:
        places = np.flatnonzero(np.frombuffer(data[-size:], np.uint8) == ord(","))
        if len(places) >= number:
            return max(len(data) - size, 0) + int(places[-number])
        size *= 16


def elements(check: Checker, kind: type[Element]) -> Iterator[tuple[list[int], list[Element]]]:
    """Yield the elements of the file of ``check`` as structs, with their rows, from 1.

    An element that is none is an InputError, or is left out and counted under ``lenient``.
    """
    row = 1
    for piece, found in ahead(_decoded(check.path, kind)):
        if found is not None:
            rows, count, good = list(range(row, row + len(found))), len(found), found
        else:
            count, rows, good = _one_by_one(piece, row, check, kind)
        row += count
        yield rows, good


def _decoded(path: Path, kind: type[Element]) -> Iterator[tuple[bytes, list[Element] | None]]:
    """Yield pieces of the file with their elements, None where one of these is not of the ``kind``."""
    decode = msgspec.json.Decoder(list[kind]).decode  # type: ignore[valid-type]
    for piece in pieces(path):
        try:
            with _uncollected():
                found = decode(piece)
        except _UNREADABLE:
            yield piece, None
        else:
            yield piece, found


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Keep Python from looking for cycles: a document has none, and looking takes twice as long as decoding."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


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
