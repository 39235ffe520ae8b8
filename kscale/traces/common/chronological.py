"""Events in the order of time, in batches of whole instants, however long the files are.

Files that are in order are read as they stand. Others are sorted through files of a scratch folder: a database that
writes a table out promises no order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from kscale.engine.runfolder import machine_errors
from kscale.engine.scratch import Scratch
from kscale.errors import InputError
from kscale.traces.common import files
from kscale.traces.common.threads import ahead, each

#: Rows that are gathered before they are handed on.
GATHERED = 1 << 18
#: Rows that are sorted together, and about as many of a window of sorted files: their number is the root of the pieces
#: that are read.
SORTED = 1 << 20
#: Of so many rows of a sorted file, one is looked at to choose where windows end.
_SAMPLE = 256
#: Bytes that are looked at together for the order of the times.
_PIECE = 8 << 20


def in_order(paths: Sequence[Path], pattern: str | None = None) -> bool:
    """Return whether the lines of text files, one file after the other, are in the order of their times.

    A time is the first field of a line of CSV, or the first group of the regular expression ``pattern``. Lines without
    one, as a whole number, do not count. Stops at the first that is out of order. Raises InputError when a file is
    damaged.
    """
    latest = 0
    for span in each(partial(_span, pattern=pattern), _lines(paths)):
        if span is None:
            continue
        first, last, ascends = span
        if first < latest or not ascends:
            return False
        latest = last
    return True


def _lines(paths: Sequence[Path]) -> Iterator[tuple[Path, bytes]]:
    """Yield the bytes of files, one after the other, in pieces of whole lines, and the file of each."""
    for path in paths:
        with files.opened(path) as file:
            rest = b""
            while part := file.read(_PIECE):
                end = part.rfind(b"\n") + 1
                if end:
                    yield path, b"".join((rest, memoryview(part)[:end]))
                    rest = part[end:]
                else:
                    rest += part
            yield path, rest


def _span(lines: tuple[Path, bytes], pattern: str | None) -> tuple[int, int, bool] | None:
    """Return the first time in ``lines``, the last one, and whether all are in order; None where there is no time."""
    path, data = lines
    # A separator that does not occur keeps a line in one column.
    form: dict[str, Any] = {"columns": [0]} if pattern is None else {"separator": "\x1f"}
    with files.readable(path, "text"):
        try:
            frame = pl.read_csv(
                data, has_header=False, quote_char=None, infer_schema=False, truncate_ragged_lines=True, **form
            )
        except pl.exceptions.NoDataError:
            return None
    texts = frame.to_series()
    times = (texts if pattern is None else texts.str.extract(pattern)).cast(pl.Int64, strict=False)
    times = times.drop_nulls()
    return (int(times[0]), int(times[-1]), times.is_sorted()) if len(times) else None


def instants(batches: Iterable[pl.DataFrame], time: str, *, sort: bool, path: Path) -> Iterator[pl.DataFrame]:
    """Yield the rows of ``batches`` in the order of ``time``, rows of one time in their order and in one frame.

    Without ``sort`` they must be in order: else InputError. Raises MachineError when the disk of the scratch folder is
    full.
    """
    yield from _sorted(batches, time, path) if sort else _whole(batches, time, path)


def gathered(batches: Iterable[pl.DataFrame], rows: int) -> Iterator[pl.DataFrame]:
    """Yield ``batches`` put together, with at least so many rows each but the last."""
    held: list[pl.DataFrame] = []
    for batch in batches:
        held.append(batch)
        if sum(frame.height for frame in held) >= rows:
            yield pl.concat(held)
            held = []
    if held:
        yield pl.concat(held)


def _whole(batches: Iterable[pl.DataFrame], time: str, path: Path) -> Iterator[pl.DataFrame]:
    """Yield batches cut between instants: what has the last time of a batch waits for the next one."""
    rest: list[pl.DataFrame] = []
    latest = -1
    for batch in ahead(gathered(batches, GATHERED)):
        if not batch.height:
            continue
        if int(batch[time][0]) < latest or not batch[time].is_sorted():
            raise InputError("times are not in order, and not written as whole numbers", file=path, field=time)
        latest = int(batch[time][-1])
        cut = int(batch[time].search_sorted(batch[time][-1], "left"))
        if cut or (rest and rest[-1][time][-1] != batch[time][-1]):
            yield pl.concat([*rest, batch[:cut]])
            rest = []
        rest.append(batch[cut:])
    if rest:
        yield pl.concat(rest)


def _sorted(batches: Iterable[pl.DataFrame], time: str, path: Path) -> Iterator[pl.DataFrame]:
    """Yield batches sorted through files: each holds a stretch of the rows sorted, and windows take a piece of each."""
    scratch = Scratch()
    runs: list[Path] = []
    samples = [np.empty(0, np.int64)]
    try:
        for batch in ahead(gathered(batches, SORTED)):
            if not batch.height:
                continue
            run = batch.sort(time, maintain_order=True)
            name = scratch.path(f"run-{len(runs):06}.arrow")
            with machine_errors(path, writing=True):
                run.write_ipc(name)
                np.save(name.with_suffix(".npy"), run[time].to_numpy())
            runs.append(name)
            samples.append(run[time].to_numpy()[_SAMPLE // 2 :: _SAMPLE])
        windows = _windows(runs, np.concatenate(samples))
        yield from ahead(frame.sort(time, maintain_order=True) for frame in windows)
    finally:
        scratch.clear()


def _windows(runs: list[Path], samples: np.ndarray[Any, Any]) -> Iterator[pl.DataFrame]:
    """Yield the rows of sorted files by windows of time of about ``SORTED`` rows."""
    samples.sort()
    step = max(SORTED // _SAMPLE, 1)
    lasts = np.unique(np.append(samples[step::step], np.iinfo(np.int64).max))
    times = [np.load(run.with_suffix(".npy"), mmap_mode="r") for run in runs]
    places = [np.append(0, np.searchsorted(time, lasts, "right")).tolist() for time in times]
    for window in range(len(lasts)):
        pieces = [
            pl.scan_ipc(run).slice(place[window], place[window + 1] - place[window]).collect()
            for run, place in zip(runs, places, strict=True)
            if place[window + 1] > place[window]
        ]
        if pieces:
            yield pl.concat(pieces)
