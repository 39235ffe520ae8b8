"""Reads what a kubelet reads of a pod: its spec as JSON, and annotations that say how its containers behave.

Annotations of the pod template, all optional. One holds for the regular containers; with ``.<container>`` at its end,
for the container of that name alone, which may be one of init:

    kscale.dev/run-time             how long a container runs by itself (init containers: 0s; others: until stopped)
    kscale.dev/exit-code            what it then returns (0)
    kscale.dev/crash-probability    of its starts, the share that crash at once (0)
    kscale.dev/crashes-per-hour     how often it crashes while it runs (0)
    kscale.dev/crash-exit-code      what it returns when it crashes (1)
    kscale.dev/ready-after          from its start until it answers probes (0s)
    kscale.dev/hangs-after          from its start until it answers them no more (never)
    kscale.dev/memory               memory at its start (0)
    kscale.dev/memory-growth        memory more per second, against its limit (0)
    kscale.dev/stop-time            how long it takes to stop after SIGTERM (0s)
    kscale.dev/prestop-time         how long its preStop hook takes, where it does not sleep a stated time (0s)
    kscale.dev/poststart-time       the same of its postStart hook (0s)
    kscale.dev/pull-failures        how many pulls of its image fail first; -1: all (0)
    kscale.dev/image-layers         its image's layers and their sizes: base=80Mi,app=12Mi (one layer)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from kscale.errors import InputError, nearest
from kscale.node.qos import qos_class
from kscale.state.lives import (
    ALWAYS_RESTART,
    INIT,
    MOST_CRASHES,
    NEVER_RESTART,
    ON_FAILURE,
    REGULAR,
    SIDECAR,
    ContainerLife,
    PodLife,
    Probe,
    crash_mean_us,
)
from kscale.state.manifests.faults import one_of, told
from kscale.state.manifests.models import Part, Resources
from kscale.state.manifests.requests import amounts, whole
from kscale.state.quantities import parse_duration, parse_quantity

PREFIX = "kscale.dev/"
#: The annotation of pods that a file on the node made, with the source ``file``, or of their mirrors.
STATIC = ("kubernetes.io/config.source", "kubernetes.io/config.mirror")
_POLICIES = {"Never": NEVER_RESTART, "OnFailure": ON_FAILURE, "Always": ALWAYS_RESTART}
_SECOND = 1_000_000


class _Probe(Part, frozen=True):
    initial_delay_seconds: int | None = None
    period_seconds: int | None = None
    timeout_seconds: int | None = None
    success_threshold: int | None = None
    failure_threshold: int | None = None


class _Sleep(Part, frozen=True):
    seconds: int | None = None


class _Hook(Part, frozen=True):
    sleep: _Sleep | None = None


class _Lifecycle(Part, frozen=True):
    post_start: _Hook | None = None
    pre_stop: _Hook | None = None


class _Container(Part, frozen=True):
    name: str | None = None
    image: str | None = None
    image_pull_policy: str | None = None
    restart_policy: str | None = None
    resources: Resources | None = None
    lifecycle: _Lifecycle | None = None
    startup_probe: _Probe | None = None
    liveness_probe: _Probe | None = None
    readiness_probe: _Probe | None = None


class _Claim(Part, frozen=True):
    claim_name: str | None = None


class _Volume(Part, frozen=True):
    persistent_volume_claim: _Claim | None = None


class _Spec(Part, frozen=True):
    containers: tuple[_Container, ...] | None = None
    init_containers: tuple[_Container, ...] | None = None
    volumes: tuple[_Volume, ...] | None = None
    restart_policy: str | None = None
    termination_grace_period_seconds: int | None = None
    host_network: bool | None = None
    automount_service_account_token: bool | None = None
    resources: Resources | None = None


_decode = msgspec.json.Decoder(_Spec).decode


def life_of(spec: bytes | msgspec.Raw, annotations: Mapping[str, str], namespace: str = "default") -> PodLife:
    """Return what a kubelet reads of a pod, with Kubernetes' defaults. Raises InputError."""
    try:
        found = _decode(spec)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise told(error) from None
    policy = _POLICIES[one_of(found.restart_policy or "Always", _POLICIES, "spec.restartPolicy")]
    grace = found.termination_grace_period_seconds
    if grace is not None and grace < 0:
        raise InputError(f"{grace} is negative", field="spec.terminationGracePeriodSeconds", expected="0 or more")
    read = _Reader(annotations, policy)
    containers = [
        *(read.container(one, i, "initContainers") for i, one in enumerate(found.init_containers or ())),
        *(read.container(one, i, "containers") for i, one in enumerate(found.containers or ())),
    ]
    read.check()
    volumes = found.volumes or ()
    claims = [one.persistent_volume_claim.claim_name or "" for one in volumes if one.persistent_volume_claim]
    token = found.automount_service_account_token is not False
    return PodLife(
        containers=tuple(containers),
        restart_policy=policy,
        grace_us=(30 if grace is None else grace) * _SECOND,
        qos=_qos(found),
        mounts=len(volumes) - len(claims) + token,
        claims=tuple(f"{namespace}/{name}" for name in claims),
        static=annotations.get(STATIC[0]) == "file" or STATIC[1] in annotations,
        host_network=bool(found.host_network),
        cpu_limit_milli=_cpu_limit(found),
        layers=tuple(read.layers.items()),
    )


