"""Plans of scenarios: what is known before the run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kscale import controllers
from kscale.errors import InputError
from kscale.scenario import plan, read
from kscale.scenario.changing import LAST_APPLIED, merged
from kscale.scenario.effects import Create, Delete, DeletePods, Evict, Set, Write
from kscale.scenario.times import occurrences
from kscale.state.manifests.workloads import HASH_LABEL
from tests.scenario.stage import KINDS, gathered, planned, refusal, workload, written

WEB = workload("Deployment", "web")


def effects(folder: Path, text: str, *objects: dict[str, Any]) -> list[Any]:
    return [effect for action in planned(folder, text, *(objects or (WEB,))) for effect in action.effects]


def yaml(*entries: dict[str, Any]) -> str:
    return msgspec.json.encode(entries).decode()


def test_actions_are_in_the_order_of_times_then_of_the_file(tmp_path: Path) -> None:
    text = yaml(
        {"at": "2m", "scale": {"target": "deploy/web", "replicas": 5}},
        {"every": "1m", "times": 3, "scale": {"target": "deploy/web", "replicas": 6}},
        {"at": 60, "pause": "deploy/web"},
    )
    assert [(one.at_us // 1_000_000, one.number) for one in planned(tmp_path, text, WEB)] == [
        (60, 2), (60, 3), (120, 1), (120, 2), (180, 2),
    ]  # fmt: skip


def test_every_begins_after_its_first_interval_or_where_it_says(tmp_path: Path) -> None:
    def times(entry: str) -> list[int]:
        scenario = read([written(tmp_path, f"- {{{entry}, pause: deploy/web}}")])
        return [at // 1_000_000 for at in occurrences(scenario.steps[0].entry, 0, 0)]

    assert times("every: 10m, times: 2") == [600, 1200]
    assert times("every: 10m, from: 0, until: 20m") == [0, 600, 1200]
    assert times("every: 10m, from: 5m, until: 1h, times: 2") == [300, 900]
    assert times("at: 1h30m") == [5400]


def test_random_times_turn_on_seed_and_place_alone(tmp_path: Path) -> None:
    drawn = "{random: {between: [1m, 1h], times: 3}, pause: deploy/web}"
    twice = f"- {drawn}\n- {drawn}\n"

    def times(seed: int, text: str = twice) -> list[tuple[int, int]]:
        return sorted((one.number, one.at_us) for one in planned(tmp_path, text, WEB, seed=seed))

    assert times(1) == times(1)
    assert times(1) != times(2)
    assert [at for number, at in times(1) if number == 1] != [at for number, at in times(1) if number == 2]
    assert times(1)[3:] == times(1, f"- {{at: 0, pause: deploy/web}}\n- {drawn}\n")[1:]
    assert all(60_000_000 <= at <= 3_600_000_000 for _, at in times(7))


def test_a_scale_writes_the_replicas_alone(tmp_path: Path) -> None:
    (write,) = effects(tmp_path, "- {at: 5m, scale: {kind: Deployment, name: web, replicas: 0}}")
    assert write == Write(("Deployment", "default", "web"), {"replicas": 0}, ("template",), True, False, "scale.target")


def test_changes_fold_over_the_earlier_ones(tmp_path: Path) -> None:
    gathering = gathered(WEB)
    text = yaml(
        {"at": 1, "image": {"target": "deploy/web", "containers": {"web": "nginx:2"}}},
        {"at": 2, "image": {"target": "deploy/web", "containers": {"side": "side:2"}}},
        {"at": 3, "image": {"target": "deploy/web", "containers": {"web": "nginx:1"}}},
        {"at": 4, "image": {"target": "deploy/web", "containers": {"*": "all:3"}}},
        {"at": 5, "image": {"target": "deploy/web", "containers": {"*": "all:3"}}},
    )
    actions = plan(read([written(tmp_path, text)]), gathering, KINDS, 0)
    writes = [one.effects[0] for one in actions]
    assert [sorted(write.columns) for write in writes] == [["content", "template"]] * 4 + [[]]
    assert [write.changes for write in writes] == [True] * 4 + [False]
    inventory = gathering.inventory()
    images = [inventory.templates[inventory.wanted[write.columns["template"]]].description.images
              for write in writes[:4]]  # fmt: skip
    assert images == [("nginx:2", "side:1"), ("nginx:2", "side:2"), ("nginx:1", "side:2"), ("all:3", "all:3")]


def test_an_image_names_a_container_before_all_others(tmp_path: Path) -> None:
    gathering = gathered(WEB)
    text = yaml({"at": 1, "image": {"target": "deploy/web", "containers": {"*": "all:1", "web": "nginx:9"}}})
    (action,) = plan(read([written(tmp_path, text)]), gathering, KINDS, 0)
    inventory = gathering.inventory()
    template = inventory.templates[inventory.wanted[action.effects[0].columns["template"]]]
    assert template.description.images == ("nginx:9", "all:1")


def test_a_restart_changes_the_template_each_time(tmp_path: Path) -> None:
    writes = effects(tmp_path, "- {every: 1m, times: 3, restart: deploy/web}")
    assert len({write.columns["content"] for write in writes}) == 3
    assert all(write.changes for write in writes)


def test_a_rollback_takes_the_template_of_a_revision(tmp_path: Path) -> None:
    images = [{"at": n, "image": {"target": "deploy/web", "containers": {"web": f"nginx:{n}"}}} for n in (2, 3)]
    back = {"at": 4, "rollback": "deploy/web"}
    writes = effects(tmp_path, yaml(*images, back))
    # Revisions 1 (nginx:1), 2, 3: the one before is 2, which is 4 from then on.
    assert writes[2].columns == writes[0].columns
    again = effects(tmp_path, yaml(*images, back, {"at": 5, "rollback": {"target": "deploy/web", "to": 1}},
                                   {"at": 6, "rollback": {"target": "deploy/web", "to": 4}}))  # fmt: skip
    assert again[4].columns == again[0].columns
    told = refusal(tmp_path, yaml(*images, back, {"at": 5, "rollback": {"target": "deploy/web", "to": 2}}), WEB)
    assert "action 4, field 'rollback.to': there is no revision 2; expected one of 1, 3" in told
    assert "there is no earlier revision" in refusal(tmp_path, yaml(back), WEB)


def test_revisions_of_a_dump_are_known(tmp_path: Path) -> None:
    note = "deployment.kubernetes.io/revision"
    now = workload("Deployment", "web", image="nginx:7", metadata={"annotations": {note: "7"}})
    old = workload("ReplicaSet", "web-abc", 0, image="nginx:5", metadata={
        "annotations": {note: "5"},
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "controller": True}],
    })  # fmt: skip
    old["spec"]["template"]["metadata"]["labels"] = {"app": "web", HASH_LABEL: "abc"}
    gathering = gathered(now, old)
    (action,) = plan(read([written(tmp_path, "- {at: 0, rollback: {target: deploy/web, to: 5}}")]), gathering, KINDS, 0)
    inventory = gathering.inventory()
    template = inventory.templates[inventory.wanted[action.effects[0].columns["template"]]]
    assert template.description.images[0] == "nginx:5"
    assert HASH_LABEL not in dict(template.labels)


def test_no_revision_begins_while_paused(tmp_path: Path) -> None:
    change = {"at": 2, "image": {"target": "deploy/web", "containers": {"web": "nginx:2"}}}
    other = {"at": 3, "image": {"target": "deploy/web", "containers": {"web": "nginx:3"}}}
    paused = [{"at": 1, "pause": "deploy/web"}, change, other, {"at": 4, "resume": "deploy/web"}]
    told = refusal(tmp_path, yaml(*paused, {"at": 5, "rollback": {"target": "deploy/web", "to": 3}}), WEB)
    assert "there is no revision 3; expected one of 1" in told
    for verb in ("rollback", "restart"):
        told = refusal(tmp_path, yaml(paused[0], {"at": 5, verb: "deploy/web"}), WEB)
        assert f"action 2, field '{verb}': deployment/web is paused; expected resume before it" in told


def test_apply_creates_then_changes(tmp_path: Path) -> None:
    api, bigger = workload("Deployment", "api", 1), workload("Deployment", "api", 4)
    bare = workload("Deployment", "api", None, image="nginx:3")
    made, write, kept = effects(
        tmp_path, yaml({"at": 1, "apply": api}, {"at": 2, "apply": bigger}, {"at": 3, "apply": bare})
    )
    assert isinstance(made, Create)
    assert (made.key, made.columns["replicas"], made.templates) == (("Deployment", "default", "api"), 1, ("template",))
    assert write.columns == {"replicas": 4}
    # What was applied before and is not any more is taken away: the default comes back, as with kubectl.
    assert kept.columns["replicas"] == 1
    assert set(kept.columns) == {"replicas", "template", "content"}


def test_apply_leaves_what_it_does_not_state_where_others_wrote_it(tmp_path: Path) -> None:
    bare = workload("Deployment", "api", None)
    text = yaml({"at": 1, "apply": bare}, {"at": 2, "scale": {"target": "deploy/api", "replicas": 7}},
                {"at": 3, "apply": workload("Deployment", "api", None, image="nginx:2")})  # fmt: skip
    assert set(effects(tmp_path, text)[2].columns) == {"template", "content"}


@pytest.mark.parametrize(
    ("live", "last", "new", "after"),
    [
        ({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2}, {"a": 4}, {"a": 4, "c": 3}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"x": 1}}, {"a": {"z": 3}}, {"a": {"y": 2, "z": 3}}),
        ({"l": [1, 2]}, {}, {"l": [3]}, {"l": [3]}),
        ({"l": [{"name": "a", "v": 1, "w": 2}, {"name": "b"}, {"name": "c"}]}, {"l": [{"name": "a", "v": 1},
         {"name": "b"}]},
         {"l": [{"name": "a", "u": 3}]}, {"l": [{"name": "a", "w": 2, "u": 3}, {"name": "c"}]}),
        ({"a": 1}, None, {}, {"a": 1}),
    ],
)  # fmt: skip
def test_apply_merges_three_ways(live: Any, last: Any, new: Any, after: Any) -> None:
    assert merged(live, last, new) == after


def test_what_was_applied_last_stands_in_a_dump(tmp_path: Path) -> None:
    last = msgspec.json.encode(workload("Deployment", "web", 2)).decode()
    dumped = workload("Deployment", "web", 9, metadata={"uid": "u", "annotations": {LAST_APPLIED: last}})
    unknown = workload("Deployment", "web", 9, metadata={"uid": "u"})
    text = yaml({"at": 1, "apply": workload("Deployment", "web", None)})
    assert effects(tmp_path, text, dumped)[0].columns == {"replicas": 1}
    assert effects(tmp_path, text, unknown)[0].columns == {}


def test_what_is_deleted_is_gone_until_it_is_made_again(tmp_path: Path) -> None:
    gone = {"at": "5m", "delete": "deployment/web"}
    scale = {"at": "6m", "scale": {"target": "deploy/web", "replicas": 1}}
    told = refusal(tmp_path, yaml(gone, scale), WEB)
    assert (
        "action 2, field 'scale.target': there is no Deployment 'web' in the namespace 'default': it was deleted"
        in told
    )
    assert "action 1, at 5m; expected an object that is there at that time" in told
    delete, made, write = effects(tmp_path, yaml(gone, {"at": "5m30s", "apply": WEB}, scale))
    assert (delete, type(made), write.columns) == (Delete(("Deployment", "default", "web"), 0), Create, {"replicas": 1})


@pytest.mark.parametrize(("cascade", "there"), [("background", False), ("foreground", False), ("orphan", True)])
def test_dependents_go_unless_they_are_orphans(tmp_path: Path, cascade: str, there: bool) -> None:
    owned = workload("ReplicaSet", "web-1", metadata={
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "controller": True}]
    })  # fmt: skip
    text = yaml({"at": 1, "delete": {"target": "deploy/web", "cascade": cascade}},
                {"at": 2, "scale": {"target": "rs/web-1", "replicas": 1}})  # fmt: skip
    if there:
        assert len(effects(tmp_path, text, WEB, owned)) == 2
    else:
        assert "there is no ReplicaSet 'web-1'" in refusal(tmp_path, text, WEB, owned)


def test_pods_are_selected_by_labels(tmp_path: Path) -> None:
    gathering = gathered(WEB)
    text = "- {every: 1m, times: 2, delete: {pods: app=web, grace: 5s}}\n- {at: 0, delete: {pods: {app: web}}}\n"
    actions = plan(read([written(tmp_path, text)]), gathering, KINDS, 0)
    first = len(gathering.workloads.selections) - 1
    assert [one.effects[0] for one in actions] == [DeletePods(first, -1), *[DeletePods(first, 5_000_000)] * 2]
    selector, namespace = gathering.workloads.selections[first]
    assert (namespace, [(r.key, r.values) for r in selector.requirements]) == ("default", [("app", ("web",))])
    others = plan(read([written(tmp_path, "- {at: 0, delete: {pods: job=a}}")]), gathered(), KINDS, 0,
                  others=[("default", {"job": "a", "b": "c"})])  # fmt: skip
    assert len(others) == 1


def test_what_lasts_for_a_time_ends_with_what_lasted_before(tmp_path: Path) -> None:
    text = yaml({"at": 0, "registry": {"bandwidth": 0.5}}, {"at": 10, "registry": {"failing": True, "for": 20}},
                {"at": 20, "registry": {"bandwidth": 0.1, "for": 30}})  # fmt: skip
    told = [(a.at_us // 1_000_000, [e.value for e in a.effects if isinstance(e, Set)]) for a in planned(tmp_path, text)]
    assert told == [(0, [0.5, 0.0]), (10, [1.0, 1.0]), (20, [0.1, 0.0]), (30, [0.1, 0.0]), (50, [0.5, 0.0])]
    crash = yaml(
        {"at": 1, "crash": {"target": "deploy/web", "perStart": 0.2, "for": 5}}, {"at": 2, "delete": "deploy/web"}
    )
    assert [getattr(one, "value", None) for one in effects(tmp_path, crash)] == [(0.0, 0.2), None, None]


def test_curves_count_from_the_action(tmp_path: Path) -> None:
    load = {"target": "deploy/web", "cpu": {"points": {"0": "100m", "1m": 1}, "linear": True}, "memory": "1Gi",
            "metrics": {"rps": {"mean": 100, "amplitude": 50, "period": "1h", "phase": "15m"}}}  # fmt: skip
    (effect,) = effects(tmp_path, yaml({"at": "10m", "load": load}))
    minute = 60_000_000
    cpu, memory, rps = effect.value.cpu_milli, effect.value.memory_bytes, effect.value.metrics["rps"]
    assert [cpu.at(at * minute // 2) for at in (0, 20, 21, 22, 99)] == [100, 100, 550, 1000, 1000]
    assert (memory.at(0), effect.where, effect.key) == (1 << 30, "loads", ("Deployment", "default", "web"))
    assert [rps.at(at * minute) for at in (10, 25, 40, 55)] == [150_000, 100_000, 50_000, 100_000]
    stepped = {"target": "deploy/web", "cpu": {"points": {"1m": 1, "0": "100m"}}}
    (effect,) = effects(tmp_path, yaml({"at": 0, "load": stepped}))
    assert [effect.value.cpu_milli.at(at) for at in (0, minute - 1, minute)] == [100, 100, 1000]


def test_pods_are_evicted_by_labels_or_by_their_workload(tmp_path: Path) -> None:
    text = yaml({"at": 0, "evict": {"pods": {"app": "web"}}}, {"at": 1, "evict": "deploy/web"},
                {"at": 2, "evict": {"kind": "Deployment", "name": "web"}})  # fmt: skip
    by_labels, *by_name = effects(tmp_path, text)
    assert (by_labels.selection >= 0, by_labels.key) == (True, None)
    assert by_name == [Evict(key=("Deployment", "default", "web"))] * 2


def test_kinds_that_are_not_followed_are_counted(tmp_path: Path) -> None:
    gathering = gathered(WEB)
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}}
    other = {"apiVersion": "x/v1", "kind": "Gadget", "metadata": {"name": "web"}}
    text = yaml({"at": 0, "apply": [service, other]}, {"at": 1, "apply": {"kind": "List", "items": [WEB]}})
    actions = plan(read([written(tmp_path, text)]), gathering, KINDS, 0)
    assert [one.number for one in actions] == [2]
    assert gathering.ignored["Service: applied by a scenario, read before the run alone"] == 1
    assert gathering.ignored["Gadget: applied by a scenario, not simulated"] == 1


OWNED = workload("ReplicaSet", "a", metadata={
    "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "a", "controller": True}]
})  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"scale": {"target": "deploy/wbe", "replicas": 1}},
         "field 'scale.target': there is no Deployment 'wbe' in the namespace 'default'; did you mean 'web'?"),
        ({"scale": {"target": "deploy/web", "namespace": "shop", "replicas": 1}}, "in the namespace 'shop'"),
        ({"scale": {"target": "deploiment/web", "replicas": 1}},
         "field 'scale.target': 'deploiment' is no kind that is simulated; did you mean 'deployment'? Expected one of"),
        ({"scale": {"target": "web", "replicas": 1}}, "field 'scale.target': 'web' names no kind; expected KIND/NAME"),
        ({"scale": {"target": "deploy/web", "name": "web", "replicas": 1}}, "field 'scale': names its object twice"),
        ({"scale": {"replicas": 1}}, "field 'scale': names no object"),
        ({"scale": {"kind": "Deployment", "replicas": 1}}, "field 'scale.name': is missing"),
        ({"scale": {"target": "deploy/web", "replicas": -1}}, "field 'scale.replicas': is -1; expected 0 or more"),
        ({"image": {"target": "deploy/web", "containers": {"wbe": "a"}}},
         "field 'image.containers': there is no container 'wbe'; did you mean 'web'? Expected one of web, side"),
        ({"image": {"target": "deploy/web", "containers": {"web": ""}}}, "field 'image.containers.web': is empty"),
        ({"image": {"target": "deploy/web", "containers": {}}}, "field 'image.containers': is empty"),
        ({"pause": "rs/set"}, "field 'pause': ReplicaSet cannot be paused; expected a Deployment"),
        ({"restart": "rs/set"}, "field 'restart': ReplicaSet has no rollouts; expected one of DaemonSet, Deployment"),
        ({"delete": {"pods": "app=none"}}, "field 'delete.pods': selects no pod that may be there"),
        ({"delete": {"pods": "app"}}, "field 'delete.pods': 'app' is not a label; expected labels such as app=web"),
        ({"delete": {"pods": {}}}, "field 'delete.pods': is empty"),
        ({"delete": {"pods": "app=web", "target": "deploy/web"}}, "field 'delete': names an object and pods"),
        ({"delete": {"target": "deploy/web", "cascade": "orphans"}},
         "field 'delete.cascade': 'orphans' is not known; did you mean 'orphan'?"),
        ({"delete": {"target": "deploy/web", "grace": 5}}, "field 'delete.grace': is stated"),
        ({"crash": {"target": "deploy/web", "perHour": -1}}, "field 'crash.perHour': is -1.0; expected a number"),
        ({"crash": {"target": "deploy/web", "perStart": 2}}, "field 'crash.perStart': is 2.0; expected a probability"),
        ({"crash": {"target": "deploy/web", "for": "x"}}, "field 'crash.for': 'x' is not a duration"),
        ({"registry": {"bandwidth": 0}}, "field 'registry.bandwidth': is 0; expected a factor above 0"),
        ({"load": {"target": "deploy/web"}}, "field 'load': has no curve"),
        ({"load": {"target": "deploy/web", "cpu": "x"}}, "field 'load.cpu': 'x' is not a quantity"),
        ({"load": {"target": "deploy/web", "cpu": {"points": {}}}}, "field 'load.cpu.points': is empty"),
        ({"load": {"target": "deploy/web", "cpu": {"points": {"1m": 1, "60": 2}}}},
         "field 'load.cpu.points': has a time twice"),
        ({"load": {"target": "deploy/web", "cpu": {"mean": 1}}}, "field 'load.cpu': is no whole curve"),
        ({"load": {"target": "deploy/web", "cpu": {"mean": 1, "amplitude": 1, "period": 0}}},
         "field 'load.cpu.period': is 0"),
        ({"load": {"target": "deploy/web", "cpu": {"mean": 1, "amplitude": 1, "period": "60000d"}}},
         "field 'load.cpu.period': is too long"),
        ({"load": {"target": "deploy/web", "cpu": {"mean": 1, "points": {"0": 1}}}}, "has both points and a wave"),
        ({"load": {"target": "deploy/web", "memory": "1Ei"}}, "field 'load.memory': '1Ei' is"),
        ({"evict": {"pods": "app=api"}}, "field 'evict.pods': selects no pod that may be there"),
        ({"evict": {"target": "deploy/web", "pods": "app=web"}}, "field 'evict': names an object and pods"),
        ({"evict": "deploy/api"}, "field 'evict': there is no Deployment 'api'"),
        ({"apply": {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}}},
         "item 1 (Pod): is a pod; expected a workload"),
        ({"apply": workload("Deployment", "")}, "item 1 (Deployment default), field 'metadata.name': is missing"),
        ({"apply": workload("Deployment", "api", -2)}, "item 1 (Deployment default/api), field 'spec.replicas': is -2"),
        ({"apply": OWNED},
         "item 1 (ReplicaSet default/a), field 'metadata.ownerReferences': is owned by itself in the end"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_told_before_the_run(tmp_path: Path, entry: dict[str, Any], told: str) -> None:
    line = refusal(
        tmp_path, yaml({"at": 0, "pause": "deploy/web"}, {"at": 1, **entry}), WEB, workload("ReplicaSet", "set")
    )
    assert line.startswith("s.yaml, action 2")
    assert told in line


def test_what_the_api_server_fixes_cannot_be_changed(tmp_path: Path) -> None:
    other = workload("Deployment", "web", selector={"matchLabels": {"app": "api"}})
    told = refusal(tmp_path, yaml({"at": 0, "apply": other}), WEB)
    assert "(Deployment default/web), field 'spec.selector': cannot be changed in a Deployment" in told


@pytest.mark.parametrize("kind", ["Deployment", "DaemonSet", "StatefulSet", "ReplicaSet"])
@pytest.mark.parametrize("spec", [{}, {"spec": None}])
def test_a_template_without_a_spec(tmp_path: Path, kind: str, spec: dict[str, Any]) -> None:
    found = workload(kind, "web", template={"metadata": {"labels": {"app": "web"}}, **spec}, serviceName="web")
    scenario = read([written(tmp_path, yaml({"at": 0, "apply": found}))])
    with pytest.raises(InputError, match=rf"{kind} default/web.*, field 'spec.template.spec': is missing"):
        plan(scenario, gathered(kinds=controllers.kinds()), controllers.kinds(), 0)


def test_a_service_has_no_pods_that_crash(tmp_path: Path) -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}
    kinds = controllers.kinds()
    scenario = read([written(tmp_path, yaml({"at": 0, "crash": {"target": "svc/web", "perHour": 1}}))])
    with pytest.raises(InputError, match=r"action 1, field 'crash.target': has no pod template; expected a workload"):
        plan(scenario, gathered(service, kinds=kinds), kinds, 0)


def test_an_owner_must_be_there_and_stays_the_same(tmp_path: Path) -> None:
    def owned(owner: str) -> dict[str, Any]:
        reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": owner, "controller": True}
        return workload("ReplicaSet", "set", metadata={"ownerReferences": [reference]})

    assert "there is no Deployment 'api' at that time" in refusal(tmp_path, yaml({"at": 0, "apply": owned("api")}), WEB)
    (made,) = effects(tmp_path, yaml({"at": 0, "apply": owned("web")}))
    assert made.owner == ("Deployment", "default", "web")
    twice = yaml({"at": 0, "apply": owned("web")}, {"at": 1, "apply": workload("Deployment", "api")},
                 {"at": 2, "apply": owned("api")})  # fmt: skip
    assert "changes who controls it" in refusal(tmp_path, twice, WEB)


def test_thousands_of_actions_are_planned_in_seconds(tmp_path: Path) -> None:
    many = [workload("Deployment", f"web-{n}") for n in range(50)]
    entries = []
    for n in range(50):
        target = f"deploy/web-{n}"
        entries += [{"every": "1m", "times": 50, "scale": {"target": target, "replicas": 3}},
                    {"every": "1m", "times": 50, "restart": target}]  # fmt: skip
    begun = time.process_time()
    assert len(planned(tmp_path, yaml(*entries), *many)) == 5000
    assert time.process_time() - begun < 10
