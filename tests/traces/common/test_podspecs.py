from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.state.labels import format_term, parse_labels, parse_preferred_terms, parse_taints, parse_terms
from kscale.state.labels import parse_tolerations as parse
from kscale.state.manifests import inventory_of
from kscale.traces import SPECS
from kscale.traces.common.podspecs import PodSpecs, node_object, nodes_frame


def spec(requests: Any = None, **more: Any) -> dict[str, Any]:
    return {"containers": [{"name": "a", "resources": {"requests": requests or {}}}]} | more


def row(found: Any) -> dict[str, Any]:
    specs = PodSpecs()
    specs.asked(specs.number(found))
    assert not specs.untold
    return {name: value for name, value in specs.frame().row(0, named=True).items() if value is not None}


def untold(found: Any) -> list[str]:
    specs = PodSpecs()
    number = specs.number(found)
    assert not specs.untold
    specs.asked(number)
    specs.asked(number)
    assert set(specs.untold.values()) <= {2}
    return sorted(specs.untold)


def required(*terms: Any) -> dict[str, Any]:
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}}


def preferred(weight: int, term: Any) -> dict[str, Any]:
    one = {"weight": weight, "preference": term}
    return {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [one]}}


def matching(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator} | ({"values": list(values)} if values else {})


NAMED = {"matchFields": [matching("metadata.name", "In", "n1")]}


def test_requests():
    assert row(spec()) == {"priority": 0}
    assert row(spec({"cpu": "250m", "memory": "1Gi", "ephemeral-storage": "2Gi", "nvidia.com/gpu": 2})) == {
        "cpu_milli": 250, "memory_bytes": 1 << 30, "ephemeral_storage_bytes": 2 << 30, "resource.nvidia.com/gpu": 2,
        "priority": 0,
    }  # fmt: skip
    assert row(spec({"cpu": 0})) == {"cpu_milli": 0, "priority": 0}
    assert row(spec({"cpu": 1}, priority=7, overhead={"cpu": "500m"})) == {"cpu_milli": 1500, "priority": 7}
    initial = {"initContainers": [{"name": "i", "resources": {"requests": {"cpu": "3"}}}]}
    assert row(spec({"cpu": 1}, **initial))["cpu_milli"] == 3000


def test_where_pods_may_go_in_written_forms():
    tolerations = [{"operator": "Exists"}, {"key": "k", "operator": "Exists", "effect": "NoExecute"},
                   {"key": "k", "value": "v"}, {"key": "k", "effect": "NoSchedule"}]  # fmt: skip
    first = {"matchExpressions": [matching("zone", "In", "a", "b"), matching("gen", "Gt", "5")]}
    second = {
        "matchExpressions": [matching("old", "DoesNotExist"), matching("ssd", "Exists"), matching("x", "NotIn", "y")]
    }
    found = row(spec(nodeSelector={"b": "1", "a": ""}, tolerations=tolerations, affinity=required(first, second)))
    assert found["node_selector"] == "a=,b=1"
    assert found["tolerations"] == "*,k:NoExecute,k=v,k=:NoSchedule"
    assert found["node_affinity"] == "zone in (a,b),gen>5 | !old,ssd,x notin (y)"
    assert row(spec(affinity=preferred(10, first)))["preferred_node_affinity"] == "10: zone in (a,b),gen>5"
    assert row(spec(affinity=required(NAMED)))["node_name"] == "n1"
    assert row(spec(nodeName="n2"))["node_name"] == "n2"


def test_priority_classes():
    specs = PodSpecs()
    specs.take_class({"metadata": {"name": "high"}, "value": 1000})
    specs.take_class({"metadata": {"name": "usual"}, "value": 5, "globalDefault": True})
    for name in ("high", None, "system-node-critical"):
        specs.number(spec(priorityClassName=name) if name else spec())
    assert specs.frame()["priority"].to_list() == [1000, 5, 2_000_001_000]
    assert untold(spec(priorityClassName="gone")) == ["a PriorityClass that is not there (their priority is 0)"]
    assert row(spec(priorityClassName="gone", priority=3))["priority"] == 3


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule"}]},
         "topology spread constraints"),
        ({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "z"}]}}},
         "pod affinity"),
        ({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "z"}]}}},
         "pod anti-affinity"),
        ({"schedulingGates": [{"name": "g"}]}, "scheduling gates"),
        ({"schedulerName": "mine"}, "a scheduler of their own"),
        ({"preemptionPolicy": "Never"}, "preemptionPolicy Never"),
        ({"volumes": [{"persistentVolumeClaim": {"claimName": "c"}}]}, "volumes"),
        ({"containers": [{"name": "a", "ports": [{"containerPort": 80, "hostPort": 80}]}]}, "host ports"),
        ({"affinity": required(NAMED, {"matchExpressions": [matching("a", "Exists")]})},
         "node affinity by fields or without requirements"),
        ({"affinity": preferred(1, NAMED)}, "preferred node affinity by fields or without requirements"),
    ],
)  # fmt: skip
def test_what_no_column_holds_is_counted(more, what):
    assert untold(spec(**more)) == [what]


