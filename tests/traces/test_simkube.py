import copy
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.traces import PODS, Options
from kscale.traces.common.opening import reader_of
from kscale.traces.simkube import READER
from tests.traces.holding import assert_read_or_refused, assert_round_trip, assert_told_once, mutated

DEPLOYMENT, CRONJOB, POD = "apps/v1.Deployment", "batch/v1.CronJob", "v1.Pod"


def spec(cpu: str = "100m") -> dict[str, Any]:
    return {"containers": [{"name": "a", "image": "x", "resources": {"requests": {"cpu": cpu}}}]}


def deployment(name: str, replicas: int | None = None, cpu: str = "100m") -> dict[str, Any]:
    counted = {} if replicas is None else {"replicas": replicas}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "web"},
        "spec": counted | {"template": {"metadata": {"labels": {"a": "b"}}, "spec": spec(cpu)}},
    }  # fmt: skip


def cronjob(name: str) -> dict[str, Any]:
    template = {"spec": {"template": {"spec": spec()}}}
    return {
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name}, "spec": {"jobTemplate": template},
    }  # fmt: skip


def pod(name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "web"}, "spec": spec() | more}


def recording(*events: tuple[int, list[Any], list[Any]], lives: Any = None, tracked: Any = None) -> dict[str, Any]:
    return {
        "version": 2,
        "config": {"trackedObjects": tracked or {DEPLOYMENT: {}, CRONJOB: {"trackLifecycle": True}, POD: {}}},
        "events": [{"ts": ts, "applied_objs": applied, "deleted_objs": deleted} for ts, applied, deleted in events],
        "index": {},
        "pod_lifecycles": lives or {},
    }


def packed(found: dict[str, Any]) -> bytes:
    return msgspec.msgpack.encode(found)


#: What a file of the format holds.
HEAD = packed(recording((1000, [pod("p")], [])))

SCALED = recording(
    (1000, [], []),
    (1010, [deployment("d", 2)], []),
    (1020, [deployment("d", 3)], []),
    (1030, [deployment("d", 1)], []),
    (1040, [deployment("d", 2, "200m")], []),
    (1050, [], [deployment("d")]),
    (1060, [deployment("d")], []),
)


def read(write, found, **options):
    return READER.read(write("t.sktrace", packed(found)), Options(**options))


def times(trace):
    return {name: (a // 10**6, d if d is None else d // 10**6, e if e is None else e // 10**6)
            for name, a, d, e in trace.pods.select("name", "arrival_us", "duration_us", "end_us").rows()}  # fmt: skip


def test_owners_have_as_many_pods_as_they_say(write):
    trace = read(write, SCALED)
    assert dict(trace.pods.schema) == PODS
    assert times(trace) == {
        "d-0": (10, 30, 40),
        "d-1": (10, 20, 30),
        "d-2": (20, 10, 30),
        "d-3": (40, 10, 50),
        "d-4": (40, 10, 50),
        "d-5": (60, None, None),
    }
    assert trace.pods["owner"].unique().to_list() == ["deployment/d"]
    assert trace.pods["namespace"].unique().to_list() == ["web"]
    assert [trace.specs["cpu_milli"][one] for one in trace.pods["spec"]] == [100, 100, 100, 200, 200, 100]
    assert "6 objects applied or deleted in 7 events are 6 pods" in trace.notes[0]


def test_lives_pair_with_pods_and_others_are_pods_of_their_own(write):
    lives = {
        (POD, "web/p"): {7: [{"Finished": [1012, 1030]}]},
        (POD, "web/q"): {7: [{"Running": 1013}]},
        (CRONJOB, "default/c"): {9: [{"Finished": [1100, 1130]}, "Empty"], 8: [{"Finished": [1040, 1041]}]},
        (DEPLOYMENT, "web/d"): {1: [{"Finished": [1025, 1060]}, {"Running": 1061}, {"Finished": [900, 1020]}]},
        (DEPLOYMENT, "web/gone"): {1: [{"Running": 1001}]},
    }
    found = recording(
        (1000, [deployment("d", 2)], []), (1010, [pod("p"), pod("q"), pod("r"), cronjob("c")], []),
        (1050, [], [pod("r"), pod("q")]), lives=lives,
    )  # fmt: skip
    trace = read(write, found)
    assert times(trace) == {
        "d-0": (0, 20, 20),  # ran before the recording began
        "d-1": (0, 35, 60),
        "p": (10, 18, 30),
        "q": (10, 37, 50),
        "r": (10, 40, 50),
        "c-0": (40, 1, 41),
        "c-1": (100, 30, 130),
        "d-2": (61, None, None),
    }
    assert trace.pods.filter(trace.pods["name"] == "p")["owner"].to_list() == [None]
    assert "9 lives of pods are recorded" in trace.notes[1]
    assert trace.notes[3:] == (
        "simkube: left out: lives of pods whose owner is not among the objects (1).",
        "simkube: left out: lives that never began (1).",
    )


def test_jobs_and_kinds_of_their_own(write):
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"},
           "spec": {"parallelism": 3, "completions": 2, "template": {"spec": spec()}}}  # fmt: skip
    held = job | {"metadata": {"name": "held"}, "spec": job["spec"] | {"suspend": True}}
    own = {"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "VcJob", "metadata": {"name": "v"},
           "spec": {"replicas": 2, "a/b": {"spec": spec("1")}, "second": {"spec": spec("2")}}}  # fmt: skip
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
    tracked = {"batch.volcano.sh/v1alpha1.VcJob": {"podSpecTemplatePaths": ["/spec/a~1b", "/spec/second"]}}
    trace = read(write, recording((5, [job, held, own, config], []), tracked=tracked))
    assert trace.pods["owner"].to_list() == ["job/j"] * 2 + ["vcjob/v"] * 4
    assert [trace.specs["cpu_milli"][one] for one in trace.pods["spec"]] == [100, 100, 1000, 1000, 2000, 2000]
    assert "simkube: left out: ConfigMap: has no pods (1)." in trace.notes


