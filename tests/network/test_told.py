"""What proxies are told of, against all slices read anew at every step; and triggers by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.engine.kinds import THERE
from kscale.engine.requests import DELETE_OBJECTS, Request
from kscale.network.told import LISTED, READY, SERVING, TERMINATING, Told
from tests.controllers.services import pods_made, selecting
from tests.controllers.world import Hand

FAR = 1 << 60


class Watched(Hand):
    """Three nodes, and what proxies are told, collected before and after each look as a run does."""

    def __init__(self) -> None:
        super().__init__("endpointslice", "service-addresses", "garbage-collector", node=3)
        self.cluster.cluster_endpoints_per_slice[0] = 3
        selecting(self, (0,), (1,))
        self.told = Told(self.world)

    def look(self) -> None:
        self.told.collect(self.now)
        super().look()
        self.told.collect(self.now)


def service(hand: Hand, name: str, **columns: Any) -> int:
    return hand.make("Service", name, selection=columns.pop("selection", 0), ports=1, port_number=[80], port_name=[0],
                     **columns)  # fmt: skip


def listed(hand: Hand) -> dict[tuple[int, int], int]:
    """Return what all slices of Services that proxies know say, by Service and pod: read anew."""
    cluster, found = hand.cluster, {}
    for one in hand.world.all_of("EndpointSlice").tolist():
        owner, row = cluster.object_owner[one], cluster.object_row[one]
        whose = cluster.object_row[owner]
        if cluster.object_live[one] != THERE or cluster.endpointslice_address_type[row] != 0:
            continue
        if cluster.service_headless[whose] or cluster.service_cluster_ip[whose] < 0:
            continue
        first, count = cluster.endpointslice_members_first[row], cluster.endpointslice_members_count[row]
        for member in range(first, first + count):
            bits = zip((READY, SERVING, TERMINATING), ("ready", "serving", "terminating"), strict=True)
            state = LISTED + sum(bit for bit, name in bits if cluster.columns[f"endpoint_{name}"][member])
            found[int(cluster.object_uid[owner]), int(cluster.endpoint_serial[member])] = state
    return found


def test_a_pod_that_becomes_ready_and_is_deleted() -> None:
    hand = Watched()
    web = service(hand, "web")
    service(hand, "none", headless=1)
    hand.settle()
    (pod,) = pods_made(hand, 1, node=2)
    hand.settle()
    hand.now += 5_000_000
    hand.delete(pod, 30_000_000)
    hand.settle()
    changes, endpoints = hand.told.taken(FAR)
    uid = int(hand.cluster.object_uid[web])
    # The Service, its empty slice, the pod, and that it goes.
    assert changes.service.tolist() == [uid] * 4
    assert changes.endpoints.tolist() == [0, 0, 1, 1]
    assert changes.measured.tolist() == [0, 0, 1, 0]
    assert changes.trigger_us[2] == hand.cluster.life_ready_us[pod]
    assert changes.trigger_us[3] == hand.cluster.life_deleted_us[pod] <= changes.written_us[3]
    up, down = LISTED + READY + SERVING, LISTED + SERVING + TERMINATING
    assert (endpoints.before.tolist(), endpoints.after.tolist()) == ([0, up], [up, down])
    assert (endpoints.change.tolist(), endpoints.node.tolist()) == ([2, 3], [2, 2])
    assert not len(hand.told.taken(FAR)[0])


steps = st.lists(
    st.one_of(
        st.tuples(st.just("pods"), st.integers(0, 1), st.integers(1, 4)),
        st.tuples(st.just("delete"), st.integers(0, 20), st.just(0)),
        st.tuples(st.just("unready"), st.integers(0, 20), st.just(0)),
        st.tuples(st.just("service"), st.integers(0, 1), st.integers(0, 1)),
        st.tuples(st.just("remove"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("headless"), st.integers(0, 3), st.just(0)),
    ),
    max_size=12,
)


@settings(max_examples=40)
@given(steps)
def test_changes_add_up_to_what_slices_list(found: list[tuple[str, int, int]]) -> None:
    hand, pods, services, number = Watched(), [], [], 0
    seen: dict[tuple[int, int], int] = {}
    for turn, (what, which, much) in enumerate(found):
        hand.now += 1_000_000
        if what == "pods":
            pods += pods_made(hand, much, template=which, node=turn % 3)
        elif what == "service":
            services.append(service(hand, f"web{turn}", selection=which, headless=much))
        elif what == "delete" and which < len(pods) and hand.cluster.life_deleted_us[pods[which]] < 0:
            hand.delete(pods[which], 30_000_000)
        elif what == "unready" and which < len(pods):
            hand.ready(pods[which], ready=not hand.cluster.life_ready[pods[which]])
        elif what in ("remove", "headless") and which < len(services):
            change(hand, services[which], what)
        hand.settle()
        changes, endpoints = hand.told.taken(hand.now)
        assert (endpoints.change < number + len(changes)).all() and (endpoints.change >= number).all()
        assert np.bincount(endpoints.change - number, minlength=len(changes)).tolist() == changes.endpoints.tolist()
        assert (changes.trigger_us <= changes.written_us).all()
        number += len(changes)
        for uid, serial, before, after in zip(endpoints.service, endpoints.serial, endpoints.before, endpoints.after,
                                              strict=True):  # fmt: skip
            key = int(uid), int(serial)
            assert seen.pop(key, 0) == before
            if after:
                seen[key] = int(after)
        assert seen == listed(hand)


def change(hand: Hand, service: int, what: str) -> None:
    cluster = hand.cluster
    if cluster.object_live[service] != THERE:
        return
    if what == "headless":
        cluster.service_headless[cluster.object_row[service]] ^= 1
        hand.world.note(np.array([service]), hand.now)
    else:
        uid = cluster.object_uid[[service]]
        asked = {"object": np.array([service]), "uid": uid, "policy": np.array([0])}
        hand.world.apply(Request(DELETE_OBJECTS, np.array([0]), asked, "Service"), hand.now)
