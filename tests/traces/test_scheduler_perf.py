from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.traces import PODS, Options
from kscale.traces.common.opening import reader_of
from kscale.traces.scheduler_perf import READER
from tests.traces.holding import assert_read_or_refused, assert_round_trip, mutated

POD = """apiVersion: v1
kind: Pod
metadata:
  generateName: pod-
  labels: {type: blocker}
spec:
  containers:
  - name: pause
    resources:
      requests: {cpu: 200m}
"""
NODE = """apiVersion: v1
kind: Node
metadata:
  generateName: perf-
  labels: {"row": "r{{Mod .Index 2}}"}
spec: {}
status:
  capacity: {pods: "110", cpu: "{{.cpu}}", memory: 32Gi}
"""


def config(*operations: dict[str, Any], threshold: Any = None, **params: Any) -> str:
    workload: dict[str, Any] = {"name": "500Nodes", "labels": ["fast"], "params": params}
    if threshold is not None:
        workload["threshold"] = threshold
    case = {"name": "SchedulingBasic", "workloadTemplate": list(operations), "workloads": [workload]}
    return "# The following labels are used\n\n" + yaml.safe_dump([case], sort_keys=False)


#: What a file of the format begins with.
HEAD = config({"opcode": "createNodes", "count": 2}, {"opcode": "createPods", "countParam": "$many"}, many=1)


def read(write, *operations, **more):
    options = more.pop("options", Options())
    return READER.read(write("performance-config.yaml", config(*operations, **more)), options)


def seconds(trace):
    return [(a / 1e6, e if e is None else e / 1e6) for a, e in trace.pods.select("arrival_us", "end_us").rows()]


def test_pods_and_nodes_of_defaults(write):
    trace = read(
        write, {"opcode": "createNodes", "countParam": "$nodes"},
        {"opcode": "createPods", "countParam": "$pods"}, {"opcode": "createPods", "count": 2, "namespace": "own"},
        nodes=3, pods=4,
    )  # fmt: skip
    assert dict(trace.pods.schema) == PODS
    assert trace.pods["name"].to_list() == ["pod-1-0", "pod-1-1", "pod-1-2", "pod-1-3", "pod-2-0", "pod-2-1"]
    assert trace.pods["namespace"].to_list() == ["namespace-1"] * 4 + ["own"] * 2
    assert trace.pods["arrival_us"].to_list() == [0, 200, 400, 600, 800, 1000]
    assert trace.pods["duration_us"].null_count() == 6
    assert trace.specs.select("cpu_milli", "memory_bytes").rows() == [(100, 500 << 20)]
    assert trace.nodes is not None and trace.node_events is None
    assert trace.nodes["name"].to_list() == ["node-0-0", "node-0-1", "node-0-2"]
    assert trace.nodes.select("cpu_milli", "memory_bytes", "pods").unique().rows() == [(4000, 32 << 30, 110)]
    assert "SchedulingBasic/500Nodes: 3 operations are 6 pods and 3 nodes with 0 events" in trace.notes[0]


def test_templates_with_parameters_and_labels(write):
    write("pod.yaml", POD)
    write("node.yaml", NODE)
    label = {"labelKey": "zone", "labelValues": ["a", "b", "c"]}
    more = {"nodeAllocatable": {"attachable-volumes-csi-ebs.csi.aws.com": "39", "example.com/nic": "2"}}
    trace = read(
        write,
        {"opcode": "createNodes", "count": 4, "nodeTemplatePath": "node.yaml", "templateParams": {"cpu": "$cpu"},
         "labelNodePrepareStrategy": label, "nodeAllocatableStrategy": more},
        {"opcode": "createNodes", "count": 1, "uniqueNodeLabelStrategy": {"labelKey": "host"}},
        {"opcode": "createPods", "count": 1, "podTemplatePath": "pod.yaml", "countMultiplierParam": "$times",
         "persistentVolumeClaimTemplatePath": "pvc.yaml"},
        cpu=8, times=2,
    )  # fmt: skip
    assert trace.nodes is not None
    assert trace.nodes["labels"].to_list() == [
        "row=r0,zone=a", "row=r1,zone=b", "row=r0,zone=c", "row=r1,zone=a", "host=node-1-0",
    ]  # fmt: skip
    assert trace.nodes["name"].to_list()[:2] == ["perf-0-0", "perf-0-1"]
    assert trace.nodes["cpu_milli"].to_list() == [8000] * 4 + [4000]
    assert trace.nodes["resource.example.com/nic"].to_list() == [2, 2, 2, 2, 0]
    assert trace.specs["cpu_milli"].to_list() == [200]
    assert "volumes (2 pods)" in trace.notes[-1]


