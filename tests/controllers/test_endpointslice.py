"""The EndpointSlice controller, by the figures of its upstream tests."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from kscale.engine import requests
from kscale.engine.requests import Requests
from tests.controllers.services import endpoints, one, pods_made, selecting, sizes, slice_made
from tests.controllers.world import Hand

VERBS = {requests.CREATE_OBJECTS: "create", requests.UPDATE: "update", requests.DELETE_OBJECTS: "delete"}


class Noted(Hand):
    """A world that counts calls by what they do."""

    def __init__(self, *names: str, **more: Any) -> None:
        super().__init__(*(names or ("endpointslice",)), **more)
        self.calls: Counter[str] = Counter()
        apply = self.world.apply

        def counted(request: requests.Request, now_us: int) -> Any:
            if request.verb in VERBS:
                self.calls[VERBS[request.verb]] += len(request)
            return apply(request, now_us)

        self.world.apply = counted  # type: ignore[method-assign]


def world(existing: tuple[int, ...] = (), *, most: int = 100, ports: int = 1, **service: int) -> tuple[Noted, int]:
    """A service with slices of so many endpoints, each a running pod."""
    hand = Noted()
    hand.cluster.cluster_endpoints_per_slice[0] = most
    selecting(hand, (0,))
    made = hand.make("Service", "web", selection=0, ports=1, **service)
    for count in existing:
        slice_made(hand, made, pods_made(hand, count), ports=ports)
    return hand, made


def settled(hand: Noted) -> dict[str, int]:
    """Let controllers do what is to be done, and return the calls that it took."""
    hand.calls.clear()
    hand.settle()
    return dict(hand.calls)


def test_250_pods_make_slices_of_100_100_and_50() -> None:
    hand, service = world()
    pods_made(hand, 250)
    assert settled(hand) == {"create": 3}
    assert sizes(hand, service) == [100, 100, 50]
    names = [hand.world.name(slice_) for slice_ in hand.objects("EndpointSlice")]
    assert len(set(names)) == 3 and all(name.startswith("web-") for name in names)
    hand.write(service, ports=2)
    assert settled(hand) == {"update": 3}
    assert sorted(sizes(hand, service)) == [50, 100, 100]
    assert {hand.read(slice_, "ports") for slice_ in hand.objects("EndpointSlice")} == {2}


def test_250_with_slices_of_62_and_61() -> None:
    hand, service = world((62, 61))
    pods_made(hand, 127)
    assert settled(hand) == {"create": 1, "update": 1}
    assert sizes(hand, service) == [89, 61, 100]


def test_300_with_two_slices_of_74() -> None:
    hand, service = world((74, 74))
    pods_made(hand, 152)
    assert settled(hand) == {"create": 2}
    assert sizes(hand, service) == [74, 74, 100, 52]


def test_ten_slices_of_30_whose_ports_change_become_three_of_100() -> None:
    hand, service = world((30,) * 10, ports=2)
    assert settled(hand) == {"update": 3, "delete": 7}
    assert sizes(hand, service) == [100, 100, 100]


def test_new_endpoints_go_to_slices_that_change_anyway() -> None:
    hand, service = world((80, 20))
    for slice_, count in zip(hand.objects("EndpointSlice"), (8, 2), strict=True):
        for endpoint in endpoints(hand, slice_)[:count]:
            hand.ready(endpoint["pod"], False)
    pods_made(hand, 15)
    assert settled(hand) == {"update": 2}
    assert sizes(hand, service) == [95, 20]


def test_slices_of_an_address_type_that_is_no_longer_in_use_are_replaced() -> None:
    hand, service = world()
    for count in (80, 50):
        slice_made(hand, service, pods_made(hand, count), address_type=2)
    assert settled(hand) == {"create": 2, "delete": 2}
    assert sizes(hand, service) == [100, 30]


@pytest.mark.parametrize(
    ("pods", "most", "expected"),
    [(250, 50, [50] * 5), (250, 80, [80, 80, 80, 10]), (250, 150, [150, 100]), (250, 250, [250]), (250, 500, [250])],
)
def test_as_many_as_there_may_be_in_a_slice(pods: int, most: int, expected: list[int]) -> None:
    hand, service = world(most=most)
    pods_made(hand, pods)
    assert settled(hand) == {"create": len(expected)}
    assert sizes(hand, service) == expected


def test_a_service_without_endpoints_has_a_placeholder() -> None:
    hand, service = world()
    assert settled(hand) == {"create": 1}
    (placeholder,) = hand.objects("EndpointSlice", service)
    assert (sizes(hand, service), hand.read(placeholder, "ports")) == ([0], 0)
    pods = pods_made(hand, 2, running=False)
    assert settled(hand) == {}, "pods that have no address yet change nothing"
    hand.run(*pods)
    assert settled(hand) == {"update": 1}
    assert hand.objects("EndpointSlice", service) == [placeholder]
    assert (sizes(hand, service), hand.read(placeholder, "ports")) == ([2], 1)
    for pod in pods:
        hand.delete(pod)
        hand.stopped(pod)
    assert settled(hand) == {"update": 1}
    assert (sizes(hand, service), hand.read(placeholder, "ports")) == ([0], 0)


def states(hand: Hand) -> list[tuple[int, int, int]]:
    found = [endpoint for slice_ in hand.objects("EndpointSlice") for endpoint in endpoints(hand, slice_)]
    return [(one["ready"], one["serving"], one["terminating"]) for one in found]


@pytest.mark.parametrize("publish", [0, 1])
def test_what_is_said_of_an_endpoint(publish: int) -> None:
    hand, _ = world(publish_not_ready=publish)
    (pod,) = pods_made(hand, 1)
    hand.settle()
    assert states(hand) == [(1, 1, 0)]
    hand.ready(pod, False)
    hand.settle()
    assert states(hand) == [(publish, 0, 0)]
    hand.ready(pod)
    hand.delete(pod, 30_000_000)
    hand.settle()
    assert states(hand) == [(publish, 1, 1)]
    hand.stopped(pod)
    hand.settle()
    assert states(hand) == []


def test_finished_pods_leave_at_once() -> None:
    hand, service = world((3,))
    hand.finish(hand.pods()[0])
    hand.finish(hand.pods()[0], well=False)
    assert settled(hand) == {"update": 1}
    assert sizes(hand, service) == [1]


def test_hints_name_the_zone_of_the_node() -> None:
    hand, service = world()
    hand.cluster.node_zone[:3] = [7, 9, -1]
    for node in range(3):
        pods_made(hand, 1, node=node)
    hand.settle()
    (slice_,) = hand.objects("EndpointSlice", service)
    assert [endpoint["zone_hint"] for endpoint in endpoints(hand, slice_)] == [-1, -1, -1]
    hand.write(service, traffic_distribution=1)
    assert settled(hand) == {"update": 1}
    assert [endpoint["zone_hint"] for endpoint in endpoints(hand, slice_)] == [7, 9, -1]


def test_services_without_selector_get_no_slices() -> None:
    hand, _ = world()
    hand.make("Service", "by-hand", selection=-1, ports=1)
    assert settled(hand) == {"create": 1}


def test_two_families_have_slices_of_their_own() -> None:
    hand, service = world(families=3)
    pods_made(hand, 120)
    assert settled(hand) == {"create": 4}
    types = [hand.read(slice_, "address_type") for slice_ in hand.objects("EndpointSlice", service)]
    assert sorted(zip(types, sizes(hand, service), strict=True)) == [(0, 20), (0, 100), (1, 20), (1, 100)]


def test_a_service_that_is_being_deleted_gets_no_new_slices() -> None:
    hand, service = world((100,))
    pods = hand.pods()
    request = Requests()
    request.delete_objects(one(0), one(service), hand.cluster.object_uid[one(service)], one(2))
    hand.world.apply(request.asked[0], hand.now)
    pods_made(hand, 50)
    hand.ready(pods[0], False)
    assert settled(hand) == {"update": 1}
    assert sizes(hand, service) == [100]


def test_each_changed_slice_costs_a_call_of_twenty_a_second() -> None:
    hand = Noted(limited=True)
    selecting(hand, *((template,) for template in range(60)))
    for template in range(60):
        pods_made(hand, 1, template)
        hand.make("Service", f"s{template}", selection=template, ports=1)
    hand.wait(1)
    assert hand.calls["create"] == 30
    hand.wait(1_000_000)
    assert hand.calls["create"] == 50
    hand.wait(1_000_000)
    assert hand.calls == {"create": 60}


def test_a_pass_looks_only_at_services_whose_pods_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    hand = Noted()
    selecting(hand, *((template,) for template in range(50)))
    services = [hand.make("Service", f"s{template}", selection=template, ports=1) for template in range(50)]
    pods = [pods_made(hand, 1, template)[0] for template in range(50)]
    hand.settle()
    looked: list[int] = []
    reconciler = hand.manager.reconcilers["endpointslice"]
    look = reconciler._look

    def noted(world: Any, keys: Any, now_us: int) -> None:
        looked.extend(keys.tolist())
        look(world, keys, now_us)

    monkeypatch.setattr(reconciler, "_look", noted)
    for place in (3, 4):
        hand.ready(pods[place], False)
    hand.settle()
    assert set(looked) == {services[3], services[4]}


def test_rows_of_endpoints_are_used_again() -> None:
    hand, service = world()
    pods = pods_made(hand, 130)
    hand.settle()
    for pod in pods:
        hand.delete(pod)
    hand.stopped()
    hand.settle()
    used = hand.cluster.sizes["endpoint"]
    for _ in range(5):
        again = pods_made(hand, 130)
        hand.settle()
        assert sorted(sizes(hand, service)) == [30, 100]
        for pod in again:
            hand.delete(pod)
        hand.stopped()
        hand.settle()
    assert hand.cluster.sizes["endpoint"] == used
    assert np.array_equal(sizes(hand, service), [0])


def test_a_selector_that_was_changed_while_the_controller_was_away_is_followed() -> None:
    hand, service = world()
    selecting(hand, (0,), (1,))
    hand.settle()
    hand.manager.reconcilers["endpointslice"].stopped = True
    hand.write(service, selection=1)
    hand.settle()
    hand.restart("endpointslice")
    hand.settle()
    pods_made(hand, 2, template=1)
    hand.settle()
    assert sizes(hand, service) == [2]


def hints(hand: Hand, service: int) -> list[int]:
    return [one_["zone_hint"] for slice_ in hand.objects("EndpointSlice", service) for one_ in endpoints(hand, slice_)]


def zoned(**service: int) -> tuple[Noted, int]:
    """A service on four nodes of two zones, and one of the control plane that has none."""
    hand = Noted(node=5)
    selecting(hand, (0,))
    hand.cluster.node_zone[:] = [0, 0, 1, 1, -1]
    hand.cluster.node_control_plane[4] = 1
    hand.cluster.node_allocatable[0, :] = 4000
    return hand, hand.make("Service", "web", selection=0, ports=1, **service)


def test_zones_share_endpoints_by_their_cpu() -> None:
    hand, service = zoned(topology_auto=1)
    pods_made(hand, 5, node=0)
    late = pods_made(hand, 1, node=2)
    hand.settle()
    assert hints(hand, service) == [1, 1, 0, 0, 0, 1]
    # Of five, each zone would need three: with two, one would have more than a fifth above its share to serve.
    hand.ready(late[0], False)
    hand.settle()
    assert hints(hand, service) == [-1] * 6


def test_the_annotation_goes_before_the_distribution_and_hints_go_with_it() -> None:
    hand, service = zoned(topology_auto=1, traffic_distribution=1)
    pods_made(hand, 4, node=0)
    hand.settle()
    assert hints(hand, service) == [1, 1, 0, 0]
    hand.write(service, topology_auto=0)
    assert settled(hand) == {"update": 1}
    assert hints(hand, service) == [0, 0, 0, 0]
    hand.write(service, topology_auto=1, traffic_distribution=0)
    hand.cluster.node_zone[1] = -1
    assert settled(hand) == {"update": 1}
    assert hints(hand, service) == [-1] * 4


def test_hints_of_slices_that_do_not_change_stay() -> None:
    hand, service = zoned(topology_auto=1)
    hand.cluster.cluster_endpoints_per_slice[0] = 4
    pods_made(hand, 4, node=0)
    hand.settle()
    assert hints(hand, service) == [1, 1, 0, 0]
    pods_made(hand, 2, node=2)
    assert settled(hand) == {"create": 1}
    assert hints(hand, service) == [1, 1, 0, 0, 0, 1]


def test_who_prefers_its_node_has_both_hints_and_who_is_not_ready_none() -> None:
    hand, service = zoned(traffic_distribution=2)
    first, second = pods_made(hand, 2, node=3)
    hand.ready(second, False)
    hand.settle()
    (slice_,) = hand.objects("EndpointSlice", service)
    assert [(one_["pod"], one_["zone_hint"], one_["node_hint"]) for one_ in endpoints(hand, slice_)] == [
        (first, 1, 3), (second, -1, -1)
    ]  # fmt: skip


def test_a_pod_that_waits_for_its_containers_is_an_endpoint_once_it_has_an_address() -> None:
    hand, service = world()
    (pod,) = pods_made(hand, 1, running=False)
    hand.bind(pod)
    hand.settle()
    assert sizes(hand, service) == [0]
    hand.change(pod, addressed=1)
    hand.settle()
    assert (sizes(hand, service), states(hand)) == ([1], [(0, 0, 0)])
    hand.run(pod)
    hand.settle()
    assert states(hand) == [(1, 1, 0)]
