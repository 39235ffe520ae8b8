"""The twin against decisions recorded from the real kube-scheduler v1.34.1.

``python -m tests.twin.compare [FAMILY ...]`` goes over all recordings and tells, per family, on how many pods twin
and recording agree in each field, and the first difference of each kind. The environment variable ``KSCALE_DATA`` names
the folder that holds ``golden/``.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.twin.cycle import Status
from tests.twin.schedule import Twin

FIELDS = (
    "pod", "profile", "status", "node", "prefilter", "prefilter_nodes", "skip_filter", "skip_score", "filter", "mask",
    "feasible", "raw", "norm", "total", "ties", "preemption",
)  # fmt: skip
COMPACT = ("pod", "status", "node", "ties", "best", "feasible", "victims")
#: Families whose recordings tell of every node.
FAMILIES = (
    "fit_cpu_mem", "taints", "node_selector_affinity", "interpod_affinity", "topology_spread", "ports",
    "image_locality", "unschedulable", "node_name", "strategies", "preemption", "volumes", "scheduling_gates",
    "dense_fill", "mixed", "mixed_large",
)  # fmt: skip
#: Large ones that tell only what became of each pod; one more, scale_simple, takes very long.
LARGE = ("scale_mixed", "scale_deploy")


def files(folder: Path, family: str) -> list[Path]:
    """The recordings of a family in order."""
    return sorted((folder / "golden" / "scheduler" / family).glob("*.json.gz"), key=lambda p: int(p.name.split(".")[0]))


def read(path: Path) -> dict[str, Any]:
    """A recording."""
    with gzip.open(path) as stream:
        found: dict[str, Any] = json.load(stream)
    return found


def expanded(pod: Mapping[str, Any], statuses: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A recorded result with statuses instead of their numbers."""

    def status(index: int) -> Status:
        found = statuses[index]
        return found["plugin"], found["code"], tuple(found["reasons"])

    result = dict(pod)
    if "prefilter" in pod:
        result["prefilter"] = status(pod["prefilter"])
    if "filter" in pod:
        result["filter"] = [status(index) for index in pod["filter"]]
    return result


def compacted(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result as compact recordings give it."""
    found = {field: result[field] for field in ("pod", "status", "node") if field in result}
    if result["status"] == "scheduled":
        found |= {"ties": len(result["ties"]), "best": max(result["total"]), "feasible": len(result["feasible"])}
    if "preemption" in result:
        found["victims"] = result["preemption"].get("victims", [])
    return found


def compared(recording: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Pairs of what was recorded and what the twin finds, for each pod."""
    recorded = recording["result"]
    compact = bool(recorded.get("compact"))
    twin = Twin(recording["scenario"], masks=not compact)
    profiles = {name: profile.described() for name, profile in twin.profiles.items()}
    assert profiles == recorded["profiles"], recording["scenario"]["name"]
    for expected, result in zip(recorded["pods"], twin.schedule_given(), strict=True):
        if compact:
            yield dict(expected), compacted(result)
        else:
            yield expanded(expected, recorded["statuses"]), result


def main(families: Sequence[str]) -> None:
    """Compare all recordings of the families."""
    folder = Path(os.environ["KSCALE_DATA"])
    for family in families or [*FAMILIES, *LARGE]:
        began = time.perf_counter()
        agree, differ, first = Counter[str](), Counter[str](), dict[str, str]()
        pods = same = 0
        for path in files(folder, family):
            for expected, result in compared(read(path)):
                pods += 1
                same += expected == result
                for field in dict.fromkeys([*FIELDS, *COMPACT, *expected, *result]):
                    if field not in expected and field not in result:
                        continue
                    if expected.get(field) == result.get(field):
                        agree[field] += 1
                    else:
                        differ[field] += 1
                        first.setdefault(field, _difference(path, field, expected, result))
        seconds = time.perf_counter() - began
        print(f"{family}: {same} of {pods} pods agree in all ({seconds:.1f} s)")
        for field in agree | differ:
            if differ[field]:
                print(f"    {field}: {agree[field]} agree, {differ[field]} differ; first {first[field]}")


def _difference(path: Path, field: str, expected: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    one, two = expected.get(field), result.get(field)
    return f"{path.parent.name}/{path.name} {expected['pod']}:\n        recorded {one}\n        twin     {two}"


if __name__ == "__main__":
    main(sys.argv[1:])
