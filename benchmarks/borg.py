"""Events of Borg, made in the shape of Google's traces; ``python -m benchmarks.reading google2011`` reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from kscale.traces.common.lifecycles import EVICT, FINISH, SCHEDULE, SUBMIT

_SECOND = 10**6
_USER = "70s3v5qRyCO/1PCdI6fVXnrW8FU/w+5CKRSa72xgcIo="
_CONSTRAINTS = '[{"name":"GK","value":"5","relation":"1"},{"name":"o/=","value":"x","relation":"1"}]'
#: Rows of a file of the table.
_PART = 1_000_000


def events(rows: int, rng: np.random.Generator) -> pl.DataFrame:
    """Return about so many events of tasks, in the order of time: a quarter of the tasks is evicted once."""
    tasks = rows * 2 // 7
    start = 600 * _SECOND + rng.integers(0, 29 * 86_400 * _SECOND, tasks)
    wait, run = rng.integers(0, 5 * _SECOND, tasks), (rng.lognormal(6, 1.7, tasks) * _SECOND).astype(np.int64)
    task = pl.DataFrame(
        {
            "job": np.arange(tasks) // 8 * 4099 + 3_418_309,
            "index": np.arange(tasks) % 8,
            "priority": rng.choice([0, 1, 2, 4, 9], tasks),
            "cpu": rng.choice([0.0125, 0.025, 0.0625, 0.125], tasks),
            "memory": rng.choice([0.0159, 0.0318, 0.00775], tasks),
        }
    )
    stopped = start + wait + run
    evicted = rng.random(tasks) < 0.25
    ended = np.where(evicted, stopped + _SECOND + run, stopped)
    told = (
        (SUBMIT, start, None), (SCHEDULE, start + wait, None), (EVICT, stopped, evicted), (SUBMIT, stopped, evicted),
        (SCHEDULE, stopped + _SECOND, evicted), (FINISH, ended, None),
    )  # fmt: skip
    frames = [
        task.with_columns(time=pl.Series(time), kind=pl.lit(kind)).filter(True if chosen is None else pl.Series(chosen))
        for kind, time, chosen in told
    ]
    return pl.concat(frames).sort("time", maintain_order=True)


def written(frame: pl.DataFrame, format: str, folder: Path) -> None:
    """Write events as the tables of a format, in parts."""
    table = "task_events" if format == "google2011" else "instance_events"
    (folder / table).mkdir()
    for number, part in enumerate(frame.iter_slices(_PART)):
        if format == "google2011":
            kind = pl.col("kind").replace_strict([SUBMIT, SCHEDULE, EVICT, FINISH], [0, 1, 2, 4])
            columns = [
                "time", pl.lit(None, pl.String).alias("m"), "job", "index", (pl.col("job") % 12_500).alias("at"),
                kind, pl.lit(_USER).alias("u"),
                pl.lit(2).alias("class"), "priority", "cpu", "memory", pl.lit(0.0004).alias("e"), pl.lit(0).alias("d"),
            ]  # fmt: skip
            part.select(columns).write_csv(folder / table / f"part-{number:05}.csv", include_header=False)
            continue
        text = pl.concat_str(
            pl.lit('{"time":"'), "time", pl.lit('","type":"'), "kind", pl.lit('","collection_id":"'), "job",
            pl.lit('","scheduling_class":"2","collection_type":"0","priority":"'), "priority",
            pl.lit('","alloc_collection_id":"0","instance_index":"'), "index",
            pl.lit('","machine_id":"168846390496","alloc_instance_index":"-1","resource_request":{"cpus":'), "cpu",
            pl.lit(',"memory":'), "memory", pl.lit('},"constraint":'),
            pl.when(pl.col("job") % 2 == 0).then(pl.lit(_CONSTRAINTS)).otherwise(pl.lit("[]")), pl.lit("}\n"),
        )  # fmt: skip
        (folder / table / f"part-{number:05}.json").write_text("".join(part.select(text).to_series()))


def maker(format: str, *, unordered: bool = False) -> Callable[[Path, int, int], int]:
    """Return what makes a trace of a format in a folder, of about so many events; ``unordered`` mixes them."""

    def make(folder: Path, rows: int, each: int) -> int:
        del each
        frame = events(rows, np.random.default_rng(1))
        written(frame.sample(fraction=1, shuffle=True, seed=1) if unordered else frame, format, folder)
        return frame.height

    return make
