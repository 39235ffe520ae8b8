"""SimKube's recordings, version 2 (acrlabs/simkube): what was applied and deleted in a cluster, in MessagePack or JSON.

Objects are mostly owners of pods, such as Deployments; times are seconds. Beside them stand the lives of pods, by owner
and by a hash of the pod's spec: ``{"Finished": [start, end]}``, ``{"Running": start}`` or ``"Empty"``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from kscale.errors import InputError
from kscale.state.manifests.faults import told
from kscale.traces import Options, Reader, Trace
from kscale.traces.common import files
from kscale.traces.common.checks import LARGEST_SECONDS
from kscale.traces.common.owners import Life, Owners
from kscale.traces.common.recorded import Recorded, at, whole

_VERSION = 2
_SECOND = 10**6


class _Tracked(msgspec.Struct, rename="camel"):
    pod_spec_template_paths: list[str] | None = None
    pod_spec_template_path: str | None = None


class _Config(msgspec.Struct, rename="camel"):
    tracked_objects: dict[str, _Tracked] = {}


class _Event(msgspec.Struct):
    """Objects stay as they are written until it is their turn: as values they would take ten times the memory."""

    ts: int
    applied_objs: list[msgspec.Raw] = []
    deleted_objs: list[msgspec.Raw] = []


class _Packed(msgspec.Struct):
    version: int
    config: _Config
    events: list[_Event]
    pod_lifecycles: dict[tuple[str, str], msgspec.Raw] = {}


class _Written(msgspec.Struct):
    """The same as JSON, whose mappings cannot have pairs as keys."""

    version: int
    config: _Config
    events: list[_Event]
    pod_lifecycles: dict[str, msgspec.Raw] = {}


def _detects(path: Path, head: bytes) -> bool:
    if head[1:10] == b"\xa7version\x02":
        return True
    if head.lstrip()[:1] == b"{":
        return b'"trackedObjects"' in head and b'"events"' in head
    return path.name.removesuffix(".gz").endswith(".sktrace")


def _decoded(path: Path, options: Options) -> _Packed | _Written:
    data = files.whole(path, options)
    written = data.lstrip()[:1] == b"{"
    try:
        found: _Packed | _Written = (
            msgspec.json.decode(data, type=_Written) if written else msgspec.msgpack.decode(data, type=_Packed)
        )
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        fault = told(error)
        if fault.field:
            raise InputError(fault.problem, file=path, field=fault.field, expected=fault.expected) from None
        whole_recording = f"version {_VERSION}, MessagePack or JSON"
        raise InputError(f"is no recording of SimKube: {fault.problem}", file=path, expected=whole_recording) from None
    if found.version != _VERSION:
        raise InputError(f"is {found.version}", file=path, field="version", expected=str(_VERSION))
    if isinstance(found, _Written) and found.pod_lifecycles:
        raise InputError("is in JSON", file=path, field="pod_lifecycles", expected="MessagePack, with pairs as keys")
    return found


def _read(path: Path, options: Options) -> Trace:
    found = _decoded(path, options)
    recorded = Recorded(path, options, "event")
    for number, event in enumerate(found.events, 1):
        if not 0 <= event.ts <= LARGEST_SECONDS:
            recorded.refuse(InputError(f"is {event.ts}", field="ts", expected="seconds since 1970"), number)
    origin = min((event.ts for event in found.events), default=0)
    owners = Owners(recorded, {gvk: _paths(tracked) for gvk, tracked in found.config.tracked_objects.items()})
    objects, decode = 0, _decoder(msgspec.json if isinstance(found, _Written) else msgspec.msgpack, dict[str, Any])
    for number, event in sorted(enumerate(found.events, 1), key=lambda pair: pair[1].ts):
        time_us = (event.ts - origin) * _SECOND
        for take, several in ((owners.apply, event.applied_objs), (owners.delete, event.deleted_objs)):
            objects += len(several)
            for raw in several:
                one: Any = None
                try:
                    one = decode(raw)
                    take(one, time_us)
                except InputError as error:
                    recorded.bad(error, number, str(at(one, "metadata", "name") or ""))
    lives = _lives(path, found, owners, recorded, origin)
    notes = (
        f"simkube: {objects:,} objects applied or deleted in {len(found.events):,} events are {len(recorded):,} pods; "
        "seconds are counted from the first event; there are no nodes.",
        f"simkube: {lives:,} lives of pods are recorded: they pair with the pods of their owner in the order of their "
        "starts. Other pods last until their owner is deleted or has fewer of them.",
        "simkube: a changed template replaces all pods of its owner at once; pods of CronJobs and DaemonSets are those "
        "whose lives are recorded.",
        *(f"simkube: left out: {what} ({count:,})." for what, count in sorted(owners.counts.items())),
    )
    return recorded.trace("simkube", notes, None, None)


def _decoder(form: Any, kind: Any) -> Callable[[msgspec.Raw], Any]:
    """Return what decodes a part of a recording; it raises InputError."""
    decode = form.Decoder(kind).decode

    def decoded(raw: msgspec.Raw) -> Any:
        try:
            return decode(raw)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise told(error) from None

    return decoded


def _paths(tracked: _Tracked) -> list[str]:
    one = tracked.pod_spec_template_path
    return tracked.pod_spec_template_paths or ([one] if one is not None else [])


def _lives(path: Path, found: _Packed | _Written, owners: Owners, recorded: Recorded, origin: int) -> int:
    """Take the recorded lives; return how many there are."""
    count, decode = 0, _decoder(msgspec.msgpack, dict[int, list[Any]])
    for key, raw in found.pod_lifecycles.items():
        where = f"{path}, pod_lifecycles of {' '.join(key)[:120]}"
        lives: list[Life] = []
        try:
            told_of = [one for several in decode(raw).values() for one in several]
        except InputError as error:
            _bad(recorded, error, where)
            continue
        for one in told_of:
            try:
                life = _life(one, origin)
            except InputError as error:
                _bad(recorded, error, where)
                continue
            count += 1
            if life is None:
                owners.counts["lives that never began"] += 1
            else:
                lives.append(life)
        owners.lived((key[0], key[1]), lives)
    return count


def _bad(recorded: Recorded, error: InputError, where: str) -> None:
    field = error.field if error.field in ("Running", "Finished") else "pod_lifecycles"
    recorded.bad(InputError(error.problem, file=where, field=field, expected=error.expected), 0)


def _life(found: Any, origin: int) -> Life | None:
    """Return a life in microseconds from the first event, or None for one that never began. Raises InputError."""
    match found:
        case "Empty":
            return None
        case {"Running": start}:
            return (_within(start, "Running") - origin) * _SECOND, None
        case {"Finished": [start, end]}:
            return (_within(start, "Finished") - origin) * _SECOND, (_within(end, "Finished") - origin) * _SECOND
    raise InputError(f"'{str(found)[:60]}' is no life", field="pod_lifecycles", expected="Empty, Running or Finished")


def _within(seconds: Any, field: str) -> int:
    return whole(seconds, field, LARGEST_SECONDS)


READER = Reader(
    name="simkube",
    doc="SimKube 2: recordings of a cluster's objects and of the lives of their pods.",
    detects=_detects,
    read=_read,
)