def test_a_name_that_comes_again_gets_a_number(write):
    trace = read(write, recording((0, [pod("p"), pod("p.2")], []), (5, [], [pod("p")]), (9, [pod("p")], [])))
    assert times(trace) == {"p": (0, 5, 5), "p.2": (0, None, None), "p.3": (9, None, None)}


def test_what_no_column_holds_is_told(write):
    spread = [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]
    claim = [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]
    trace = read(write, recording((0, [pod("p", topologySpreadConstraints=spread, volumes=claim), pod("q")], [])))
    assert trace.notes[-1] == (
        "simkube: a trace has no column for topology spread constraints (1 pods), volumes (1 pods); "
        "kscale replay -f takes manifests whole."
    )


def test_json_says_the_same(write):
    written = READER.read(write("t.json", json.dumps(SCALED)), Options())
    assert written.pods.equals(read(write, SCALED).pods)
    assert reader_of(write("t.json.gz", json.dumps(SCALED))).name == "simkube"


def bad_objects() -> list[tuple[dict[str, Any], str]]:
    wrong = []
    for change, message in (
        ({"kind": None}, "event 1 .*field 'kind': is missing"),
        ({"apiVersion": 5}, "field 'apiVersion': is missing"),
        ({"metadata": {}}, "field 'metadata.name': is missing"),
        ({"metadata": {"name": "A_"}}, "'A_' is not a name"),
        ({"metadata": {"name": "a", "namespace": 5}}, "field 'metadata.namespace': is no text"),
        ({"spec": {"replicas": -1, "template": {"spec": spec()}}}, r"\(d\), field 'spec.replicas': '-1' is no such"),
        ({"spec": {"replicas": 1}}, "field 'spec': is missing; expected the pod's spec"),
        ({"spec": {"template": {"spec": {}}}}, "field 'spec.containers': is empty"),
        ({"spec": {"template": {"spec": spec("x")}}}, "'x' is not a quantity"),
        (
            {"spec": {"replicas": 10**6 + 1, "template": {"spec": spec()}}},
            "expected a whole number from 0 to 1,000,000",
        ),
    ):
        wrong.append((deployment("d") | change, message))
    return wrong


@pytest.mark.parametrize(("found", "message"), bad_objects())
def test_bad_objects_are_told_or_counted(write, found, message):
    both = recording((0, [found, pod("p")], []))
    with pytest.raises(InputError, match=message):
        read(write, both)
    trace = read(write, both, lenient=True)
    assert trace.pods["name"].to_list() == ["p"]
    assert list(trace.dropped.values()) == [1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 3}, "field 'version': is 3; expected 2"),
        ({"version": "2"}, "field 'version': is text; expected a whole number"),
        ({"events": [{"ts": -5}]}, "event 1, field 'ts': is -5; expected seconds since 1970"),
        ({"events": 5}, "field 'events': is a whole number; expected a list"),
        ({"pod_lifecycles": {(POD, "web/p"): {1: [{"Running": -1}]}}}, "field 'Running': '-1' is no such number"),
        (
            {"pod_lifecycles": {(POD, "web/p"): {1: 5}}},
            "t.sktrace, pod_lifecycles of v1.Pod web/p.*: is a whole number",
        ),
        ({"pod_lifecycles": {(POD, "web/p"): {1: ["Ended"]}}}, "'Ended' is no life; expected Empty, Running or"),
    ],
)
def test_bad_recordings_are_told(write, change, message):
    with pytest.raises(InputError, match=message):
        read(write, SCALED | change)


