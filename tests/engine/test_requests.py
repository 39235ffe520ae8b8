"""Clients' token buckets, against a plain count, and requests as batches of calls."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kscale.engine.requests import UPDATE, Client, Request, Requests


def test_thirty_pass_at_once_and_then_twenty_a_second() -> None:
    client = Client(20, 30)
    times = client.take(100, 0)
    assert (times[:30] == 0).all()
    assert np.array_equal(times[30:], np.arange(1, 71) * 50_000)
    assert client.free(3_500_000) == 0
    assert client.free(4_500_000) == 20
    assert client.free(60_000_000) == 30


def test_a_client_without_a_limit_never_waits() -> None:
    client = Client(0, 0)
    assert (client.take(5, 7) == 7).all()
    assert client.free(0) > 1 << 40


@given(st.lists(st.tuples(st.integers(0, 400_000), st.integers(1, 6)), max_size=12))
def test_calls_pass_as_from_a_bucket_that_is_filled_token_by_token(steps: list[tuple[int, int]]) -> None:
    client, tokens, full, now, last = Client(10, 4), 4.0, 4, 0, 0
    for gap, calls in steps:
        now += gap
        tokens = min(tokens + (now - last) / 100_000, full)
        last = now
        assert client.free(now) == max(int(tokens + 1e-6), 0)
        expected = []
        for _ in range(calls):
            tokens -= 1
            expected.append(now if tokens >= -1e-9 else now + int(np.ceil(-tokens * 100_000 - 1e-6)))
        assert client.take(calls, now).tolist() == pytest.approx(expected, abs=1)


def test_a_batch_without_rows_asks_for_nothing() -> None:
    asked = Requests()
    none = np.empty(0, np.int64)
    asked.create_pods(none, none, none)
    asked.delete_pods(none, none, none)
    asked.again(none, none)
    asked.fail(none)
    assert not asked.asked
    assert not asked.later
    assert not asked.failed


def test_some_calls_of_a_batch() -> None:
    request = Request(UPDATE, np.array([0, 1, 2]), {"object": np.array([5, 6, 7])}, "ReplicaSet", 2)
    part = request.some(np.array([True, False, True]))
    assert (len(part), part.columns["object"].tolist(), part.kind, part.cost) == (2, [5, 7], "ReplicaSet", 2)
