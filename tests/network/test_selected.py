"""Endpoints behind Services: of slices, and of selectors, the index held against a look at everything."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.network import objects
from kscale.network.objects import Condition, Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from kscale.network.selected import Selected, of_endpoints
from kscale.state.manifests.models import Meta, OwnerReference

LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy"), max_size=3)


def slice_of(*endpoints: Endpoint, ports=("",), kind="IPv4") -> EndpointSlice:
    return EndpointSlice(address_type=kind, endpoints=endpoints, ports=tuple(EndpointPort(name=one) for one in ports))


def endpoint(address, node=None, **conditions) -> Endpoint:
    return Endpoint(addresses=(address,), node_name=node, conditions=EndpointConditions(**conditions))


def test_ready_ones_are_used_and_those_that_say_nothing():
    slices = [
        slice_of(endpoint("10.0.0.1", "a"), endpoint("10.0.0.2", "b", ready=True), endpoint("10.0.0.3", ready=False)),
        # The same address in another slice is the same endpoint; one without an address is none.
        slice_of(endpoint("10.0.0.2", "b"), Endpoint(addresses=()), Endpoint(addresses=("10.0.0.4",), node_name="a")),
        slice_of(endpoint("fd00::1"), kind="IPv6"), slice_of(endpoint("10.0.0.9"), ports=("other",)),
    ]  # fmt: skip
    found = of_endpoints(slices, "", "IPv4")
    assert (found.count, found.nodes) == (3, Counter(a=2, b=1))
    assert of_endpoints(slices, "", "IPv6").count == 1
    assert of_endpoints(slices, "other", "IPv4").count == 1
    assert of_endpoints(slices, "none", "IPv4").count == 0


def test_those_that_are_being_deleted_are_used_where_no_other_is_left():
    going = endpoint("10.0.0.1", "a", ready=False, serving=True, terminating=True)
    gone = endpoint("10.0.0.2", "a", ready=False, serving=False, terminating=True)
    assert of_endpoints([slice_of(going, gone)], "", "IPv4").count == 1
    assert of_endpoints([slice_of(going, endpoint("10.0.0.3", "b"))], "", "IPv4").nodes == Counter(b=1)


def pod(labels, phase=None, ready=None, node=None, deleted=False):
    conditions = None if ready is None else (Condition(type="Ready", status=ready),)
    return objects.Pod(
        metadata=Meta(labels=labels, deletion_timestamp="2026-01-01T00:00:00Z" if deleted else None),
        spec=objects.PodSpec(node_name=node), status=objects.PodStatus(phase=phase, conditions=conditions),
    )  # fmt: skip


def test_pods_that_are_ready_or_are_going_to_be():
    selected = Selected()
    for one in (
        pod({"a": "x"}, "Running", "True", "n1"), pod({"a": "x"}, "Running", "False", "n1"), pod({"a": "x"}),
        pod({"a": "x"}, "Pending"), pod({"a": "x"}, "Succeeded", "True"), pod({"a": "x"}, "Failed"),
        pod({"a": "x"}, "Running", "True", "n2", deleted=True), pod({"a": "x", "b": "y"}, "Running"),
    ):  # fmt: skip
        selected.add_pod(one, "default")
    origin, found = selected.of("default", {"a": "x"}, False, 0)
    assert (origin, found.count, found.nodes) == ("pods", 3, Counter(n1=1))
    assert selected.of("default", {"a": "x"}, True, 0)[1].count == 5
    assert selected.of("other", {"a": "x"}, False, 0) == selected.of("default", {"b": "x"}, False, 0)
    assert selected.of("default", None, False, 0)[0] == selected.of("default", {}, True, 0)[0] == "nowhere"


def test_workloads_stand_in_for_pods_that_are_not_there():
    def workload(labels, owned=False):
        owners = (OwnerReference(kind="Deployment", name="d", controller=True),) if owned else None
        template = objects.Template(metadata=Meta(labels=labels))
        return objects.Workload(metadata=Meta(owner_references=owners), spec=objects.WorkloadSpec(template=template))

    selected = Selected()
    selected.add_workload(workload({"a": "x"}), "default", 3)
    selected.add_workload(workload({"a": "x"}, owned=True), "default", 3)
    selected.add_workload(workload({"a": "x", "b": "y"}), "default", -1)
    origin, found = selected.of("default", {"a": "x"}, False, 5)
    assert (origin, found.count) == ("workloads", 8)
    selected.add_pod(pod({"a": "x"}), "default")
    assert selected.of("default", {"a": "x"}, False, 5)[1].count == 1


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["n", "m"]), LABELS, st.booleans()), max_size=12), LABELS)
def test_the_index_finds_what_a_look_at_every_pod_finds(pods, selector):
    selected = Selected()
    for namespace, labels, ready in pods:
        selected.add_pod(pod(labels, "Running", str(ready)), namespace)
    for namespace in "nm":
        _, found = selected.of(namespace, selector, False, 0)
        assert found.count == sum(
            ready and where == namespace and bool(selector) and all(labels.get(k) == v for k, v in selector.items())
            for where, labels, ready in pods
        )