def test_pods_that_differ_in_nothing_that_matters_share_a_spec():
    specs = PodSpecs()
    one = spec({"cpu": 1}, volumes=[{"name": "token-x", "projected": {}}], restartPolicy="Never")
    other = spec({"cpu": 1}, volumes=[{"name": "token-y", "projected": {}}], restartPolicy="Never")
    one["containers"][0]["env"] = [{"name": "A", "value": "b"}]
    assert specs.number(one) == specs.number(other) == 0
    assert specs.number(spec({"cpu": 2})) == 1
    assert set(SPECS) <= set(specs.frame().columns)


_key = st.sampled_from(["a", "zone", "example.com/b"])
_expression = st.one_of(
    st.builds(lambda k, o, v: matching(k, o, *v), _key, st.sampled_from(["In", "NotIn"]),
              st.lists(st.sampled_from(["x", "y", "1"]), min_size=1, max_size=2, unique=True)),
    st.builds(matching, _key, st.sampled_from(["Exists", "DoesNotExist"])),
    st.builds(matching, _key, st.sampled_from(["Gt", "Lt"]), st.sampled_from(["3", "40"])),
)  # fmt: skip
_term = st.lists(_expression, min_size=1, max_size=3).map(lambda found: {"matchExpressions": found})
_toleration = st.one_of(
    st.builds(lambda k, v, e: {"key": k, "value": v} | e, _key, st.sampled_from(["", "v"]),
              st.sampled_from([{}, {"effect": "NoSchedule"}])),
    st.builds(lambda k, e: {"key": k, "operator": "Exists"} | e, _key, st.sampled_from([{}, {"effect": "NoExecute"}])),
    st.just({"operator": "Exists"}),
)  # fmt: skip


@given(
    terms=st.lists(_term, min_size=1, max_size=3), wanted=st.lists(st.tuples(st.integers(1, 100), _term), max_size=2),
    tolerations=st.lists(_toleration, max_size=3), labels=st.dictionaries(_key, st.sampled_from(["", "v"]), max_size=2),
)  # fmt: skip
def test_written_forms_say_what_the_manifest_says(terms, wanted, tolerations, labels):
    """Parsed again, the columns are what kscale's own reading of manifests makes of the pod."""
    affinity = required(*terms)
    if wanted:
        affinity["nodeAffinity"] |= {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": weight, "preference": term} for weight, term in wanted]}  # fmt: skip
    found = spec(affinity=affinity, tolerations=tolerations, nodeSelector=labels)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": found}
    expected = inventory_of([], [pod]).templates[0].description
    written = row(found)
    assert parse_terms(written["node_affinity"]) == expected.terms
    assert parse_preferred_terms(written.get("preferred_node_affinity")) == expected.preferred
    assert parse(written.get("tolerations")) == expected.tolerations
    assert tuple(sorted(parse_labels(written.get("node_selector")).items())) == expected.node_selector
    assert all(format_term(term) for term in expected.terms or ())


def test_nodes():
    found = {"metadata": {"name": "ignored", "labels": {"zone": "a"}},
             "spec": {"taints": [{"key": "k", "effect": "NoSchedule"},
                                 {"key": "l", "value": "v", "effect": "NoExecute"}]},
             "status": {"capacity": {"cpu": "64"}, "allocatable": {"cpu": "4", "memory": "8Gi", "pods": 20,
                        "example.com/nic": "3", "hugepages-2Mi": "0", "attachable-volumes-x": "9"}}}  # fmt: skip
    frame = nodes_frame([node_object(found, "n"), node_object({}, "bare")])
    assert frame.select("name", "cpu_milli", "memory_bytes", "pods", "labels", "unschedulable").rows() == [
        ("n", 4000, 8 << 30, 20, "zone=a", False), ("bare", 0, 0, 110, None, False),
    ]  # fmt: skip
    assert frame["resource.example.com/nic"].to_list() == [3, 0]
    assert [name for name in frame.columns if name.startswith("resource.")] == ["resource.example.com/nic"]
    taints = parse_taints(frame["taints"][0])
    assert [(one.key, one.value, one.effect) for one in taints] == [("k", "", "NoSchedule"), ("l", "v", "NoExecute")]
    with pytest.raises(InputError, match=r"field 'spec\.taints\[0\]\.effect'"):
        node_object({"spec": {"taints": [{"key": "k", "effect": "Never"}]}}, "n")
    with pytest.raises(InputError, match="field 'status': is text; expected a mapping"):
        node_object({"status": "ready"}, "n")
