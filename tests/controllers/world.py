"""A small world for controllers: objects and pods as columns, kubelets and the scheduler played by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale import controllers
from kscale.engine import living, objects, pods
from kscale.engine.kinds import CREATE, DELETE, THERE, TRACK
from kscale.engine.objects import FAILED, SUCCEEDED
from kscale.engine.pods import FINISHED, QUEUED, REMOVED, RUNNING, UNUSED
from kscale.engine.reconcile import Manager
from kscale.engine.world import World
from kscale.kernels import parameters, plain_form
from kscale.state import schema
from kscale.state.descriptions import NodeDescriptions, PodTemplate
from kscale.state.tables import Cluster

ROWS = schema.full_names(schema.load(controllers.columns()))
#: Lengths of the dimensions that matter here; all others are one long.
SIZES = {
    **{dimension: 1 for table, column in ROWS.values() for dimension in column.dims or (table.name,)},
    "pod": 4096, "life": 4096, "due": 8192, "request": 64, "object": 64, "template": 64, "node": 64, "queues": 6,
    "resource": 4,
}  # fmt: skip
MINUTE = 60_000_000


class Hand:
    """A world whose pods are bound, started and ended by hand; controllers run at once, or with their limits."""

    def __init__(self, *names: str, limited: bool = False, **sizes: int) -> None:
        """Take the controllers of these names, all where there are none."""
        self.cluster = Cluster({**SIZES, **sizes}, controllers.columns())
        free = self.cluster.sizes["pod"]
        self.cluster.queue_free[:] = np.arange(free - 1, -1, -1)
        self.cluster.queue_size[3] = free
        self.world = World(self.cluster, controllers.kinds(), self._carry_out)
        chosen = [one for name, one in controllers.found().items() if not names or name in names]
        assert not set(names) - {one.name for one in chosen}, "no such controller"
        self.manager = Manager(self.world, chosen, limited=limited)
        self.now = 0

    def describe(self, nodes: NodeDescriptions, *templates: PodTemplate) -> None:
        """Say how nodes are described from now on, and what templates ask where they are given."""
        self.world.template_descriptions = list(templates) or self.world.template_descriptions
        self.world.describe(nodes, self.now)

    def call(self, function: Any, *own: Any) -> Any:
        """Call a kernel as plain Python with its own arguments and its columns."""
        return plain_form(function)(*own, *self.cluster.arguments(parameters(function)[len(own) :]))

    def make(self, kind: str, name: str, *, owner: int = -1, namespace: str = "default", **columns: Any) -> int:
        """Make an object as a person would; return its row."""
        given = {column: np.array([value]) for column, value in columns.items()} or {
            next(iter(self.cluster.tables[self.world.kinds[kind].table].columns)): np.array([0])
        }
        made = self.world.create(
            kind, given, self.now, owner=np.array([owner]), names=[name], namespaces=[namespace]
        )  # fmt: skip
        return int(made[0])

    def write(self, object_: int, **columns: Any) -> None:
        """Change the spec of an object."""
        table = self.world.kind_of(object_).table
        for name, value in columns.items():
            self.cluster.columns[f"{table}_{name}"][self.cluster.object_row[object_]] = value
        self.world.fit_parts(self.world.kind_of(object_).name, np.array([object_]))
        self.cluster.object_generation[object_] += 1
        self.world.note(np.array([object_]), self.now)

    def read(self, object_: int, column: str) -> Any:
        """Return a column of an object's own table."""
        table = self.world.kind_of(object_).table
        return self.cluster.columns[f"{table}_{column}"][self.cluster.object_row[object_]].item()

    def objects(self, kind: str, owner: int | None = None) -> list[int]:
        """Return the objects of a kind that are there, the oldest first; those of an owner where one is given."""
        found = self.world.all_of(kind)
        found = found[self.cluster.object_live[found] == THERE]
        found = found[np.argsort(self.cluster.object_uid[found])]
        return [one for one in found.tolist() if owner is None or self.cluster.object_owner[one] == owner]

    def pods(self, owner: int | None = None) -> list[int]:
        """Return the pods that are there, the oldest first."""
        cluster = self.cluster
        there = np.flatnonzero((cluster.pod_state != UNUSED) & (cluster.pod_state != REMOVED))
        there = there[np.argsort(cluster.pod_trace_row[there])]
        return [pod for pod in there.tolist() if owner is None or cluster.life_owner[pod] == owner]

    def active(self, owner: int | None = None) -> list[int]:
        """Return the pods that have not finished and are not being deleted."""
        cluster = self.cluster
        return [p for p in self.pods(owner) if cluster.life_deleted_us[p] < 0 and cluster.life_phase[p] < SUCCEEDED]

    def _carry_out(self, now_us: int) -> None:
        cluster = self.cluster
        for row in range(int(cluster.cluster_requests[0])):
            if cluster.request_verb[row] == CREATE:
                pod = self.call(living.create_pod, row, now_us)
                self.call(pods.reset, pod)
                owner, number, pin = (int(cluster.columns[f"request_{n}"][row]) for n in ("owner", "number", "pin"))
                self.call(objects.fresh_life, pod, owner, number, pin)
                self.call(objects.adopt, pod)
                cluster.pod_state[pod] = QUEUED
                self._changed(pod, 1)
                continue
            pod = int(cluster.request_pod[row])
            if cluster.pod_trace_row[pod] != cluster.request_serial[row] or pod not in self.pods():
                continue
            if cluster.request_verb[row] == DELETE:
                self.delete(pod, int(cluster.request_grace_us[row]))
            elif cluster.request_verb[row] == TRACK:
                cluster.life_tracked[pod] = cluster.request_tracked[row]
                if cluster.pod_state[pod] == FINISHED and not cluster.life_tracked[pod]:
                    self._changed(pod, -1)
                    self._remove(pod)
            else:
                self._changed(pod, -1)
                self.call(objects.disown, pod)
                cluster.life_owner[pod] = -1

    def _changed(self, pod: int, sign: int) -> None:
        self.call(objects.count_owned, pod, sign)
        self.call(objects.note_pod, pod, self.now)

    def change(self, pod: int, **columns: Any) -> None:
        """Change columns of ``life``, or of ``pod`` (``node``), of a pod."""
        self._changed(pod, -1)
        for name, value in columns.items():
            self.cluster.columns[f"pod_{name}" if name in ("node", "state") else f"life_{name}"][pod] = value
        self._changed(pod, 1)

    def bind(self, pod: int, node: int = 0) -> None:
        """Bind a pod: it is Pending on a node."""
        self.change(pod, node=node, state=RUNNING)

    def run(self, *chosen: int, node: int = 0, ready: bool = True) -> None:
        """Bind and start pods, and make them ready, and available if their owner asks for no more."""
        for pod in chosen:
            self.change(pod, node=node, state=RUNNING, phase=objects.RUNNING_PHASE, addressed=1)
            if ready:
                self.ready(pod)

    def ready(self, pod: int, ready: bool = True) -> None:
        """Make a pod ready, or not."""
        self.change(pod, ready=int(ready), ready_us=self.now)
        self._changed(pod, -1)
        self.call(living.become_available, pod, self.now)
        self._changed(pod, 1)

    def finish(self, pod: int, *, well: bool = True, exit_code: int = 1) -> None:
        """End a pod by itself: Succeeded, or Failed."""
        self._changed(pod, -1)
        cluster, owner = self.cluster, int(self.cluster.life_owner[pod])
        cluster.life_phase[pod], cluster.life_ready[pod] = (SUCCEEDED if well else FAILED), 0
        cluster.life_available[pod], cluster.life_exit_code[pod] = 0, (0 if well else exit_code)
        cluster.pod_ended_us[pod] = self.now
        if owner >= 0:
            cluster.columns["object_succeeded" if well else "object_failed"][owner] += 1
        self._end(pod, 0)

    def _end(self, pod: int, stopped: int) -> None:
        if self.call(living.is_kept, pod, stopped):
            self.cluster.pod_state[pod] = FINISHED
            self._changed(pod, 1)
        else:
            self._remove(pod)

    def _remove(self, pod: int) -> None:
        self.call(objects.disown, pod)
        self.cluster.pod_state[pod] = REMOVED
        self.call(objects.note_pod, pod, self.now)

    def delete(self, pod: int, grace_us: int = -1) -> None:
        """Ask for the deletion of a pod: at once where it is not bound or has finished."""
        cluster = self.cluster
        if cluster.pod_state[pod] == RUNNING:
            if cluster.life_deleted_us[pod] < 0:
                self.change(pod, deleted_us=self.now, grace_us=max(grace_us, 0))
            return
        if cluster.pod_state[pod] == FINISHED and self.call(living.is_kept, pod, 1):
            cluster.life_deleted_us[pod] = max(int(cluster.life_deleted_us[pod]), self.now)
            self._changed(pod, 0)
            return
        self._changed(pod, -1)
        self._remove(pod)

    def stopped(self, *chosen: int) -> None:
        """Let pods that are being deleted be gone, all of them where none is given; those that are kept have failed."""
        cluster = self.cluster
        for pod in chosen or [p for p in self.pods() if cluster.life_deleted_us[p] >= 0]:
            if cluster.pod_state[pod] == FINISHED:
                continue
            self._changed(pod, -1)
            if self.call(living.is_kept, pod, 1):
                cluster.pod_ended_us[pod] = self.now
                cluster.life_phase[pod], cluster.life_exit_code[pod] = FAILED, living.TERMINATED
                cluster.life_ready[pod], cluster.life_available[pod] = 0, 0
            self._end(pod, 1)

    def settle(self, most: int = 200) -> int:
        """Let controllers look until nothing more is to be done now; return how often they looked."""
        for rounds in range(most):
            cluster = self.cluster
            if not cluster.cluster_objects_changed[0] and not cluster.cluster_pods_changed[0] and self.due() > self.now:
                return rounds
            self.look()
        raise AssertionError(f"controllers do not come to rest in {most} rounds")

    def look(self) -> None:
        """Let controllers look once."""
        self.manager.look(self.now)

    def due(self) -> int:
        """Return when controllers look next by themselves."""
        due = self.manager.due_us()
        return self.now if due < 0 else due

    def wait(self, us: int) -> None:
        """Let time pass, and controllers do what is due meanwhile."""
        end = self.now + us
        self.settle()
        while self.due() <= end:
            self.now = max(self.due(), self.now)
            self.settle()
        self.now = end
        self.settle()

    def restart(self, name: str) -> None:
        """Start a controller anew."""
        self.manager.reconcilers[name].restart(self.world)
