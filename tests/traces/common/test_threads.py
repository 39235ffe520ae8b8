"""Work that threads do before it is asked for."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.traces.common.threads import AT_ONCE, ahead, each


def test_items_are_made_ahead():
    made = []

    def items():
        for number in range(4):
            made.append(number)
            yield number
        raise InputError("is bad")

    found = ahead(items())
    assert next(found) == 0
    with pytest.raises(InputError, match="is bad"):
        made += [f"used {number}" for number in found]
    assert [number for number in made if isinstance(number, int)] == [0, 1, 2, 3]
    assert list(ahead(iter([]))) == []
    early = ahead(iter(range(9)))
    next(early)
    early.close()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-9, 9), max_size=30))
def test_each_is_a_map(numbers):
    assert list(each(abs, numbers)) == [abs(number) for number in numbers]


def test_several_items_are_worked_on_at_once():
    together = threading.Barrier(AT_ONCE)
    ranks = list(each(lambda number: (together.wait(timeout=60), number)[1], range(2 * AT_ONCE)))
    assert ranks == list(range(2 * AT_ONCE))


def test_what_each_holds_is_bounded_and_errors_come_in_their_turn():
    taken = []

    def items():
        for number in range(99):
            taken.append(number)
            yield number

    found = each(lambda number: 6 // (3 - number), items())
    assert [next(found) for _ in range(3)] == [2, 3, 6]
    with pytest.raises(ZeroDivisionError):
        next(found)
    assert len(taken) < 3 + 2 * AT_ONCE
    early = each(abs, items())
    next(early)
    early.close()
