"""Opens files safely and gives their rows as frames of raw columns.

Every frame from here has the column ``ROW``: the data row from 1, the header not included. Texts of CSV files stay
texts: the checks say what they should be. Whole-document readers are bounded by ``Options.max_input`` and by a
ratio of 1000:1; streaming readers bound the memory of a batch, not the length of the file.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import re
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import polars as pl

from kscale.engine.runfolder import machine_errors
from kscale.errors import InputError, one_line
from kscale.traces import Options
from kscale.traces.common.threads import ahead

ROW = "#row"
#: Bytes that a reader may look at to tell the format.
HEAD = 64 << 10
#: A document that unpacks to more than this many times its size is refused.
RATIO = 1000
#: Rows of a Parquet file that are held at once.
BATCH_ROWS = 1_000_000
#: Bytes of a CSV file that are held at once; a record longer than that is refused. More at once takes longer: memory
#: that is new each time has to be cleared by the system.
BATCH_BYTES = 8 << 20
#: Makes a frame of whole records, the names of their columns, and the row of the first; and says how many rows it took.
Parse = Callable[[bytes, Sequence[str], int], tuple[pl.DataFrame, int]]
_GZIP = b"\x1f\x8b"
_BREAKS = b"\r\n"
#: Below this size the ratio says nothing.
_SMALL = 1 << 20


def check_file(path: Path) -> int:
    """Return the size of a regular file in bytes. Raises InputError when it is missing, empty or something else."""
    try:
        with machine_errors(path):
            found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError("does not exist", file=path, expected="a file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be opened: {error}", file=str(path), expected="a file") from None
    if stat.S_ISDIR(found.st_mode):
        raise InputError("is a directory", file=path, expected="a file")
    if not stat.S_ISREG(found.st_mode):
        raise InputError("is not a regular file", file=path, expected="a regular file, since it is read twice")
    if found.st_size == 0:
        raise InputError("is empty", file=path, expected="a file with rows")
    return found.st_size


@contextlib.contextmanager
def readable(path: Path, what: str) -> Iterator[None]:
    """Turn what libraries say of a damaged file into one InputError."""
    try:
        with machine_errors(path):
            yield
    except (EOFError, OSError, zlib.error, UnicodeError, pl.exceptions.PolarsError) as error:
        text = one_line(str(error).split("\n")[0], 200)
        raise InputError(f"cannot be read as {what}: {text}", file=path, expected=f"a whole {what} file") from error
    except pl.exceptions.PanicException as error:  # a damaged Parquet file may take the library down; no Exception
        raise InputError(f"cannot be read as {what}", file=path, expected=f"a whole {what} file") from error


class _Metered(io.RawIOBase):
    """A file that tells how many bytes are read of it."""

    def __init__(self, file: IO[bytes], told: Callable[[int], None]) -> None:
        super().__init__()
        self._file, self._told = file, told

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count: int = self._file.readinto(buffer)  # type: ignore[attr-defined]
        self._told(count)
        return count


@contextlib.contextmanager
def opened(path: Path, told: Callable[[int], None] | None = None) -> Iterator[IO[bytes]]:
    """Yield the bytes of a file, unpacked where they are gzip; ``told`` counts what is read. Raises InputError."""
    check_file(path)
    with readable(path, "text"), path.open("rb") as plain:
        packed = plain.read(2) == _GZIP
        plain.seek(0)
        raw = plain if told is None else io.BufferedReader(_Metered(plain, told), _SMALL)
        if not packed:
            yield raw
            return
        with readable(path, "gzip"), gzip.GzipFile(fileobj=raw) as unpacked:
            yield unpacked  # type: ignore[misc]


def head(path: Path) -> bytes:
    """Return the first bytes of a file, unpacked, at most ``HEAD``. Raises InputError."""
    with opened(path) as file:
        return file.read(HEAD)


def whole(path: Path, options: Options) -> bytes:
    """Return all bytes of a file, unpacked. Raises InputError above ``max_input`` or above a ratio of 1000:1."""
    size = check_file(path)
    parts, total = [], 0
    with opened(path, options.told) as file:
        while part := file.read(1 << 20):
            parts.append(part)
            total += len(part)
            if total > options.max_input:
                raise InputError(
                    f"is larger than {options.max_input:,} bytes", file=path, expected="less, or a larger --max-input"
                )
            if total > _SMALL and total > RATIO * size:
                raise InputError(f"unpacks to more than {RATIO} times its size", file=path, expected="honest data")
    if not total:
        raise InputError("is empty", file=path, expected="a file with rows")
    return b"".join(parts)


def header(data: bytes, path: Path) -> list[str]:
    """Return the column names in the first line of a CSV text. Raises InputError when a name repeats."""
    with readable(path, "CSV"):
        line = data.split(b"\n", 1)[0].removeprefix(b"\xef\xbb\xbf").decode().rstrip("\r")
    try:
        names = [name.strip() for name in next(csv.reader([line]), [])]
    except csv.Error as error:
        raise InputError(f"has no readable header: {error}", file=path, expected="a line of column names") from None
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise InputError("occurs twice in the header", file=path, field=repeated, expected="each column once")
    return names


def csv_columns(data: bytes) -> set[str]:
    """Return the column names in the first line of ``data``, or none where it is no CSV text; for detection."""
    line = data.split(b"\n", 1)[0].removeprefix(b"\xef\xbb\xbf")
    if len(line) == HEAD or b"\x00" in line:
        return set()
    return {name.strip().strip('"') for name in line.decode(errors="replace").rstrip("\r").split(",")}


def parts(folder: Path, table: str) -> list[Path]:
    """Return the files of a folder that hold a table, in the order of their names.

    A table is a file (``machine_meta.csv``, ``.gz``, ``.json``), several (``instance_events-000000000001.json.gz``), or
    a folder of parts (``task_events/part-00000-of-00500.csv.gz``).
    """
    inner = folder / table
    if inner.is_dir():
        return sorted(path for path in inner.iterdir() if path.is_file() and not path.name.startswith("."))
    name = re.compile(re.escape(table) + r"(?:[-_.]?\d+)?(?:\.\w+)*")
    return sorted(path for path in folder.iterdir() if path.is_file() and name.fullmatch(path.name))


def part(folder: Path, table: str) -> Path:
    """Return the one file of a folder that holds a table. Raises InputError when there is none, or several."""
    found = parts(folder, table)
    if len(found) != 1:
        raise InputError(f"holds {len(found)} files of the table {table}", file=folder, expected="one")
    return found[0]


def csv_table(
    path: Path, options: Options, dropped: dict[str, int], names: Sequence[str] | None = None
) -> pl.DataFrame:
    """Return a whole CSV file as texts, with ``ROW``; without a header where ``names`` are given.

    Raises InputError; counts ragged rows when lenient.
    """
    data = whole(path, options)
    if names is not None:
        return csv_texts(data.rstrip(_BREAKS), names, 1, path, options, dropped)[0]
    names = header(data, path)
    return csv_texts(data.partition(b"\n")[2].rstrip(_BREAKS), names, 1, path, options, dropped)[0]


def csv_batches(
    path: Path, options: Options, dropped: dict[str, int], names: Sequence[str] | None = None
) -> Iterator[pl.DataFrame]:
    """Yield a CSV file in batches of texts, with ``ROW``; without a header where ``names`` are given.

    The first batch comes always, also without rows.
    """
    return csv_pieces(
        path, options, lambda data, columns, row: csv_texts(data, columns, row, path, options, dropped), names
    )


def csv_pieces(
    path: Path, options: Options, parse: Parse, names: Sequence[str] | None = None
) -> Iterator[pl.DataFrame]:
    """Yield what ``parse`` makes of a CSV file, piece by piece; without a header where ``names`` are given.

    ``parse`` takes whole records, the names of the columns and the row of the first record; it returns a frame and how
    many rows the records took. The first piece has no records.
    """
    with opened(path, options.told) as file:
        if names is None:
            names = header(file.readline(BATCH_BYTES), path)
        yield parse(b"", names, 1)[0]
        row = 1
        with contextlib.closing(ahead(_records(file))) as coming:
            for data in coming:
                if data is None:
                    raise InputError(f"has a record of more than {BATCH_BYTES >> 20} MiB", file=path, row=row)
                frame, count = parse(data, names, row)
                row += count
                yield frame


def _records(file: IO[bytes]) -> Iterator[bytes | None]:
    """Yield the whole records of a CSV file, about ``BATCH_BYTES`` together; None where one is longer than that."""
    rest = b""
    while part := file.read(BATCH_BYTES):
        end = _last_record(part, rest.count(b'"') % 2 == 1)
        body = _without_breaks(part, end)
        if end == 0 or not (body or rest.strip(_BREAKS)):
            rest += part
            if len(rest) > BATCH_BYTES:
                yield None
                return
            continue
        # Blank lines wait: they are rows where something follows, and nothing at the end of a file.
        end = part.index(b"\n", body) + 1
        # Joined in one go: at this size, copies cost as much as parsing.
        yield b"".join((rest, memoryview(part)[:end]))
        rest = part[end:]
    if rest.strip(_BREAKS):
        yield rest.rstrip(_BREAKS)


def _without_breaks(data: bytes, end: int) -> int:
    """Return where ``data[:end]`` ends without the line breaks behind it."""
    near = max(end - 64, 0)  # mostly there are few: a copy of all would cost as much as reading
    tail = data[near:end].rstrip(_BREAKS)
    return near + len(tail) if tail else len(data[:near].rstrip(_BREAKS))


def _last_record(data: bytes, within: bool = False) -> int:
    """Return where the last whole record ends: a line break outside quotes (an even number of quotes before it).

    ``within`` says whether ``data`` begins within quotes.
    """
    end, quote = len(data), data.rfind(b'"')
    odd = (data.count(b'"') + within) % 2 if quote >= 0 else within
    while True:
        line_break = -1 if odd else data.rfind(b"\n", quote + 1, end)
        if line_break >= 0 or quote < 0:
            return line_break + 1
        end, odd = quote, not odd
        quote = data.rfind(b'"', 0, end)


def csv_texts(
    data: bytes, names: Sequence[str], row: int, path: Path, options: Options, dropped: dict[str, int]
) -> tuple[pl.DataFrame, int]:
    """Return the records of ``data`` as texts with ``ROW`` from ``row``, and how many rows they took."""
    frame = csv_typed(data, names, row, {})
    if frame is not None:
        return frame, frame.height
    return _parse_slowly(data, names, row, path, options, dropped)


def csv_typed(
    data: bytes, names: Sequence[str], row: int, dtypes: Mapping[str, type[pl.DataType]], only: str | None = None
) -> pl.DataFrame | None:
    """Return the records of ``data`` with ``ROW`` from ``row``, columns in their ``dtypes`` or else as texts.

    None where a record has too many fields or one of another type. With ``only`` one column is read, faster, and some
    records with too many fields pass.
    """
    schema = {name: dtypes.get(name, pl.String) for name in names}
    if not data:
        return pl.DataFrame(schema=schema | {ROW: pl.Int64})
    columns = None if only is None else [list(names).index(only)]
    try:
        frame = pl.read_csv(
            data, has_header=False, schema=schema, columns=columns, missing_columns="insert", null_values=""
        )
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None
    return _numbered(frame, row)


def _numbered(frame: pl.DataFrame, row: int) -> pl.DataFrame:
    return frame.with_columns(pl.int_range(row, row + pl.len(), dtype=pl.Int64).alias(ROW))


def _parse_slowly(
    data: bytes, names: Sequence[str], row: int, path: Path, options: Options, dropped: dict[str, int]
) -> tuple[pl.DataFrame, int]:
    """Read record by record what the fast way refused, to name the bad row or to leave it out."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        bad = row + data.count(b"\n", 0, error.start)
        raise InputError("is not UTF-8 text", file=path, row=bad, expected="UTF-8") from None
    good: list[list[str | None]] = []
    rows: list[int] = []
    number = row - 1
    try:
        for number, record in enumerate(csv.reader(io.StringIO(text, newline=""), strict=True), row):
            if len(record) <= len(names):
                good.append([field or None for field in record] + [None] * (len(names) - len(record)))
                rows.append(number)
            elif options.lenient:
                dropped["row: too many fields"] = dropped.get("row: too many fields", 0) + 1
            else:
                raise InputError(f"has {len(record)} fields", file=path, row=number, expected=f"{len(names)} fields")
    except csv.Error as error:
        raise InputError(f"is not CSV: {error}", file=path, row=number + 1, expected="a CSV record") from None
    frame = pl.DataFrame(good, schema=dict.fromkeys(names, pl.String), orient="row")
    return frame.with_columns(pl.Series(ROW, rows, dtype=pl.Int64)), number - row + 1


