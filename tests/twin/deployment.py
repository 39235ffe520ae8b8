"""The Deployment controller as one would write it down: one Deployment at a time, in dicts and whole numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor
from typing import Any

import numpy as np

from kscale.controllers.common.progress import AVAILABILITY, PROGRESSING
from kscale.engine.kinds import THERE
from kscale.engine.pods import GONE, REMOVED, UNUSED
from kscale.engine.requests import CREATE_OBJECTS, DELETE_OBJECTS, UPDATE, Request, Requests
from kscale.engine.world import World

Columns = dict[str, Any]
COUNTS = ("status_replicas", "updated_replicas", "ready_replicas", "available_replicas", "unavailable_replicas")
STATUS = (*COUNTS, "progressing", "progressing_us", "availability", "availability_us", "revision", "object_observed")


@dataclass
class Deployment:
    """A Deployment: what its table and ``object`` say, its ReplicaSets (the oldest first), pods of old ones left."""

    row: Columns
    sets: list[Columns]
    old_pods: int
    now_us: int
    asks: list[tuple[Any, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.before = {name: self.row[name] for name in STATUS}
        self.wanted = self.row["replicas"]
        self.rolling = self.row["strategy"] == 0
        self.new = next((one for one in self.sets if one["content"] == self.row["content"]), None)
        self.old = [one for one in self.sets if one is not self.new]
        self.again: int | None = None

    # Bounds ---------------------------------------------------------------------------------------------------------

    def bounds(self) -> tuple[int, int]:
        """Return surge and unavailable."""
        if not self.rolling:
            return 0, 0
        surge, unavailable = self.row["surge"], self.row["unavailable"]
        if self.row["surge_percent"]:
            surge = ceil(Fraction(surge * self.wanted, 100))
        if self.row["unavailable_percent"]:
            unavailable = floor(Fraction(unavailable * self.wanted, 100))
        if surge == 0 and unavailable == 0:
            unavailable = 1
        return surge, min(unavailable, self.wanted)

    @property
    def most(self) -> int:
        """The most pods that it may have."""
        return int(self.wanted + self.bounds()[0])

    @property
    def least(self) -> int:
        """The fewest available pods that it may have."""
        return int(self.wanted - self.bounds()[1])

    # One sync -------------------------------------------------------------------------------------------------------

    def sync(self) -> None:
        """Do one step."""
        if self.row["deleted_us"] >= 0:
            self.sync_revision(create=False)
            self.count()
            self.write()
            return
        self.note_pause()
        active = [one for one in self.sets if one["replicas"] > 0]
        if self.row["paused"]:
            self.sync_revision(create=False)
            self.scale()
            self.clean_up()
            self.count()
        elif self.row["rollback_to"] >= 0:
            self.sync_revision(create=True)
            self.roll_back()
        elif any(one["desired"] >= 0 and one["desired"] != self.wanted for one in active):
            self.sync_revision(create=False)
            self.scale()
            self.count()
        else:
            (self.roll if self.rolling else self.recreate)()
            self.count()
            self.judge()
            self.requeue()
        self.write()

    def sync_revision(self, *, create: bool) -> None:
        """Number the new ReplicaSet, or make it."""
        highest = max([0, *(one["revision"] for one in self.old)]) + 1
        watched = self.row["deadline_us"] >= 0
        if self.new is not None:
            number = max(self.new["revision"], highest)
            ready = self.row["min_ready_us"]
            if self.new["min_ready_us"] != ready:
                self.asks.append(("number", self.new["object"], number, ready))
            elif number != self.new["revision"]:
                self.asks.append(("number", self.new["object"], number, None))
            else:
                self.row["revision"] = number
                if watched and not self.row["progressing"]:
                    self.say("FoundNewReplicaSet")
            self.new = self._changed(self.new, revision=number)
        elif create:
            total = sum(one["replicas"] for one in self.old)
            size = self.wanted
            if self.rolling:
                size = 0 if total >= self.most else min(self.most - total, self.wanted)
            self.asks.append(("create", self.row["template"], self.row["content"], size, highest, self.wanted,
                              self.most, self.row["min_ready_us"]))  # fmt: skip
            self.new = {"object": None, "replicas": size, "revision": highest, "content": self.row["content"],
                        "status_replicas": 0, "ready_replicas": 0, "available_replicas": 0, "desired": self.wanted,
                        "most": self.most}  # fmt: skip
            self.sets = [*self.sets, self.new]
            self.row["revision"] = highest
            if watched:
                self.say("NewReplicaSetCreated")

    def _changed(self, one: Columns, **columns: Any) -> Columns:
        changed = {**one, **columns}
        self.sets = [changed if other is one else other for other in self.sets]
        return changed

    def resize(self, one: Columns, size: int) -> bool:
        """Ask for another size; tell whether it is one. What the rest of this step reads stays as it was."""
        if one["replicas"] == size:
            return False
        self.asks.append(("resize", one["object"], size, self.wanted, self.most, True))
        return True

    def roll(self) -> None:
        """RollingUpdate."""
        self.sync_revision(create=True)
        assert self.new is not None
        total, size = sum(one["replicas"] for one in self.sets), self.new["replicas"]
        if size > self.wanted:
            size = self.wanted
        elif size < self.wanted and total < self.most:
            size += min(self.most - total, self.wanted - size)
        if self.resize(self.new, size) or self.shrink_old(total):
            return
        if self.complete(self.before):
            self.clean_up()

    def shrink_old(self, total: int) -> bool:
        """Take pods from old ReplicaSets; tell whether there were any to take."""
        assert self.new is not None
        spare = total - self.least - (self.new["replicas"] - self.new["available_replicas"])
        olds = [dict(one) for one in self.old if one["replicas"] > 0]
        if not olds or spare <= 0:
            return False
        taken = 0
        for one in olds:
            if taken >= spare:
                break
            if one["available_replicas"] > one["replicas"]:
                return False
            part = min(spare - taken, one["replicas"] - one["available_replicas"])
            self.resize(one, one["replicas"] - part)
            one["replicas"] -= part
            taken += part
        above = sum(one["available_replicas"] for one in self.sets) - self.least
        for one in olds:
            part = min(one["replicas"], max(above, 0))
            self.resize(one, one["replicas"] - part)
            above -= part
            taken += part
        return taken > 0

    def recreate(self) -> None:
        """Recreate: the new ReplicaSet waits for the last pod of the old ones."""
        self.sync_revision(create=False)
        emptied = [self.resize(one, 0) for one in self.old]
        if any(emptied):
            return
        if self.old_pods or any(one["status_replicas"] > 0 for one in self.old):
            return
        if self.new is None:
            self.sync_revision(create=True)
        assert self.new is not None
        self.resize(self.new, self.wanted)
        if self.complete(self.before):
            self.clean_up()

    def scale(self) -> None:
        """Scale what is there."""
        active = [one for one in self.sets if one["replicas"] > 0]
        if len(active) <= 1:
            latest = active or ([self.new] if self.new is not None else self.old[-1:])
            for one in latest:
                self.resize(one, self.wanted)
            return
        new = self.new
        if new and new["replicas"] == new["desired"] == new["available_replicas"] == self.wanted:
            for one in active:
                if one is not new:
                    self.resize(one, 0)
        elif self.rolling:
            self.share_out(active)

    def share_out(self, active: list[Columns]) -> None:
        """Scale in proportion."""
        to_add = (self.most if self.wanted else 0) - sum(one["replicas"] for one in active)
        younger_first = active[::-1] if to_add > 0 else active
        by_size = sorted(younger_first, key=lambda one: -int(one["replicas"]))
        added, sizes = 0, []
        for one in by_size:
            part = 0
            if to_add not in (0, added):
                part = (min if to_add > 0 else max)(self.fraction(one), to_add - added)
            sizes.append(one["replicas"] + part)
            added += part
        if to_add:
            sizes[0] = max(sizes[0] + to_add - added, 0)
        for one, size in zip(by_size, sizes, strict=True):
            if not self.resize(one, size) and (one["desired"], one["most"]) != (self.wanted, self.most):
                self.asks.append(("resize", one["object"], size, self.wanted, self.most, False))

    def fraction(self, one: Columns) -> int:
        """Return by how many pods a ReplicaSet is to change."""
        if self.wanted == 0:
            return -int(one["replicas"])
        base = one["most"] if one["most"] > 0 else self.row["status_replicas"]
        if base == 0:
            return 0
        return floor(Fraction(one["replicas"] * self.most, base) + Fraction(1, 2)) - int(one["replicas"])

    def clean_up(self) -> None:
        """Delete what is beyond the history that is kept."""
        alive = sorted((one for one in self.old if one["deleted_us"] < 0), key=lambda one: int(one["revision"]))
        if self.row["history_limit"] < 0:
            return
        for one in alive[: max(len(alive) - self.row["history_limit"], 0)]:
            if one["replicas"] == 0 and one["status_replicas"] <= 0 and one["observed"] >= one["generation"]:
                self.asks.append(("delete", one["object"]))

    def roll_back(self) -> None:
        """Take the template of a former revision."""
        assert self.new is not None
        target = self.row["rollback_to"]
        if target == 0:
            target = ([0, 0, *sorted(one["revision"] for one in self.sets)])[-2]
        for one in [*self.old, self.new]:
            if target > 0 and one["revision"] == target:
                if one["content"] != self.row["content"]:
                    self.asks.append(("template", one["template"], one["content"]))
                    return
                break
        self.asks.append(("template", None, None))

    # Status ---------------------------------------------------------------------------------------------------------

    def say(self, reason: str) -> None:
        """Give the condition Progressing a reason."""
        if PROGRESSING[self.row["progressing"]] != reason:
            self.row["progressing"], self.row["progressing_us"] = PROGRESSING.index(reason), self.now_us

    def note_pause(self) -> None:
        """Say that it was paused or resumed."""
        reason = PROGRESSING[self.row["progressing"]]
        if self.row["deadline_us"] < 0 or reason == "ProgressDeadlineExceeded":
            return
        if self.row["paused"]:
            self.say("DeploymentPaused")
        elif reason == "DeploymentPaused":
            self.say("DeploymentResumed")

    def count(self) -> None:
        """Count pods, by what the ReplicaSets' statuses said."""

        def total(name: str) -> int:
            return sum(max(one[name], 0) for one in self.sets)

        available = total("available_replicas")
        updated = max(self.new["status_replicas"], 0) if self.new is not None else 0
        counts = (total("status_replicas"), updated, total("ready_replicas"), available,
                  max(total("replicas") - available, 0))  # fmt: skip
        self.row.update(zip(COUNTS, counts, strict=True))
        self.row["object_observed"] = self.row["generation"]
        enough = "MinimumReplicasAvailable" if available >= self.least else "MinimumReplicasUnavailable"
        if AVAILABILITY[self.row["availability"]] != enough:
            self.row["availability"], self.row["availability_us"] = AVAILABILITY.index(enough), self.now_us

    def complete(self, status: Columns) -> bool:
        """Tell whether a status is that of a rollout that is over."""
        pods = {status[name] for name in ("updated_replicas", "status_replicas", "available_replicas")}
        return pods == {self.wanted} and status["object_observed"] >= self.row["generation"]

    def judge(self) -> None:
        """Say how the rollout gets on."""
        row, was = self.row, self.before
        if row["deadline_us"] < 0:
            row["progressing"] = 0
            return
        reason = PROGRESSING[row["progressing"]]
        if row["status_replicas"] == row["updated_replicas"] and reason == "NewReplicaSetAvailable":
            return
        if self.complete(row):
            self.say("NewReplicaSetAvailable")
        elif (
            any(row[name] > was[name] for name in ("updated_replicas", "ready_replicas", "available_replicas"))
            or row["status_replicas"] - row["updated_replicas"] < was["status_replicas"] - was["updated_replicas"]
        ):
            row["progressing"], row["progressing_us"] = PROGRESSING.index("ReplicaSetUpdated"), self.now_us
        elif reason not in ("", "NewReplicaSetAvailable") and row["progressing_us"] + row["deadline_us"] < self.now_us:
            self.say("ProgressDeadlineExceeded")

    def requeue(self) -> None:
        """Come again when a rollout that stands still will have timed out."""
        row, reason = self.row, PROGRESSING[self.row["progressing"]]
        still = all(row[name] == self.before[name] for name in STATUS) and row["deadline_us"] >= 0
        over = ("", "NewReplicaSetAvailable", "ProgressDeadlineExceeded")
        if still and not self.complete(row) and reason not in over:
            self.again = row["progressing_us"] + row["deadline_us"] + 1_000_000

    def write(self) -> None:
        """Ask for the status that changed to be written."""
        if any(self.row[name] != self.before[name] for name in STATUS):
            self.asks.append(("status", tuple(self.row[name] for name in STATUS)))


