"""Building: topologies, sets of nodes, counters and lists, each row made once, and written where it belongs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from kscale.scheduler import plugins
from kscale.scheduler.counting import count_pod
from kscale.state.building import CLUSTER, NODE, Building
from kscale.state.descriptions import PodTemplate, Selector, Surroundings
from kscale.state.intake import Sizes, gather, take_in
from kscale.state.labels import Requirement
from kscale.state.schema import Column, NewTable
from kscale.state.schema.segment import BITS
from kscale.state.tables import Cluster
from kscale.traces import NODES, SPECS
from tests.engine.columns import call

SMALL = Sizes(pod=2, arrival=2, ledger=2, timeline=2, diagnosis=2)
LABELS = ("zone=b,disk=s", "zone=a", "disk=s", "zone=b")
X, Y = (("app", "x"),), (("app", "y"), ("tier", "f"))
TEMPLATES = [PodTemplate(labels=X), PodTemplate(labels=Y), PodTemplate(labels=X, namespace="other")]
THINGS = {
    "thing": NewTable(
        "An entry of a list.", (Column("amount", "int64", "An amount."), Column("more", "int64", "More."))
    ),
    "template": (
        Column("thing_first", "int64", "Its first row of thing."),
        Column("thing_last", "int64", "The row after its last."),
        Column("thing_mark", "int64", "A mark.", default=-1),
    ),
}


def frames() -> tuple[pl.DataFrame, pl.DataFrame]:
    nodes = pl.DataFrame([{"name": f"n{i}", "labels": text} for i, text in enumerate(LABELS)], schema=NODES)
    return nodes, pl.DataFrame([{}] * len(TEMPLATES), schema=SPECS)


def made() -> Building:
    return gather(*frames(), None, TEMPLATES)


def filled(building: Building) -> Cluster:
    return take_in(*frames(), 0, [*plugins.columns(), THINGS], SMALL, building).cluster


def mask(*places: int, length: int = 4) -> Any:
    return np.isin(np.arange(length), places)


def select(key: str, operator: str, *values: str) -> Selector:
    return Selector((Requirement(key, operator, values),))


def test_topologies_are_labels_and_domains_their_values() -> None:
    building = made()
    zone, rack = building.topology("zone"), building.topology("rack")
    assert building.topology("zone") == zone != rack
    assert building.has_key(zone).tolist() == [True, True, False, True]
    assert not building.has_key(rack).any()
    cluster = filled(building)
    assert cluster.topology_domain[CLUSTER].tolist() == [0] * 4
    assert cluster.topology_domain[NODE].tolist() == [0, 1, 2, 3]
    domains = cluster.topology_domain[zone].tolist()
    assert domains[0] == domains[3] != domains[1] and domains[2] == -1 and sorted(set(domains)) == [-1, 0, 1]
    assert cluster.topology_domain[rack].tolist() == [-1] * 4
    assert cluster.topology_domains.tolist() == [1, 4, 2, 0]
    assert cluster.sizes["domain"] == 4 + 1
    assert cluster.topology_single.tolist() == [0, 1, 0, 1]
    assert cluster.topology_node[NODE].tolist() == [0, 1, 2, 3]


def test_sets_of_nodes_are_made_once_and_all_nodes_are_none() -> None:
    building = made()
    assert building.nodemask(mask(0, 1, 2, 3)) == -1
    assert [building.nodemask(m) for m in (mask(1), mask(), mask(1))] == [0, 1, 0]
    assert filled(building).nodemask_node.tolist() == [[0, 1, 0, 0], [0, 0, 0, 0]]


def test_counters_are_made_once_for_topology_templates_and_nodes() -> None:
    building = made()
    zone, some = building.topology("zone"), building.nodemask(mask(0, 1))
    two, one = mask(0, 2, length=3), mask(1, length=3)
    rows = [
        building.counter(zone, two), building.counter(zone, one), building.counter(zone, two),
        building.counter(NODE, two), building.counter(zone, two, some), building.counter(CLUSTER, one),
    ]  # fmt: skip
    assert rows == [0, 1, 0, 2, 3, 4]
    assert building.counts() and not made().counts()
    cluster = filled(building)
    assert cluster.counter_topology.tolist() == [zone, zone, NODE, zone, CLUSTER]
    assert cluster.counter_nodemask.tolist() == [-1, -1, -1, some, -1]
    assert cluster.counter_domains.tolist() == [2, 2, 4, 2, 1]
    # Each has one domain more, in which nothing is ever counted; 64 are a segment.
    assert cluster.counter_first.tolist() == [0, 1, 2, 3, 4] and cluster.sizes["segment"] == 5
    assert cluster.counter_eligible.tolist() == [2, 2, 4, 2, 1]
    # Counters of one topology and one set of nodes share what they see.
    assert cluster.seen_eligible.tolist() == [1] * 9 and cluster.counter_seen_first.tolist() == [0, 0, 2, 6, 8]
    assert cluster.counter_single.tolist() == [0, 0, 1, 0, 0]
    counting = [
        cluster.counting_counter[first:last].tolist()
        for first, last in zip(cluster.template_counting_first, cluster.template_counting_last, strict=True)
    ]
    assert counting == [[0, 2, 3], [1, 4], [0, 2, 3]]


def counts_of(cluster: Cluster, counter: int) -> list[int]:
    """What a counter counted, by domain."""
    first = int(cluster.counter_first[counter])
    domains = range(int(cluster.counter_domains[counter]))
    rows = [int(cluster.segment_place[first + (domain >> BITS)]) + domain % (1 << BITS) for domain in domains]
    counts: list[int] = cluster.tally_count[rows].tolist()
    return counts


def test_places_are_given_while_they_are_used_and_used_again() -> None:
    building = made()
    two = mask(0, 2, length=3)
    building.counter(NODE, two)
    building.counter(NODE, mask(1, length=3))
    cluster = filled(building)
    place = cluster.segment_place
    assert place.tolist() == [0, 0] and len(cluster.tally_count) == 3 << BITS
    call(count_pod, cluster, 1, 2, 1)
    call(count_pod, cluster, 0, 1, 1)
    assert place.tolist() == [128, 64] and cluster.segment_used.tolist() == [1, 1]
    call(count_pod, cluster, 1, 2, -1)
    assert place.tolist() == [128, 0] and counts_of(cluster, 1) == [0, 0, 0, 0]
    call(count_pod, cluster, 1, 3, 1)
    assert place.tolist() == [128, 64] and counts_of(cluster, 1) == [0, 0, 0, 1] and cluster.cluster_places[0] == 2


def test_a_trial_gives_no_place_up() -> None:
    building = made()
    building.counter(NODE, mask(0, length=3))
    cluster = filled(building)
    call(count_pod, cluster, 0, 1, 1)
    cluster.cluster_trial[0] = 1
    call(count_pod, cluster, 0, 1, -1)
    assert cluster.segment_place.tolist() == [64] and counts_of(cluster, 0) == [0, 0, 0, 0]
    call(count_pod, cluster, 0, 1, 1)
    cluster.cluster_trial[0] = 0
    assert counts_of(cluster, 0) == [0, 1, 0, 0] and cluster.segment_used.tolist() == [1]
    call(count_pod, cluster, 0, 1, -1)
    assert cluster.segment_place.tolist() == [0] and cluster.counter_touched.tolist() == [-1]


def test_pods_are_counted_where_their_domain_is() -> None:
    building = made()
    zone, some = building.topology("zone"), building.nodemask(mask(0, 1))
    both = mask(0, 2, length=3)
    for counter in ((zone, both), (zone, both, some), (NODE, both)):
        building.counter(*counter)
    cluster = filled(building)
    b, a = cluster.topology_domain[zone, [0, 1]].tolist()
    for template, node in ((0, 0), (2, 3), (0, 1), (0, 2), (1, 0)):
        call(count_pod, cluster, template, node, 1)
    by_zone, some_by_zone, by_node = (counts_of(cluster, counter) for counter in range(3))
    assert (by_zone[a], by_zone[b]) == (1, 2)  # n2 has no zone, and template 1 does not count
    assert (some_by_zone[a], some_by_zone[b]) == (1, 1)  # n3 is not among the nodes that count
    assert by_node == [1, 1, 1, 1]
    assert cluster.counter_total.tolist() == [3, 2, 4]
    call(count_pod, cluster, 2, 3, -1)
    assert counts_of(cluster, 0)[b] == 1 and cluster.counter_total.tolist() == [2, 2, 3]


def test_domains_without_a_node_that_counts_are_not_eligible() -> None:
    building = made()
    zone = building.topology("zone")
    building.counter(zone, mask(0, length=3), building.nodemask(mask(1, 2)))
    cluster = filled(building)
    assert cluster.seen_eligible[cluster.topology_domain[zone, 1]] == cluster.counter_eligible[0] == 1
    assert cluster.seen_eligible.sum() == 1


def test_a_watched_counter_is_listed_for_trials_once() -> None:
    building = made()
    row = building.watched(mask(0, 1, length=3))
    assert building.watched(mask(0, 1, length=3)) == row == building.counter(CLUSTER, mask(0, 1, length=3))
    assert filled(building).trial_counter.tolist() == [row, row]


@pytest.mark.parametrize(
    ("selector", "namespaces", "selected"),
    [
        (None, None, []),
        (Selector(), None, [0, 1, 2]),
        (Selector(), ["default"], [0, 1]),
        (Selector(), [], []),
        (Selector(), ["default", "other", "nowhere"], [0, 1, 2]),
        (select("app", "In", "x"), None, [0, 2]),
        (select("app", "In", "x"), ["other"], [2]),
        (select("tier", "DoesNotExist"), ["default"], [0]),
        (Selector((*select("app", "Exists").requirements, *select("tier", "In", "f").requirements)), None, [1]),
    ],
)
def test_templates_are_selected_by_labels_and_namespace(
    selector: Selector | None, namespaces: list[str] | None, selected: list[int]
) -> None:
    building = made()
    for _ in range(2):
        assert np.flatnonzero(building.selected(selector, namespaces)).tolist() == selected
        if selector is not None:
            rows = building.selected_rows(selector, namespaces)
            assert rows.tolist() == selected and not rows.flags.writeable
            assert building.selected_rows(selector, namespaces) is rows, "kept once, however often it is asked"


def test_namespaces_are_selected_by_their_labels() -> None:
    assert made().namespaces(Selector()) == set()
    known = Surroundings(namespaces={"default": {}, "other": {"team": "o"}, "third": {"team": "t"}})
    building = gather(*frames(), replace(made().nodes, surroundings=known), TEMPLATES)
    for _ in range(2):
        assert building.namespaces(select("team", "In", "o")) == {"other"}
        assert building.namespaces(Selector()) == {"default", "other", "third"}


def test_lists_stay_in_the_order_in_which_they_were_appended() -> None:
    building = made()
    for template, amount in ((2, 7), (0, 5), (2, 6), (0, 9)):
        building.append("thing", template, amount=amount, more=-amount)
    building.mark("thing_mark", 1, 4)
    assert building.has("thing") and not building.has("port_of")
    cluster = filled(building)
    assert cluster.thing_amount.tolist() == [5, 9, 7, 6]
    assert cluster.thing_more.tolist() == [-5, -9, -7, -6]
    assert cluster.template_thing_first.tolist() == [0, 2, 2]
    assert cluster.template_thing_last.tolist() == [2, 2, 4]
    assert cluster.template_thing_mark.tolist() == [-1, 4, -1]


def test_a_table_has_the_length_that_its_plugin_gives_it() -> None:
    building = made()
    building.size("thing", 3)
    assert building.lay_out(["thing", "port"]) | {"thing": 3, "port": 0} == building.lay_out(["thing", "port"])
    assert filled(building).thing_amount.shape == (3,)


def test_sets_of_templates_are_made_once_and_none_is_none() -> None:
    building = made()
    sets = (mask(1, length=3), mask(length=3), mask(0, 1, length=3), mask(1, length=3))
    assert [building.peers(each) for each in sets] == [0, -1, 1, 0]
    assert filled(building).peers_member.tolist() == [[0, 1, 0], [1, 1, 0]]


def test_a_template_has_the_arguments_of_its_profile() -> None:
    building = gather(*frames(), None, TEMPLATES, {"default-scheduler": "mine"})
    assert building.configuration(TEMPLATES[0]) == "mine"
    assert made().configuration(TEMPLATES[0]) is None
