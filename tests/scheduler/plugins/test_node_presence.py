"""NodePresence: who is kept out of nodes that are not there, or are cordoned, node by node and lane by lane."""

from __future__ import annotations

import numpy as np
import pytest

from kscale.engine.changes import ABSENT, CORDONED, OPEN
from kscale.kernels import plain_form
from kscale.scheduler.plugins.node_presence import PRESENCE, keeps_lanes_out, keeps_out, open_lane_of

SHUT = np.array([OPEN, CORDONED, ABSENT, OPEN], np.uint8)
#: Templates: one that is kept out by cordons, one that tolerates them.
PASSES = np.array([0, 1], np.uint8)


def verdicts(template: int, first: int, last: int, reason: int = 0) -> list[int]:
    reject = np.zeros(len(SHUT), np.int32)
    plain_form(keeps_out)(template, first, last, reason, PASSES, SHUT, reject)
    return reject.tolist()


@pytest.mark.parametrize("reason", [0, 5])
def test_a_cordon_keeps_out_who_does_not_tolerate_it_and_absence_everybody(reason: int) -> None:
    cordoned, absent = 1 << reason, 2 << reason
    assert verdicts(0, 0, 4, reason) == [0, cordoned, absent, 0]
    assert verdicts(1, 0, 4, reason) == [0, 0, absent, 0]


def test_only_the_nodes_that_are_asked_for_are_looked_at() -> None:
    assert verdicts(0, 2, 4) == [0, 0, 2, 0]
    assert verdicts(0, 0, 2) == [0, 1, 0, 0]


def test_what_others_found_stays() -> None:
    reject = np.full(len(SHUT), 8, np.int32)
    plain_form(keeps_out)(0, 0, 4, 0, PASSES, SHUT, reject)
    assert reject.tolist() == [8, 9, 10, 8]


@pytest.mark.parametrize("node", range(len(SHUT)))
def test_lanes_are_kept_out_as_their_templates_are(node: int) -> None:
    passes, reject = np.full(3, 7, np.uint8), np.zeros(3, np.int32)
    for lane in range(2):
        plain_form(open_lane_of)(lane, lane, PASSES, passes)
    plain_form(keeps_lanes_out)(node, 2, SHUT, passes, reject)
    # The third lane is not open: nothing is said of it.
    assert [one != 0 for one in reject.tolist()] == [verdicts(0, 0, 4)[node] != 0, verdicts(1, 0, 4)[node] != 0, False]


def test_the_reasons_are_those_of_nodeunschedulable() -> None:
    assert PRESENCE.reasons is not None
    assert PRESENCE.reasons([])[0] == "node(s) were unschedulable"
    assert PRESENCE.unresolvable == (0, 1)