def _qos(spec: _Spec) -> int:
    containers = [
        _resources(one.resources, f"spec.{kind}[{i}].resources")
        for kind, list_ in (("containers", spec.containers), ("initContainers", spec.init_containers))
        for i, one in enumerate(list_ or ())
    ]
    return qos_class(containers, _resources(spec.resources, "spec.resources"))


def _cpu_limit(spec: _Spec) -> int:
    """Return the limit of the cpu of all regular containers, that of the pod where one is stated; 0 has none."""
    of_pod = _resources(spec.resources, "spec.resources")[1].get("cpu", 0)
    limits = [_resources(one.resources, "spec.containers")[1].get("cpu", 0) for one in spec.containers or ()]
    return whole(of_pod or (sum(limits) if all(limits) else 0), "cpu", "spec.containers")


def _resources(resources: Resources | None, field: str) -> tuple[dict[str, int], dict[str, int]]:
    """Return requests and limits in thousandths; a limit without a request is the request."""
    if resources is None:
        return {}, {}
    limits = amounts(resources.limits, f"{field}.limits")
    return limits | amounts(resources.requests, f"{field}.requests"), limits


class _Reader:
    """Reads containers with the annotations that are about them."""

    def __init__(self, annotations: Mapping[str, str], policy: int) -> None:
        self._notes = {name: value for name, value in annotations.items() if name.startswith(PREFIX)}
        self._policy = policy
        self._names: set[str] = set()
        self.layers: dict[str, tuple[tuple[str, int], ...]] = {}

    def container(self, one: _Container, place: int, list_: str) -> ContainerLife:
        """Return a container's life. Raises InputError."""
        field = f"spec.{list_}[{place}]"
        kind, restart = REGULAR, self._policy
        if list_ == "initContainers":
            kind, restart = INIT, ON_FAILURE if self._policy != NEVER_RESTART else NEVER_RESTART
            if one.restart_policy is not None:
                one_of(one.restart_policy, ("Always",), f"{field}.restartPolicy")
                kind, restart = SIDECAR, ALWAYS_RESTART
        image = one.image or ""
        latest = "@" not in image and (":" not in image.rpartition("/")[2] or image.endswith(":latest"))
        pulls = one.image_pull_policy or ("Always" if latest and image else "IfNotPresent")
        one_of(pulls, ("Always", "Never", "IfNotPresent"), f"{field}.imagePullPolicy")
        lifecycle = one.lifecycle or _Lifecycle()
        limit = _resources(one.resources, f"{field}.resources")[1].get("memory", 0)
        behaviour = self._behaviour(one.name or "", kind, image)
        for hook, key in ((lifecycle.pre_stop, "prestop_us"), (lifecycle.post_start, "poststart_us")):
            if hook is None:
                behaviour.pop(key, None)
            elif hook.sleep is not None:
                behaviour[key] = (hook.sleep.seconds or 0) * _SECOND
        return ContainerLife(
            name=one.name or "", kind=kind, image=image, always_pulls=bool(image) and pulls == "Always",
            never_pulls=pulls == "Never", restart=restart, limit=-(-limit // 1000),
            startup=_probe(one.startup_probe, f"{field}.startupProbe", kind, one_success=True),
            liveness=_probe(one.liveness_probe, f"{field}.livenessProbe", kind, one_success=True),
            readiness=_probe(one.readiness_probe, f"{field}.readinessProbe", kind),
            **behaviour,
        )  # fmt: skip

    def _behaviour(self, name: str, kind: int, image: str) -> dict[str, Any]:
        self._names.add(name)
        found: dict[str, Any] = {"run_us": 0} if kind == INIT else {}
        for key, (field, read) in _BEHAVIOUR.items():
            own = f"{PREFIX}{key}.{name}"
            for note in (own, f"{PREFIX}{key}"):
                if note in self._notes and (note == own or kind == REGULAR):
                    found[field] = _told(read, self._notes[note], note)
                    break
        layers = found.pop("layers", None)
        if layers is not None and image:
            self.layers[image] = layers
        return found

    def check(self) -> None:
        """Refuse annotations that are not known, or about no container. Raises InputError."""
        for note in self._notes:
            key, dot, name = note.removeprefix(PREFIX).partition(".")
            if key not in _BEHAVIOUR:
                raise InputError(
                    f"'{key[:80]}' is not known{nearest(key[:80], _BEHAVIOUR)}",
                    field=f"metadata.annotations['{note[:120]}']", expected=f"one of {', '.join(_BEHAVIOUR)}",
                )  # fmt: skip
            if dot and name not in self._names:
                raise InputError(
                    f"there is no container '{name[:80]}'{nearest(name[:80], self._names)}",
                    field=f"metadata.annotations['{note[:120]}']", expected="the name of a container of the pod",
                )  # fmt: skip


def _probe(probe: _Probe | None, field: str, kind: int, *, one_success: bool = False) -> Probe | None:
    if probe is None:
        return None
    if kind == INIT:
        raise InputError("is not allowed", field=field, expected="a probe only where restartPolicy is Always")
    given = {
        "initialDelaySeconds": (probe.initial_delay_seconds, 0, 0),
        "periodSeconds": (probe.period_seconds, 10, 1),
        "timeoutSeconds": (probe.timeout_seconds, 1, 1),
        "successThreshold": (probe.success_threshold, 1, 1),
        "failureThreshold": (probe.failure_threshold, 3, 1),
    }
    values = []
    for name, (value, default, least) in given.items():
        # The API server takes 0 for what is not stated.
        chosen = value if value else default
        if not least <= chosen <= 1 << 31:
            raise InputError(f"{chosen} is out of range", field=f"{field}.{name}", expected=f"{least} or more")
        values.append(chosen)
    delay, period, timeout, success, failure = values
    if one_success and success != 1:
        raise InputError(f"{success} is not allowed", field=f"{field}.successThreshold", expected="1")
    return Probe(delay * _SECOND, period * _SECOND, timeout * _SECOND, success, failure)


def _told(read: Callable[[str], Any], value: str, note: str) -> Any:
    try:
        return read(value)
    except InputError as error:
        raise InputError(
            error.problem, field=f"metadata.annotations['{note[:120]}']", expected=error.expected
        ) from None


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        digits = text.strip()
        if not digits.removeprefix("-").isascii() or not digits.removeprefix("-").isdigit() or len(digits) > 18:
            raise InputError(f"'{text[:64]}' is no whole number", expected=f"a whole number from {least} to {most}")
        if not least <= int(digits) <= most:
            raise InputError(f"{digits} is out of range", expected=f"a whole number from {least} to {most}")
        return int(digits)

    return read


def _number(text: str, most: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= most:
        raise InputError(f"'{text[:64]}' is out of range", expected=f"a number from 0 to {most:g}")
    return number


def _layers(text: str) -> tuple[tuple[str, int], ...]:
    found: dict[str, int] = {}
    for part in text.split(","):
        name, equals, size = part.strip().partition("=")
        if not name or not equals:
            raise InputError(f"'{part[:64]}' is no layer", expected="layers and sizes, such as base=80Mi,app=12Mi")
        found[name] = parse_quantity(size)
    return tuple(found.items())


_BEHAVIOUR: dict[str, tuple[str, Callable[[str], Any]]] = {
    "run-time": ("run_us", parse_duration),
    "exit-code": ("exit_code", _whole(0, 255)),
    "crash-probability": ("crash_millionths", lambda text: round(_number(text, 1) * 1_000_000)),
    "crashes-per-hour": ("crash_mean_us", lambda text: crash_mean_us(_number(text, MOST_CRASHES))),
    "crash-exit-code": ("crash_code", _whole(1, 255)),
    "ready-after": ("ready_us", parse_duration),
    "hangs-after": ("hang_us", parse_duration),
    "memory": ("memory", parse_quantity),
    "memory-growth": ("growth", parse_quantity),
    "stop-time": ("stop_us", parse_duration),
    "prestop-time": ("prestop_us", parse_duration),
    "poststart-time": ("poststart_us", parse_duration),
    "pull-failures": ("pull_failures", _whole(-1, 1_000_000)),
    "image-layers": ("layers", _layers),
}
