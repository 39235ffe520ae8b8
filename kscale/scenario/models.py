"""Scenario files as typed structs: an entry says when, and names exactly one verb."""

from __future__ import annotations

from typing import Any

import msgspec

#: Texts such as ``90s`` or ``1h30m``; a bare number is seconds.
Time = str | int | float
#: As Kubernetes has it: ``250m``, ``2``, ``512Mi``.
Quantity = str | int | float


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel", gc=False):
    """What all structs share: a field that is not known is an error."""


class Aimed(Part, frozen=True):
    """What concerns one object: ``target`` as kubectl has it (``deployment/web``), or ``kind`` and ``name``."""

    target: str | None = None
    kind: str | None = None
    name: str | None = None
    namespace: str = "default"


class Scale(Aimed, frozen=True, kw_only=True):
    """kubectl scale."""

    replicas: int


class Image(Aimed, frozen=True, kw_only=True):
    """kubectl set image: images by the names of containers; ``*`` are all."""

    containers: dict[str, str]


class Rollback(Aimed, frozen=True):
    """kubectl rollout undo; 0 is the revision before."""

    to: int = 0


class Delete(Aimed, frozen=True):
    """kubectl delete, of one object, or of pods by their labels."""

    pods: str | dict[str, str] | None = None
    cascade: str = "background"
    grace: Time | None = None


class Evict(Aimed, frozen=True):
    """The eviction of pods by their labels, or of a workload's."""

    pods: str | dict[str, str] | None = None


class Crash(Aimed, frozen=True):
    """Containers that crash: how often in an hour, and how likely at each start."""

    per_hour: float = 0.0
    per_start: float = 0.0
    lasting: Time | None = msgspec.field(default=None, name="for")


class Registry(Part, frozen=True):
    """The image registry: a factor of its bandwidth, and whether it fails."""

    bandwidth: float = 1.0
    failing: bool = False
    lasting: Time | None = msgspec.field(default=None, name="for")


class Curve(Part, frozen=True):
    """A curve that is not constant: points by their times, or a sine."""

    points: dict[str, Quantity] | None = None
    linear: bool = False
    mean: Quantity | None = None
    amplitude: Quantity | None = None
    period: Time | None = None
    phase: Time = 0


class Load(Aimed, frozen=True):
    """What is asked of a workload in all."""

    cpu: Quantity | Curve | None = None
    memory: Quantity | Curve | None = None
    metrics: dict[str, Quantity | Curve] | None = None
    lasting: Time | None = msgspec.field(default=None, name="for")


class Duration(Part, frozen=True, kw_only=True):
    """How long connections last: their mean, and the power by which long ones fall off; without it, exponentially."""

    mean: Time
    tail: float | None = None


class Flow(Part, frozen=True, kw_only=True):
    """Connections to a Service, or to the one Service of a workload."""

    to: str
    source: str | None = msgspec.field(default=None, name="from")
    namespace: str | None = None
    from_namespace: str | None = None
    rate: Quantity | Curve
    duration: Time | Duration | None = None


class Traffic(Part, frozen=True):
    """One flow, or a list of them; what ``flows`` leave out is as the action says."""

    to: str | None = None
    source: str | None = msgspec.field(default=None, name="from")
    namespace: str = "default"
    from_namespace: str | None = None
    rate: Quantity | Curve | None = None
    duration: Time | Duration = 0
    flows: tuple[Flow, ...] | None = None
    lasting: Time | None = msgspec.field(default=None, name="for")


class Random(Part, frozen=True):
    """Times that are drawn: how many, and between which two."""

    between: tuple[Time, Time]
    times: int = 1


class Entry(Part, frozen=True):
    """One entry of a scenario file."""

    at: Time | None = None
    every: Time | None = None
    first: Time | None = msgspec.field(default=None, name="from")
    until: Time | None = None
    times: int | None = None
    random: Random | None = None
    apply: Any = None
    scale: Scale | None = None
    image: Image | None = None
    pause: Aimed | str | None = None
    resume: Aimed | str | None = None
    rollback: Rollback | str | None = None
    restart: Aimed | str | None = None
    delete: Delete | str | None = None
    evict: Evict | str | None = None
    crash: Crash | None = None
    registry: Registry | None = None
    load: Load | None = None
    traffic: Traffic | None = None


#: The struct of each verb, None where it has but a value.
VERBS: dict[str, type[Part] | None] = {
    "apply": None, "scale": Scale, "image": Image, "pause": Aimed, "resume": Aimed, "rollback": Rollback,
    "restart": Aimed, "delete": Delete, "evict": Evict, "crash": Crash, "registry": Registry, "load": Load,
    "traffic": Traffic,
}  # fmt: skip
#: What says when.
TIMES = ("at", "every", "from", "until", "times", "random")
