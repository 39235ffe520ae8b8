"""A DaemonSet's pass in plain words: one set, its nodes one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

SECOND = 1_000_000
FAILED_MOST = 900 * SECOND


@dataclass
class Pod:
    node: int
    row: int
    created: int
    new: bool = True
    phase: str = "Running"
    bound: bool = True
    ready: bool = True
    available: bool = True
    terminating: bool = False
    failures: int = 0


@dataclass
class Set:
    rolling: bool = True
    surge: int = 0
    surge_percent: bool = False
    unavailable: int = 1
    unavailable_percent: bool = False


@dataclass
class Answer:
    created: list[tuple[int, int]] = field(default_factory=list)
    deleted: set[int] = field(default_factory=set)
    later: set[int] = field(default_factory=set)
    status: dict[str, int] = field(default_factory=dict)


def eligible(node: Mapping[str, Any], template: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether a pod should run on a node, and whether one that is there may go on."""
    labels = node["labels"]
    if template.get("node_name") not in (None, "", node["name"]):
        return False, False
    if any(labels.get(key) != value for key, value in template.get("selector", {}).items()):
        return False, False
    terms = template.get("terms")
    if terms is not None and not any(
        term and all(labels.get(key) in values for key, values in term.items()) for term in terms
    ):
        return False, False

    def tolerated(effects: Iterable[str]) -> bool:
        return all(
            any(key in ("", taint[0]) and effect in ("", taint[1]) for key, effect in template.get("tolerations", ()))
            for taint in node["taints"]
            if taint[1] in effects
        )

    if not tolerated(("NoSchedule", "NoExecute")):
        return False, tolerated(("NoExecute",))
    return True, True


def counts(one: Set, desired: int) -> tuple[int, int]:
    surge = -(-one.surge * desired // 100) if one.surge_percent else one.surge
    unavailable = -(-one.unavailable * desired // 100) if one.unavailable_percent else one.unavailable
    if desired and not surge and not unavailable:
        unavailable = 1
    return surge, unavailable


def step(one: Set, nodes: list[tuple[bool, bool]], pods: list[Pod], now: int, burst: int) -> Answer:
    answer = Answer()
    on: dict[int, list[Pod]] = {node: [] for node in range(len(nodes))}
    for pod in pods:
        on[pod.node].append(pod)
    for found in on.values():
        found.sort(key=lambda pod: (not pod.ready, not pod.bound, pod.created, pod.row))
    doomed: list[Pod] = []
    for node, (_, stay) in enumerate(nodes):
        if stay:
            doomed += _surplus(one, on[node], now, answer)
        else:
            doomed += [pod for pod in on[node] if not pod.terminating]
    doomed = doomed[:burst]
    replaced = [
        (pod.node, -1 - _failures(pod, now)) for pod in doomed
        if pod.phase == "Failed" and nodes[pod.node][0] and len(on[pod.node]) == 1
    ]  # fmt: skip
    created = replaced + [(node, -1) for node, (run, _) in enumerate(nodes) if run and not on[node]]
    if not doomed and not created and one.rolling:
        doomed, created = _roll(one, nodes, on)
    answer.deleted = {pod.row for pod in doomed[:burst]}
    answer.created = sorted(created[:burst])
    _status(nodes, on, answer)
    return answer


def _failures(pod: Pod, now: int) -> int:
    before = pod.failures if pod.new and now - pod.created <= 2 * FAILED_MOST else 0
    return before + 1


def _surplus(one: Set, found: list[Pod], now: int, answer: Answer) -> list[Pod]:
    doomed, running = set(), []
    for pod in found:
        if pod.terminating:
            continue
        if pod.phase == "Failed":
            before = pod.failures if pod.new else 0
            until = pod.created + min(SECOND * 2 ** (before - 1), FAILED_MOST) if before else now
            if until > now:
                answer.later.add(until)
            else:
                doomed.add(pod.row)
        elif pod.phase == "Succeeded":
            doomed.add(pod.row)
        else:
            running.append(pod)
    if one.rolling and one.surge:
        new, old = [pod for pod in running if pod.new], [pod for pod in running if not pod.new]
        doomed |= {pod.row for pod in new[1:] + old[1:]}
        if new and old and (not old[0].ready or new[0].available):
            doomed.add(old[0].row)
    else:
        doomed |= {pod.row for pod in running[1:]}
    return [pod for pod in found if pod.row in doomed]


def _roll(
    one: Set, nodes: list[tuple[bool, bool]], on: dict[int, list[Pod]]
) -> tuple[list[Pod], list[tuple[int, int]]]:
    surge, unavailable = counts(one, sum(run for run, _ in nodes))
    at_once: list[Pod] = []
    candidates: list[Pod] = []
    second: list[int] = []
    second_candidates: list[int] = []
    without, surging = 0, 0
    done: list[Pod] = []
    for node, found in on.items():
        if not found and not nodes[node][0]:
            continue
        new = [pod for pod in found if pod.new and not pod.terminating]
        old = [pod for pod in found if not pod.new and not pod.terminating]
        if len(new) > 1 or len(old) > 1:
            without, surging = without + 1, surging + 1
        elif new and old:
            without += 1
            if new[0].available:
                done.append(old[0])
            else:
                surging += 1
        elif old:
            if old[0].available:
                candidates.append(old[0])
                if nodes[node][0]:
                    second_candidates.append(node)
            else:
                without += 1
                at_once.append(old[0])
                if nodes[node][0]:
                    second.append(node)
        elif not new or not new[0].available:
            without += 1
    if surge:
        made = sorted(second + second_candidates[: max(surge - surging, 0)])
        return done, [(node, -1) for node in made]
    doomed = at_once + candidates[: max(unavailable - without, 0)]
    return sorted(doomed, key=lambda pod: pod.node), []


def _status(nodes: list[tuple[bool, bool]], on: dict[int, list[Pod]], answer: Answer) -> None:
    best = {node: found[0] for node, found in on.items() if found}
    run = {node for node, (run, _) in enumerate(nodes) if run}
    answer.status = {
        "desired_scheduled": len(run),
        "current_scheduled": len(run & best.keys()),
        "misscheduled": len(best.keys() - run),
        "ready_nodes": sum(best[node].ready for node in run & best.keys()),
        "available_nodes": sum(best[node].available for node in run & best.keys()),
        "updated_scheduled": sum(best[node].new for node in run & best.keys()),
    }
    answer.status["unavailable_nodes"] = len(run) - answer.status["available_nodes"]
