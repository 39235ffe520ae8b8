"""Every algorithm against plain Python, on random small worlds; compiled against plain."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.network.balancing import found
from tests.network.balancing.worlds import ARRAYS, run, same, world

NAMES = sorted(found())


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 1 << 32))
def test_a_run_is_its_plain_twin(name: str, seed: int) -> None:
    same(name, world(seed), seed)


def test_the_worlds_hold_what_they_are_for() -> None:
    seen = dict.fromkeys(("refused", "lost", "broken", "retried", "waited", "stuck", "nodes", "changes"), 0)
    for seed in range(100):
        made = world(seed)
        result = run("userspace", made, seed)
        seen["refused"] += result.refused > 0
        for name in ("lost", "broken", "retried"):
            seen[name] += getattr(result, name).any()
        seen["waited"] += (result.wait_us > 0).any()
        seen["stuck"] += made["settings"].affinity_us > 0
        seen["nodes"] += made["connections"].node is not None
        seen["changes"] += len(made["changes"].time_us) > 0
    assert min(seen.values()) >= 10, seen


@pytest.mark.compiled
@pytest.mark.parametrize(("name", "affinity_us"), [*((name, 0) for name in NAMES), ("rr", 50)])
def test_compiled_and_plain_are_equal(name: str, affinity_us: int) -> None:
    for seed in range(20):
        made = world(seed)
        plain, compiled = (
            run(name, {**made, "settings": dataclasses.replace(made["settings"], **form)}, seed)
            for form in ({"affinity_us": affinity_us}, {"affinity_us": affinity_us, "compiled": True})
        )
        for array in ARRAYS:
            assert (getattr(compiled, array) == getattr(plain, array)).all()