def test_one_bad_life_leaves_the_others(write):
    lives = {(POD, "web/p"): {1: ["Ended", {"Finished": [1, 5]}]}, (POD, "web/q"): {1: 5}}
    trace = read(write, recording((0, [pod("p"), pod("q")], []), lives=lives), lenient=True)
    assert times(trace) == {"p": (0, 4, 5), "q": (0, None, None)}
    assert trace.dropped == {"pod_lifecycles: '{value}' is no life": 1, "pod_lifecycles: is a whole number": 1}


def test_version_1_and_lives_in_json_are_told(write):
    with pytest.raises(InputError, match=r"is no recording of SimKube: .*version 2, MessagePack or JSON"):
        READER.read(write("old.sktrace", msgspec.msgpack.encode([{}, [], {}, {}])), Options())
    with pytest.raises(InputError, match="field 'pod_lifecycles': is in JSON; expected MessagePack"):
        READER.read(write("t.json", json.dumps(SCALED | {"pod_lifecycles": {"a": {}}})), Options())


def test_too_many_pods_are_refused_also_when_lenient(write):
    many = recording((0, [deployment("d", 10**6)], []))
    for lenient in (False, True):
        with pytest.raises(InputError, match=r"comes to too many pods; expected at most 1[,.]\d+; see --max-input"):
            read(write, many, max_input=1 << 17, lenient=lenient)


def test_progress_comes_to_the_size_of_the_file(write):
    assert_told_once(READER, write("t.sktrace", packed(SCALED)))


def test_round_trip(write, tmp_path):
    assert_round_trip(read(write, SCALED), tmp_path)


_step = st.tuples(
    st.integers(0, 20), st.sampled_from(["d", "e"]), st.one_of(st.none(), st.integers(0, 4)), st.booleans()
)


@settings(deadline=None, max_examples=150)
@given(steps=st.lists(_step, max_size=10))
def test_as_many_pods_live_as_a_plain_walk_through_events_says(tmp_path_factory, steps):
    """At every instant, each owner has so many pods of the latest template as was last applied."""
    steps = sorted(steps, key=lambda step: step[0])
    events = []
    for ts, name, replicas, large in steps:
        one = deployment(name, replicas or 0, "200m" if large else "100m")
        events.append((ts, [], [one]) if replicas is None else (ts, [one], []))
    path = tmp_path_factory.mktemp("walk") / "t.sktrace"
    path.write_bytes(packed(recording(*events)))
    trace = READER.read(path, Options())
    origin = steps[0][0] if steps else 0
    cpu = [trace.specs["cpu_milli"][one] for one in trace.pods["spec"]]
    rows = list(zip(trace.pods["owner"], trace.pods["arrival_us"], trace.pods["end_us"], cpu, strict=True))
    last: dict[str, tuple[int, int]] = {}
    for i, (ts, name, replicas, large) in enumerate(steps):
        last[name] = (0, 0) if replicas is None else (replicas, 200 if large else 100)
        if i + 1 < len(steps) and steps[i + 1][0] == ts:
            continue
        now = (ts - origin) * 10**6
        for owner, (wanted, milli) in last.items():
            live = [c for o, a, e, c in rows if o == f"deployment/{owner}" and a <= now and (e is None or e > now)]
            assert live == [milli] * wanted


@settings(deadline=None, max_examples=100)
@given(data=st.data(), lenient=st.booleans(), as_json=st.booleans())
def test_mutated_files_are_read_or_refused(tmp_path_factory, data, lenient, as_json):
    path = tmp_path_factory.mktemp("mutated") / "t.sktrace"
    lives = {} if as_json else {(DEPLOYMENT, "web/d"): {1: [{"Finished": [1025, 1060]}]}}
    found = copy.deepcopy(SCALED) | {"pod_lifecycles": lives}
    path.write_bytes(mutated(data, json.dumps(found).encode() if as_json else packed(found)))
    assert_read_or_refused(READER, path, lenient)


@pytest.mark.data
@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("simkube_bare-pods.sktrace", [(0, 12), (42, 30), (102, 30), (162, None)]),
        ("simkube_cronjob.sktrace", [(38, 30), (98, 30), (158, 30)]),
        ("simkube_trace.json", [(0, None), (0, None)]),
    ],
)
def test_published_examples(data, tmp_path, file, expected):
    path = data / "other" / "formats" / file
    assert reader_of(path).name == "simkube"
    trace = READER.read(path, Options())
    assert [(arrival, duration) for arrival, duration, _ in times(trace).values()] == expected
    assert_round_trip(trace, tmp_path)
