import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.traces.common.fractions import most_used, sizes


def found(rows, things, machines):
    thing, machine, fraction = (np.array(column) for column in zip(*rows, strict=True))
    return sizes(thing, machine, fraction.astype(float), things, machines)


def test_half_of_one_is_a_quarter_of_another():
    # Thing 0 on machines 0 and 1, thing 1 on 1 and 2, thing 2 on 0; machine 0 and 1 have two each, 0 comes first.
    told = found([(0, 0, 0.5), (0, 1, 0.25), (1, 1, 0.5), (1, 2, 1.0), (2, 0, 0.1)], 3, 3)
    assert told.machines.tolist() == [1.0, 2.0, 1.0]
    assert told.things.tolist() == [0.5, 1.0, 0.1]
    assert told.spread == 0.0


def test_what_is_not_said_relates_nothing():
    told = found([(0, 0, 0.5), (0, 1, np.nan), (1, 1, 0.0), (2, 1, 0.2)], 3, 2)
    assert told.machines.tolist() == [1.0, 1.0]
    assert told.things.tolist() == [0.5, 0.0, 0.2]
    empty = sizes(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), 0, 0)
    assert empty.spread == 0.0 and len(empty.things) == 0


def test_where_fractions_disagree_the_larger_amount_counts():
    told = found([(0, 0, 0.5), (0, 1, 0.25), (1, 0, 0.5), (1, 1, 0.25), (2, 0, 0.5), (2, 1, 0.5)], 3, 2)
    assert told.machines.tolist() == [1.0, 2.0]
    assert told.things.tolist() == [0.5, 0.5, 1.0]
    assert told.spread == pytest.approx(1.0)


def test_machines_by_how_many_things_they_take():
    assert most_used(np.array([2, 1, 2, 0, 1]), 4).tolist() == [1, 2, 0, 3]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_true_sizes_are_found_again(data):
    machines, things = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 10))
    size = np.array(
        data.draw(st.lists(st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.0]), min_size=machines, max_size=machines))
    )
    amount = np.array(data.draw(st.lists(st.sampled_from([0.125, 0.25, 0.5]), min_size=things, max_size=things)))
    # Every thing may run on the first machine, so that all machines are related.
    pairs = [(t, 0) for t in range(things)] + data.draw(
        st.lists(st.tuples(st.integers(0, things - 1), st.integers(1, machines - 1)), unique=True)
        if machines > 1
        else st.just([])
    )
    told = found([(t, m, amount[t] / size[m]) for t, m in pairs], things, machines)
    first = size[0]
    for m in {m for _, m in pairs}:
        assert told.machines[m] == size[m] / first
    assert told.things.tolist() == (amount / first).tolist()
    assert told.spread == 0.0
