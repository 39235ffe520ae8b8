"""Which job runs a row."""

from __future__ import annotations

from benchmarks.growing import Growth, Nodes, Waits
from benchmarks.measuring import Command, Dump, Help, Job, Place, Programming, Read, Run
from benchmarks.row import Workload

_JOBS: dict[str, type[Job]] = {
    "run": Run,
    "command": Command,
    "read": Read,
    "growth": Growth,
    "nodes": Nodes,
    "waiting": Waits,
    "help": Help,
    "place": Place,
    "dump": Dump,
    "network": Programming,
}


def job(row: Workload) -> Job:
    """Return the row's job; its input is made at the first run."""
    return _JOBS[row.measure](row)
