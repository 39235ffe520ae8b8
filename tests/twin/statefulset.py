"""A StatefulSet's pass in plain words: one set, its pods one by one."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Pod:
    ordinal: int
    revision: int
    phase: str = "Running"
    ready: bool = True
    available: bool = True
    terminating: bool = False
    row: int = -1

    def runs(self) -> bool:
        return self.phase == "Running" and self.ready

    def good(self) -> bool:
        return self.runs() and not self.terminating

    def usable(self) -> bool:
        return self.good() and self.available


@dataclass
class Set:
    replicas: int
    revision: int
    template: int = 0
    current_revision: int = -1
    current_template: int = -1
    start: int = 0
    ordered: bool = True
    rolling: bool = True
    partition: int = 0
    max_unavailable: int = 1
    percent: bool = False
    gate: bool = False
    deleted: bool = False
    #: Names of its claim templates, and of claims that there are: whose each is (the set, or nobody), and of which pod.
    name: str = "web"
    templates: tuple[str, ...] = ()
    claims: dict[str, tuple[str, int]] = field(default_factory=dict)
    owns: bool = False
    drops: bool = False
    #: Whether the owners of its claims may be wrong.
    stale: bool = True


@dataclass
class Answer:
    """Ordinals and what they are made of; claims that are made, with their owners; pods that go; the status.

    ``owned`` are claims that get another owner, ``given`` those that get a pod (a row) which they go with. ``settled``:
    all owners are right by now.
    """

    created: list[tuple[int, int, int]] = field(default_factory=list)
    claimed: list[tuple[str, str]] = field(default_factory=list)
    deleted: list[Pod] = field(default_factory=list)
    status: dict[str, int] = field(default_factory=dict)
    owned: dict[str, str] = field(default_factory=dict)
    given: dict[str, int] = field(default_factory=dict)
    settled: bool = False


def max_unavailable(value: int, percent: bool, replicas: int) -> int:
    return max(value * replicas // 100 if percent else value, 1)


def step(one: Set, pods: list[Pod]) -> Answer:
    answer = Answer()
    if one.current_revision < 0:
        one.current_revision, one.current_template = one.revision, one.template
    for pod in pods:
        if pod.revision < 0:
            pod.revision = one.current_revision
    slots: list[Pod | None] = [None] * one.replicas
    condemned = []
    for pod in pods:
        if one.start <= pod.ordinal < one.start + one.replicas:
            slots[pod.ordinal - one.start] = pod
        else:
            condemned.append(pod)
    if not one.deleted:
        _manage(one, slots, sorted(condemned, key=lambda pod: -pod.ordinal), pods, answer)
    answer.deleted.sort(key=lambda pod: -pod.ordinal)
    _status(one, pods, answer)
    return answer


def claims_of(one: Set, ordinal: int) -> list[str]:
    return [f"{template}-{one.name}-{ordinal}" for template in one.templates]


def _manage(one: Set, slots: list[Pod | None], condemned: list[Pod], pods: list[Pod], answer: Answer) -> None:
    for index, pod in enumerate(slots):
        ordinal = one.start + index
        if pod is None:
            old = one.rolling and index < one.partition
            answer.created.append((
                ordinal, one.current_revision if old else one.revision, one.current_template if old else one.template,
            ))  # fmt: skip
            missing = [name for name in claims_of(one, ordinal) if name not in one.claims]
            owner = one.name if one.owns else ""
            answer.claimed += [(name, owner) for name in missing]
            for name in claims_of(one, ordinal):
                if name in one.claims and one.claims[name][0] != owner:
                    answer.owned[name] = owner
            if one.ordered:
                return
        elif pod.phase in ("Succeeded", "Failed") and not pod.terminating:
            answer.deleted.append(pod)
            if one.ordered:
                return
        elif one.ordered and not pod.usable():
            return
    _own(one, condemned, pods, answer)
    unhealthy = [pod for pod in condemned if not pod.good()]
    for pod in condemned:
        if pod.terminating:
            if one.ordered:
                return
            continue
        if one.ordered and not (pod.runs() and pod.available) and pod is not (unhealthy or [None])[-1]:
            return
        answer.deleted.append(pod)
        if one.ordered:
            return
    if one.rolling:
        _update(one, slots, answer)


def _update(one: Set, slots: list[Pod | None], answer: Answer) -> None:
    if one.gate:
        room = max_unavailable(one.max_unavailable, one.percent, one.replicas)
        room -= sum(pod is None or not pod.usable() for pod in slots)
    for index in range(one.replicas - 1, one.partition - 1, -1):
        pod = slots[index]
        going = pod is None or pod.terminating or pod in answer.deleted
        if not going and pod.revision != one.revision:
            if not one.gate:
                answer.deleted.append(pod)
                return
            if room > 0:
                answer.deleted.append(pod)
                room -= 1
        elif not one.gate and (pod is None or not pod.usable()):
            return


def _status(one: Set, pods: list[Pod], answer: Answer) -> None:
    status = answer.status
    status["status_replicas"] = len(pods)
    status["ready_replicas"] = sum(pod.runs() for pod in pods)
    status["available_replicas"] = sum(pod.runs() and pod.available for pod in pods)
    staying = [pod for pod in pods if not pod.terminating]
    status["current_replicas"] = sum(pod.revision == one.current_revision for pod in staying)
    status["updated_replicas"] = sum(pod.revision == one.revision for pod in staying)
    status["current_revision"], status["current_template"] = one.current_revision, one.current_template
    if one.rolling and (
        status["updated_replicas"] == status["ready_replicas"] == status["status_replicas"] == one.replicas
    ):
        status["current_replicas"] = status["updated_replicas"]
        status["current_revision"], status["current_template"] = one.revision, one.template


def _own(one: Set, condemned: list[Pod], pods: list[Pod], answer: Answer) -> None:
    owner = one.name if one.owns else ""
    answer.settled = one.stale and bool(one.templates)
    for pod in pods:
        for name in claims_of(one, pod.ordinal):
            if name in one.claims:
                if one.stale and one.claims[name][0] != owner:
                    answer.owned[name] = owner
                if one.drops and pod in condemned and one.claims[name][1] != pod.row:
                    answer.given[name] = pod.row