# Between columns and dicts ------------------------------------------------------------------------------------------


def snapshot(world: World, key: int, now_us: int) -> Deployment:
    """Return a Deployment of columns as plain values."""
    cluster = world.cluster

    def row(object_: int, table: str) -> Columns:
        place = int(cluster.object_row[object_])
        found = {n: int(cluster.columns[f"{table}_{n}"][place]) for n in cluster.tables[table].columns}
        own = {n: int(cluster.columns[f"object_{n}"][object_]) for n in ("generation", "observed", "deleted_us", "uid")}
        return {**found, **own, "object": object_, "object_observed": own["observed"]}

    owned = [o for o in world.all_of("ReplicaSet").tolist() if cluster.object_owner[o] == key]
    sets = [row(o, "replicaset") for o in owned if cluster.object_live[o] == THERE]
    sets.sort(key=lambda one: (int(cluster.object_created_us[one["object"]]), one["uid"]))
    result = Deployment(row(key, "deployment"), sets, 0, now_us)
    old = [o for o in owned if result.new is None or o != result.new["object"]]
    for pod in np.flatnonzero(np.isin(cluster.life_owner, old)).tolist():
        there = cluster.pod_state[pod] not in (UNUSED, GONE, REMOVED)
        result.old_pods += there and cluster.life_phase[pod] not in (2, 3)
    return result


