"""Reads Kubernetes objects from files, folders and stdin: JSON or YAML, lists or one by one, packed or not."""

from __future__ import annotations

import codecs
import contextlib
import errno
import gzip
import io
import os
import re
import stat
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

import msgspec

from kscale.errors import InputError, MachineError, one_line
from kscale.state.manifests.faults import Item, told
from kscale.state.manifests.models import Head, Title
from kscale.state.manifests.yamls import documents, encoded

#: What is read from a folder; each may be packed (``.gz``).
SUFFIXES = (".json", ".yaml", ".yml")
STDIN = "-"
_GZIP = b"\x1f\x8b"
#: A file that unpacks to more than this many times its size is refused; below ``_SMALL`` the ratio says nothing.
_RATIO = 1000
_SMALL = 1 << 20
_PART = 1 << 20
_MOST_LISTS = 4
_TRAILING = re.compile(r".*trailing characters \(byte (\d+)\)")
_BLANK = re.compile(rb"(?:[ \t\r\n]|---[ \t\r]*(?=\n|\Z))*")
# How objects begin as kubectl writes them: kind and version are known without looking further.
_BEGINS = re.compile(rb'\s*\{\s*"apiVersion"\s*:\s*"([\w./-]+)"\s*,\s*"kind"\s*:\s*"(\w+)"')
_REFUSALS = {
    getattr(errno, name)
    for name in ("EACCES", "EPERM", "EIO", "EMFILE", "ENFILE", "ENOMEM", "ENOSPC", "EROFS", "EDQUOT", "ESTALE")
    if hasattr(errno, name)
}
_head = msgspec.json.Decoder(Head).decode
_array = msgspec.json.Decoder(list[msgspec.Raw]).decode


@dataclass(frozen=True)
class ReadOptions:
    """What may be said about reading. ``max_input``: most bytes of a file, unpacked."""

    max_input: int = 2 << 30


def read_objects(paths: Sequence[str | Path], options: ReadOptions, inputs: list[str] | None = None) -> Iterator[Item]:
    """Yield the objects of all files in order; of a folder, its JSON and YAML files by name; of ``-``, stdin.

    The files are added to ``inputs`` as they are read. Raises InputError and MachineError.
    """
    for file, text in read_texts(paths, options, inputs):
        yield from objects_of(text, file)


def read_texts(
    paths: Sequence[str | Path], options: ReadOptions, inputs: list[str] | None = None
) -> Iterator[tuple[str, memoryview]]:
    """Yield the name and the text of all files in order, unpacked, as ``read_objects`` reads them."""
    if isinstance(paths, (str, Path)):
        paths = [paths]
    for path in paths:
        for file in _files(path):
            if inputs is not None:
                inputs.append(str(file))
            yield str(file), _text(_bytes(file, options), str(file))


@contextlib.contextmanager
def _readable(file: str | Path) -> Iterator[None]:
    """Turn what the machine refuses into a MachineError, and what is damaged into an InputError."""
    try:
        yield
    except MemoryError as error:
        raise MachineError("out of memory") from error
    except (FileNotFoundError, NotADirectoryError):
        raise InputError("does not exist", file=file, expected="a file or folder of Kubernetes objects") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        text = one_line(str(error), 200)
        raise InputError(f"cannot be read as gzip: {text}", file=file, expected="a whole gzip file") from None
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in _REFUSALS:
            raise MachineError(f"{one_line(str(file), 200)}: {os.strerror(error.errno or 0)}") from error
        raise InputError(f"cannot be opened: {error}", file=str(file)[:200], expected="a file or folder") from None


def _files(path: str | Path) -> list[Path | str]:
    if str(path) == STDIN:
        return [STDIN]
    with _readable(path):
        if not Path(path).is_dir():
            return [Path(path)]
        found: list[Path | str] = []
        for folder, folders, names in os.walk(path, onerror=_raise):
            folders.sort()
            found += (Path(folder, name) for name in names if name.removesuffix(".gz").endswith(SUFFIXES))
    if not found:
        raise InputError("has no files of objects", file=path, expected=f"files that end in {', '.join(SUFFIXES)}")
    return sorted(found)


def _raise(error: OSError) -> None:
    raise error


def _bytes(file: Path | str, options: ReadOptions) -> bytes | bytearray:
    """Return all bytes of a file, unpacked, at most ``max_input`` and at most 1000 times its size."""
    with _readable(file):
        if isinstance(file, str):
            if sys.stdin is None:
                raise InputError("is closed", file=file, expected="objects on standard input")
            return _unpacked(sys.stdin.buffer, file, options)
        with file.open("rb") as opened:
            found = os.fstat(opened.fileno())
            if not stat.S_ISREG(found.st_mode) and not stat.S_ISFIFO(found.st_mode):
                raise InputError("is neither a file nor a pipe", file=file, expected="a file or folder")
            if found.st_size > options.max_input:
                raise _too_large(file, options)
            return _unpacked(opened, str(file), options, found.st_size)


def _too_large(file: str | Path, options: ReadOptions) -> InputError:
    return InputError(
        f"is larger than {options.max_input:,} bytes", file=file, expected="less, or a larger --max-input"
    )


def _unpacked(opened: IO[bytes], file: str, options: ReadOptions, size: int = 0) -> bytes | bytearray:
    data = opened.read(size) if size else _all(opened, file, options)
    if data[:2] != _GZIP:
        return data
    unpacked = bytearray()
    reader = gzip.GzipFile(fileobj=io.BytesIO(data))
    while part := reader.read(_PART):
        unpacked += part
        if len(unpacked) > options.max_input:
            raise _too_large(file, options)
        if len(unpacked) > max(_SMALL, _RATIO * len(data)):
            raise InputError(f"unpacks to more than {_RATIO} times its size", file=file, expected="honest data")
    return unpacked


