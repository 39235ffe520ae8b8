"""HorizontalPodAutoscaling, slow and obvious: one autoscaler, pods as records, numbers of Python."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

MOST = 2**31 - 1


@dataclass(frozen=True)
class Pod:
    """What the autoscaler knows of a pod; ``level`` is its sample, None where there is none."""

    level: int | None = 0
    request: int = 1000
    phase: str = "Running"
    deleted: bool = False
    start_us: int = -(10**12)
    ready: bool = True
    ready_us: int = -(10**12)


@dataclass(frozen=True)
class Clock:
    """The present, the time of samples, and the controller's flags."""

    now_us: int = 0
    sample_us: int = 0
    window_us: int = 15_000_000
    initialization_us: int = 300_000_000
    readiness_us: int = 30_000_000


def group(pod: Pod, cpu: bool, clock: Clock) -> str:
    """How a pod counts."""
    if pod.deleted or pod.phase == "Failed":
        return "ignored"
    if pod.phase == "Pending":
        return "unready"
    if pod.level is None:
        return "missing"
    if not cpu:
        return "counted"
    if pod.start_us + clock.initialization_us > clock.now_us:
        unready = not pod.ready or clock.sample_us < pod.ready_us + clock.window_us
    else:
        unready = not pod.ready and pod.start_us + clock.readiness_us > pod.ready_us
    return "unready" if unready else "counted"


def within(ratio: float, tolerance: tuple[float, float]) -> bool:
    """Whether a ratio is close enough to 1; the tolerance is upwards and downwards."""
    up, down = tolerance
    return 1.0 - down <= ratio <= 1.0 + up


def up(wanted: float) -> int:
    """The next whole number, as int32 holds it."""
    return MOST if wanted > MOST else math.ceil(wanted)


def measured(used: Sequence[tuple[int, int]], target: int, percent: bool) -> tuple[int, float]:
    """The percentage or average of (value, request), and its ratio to the target."""
    value, requests = sum(v for v, _ in used), sum(r for _, r in used)
    shown = value * 100 // requests if percent else value // len(used)
    return shown, shown / target


def by_pods(
    current: int, target: int, percent: bool, tolerance: tuple[float, float], pods: Sequence[Pod], cpu: bool,
    clock: Clock,
) -> tuple[int, int] | None:  # fmt: skip
    """Replicas that a metric of pods asks for, and what the status shows; None where it cannot be told."""
    groups = [(group(pod, cpu, clock), pod) for pod in pods]
    used = [(pod.level or 0, pod.request) for name, pod in groups if name == "counted"]
    missing = [pod for name, pod in groups if name == "missing"]
    unready = [pod for name, pod in groups if name == "unready"]
    if not used or (percent and not sum(request for _, request in used)):
        return None
    ready = len(used)
    shown, ratio = measured(used, target, percent)
    upwards = bool(unready) and ratio > 1
    if not upwards and not missing:
        return (current if within(ratio, tolerance) else up(ratio * ready)), shown
    for pod in missing:
        if percent and ratio < 1:
            used.append((pod.request * max(100, target) // 100, pod.request))
        elif percent and ratio > 1:
            used.append((0, pod.request))
        elif not percent:
            used.append((target if ratio < 1 else 0, pod.request))
    if upwards:
        used += [(0, pod.request) for pod in unready]
    _, held = measured(used, target, percent)
    if within(held, tolerance) or (ratio < 1 < held) or (held < 1 < ratio):
        return current, shown
    wanted = up(held * len(used))
    if (held < 1 and wanted > current) or (held > 1 and wanted < current):
        return current, shown
    return wanted, shown


def by_value(
    current: int, status: int, pods: int, ready: int, value: int, target: int, average: bool,
    tolerance: tuple[float, float],
) -> tuple[int, int] | None:  # fmt: skip
    """Replicas that a metric of one value asks for, and what the status shows."""
    if average:
        ratio = value / (target * status) if status else math.inf
        wanted = status if within(ratio, tolerance) else up(value / target)
        return wanted, math.ceil(value / max(status, 1))
    ratio = value / target
    if current == 0:
        return up(ratio), value
    if within(ratio, tolerance):
        return current, value
    return None if pods == 0 else (up(ratio * ready), value)


@dataclass(frozen=True)
class Rules:
    """One direction of ``behavior``; policies are (Pods or Percent, value, period in microseconds)."""

    window_us: int = 0
    select: str = "Max"
    policies: tuple[tuple[str, int, int], ...] = ()


History = Sequence[tuple[int, int]]


def stabilised(desired: int, recommendations: History, now_us: int, window_us: int) -> int:
    """The highest of the window; entries are (value, time)."""
    return max([desired, *(value for value, time in recommendations if time >= now_us - window_us)])


def stabilised_by_rules(
    current: int, desired: int, recommendations: History, now_us: int, up_: Rules, down: Rules
) -> int:
    """The least of the window upwards, the highest of it downwards."""
    low = min([desired, *(value for value, time in recommendations if time > now_us - up_.window_us)])
    high = max([desired, *(value for value, time in recommendations if time > now_us - down.window_us)])
    result = current
    if result < low:
        result = low
    return min(result, high)


def clamped(current: int, desired: int, least: int, most: int) -> tuple[int, str]:
    """Desired replicas without ``behavior``, and the reason of ScalingLimited."""
    limit, reason = (max(2 * current, 4), "ScaleUpLimit") if most > max(2 * current, 4) else (most, "TooManyReplicas")
    if desired < least:
        return least, "TooFewReplicas"
    return (limit, reason) if desired > limit else (desired, "DesiredWithinRange")


def limit(current: int, events: History, now_us: int, rules: Rules, sign: int) -> int:
    """How far policies let the replicas go; events are (change, time)."""
    if rules.select == "Disabled":
        return current
    proposed = []
    for kind, value, period_us in rules.policies:
        begun = current - sum(change for change, time in events if time > now_us - period_us)
        if kind == "Pods":
            proposed.append(begun + sign * value)
        elif sign > 0:
            proposed.append(math.ceil(begun * (1 + value / 100)))
        else:
            proposed.append(math.trunc(begun * (1 - value / 100)))
    if sign > 0:
        return max(max(proposed) if rules.select == "Max" else min(proposed), current)
    return min(min(proposed) if rules.select == "Max" else max(proposed), current)


def clamped_by_rules(
    current: int, desired: int, least: int, most: int, events: History, now_us: int, up_: Rules, down: Rules
) -> tuple[int, str]:
    """Desired replicas with ``behavior``, and the reason of ScalingLimited."""
    if desired > current:
        ceiling = limit(current, events, now_us, up_, 1)
        highest, reason = (ceiling, "ScaleUpLimit") if most > ceiling else (most, "TooManyReplicas")
        return (highest, reason) if desired > highest else (desired, "DesiredWithinRange")
    if desired < current:
        floor = limit(current, events, now_us, down, -1)
        lowest, reason = (floor, "ScaleDownLimit") if least < floor else (least, "TooFewReplicas")
        return (lowest, reason) if desired < lowest else (desired, "DesiredWithinRange")
    return desired, "DesiredWithinRange"
