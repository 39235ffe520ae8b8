"""Images: pulls one after the other and side by side, layers that are shared, and collection by its own figures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.node.images import collect, collect_when_due
from kscale.state.descriptions import NodeDescriptions
from kscale.state.labels import Labels
from kscale.state.lives import ContainerLife, PodLife
from tests.node.world import SECOND, Kubelets

MB = 1_000_000


def with_image(image: str, **layers: int) -> PodLife:
    return PodLife((ContainerLife(image=image),), layers=((image, tuple(layers.items())),))


def started(kubelets: Kubelets) -> list[int]:
    """When containers started, in tenths of a second."""
    return (kubelets.cluster.life_slot_start_us[: kubelets.count, 0] // 100_000).tolist()


FAST = {"watch_us": 0, "pull_bytes_per_s": 10 * MB, "unpack_bytes_per_s": 10 * MB, "pull_us": 100_000}


def test_pulls_of_a_node_wait_for_each_other_and_share_layers() -> None:
    lives = with_image("a", base=50 * MB), with_image("b", base=50 * MB, own=10 * MB), with_image("c", c=5 * MB)
    kubelets = Kubelets(*lives, **FAST)
    for template in range(3):
        kubelets.bind(template)
    kubelets.bind(0, node=1)
    kubelets.bind(0)
    kubelets.run(60 * SECOND)
    # 10 s for the base, 2 s more for b's own layer, 1 s for c, nothing to fetch for the last: each asks first.
    assert started(kubelets) == [101, 122, 133, 101, 134]
    assert kubelets.read("node_image_bytes", 0) == 65 * MB


def test_parallel_pulls_wait_for_layers_that_are_on_their_way() -> None:
    lives = with_image("a", base=50 * MB), with_image("b", base=50 * MB, own=10 * MB), with_image("c", c=5 * MB)
    kubelets = Kubelets(*lives, pullers=2, **FAST)
    for template in range(3):
        kubelets.bind(template)
    kubelets.run(60 * SECOND)
    assert started(kubelets) == [101, 101, 112]


def test_a_pull_that_fails_is_tried_again_after_10_20_40_seconds() -> None:
    life = PodLife((ContainerLife(image="a", pull_failures=3),))
    kubelets = Kubelets(life, watch_us=0, requeue_us=0)
    kubelets.bind()
    kubelets.run(200 * SECOND)
    assert started(kubelets) == [700]
    spent = kubelets.cluster.life_spent_us[0]
    assert spent[3] == 70 * SECOND


def test_more_pulls_than_the_registry_takes_are_refused() -> None:
    lives = [with_image(f"i{number}", **{f"l{number}": 0}) for number in range(12)]
    kubelets = Kubelets(*lives, watch_us=0, requeue_us=0)
    for template in range(12):
        kubelets.bind(template)
    kubelets.run(60 * SECOND)
    assert started(kubelets) == [0] * 10 + [100] * 2


def test_images_that_are_there_are_not_pulled_unless_they_always_are() -> None:
    described = NodeDescriptions(
        ("n0", "n1"), Labels([{}, {}]), ((),), np.zeros(2, np.int32), np.zeros(2, bool), (((("a", 50 * MB)),), ()),
        np.array([0, 1], np.int32),
    )  # fmt: skip
    always = PodLife((ContainerLife(image="a", always_pulls=True),))
    kubelets = Kubelets(PodLife((ContainerLife(image="a"),)), always, described=described, **FAST)
    kubelets.bind(0, node=0)
    kubelets.bind(1, node=0)
    kubelets.bind(0, node=1)
    kubelets.run(60 * SECOND)
    assert started(kubelets) == [0, 1, 101]


def test_a_pull_goes_on_when_its_pod_is_deleted() -> None:
    lives = with_image("a", base=50 * MB), with_image("b", base=50 * MB, own=10 * MB)
    kubelets = Kubelets(*lives, **FAST)
    first = kubelets.bind(0)
    kubelets.run(3 * SECOND)
    kubelets.delete(first, 0)
    # What comes meanwhile waits for it, what comes when it is done finds the layer there.
    kubelets.bind(0)
    kubelets.run(20 * SECOND)
    kubelets.bind(0)
    kubelets.bind(1)
    kubelets.run(40 * SECOND)
    assert started(kubelets)[1:] == [102, 200, 221]
    assert kubelets.read("node_image_bytes", 0) == 60 * MB
    assert not kubelets.cluster.node_pulling.any()
    assert not kubelets.cluster.node_leaving.any()


def test_nobody_asks_for_the_image_that_a_deleted_pod_has_pulled() -> None:
    kubelets = Kubelets(with_image("a", base=50 * MB), **FAST)
    kubelets.delete(kubelets.bind())
    kubelets.run(SECOND)
    second = kubelets.bind()
    kubelets.run(5 * SECOND)
    kubelets.delete(second)
    kubelets.run(10 * SECOND)
    kubelets.bind()
    kubelets.run(30 * SECOND)
    # The first was deleted before it was seen; the second's pull begins at 1 s.
    assert started(kubelets)[2] == 112
    kubelets.bind()
    kubelets.run(40 * SECOND)
    assert started(kubelets)[3] == 300


def collecting(other: int, image: int) -> Kubelets:
    kubelets = Kubelets(with_image("a", a=image), collects=True, gc_high=90, gc_low=80)
    cluster = kubelets.cluster
    cluster.node_layers[0], cluster.node_image_bytes[0] = cluster.image_layers[0], image
    cluster.node_image_capacity[0], cluster.node_image_other[0] = 1000, other
    return kubelets


@pytest.mark.parametrize(
    ("available", "image", "missed", "left"), [(50, 450, 0, 0), (50, 50, 100, 0), (600, 50, 0, 50)]
)
def test_collection(available: int, image: int, missed: int, left: int) -> None:
    kubelets = collecting(1000 - available - image, image)
    assert kubelets.call(collect, 0, 300 * SECOND) == missed
    assert kubelets.read("node_image_bytes", 0) == left


def test_images_that_are_used_or_young_stay() -> None:
    kubelets = collecting(500, 450)
    assert kubelets.call(collect, 0, 119 * SECOND) > 0
    kubelets.cluster.node_image_users[0, 0] = 1
    assert kubelets.call(collect, 0, 300 * SECOND) > 0
    assert kubelets.read("node_image_bytes", 0) == 450


def test_the_node_collects_when_its_time_has_come() -> None:
    kubelets = Kubelets(
        with_image("a", a=450), with_image("b", b=100), collects=True, watch_us=0, gc_high=40, gc_low=10
    )
    kubelets.cluster.node_image_capacity[0] = 1000
    first = kubelets.bind(0)
    kubelets.run(10 * SECOND)
    kubelets.delete(first)
    kubelets.run(310 * SECOND)
    kubelets.now = 310 * SECOND
    kubelets.bind(1)
    kubelets.run(320 * SECOND)
    assert kubelets.read("node_image_bytes", 0) == 100
    assert kubelets.cluster.node_image_users[0].tolist() == [0, 1]


def test_a_node_that_is_looked_at_late_has_collected_in_time() -> None:
    kubelets = Kubelets(
        with_image("a", a=450), with_image("b", b=100), collects=True, watch_us=0, gc_high=40, gc_low=10
    )
    kubelets.cluster.node_image_capacity[0] = 1000
    first = kubelets.bind(0)
    kubelets.run(200 * SECOND)
    kubelets.delete(first, 0)
    kubelets.run(400 * SECOND)
    # At 300 s its image was too young, at 600 s it was not; nobody looked then.
    kubelets.bind(1)
    kubelets.run(500 * SECOND)
    assert kubelets.read("node_image_bytes", 0) == 550
    kubelets.now = 700 * SECOND
    kubelets.bind(1)
    kubelets.run(800 * SECOND)
    assert kubelets.read("node_image_bytes", 0) == 100


IMAGES = st.lists(
    st.tuples(st.integers(0, 300), st.booleans(), st.integers(0, 290).map(lambda s: s * SECOND)), min_size=1, max_size=6
)


@settings(max_examples=100, deadline=None)
@given(IMAGES, st.integers(0, 900), st.integers(1, 6), st.integers(0, 500).map(lambda s: s * SECOND))
def test_one_late_look_collects_what_a_look_at_each_time_does(
    images: list[tuple[int, bool, int]], other: int, periods: int, age_us: int
) -> None:
    found = []
    for step in (1, periods):
        lives = [with_image(str(number), **{str(number): size}) for number, (size, _, _) in enumerate(images)]
        kubelets = Kubelets(*lives, collects=True, gc_high=70, gc_low=50, gc_age_us=age_us)
        cluster, count = kubelets.cluster, len(images)
        cluster.node_layers[0, 0], cluster.node_image_bytes[0] = (1 << count) - 1, sum(size for size, _, _ in images)
        cluster.node_image_users[0, :count] = [used for _, used, _ in images]
        cluster.node_image_used_us[0, :count] = [at for _, _, at in images]
        cluster.node_image_capacity[0], cluster.node_image_other[0] = 1000, other
        cluster.node_gc_us[0] = 300 * SECOND
        for number in range(step, periods + 1, step):
            kubelets.call(collect_when_due, 0, (300 * number + 7) * SECOND)
        found.append([cluster.columns[f"node_{name}"][0].tolist() for name in ("layers", "image_bytes", "gc_us")])
    assert found[0] == found[1]
    assert found[0][2] == 300 * SECOND * (periods + 1)
