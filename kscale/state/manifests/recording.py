"""Recordings: scenarios of Kubernetes objects, and what the real kube-scheduler decided on them.

Indices of nodes and of statuses, and the lengths of lists, are checked as a recording is read.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable, Sized
from pathlib import Path
from typing import Any

import msgspec

from kscale.errors import InputError
from kscale.state.descriptions import DEFAULT_SCHEDULER
from kscale.state.manifests.faults import told

#: Most bytes of a recording; they are decoded as a whole.
_MOST = 1 << 30
_POD = re.compile(r"result\.pods\[(\d+)\]")


class RecordedStatus(msgspec.Struct, frozen=True):
    """A verdict, as it was recorded."""

    plugin: str
    code: str
    reasons: tuple[str, ...] = ()


class RecordedProfile(msgspec.Struct):
    """The plug-ins that filter, in the order they run."""

    filter: list[str] = []


class RecordedCandidate(msgspec.Struct):
    """A node where evicting pods would make room."""

    node: str
    victims: list[str]
    pdb_violations: int = 0


class RecordedPreemption(msgspec.Struct):
    """What came of looking for victims."""

    eligible: bool = True
    candidates: list[RecordedCandidate] = []
    victims: list[str] = []


class RecordedPod(msgspec.Struct):
    """What was decided on a pending pod. Of a compact recording, ``feasible`` and ``ties`` are numbers of nodes."""

    pod: str
    status: str
    node: str | None = None
    profile: str = DEFAULT_SCHEDULER
    prefilter: int | None = None
    filter: list[int] | None = None
    mask: list[int] | None = None
    feasible: list[int] | int | None = None
    raw: dict[str, list[int]] = {}
    norm: dict[str, list[int]] = {}
    total: list[int] | None = None
    ties: list[int] | int | None = None
    preemption: RecordedPreemption | None = None
    victims: list[str] | None = None

    @property
    def evicted(self) -> list[str]:
        """The pods that were evicted for it, the most important first."""
        if self.victims is not None:
            return self.victims
        return self.preemption.victims if self.preemption is not None else []


class RecordedResult(msgspec.Struct):
    """What was decided; ``nodes`` are the nodes' names, by which all indices go."""

    pods: list[RecordedPod]
    nodes: list[str] = []
    statuses: list[RecordedStatus] = []
    profiles: dict[str, RecordedProfile] = {}
    compact: bool = False


class Scenario(msgspec.Struct):
    """The objects, and the pods that were scheduled in this order."""

    objects: list[dict[str, Any]]
    pending: list[dict[str, Any]]
    config: str | None = None


class Recording(msgspec.Struct):
    """A scenario, and what was decided on it."""

    scenario: Scenario
    result: RecordedResult


def read_recording(file: Path) -> Recording:
    """Return a recording. Raises InputError that names the file and, where it is one pod's result, the pod."""
    data = _bytes(file)
    try:
        found = msgspec.json.decode(data, type=Recording)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        fault = told(error)
        field = fault.field or ""
        raise InputError(
            f"is no recording: {fault.problem}", file=file, field=field + _whose(data, field) or None,
            expected=fault.expected if field else '{"scenario": …, "result": …}',
        ) from None  # fmt: skip
    if len(found.scenario.pending) != len(found.result.pods):
        raise InputError(
            f"has {len(found.scenario.pending)} pending pods and results for {len(found.result.pods)}", file=file,
            expected="one result for each",
        )  # fmt: skip
    for pod in found.result.pods:
        try:
            _check(pod, found.result)
        except InputError as error:
            raise InputError(
                error.problem, file=f"{file}, pod {pod.pod[:200]}", field=error.field, expected=error.expected
            ) from None
    return found


def _bytes(file: Path) -> bytes:
    try:
        data = file.read_bytes()
        if data[:2] == b"\x1f\x8b":
            with gzip.open(file) as stream:
                data = stream.read(_MOST + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError("does not exist", file=file, expected="a recording, or a folder of them") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"cannot be read as gzip: {error}", file=file, expected="a whole gzip file") from None
    except ValueError as error:
        raise InputError(f"cannot be opened: {error}", file=str(file)[:200], expected="a recording") from None
    if len(data) > _MOST:
        raise InputError("is too large", file=file, expected="at most 1 GiB")
    return data


def _whose(data: bytes, field: str) -> str:
    """Return the pod whose result a field is in, as words to add."""
    place = _POD.match(field)
    try:
        name = msgspec.json.decode(data)["result"]["pods"][int(place[1])]["pod"] if place else None
    except (msgspec.DecodeError, LookupError, TypeError, RecursionError):
        return ""
    return f" (pod {name[:200]})" if isinstance(name, str) else ""


def _check(pod: RecordedPod, result: RecordedResult) -> None:
    """Check indices and lengths. Raises InputError."""
    nodes, statuses = len(result.nodes), len(result.statuses)
    if pod.prefilter is not None:
        _within("prefilter", [pod.prefilter], statuses, "an index of a status")
    if result.compact:
        return
    if pod.filter is None and (pod.feasible is not None or pod.mask is not None):
        raise InputError("is missing", field="filter", expected="a status of each node")
    if pod.filter is not None:
        _long("filter", pod.filter, nodes, "a status of each node")
        _within("filter", pod.filter, statuses, "indices of statuses")
        if pod.profile not in result.profiles:
            raise InputError(f"'{pod.profile[:200]}' is not described", field="profile", expected="one of profiles")
        if pod.mask is None:
            raise InputError("is missing", field="mask", expected="a number for each node")
        _long("mask", pod.mask, nodes, "a number for each node")
    if pod.feasible is not None:
        _check_scores(pod, nodes)
    for candidate in pod.preemption.candidates if pod.preemption is not None else ():
        if candidate.node not in result.nodes:
            raise InputError(f"names no node: {candidate.node[:200]}", field="preemption", expected="names of nodes")


def _check_scores(pod: RecordedPod, nodes: int) -> None:
    feasible, ties = pod.feasible, pod.ties
    if not isinstance(feasible, list):
        raise InputError("is no list", field="feasible", expected="indices of nodes")
    if not isinstance(ties, list):
        raise InputError("is no list", field="ties", expected="indices of nodes")
    _within("feasible", feasible, nodes, "indices of nodes")
    _within("ties", ties, nodes, "indices of nodes")
    for field, scores in (("raw", pod.raw), ("norm", pod.norm)):
        for name, values in scores.items():
            _long(f"{field}.{name[:100]}", values, len(feasible), "a score of each feasible node")
    _long("total", pod.total or (), len(feasible), "the total of each feasible node")


def _within(field: str, found: Iterable[int], size: int, what: str) -> None:
    wrong = next((index for index in found if not 0 <= index < size), None)
    if wrong is not None:
        raise InputError(f"has {wrong}", field=field, expected=f"{what}: 0 to {size - 1}" if size else "none")


def _long(field: str, found: Sized, size: int, what: str) -> None:
    if len(found) != size:
        raise InputError(f"has {len(found)} values", field=field, expected=f"{what}: {size}")
