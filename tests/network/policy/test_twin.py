"""Random clusters under random policies: the columns say what the plain evaluator says of every pair."""

from __future__ import annotations

from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.network.policy import bits
from tests.network.policy.making import PROTOCOLS, flags, namespace, outside, pod, policy, reach
from tests.network.policy.plain import Plain
from tests.network.policy.worlds import OUTSIDE, PORT_NAMES, SPACES, cluster

QUESTIONS = [(protocol, port) for protocol in PROTOCOLS for port in (80, 81, 82, *PORT_NAMES)]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 1 << 32), st.sampled_from(QUESTIONS), st.sampled_from([4, 6]))
def test_every_pair_as_the_plain_evaluator_has_it(seed: int, asked: tuple[str, int | str], version: int) -> None:
    objects, (protocol, port) = cluster(Random(seed)), asked
    found = reach(objects, protocol, port, tuple(map(outside, OUTSIDE)), version)
    plain = Plain(objects, version)
    ends = [*plain.pods, *OUTSIDE]
    expected = np.array([[plain.reaches(s, t, protocol, port) for t in ends] for s in ends])
    # An address outside is an end as a pod is, so that it also reaches itself: there is nothing between.
    assert np.array_equal(flags(found), expected)
    sources, targets = (side.ravel() for side in np.indices(expected.shape))
    assert np.array_equal(found.reaches(sources, targets), expected.ravel())
    spaces = np.array([SPACES.index(p["metadata"]["namespace"]) for p in plain.pods] + [3] * len(OUTSIDE))
    one, other = (np.where(np.random.default_rng(seed + side).random(len(ends)) < 0.2, -1, spaces) for side in (0, 1))
    reached, pairs = found.counts(one, other, 4)
    for i in range(4):
        for j in range(4):
            here = [(s, t) for s in np.flatnonzero(one == i) for t in np.flatnonzero(other == j) if s != t]
            assert (reached[i, j], pairs[i, j]) == (sum(bool(expected[pair]) for pair in here), len(here))


def test_random_clusters_are_worth_it() -> None:
    """Of their pairs a fair share is parted by policies, and a fair share is not."""
    shares = [flags(reach(cluster(Random(seed)))).mean() for seed in range(60)]
    assert 0.3 < float(np.mean(shares)) < 0.8 and sum(share < 0.5 for share in shares) > 10


def test_the_twin_would_be_heard() -> None:
    """Random policies do part pods: a plain evaluator that let all pass would be caught."""
    objects = [namespace("x"), pod("x", "p0", {}, ["10.1.0.1"]), pod("x", "p1", {}, ["10.1.0.2"]), policy("x", "deny")]
    assert flags(reach(objects)).tolist() == [[True, False], [False, True]]


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 9), st.integers(0, 200), st.integers(0, 1 << 32))
def test_sets_of_bits(height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.random((height, width)) < rng.choice([0.02, 0.5])
    packed = bits.packed(rows)
    assert np.array_equal(bits.unpacked(packed, width), rows)
    assert np.array_equal(bits.unpacked(bits.transposed(packed, width), height), rows.T)
    row, member = rng.integers(0, height, 20), rng.integers(0, max(width, 1), 20)
    assert not width or np.array_equal(bits.has(packed, row, member), rows[row, member])
    texts = [tuple(one) for one in rows.tolist()]
    firsts = list(dict.fromkeys(texts))
    first, place = bits.alike(packed)
    assert first.tolist() == [texts.index(one) for one in firsts]
    assert place.tolist() == [firsts.index(one) for one in texts]
    wanted = rng.random((3, height)) < 0.3
    unions = bits.unpacked(bits.unions(packed, bits.packed(wanted)), width)
    assert np.array_equal(unions, np.array([rows[one].any(axis=0) for one in wanted]).reshape(3, width))
