"""The Endpoints controller."""

from __future__ import annotations

from kscale.engine.kinds import FREE
from kscale.engine.objects import FOREGROUND
from tests.controllers.services import one, pods_made, selecting
from tests.controllers.test_garbage import delete
from tests.controllers.world import Hand


def addresses(hand: Hand, service: int) -> list[tuple[int, int]]:
    """Return the pods of a service's Endpoints, and whether each is ready."""
    (object_,) = hand.objects("Endpoints", service)
    cluster = hand.cluster
    rows, _ = hand.world.members.of("endpoints", cluster.object_row[one(object_)])
    return [(int(cluster.address_pod[row]), int(cluster.address_ready[row])) for row in rows.tolist()]


def world(*names: str, **service: int) -> tuple[Hand, int]:
    hand = Hand("endpoints", *names)
    selecting(hand, (0,))
    return hand, hand.make("Service", "web", selection=0, ports=1, **service)


def test_addresses_follow_pods() -> None:
    hand, service = world()
    hand.settle()
    (object_,) = hand.objects("Endpoints", service)
    assert (hand.world.name(object_), addresses(hand, service)) == ("web", [])
    first, second = pods_made(hand, 2)
    waiting = pods_made(hand, 1, running=False)
    hand.settle()
    assert addresses(hand, service) == [(first, 1), (second, 1)]
    hand.run(*waiting)
    hand.ready(first, False)
    hand.settle()
    assert addresses(hand, service) == [(second, 1), (waiting[0], 1), (first, 0)]
    hand.delete(second, 30_000_000)
    hand.settle()
    assert addresses(hand, service) == [(waiting[0], 1), (first, 0)]
    assert hand.objects("Endpoints", service) == [object_]


def test_all_addresses_of_a_service_that_publishes_them_are_ready() -> None:
    hand, service = world(publish_not_ready=1)
    first, second = pods_made(hand, 2)
    hand.ready(first, False)
    hand.delete(second, 30_000_000)
    hand.settle()
    assert addresses(hand, service) == [(first, 1), (second, 1)]


def test_no_more_than_1000_addresses_are_named_ready_ones_first() -> None:
    hand, service = world()
    pods = pods_made(hand, 1005)
    for pod in pods[:10]:
        hand.ready(pod, False)
    hand.settle()
    (object_,) = hand.objects("Endpoints", service)
    assert hand.read(object_, "over_capacity") == 1
    found = addresses(hand, service)
    assert found == [*((pod, 1) for pod in pods[10:]), *((pod, 0) for pod in pods[:5])]
    for pod in pods[:5]:
        hand.finish(pod)
    hand.settle()
    assert hand.read(object_, "over_capacity") == 0
    assert len(addresses(hand, service)) == 1000


def test_a_call_is_made_only_when_something_changed() -> None:
    hand, service = world()
    pods = pods_made(hand, 2)
    hand.settle()
    reconciler = hand.manager.reconcilers["endpoints"]
    assert reconciler.calls == 1
    hand.change(pods[0], restarts=1)
    hand.write(service, traffic_distribution=1)
    hand.settle()
    assert reconciler.calls == 1
    hand.write(service, ports=2)
    hand.settle()
    assert reconciler.calls == 2


def test_they_go_with_their_service_by_their_own_controller() -> None:
    hand, service = world("endpointslice", "garbage-collector")
    pods_made(hand, 2)
    hand.settle()
    (object_,) = hand.objects("Endpoints")
    (slice_,) = hand.objects("EndpointSlice")
    before = hand.manager.reconcilers["endpoints"].calls
    delete(hand, service)
    hand.settle()
    assert [int(hand.cluster.object_live[row]) for row in (service, object_, slice_)] == [FREE] * 3
    assert hand.manager.reconcilers["endpoints"].calls == before + 1
    assert hand.manager.reconcilers["garbage-collector"].calls == 2, "that was for the slice"


def test_they_do_not_hold_up_the_deletion_of_their_service() -> None:
    hand, service = world("garbage-collector")
    hand.settle()
    delete(hand, service, FOREGROUND)
    hand.settle()
    assert hand.objects("Service") == hand.objects("Endpoints") == []


def test_the_longest_back_off_is_that_of_the_fifteenth_try() -> None:
    controller = Hand("endpoints").manager.reconcilers["endpoints"].controller
    assert (controller.base_us, controller.cap_us) == (5_000, 5_000 * 2**14)