def test_older_layouts_name_templates_from_the_folder_above(tmp_path):
    (tmp_path / "config" / "templates").mkdir(parents=True)
    (tmp_path / "config" / "templates" / "pod.yaml").write_text(POD)
    path = tmp_path / "config" / "performance-config.yaml"
    text = config({"opcode": "createPods", "count": 1}).replace(
        "- name: SchedulingBasic", "- name: SchedulingBasic\n  defaultPodTemplatePath: config/templates/pod.yaml"
    )
    path.write_text(text)
    assert READER.read(path, Options()).specs["cpu_milli"].to_list() == [200]
    path.write_text(text.replace("pod.yaml", "none.yaml"))
    with pytest.raises(InputError, match=r"config/templates/none\.yaml: does not exist"):
        READER.read(path, Options())


def test_what_waits_takes_as_long_as_the_threshold_says(write):
    trace = read(
        write,
        {"opcode": "createPods", "count": 10},
        {"opcode": "createPods", "count": 20, "skipWaitToCompletion": True},
        {"opcode": "sleep", "duration": "1.5s"},
        {"opcode": "barrier"},
        {"opcode": "createNodes", "count": 1},
        {"opcode": "sleep", "durationParam": "$pause"},
        {"opcode": "createPods", "count": 1},
        threshold=10, pause="1m",
    )  # fmt: skip
    arrivals = trace.pods["arrival_us"].to_list()
    assert arrivals[:2] == [0, 200]
    assert arrivals[10] == 1_000_000  # 10 pods at 10 a second
    assert trace.node_events is not None
    # 20 pods are made at 5000 a second, 1.5 s pass, and then 20 pods are waited for.
    assert trace.node_events.rows() == [(1_000_000 + 4000 + 1_500_000 + 2_000_000, "node-4-0", "join", 4000, 32 << 30)]
    assert arrivals[-1] == 4_504_000 + 60_000_000
    assert "at the workload's threshold, 10 are scheduled" in trace.notes[1]


def test_pod_sets_and_deletions(write):
    write("pod.yaml", POD)
    made = {"opcode": "createPods", "count": 2, "podTemplatePath": "pod.yaml"}
    trace = read(
        write,
        {"opcode": "createPodSets", "count": 2, "namespacePrefix": "ns", "createPodsOp": made},
        {"opcode": "createPods", "count": 1, "namespace": "ns-0"},
        {"opcode": "sleep", "duration": "10s"},
        {"opcode": "deletePods", "namespace": "ns-0", "labelSelector": {"type": "blocker"}, "deletePodsPerSecond": 2},
        {"opcode": "deletePods", "namespace": "ns-1"},
        {"opcode": "deletePods", "namespace": "never"},
    )  # fmt: skip
    assert trace.pods["namespace"].to_list() == ["ns-0", "ns-0", "ns-1", "ns-1", "ns-0"]
    ends = trace.pods["end_us"].to_list()
    assert ends == [10_501_000, 11_001_000, 11_001_000, 11_001_000, None]
    assert trace.pods["duration_us"].to_list()[:4] == [10_501_000, 11_000_800, 11_000_600, 11_000_400]


def test_steady_states_hold_their_pods(write):
    steady = {"opcode": "createPods", "count": 2, "steadyStateParam": "$on", "durationParam": "$long"}
    trace = read(write, steady, {"opcode": "createPods", "count": 1}, on=True, long="3s")
    assert seconds(trace) == [(0, 3), (0.0002, 3), (3, None)]
    assert "scheduler_perf: left out: steady states: pods are held, and not made anew (1)." in trace.notes