def _all(opened: IO[bytes], file: str, options: ReadOptions) -> bytearray:
    data = bytearray()
    while part := opened.read(_PART):
        data += part
        if len(data) > options.max_input:
            raise _too_large(file, options)
    return data


def _text(data: bytes | bytearray, file: str) -> memoryview:
    """Return UTF-8 text without its mark; UTF-16 with a mark is what PowerShell writes."""
    head = bytes(data[:4])
    if head in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE):
        raise InputError("is UTF-32 text", file=file, expected="UTF-8")
    if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        try:
            return memoryview(data.decode("utf-16").encode())
        except UnicodeError:
            raise InputError("is not UTF-16 text, as it says", file=file, expected="UTF-8") from None
    view = memoryview(data)
    _check_utf8(view, file)
    return view[3:] if head[:3] == codecs.BOM_UTF8 else view


def _check_utf8(view: memoryview, file: str) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(view), _PART):
        part = bytes(view[start : start + _PART])
        last = start + _PART >= len(view)
        if part.isascii() and not last and not decoder.getstate()[0]:
            continue
        try:
            decoder.decode(part, last)
        except UnicodeDecodeError as error:
            near = max(0, start + error.start)
            raise InputError(f"is not UTF-8 text (near byte {near:,})", file=file, expected="UTF-8") from None


def objects_of(data: memoryview, file: str) -> Iterator[Item]:
    """Yield the objects of a text, numbered from 1: JSON where it starts with a brace, else YAML."""
    start = _BLANK.match(data)
    first = bytes(data[start.end() : start.end() + 1]) if start else b""
    counter = _Counter(file)
    if first in (b"{", b"["):
        yield from _json(data, file, counter)
        return
    for found in documents(data, file):
        many = found if isinstance(found, list) else [found]
        for one in many:
            yield from counter.objects(encoded(one, file))


def _json(data: memoryview, file: str, counter: _Counter) -> Iterator[Item]:
    """Yield the objects of JSON texts one after another."""
    position = 0
    while True:
        blank = _BLANK.match(data, position)
        position = blank.end() if blank else position
        if position >= len(data):
            return
        text = data[position:]
        if text[:1] == b"[":
            text = text[: _end(text, file, position)]
            for one in _array(text):
                yield from counter.objects(one)
        else:
            try:
                head = _head(text)
            except (msgspec.DecodeError, RecursionError, ValueError):
                text = text[: _end(text, file, position)]
                head = None
            yield from counter.objects(text, head=head)
        position += len(text)


def _end(data: memoryview, file: str, start: int) -> int:
    """Return where the JSON text at the start of ``data`` ends. Raises InputError where it is none."""
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
        return len(data)
    except RecursionError:
        raise InputError("is nested too deeply", file=file, expected="objects as Kubernetes has them") from None
    except msgspec.DecodeError as error:
        trailing = _TRAILING.fullmatch(str(error))
        if trailing:  # it names the byte after the first that is too much
            return int(trailing[1]) - 1
        problem = str(error).replace("JSON is malformed: ", "").replace("Input data", "input data")
        at = re.search(r" \(byte (\d+)\)", problem)
        if at:
            problem = problem.replace(at[0], f" (byte {start + int(at[1]):,})")
        raise InputError(f"cannot be read as JSON: {problem}"[:300], file=file, expected="whole JSON") from None


def _title(raw: Any) -> str:
    with contextlib.suppress(msgspec.DecodeError, RecursionError, ValueError):
        return msgspec.json.decode(raw, type=Title).kind or ""
    return ""


class _Counter:
    """Numbers the objects of a file, and takes lists apart."""

    def __init__(self, file: str) -> None:
        self.file, self.number = file, 0

    def objects(
        self, raw: Any, kind: str = "", version: str = "", depth: int = 0, head: Head | None = None
    ) -> Iterator[Item]:
        """Yield the object, or the objects of a list; ``kind`` and ``version`` are what the list says of them."""
        head = head or self._head(raw)
        found, version = head.kind or kind, head.api_version or version
        if head.items is msgspec.UNSET or not (found.endswith("List") or not found):
            if not found:
                self._refuse(InputError("has no kind", expected="a Kubernetes object, with apiVersion and kind"))
            self.number += 1
            yield Item(self.file, self.number, found, version, raw)
            return
        if depth >= _MOST_LISTS:
            self._refuse(InputError("is a list in a list in a list", expected="a list of objects"))
        inner = found.removesuffix("List")
        version = version if inner else ""
        for one in head.items or ():
            begins = _BEGINS.match(one)
            if begins and not begins[2].endswith(b"List"):
                self.number += 1
                yield Item(self.file, self.number, begins[2].decode(), begins[1].decode(), one)
            else:
                yield from self.objects(one, inner, version, depth + 1)

    def _head(self, raw: Any) -> Head:
        try:
            return _head(raw)
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            title = _title(raw)
            if title and not title.endswith("List"):  # what it calls items is its own affair
                return Head(kind=title, api_version="")
            self._refuse(told(error))

    def _refuse(self, error: InputError) -> NoReturn:
        raise InputError(
            error.problem, file=f"{self.file}, item {self.number + 1}", field=error.field, expected=error.expected
        ) from None
