"""Damaged files: whatever is done to one, a reader gives a trace or one InputError, and accounts for every row."""

import random
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal
from pytest import MonkeyPatch

from kscale.errors import InputError
from kscale.traces import PODS, Options, Reader, Trace
from kscale.traces.common import files, writing
from kscale.traces.own import READER as OWN
from tests.traces.holding import assert_same

STRICT = Options()
_PIECES = [
    b"", b",", b"\n", b'"', b"-1", b"nan", b"1e99", b"99999999999999999999", b"\xff", b"\x00", b"{", b"null", b">",
]  # fmt: skip


def damaged(data: bytes, seed: int) -> bytes:
    """Some bytes of ``data`` changed, cut out, doubled or put in, or its end cut off."""
    rng = random.Random(seed)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(5)
        if kind == 0:
            data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        elif kind == 1:
            data = data[:at] + data[at + rng.randint(1, 30) :]
        elif kind == 2:
            data = data[:at] + rng.choice(_PIECES) + data[at:]
        elif kind == 3:
            data = data[:at] + data[at : at + rng.randint(1, 80)] + data[at:]
        else:
            data = data[: max(at, 1)]
    return data or b"x"


def survives(reader: Reader, path: Path, data: bytes, times: int = 150) -> None:
    """Read damaged copies of ``data``, strict and lenient: a trace with the columns of one, or an InputError."""
    read = 0
    for seed in range(times):
        path.write_bytes(damaged(data, seed))
        for lenient in (False, True):
            try:
                trace = reader.read(path, Options(lenient=lenient, max_input=10 << 20))
            except InputError as error:
                assert "\n" not in str(error)
                continue
            assert dict(trace.pods.schema) == PODS
            assert trace.pods.select("name", "namespace").is_unique().all()
            assert trace.pods["arrival_us"].null_count() == 0
            times = trace.pods.select(pl.min_horizontal("arrival_us", "duration_us", "end_us").alias("least"))
            assert times.filter(pl.col("least") < 0).is_empty()
            read += 1
    assert read


def pieces_alike(monkeypatch: MonkeyPatch, reader: Reader, path: Path, least: int = 400) -> Trace:
    """The file cut into batches anywhere gives the same trace."""
    whole = reader.read(path, STRICT)
    for size in (least, 2 * least, 10 * least):
        monkeypatch.setattr(files, "BATCH_BYTES", size)
        cut = reader.read(path, STRICT)
        assert_same(cut, whole)
    return whole


def converts(trace: Trace, path: Path) -> None:
    """The trace written in kscale's own format and read again is the same."""
    writing.write_trace(trace, path)
    again = OWN.read(path, Options())
    assert_frame_equal(writing.flat(again).collect(), writing.flat(trace).collect())
