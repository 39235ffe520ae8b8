"""NodeUnschedulable."""

from __future__ import annotations

import numpy as np
import pytest

from kscale.scheduler.plugins.unschedulable import cordoned
from kscale.state.descriptions import NodeDescriptions, PodDescription
from kscale.state.labels import Labels, Taint, parse_tolerations

NODES = NodeDescriptions(
    ("free", "cordoned", "tainted"), Labels([{}] * 3),
    ((), (Taint("node.kubernetes.io/unschedulable", "", "NoSchedule"),)), np.array([0, 0, 1], np.int32),
    np.array([False, True, True]),
)  # fmt: skip


@pytest.mark.parametrize(
    ("tolerations", "passes"),
    [
        ("", False),
        ("node.kubernetes.io/unschedulable:NoExecute", False),
        ("node.kubernetes.io/unschedulable=x:NoSchedule", False),
        ("other", False),
        ("node.kubernetes.io/unschedulable:NoSchedule", True),
        ("node.kubernetes.io/unschedulable=:NoSchedule", True),
        ("node.kubernetes.io/unschedulable", True),
        ("*", True),
        ("other,*:NoSchedule", True),
    ],
)
def test_a_cordon_is_passed_by_a_toleration_of_its_taint_whether_it_is_there_or_not(
    tolerations: str, passes: bool
) -> None:
    rejected, reasons = cordoned(NODES, PodDescription(tolerations=parse_tolerations(tolerations)))
    assert rejected.tolist() == ([-1, -1, -1] if passes else [-1, 0, 0])
    assert passes or reasons == ["node(s) were unschedulable"]
