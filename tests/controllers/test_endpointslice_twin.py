"""Endpoints of random worlds: as their plain twins have them, however the controllers were interrupted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.controllers.common.packing import Packed, Slices, Wanted, pack
from kscale.controllers.common.service_manifest import SAME_NODE
from kscale.engine import selected
from kscale.engine.objects import PENDING, RUNNING_PHASE
from kscale.engine.selected import Holders, Selected
from tests.controllers.services import endpoints, one, pods_made, selecting
from tests.controllers.world import Hand
from tests.twin.endpointslice import Endpoint, Slice, addresses, reconcile

endpoint = st.builds(Endpoint, st.integers(0, 14), st.integers(0, 2), st.integers(-1, 0))


def distinct(found: list[Endpoint]) -> list[Endpoint]:
    return list({one_.serial: one_ for one_ in found}.values())


group = st.tuples(
    st.lists(st.builds(Slice, st.integers(0, 2), st.lists(endpoint, max_size=6).map(distinct)), max_size=5),
    st.integers(0, 2),
    st.lists(endpoint, max_size=14).map(lambda found: sorted(distinct(found), key=lambda one_: one_.serial)),
)
Group = tuple[list[Slice], int, list[Endpoint]]


def packed(groups: list[Group], most: int) -> Packed:
    """Pack all groups at once."""
    slices = [(place, slice_) for place, (there, _, _) in enumerate(groups) for slice_ in there]
    inside = [(place, one_) for place, (_, slice_) in enumerate(slices) for one_ in slice_.endpoints]
    wanted = [(place, one_) for place, (_, _, asked) in enumerate(groups) for one_ in asked]

    def column(values: list[int]) -> Any:
        return np.array(values, np.int64)

    def told(found: list[tuple[int, Endpoint]]) -> tuple[Any, Any, Any, Any]:
        return (column([place for place, _ in found]), column([one_.serial for _, one_ in found]),
                column([one_.state for _, one_ in found]), column([one_.hint for _, one_ in found]))  # fmt: skip

    return pack(
        Slices(column([place for place, _ in slices]), column([one_.ports for _, one_ in slices]), *told(inside)),
        Wanted(column([ports for _, ports, _ in groups]), *told(wanted)), most,
    )  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(st.lists(group, min_size=1, max_size=3), st.integers(1, 6))
def test_packing_all_groups_at_once_is_packing_each(groups: list[Group], most: int) -> None:
    result = packed(groups, most)
    wanted = [one_ for _, _, asked in groups for one_ in asked]
    inside: dict[int, list[Endpoint]] = {}
    for place in result.order.tolist():
        inside.setdefault(int(result.target[place]), []).append(wanted[place])
    first, made_before = 0, sum(len(there) for there, _, _ in groups)
    for place, (there, ports, asked) in enumerate(groups):
        made = reconcile(there, ports, asked, most)
        for offset, slice_ in enumerate(there):
            row = first + offset
            fate = "deleted" if result.deleted[row] else "written" if result.written[row] else "same"
            assert fate == slice_.fate
            if fate == "written":
                assert (int(result.ports[row]), inside.get(row, [])) == (slice_.ports, slice_.endpoints)
        mine = np.flatnonzero(result.new_group == place)
        assert [(int(result.new_ports[one_]), inside.get(made_before + int(one_), [])) for one_ in mine] == [
            (slice_.ports, slice_.endpoints) for slice_ in made
        ]
        first += len(there)


#: What may happen to the world: (what, which).
event = st.tuples(
    st.sampled_from(
        ["new", "new", "ready", "unready", "delete", "gone", "finish", "service", "ports", "publish", "address"]
    ),
    st.integers(0, 11),
)


def happen(hand: Hand, what: str, which: int) -> None:
    cluster, pods, services = hand.cluster, hand.pods(), hand.objects("Service")
    running = [pod for pod in pods if cluster.life_phase[pod] == RUNNING_PHASE]
    if what == "new":
        pods_made(hand, 1 + which % 3, which % 4, running=which % 5 > 0, node=which % 3)
    elif what in ("ready", "unready") and running:
        hand.ready(running[which % len(running)], what == "ready")
    elif what == "delete" and pods:
        hand.delete(pods[which % len(pods)], 30_000_000)
    elif what == "gone":
        going = [pod for pod in pods if cluster.life_deleted_us[pod] >= 0]
        if going:
            hand.stopped(going[which % len(going)])
    elif what == "finish" and running:
        hand.finish(running[which % len(running)])
    elif what == "address":
        waiting = [pod for pod in pods if cluster.life_phase[pod] == PENDING]
        if waiting:
            hand.bind(waiting[which % len(waiting)], which % 3)
            hand.change(waiting[which % len(waiting)], addressed=1)
    elif what == "service":
        name = f"s{len(hand.world.names)}"
        hand.make("Service", name, selection=which % 4 - 1, ports=which % 3, traffic_distribution=which % 3)
    elif what in ("ports", "publish") and services:
        column = {"ports": "ports", "publish": "publish_not_ready"}[what]
        hand.write(services[which % len(services)], **{column: which % 2})


def expected(hand: Hand, service: int) -> list[tuple[int, bool, bool]]:
    """Return what pods a service has: (serial, ready, terminating)."""
    cluster, selection = hand.cluster, hand.read(service, "selection")
    return [
        (int(cluster.pod_trace_row[pod]), bool(cluster.life_ready[pod]), bool(cluster.life_deleted_us[pod] >= 0))
        for pod in hand.pods()
        if selection >= 0 and cluster.pod_template[pod] in hand.world.selections[selection]
        and cluster.life_phase[pod] in (PENDING, RUNNING_PHASE) and cluster.life_addressed[pod]
    ]  # fmt: skip


def check(hand: Hand) -> None:
    cluster = hand.cluster
    for service in hand.objects("Service"):
        publish, pods = bool(hand.read(service, "publish_not_ready")), expected(hand, service)
        slices = hand.objects("EndpointSlice", service)
        if hand.read(service, "selection") < 0:
            assert slices == hand.objects("Endpoints", service) == []
            continue
        found = [one_ for slice_ in slices for one_ in endpoints(hand, slice_)]
        said = sorted((one_["serial"], one_["ready"], one_["serving"], one_["terminating"]) for one_ in found)
        assert said == [
            (serial, int(publish or (ready and not going)), int(ready), int(going)) for serial, ready, going in pods
        ]
        close = hand.read(service, "traffic_distribution")
        for one_ in found:
            node = cluster.pod_node[one_["pod"]]
            assert one_["zone_hint"] == (cluster.node_zone[node] if close and one_["ready"] else -1)
            assert one_["node_hint"] == (node if close == SAME_NODE and one_["ready"] else -1)
        # A placeholder is of the port map of a Service without ports: it may stay beside others there.
        held = [slice_ for slice_ in slices if not endpoints(hand, slice_)]
        assert slices and max(len(endpoints(hand, slice_)) for slice_ in slices) <= 3
        assert not held or not pods or hand.read(held[0], "ports") == hand.read(service, "ports") == 0
        (object_,) = hand.objects("Endpoints", service)
        rows, _ = hand.world.members.of("endpoints", cluster.object_row[one(object_)])
        told = [(int(cluster.address_serial[row]), int(cluster.address_ready[row])) for row in rows.tolist()]
        assert (told, bool(hand.read(object_, "over_capacity"))) == addresses(pods, publish, 5)


def index_holds(hand: Hand) -> None:
    """What is found fast is what a look at everything finds."""
    world, kept = hand.world, hand.world.selected
    anew = Selected(world)
    handles = np.arange(len(world.selections))
    for found, again in zip(kept.pods(handles), anew.pods(handles), strict=True):
        assert found.tolist() == again.tolist()
    fresh = Holders(world, "Service")
    fresh.refresh(np.arange(hand.cluster.sizes["object"]))
    assert world.holders("Service").of(handles).tolist() == fresh.of(handles).tolist()


@settings(deadline=None, max_examples=60)
@given(st.lists(event, max_size=25), st.data())
def test_endpoints_are_those_of_the_twin_however_controllers_were_interrupted(
    events: list[tuple[str, int]], data: st.DataObject
) -> None:
    hand = Hand("endpointslice", "endpoints")
    hand.cluster.cluster_endpoints_per_slice[0], hand.cluster.cluster_most_addresses[0] = 3, 5
    hand.cluster.node_zone[:3] = [4, 5, -1]
    selecting(hand, (0,), (0, 1, 2), (3,))
    hand.make("Service", "first", selection=1, ports=1)
    for what, which in events:
        happen(hand, what, which)
        do = data.draw(st.sampled_from(["look", "settle", "wait", "stop", "start"]))
        name = data.draw(st.sampled_from(["endpointslice", "endpoints"]))
        if do == "look":
            hand.look()
        elif do == "settle":
            hand.settle()
        elif do == "stop":
            hand.manager.reconcilers[name].stopped = True
        elif do == "start":
            hand.restart(name)
    for name, reconciler in hand.manager.reconcilers.items():
        if reconciler.stopped:
            hand.restart(name)
    hand.settle()
    check(hand)
    index_holds(hand)


def test_many_pods_are_sorted_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """More pods than are looked through each time: the lists are made anew, and rows that are used again are found."""
    monkeypatch.setattr(selected, "_FEW", 8)
    hand = Hand("endpointslice")
    selecting(hand, (0,), (1,))
    hand.make("Service", "web", selection=1, ports=1)
    hand.settle()
    for turn in range(6):
        pods_made(hand, 5 + 7 * (turn % 2), turn % 2)
        hand.settle()
        index_holds(hand)
        hand.stopped(*hand.pods()[turn % 3 :: 2])
        hand.settle()
        index_holds(hand)
    assert len(hand.world.selected._pods) > 0
