"""PodTopologySpread: the skew by hand, who counts where, and the points of soft constraints."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kscale.scheduler.configuration import ProfileConfiguration, SchedulerConfiguration
from kscale.scheduler.counting import count_pod
from kscale.scheduler.pluginargs import DefaultConstraint
from kscale.scheduler.plugins.topology_spread import SPREAD, may_unskew, skewed, soft_skew, spread_points
from kscale.simulation import Settings, Simulation
from kscale.state.descriptions import PodDescription, PodTemplate, Selector, SpreadConstraint
from tests.engine.columns import call
from tests.objects import DEFAULTS, HOSTNAME, selector, simulation_of

#: Two nodes in zone a, one in zone b, one without a zone.
NODES: list[dict[str, Any]] = [{"labels": "zone=a"}, {"labels": "zone=a"}, {"labels": "zone=b"}, {}]
X = (("app", "x"),)
APP_X = selector("app", "x")


def constraint(hard: bool = True, **fields: Any) -> SpreadConstraint:
    return replace(SpreadConstraint(1, "zone", hard, APP_X), **fields)


def spread(*templates: PodTemplate, nodes: list[dict[str, Any]] = NODES, settings: Settings = DEFAULTS) -> Simulation:
    return simulation_of(nodes, list(templates), [], settings)


def place(made: Simulation, template: int, node: int, sign: int = 1) -> None:
    call(count_pod, made.cluster, template, node, sign)


def verdicts(made: Simulation, template: int = 0) -> str:
    """Per node: ``+`` fits, ``s`` skewed, ``k`` has no key, ``.`` rejected before."""
    sums = np.zeros(made.cluster.sizes["node"], np.int32)
    call(skewed, made.cluster, template, 0, len(sums), 4, sums)
    return "".join({0: "+", -1 - (1 << 4): "s", -1 - (1 << 5): "k"}[code] for code in sums.tolist())


def test_the_skew_may_not_pass_its_limit() -> None:
    made = spread(PodTemplate(labels=X, spread=(constraint(),)))
    steps = [
        (None, "+++k"),
        (0, "ss+k"),  # a has 1, b none: one more in a makes 2 - 0
        (2, "+++k"),  # one each
        (1, "ss+k"),
        (2, "+++k"),
        (2, "++sk"),  # a has 2, b 3
        (3, "++sk"),  # where no key is, nobody counts
    ]
    for node, expected in steps:
        if node is not None:
            place(made, 0, node)
        assert verdicts(made) == expected
    place(made, 0, 2, -1)
    assert verdicts(made) == "+++k"


def test_a_wider_skew_and_a_pod_that_does_not_count_itself() -> None:
    made = spread(
        PodTemplate(labels=X, spread=(constraint(max_skew=2),)),
        PodTemplate(spread=(constraint(),)),  # is not labelled x: it adds nothing
        PodTemplate(labels=X, spread=(constraint(selector=None),)),  # selects nobody
    )
    place(made, 0, 0)
    assert [verdicts(made, template) for template in range(3)] == ["+++k", "+++k", "+++k"]
    place(made, 0, 1)
    assert [verdicts(made, template) for template in range(3)] == ["ss+k", "ss+k", "+++k"]


def test_an_empty_selector_selects_the_pod_itself_and_no_other() -> None:
    made = spread(PodTemplate(labels=X, spread=(constraint(selector=Selector()),)), PodTemplate(labels=X))
    for _ in range(3):
        place(made, 1, 0)
    assert verdicts(made) == "+++k"


def test_too_few_domains_count_as_one_more_that_is_empty() -> None:
    made = spread(*(PodTemplate(labels=X, spread=(constraint(min_domains=n),)) for n in (2, 3)))
    place(made, 0, 0)
    place(made, 0, 2)
    assert [verdicts(made, template) for template in range(2)] == ["+++k", "sssk"]


def test_who_counts() -> None:
    made = spread(
        PodTemplate(labels=X, spread=(constraint(),)),
        PodTemplate(labels=X, namespace="other"),
        PodTemplate(labels=X, terminating=True),
        PodTemplate(labels=(("app", "y"),)),
    )
    for template in (1, 2, 3):
        place(made, template, 0)
    assert verdicts(made) == "+++k"


def test_policies_leave_nodes_out() -> None:
    tainted = [{"labels": "zone=a"}, {"labels": "zone=a", "taints": "t:NoSchedule"}, {"labels": "zone=b"}]
    only_a = PodDescription(node_selector=(("zone", "a"),))
    made = spread(
        PodTemplate(labels=X, spread=(constraint(),)),
        PodTemplate(only_a, labels=X, spread=(constraint(),)),  # b is not its own: a alone is never skewed
        PodTemplate(only_a, labels=X, spread=(constraint(honor_affinity=False),)),
        PodTemplate(labels=X, spread=(constraint(honor_taints=True),)),  # n1 does not count
        nodes=tainted,
    )
    place(made, 0, 1)
    assert [verdicts(made, template) for template in range(4)] == ["ss+", "+++", "ss+", "+++"]
    place(made, 0, 0)
    assert [verdicts(made, template) for template in range(4)] == ["ss+", "+++", "ss+", "ss+"]


def test_a_node_needs_the_keys_of_all_hard_constraints() -> None:
    both = (constraint(), constraint(topology_key="disk"))
    nodes = [
        {"labels": "zone=a,disk=s"},
        {"labels": "zone=b"},
        {"labels": "zone=c,disk=s"},
        {"labels": "zone=b,disk=t"},
    ]
    made = spread(PodTemplate(labels=X, spread=both), PodTemplate(labels=X), nodes=nodes)
    place(made, 1, 1)  # does not count for zones either: the node has no disk
    assert verdicts(made) == "+k++"
    place(made, 1, 0)
    assert verdicts(made) == "sks+"  # n2 is free by zone, and skewed by disk


def test_a_node_that_was_rejected_stays_so() -> None:
    made = spread(PodTemplate(labels=X, spread=(constraint(),)))
    place(made, 0, 0)
    sums = np.array([-1, -9, -1, 5], np.int32)
    call(skewed, made.cluster, 0, 0, 3, 0, sums)
    assert sums.tolist() == [-1, -9, -1, 5]


# Points


def raw(made: Simulation, template: int = 0, fits: str = "++++") -> tuple[list[int], list[int]]:
    """The raw scores, and what threefold points add to the sums; None where a node is left out."""
    sums = np.array([10 if mark == "+" else -1 for mark in fits], np.int32)
    assert call(soft_skew, made.cluster, template, sums)
    found = made.cluster.scan_wide.tolist()
    call(spread_points, made.cluster, template, 3, sums)
    return found, [total - 10 if total >= 0 else total for total in sums.tolist()]


def test_soft_constraints_by_hand() -> None:
    made = spread(PodTemplate(labels=X, spread=(constraint(False),)))
    for node in (0, 1, 2):
        place(made, 0, node)
    # Two values among the nodes: ln 4 = 1.386. a: 2 * 1.386 = 2.77, b: 1.386; n3 has no zone: no points.
    assert raw(made) == ([3, 3, 1, 0], [3 * 33, 3 * 33, 3 * 100, 0])  # 100 * (3 + 1 - 3) // 3
    # Of what fits alone: one value, ln 3 = 1.0986: 2.197.
    assert raw(made, fits="+x--") == ([2, 0, 0, 0], [300, -1, -1, -1])


def test_a_wider_skew_weighs_more_and_nobody_there_is_as_good_as_any() -> None:
    made = spread(
        PodTemplate(labels=X, spread=(constraint(False, max_skew=5),)), PodTemplate(spread=(constraint(False),))
    )
    assert raw(made) == ([4, 4, 4, 0], [300, 300, 300, 0])
    assert raw(made, 1) == ([0, 0, 0, 0], [300, 300, 300, 0])


def test_by_node_each_counts_its_own() -> None:
    made = spread(PodTemplate(labels=X, spread=(constraint(False, topology_key=HOSTNAME),)))
    for node in (0, 0, 1):
        place(made, 0, node)
    # Four nodes: ln 6 = 1.7918: 3.58, 1.79.
    assert raw(made) == ([4, 2, 0, 0], [0, 150, 300, 300])


def test_several_constraints_add_up() -> None:
    keys = ("zone", HOSTNAME)
    made = spread(PodTemplate(labels=X, spread=tuple(constraint(False, topology_key=key) for key in keys)))
    place(made, 0, 0)
    # n3 lacks one of the keys, so three nodes are scored: ln 4 and ln 5.
    assert raw(made)[0] == [round(math.log(4) + math.log(5)), round(math.log(4)), 0, 0]


def test_default_constraints_need_not_have_all_keys() -> None:
    zone = "topology.kubernetes.io/zone"
    nodes = [{"labels": f"{zone}=a"}, {"labels": f"{zone}=b"}, {}]
    defaults = PodTemplate(labels=X, default_selector=APP_X)
    made = spread(defaults, PodTemplate(labels=X), nodes=nodes)
    place(made, 1, 0)
    # By node: ln 5 * 1 + 2; by zone three values, the missing one included: ln 5 * 1 + 4. n2 has the first only.
    assert raw(made, fits="+++")[0] == [round(2 * math.log(5) + 6), 6, 2]
    assert not call(soft_skew, made.cluster, 1, np.zeros(3, np.int32))  # no service selects it
    # Stated in the configuration, every key is needed.
    stated = replace(
        ProfileConfiguration(), system_defaults=False, default_constraints=(DefaultConstraint(1, zone, False),)
    )
    made = spread(defaults, nodes=nodes, settings=Settings(configuration=SchedulerConfiguration((stated,))))
    assert raw(made, fits="+++")[1] == [300, 300, 0]


def test_hints_tell_of_the_pods_that_hard_constraints_select() -> None:
    made = spread(
        PodTemplate(labels=X, spread=(constraint(),)),
        PodTemplate(labels=(("app", "y"),)),
        PodTemplate(labels=X, namespace="other"),
        PodTemplate(spread=(constraint(False),)),
    )
    told = [[bool(call(may_unskew, made.cluster, 0, other, added)) for other in range(4)] for added in (0, 1)]
    assert told == [[True, False, False, False]] * 2
    assert not any(call(may_unskew, made.cluster, 3, other, 1) for other in range(4))


@pytest.mark.parametrize("template", [PodTemplate(spread=(constraint(),)), PodTemplate(default_selector=APP_X)])
def test_it_is_used_where_some_pod_is_spread(template: PodTemplate) -> None:
    assert SPREAD in spread(PodTemplate(), template).profile.filters
    assert SPREAD not in spread(PodTemplate(), PodTemplate(labels=X)).profile.filters
    assert (SPREAD.weight, SPREAD.unresolvable) == (2, (1,))