def test_churns_come_and_go_until_the_end(write):
    write("pod.yaml", POD)
    write("node.yaml", NODE.replace("{{.cpu}}", "4").replace("r{{Mod .Index 2}}", "r0"))
    write("named.yaml", "kind: Node\nmetadata: {name: one}\nstatus: {capacity: {cpu: 1, memory: 1Gi}}\n")
    write("service.yaml", "kind: Service\nmetadata: {generateName: s-}\n")
    trace = read(
        write,
        {"opcode": "churn", "mode": "recreate", "number": 2, "intervalMilliseconds": 1000,
         "templatePaths": ["pod.yaml", "named.yaml", "service.yaml"]},
        {"opcode": "sleep", "duration": "5.5s"},
    )  # fmt: skip
    # Made at 1 s, 2 s, taken away at 3 s, 4 s, made again at 5 s; a node cannot be made while one of its name is there.
    assert seconds(trace) == [(1, 3), (2, 4), (5, None)]
    assert trace.node_events is not None
    assert [(t / 1e6, e) for t, _, e, *_ in trace.node_events.rows()] == [(1, "join"), (3, "leave"), (4, "join")]
    assert "scheduler_perf: left out: objects: Service (5)." in trace.notes
    trace = read(
        write,
        {"opcode": "churn", "mode": "recreate", "number": 1, "templatePaths": ["named.yaml"]},
        {"opcode": "churn", "mode": "create", "number": 3, "intervalMilliseconds": 1000, "templatePaths": ["pod.yaml"]},
        {"opcode": "churn", "mode": "create", "intervalMilliseconds": 2000, "templatePaths": ["service.yaml"]},
        {"opcode": "churn", "mode": "recreate", "number": 2, "intervalMilliseconds": 1000, "namespace": "c",
         "templatePaths": ["pod.yaml", "node.yaml"]},
        {"opcode": "sleep", "duration": "5.2s"},
    )  # fmt: skip
    assert [pair for pair, space in zip(seconds(trace), trace.pods["namespace"], strict=True) if space != "c"] == [
        (1, None), (2, None), (3, None),
    ]  # fmt: skip
    assert [pair for pair, space in zip(seconds(trace), trace.pods["namespace"], strict=True) if space == "c"] == [
        (1, 3), (2, 4), (5, None),
    ]  # fmt: skip
    assert trace.node_events is not None and trace.nodes is not None
    rows = [(t / 1e6, n, e) for t, n, e, *_ in trace.node_events.rows()]
    assert [(t, e) for t, n, e in rows if n == "one"] == [(0.5 * k, "join" if k % 2 else "leave") for k in range(1, 11)]
    assert [(t, e) for t, n, e in rows if n != "one"] == [
        (1, "join"), (2, "join"), (3, "leave"), (4, "leave"), (5, "join"),
    ]  # fmt: skip
    assert trace.nodes.height == 4
    assert "scheduler_perf: left out: objects: Service (2)." in trace.notes


def test_other_objects(write):
    write("class.yaml", "kind: PriorityClass\nmetadata: {name: high}\nvalue: 9\n")
    write("pod.yaml", POD.replace("spec:\n", "spec:\n  priorityClassName: high\n", 1))
    trace = read(
        write, {"opcode": "createAny", "templatePath": "class.yaml"},
        {"opcode": "createAny", "templatePath": "pod.yaml", "namespace": "x", "count": 2},
        {"opcode": "updateAny", "templatePath": "pod.yaml"}, {"opcode": "createNamespaces", "prefix": "x", "count": 2},
        {"opcode": "startCollectingMetrics", "namespaces": ["x"]},
    )  # fmt: skip
    assert trace.specs["priority"].to_list() == [9]
    assert trace.pods["namespace"].to_list() == ["x", "x"]
    assert trace.notes[3:] == ("scheduler_perf: left out: operation updateAny (1).",)