def asked(requests: Requests, key: int) -> tuple[list[tuple[Any, ...]], list[int]]:
    """Return what a pass asked for of the key at a place, and when that comes again."""
    found = [_told(request, at) for request in requests.asked for at in (request.key == key).nonzero()[0].tolist()]
    return found, [int(t) for places, times in requests.later for t in times[places == key]]


def _told(request: Request, at: int) -> tuple[Any, ...]:
    values = {name: int(column[at]) for name, column in request.columns.items()}
    if request.verb == CREATE_OBJECTS:
        names = ("template", "content", "replicas", "revision", "desired", "most", "min_ready_us")
        return ("create", *(values[name] for name in names))
    if request.verb == DELETE_OBJECTS:
        return "delete", values["object"]
    assert request.verb == UPDATE
    spec = request.kind.endswith(".spec")
    if request.kind.startswith("ReplicaSet") and "replicas" in values:
        return "resize", values["object"], values["replicas"], values["desired"], values["most"], spec
    if request.kind.startswith("ReplicaSet"):
        assert values.get("min_ready_us") == values.get("object_min_ready_us")
        assert spec == ("min_ready_us" in values)
        return "number", values["object"], values["revision"], values.get("min_ready_us")
    if "rollback_to" in values:
        assert values["rollback_to"] == -1
        assert spec == ("template" in values)
        return "template", values.get("template"), values.get("content")
    return "status", tuple(values[name] for name in STATUS)
