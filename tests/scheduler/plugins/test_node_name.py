"""NodeName."""

from __future__ import annotations

import numpy as np

from kscale.scheduler.plugins.node_name import other_node
from kscale.state.descriptions import NodeDescriptions, PodDescription
from kscale.state.labels import Labels


def nodes(*names: str) -> NodeDescriptions:
    count = len(names)
    return NodeDescriptions(names, Labels([{}] * count), ((),), np.zeros(count, np.int32), np.zeros(count, bool))


def test_a_pod_that_names_its_node_fits_there_alone() -> None:
    rejected, reasons = other_node(nodes("a", "b", "ab"), PodDescription(node_name="b"))
    assert rejected.tolist() == [0, -1, 0]
    assert reasons == ["node(s) didn't match the requested node name"]


def test_a_name_that_no_node_has() -> None:
    assert other_node(nodes("a", "b"), PodDescription(node_name="c"))[0].tolist() == [0, 0]


def test_no_name_is_every_node() -> None:
    assert other_node(nodes("a", "b"), PodDescription())[0].tolist() == [-1, -1]
