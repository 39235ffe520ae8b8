"""How fast readers of large traces are, and in how much memory: ``python -m benchmarks.reading [NAME ...]``.

Tables are made in the shape of each format, with ids as long as the published ones; a figure is the best of three runs.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks import borg, single
from benchmarks.measuring import peak_mb, reset_peak
from benchmarks.table import markdown, number
from kscale.traces import Options
from kscale.traces.common.opening import readers

_BATCH = 500_000


def _ids(prefix: str, places: pl.Series, width: int = 0) -> pl.Series:
    return pl.select(pl.lit(prefix) + places.cast(pl.String).str.zfill(width)).to_series()


def _write(path: Path, rows: int, columns: Callable[[pl.Series, np.random.Generator], dict[str, object]]) -> None:
    """Write a table without a header, batch by batch; ``columns`` makes those of a batch from its numbers of rows."""
    with path.open("wb") as file:
        for first in range(0, rows, _BATCH):
            numbers = pl.Series(np.arange(first, min(first + _BATCH, rows)))
            made = columns(numbers, np.random.default_rng([1, first]))
            pl.select(numbers.alias("#"), **{k: pl.lit(v) for k, v in made.items()}).drop("#").write_csv(
                file, include_header=False
            )


def _times(numbers: pl.Series, rng: np.random.Generator) -> tuple[pl.Series, pl.Series]:
    start = pl.Series(rng.integers(86_400, 600_000, len(numbers)))
    return start, start + pl.Series(rng.integers(1, 500, len(numbers)))


def _alibaba2017(folder: Path, rows: int, each: int) -> int:
    def instances(numbers: pl.Series, rng: np.random.Generator) -> dict[str, object]:
        start, end = _times(numbers, rng)
        task = numbers // each
        rest = {"usage": 0.5, "mean": 0.25, "memory": 0.03, "memory_mean": 0.02}
        ids = {"job": task // 3, "task": task, "machine": numbers % 1300, "status": "Terminated", "seq": 1, "of": 1}
        return {"start": start, "end": end, **ids, **rest}

    def tasks(numbers: pl.Series, rng: np.random.Generator) -> dict[str, object]:
        start, end = _times(numbers, rng)
        ids = {"job": numbers // 3, "task": numbers, "count": each, "status": "Terminated"}
        return {"start": start, "end": end, **ids, "cpu": 0.5, "memory": 0.005}

    _write(folder / "batch_instance.csv", rows, instances)
    _write(folder / "batch_task.csv", rows // each, tasks)
    return rows + rows // each


def _alibaba2018(folder: Path, rows: int, each: int) -> int:
    def name(task: pl.Series) -> pl.Series:
        return _ids("task_LTg0MTUwNTA5Mjg4MDkwNj", task, 10)

    def instances(numbers: pl.Series, rng: np.random.Generator) -> dict[str, object]:
        start, end = _times(numbers, rng)
        task = numbers // each
        ids = {"instance": _ids("ins_", numbers), "task": name(task), "job": _ids("j_", task // 3), "type": "10"}
        life = {"status": "Terminated", "start": start, "end": end, "machine": _ids("m_", numbers % 4000)}
        return ids | life | {"seq": 1, "of": 1, "cpu": 43, "cpu_max": 145, "memory": 0.16, "memory_max": 0.18}

    def tasks(numbers: pl.Series, rng: np.random.Generator) -> dict[str, object]:
        start, end = _times(numbers, rng)
        ids = {"task": name(numbers), "count": each, "job": _ids("j_", numbers // 3), "type": "10"}
        return ids | {"status": "Terminated", "start": start, "end": end, "cpu": 100, "memory": 0.39}

    _write(folder / "batch_instance.csv", rows, instances)
    _write(folder / "batch_task.csv", rows // each, tasks)
    return rows + rows // each


def _pai2020(folder: Path, rows: int, each: int) -> int:
    def job(task: pl.Series) -> dict[str, object]:
        return {"job": _ids("5f3d2ac1", task, 16)}

    def inst(task: pl.Series) -> dict[str, object]:
        return {"inst": _ids("8b1e77d0", task, 16)}

    def life(numbers: pl.Series, rng: np.random.Generator) -> dict[str, object]:
        start, end = _times(numbers, rng)
        return {"status": "Terminated", "start": start.cast(pl.Float64), "end": end.cast(pl.Float64)}

    def instances(numbers: pl.Series, rng: np.random.Generator) -> dict[str, object]:
        task = numbers // each
        worker = {"name": _ids("c0ffee00", numbers, 16), "worker": _ids("badcafe0", numbers, 16)}
        return job(task) | {"task": "worker"} | worker | inst(task) | life(numbers, rng) | {"machine": "m1"}

    def tasks(numbers: pl.Series, rng: np.random.Generator) -> dict[str, object]:
        plan = {"cpu": 600.0, "memory": 29.296875, "gpu": 50.0, "type": "T4"}
        return job(numbers) | {"task": "worker", "count": float(each)} | life(numbers, rng) | plan

    def jobs(numbers: pl.Series, rng: np.random.Generator) -> dict[str, object]:
        return job(numbers) | inst(numbers) | {"user": "u1"} | life(numbers, rng)

    def tags(numbers: pl.Series, rng: np.random.Generator) -> dict[str, object]:
        return inst(numbers) | {"user": "u1", "gpu": "T4", "group": "g1", "workload": "bert"}

    tables = {"instance_table": instances, "task_table": tasks, "job_table": jobs, "group_tag_table": tags}
    counts = {name: rows if name == "instance_table" else rows // each for name in tables}
    for name, columns in tables.items():
        _write(folder / f"pai_{name}.csv", counts[name], columns)
    return sum(counts.values())


#: Makes the tables of a format in a folder: so many rows in the largest, and so many of them for each task; returns how
#: many rows there are.
MAKERS: dict[str, Callable[[Path, int, int], int]] = {
    "alibaba2017": _alibaba2017,
    "alibaba2018": _alibaba2018,
    "pai2020": _pai2020,
    "google2011": borg.maker("google2011"),
    "google2019": borg.maker("google2019"),
    "google2011-unordered": borg.maker("google2011", unordered=True),
    **single.MAKERS,
}


def _make(name: str, folder: Path, rows: int, each: int) -> int:
    return MAKERS[name](folder, rows, each)


def _made_apart(name: str, folder: Path, rows: int, each: int) -> int:
    """Make the tables in another process, since memory that was used once may stay with the process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_make, name, folder, rows, each).result()


