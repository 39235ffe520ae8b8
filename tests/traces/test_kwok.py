from random import Random
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.traces import NODE_EVENTS, PODS, Options
from kscale.traces.common import files
from kscale.traces.common.opening import reader_of
from kscale.traces.kwok import READER
from tests.traces.holding import assert_read_or_refused, assert_round_trip, assert_same, assert_told_once, mutated

MS = 10**6  # nanoseconds


def spec(cpu: str = "100m", **more: Any) -> dict[str, Any]:
    return {"containers": [{"name": "a", "resources": {"requests": {"cpu": cpu}}}]} | more


def pod(name: str, phase: str = "Pending", **more: Any) -> dict[str, Any]:
    created = "$(time-offset-nanosecond -5000)"
    meta = {"name": name, "namespace": "web", "creationTimestamp": created}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec(**more), "status": {"phase": phase}}


def node(name: str, cpu: str = "4", **more: Any) -> dict[str, Any]:
    status = {"capacity": {"cpu": cpu, "memory": "8Gi", "pods": "110"}, "conditions": [{"type": "Ready"}]}
    return {
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"zone": "a"}}, "spec": more,
        "status": status,
    }  # fmt: skip


def change(ms: float, method: str, resource: str, name: str, template: Any = None) -> dict[str, Any]:
    target = {"name": name} | ({"namespace": "web"} if resource == "pods" else {})
    found = {
        "apiVersion": "action.kwok.x-k8s.io/v1alpha1", "durationNanosecond": int(ms * MS), "kind": "ResourcePatch",
        "method": method, "resource": {"resource": resource, "version": "v1"}, "target": target,
    }  # fmt: skip
    return found if template is None else found | {"template": template}


def text(*found: Any) -> str:
    return yaml.safe_dump_all(found, sort_keys=False)


#: What a file of the format begins with.
HEAD = text(change(0, "create", "pods", "p", pod("p")))

STREAM = (
    node("n0", unschedulable=True, taints=[{"key": "k", "effect": "NoSchedule", "timeAdded": "$(time)"}]),
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web"}},
    pod("there", "Running", nodeName="n0"),
    pod("ended", "Succeeded", nodeName="n0"),
    pod("waits"),
    change(0, "create", "pods", "a", pod("a")),
    change(10, "patch", "pods", "a", {"spec": {"nodeName": "n0"}}),
    change(25, "patch", "pods", "a", {"status": {"phase": "Running", "startTime": "$(time-offset-nanosecond 0)"}}),
    change(30, "create", "nodes", "n1", node("n1", "8")),
    change(28, "patch", "nodes", "n0", {"spec": {"unschedulable": None, "taints": [{"$patch": "delete", "key": "k"}]}}),
    change(40, "patch", "pods", "a", {"status": {"phase": "Succeeded"}}),
    change(50, "delete", "pods", "a"),
    change(55, "create", "pods", "b", pod("b")),
    change(60, "patch", "pods", "waits", {"spec": {"nodeName": "n1"}}),
    change(61, "patch", "nodes", "n1", {"status": {"capacity": {"cpu": "6"}}, "metadata": {"annotations": {"x": "y"}}}),
    change(62, "patch", "nodes", "n1", {"status": {"conditions": [{"type": "Ready"}]}}),
    change(70, "delete", "pods", "waits"),
    change(71, "delete", "pods", "there"),
    change(75, "create", "pods", "a", pod("a", cpu="1")),
    change(80, "delete", "nodes", "n1"),
    change(85, "create", "events", "e", {"reason": "Scheduled"}),
    change(90, "create", "nodes", "n1", node("n1", "8", unschedulable=True)),
    change(91, "delete", "pods", "never"),
    change(92, "patch", "nodes", "never", {}),
    change(93, "patch", "pods", "b", {"spec": {"tolerations": []}}),
)


def read(write, *found, **options):
    return READER.read(write("t.yaml", text(*found)), Options(**options))


def times(trace):
    return dict(zip(trace.pods["name"], trace.pods.select("arrival_us", "duration_us", "end_us").rows(), strict=True))


