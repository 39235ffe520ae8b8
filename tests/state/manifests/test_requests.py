"""What pods request: limits, sidecars, overhead, pods as a whole, and the two books."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.state.manifests.requests import thousandths
from tests.state.manifests.making import container, pod, template

MI = 1 << 20


def asks(**requests: object) -> dict[str, object]:
    return container(resources={"requests": {name.replace("_", "-"): value for name, value in requests.items()}})


def requests(found: dict[str, object]) -> dict[str, int]:
    return dict(template(found).requests)


@pytest.mark.parametrize(
    ("quantity", "cpu", "memory"),
    [
        ("2", 2000, 2),
        (2, 2000, 2),
        (0.5, 500, 1),
        (0.0001, 1, 1),
        ("1e3", 1_000_000, 1000),
        (1e3, 1_000_000, 1000),
        ("100m", 100, 1),
        ("1u", 1, 1),
        ("1.5Gi", 1_610_612_736_000, 1_610_612_736),
        (None, 0, 0),
        ("0", 0, 0),
    ],
)
def test_quantities_are_texts_or_numbers_and_are_rounded_up(quantity: object, cpu: int, memory: int) -> None:
    found = requests(pod(containers=[asks(cpu=quantity, memory=quantity)]))
    assert (found.get("cpu", 0), found.get("memory", 0)) == (cpu, memory)


def test_sums_are_rounded_once() -> None:
    assert requests(pod(containers=[asks(memory="500m"), asks(memory="500m")])) == {"memory": 1}
    assert requests(pod(containers=[asks(cpu="0.1m"), asks(cpu="0.1m")])) == {"cpu": 2}  # each is rounded to milli


def test_a_limit_without_a_request_is_the_request() -> None:
    one = container(resources={"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1"}})
    assert requests(pod(containers=[one])) == {"cpu": 1000, "memory": 1 << 30}


def test_init_containers_count_with_the_sidecars_before_them() -> None:
    sidecar = asks(cpu="100m") | {"restartPolicy": "Always"}
    main = [asks(cpu="500m")]
    assert requests(pod(containers=main, initContainers=[asks(cpu="1")])) == {"cpu": 1000}
    assert requests(pod(containers=main, initContainers=[asks(cpu="1"), sidecar])) == {"cpu": 1000}
    assert requests(pod(containers=main, initContainers=[sidecar, asks(cpu="1")])) == {"cpu": 1100}
    assert requests(pod(containers=main, initContainers=[sidecar, sidecar])) == {"cpu": 700}
    assert requests(pod(containers=[asks(cpu="10m")], initContainers=[asks(cpu="1"), asks(cpu="2")])) == {"cpu": 2000}


def test_overhead_is_added_last() -> None:
    assert requests(pod(containers=[asks(cpu="1")], overhead={"cpu": "250m", "memory": "10"})) == {
        "cpu": 1250,
        "memory": 10,
    }


def test_each_container_without_a_key_counts_for_scores() -> None:
    assert template(pod()).nonzero == (100, 200 * MI)
    assert template(pod(containers=[container(), container()])).nonzero == (200, 400 * MI)
    assert template(pod(containers=[asks(cpu="0", memory="0")])).nonzero == (0, 0)
    assert template(pod(containers=[asks(cpu="1")], initContainers=[container()] * 3)).nonzero == (1000, 200 * MI)
    sidecar = container(restartPolicy="Always")
    assert template(pod(containers=[asks(cpu="1")], initContainers=[sidecar])).nonzero == (1100, 400 * MI)
    assert template(pod(overhead={"cpu": "1"})).nonzero == (1100, 200 * MI)


def test_requests_of_the_pod_as_a_whole_replace_the_sum() -> None:
    found = template(pod(containers=[asks(cpu="1")], resources={"requests": {"cpu": "3"}}, overhead={"cpu": "1"}))
    assert dict(found.requests) == {"cpu": 4000}
    assert found.nonzero == (4000, 200 * MI)
    # The pod that is being placed is scored without them (recorded of v1.34.1).
    assert found.scored == (2000, 200 * MI)
    assert template(pod()).scored is None


def test_limits_of_the_pod_as_a_whole_become_requests_where_containers_have_none() -> None:
    limits = {"cpu": "4", "memory": "4Gi", "hugepages-2Mi": "8Mi"}
    found = requests(pod(containers=[asks(cpu="1")], resources={"limits": limits}))
    assert found == {"cpu": 1000, "memory": 4 << 30, "hugepages-2Mi": 8 * MI}


def test_a_resize_counts_the_larger_of_what_is_asked_and_what_is_there() -> None:
    running = pod(containers=[asks(cpu="1")], nodeName="n1")
    status = {"name": "c", "resources": {"requests": {"cpu": "2"}}, "allocatedResources": {"cpu": "1500m"}}
    running["status"] = {"phase": "Running", "containerStatuses": [status]}
    assert requests_of_bound(running) == {"cpu": 2000}
    running["spec"]["containers"] = [asks(cpu="3")]
    assert requests_of_bound(running) == {"cpu": 3000}
    running["status"]["conditions"] = [{"type": "PodResizePending", "reason": "Infeasible"}]
    assert requests_of_bound(running) == {"cpu": 2000}


def requests_of_bound(found: dict[str, object]) -> dict[str, int]:
    from kscale.state.manifests import inventory_of
    from tests.state.manifests.making import node

    inventory = inventory_of([node(), found])
    assert list(inventory.pods.node) == [0]
    return dict(inventory.templates[0].requests)


@pytest.mark.parametrize(
    ("quantity", "problem"),
    [
        ("-1", "is negative"),
        ("1e30", "out of range"),
        ("1e999", "out of range"),
        ("1 Gi", "not a quantity"),
        ("1gb", "not a quantity"),
        ("", "not a quantity"),
        ("9" * 100, "not a quantity"),
        (1e300, "out of range"),
        (10**30, "out of range"),
        (True, "is true or false"),
        (["1"], "is a list"),
    ],
)
def test_absurd_quantities_are_refused_with_their_field(quantity: object, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as told:
        template(pod(containers=[asks(memory=quantity)]))
    assert "pending, item 1 (Pod default/p)" in str(told.value)
    assert "spec.containers[0].resources.requests" in str(told.value)


@pytest.mark.parametrize("name", ["gpu", "cpus", "pods", "storage"])
def test_resources_that_no_container_can_request(name: str) -> None:
    with pytest.raises(InputError, match="is no resource that a container can request"):
        template(pod(containers=[container(resources={"requests": {name: "1"}})]))


def test_resources_that_no_pod_can_request_as_a_whole() -> None:
    with pytest.raises(InputError, match="cannot be requested for a pod as a whole"):
        template(pod(resources={"requests": {"nvidia.com/gpu": "1"}}))


def test_sums_above_the_largest_amount_are_refused() -> None:
    with pytest.raises(InputError, match="adds up to"):
        template(pod(containers=[asks(memory=str(1 << 59)), asks(memory="1")]))


@given(st.fractions(0, 10**15), st.sampled_from(["", "m", "k", "Ki", "Gi"]))
def test_thousandths_are_exact(number: Fraction, suffix: str) -> None:
    scale = {
        "": Fraction(1),
        "m": Fraction(1, 1000),
        "k": Fraction(1000),
        "Ki": Fraction(1024),
        "Gi": Fraction(1 << 30),
    }
    text = f"{float(number):.3f}"
    exact = Fraction(text) * scale[suffix] * 1000
    if exact >= 1 << 59:
        return
    assert thousandths(text + suffix) == -(-exact.numerator // exact.denominator)
