"""Scenarios carried out: on made-up Deployments, and with the ReplicaSet controller at work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from kscale import controllers
from kscale.engine.clock import NEVER
from kscale.engine.objects import FOREGROUND, ORPHAN
from kscale.engine.requests import UPDATE, Request
from kscale.errors import InputError
from kscale.scenario import Happened, Script, plan, read
from tests.controllers.world import MINUTE, Hand
from tests.scenario.stage import KINDS, Stage, gathered, workload, written

WEB = workload("Deployment", "web")


def yaml(*entries: dict[str, Any]) -> str:
    return msgspec.json.encode(entries).decode()


def carried_out(folder: Path, text: str, *objects: dict[str, Any]) -> tuple[Stage, list[Happened]]:
    stage = Stage(*objects)
    script = Script(stage.plan(folder, text), stage.wanted)
    return stage, script.apply_due(stage.world, 1 << 50)


def test_the_script_does_what_is_due_and_no_more(tmp_path: Path) -> None:
    stage = Stage(WEB)
    text = yaml({"at": 60, "scale": {"target": "deploy/web", "replicas": 5}}, {"at": 120, "pause": "deploy/web"})
    script = Script(stage.plan(tmp_path, text), stage.wanted)
    assert script.due_us() == MINUTE
    assert script.apply_due(stage.world, MINUTE - 1) == []
    assert script.apply_due(stage.world, MINUTE) == [Happened(MINUTE, 1, "scale deployment/web to 5")]
    assert script.due_us() == 2 * MINUTE
    assert script.apply_due(stage.world, 5 * MINUTE) == [Happened(5 * MINUTE, 2, "pause deployment/web")]
    assert script.due_us() == NEVER
    assert len(script.happened) == 2
    assert (stage.read("Deployment", "web", "replicas"), stage.read("Deployment", "web", "paused")) == (5, 1)


def test_generations_rise_with_what_changes_the_spec(tmp_path: Path) -> None:
    scale = {"target": "deploy/web", "replicas": 5}
    text = yaml({"at": 1, "scale": scale}, {"at": 2, "scale": scale}, {"at": 3, "restart": "deploy/web"})
    stage, happened = carried_out(tmp_path, text, WEB)
    assert stage.read("Deployment", "web", "object_generation") == 3
    assert [one.words for one in happened] == [
        "scale deployment/web to 5", "scale deployment/web to 5 (nothing changed)", "restart deployment/web",
    ]  # fmt: skip


def test_what_others_scaled_meanwhile_is_scaled_anew(tmp_path: Path) -> None:
    stage = Stage(WEB)
    text = yaml({"at": 1, "scale": {"target": "deploy/web", "replicas": 2}}, {"at": 2, "apply": WEB},
                {"at": 3, "image": {"target": "deploy/web", "containers": {"web": "nginx:2"}}})  # fmt: skip
    script = Script(stage.plan(tmp_path, text), stage.wanted)
    object_ = np.array([stage.world.find("Deployment", "default", "web")])
    for time, replicas in ((1, 2), (2, 2), (3, 9)):
        stage.world.apply(
            Request(UPDATE, np.zeros(1, np.int64), {"object": object_, "replicas": np.array([9])}, "Deployment.spec"), 0
        )
        script.apply_due(stage.world, time * 1_000_000)
        assert stage.read("Deployment", "web", "replicas") == replicas


def test_handles_of_templates_become_rows(tmp_path: Path) -> None:
    text = yaml({"at": 1, "image": {"target": "deploy/web", "containers": {"web": "nginx:2"}}},
                {"at": 2, "apply": workload("Deployment", "api", image="nginx:3")})  # fmt: skip
    stage, _ = carried_out(tmp_path, text, WEB)
    # Handle 0 is of the object as it was read, 1 of it as it was read again.
    assert (stage.read("Deployment", "web", "template"), stage.read("Deployment", "api", "template")) == (12, 13)


def test_min_ready_seconds_reach_the_object(tmp_path: Path) -> None:
    text = yaml({"at": 1, "apply": workload("Deployment", "web", minReadySeconds=7)})
    stage, _ = carried_out(tmp_path, text, WEB)
    assert stage.read("Deployment", "web", "object_min_ready_us") == 7_000_000


def test_objects_are_made_and_deleted_and_made_again(tmp_path: Path) -> None:
    api = workload("Deployment", "api", 3, metadata={"namespace": "shop"})
    aimed = {"target": "deployment/api", "namespace": "shop"}
    text = yaml({"at": 1, "apply": api}, {"at": 2, "delete": aimed}, {"at": 3, "apply": api},
                {"at": 4, "scale": {**aimed, "replicas": 1}})  # fmt: skip
    stage, happened = carried_out(tmp_path, text)
    assert stage.read("Deployment", "api", "replicas", "shop") == 1
    assert [one.words for one in happened] == [
        "apply deployment/api in shop", "delete deployment/api in shop (background)", "apply deployment/api in shop",
        "scale deployment/api in shop to 1",
    ]  # fmt: skip


@pytest.mark.parametrize(("cascade", "finalizer"), [("foreground", FOREGROUND), ("orphan", ORPHAN)])
def test_deletions_that_wait_set_their_finalizer(tmp_path: Path, cascade: str, finalizer: int) -> None:
    stage, _ = carried_out(tmp_path, yaml({"at": 1, "delete": {"target": "deploy/web", "cascade": cascade}}), WEB)
    assert stage.read("Deployment", "web", "object_finalizer") == finalizer
    assert stage.read("Deployment", "web", "object_deleted_us") == 1 << 50
    again = yaml({"at": 1, "delete": {"target": "deploy/web", "cascade": cascade}}, {"at": 2, "apply": WEB})
    with pytest.raises(InputError, match=r"s.yaml, action 2, field 'apply': Deployment 'default/web' is still being"):
        carried_out(tmp_path, again, WEB)


def test_what_went_by_itself_is_told_when_it_happens(tmp_path: Path) -> None:
    stage = Stage(WEB)
    script = Script(stage.plan(tmp_path, yaml({"at": 1, "pause": "deploy/web"})), stage.wanted)
    stage.cluster.object_live[stage.world.find("Deployment", "default", "web")] = 2
    with pytest.raises(InputError, match=r"s.yaml, action 1, field 'pause': there is no Deployment 'web'.*any more"):
        script.apply_due(stage.world, MINUTE)


def test_an_owner_is_noted(tmp_path: Path) -> None:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "controller": True}
    owned = workload("ReplicaSet", "set", metadata={"ownerReferences": [reference]})
    text = yaml({"at": 1, "apply": owned}, {"at": 2, "scale": {"target": "rs/set", "replicas": 5}})
    stage, _ = carried_out(tmp_path, text, WEB)
    owner = stage.world.find("Deployment", "default", "web")
    assert stage.read("ReplicaSet", "set", "object_owner") == owner
    assert stage.read("ReplicaSet", "set", "replicas") == 5
    assert stage.cluster.object_dependents[owner] == 1


def test_settings(tmp_path: Path) -> None:
    stage = Stage(WEB)
    text = yaml({"at": 1, "registry": {"failing": True, "for": 1}},
                {"at": 1, "load": {"target": "deploy/web", "cpu": 2, "for": 2}},
                {"at": 1, "crash": {"target": "deploy/web", "perHour": 0.5, "for": 1}})  # fmt: skip
    script, key = Script(stage.plan(tmp_path, text), stage.wanted), ("Deployment", "default", "web")
    script.apply_due(stage.world, 1_000_000)
    assert stage.world.settings == {"registry_bandwidth": 1.0, "registry_failing": 1.0}
    assert stage.world.crashes == {key: (0.5, 0.0)}
    # What the autoscaler reads: curves of many workloads at once.
    rows = stage.world.loads.rows("test", "cpu", np.zeros(1, np.int64), lambda place: key)
    assert stage.world.loads.at(rows, 0).tolist() == [2000]
    words = [one.words for one in script.apply_due(stage.world, 2_000_000)]
    assert words == ["registry as before", "crash deployment/web ends"]
    assert (stage.world.settings["registry_failing"], stage.world.crashes) == (0.0, {})
    script.apply_due(stage.world, 3_000_000)
    assert not stage.world.loads


def test_with_the_replicaset_controller(tmp_path: Path) -> None:
    gathering = gathered(workload("ReplicaSet", "web", 3))
    text = yaml({"at": "1m", "scale": {"target": "rs/web", "replicas": 5}},
                {"at": "2m", "delete": {"pods": "app=web", "grace": 0}},
                {"at": "3m", "apply": workload("ReplicaSet", "api", 2)},
                {"at": "4m", "image": {"target": "rs/web", "containers": {"web": "nginx:2"}}},
                {"at": "4m", "scale": {"target": "rs/web", "replicas": 6}},
                {"at": "5m", "delete": {"pods": "app=web"}})  # fmt: skip
    actions = plan(read([written(tmp_path, text)]), gathering, KINDS, 0)
    inventory = gathering.inventory()
    hand = Hand("replicaset")
    hand.world.selections = [
        np.flatnonzero([("app", "web") in one.labels for one in inventory.templates])
        for _ in gathering.workloads.selections
    ]
    (made,) = gathering.workloads.made
    old = int(inventory.wanted[made.columns["template"]])
    web = hand.make("ReplicaSet", "web", **{**made.columns, "template": old})
    script = Script(actions, inventory.wanted)

    def until(minutes: int) -> list[str]:
        hand.wait(minutes * MINUTE - hand.now)
        words = [one.words for one in script.apply_due(hand.world, hand.now)]
        hand.settle()
        return words

    hand.settle()
    assert len(hand.pods(web)) == 3
    until(1)
    before = hand.pods(web)
    serials = hand.cluster.pod_trace_row[before].tolist()
    assert len(before) == 5
    assert until(2) == ["delete pods app=web (5 pods)"]
    assert len(hand.pods(web)) == 5
    assert not set(hand.cluster.pod_trace_row[hand.pods(web)].tolist()) & set(serials)
    hand.run(*hand.pods(web))
    until(3)
    api = hand.world.find("ReplicaSet", "default", "api")
    assert len(hand.pods(api)) == 2
    until(4)
    new = hand.cluster.pod_template[hand.pods(web)].tolist()
    assert new[:5] == [old] * 5
    assert inventory.templates[new[5]].description.images[0] == "nginx:2"
    assert until(5) == ["delete pods app=web (6 pods)"]
    # The five that run have their grace; the sixth was not bound, and is replaced at once as they are.
    assert len(hand.active(web)) == 6
    assert len(hand.pods(web)) == 11


def test_with_the_deployment_controller(tmp_path: Path) -> None:
    kinds = controllers.kinds()
    gathering = gathered(workload("Deployment", "web", 3), kinds=kinds)
    text = yaml({"at": "1m", "image": {"target": "deploy/web", "containers": {"web": "nginx:2"}}},
                {"at": "2m", "rollback": "deploy/web"}, {"at": "3m", "pause": "deploy/web"},
                {"at": "3m", "image": {"target": "deploy/web", "containers": {"web": "nginx:3"}}},
                {"at": "4m", "resume": "deploy/web"})  # fmt: skip
    actions = plan(read([written(tmp_path, text)]), gathering, kinds, 0)
    inventory = gathering.inventory()
    hand = Hand("deployment", "replicaset")
    (made,) = gathering.workloads.made
    columns = {**made.columns, "template": int(inventory.wanted[made.columns["template"]])}
    web = hand.make("Deployment", "web", **columns)
    script = Script(actions, inventory.wanted)

    def images_after(minutes: int) -> list[str]:
        hand.now = minutes * MINUTE
        script.apply_due(hand.world, hand.now)
        for _ in range(20):
            hand.settle()
            hand.run(*[pod for pod in hand.active() if hand.cluster.life_ready[pod] == 0])
            hand.stopped()
        templates = [inventory.templates[hand.cluster.pod_template[pod]] for pod in hand.active()]
        return [one.description.images[0] for one in templates]

    assert [images_after(minute) for minute in range(5)] == [
        ["nginx:1"] * 3, ["nginx:2"] * 3, ["nginx:1"] * 3, ["nginx:1"] * 3, ["nginx:3"] * 3,
    ]  # fmt: skip
    # The revision that came back kept its ReplicaSet.
    assert [hand.read(one, "revision") for one in hand.objects("ReplicaSet", web)] == [3, 2, 4]


def test_with_all_controllers(tmp_path: Path) -> None:
    kinds, aimed = controllers.kinds(), {"target": "sts/db"}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}
    made = [service, workload("ReplicaSet", "web"), workload("StatefulSet", "db", 3, serviceName="web")]
    text = yaml({"at": 1, "apply": made}, {"at": 2, "image": {**aimed, "containers": {"*": "db:2"}}},
                {"at": 3, "scale": {**aimed, "replicas": 2}}, {"at": 4, "rollback": aimed},
                {"at": 5, "delete": "svc/web"},
                {"at": 6, "delete": {"target": "rs/web", "cascade": "foreground"}})  # fmt: skip
    gathering = gathered(kinds=kinds)
    actions = plan(read([written(tmp_path, text)]), gathering, kinds, 0)
    inventory, hand = gathering.inventory(), Hand()
    hand.world.selections = [np.empty(0, np.int64) for _ in gathering.workloads.selections]
    script = Script(actions, inventory.wanted)
    for seconds in range(8):
        hand.now = seconds * 1_000_000
        script.apply_due(hand.world, hand.now)
        for _ in range(10):
            hand.settle()
            hand.run(*[pod for pod in hand.active() if hand.cluster.life_ready[pod] == 0])
            hand.stopped()
        if seconds in (2, 4):
            (sts,) = hand.objects("StatefulSet")
            templates = [inventory.templates[hand.cluster.pod_template[pod]] for pod in hand.active(sts)]
            images = [one.description.images[0] for one in templates]
            assert images == (["db:2"] * 3 if seconds == 2 else ["nginx:1"] * 2)
            assert len(hand.objects("Service")) == 1
    assert not hand.objects("Service") + hand.objects("ReplicaSet")
    assert len(hand.active()) == 2


def evicting(folder: Path, evict: Any) -> tuple[Hand, int, Script]:
    """Four running pods of a ReplicaSet, of which three have to be available, and a script that evicts them."""
    gathering = gathered(workload("ReplicaSet", "web", 4))
    actions = plan(read([written(folder, yaml({"at": 1, "evict": evict}))]), gathering, KINDS, 0)
    inventory, hand = gathering.inventory(), Hand("replicaset", "disruption")
    selected = np.flatnonzero([("app", "web") in one.labels for one in inventory.templates])
    hand.world.selections = [selected] * max(len(gathering.workloads.selections), 1)
    (made,) = gathering.workloads.made
    columns = {**made.columns, "template": int(inventory.wanted[made.columns["template"]])}
    web = hand.make("ReplicaSet", "web", **columns)
    hand.make("PodDisruptionBudget", "web", selection=0, least=3)
    hand.settle()
    hand.run(*hand.pods(web))
    hand.settle()
    return hand, web, Script(actions, inventory.wanted)


@pytest.mark.parametrize("evict", [{"pods": "app=web"}, "rs/web"])
def test_an_eviction_that_is_refused_is_tried_again_until_it_is_granted(tmp_path: Path, evict: Any) -> None:
    hand, web, script = evicting(tmp_path, evict)
    first = set(hand.cluster.pod_trace_row[hand.pods(web)].tolist())
    begin, called = "evict pods app=web" if isinstance(evict, dict) else "evict replicaset/web", []

    def look(*, replaced: bool) -> None:
        hand.now = script.due_us()
        called.append([one.words.removeprefix(begin) for one in script.apply_due(hand.world, hand.now)])
        hand.settle()
        hand.stopped()
        hand.settle()
        if replaced:
            hand.run(*[pod for pod in hand.active(web) if hand.cluster.life_ready[pod] == 0])
            hand.settle()

    look(replaced=False)
    # Nobody is ready in its place: the others wait, and nothing is said.
    assert script.due_us() == 6_000_000
    look(replaced=True)
    for _ in range(3):
        look(replaced=True)
    assert called == [
        [" (4 pods, 3 refused)"], [], [", again (1 pod went, 2 refused)"], [", again (1 pod went, 1 refused)"],
        [", again (1 pod went)"],
    ]  # fmt: skip
    assert (hand.now, script.due_us()) == (21_000_000, NEVER)
    assert len(hand.active(web)) == 4
    assert not first & set(hand.cluster.pod_trace_row[hand.active(web)].tolist())


def test_what_has_gone_meanwhile_is_not_evicted_again(tmp_path: Path) -> None:
    hand, web, script = evicting(tmp_path, "rs/web")
    hand.now = script.due_us()
    script.apply_due(hand.world, hand.now)
    hand.settle()
    for pod in hand.pods(web):
        hand.delete(pod)
    hand.stopped()
    hand.settle()
    hand.run(*hand.active(web))
    hand.settle()
    hand.now = script.due_us()
    assert [one.words for one in script.apply_due(hand.world, hand.now)] == [
        "evict replicaset/web, again (3 pods went)"
    ]  # fmt: skip
    assert script.due_us() == NEVER
    assert len(hand.active(web)) == 4


def test_a_workloads_eviction_reaches_the_pods_of_what_it_controls(tmp_path: Path) -> None:
    gathering = gathered(WEB, kinds=controllers.kinds())
    actions = plan(read([written(tmp_path, yaml({"at": 1, "evict": "deploy/web"}))]), gathering, controllers.kinds(), 0)
    hand = Hand("deployment", "replicaset")
    hand.world.selections = [np.empty(0, np.int64) for _ in gathering.workloads.selections]
    hand.make("Deployment", "web", **{**gathering.workloads.made[0].columns, "template": 0})
    other = hand.make("ReplicaSet", "other", replicas=2, template=1)
    for _ in range(5):
        hand.settle()
    before = hand.pods(other)
    script = Script(actions, np.zeros(4, np.int64))
    assert [one.words for one in script.apply_due(hand.world, 1_000_000)] == ["evict deployment/web (2 pods)"]
    assert hand.pods() == before


def test_a_plan_does_the_same_from_one_control_point_or_many(tmp_path: Path) -> None:
    text = yaml({"every": 7, "times": 20, "scale": {"target": "deploy/web", "replicas": 3}},
                {"every": 5, "times": 20, "scale": {"target": "deploy/web", "replicas": 4}},
                {"random": {"between": [0, 100], "times": 9}, "restart": "deploy/web"})  # fmt: skip
    ends = []
    for step in (1_000_000, 1 << 40):
        stage = Stage(WEB)
        script = Script(stage.plan(tmp_path, text), stage.wanted)
        for now in range(0, 141_000_000, step):
            script.apply_due(stage.world, now)
        script.apply_due(stage.world, 1 << 50)
        ends.append(
            (
                [replace(one, time_us=0) for one in script.happened],
                [stage.read("Deployment", "web", c) for c in ("replicas", "template", "object_generation")],
            )
        )
    assert ends[0] == ends[1]
