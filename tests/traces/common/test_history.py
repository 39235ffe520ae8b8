"""What is seen of machines becomes nodes and events: as a walk from row to row does it."""

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.traces import NODE_EVENTS, NODES
from kscale.traces.common.history import history
from kscale.traces.common.shapes import parse_shape

UNIT = parse_shape("9cpu,9Gi")
SEEN = {
    "node": pl.String,
    "time_us": pl.Int64,
    "cpu_milli": pl.Int64,
    "memory_bytes": pl.Int64,
    "ephemeral_storage_bytes": pl.Int64,
    "labels": pl.String,
    "closed": pl.Boolean,
}
amounts = st.none() | st.integers(1, 2)
rows = st.tuples(
    st.sampled_from(["a", "b", "c"]), st.integers(0, 4), amounts, amounts, amounts, st.just("x=y"), st.booleans()
)


def walk(seen):
    """The nodes and the events, machine by machine and row by row."""
    nodes, events, joined, unknown = [], [], 0, 0
    for name in dict.fromkeys(row[0] for row in seen):
        mine = sorted((row for row in seen if row[0] == name), key=lambda row: row[1])
        known = []
        for place in (2, 3, 4):
            values = [row[place] for row in mine]
            first = next((value for value in values if value is not None), None)
            for i, value in enumerate(values):
                values[i] = first if value is None and i == 0 else values[i - 1] if value is None else value
            known.append(values)
        unknown += known[0][0] is None or known[1][0] is None
        cpu, memory = ([(9000, 9 << 30)[i] if v is None else v for v in known[i]] for i in range(2))
        nodes.append((name, cpu[0], memory[0], known[2][0], "x=y", mine[0][6]))
        for i, row in enumerate(mine):
            if i == 0 and row[1] > 0:
                joined += 1
                events.append((row[1], 0, name, "join", cpu[0], memory[0]))
            if i and (cpu[i], memory[i]) != (cpu[i - 1], memory[i - 1]):
                events.append((row[1], 1, name, "update", cpu[i], memory[i]))
            if i and row[6] != mine[i - 1][6]:
                events.append((row[1], 2, name, "cordon" if row[6] else "uncordon", None, None))
    events = [(event[0], *event[2:]) for event in sorted(events, key=lambda event: event[:2])]
    return nodes, events, joined, unknown


@settings(deadline=None, max_examples=200)
@given(st.lists(rows, max_size=12))
def test_history_is_a_walk(seen):
    found = history(pl.DataFrame(seen, schema=SEEN, orient="row"), UNIT)
    nodes, events, joined, unknown = walk(seen)
    assert dict(found.nodes.schema) == NODES
    assert dict(found.events.schema) == NODE_EVENTS
    columns = ("name", "cpu_milli", "memory_bytes", "ephemeral_storage_bytes", "labels", "unschedulable")
    assert found.nodes.select(columns).rows() == nodes
    assert found.events.rows() == events
    assert (found.joined, found.unknown) == (joined, unknown)
    assert found.closed == sum(node[-1] for node in nodes)
