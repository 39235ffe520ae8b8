"""Machines as nodes and what happens to them, against a twin that looks at one event after the other."""

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.traces import NODE_EVENTS, NODES
from kscale.traces.common.machines import ADD, REMOVE, UPDATE, machines

COLUMNS = {
    "time_us": pl.Int64, "machine": pl.Int64, "kind": pl.Int8, "cpu_milli": pl.Int64, "memory_bytes": pl.Int64,
    "platform": pl.String,
}  # fmt: skip


def read(rows, attributes=None):
    return machines(pl.DataFrame(rows, schema=COLUMNS, orient="row"), ["platform"], attributes)


def test_coming_going_and_changing():
    nodes, events, counts = read(
        [
            (0, 5, ADD, 8, 80, "p/"),
            (0, 6, ADD, None, None, "p"),
            (0, 9, ADD, 0, 0, None),
            (10, 5, REMOVE, 8, 80, "p/"),
            (10, 5, ADD, 8, 80, "p/"),
            (20, 7, ADD, None, 5, None),
            (30, 7, UPDATE, 4, None, "q"),
            (40, 7, UPDATE, 4, 5, "q"),
            (50, 5, ADD, 9, 80, "p/"),
            (60, 5, REMOVE, None, None, None),
            (61, 5, REMOVE, None, None, None),
        ]
    )
    assert dict(nodes.schema) == NODES
    assert dict(events.schema) == NODE_EVENTS
    assert nodes.select("name", "cpu_milli", "memory_bytes").rows() == [
        ("machine-5", 8, 80),
        ("machine-7", 4, 5),
        ("machine-9", 0, 0),
    ]
    assert nodes["labels"].to_list()[1:] == ["platform=q", None]
    assert events.rows() == [
        (10, "machine-5", "leave", None, None),
        (10, "machine-5", "join", 8, 80),
        (20, "machine-7", "join", None, 5),
        (30, "machine-7", "update", 4, None),
        (50, "machine-5", "update", 9, 80),
        (60, "machine-5", "leave", None, None),
    ]
    assert counts == {"without_capacity": 1, "nothing": 2}


def test_attributes_are_labels():
    attributes = pl.DataFrame({"machine": [1, 3], "labels": ["borg/a=1", "borg/b=1"]})
    nodes, _, _ = read([(0, 1, ADD, 1, 1, "p"), (0, 2, ADD, 1, 1, None)], attributes)
    assert nodes["labels"].to_list() == ["platform=p,borg/a=1", None]


def plain(rows):
    """Return the nodes by machine with their first capacity, and the events, machine by machine."""
    nodes, events = {}, []
    for machine in sorted({row[1] for row in rows}):
        there, cpu, memory, first = False, None, None, [None, None]
        told = []
        turn = sorted((row for row in rows if row[1] == machine), key=lambda row: (row[0], row[2]))
        for number, (time, _, kind, said_cpu, said_memory, _) in enumerate(turn):
            before = (cpu, memory)
            cpu, memory = said_cpu if said_cpu is not None else cpu, said_memory if said_memory is not None else memory
            first = [old if old is not None else new for old, new in zip(first, (cpu, memory), strict=True)]
            if kind == REMOVE:
                told += [(time, machine, "leave", None, None)] if there else []
            elif not there:
                told += [(time, machine, "join", said_cpu, said_memory)] if number or time else []
            elif (cpu, memory) != before:
                told.append((time, machine, "update", said_cpu, said_memory))
            there = kind != REMOVE
        if None not in first:
            nodes[machine] = tuple(first)
            events += told
    return nodes, events


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3), st.integers(1, 2), st.integers(0, 2), st.sampled_from([None, 0, 4]),
            st.sampled_from([None, 7]), st.just("p"),
        ),
        unique_by=lambda row: row[:3], max_size=12,
    )
)  # fmt: skip
def test_the_twin_gives_the_same(rows):
    nodes, events, counts = read(rows)
    expected, happened = plain(rows)
    assert dict(zip(nodes["name"], nodes.select("cpu_milli", "memory_bytes").rows(), strict=True)) == {
        f"machine-{machine}": amounts for machine, amounts in expected.items()
    }
    found = [(*row[:1], int(row[1].removeprefix("machine-")), *row[2:]) for row in events.rows()]
    assert sorted(found, key=str) == sorted(happened, key=str)
    assert [row[0] for row in found] == sorted(row[0] for row in found)
    assert counts["without_capacity"] == len({row[1] for row in rows}) - len(expected)