def test_pods_come_start_and_end(write):
    trace = read(write, *STREAM)
    assert dict(trace.pods.schema) == PODS
    assert times(trace) == {
        "there": (0, 71_000, 71_000),
        "waits": (0, 10_000, 70_000),
        "a": (0, 15_000, 40_000),
        "b": (55_000, None, None),
        "a.2": (75_000, None, None),
    }
    assert trace.pods["namespace"].unique().to_list() == ["web"]
    assert trace.specs["cpu_milli"].to_list() == [100, 1000]
    assert trace.specs["node_name"].to_list() == [None, None]
    assert "23 objects and patches of pods" in trace.notes[0] and "5 pods and 2 nodes with 6 events" in trace.notes[0]
    assert "2 documents are of other kinds" in trace.notes[0]
    assert "1 pods that were bound at the start arrive at 0" in trace.notes[1]
    assert trace.notes[3:] == (
        "kwok: left out: changes of nodes' labels, taints and other resources (1).",
        "kwok: left out: changes of what pods ask for (1).",
        "kwok: left out: patches and deletions of nodes that never came (1).",
        "kwok: left out: patches and deletions of pods that never came (1).",
        "kwok: left out: pods that had ended at the start (1).",
    )


def test_nodes_and_what_becomes_of_them(write):
    trace = read(write, *STREAM)
    assert trace.nodes is not None and trace.node_events is not None
    assert trace.nodes.select(
        "name", "cpu_milli", "memory_bytes", "pods", "labels", "taints", "unschedulable"
    ).rows() == [
        ("n0", 4000, 8 << 30, 110, "zone=a", "k:NoSchedule", True),
        ("n1", 8000, 8 << 30, 110, "zone=a", None, False),
    ]
    assert dict(trace.node_events.schema) == NODE_EVENTS
    assert trace.node_events.rows() == [
        (28_000, "n0", "uncordon", None, None),
        (30_000, "n1", "join", 8000, 8 << 30),
        (61_000, "n1", "update", 6000, 8 << 30),
        (80_000, "n1", "leave", None, None),
        (90_000, "n1", "join", 8000, 8 << 30),
        (90_000, "n1", "cordon", None, None),
    ]


def test_a_node_that_comes_again_says_whether_it_is_cordoned(write):
    trace = read(
        write, node("n0"), change(1, "patch", "nodes", "n0", {"spec": {"unschedulable": True}}),
        change(2, "delete", "nodes", "n0"), change(3, "create", "nodes", "n0", node("n0", unschedulable=True)),
    )  # fmt: skip
    assert trace.node_events is not None
    assert trace.node_events["event"].to_list() == ["cordon", "leave", "join", "cordon"]


def test_owners_lists_and_priority_classes(write):
    owners = [{"kind": "Job", "name": "x"}, {"kind": "DaemonSet", "name": "d", "controller": True}]
    listed = {"apiVersion": "v1", "kind": "List", "items": [pod("p", priorityClassName="high"), node("n1")]}
    listed["items"][0]["metadata"]["ownerReferences"] = owners
    named = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}]}}}  # fmt: skip
    classes = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 7}
    trace = read(write, classes, listed, change(1, "create", "pods", "q", pod("q", affinity=named)))
    assert trace.pods["owner"].to_list() == ["daemonset/d", None]
    assert trace.specs["priority"].to_list() == [7, 0]
    assert trace.specs["node_name"].to_list() == [None, "n1"]
    assert trace.nodes is not None and trace.node_events is None


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (change(0, "remove", "pods", "p"), "document 1 .*field 'method': 'remove' is no method; expected"),
        (change(-1, "delete", "pods", "p"), "field 'durationNanosecond': '-1000000' is no such number"),
        (change(0, "create", "pods", "p"), "field 'template': is missing; expected an object, or a patch of one"),
        (change(0, "create", "pods", "p", {"spec": {}}), "document 1 .p., field 'spec.containers': is empty"),
        (change(0, "create", "nodes", "n0", node("n0", "x")), "field 'status.capacity.cpu': 'x' is not a quantity"),
        (change(0, "delete", "pods", "p") | {"apiVersion": "kwok.x-k8s.io/internal"},
         "field 'apiVersion': 'kwok.x-k8s.io/internal' is another form; expected action"),
        (change(0, "delete", "pods", "p") | {"target": {}}, "field 'target.name': is missing"),
        ({"kind": "Pod", "metadata": {"name": "P"}}, "'P' is not a name"),
        (["a"], "is no object; expected a Kubernetes object"),
    ],
)  # fmt: skip
def test_bad_documents_are_told_or_counted(write, found, message):
    with pytest.raises(InputError, match=message):
        read(write, found, change(1, "create", "pods", "p", pod("p")))
    trace = read(write, found, change(1, "create", "pods", "p", pod("p")), lenient=True)
    assert trace.pods["name"].to_list() == ["p"]
    assert list(trace.dropped.values()) == [1]


