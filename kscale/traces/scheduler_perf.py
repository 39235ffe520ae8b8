"""Workloads of scheduler_perf, kube-scheduler's benchmark (kubernetes/kubernetes, test/integration/scheduler_perf).

``performance-config.yaml`` is a list of test cases: a template of operations, and workloads that fill its parameters.
Templates of pods and nodes are files beside it. One workload of a file is a trace.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kscale.errors import InputError, nearest
from kscale.state.manifests.yamls import documents
from kscale.traces import Options, Reader, Trace
from kscale.traces.common import files
from kscale.traces.common.benchmark import Benchmark
from kscale.traces.common.podspecs import nodes_frame
from kscale.traces.common.recorded import at

_CASE = re.compile(rb"^\s*- name:", re.MULTILINE)


@dataclass(frozen=True)
class _Workload:
    """A workload of a test case: its name, its operations, its parameters and the least pods a second it asks for."""

    name: str
    operations: list[Any]
    params: Mapping[str, Any]
    threshold: float
    default_pod: str | None


def _detects(path: Path, head: bytes) -> bool:
    return b"workloadTemplate:" in head and b"opcode:" in head and _CASE.search(head) is not None


def _workloads(path: Path, options: Options) -> list[_Workload]:
    found: list[_Workload] = []
    for cases in documents(files.whole(path, options), str(path)):
        for number, case in enumerate(cases if isinstance(cases, list) else [cases], 1):
            name, operations = at(case, "name"), at(case, "workloadTemplate")
            workloads, default = at(case, "workloads"), at(case, "defaultPodTemplatePath")
            if not isinstance(name, str) or not isinstance(operations, list) or not isinstance(workloads, list):
                expected = "name, workloadTemplate (operations) and workloads"
                raise InputError("is no test case", file=f"{path}, test case {number}", expected=expected)
            for one in workloads:
                params, threshold = at(one, "params") or {}, at(one, "threshold")
                if not isinstance(at(one, "name"), str) or not isinstance(params, Mapping):
                    raise InputError(
                        "is no workload", file=f"{path}, test case {name[:80]}", expected="name and params"
                    )
                pace = float(threshold) if isinstance(threshold, (int, float)) and threshold > 0 else 0.0
                named = default if isinstance(default, str) else None
                found.append(_Workload(f"{name}/{one['name']}", operations, params, pace, named))
    return found


def _chosen(path: Path, options: Options) -> _Workload:
    """Return the workload that is asked for, or the only one. Raises InputError."""
    found = _workloads(path, options)
    names = ", ".join(one.name for one in found)[:300]
    if options.workload is None:
        if len(found) != 1:
            raise InputError(f"has {len(found)} workloads", file=path, expected=f"--workload with one of {names}")
        return found[0]
    fitting = [one for one in found if options.workload in (one.name, one.name.partition("/")[2])]
    if len(fitting) == 1:
        return fitting[0]
    many = "is the name of several workloads" if fitting else "is no workload"
    close = nearest(options.workload, [one.name for one in found])
    raise InputError(f"'{options.workload[:80]}' {many}{close}", file=path, field="--workload", expected=names)


def _read(path: Path, options: Options) -> Trace:
    workload = _chosen(path, options)
    benchmark = Benchmark(path, options, workload.params, workload.threshold, workload.default_pod)
    for number, operation in enumerate(workload.operations):
        try:
            benchmark.run(number, operation)
        except InputError as error:
            benchmark.recorded.bad(error, number + 1, workload.name)
    try:
        benchmark.end()
    except InputError as error:
        benchmark.recorded.bad(error, len(workload.operations), f"{workload.name}, churn")
    nodes, pods = list(benchmark.nodes.values()), benchmark.recorded
    operations, events = len(workload.operations), len(benchmark.events)
    notes = (
        f"scheduler_perf: {workload.name}: {operations:,} operations are {len(pods):,} pods and {len(nodes):,} nodes "
        f"with {events:,} events.",
        f"scheduler_perf: {benchmark.pace_note}",
        "scheduler_perf: nodes are made at once; feature gates, labels and collected metrics are not used.",
        *(f"scheduler_perf: left out: {what} ({count:,})." for what, count in sorted(benchmark.counts.items())),
    )
    return pods.trace("scheduler_perf", notes, nodes_frame(nodes) if nodes else None, benchmark.events)


READER = Reader(
    name="scheduler_perf",
    doc="scheduler_perf: workloads of kube-scheduler's benchmark, YAML.",
    detects=_detects,
    read=_read,
)