def parquet_schema(path: Path) -> dict[str, pl.DataType]:
    """Return the columns of a Parquet file by name. Raises InputError."""
    check_file(path)
    with readable(path, "Parquet"):
        return dict(pl.read_parquet_schema(path))


def parquet_batches(path: Path, columns: Iterable[str], options: Options) -> Iterator[pl.DataFrame]:
    """Yield a Parquet file in batches, with ``ROW``; the first one always, also without rows.

    Raises InputError when the file is damaged, or when it claims more data than ``max_input`` and than a thousand
    times its size.
    """
    size = check_file(path)
    wanted = list(columns)
    with readable(path, "Parquet"):
        lazy = pl.scan_parquet(path, glob=False, hive_partitioning=False).select(wanted)
        rows = int(lazy.select(pl.len()).collect().item())
    claimed = rows * (8 * len(wanted) + 8)
    if claimed > options.max_input and claimed > RATIO * size:
        raise InputError(f"claims {rows:,} rows in {size:,} bytes", file=path, expected="honest data")
    for start in range(0, max(rows, 1), BATCH_ROWS):
        yield parquet_rows(path, wanted, start)
        if options.told is not None:
            options.told(size * min(start + BATCH_ROWS, rows) // max(rows, 1) - size * start // max(rows, 1))


def parquet_rows(path: Path, columns: list[str], start: int) -> pl.DataFrame:
    """Return the batch of a Parquet file that begins at a row, with ``ROW``. Raises InputError when it is damaged."""
    with readable(path, "Parquet"):
        lazy = pl.scan_parquet(path, glob=False, hive_partitioning=False).select(columns)
        frame = lazy.slice(start, BATCH_ROWS).collect()
    return _numbered(frame, start + 1)
