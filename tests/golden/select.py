"""Chooses the recordings that are kept here: ``KSCALE_DATA=folder python -m tests.golden.select``.

``KSCALE_DATA`` names a folder with ``golden/scheduler/<family>/<number>.json.gz``: scenarios, and what the real
kube-scheduler v1.34.1 decided on them. What a recording shows is told as a set of features: its family, its
configuration, the kinds and fields of its objects, the verdicts, scores and victims of its results. Recordings are
taken one after another, each time the one that shows most of what has not been shown yet for its size, until nothing
is left to show or ``MOST_BYTES`` are reached; equals go by name. So the same recordings give the same selection.
They are copied as they are.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: Of all files together, in bytes, and of those that carry placements only.
MOST_BYTES = 3_000_000
HERE = Path(__file__).parent / "scheduler"
#: Compact recordings that are kept whatever they show: they are large, and show placements only.
LARGE = ("scale_mixed/0", "scale_deploy/0")
#: Fields whose values matter, not only that they are there.
_VALUED = {
    "operator", "effect", "whenUnsatisfiable", "protocol", "topologyKey", "nodeAffinityPolicy", "nodeTaintsPolicy",
    "minDomains", "maxSkew", "restartPolicy", "preemptionPolicy", "phase", "accessModes", "volumeBindingMode",
    "volumeMode", "schedulerName", "imagePullPolicy", "unschedulable", "hostNetwork", "priorityClassName",
}  # fmt: skip
#: Fields whose keys are names that somebody chose.
_NAMED = {"labels", "matchLabels", "nodeSelector", "annotations", "selector"}
Features = frozenset[tuple[str, ...]]


def features(family: str, recording: dict[str, Any]) -> Features:
    """What a recording shows."""
    scenario, result = recording["scenario"], recording["result"]
    config = hashlib.sha256((scenario.get("config") or "").encode()).hexdigest()
    found: set[tuple[str, ...]] = {("family", family), ("config", config)}
    for item in [*scenario["objects"], *scenario["pending"]]:
        found.update(("field", item.get("kind", "Pod"), path) for path in _paths(item))
    for pod in result["pods"]:
        found.update(_of_result(pod, result, config))
    return frozenset(found)


def _paths(value: Any, path: str = "", key: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _paths(inner, f"{path}.{'*' if key in _NAMED else name}", name)
    elif isinstance(value, list):
        for inner in value:
            yield from _paths(inner, path, key)
    else:
        yield f"{path}={value}" if key in _VALUED else path


def _reason(text: str) -> str:
    """A reason without the names and numbers in it."""
    return re.sub(r'"[^"]*"|\{[^}]*\}|\[[^]]*\]|\d+', "_", text)


def _of_result(pod: dict[str, Any], result: dict[str, Any], config: str) -> Iterator[tuple[str, ...]]:
    yield "status", pod["status"]
    if result.get("compact"):
        return
    statuses = result["statuses"]
    for index in {*pod.get("filter", ()), *([pod["prefilter"]] if "prefilter" in pod else [])}:
        status = statuses[index]
        yield "verdict", status["plugin"], status["code"], *map(_reason, status["reasons"])
    names = result["profiles"].get(pod.get("profile", "default-scheduler"), {}).get("filter", [])
    for mask in set(pod.get("mask", ())):
        rejecting = [name for bit, name in enumerate(names) if mask >= 0 and mask >> bit & 1]
        yield "mask", *(rejecting if mask >= 0 else ["left out"])
    for point in ("skip_filter", "skip_score"):
        yield point, *sorted(pod.get(point, ()))
    for plugin, points in pod.get("norm", {}).items():
        yield "scorer", plugin, config
        yield from (("points", plugin, str(each)) for each in set(points))
    if len(pod.get("feasible", ())) == 1:
        yield ("one feasible node",)
    yield "ties", str(min(len(pod.get("ties", ())), 5))
    yield from _of_preemption(pod.get("preemption"))


def _of_preemption(found: dict[str, Any] | None) -> Iterator[tuple[str, ...]]:
    if found is None:
        return
    yield "preemption", str(found.get("eligible")), _reason(found.get("message") or "")
    for candidate in found.get("candidates", ()):
        yield "candidate", str(min(len(candidate["victims"]), 8)), str(min(candidate["pdb_violations"], 3))
    yield "best", str(min(len(found.get("ties", ())), 3)), str(min(len(found.get("victims", ())), 8))


def select(folder: Path, most: int = MOST_BYTES) -> list[Path]:
    """The recordings to keep, by name."""
    files = sorted(folder.glob("*/*.json.gz"))
    shown = {}
    for file in files:
        with gzip.open(file) as stream:
            shown[file] = features(file.parent.name, json.load(stream))
    kept = [file for file in files if f"{file.parent.name}/{file.name.split('.')[0]}" in LARGE]
    room = most - sum(file.stat().st_size for file in kept)
    missing = frozenset().union(*shown.values()) - frozenset().union(*(shown[file] for file in kept))
    while missing:
        left = [file for file in files if file not in kept and file.stat().st_size <= room and shown[file] & missing]
        if not left:
            break
        best = max(left, key=lambda file: len(shown[file] & missing) / file.stat().st_size)
        kept.append(best)
        room -= best.stat().st_size
        missing -= shown[best]
    print(f"{len(missing)} of {len(frozenset().union(*shown.values()))} features are not shown")
    return sorted(kept)


def main() -> None:
    folder = Path(os.environ["KSCALE_DATA"]) / "golden" / "scheduler"
    kept = select(folder)
    shutil.rmtree(HERE, ignore_errors=True)
    for file in kept:
        target = HERE / file.parent.name / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    print(f"{len(kept)} recordings, {sum(file.stat().st_size for file in kept):,} bytes")


if __name__ == "__main__":
    main()
