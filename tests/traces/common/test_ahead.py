import pytest

from kscale.errors import InputError
from kscale.traces.common.ahead import ahead


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
