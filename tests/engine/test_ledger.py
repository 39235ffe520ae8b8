"""The ledger: what the loop's buffers say, as tables; and the fingerprint of the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.engine.events import Events, _sorted
from kscale.engine.ledger import FINGERPRINTED, Fingerprint, Ledger, PodTable, Supply, column_name, dtypes, fingerprint
from kscale.engine.outputs import EVENT_KINDS, OUTPUTS, STATUSES
from kscale.engine.pods import EVICTED, GONE, HELD, IN_FLIGHT, QUEUED, RESTING_STATE, RUNNING
from kscale.engine.scratch import Scratch
from kscale.state.tables import Cluster
from tests.engine.columns import small

TRACE = pl.DataFrame(
    {
        "name": ["a", "b", "c", "d"],
        "namespace": ["x", "x", "y", "y"],
        "owner": pl.Series([None] * 4, dtype=pl.String),
        "arrival_us": [0, 10, 20, 30],
        "spec": pl.Series([0, 1, 1, 0], dtype=pl.UInt32),
    }
)


#: A node with a device leaves before the second sample.
SUPPLY = Supply(np.array([-5, 50]), np.array([[10, 20, 30, 40, 50], [9, 18, 27, 36, 45]]), np.array([3, 2]))


def tell(counts: dict[int, int], description: int) -> str:
    return f"{counts} of {description}"


def write(cluster: Cluster, row: int, **fields: int) -> None:
    missing = (
        "node",
        "decision",
        "failed_us",
        "bound_us",
        "started_us",
        "ended_us",
        "diagnosis",
        "preemptor",
        "eviction",
    )
    for name in missing:
        cluster.columns[f"ledger_{name}"][row] = -1
    cluster.ledger_devices[row] = cluster.ledger_victims[row] = 0
    for name, value in fields.items():
        cluster.columns[f"ledger_{name}"][row] = value
    cluster.ledger_rows[0] = row + 1


def told(ledger: Ledger, nodes: list[str]) -> pl.DataFrame:
    """The table of all pods of TRACE."""
    preemptors = ledger.preemptors()
    names = TRACE[preemptors].select(pl.concat_str("namespace", pl.lit("/"), "name")).to_series()
    return PodTable(nodes, ledger.reasons, preemptors, names).frame(TRACE, ledger.rows(0, TRACE.height))


def events(*portions: pl.DataFrame) -> pl.DataFrame:
    gathered = Events(Scratch(), ["n0", "n1"])
    for portion in portions:
        gathered.add(portion)
    return pl.concat(gathered.frames())


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), max_size=30).map(lambda found: sorted(set(found))),
    st.sampled_from([1, 1 << 40, 1 << 58]),
)
def test_events_of_one_key_stay_in_the_order_of_the_trace(found: list[tuple[int, int]], far: int) -> None:
    """``far``: whether a key and a row fit into one number."""
    by_row = sorted(found, key=lambda event: event[1])
    keys, rows = _sorted(
        np.array([key * far for key, _ in by_row], np.int64), np.array([row for _, row in by_row], np.uint32)
    )
    assert keys.dtype == np.int64 and rows.dtype == np.uint32
    assert list(zip(keys.tolist(), rows.tolist(), strict=True)) == [(key * far, row) for key, row in found]


def filled() -> Ledger:
    """a succeeded on n1 with devices 0 and 2, b was refused, d failed; c lives."""
    cluster, ledger = small(), Ledger(4, tell)
    cluster.diagnosis_count[0, 4], cluster.diagnosis_description[0], cluster.diagnosis_rows[0] = 3, 1, 1
    write(
        cluster,
        0,
        trace_row=0,
        status=1,
        node=1,
        devices=0b101,
        decision=0,
        bound_us=1,
        started_us=2,
        ended_us=9,
        attempts=1,
    )
    write(cluster, 1, trace_row=3, status=2, failed_us=30, ended_us=40, attempts=2, diagnosis=1)
    ledger.drain(cluster)
    assert (cluster.ledger_rows[0], cluster.diagnosis_rows[0], cluster.diagnosis_base[0]) == (0, 0, 1)
    # The rows of a second batch are numbered after those of the first.
    cluster.diagnosis_count[0] = 0
    cluster.diagnosis_count[0, 5], cluster.diagnosis_rows[0] = 2, 1
    write(cluster, 0, trace_row=1, status=4, failed_us=10, attempts=1, diagnosis=0)
    ledger.drain(cluster)
    assert cluster.diagnosis_base[0] == 2
    return ledger


def test_pods_as_a_table() -> None:
    ledger = filled()
    assert ledger.fields["status"].tolist() == [1, 4, 255, 2]
    table = told(ledger, ["n0", "n1"])
    assert dict(table.schema) == dtypes("pods") | {"node": table.schema["node"]}
    assert table.rows(named=True) == [
        {
            "name": "a",
            "namespace": "x",
            "status": "succeeded",
            "node": "n1",
            "devices": [0, 2],
            "decision": 0,
            "arrived_us": 0,
            "bound_us": 1,
            "started_us": 2,
            "ended_us": 9,
            "attempts": 1,
            "reason": None,
            "first_failed_us": None,
            "template": 0,
            "preempted_by": None,
            "victims": 0,
        },
        {
            "name": "b",
            "namespace": "x",
            "status": "refused",
            "node": None,
            "devices": [],
            "decision": None,
            "arrived_us": 10,
            "bound_us": None,
            "started_us": None,
            "ended_us": None,
            "attempts": 1,
            "reason": "{4: 3} of 1",
            "first_failed_us": 10,
            "template": 1,
            "preempted_by": None,
            "victims": 0,
        },
        {
            "name": "d",
            "namespace": "y",
            "status": "failed",
            "node": None,
            "devices": [],
            "decision": None,
            "arrived_us": 30,
            "bound_us": None,
            "started_us": None,
            "ended_us": 40,
            "attempts": 2,
            "reason": "{5: 2} of 1",
            "first_failed_us": 30,
            "template": 0,
            "preempted_by": None,
            "victims": 0,
        },
    ]


def test_evicted_pods_and_whom_they_were_evicted_for() -> None:
    """c is refused; then b is evicted for d, which lives: from then on the ledger takes what evictions write."""
    cluster, ledger = small(), Ledger(4, tell)
    write(cluster, 0, trace_row=2, status=4, failed_us=1, attempts=1)
    ledger.drain(cluster)
    assert "eviction" not in ledger.fields
    cluster.cluster_evictions[0] = 1
    write(cluster, 0, trace_row=1, status=5, node=0, bound_us=3, started_us=3, ended_us=8, preemptor=3, eviction=0)
    cluster.pod_state[5], cluster.pod_trace_row[5], cluster.pod_victims[5], cluster.pod_node[5] = RUNNING, 3, 1, 0
    # The row of the victim is still in the calendar: it is in the ledger already.
    cluster.pod_state[6], cluster.pod_trace_row[6], cluster.pod_preemptor[6] = EVICTED, 1, 3
    ledger.close(cluster)
    table = told(ledger, ["n0"])
    assert dict(table.schema) == dtypes("pods") | {"node": table.schema["node"]}
    rows = table.select("name", "status", "ended_us", "preempted_by", "victims").rows()
    assert rows == [("b", "evicted", 8, "y/d", 0), ("c", "refused", None, None, 0), ("d", "running", None, None, 1)]
    assert ledger.fields["eviction"].tolist() == [-1, 0, -1, -1]


def test_what_evictions_write_is_no_part_of_the_fingerprint_without_them() -> None:
    assert not {"preempted_by", "victims"} & set(FINGERPRINTED)


def test_the_highest_device_is_told() -> None:
    cluster, ledger = small(), Ledger(4, tell)
    write(cluster, 0, trace_row=0, status=1, devices=1 << 63 | 1)
    ledger.drain(cluster)
    assert told(ledger, [])["devices"].to_list() == [[0, 63]]


def test_nobody_arrived() -> None:
    table = told(Ledger(4, tell), ["n0"])
    assert table.height == 0
    assert dict(table.schema) == dtypes("pods") | {"node": table.schema["node"]}
    assert events(table).height == 0
    assert fingerprint(table) == fingerprint(table.clone())


@pytest.mark.parametrize(
    ("state", "status", "devices"),
    [
        (RUNNING, "running", [1]),
        (QUEUED, "waiting", []),
        (RESTING_STATE, "waiting", []),
        (IN_FLIGHT, "waiting", []),
        (HELD, "waiting", []),
        (GONE, None, []),
    ],
)
def test_pods_that_live_at_the_end(state: int, status: str | None, devices: list[int]) -> None:
    cluster, ledger = small(), Ledger(4, tell)
    cluster.pod_state[5], cluster.pod_trace_row[5], cluster.pod_devices[5] = state, 2, 0b10
    cluster.pod_attempts[5], cluster.pod_failed_us[5] = 3, 25
    if state == GONE:  # is in the ledger already
        write(cluster, 0, trace_row=2, status=2, ended_us=7)
    ledger.close(cluster)
    (row,) = told(ledger, ["n0"]).rows(named=True)
    assert (row["name"], row["status"]) == ("c", status or "failed")
    if status:
        assert (row["devices"], row["attempts"], row["first_failed_us"]) == (devices, 3, 25)
    else:
        assert row["ended_us"] == 7


def test_the_timeline_as_a_table() -> None:
    cluster, ledger = small(resource=5), Ledger(1, tell)
    for time_us in (0, 50):
        cluster.timeline_time_us[0], cluster.timeline_requested[0] = time_us, [1, 2, 3, 4, time_us]
        cluster.timeline_used_gpu_milli[0], cluster.timeline_fragmented_gpu_milli[0] = time_us, 0.1
        cluster.timeline_rows[0] = 1
        ledger.drain(cluster)
    resources = ["cpu", "memory", "ephemeral-storage", "pods", "example.com/x-y"]
    table = ledger.timeline_frame(resources, SUPPLY, devices=True)
    assert table.columns == [
        "time_us",
        "arrived_pods",
        "running_pods",
        "waiting_pods",
        "allocatable_cpu",
        "requested_cpu",
        "allocatable_memory",
        "requested_memory",
        "allocatable_ephemeral_storage",
        "requested_ephemeral_storage",
        "allocatable_pods",
        "requested_pods",
        "allocatable_example_com_x_y",
        "requested_example_com_x_y",
        "arrived_gpu_milli",
        "used_gpu_milli",
        "idle_gpu_milli",
        "fragmented_gpu_milli",
    ]
    assert table["time_us"].to_list() == [0, 50]
    assert table["requested_example_com_x_y"].to_list() == [0, 50]
    assert table["allocatable_memory"].to_list() == [20, 18]
    assert table["idle_gpu_milli"].to_list() == [3000, 1950]
    assert table["fragmented_gpu_milli"].to_list() == [0.1, 0.1]
    for name, dtype in dtypes("timeline").items():
        assert table.schema[name] == dtype
    without = ledger.timeline_frame(resources, SUPPLY, devices=False)
    assert without.columns == [name for name in table.columns if "gpu" not in name]


def test_resources_in_column_names() -> None:
    assert [column_name(name) for name in ("cpu", "ephemeral-storage", "nvidia.com/gpu")] == [
        "cpu", "ephemeral_storage", "nvidia_com_gpu",
    ]  # fmt: skip


# Events


def pods(*rows: dict[str, Any]) -> pl.DataFrame:
    fresh = {"namespace": "x", "node": None, "devices": [], "decision": None, "bound_us": None, "started_us": None,
             "ended_us": None, "attempts": 1, "reason": None, "first_failed_us": None, "template": 0,
             "preempted_by": None, "victims": 0}  # fmt: skip
    return pl.DataFrame([{**fresh, **row} for row in rows], schema=dtypes("pods"))


def test_events_are_changes_of_state_in_the_order_of_the_loop() -> None:
    table = events(
        pods(
            # Tried three times, but it fails once: coming back to the queue is no change of state.
            {"name": "a", "status": "succeeded", "node": "n0", "arrived_us": 0, "first_failed_us": 0, "bound_us": 5,
             "started_us": 6, "ended_us": 10, "attempts": 3, "reason": "why"},
            {"name": "b", "status": "refused", "arrived_us": 10, "first_failed_us": 10, "reason": "full"},
            {"name": "c", "status": "failed", "arrived_us": 5, "first_failed_us": 6, "ended_us": 10, "reason": "none"},
            {"name": "d", "status": "running", "node": "n1", "arrived_us": 5, "bound_us": 5, "started_us": 5},
            {"name": "e", "status": "waiting", "arrived_us": 10, "attempts": 0},
            {"name": "f", "status": "evicted", "node": "n1", "arrived_us": 5, "bound_us": 5, "started_us": 5,
             "ended_us": 10, "preempted_by": "x/e"},
            {"name": "g", "status": "failed", "node": "n1", "arrived_us": 8, "bound_us": 8, "started_us": 8,
             "ended_us": 10},
            {"name": "h", "status": "deleted", "node": "n1", "arrived_us": 8, "bound_us": 8, "ended_us": 10},
        )
    )  # fmt: skip
    assert table.schema["kind"] == pl.Enum(EVENT_KINDS)
    assert table.columns == [output.name for output in OUTPUTS["events"]]
    assert table.rows() == [
        (0, "Arrived", "x/a", None, None),
        (0, "FailedScheduling", "x/a", None, "why"),
        (5, "Arrived", "x/c", None, None),
        (5, "Arrived", "x/d", None, None),
        (5, "Arrived", "x/f", None, None),
        (5, "Scheduled", "x/a", "n0", None),
        (5, "Scheduled", "x/d", "n1", None),
        (5, "Scheduled", "x/f", "n1", None),
        (5, "Started", "x/d", "n1", None),
        (5, "Started", "x/f", "n1", None),
        (6, "FailedScheduling", "x/c", None, "none"),
        (6, "Started", "x/a", "n0", None),
        (8, "Arrived", "x/g", None, None),
        (8, "Arrived", "x/h", None, None),
        (8, "Scheduled", "x/g", "n1", None),
        (8, "Scheduled", "x/h", "n1", None),
        (8, "Started", "x/g", "n1", None),
        (10, "Succeeded", "x/a", "n0", None),
        # What failed ran. What "failed" and was never bound was gone when its recorded end came.
        (10, "Failed", "x/g", "n1", None),
        (10, "Deleted", "x/c", None, "none"),
        (10, "Deleted", "x/h", None, None),
        (10, "Arrived", "x/b", None, None),
        (10, "Arrived", "x/e", None, None),
        (10, "Refused", "x/b", None, "full"),
        (10, "Evicted", "x/f", "n1", None),
    ]


# The fingerprint

texts = st.text("ab~\u00e9", max_size=3)
times = st.one_of(st.none(), st.integers(0, 3))
rows = st.fixed_dictionaries(
    {
        "name": texts,
        "namespace": texts,
        "status": st.sampled_from(STATUSES),
        "node": st.one_of(st.none(), texts),
        "devices": st.lists(st.integers(0, 63), max_size=3),
        "decision": times,
        "arrived_us": st.integers(0, 3),
        "bound_us": times,
        "started_us": times,
        "ended_us": times,
        "attempts": st.integers(0, 3),
        "reason": st.one_of(st.none(), texts),
    }
)
some = settings(deadline=None, max_examples=60)


@some
@given(st.lists(rows, min_size=1, max_size=6), st.integers(0, 6))
def test_equal_values_have_one_fingerprint_however_they_are_stored(given_: list[dict[str, Any]], cut: int) -> None:
    whole = pods(*given_)
    parts = pl.concat([pods(*part) for part in (given_[:cut], given_[cut:]) if part], rechunk=False)
    assert fingerprint(parts) == fingerprint(whole)
    portions = Fingerprint()
    for part in (given_[:cut], given_[cut:]):
        portions.add(pods(*part))
    assert portions.text() == fingerprint(whole)
    # Further columns, and the categories behind the words, are not part of it.
    other = whole.with_columns(template=pl.lit(7, pl.Int32), first_failed_us=pl.lit(1, pl.Int64), more=pl.lit("x"))
    assert fingerprint(other.select(sorted(other.columns))) == fingerprint(whole)
    assert fingerprint(whole.with_columns(pl.col("status").cast(pl.String))) == fingerprint(whole)


CHANGES: dict[type, Callable[[Any], Any]] = {
    str: lambda v: v + "a", int: lambda v: v + 1, list: lambda v: [*v, 0], type(None): lambda v: 0,
}  # fmt: skip


@some
@given(st.lists(rows, min_size=1, max_size=4), st.data())
def test_every_value_counts(given_: list[dict[str, Any]], data: st.DataObject) -> None:
    row, name = data.draw(st.integers(0, len(given_) - 1)), data.draw(st.sampled_from(FINGERPRINTED))
    changed = [dict(r) for r in given_]
    value = changed[row][name]
    if name == "status":
        changed[row][name] = STATUSES[(STATUSES.index(value) + 1) % len(STATUSES)]
    elif name in ("node", "reason") and value is None:
        changed[row][name] = ""  # nothing is not an empty text
    else:
        changed[row][name] = CHANGES[type(value)](value)
    assert fingerprint(pods(*changed)) != fingerprint(pods(*given_))


def test_values_do_not_run_into_each_other() -> None:
    def prints(names: list[str], devices: list[list[int]]) -> str:
        both = zip(names, devices, strict=True)
        return fingerprint(pods(*({"name": n, "status": "running", "arrived_us": 0, "devices": d} for n, d in both)))

    base = prints(["ab", "c"], [[1], [2]])
    assert base == prints(["ab", "c"], [[1], [2]])
    assert base != prints(["a", "bc"], [[1], [2]])
    assert base != prints(["ab", "c"], [[1, 2], []])
    assert base != prints(["ab", "c"], [[2], [1]])
    assert base != prints(["c", "ab"], [[1], [2]])  # in the order of the trace


def test_a_known_fingerprint() -> None:
    """The fingerprint is part of what a run promises: a change of its definition is a change of the schema."""
    table = pods(
        {
            "name": "a",
            "status": "running",
            "node": "n",
            "devices": [0],
            "decision": 0,
            "arrived_us": 1,
            "bound_us": 2,
            "started_us": 3,
        }
    )
    assert fingerprint(table) == "907c3bf52f99818be2ce1a165686e10fc8fff03ac19b5c0318aad2b2c26ae5fe"
