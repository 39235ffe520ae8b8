"""The slow and obvious twin of nodes that come and go (kscale.turnover): one event after the other, in dicts and lists.

Which pods an event wakes is asked pod by pod, plug-in by plug-in, as kube-scheduler's queueing hints do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tests import naive
from tests.naive import Entry, Node, NodeState, Pod, Result, Spec


@dataclass(frozen=True)
class Event:
    """What happens to a node; amounts that are None stay as they are."""

    time_us: int
    node: int
    kind: str
    cpu_milli: int | None = None
    memory_bytes: int | None = None


class Turning(naive.Simulation):
    """A cluster whose nodes join, leave and change."""

    def __init__(self, events: Sequence[Event], requeue: bool, *given: Any) -> None:
        super().__init__(*given)
        self.pods = list(self.pods)
        self.events, self.requeue = list(events), requeue
        self.listed = [state.node.unschedulable for state in self.states]
        for node in range(len(self.states)):
            kinds = [event.kind for event in events if event.node == node]
            self.there[node] = kinds[:1] != ["join"]

    def node_times(self) -> list[int]:
        return [event.time_us for event in self.events]

    def change_nodes(self) -> None:
        while self.events and self.events[0].time_us <= self.now:
            self.change(self.events.pop(0))

    def change(self, event: Event) -> None:
        """One event."""
        node = self.states[event.node].node
        was_there, before = self.there[event.node], dict(node.allocatable)
        if event.kind in ("join", "update"):
            given = {"cpu": event.cpu_milli, "memory": event.memory_bytes}
            node.allocatable |= {name: amount for name, amount in given.items() if amount is not None}
        if event.kind == "join" and not was_there:
            self.there[event.node], node.unschedulable = True, self.listed[event.node]
        elif event.kind == "leave" and was_there:
            self.leave(event.node)
        elif was_there and event.kind in ("cordon", "uncordon"):
            node.unschedulable = event.kind == "cordon"
        if self.there[event.node]:
            self.wake("join" if not was_there else event.kind, node, before)

    def leave(self, node: int) -> None:
        """All that is on the node loses it."""
        if self.trying and self.trying.place and self.trying.place[0] == node:
            index = self.trying.entry.index
            self.states[node].give(self.pods[index].spec, self.trying.place[1])
            entry, self.trying = self.trying.entry, None
            self.queue.fail(entry, self.now, False, True)
        on = [index for index, found in enumerate(self.results) if found.status == "running" and found.node == node]
        for index in sorted(on, key=lambda index: self.results[index].decision or 0):
            pod, result = self.pods[index], self.results[index]
            self.states[node].give(pod.spec, result.devices)
            self.ends = [end for end in self.ends if end[2] != index]
            result.status, result.ended_us = "lost", self.now
            self.queue.pod_ended(self.now)
            if self.trying:
                self.trying.pod_ended = True
            if self.requeue:
                root, _, times = pod.name.partition("~r")
                self.pods.append(replace(pod, name=f"{root}~r{int(times or 0) + 1}", arrival_us=self.now))
                self.results.append(Result(arrived_us=self.now))
                self.queue.arrive(Entry(len(self.pods) - 1, pod.spec.priority))
        self.there[node] = False

    def wake(self, kind: str, node: Node, before: dict[str, int]) -> None:
        """Pods at rest that the event may help are tried again."""
        for entry in list(self.queue.resting):
            if self.helps(entry.rejected_by, self.pods[entry.index].spec, kind, node, before):
                self.queue._return([entry], self.now)
        if self.trying and self.trying.place is None:
            spec = self.pods[self.trying.entry.index].spec
            if self.helps(self.trying.rejected_by, spec, kind, node, before):
                self.trying.node_helps = True

    def helps(self, plugins: frozenset[str], spec: Spec, kind: str, node: Node, before: dict[str, int]) -> bool:
        """Whether one of the plug-ins that turned the pod away sees a reason to try it again."""
        empty = NodeState(node)
        fits = not naive.node_resources_fit(empty, spec)
        if kind == "update":
            more = any(spec.amount(name) > 0 and node.allocatable[name] > before[name] for name in ("cpu", "memory"))
            return "NodeResourcesFit" in plugins and fits and more
        if kind == "uncordon":
            return "NodeUnschedulable" in plugins
        if kind != "join":
            return False
        reasons = {
            "NodeResourcesFit": fits,
            "NodeUnschedulable": not node.unschedulable,
            "NodeAffinity": not naive.node_affinity(empty, spec),
            "TaintToleration": not naive.taint_toleration(empty, spec),
            "NodeName": True,
            "GpuShare": not naive.gpu_share(empty, spec),
        }
        return not plugins or any(reasons[plugin] for plugin in plugins)


def run(
    nodes: Sequence[Node], pods: Sequence[Pod], events: Sequence[Event], *, requeue: bool = True, ends: str = "service",
    scheduler_us_per_pod: int = 0, until_us: int | None = None, profile: str = "default",
) -> tuple[list[Pod], list[Result]]:  # fmt: skip
    """Play the workload; returns the pods, those that took the place of lost ones last, and what became of each."""
    typical = naive.typical_pods(pod.spec for pod in pods) if profile == "FGD" else ()
    turning = Turning(events, requeue, nodes, pods, profile, ends, False, scheduler_us_per_pod, typical)
    while (now := turning.next_time()) is not None and (until_us is None or now <= until_us):
        turning.step(now)
    return turning.pods, turning.results
