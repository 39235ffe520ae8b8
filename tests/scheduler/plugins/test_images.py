"""ImageLocality: points by size, by how many nodes have the image, and by the number of containers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kscale.scheduler.plugins.images import IMAGES, points
from kscale.state.descriptions import NodeDescriptions, PodDescription, PodTemplate
from kscale.state.labels import Labels
from tests.objects import simulation_of

MIB = 1 << 20


def nodes(*images: dict[str, int]) -> NodeDescriptions:
    """Nodes with these images, by name and size."""
    count = len(images)
    sets = list(dict.fromkeys(tuple(sorted(each.items())) for each in images))
    return NodeDescriptions(
        tuple(f"n{row}" for row in range(count)), Labels([{}] * count), ((),), np.zeros(count, np.int32),
        np.zeros(count, bool), tuple(sets), np.array([sets.index(tuple(sorted(e.items()))) for e in images], np.int32),
    )  # fmt: skip


def score(described: NodeDescriptions, *images: str) -> list[int]:
    return points(described, PodDescription(images=images)).tolist()


@pytest.mark.parametrize(
    ("mebibytes", "expected"),
    # Below 23 Mi and from 1000 Mi on it is level; between, 100 * (size - 23) // 977.
    [(0, 0), (23, 0), (32, 0), (33, 1), (511, 49), (512, 50), (999, 99), (1000, 100), (5000, 100)],
)
def test_the_size_of_one_image_on_the_only_node(mebibytes: int, expected: int) -> None:
    assert score(nodes({"a": mebibytes * MIB}), "a") == [expected]


def test_an_image_counts_by_the_share_of_nodes_that_have_it() -> None:
    described = nodes({"a": 800 * MIB}, {"a": 800 * MIB}, {}, {"b": 900 * MIB})
    assert score(described, "a") == [38, 38, 0, 0]  # 400 Mi: 377 of 977
    assert score(described, "b") == [0, 0, 0, 20]  # 225 Mi: 202 of 977
    assert score(described, "c") == [0] * 4


def test_images_of_several_containers_add_up_to_a_higher_bound() -> None:
    described = nodes({"a": 900 * MIB, "b": 600 * MIB}, {"a": 900 * MIB, "b": 600 * MIB})
    # 1500 Mi: 1477 of 1977. The same image twice counts twice; one that nobody has raises the bound alone.
    assert score(described, "a", "b") == [74, 74]
    assert score(described, "a", "a") == [89, 89]
    assert score(described, "a", "c") == [44, 44]


def test_the_size_is_that_of_the_first_node_that_has_it() -> None:
    described = nodes({}, {"a": 300 * MIB}, {"a": 900 * MIB})
    assert score(described, "a") == [0, 18, 18]  # 300 * 2 / 3 = 200: 177 of 977


def test_no_images_and_no_nodes() -> None:
    assert score(nodes({"a": 900 * MIB})) == [0]
    assert score(nodes(), "a") == []


sizes = st.dictionaries(st.sampled_from("abc"), st.integers(0, 1200).map(lambda size: size * MIB))


@given(st.lists(sizes, min_size=1, max_size=5), st.lists(st.sampled_from("abcd"), min_size=1, max_size=4))
def test_it_is_the_sum_over_containers(given_: list[dict[str, int]], images: list[str]) -> None:
    expected = []
    for own in given_:
        total = 0
        for image in images:
            holders = [other for other in given_ if image in other]
            if image in own:
                total += int(float(holders[0][image]) * (len(holders) / len(given_)))
        most = 1000 * MIB * len(images)
        expected.append(100 * (min(max(total, 23 * MIB), most) - 23 * MIB) // (most - 23 * MIB))
    assert score(nodes(*given_), *images) == expected


def test_its_points_are_added_as_they_are() -> None:
    assert (IMAGES.normalise, IMAGES.weight, IMAGES.plane_column) == ("none", 1, "description_image_points")


@pytest.mark.parametrize("images", [(), (("a", 900 * MIB),)])
def test_it_is_used_where_nodes_have_images(images: tuple[tuple[str, int], ...]) -> None:
    templates = [PodTemplate(PodDescription(images=("a",))), PodTemplate()]
    made = simulation_of([{"images": images}, {}], templates, [])
    assert (IMAGES in [plugin for plugin, _ in made.profile.scores]) is bool(images)
    if images:
        # 450 Mi of the one node with it; a description that names no image has none.
        assert made.cluster.description_image_points.tolist() == [[43, 0], [0, 0]]
