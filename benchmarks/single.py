"""Traces of a single file, made in the shape of their formats; ``python -m benchmarks.reading azure2017`` reads one."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

Numbers = np.ndarray[Any, Any]
#: Seconds of a month.
_MONTH = 30 * 86_400


def _ids(prefix: str, numbers: Numbers, width: int) -> pl.Series:
    return pl.select(pl.lit(prefix) + pl.Series(numbers).cast(pl.String).str.zfill(width)).to_series()


def _lives(rows: int) -> tuple[Numbers, Numbers, Numbers]:
    """Return numbers of rows, when each begins (in order) and how long it lasts, in seconds."""
    rng = np.random.default_rng(1)
    starts = np.sort(rng.integers(300, _MONTH - 600, rows))
    return np.arange(rows), starts, np.minimum(rng.lognormal(6, 1.7, rows).astype(np.int64) + 1, _MONTH - starts)


def _azure2017(folder: Path, rows: int, each: int) -> int:
    del each
    numbers, starts, lasts = _lives(rows)
    ids = {
        "vm": _ids("x/XsOfHO4ocsV99i4NluqKDuxctW2MMVmwqOPAlg4wp8mqbBOe3wxBlQo0+Qx+uf", numbers, 24),
        "subscription": _ids("VDU4C8cqdr+ORcqquwMRcsBA2l0SC6lCPys0wdghKROuxPYysA2XYii9Y5ZkaaSh", numbers // 400, 24),
        "deployment": _ids("Pc2VLB8aDxK2DCC96itq4vW/zVDp4wioAUiB3HoGSFYQ0o6/ZCegTpb9vEH4LeMT", numbers // 5, 24),
    }
    created = starts // 300 * 300
    load = {"most": 99.369869, "mean": 3.4240942342, "p95": 10.194309, "category": "Delay-insensitive"}
    size = {"cores": 2 ** (numbers % 4), "memory": 1.75 * 2 ** (numbers % 4)}
    frame = pl.DataFrame(ids | {"created": created, "deleted": created + lasts // 300 * 300 + 300})
    frame = frame.with_columns(**{name: pl.lit(value) for name, value in load.items()}, **{
        name: pl.Series(values) for name, values in size.items()
    })  # fmt: skip
    frame.write_csv(folder / "vmtable.csv", include_header=False)
    return rows


def _huaweieast1(folder: Path, rows: int, each: int) -> int:
    del each
    numbers, starts, lasts = _lives(rows // 2)
    size = {"cpu": 2 ** (numbers % 5), "memory": 2 ** (numbers % 6)}
    vms = pl.DataFrame({"vmid": numbers, **size, "time": starts, "type": 0})
    ended = vms.with_columns(time=pl.Series(starts + lasts), type=1)
    pl.concat([vms, ended]).sort("time", "type").write_csv(folder / "east.csv")
    return rows // 2 * 2


def _instants(seconds: Numbers, form: str = "%Y-%m-%d %H:%M:%S") -> pl.Series:
    origin = 1_590_000_000
    return pl.from_epoch(pl.Series(seconds + origin), time_unit="s").dt.strftime(form)


def _helios(folder: Path, rows: int, each: int) -> int:
    del each
    numbers, starts, lasts = _lives(rows)
    pl.DataFrame(
        {
            "job_id": numbers + 1_425_511, "user": _ids("u", numbers % 90, 3), "vc": _ids("vc", numbers % 20, 2),
            "gpu_num": numbers % 3 * 4, "cpu_num": 8, "node_num": 1, "state": "COMPLETED",
            "submit_time": _instants(starts), "start_time": _instants(starts + 5),
            "end_time": _instants(starts + lasts + 5), "duration": lasts, "queue": 5,
        }
    ).write_csv(folder / "cluster_log.csv")  # fmt: skip
    return rows


def _acme(folder: Path, rows: int, each: int) -> int:
    del each
    numbers, starts, lasts = _lives(rows)
    form = "%Y-%m-%d %H:%M:%S+08:00"
    pl.DataFrame(
        {
            "job_id": numbers + 5_778_432, "user": _ids("u", numbers % 90, 4), "node_num": 1, "gpu_num": 8,
            "cpu_num": 128, "type": "Other", "state": "COMPLETED", "submit_time": _instants(starts, form),
            "start_time": _instants(starts + 5, form), "end_time": _instants(starts + lasts + 5, form),
            "duration": lasts, "queue": 5, "gpu_time": 936.0,
        }
    ).write_csv(folder / "trace_seren.csv")  # fmt: skip
    return rows


def _gwf(folder: Path, rows: int, each: int) -> int:
    numbers, starts, lasts = _lives(rows)
    frame = pl.DataFrame(
        {
            "WorkflowID": numbers // each, " JobID": numbers, " SubmitTime": starts, " RunTime": lasts, " NProcs": 2,
            " ReqNProcs": 2, " Dependencies": "",
        }
    )  # fmt: skip
    frame.write_csv(folder / "log.gwf")
    return rows


def _philly(folder: Path, rows: int, each: int) -> int:
    """Jobs of one attempt each: a JSON document."""
    del each
    numbers, starts, lasts = _lives(rows)
    times = (_instants(moment).to_list() for moment in (starts, starts + 30, starts + lasts + 30))
    with (folder / "cluster_job_log").open("w") as file:
        for number, submitted, start, end in zip(numbers.tolist(), *times, strict=True):
            where = [{"ip": f"m{number % 500}", "gpus": ["gpu0", "gpu1"]}]
            job = {
                "status": "Pass", "vc": "ee9e8c", "jobid": f"application_1506638472019_{number}",
                "attempts": [{"start_time": start, "end_time": end, "detail": where}],
                "submitted_time": submitted, "user": "ce2f4c",
            }  # fmt: skip
            file.write(("[" if number == 0 else ",") + json.dumps(job))
        file.write("]")
    return rows


def _azure2020(folder: Path, rows: int, each: int) -> int:
    """An SQLite file: virtual machines, and what a type takes of each kind of machine."""
    numbers, starts, lasts = _lives(rows)
    vms = pl.DataFrame(
        {
            "vm": numbers, "tenant": numbers // each, "type": numbers % 30, "priority": numbers % 2,
            "start": starts / 86_400, "end": (starts + lasts) / 86_400,
        }
    )  # fmt: skip
    base = sqlite3.connect(folder / "packing.sqlite")
    base.execute("CREATE TABLE vm (vmId, tenantId, vmTypeId, priority, starttime REAL, endtime REAL)")
    base.execute("CREATE TABLE vmType (id, vmTypeId, machineId, core REAL, memory REAL, hdd REAL, ssd REAL, nic REAL)")
    base.executemany("INSERT INTO vm VALUES (?, ?, ?, ?, ?, ?)", vms.iter_rows())
    kinds = [(one, one, 0, 0.03125 * (one % 8 + 1), 0.03125, None, 0.1, 0.0625) for one in range(30)]
    base.executemany("INSERT INTO vmType VALUES (?, ?, ?, ?, ?, ?, ?, ?)", kinds)
    base.commit()
    base.close()
    return rows


def _opendc(folder: Path, rows: int, each: int) -> int:
    del each
    numbers, starts, lasts = _lives(rows)
    pl.DataFrame(
        {
            "id": pl.Series(numbers, dtype=pl.Int32), "submission_time": starts * 1000, "duration": lasts * 1000,
            "cpu_count": pl.Series(numbers % 16 + 1, dtype=pl.Int32), "cpu_capacity": 2100.0,
            "mem_capacity": numbers % 7 * 1000 + 1000,
        }
    ).write_parquet(folder / "tasks.parquet")  # fmt: skip
    return rows


def _own(ending: str) -> Callable[[Path, int, int], int]:
    def make(folder: Path, rows: int, each: int) -> int:
        numbers, starts, lasts = _lives(rows)
        frame = pl.DataFrame(
            {
                "name": _ids("pod-", numbers, 0), "owner": _ids("job-", numbers // each, 0),
                "arrival_us": starts * 10**6, "duration_us": lasts * 10**6, "cpu_milli": numbers % 8 * 250 + 250,
                "memory_bytes": (numbers % 5 + 1) << 30,
            }
        )  # fmt: skip
        if ending == "parquet":
            frame.write_parquet(folder / "pods.parquet")
        else:
            frame.write_csv(folder / "pods.csv")
        return rows

    return make


#: Makes the file of a format in a folder, of so many rows; returns how many there are.
MAKERS: dict[str, Callable[[Path, int, int], int]] = {
    "own-csv": _own("csv"),
    "own-parquet": _own("parquet"),
    "azure2017": _azure2017,
    "azure2020": _azure2020,
    "huaweieast1": _huaweieast1,
    "helios": _helios,
    "acme": _acme,
    "philly": _philly,
    "gwf": _gwf,
    "opendc": _opendc,
}