def test_a_document_that_is_no_yaml_is_told_with_its_number(write):
    path = write("t.yaml", text(pod("p")) + "---\nkind: Pod\n  x: [\n")
    with pytest.raises(InputError, match=r"t\.yaml, document 2, line 3, column 4: cannot be read as YAML"):
        READER.read(path, Options())
    assert READER.read(path, Options(lenient=True)).pods.height == 1


def test_a_document_that_is_too_long_is_refused(write, monkeypatch):
    monkeypatch.setattr(files, "BATCH_BYTES", 1000)
    with pytest.raises(InputError, match="has a document of more than 0 MiB"):
        read(write, {"kind": "Pod", "x": ["y" * 100] * 20})


def test_files_as_kwokctl_and_others_write_them(write):
    expected = read(write, *STREAM)
    lines = "".join("---\n" + yaml.safe_dump(found, default_flow_style=None) for found in STREAM)
    assert_same(READER.read(write("t.yaml.gz", lines.replace("\n", "\r\n")), Options()), expected)
    as_json = "\n---\n".join(msgspec.json.encode(found).decode() for found in STREAM)
    assert READER.read(write("t.yaml", as_json), Options()).pods.equals(expected.pods)


def test_it_is_found_by_its_patches(write):
    assert reader_of(write("t.yaml", text(*STREAM))).name == "kwok"
    assert not READER.detects(write("u.yaml", "x"), text(pod("p")).encode())


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 999))
def test_patches_somewhat_out_of_order_say_the_same(tmp_path_factory, seed):
    folder = tmp_path_factory.mktemp("order")
    start, patches = STREAM[:5], list(STREAM[5:])
    Random(seed).shuffle(patches)
    (folder / "a.yaml").write_text(text(*STREAM))
    (folder / "b.yaml").write_text(text(*start, *sorted(patches, key=lambda one: Random(seed).random())))
    found, expected = (READER.read(folder / name, Options()) for name in ("b.yaml", "a.yaml"))
    assert_same(found, expected)


def test_progress_comes_to_the_size_of_the_file(write):
    assert_told_once(READER, write("t.yaml", text(*STREAM)))


def test_round_trip(write, tmp_path):
    assert_round_trip(read(write, *STREAM), tmp_path)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), lenient=st.booleans())
def test_mutated_files_are_read_or_refused(tmp_path_factory, data, lenient):
    path = tmp_path_factory.mktemp("mutated") / "t.yaml"
    path.write_bytes(mutated(data, text(*STREAM[:12]).encode()))
    assert_read_or_refused(READER, path, lenient)


_happening = st.tuples(
    st.integers(0, 30), st.sampled_from(["create", "run", "finish", "delete"]), st.sampled_from(["a", "b", "c"])
)


def plainly(steps: list[tuple[int, str, str]]) -> list[tuple[str, int, int | None]]:
    """Name, arrival and end of pods, in milliseconds, from what happens one by one."""
    pods: list[list[Any]] = []
    live: dict[str, list[Any]] = {}
    for ms, what, name in steps:
        if what == "create":
            if name in live:
                live[name][2] = ms if live[name][2] is None else live[name][2]
            live[name] = [name, ms, None]
            pods.append(live[name])
        elif name in live and what in ("finish", "delete"):
            live[name][2] = ms if live[name][2] is None else live[name][2]
            if what == "delete":
                del live[name]
    return [(name, arrival, end) for name, arrival, end in pods]


