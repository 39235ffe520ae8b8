"""IPAM: addresses in blocks, as a slow allocator of dicts and lists gives them out."""

import ipaddress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.network.calico.ipam import Ipam, leak_released_us
from kscale.network.calico.ipam_blocks import NO_ADDRESS, NO_BLOCK

forms = pytest.mark.parametrize("compiled", [True, False])


class Slow:
    """Blocks as lists of free ordinals, one pod at a time."""

    def __init__(self, blocks, size, strict, most):
        self.left, self.size, self.strict, self.most = list(range(blocks)), size, strict, most
        self.free, self.owner = {}, {}

    def give(self, node):
        mine = [block for block in self.free if self.owner[block] == node]
        for block in mine:
            if self.free[block]:
                return block, self.free[block].pop(0), 0
        if self.left and (self.most is None or len(mine) < self.most):
            block = self.left.pop(0)
            self.owner[block], self.free[block] = node, list(range(self.size))
            return block, self.free[block].pop(0), 0
        if self.strict:
            return -1, -1, NO_BLOCK
        for block in sorted(self.free):
            if self.free[block]:
                return block, self.free[block].pop(0), 0
        return -1, -1, NO_ADDRESS


@pytest.mark.compiled
@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 4), st.integers(0, 3), st.booleans(), st.sampled_from([None, 1, 2]),
    st.lists(st.tuples(st.lists(st.integers(0, 3), max_size=9), st.integers(0, 1 << 30)), max_size=5), st.booleans(),
)  # fmt: skip
def test_pods_have_the_addresses_of_the_slow_allocator(nodes, spare, strict, most, steps, compiled):
    pools = ["10.0.0.0/30", f"10.0.1.0/{32 - spare}"] if spare >= 2 else ["10.0.0.0/29"]
    ipam = Ipam(
        nodes, pools, strict_affinity=strict, blocks_per_node=most, block_prefix=30 if spare != 3 else 29 + 1,
        compiled=compiled,
    )  # fmt: skip
    slow = Slow(ipam.blocks, ipam.size, strict, most)
    living = []
    for arriving, seed in steps:
        node = np.array(arriving, np.int64) % nodes
        given_out = ipam.allocate(node)
        expected = [slow.give(one) for one in node.tolist()]
        assert list(zip(*(column.tolist() for column in vars(given_out).values()), strict=True)) == expected
        living += [(one, *found[:2]) for one, found in zip(node.tolist(), expected, strict=True) if found[0] >= 0]
        addresses = [ipam.address(block, ordinal) for _, block, ordinal in living]
        assert len(set(addresses)) == len(addresses)
        assert all(any(ipaddress.ip_address(a) in pool for pool in ipam.pools) for a in addresses)
        leaving = [one for place, one in enumerate(living) if seed >> place & 1]
        living = [one for place, one in enumerate(living) if not seed >> place & 1]
        ipam.release(np.array([b for _, b, _ in leaving], np.int64), np.array([o for *_, o in leaving], np.int64))
        for _, block, ordinal in leaving:
            slow.free[block].append(ordinal)
        found = ipam.figures(*(np.array([one[place] for one in living], np.int64) for place in (0, 1)))
        borrowed = sum(slow.owner[block] != one for one, block, _ in living)
        assert (found.used, found.borrowed) == (len(living), borrowed)
        assert found.routes == len(slow.owner) + borrowed
        assert found.blocks.tolist() == [list(slow.owner.values()).count(one) for one in range(nodes)]
        assert found.pool_share == len(living) / (ipam.blocks * ipam.size)


@pytest.mark.compiled
@forms
def test_a_thousand_nodes_of_110_pods(compiled):
    ipam = Ipam(1000, ["10.0.0.0/14"], compiled=compiled)
    node = np.tile(np.arange(1000), 110)
    found = ipam.allocate(node)
    assert (found.reason == 0).all()
    figures = ipam.figures(node, found.block)
    assert set(figures.blocks.tolist()) == {2}
    assert (figures.used, figures.borrowed, figures.routes) == (110_000, 0, 2000)
    assert figures.claimed_share == 110 / 128
    assert ipam.address(int(found.block[1]), int(found.ordinal[1])) == "10.0.0.64"


def test_version_6_and_pools_too_large_to_list():
    ipam = Ipam(2, ["fd00::/48"], compiled=False)
    assert ipam.size == 64 and ipam.blocks == 1 << 74
    found = ipam.allocate(np.array([1, 0, 1]))
    assert [ipam.address(b, o) for b, o in zip(found.block.tolist(), found.ordinal.tolist(), strict=True)] == [
        "fd00::", "fd00::40", "fd00::1",
    ]  # fmt: skip


def test_exhaustion_is_told():
    strict = Ipam(3, ["10.0.0.0/25"], strict_affinity=True, compiled=False)
    found = strict.allocate(np.array([0, 1, 2, 2]))
    assert found.reason.tolist() == [0, 0, NO_BLOCK, NO_BLOCK]
    assert strict.told(found) == [
        "2 pods have no address: all 2 blocks of 10.0.0.0/25 are claimed, and strict affinity forbids to borrow"
    ]
    loose = Ipam(3, ["10.0.0.0/25"], compiled=False)
    node = np.array([0, 1] + [2] * 127)
    found = loose.allocate(node)
    assert found.reason.sum() == NO_ADDRESS
    assert loose.figures(node, found.block).borrowed == 126
    assert loose.figures(node, found.block).routes == 2 + 126
    assert "every address of claimed blocks is in use" in loose.told(found)[0]
    few = Ipam(1, ["10.0.0.0/24"], blocks_per_node=1, strict_affinity=True, compiled=False)
    assert "have 1 blocks each" in few.told(few.allocate(np.zeros(65, np.int64)))[0]
    assert few.told(few.allocate(np.zeros(0, np.int64))) == []


def test_leaks_are_freed_at_a_look_after_the_grace():
    minute = 60_000_000
    assert leak_released_us(np.array([0, 1, 5 * minute, 5 * minute + 1])).tolist() == [
        15 * minute, 20 * minute, 20 * minute, 25 * minute,
    ]  # fmt: skip
    for gone in range(0, 40, 7):
        looks = range(0, 1000, 10)
        marked = next(look for look in looks if look >= gone)
        freed = next(look for look in looks if look - marked >= 25)
        assert leak_released_us(np.array([gone]), {"ipam_resync_us": 10, "ipam_leak_grace_us": 25}).tolist() == [freed]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ((1, []), "pools"),
        ((1, ["10.0.0.0/33"]), "pool"),
        ((1, ["10.0.0.0/27"]), "pool"),
        ((1, ["10.0.0.0/24", "fd00::/124"]), "pool"),
        ((1, ["10.0.0.0/24", "fd00::/20"]), "pools"),
        ((1, ["10.0.0.0/16", "10.0.5.0/24"]), "pools"),
    ],
)
def test_pools_that_cannot_be(arguments, field):
    with pytest.raises(InputError, match="expected") as error:
        Ipam(*arguments, compiled=False)
    assert error.value.field == field


@pytest.mark.parametrize("stated", [{"block_prefix": 19}, {"blocks_per_node": 0}])
def test_limits_that_cannot_be(stated):
    with pytest.raises(InputError, match="expected") as error:
        Ipam(1, ["10.0.0.0/8"], compiled=False, **stated)
    assert error.value.field == next(iter(stated))
