from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kscale.traces.common.seen import Seen


@given(st.lists(st.lists(st.one_of(st.integers(0, 20), st.integers(0, (1 << 64) - 1)), max_size=12), max_size=30))
def test_it_is_a_set(batches):
    seen, plain = Seen(), set()
    for batch in batches:
        hashes = np.array(batch, np.uint64)
        assert seen.before(hashes).tolist() == [one in plain for one in batch]
        seen.add(hashes)
        plain.update(batch)
    seen.before(np.empty(0, np.uint64))  # what was added is sorted when somebody asks
    sizes = [len(run) for run in seen._runs]
    assert sum(sizes) == sum(map(len, batches))
    assert all(long > 2 * short for long, short in pairwise(sizes))