@settings(deadline=None, max_examples=100)
@given(steps=st.lists(_happening, max_size=14))
def test_pods_are_those_of_a_plain_walk_through_what_happens(tmp_path_factory, steps):
    steps = sorted(steps, key=lambda step: step[0])
    made = {
        "create": lambda ms, name: change(ms, "create", "pods", name, pod(name)),
        "run": lambda ms, name: change(ms, "patch", "pods", name, {"status": {"phase": "Running"}}),
        "finish": lambda ms, name: change(ms, "patch", "pods", name, {"status": {"phase": "Failed"}}),
        "delete": lambda ms, name: change(ms, "delete", "pods", name),
    }
    path = tmp_path_factory.mktemp("walk") / "t.yaml"
    path.write_text(text(*(made[what](ms, name) for ms, what, name in steps)) or "---\n")
    trace = READER.read(path, Options())
    found = trace.pods.select("name", "arrival_us", "end_us").rows()
    expected = plainly(steps)
    assert [(name.partition(".")[0], a // 1000, e if e is None else e // 1000) for name, a, e in found] == expected
    used = [step for step in steps if step[1] == "create"]
    unknown = sum(int(note.rpartition("(")[2].strip(").")) for note in trace.notes if "never came" in note)
    assert len(used) == trace.pods.height and len(steps) >= trace.pods.height + unknown


_node_step = st.tuples(
    st.integers(0, 30),
    st.sampled_from(["create", "cordon", "uncordon", "grow", "delete"]),
    st.sampled_from(["n0", "n1"]),
)


@settings(deadline=None, max_examples=100)
@example(steps=[(0, "create", "n0"), (0, "delete", "n0"), (0, "create", "n0")])
@given(steps=st.lists(_node_step, max_size=14))
def test_nodes_and_their_events_lead_to_the_same_cluster(tmp_path_factory, steps):
    """Played back, the events say at the end which nodes are there, whether cordoned, and with how much cpu."""
    steps = sorted(steps, key=lambda step: step[0])
    there: dict[str, list[Any]] = {}
    found = []
    for ms, what, name in steps:
        cpu = there[name][1] + 1 if name in there else 4
        if what == "create" and name not in there:
            there[name] = [False, 4]
            found.append(change(ms, "create", "nodes", name, node(name)))
        elif what == "delete":
            there.pop(name, None)
            found.append(change(ms, "delete", "nodes", name))
        elif name in there and what == "grow":
            there[name][1] = cpu
            found.append(change(ms, "patch", "nodes", name, {"status": {"capacity": {"cpu": str(cpu)}}}))
        elif name in there and what != "create":
            there[name][0] = what == "cordon"
            patch = {"spec": {"unschedulable": True if what == "cordon" else None}}
            found.append(change(ms, "patch", "nodes", name, patch))
    path = tmp_path_factory.mktemp("nodes") / "t.yaml"
    path.write_text(text(*found) or "---\n")
    trace = READER.read(path, Options())
    late = set()
    events = trace.node_events.rows() if trace.node_events is not None else []
    for _, name, event, *_ in reversed(events):
        (late.add if event == "join" else late.discard)(name)
    rows = trace.nodes.select("name", "unschedulable", "cpu_milli").rows() if trace.nodes is not None else []
    played = {name: [cordoned, cpu // 1000] for name, cordoned, cpu in rows if name not in late}
    last = {name: [cordoned, cpu // 1000] for name, cordoned, cpu in rows}
    for _, name, event, cpu, _ in events:
        if event == "leave":
            last[name] = played.pop(name)
        elif event == "join":
            played[name] = [last[name][0], cpu // 1000]
        elif event == "update":
            played[name][1] = cpu // 1000
        else:
            played[name][0] = event == "cordon"
    assert played == there