def source(folder: Path) -> Path:
    """Return what a reader takes of a folder that was filled: its file, or the folder where it has tables."""
    held = list(folder.iterdir())
    return held[0] if len(held) == 1 and held[0].is_file() else folder


def _read(name: str, path: Path) -> Iterator[tuple[float, float]]:
    """Yield the seconds, and processor seconds, of three runs."""
    portions = readers()[name.partition("-")[0]].portions
    assert portions is not None
    for _ in range(3):
        wall, processor = time.perf_counter(), time.process_time()
        for _frame in portions(path, Options()):
            pass
        yield time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    """Print millions of rows a second, the same of a processor second, and the peak of memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(MAKERS), help=", ".join(MAKERS))
    parser.add_argument("--rows", type=int, default=4_000_000, help="rows of the largest table")
    parser.add_argument("--instances", type=int, default=20, help="instances of a task")
    asked = parser.parse_args()
    table = []
    for name in asked.names:
        with tempfile.TemporaryDirectory() as folder:
            rows = _made_apart(name, Path(folder), asked.rows, asked.instances)
            reset_peak()
            runs = list(_read(name, source(Path(folder))))
        rates = (rows / min(seconds) / 1e6 for seconds in zip(*runs, strict=True))
        table.append([name, f"{rows:,}", *map(number, rates), f"{peak_mb():,.0f}"])
    head = ("format", "rows", "million rows/s", "the same of a processor second", "peak, MB")
    print("\n".join(markdown(head, table)))


if __name__ == "__main__":
    main()