def test_one_workload_of_several(write):
    text = config({"opcode": "createPods", "countParam": "$many"}, many=1)
    more = "  - name: 5000Nodes\n    params: {many: 3}\n"
    path = write("performance-config.yaml", text + more + text.replace("SchedulingBasic", "Other"))
    with pytest.raises(
        InputError, match=r"has 3 workloads; expected --workload with one of SchedulingBasic/500Nodes, "
    ):
        READER.read(path, Options())
    for name in ("5000Nodes", "SchedulingBasic/5000Nodes"):
        assert READER.read(path, Options(workload=name)).pods.height == 3
    with pytest.raises(InputError, match="'--workload': '500Nodes' is the name of several workloads"):
        READER.read(path, Options(workload="500Nodes"))
    with pytest.raises(
        InputError, match="'SchedulingBasic/5000Node' is no workload; did you mean 'SchedulingBasic/5000Nodes"
    ):
        READER.read(path, Options(workload="SchedulingBasic/5000Node"))


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        ({"opcode": "createPods"}, r"operation 1 \(SchedulingBasic/500Nodes\), field 'count': is missing"),
        ({"opcode": "createPods", "countParam": "$m"}, r"field 'countParam': '\$m' is not given"),
        ({"opcode": "createPods", "countParam": "$text"}, "field 'countParam': 'x' is no such number"),
        ({"opcode": "createPods", "count": 1, "podTemplatePath": "no.yaml"}, "no.yaml: does not exist"),
        ({"opcode": "createPods", "count": 1, "podTemplatePath": "if.yaml"}, "if.yaml: 'if' is not understood"),
        ({"opcode": "createPods", "count": 1, "podTemplatePath": "two.yaml"}, "two.yaml: is no template; expected one"),
        ({"opcode": "createPods", "count": 1, "podTemplatePath": "bad.yaml"}, "field 'spec.containers': is empty"),
        ({"opcode": "createPods", "count": 1, "podTemplatePath": 5}, "field 'templatePath': is no text"),
        (
            {"opcode": "createPods", "count": 1, "steadyState": True},
            "field 'duration': is missing; expected such as 10s",
        ),
        (
            {"opcode": "createNodes", "count": 1, "labelNodePrepareStrategy": {"labelKey": "a"}},
            "labelValues': is missing",
        ),
        ({"opcode": "createNodes", "count": 1, "nodeAllocatableStrategy": {"nodeAllocatable": 5}}, "is no mapping"),
        ({"opcode": "sleep", "duration": "soon"}, "field 'duration': 'soon' is not a duration"),
        ({"opcode": "deletePods"}, "field 'namespace': is missing"),
        ({"opcode": "churn", "mode": "x", "templatePaths": []}, "field 'mode': 'x' is no mode"),
        ({"opcode": "churn", "mode": "recreate", "templatePaths": []}, "field 'number': is 0; expected 1 or more"),
        ({"opcode": "createPodSets", "count": 1}, "field 'createPodsOp': is missing"),
        ({"countParam": "$many"}, "field 'opcode': is missing; expected createNodes"),
        (["createPods"], "field 'opcode': is missing"),
    ],
)
def test_bad_operations_are_told_or_counted(write, operation, message):
    write("if.yaml", "kind: Pod\nmetadata: {name: '{{if .Index}}a{{end}}'}\n")
    write("two.yaml", "kind: Pod\n---\nkind: Pod\n")
    write("bad.yaml", "kind: Pod\nspec: {containers: []}\n")
    both = (operation, {"opcode": "createPods", "count": 1})
    with pytest.raises(InputError, match=message):
        read(write, *both, text="x")
    trace = read(write, *both, text="x", options=Options(lenient=True))
    assert trace.pods["name"].to_list() == ["pod-1-0"]
    assert list(trace.dropped.values()) == [1]


def test_too_much_is_refused(write):
    with pytest.raises(InputError, match="comes to too many pods"):
        read(write, {"opcode": "createPods", "count": 10**6}, options=Options(max_input=1 << 20, lenient=True))
    with pytest.raises(InputError, match="comes to too many nodes"):
        read(write, {"opcode": "createNodes", "count": 10**6}, options=Options(max_input=1 << 20))
    write("pod.yaml", POD)
    churn = {"opcode": "churn", "mode": "create", "intervalMilliseconds": 1, "templatePaths": ["pod.yaml"]}
    with pytest.raises(InputError, match="churns 3,600,000 times; expected at most 10,485"):
        read(write, churn, {"opcode": "sleep", "duration": "1h"}, options=Options(max_input=1 << 20))


def test_files_that_are_no_configurations(write):
    with pytest.raises(InputError, match="test case 1: is no test case; expected name, workloadTemplate"):
        READER.read(write("t.yaml", "- name: a\n"), Options())
    with pytest.raises(InputError, match="test case a: is no workload"):
        READER.read(write("t.yaml", "- name: a\n  workloadTemplate: []\n  workloads: [5]\n"), Options())
    assert reader_of(write("t.yaml", HEAD)).name == "scheduler_perf"


def test_round_trip(write, tmp_path):
    write("pod.yaml", POD)
    trace = read(
        write, {"opcode": "createNodes", "count": 1},
        {"opcode": "createPods", "count": 5, "podTemplatePath": "pod.yaml"}, {"opcode": "createPods", "count": 2},
    )  # fmt: skip
    assert_round_trip(trace, tmp_path)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), lenient=st.booleans())
def test_mutated_files_are_read_or_refused(tmp_path_factory, data, lenient):
    folder = tmp_path_factory.mktemp("mutated")
    (folder / "pod.yaml").write_bytes(mutated(data, POD.encode()) if data.draw(st.booleans()) else POD.encode())
    text = config(
        {"opcode": "createNodes", "countParam": "$many"},
        {"opcode": "createPods", "count": 3, "podTemplatePath": "pod.yaml", "templateParams": {"a": "$many"}},
        {"opcode": "churn", "mode": "recreate", "number": 1, "templatePaths": ["pod.yaml"]},
        {"opcode": "sleep", "duration": "3s"}, {"opcode": "deletePods", "namespace": "namespace-1"}, many=2,
    )  # fmt: skip
    path = folder / "t.yaml"
    path.write_bytes(mutated(data, text.encode()))
    assert_read_or_refused(READER, path, lenient)
