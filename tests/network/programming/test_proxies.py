"""The proxies of all nodes against the plain twin, batch by batch, and rules that hold by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.network.programming import NEVER, Changes, Cost, Nodes, Proxies
from tests.network.programming import plain


def cost_of(base=10, service=0, endpoint=0, again=0, least=100, resync=1_000_000, burst=0, most=1_000):
    return Cost(base, service, endpoint, most, again, least, resync, burst)


def nodes_of(*watches, phase=0):
    return Nodes(np.array(watches, np.int64), np.full(len(watches), phase, np.int64))


def ends(written, cost, watch=0, until=10_000, compiled=False):
    proxies = Proxies(nodes_of(watch, phase=500), cost, compiled=compiled)
    known = proxies.advance(Changes.of(written, np.arange(len(written))), until)
    return known.seen_us()[:, 0].tolist()


def test_without_a_burst_there_is_a_rest_after_each_sync():
    # The first at once; what comes in the sync and the rest (until 1120) goes in together.
    assert ends([1000, 1005, 1100, 1300], cost_of(base=20)) == [1020, 1140, 1140, 1320]


def test_a_burst_lets_two_syncs_through():
    # Two tokens; the third waits until 100 after the end of the second; in the end the tokens are there again.
    assert ends([1000, 1030, 1060, 2000], cost_of(base=20, burst=2)) == [1020, 1050, 1170, 2020]


def test_a_change_asks_anew_for_a_token():
    # 1000 and 1020 take both; a third token is there from 1100, and the change at 1105 finds it.
    assert ends([1000, 1020, 1050, 1105], cost_of(base=10, burst=2)) == [1010, 1030, 1115, 1115]


def test_syncs_that_take_longer_than_the_rest_follow_each_other():
    assert ends([1000, 1001, 1300, 1600], cost_of(base=250, burst=2)) == [1250, 1500, 1750, 2000]


def test_a_sync_sees_what_has_come_when_it_begins():
    assert ends([1000, 1000, 1001], cost_of(base=20), watch=7) == [1027, 1027, 1147]


def test_services_are_written_once_and_no_more_than_there_are():
    cost = cost_of(base=100, service=10, endpoint=1, most=2, least=0)
    proxies = Proxies(nodes_of(0, phase=500), cost, compiled=False)
    changes = Changes.of([1000] * 6, [0, 0, 1, 1, 2, 3], endpoints=3)
    assert proxies.advance(changes, 2_000).seen_us()[:, 0].tolist() == [1000 + 100 + 10 + 17] * 6


def test_when_the_period_is_over_everything_is_written():
    cost = cost_of(base=10, again=5_000, resync=100_000)
    proxies = Proxies(nodes_of(0, phase=60_000), cost, compiled=False)
    # 39,999 us after the start the period is not over; at 40,000 the timer went off, as it does again after the sync.
    known = proxies.advance(Changes.of([39_000, 120_000], [0, 1]), 300_000)
    assert known.seen_us()[:, 0].tolist() == [39_010, 125_000]
    assert (proxies.syncs[0], proxies.fulls[0]) == (3, 2)


def test_what_every_node_knows_is_told_of_once_and_in_order():
    proxies = Proxies(nodes_of(0, 50, phase=500), cost_of(base=20), compiled=False)
    changes = Changes.of([1000, 1010, 1125], [0, 1, 2])
    assert len(proxies.advance(changes[:1], 1000).changes) == 1
    known = proxies.advance(changes[1:2], 1050)
    assert (known.first, len(known.changes)) == (1, 0)
    # The change at 1010 begins at 1120 on node 0: what is written until 1050 does not decide it.
    assert proxies.seen_us(1, 2).tolist() == [[NEVER, NEVER]]
    known = proxies.advance(changes[2:], 1_130)
    assert (known.first, len(known.changes)) == (1, 1)
    assert known.seen_us().tolist() == [[1140, 1190]]
    assert proxies.seen_us(2, 3).tolist() == [[NEVER, NEVER]]
    known = proxies.finish(2_000)
    assert known.seen_us().tolist() == [[1260, 1310]]


worlds = st.fixed_dictionaries(
    {
        "gaps": st.lists(st.integers(0, 60), max_size=25),
        "services": st.lists(st.integers(0, 4), min_size=25, max_size=25),
        "endpoints": st.lists(st.integers(0, 5), min_size=25, max_size=25),
        "watches": st.lists(st.integers(0, 20), min_size=1, max_size=4),
        "phase": st.integers(0, 200),
        "cost": st.builds(
            cost_of, base=st.floats(0, 60), service=st.integers(0, 9), endpoint=st.integers(0, 3),
            again=st.integers(0, 90), least=st.sampled_from([0, 1, 30, 100]), resync=st.integers(100, 400),
            burst=st.integers(0, 3), most=st.integers(1, 4),
        ),
        "cuts": st.lists(st.integers(0, 1500), max_size=5),
        "until": st.integers(0, 1500),
    }
)  # fmt: skip


@settings(max_examples=150)
@given(worlds)
def test_batches_give_what_the_plain_twin_gives(world):
    compare(world, compiled=False)


@pytest.mark.compiled
@settings(max_examples=150)
@given(worlds)
def test_compiled_and_in_threads_too(world):
    compare(world, compiled=True)


def compare(world, compiled):
    written = np.cumsum(np.array(world["gaps"], np.int64))
    count = len(written)
    services, endpoints = world["services"][:count], world["endpoints"][:count]
    nodes = nodes_of(*world["watches"], phase=world["phase"])
    changes = Changes.of(written, services, endpoints=endpoints)
    until = max(int(written[-1]) if count else 0, world["until"])
    proxies = Proxies(nodes, world["cost"], compiled=compiled)
    seen, told = np.zeros((0, len(nodes)), np.int64), 0
    for cut in sorted({*(min(cut, until) for cut in world["cuts"]), until}):
        upto = int(np.searchsorted(written, cut, "right"))
        known = proxies.advance(changes[told:upto], cut)
        assert known.first == len(seen)
        seen, told = np.concatenate([seen, known.seen_us()]), upto
    undecided = proxies.seen_us(len(seen), count)
    for node, watch in enumerate(world["watches"]):
        rows = [
            {"written": int(at), "service": service, "endpoints": some}
            for at, service, some in zip(written, services, endpoints, strict=True)
        ]
        wanted, syncs, fulls, cpu = plain.node(rows, watch, world["phase"], world["cost"], until)
        assert [*seen[:, node].tolist(), *undecided[:, node].tolist()] == [NEVER if at is None else at for at in wanted]
        assert (proxies.syncs[node], proxies.fulls[node], proxies.cpu_us[node]) == (syncs, fulls, cpu)
    assert len(seen) == count or (undecided[0] == NEVER).any()
    rest = proxies.finish(until)
    assert len(seen) + len(rest.changes) == count
    assert (rest.seen_us() < NEVER).all()
    decided = undecided < NEVER
    assert (rest.seen_us()[decided] == undecided[decided]).all()


def test_faults():
    with pytest.raises(InputError, match="go back"):
        Changes.of([2, 1], [0, 0])
    with pytest.raises(InputError, match="is after the write"):
        Changes.of([1], [0], trigger_us=[2])
    with pytest.raises(InputError, match="holds -1"):
        Changes.of([1], [-1])
    with pytest.raises(InputError, match="one at least"):
        Proxies(nodes_of(), cost_of(), compiled=False)
    proxies = Proxies(nodes_of(0), cost_of(), compiled=False)
    proxies.advance(Changes.none(), 100)
    with pytest.raises(InputError, match="after 100, until 200"):
        proxies.advance(Changes.of([100], [0]), 200)
    with pytest.raises(InputError, match="after 100, until 200"):
        proxies.advance(Changes.of([201], [0]), 200)
    with pytest.raises(InputError, match="from 0 on"):
        proxies.seen_us(-1, 0)
