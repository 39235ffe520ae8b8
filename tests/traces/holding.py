"""What the tests of readers hold of every format: portions cut anywhere, what is written and read again, mutations."""

import re
from pathlib import Path

from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from kscale.errors import InputError
from kscale.traces import NODE_EVENTS, NODES, PODS, Options, Reader, Trace
from kscale.traces.common.opening import open_trace
from kscale.traces.common.writing import write_trace


def assert_same(found: Trace, expected: Trace) -> None:
    """Hold two readings of a trace equal in all that they say."""
    assert_frame_equal(found.pods, expected.pods)
    assert_frame_equal(found.specs, expected.specs)
    assert (found.notes, found.dropped, found.timed) == (expected.notes, expected.dropped, expected.timed)
    for mine, other in ((found.nodes, expected.nodes), (found.node_events, expected.node_events)):
        assert (mine is None) == (other is None)
        if mine is not None and other is not None:
            assert_frame_equal(mine, other)


def assert_round_trip(trace: Trace, folder: Path) -> None:
    """Hold that a trace, written in kscale's own format, is read as it was."""
    assert dict(trace.pods.schema) == PODS
    for ending in ("parquet", "csv"):
        path = folder / f"trip.{ending}"
        write_trace(trace, path)
        found = open_trace(path, "own")
        assert_frame_equal(found.pods, trace.pods)
        assert_frame_equal(found.specs, trace.specs)


def events_told(trace: Trace) -> int:
    """Return how many rows of events the notes of a trace of Google and what was dropped account for."""
    notes = "\n".join(trace.notes)
    count = sum(trace.dropped.values())
    for words in (r"([\d,]+) events are", r"and ([\d,]+) records of what came after"):
        found = re.search(words, notes)
        assert found is not None, words
        count += int(found[1].replace(",", ""))
    return count


def mutated(data: st.DataObject, raw: bytes) -> bytes:
    """Return bytes with some of them changed, cut off, removed or repeated."""
    parts = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(parts) - 1, 0)))
        match data.draw(st.sampled_from(["change", "cut", "remove", "repeat"])):
            case "change" if parts:
                parts[at] = data.draw(st.integers(0, 255))
            case "cut":
                del parts[at:]
            case "remove":
                del parts[at : at + data.draw(st.integers(1, 20))]
            case "repeat":
                parts[at:at] = parts[at : at + 20]
    return bytes(parts)


def assert_read_or_refused(reader: Reader, path: Path, lenient: bool) -> None:
    """Hold that a file is read whole, or refused in one line that names it."""
    try:
        trace = reader.read(path, Options(lenient=lenient, max_input=1 << 24))
    except InputError as error:
        assert path.name in str(error) or path.parent.name in str(error)
        assert "\n" not in str(error)
    else:
        assert dict(trace.pods.schema) == PODS
        assert trace.pods["spec"].null_count() == 0
        assert trace.nodes is None or set(NODES) <= set(trace.nodes.columns)
        assert trace.node_events is None or dict(trace.node_events.schema) == NODE_EVENTS


def assert_told_once(reader: Reader, path: Path) -> None:
    """Hold that progress comes to the size of a file, however often it is read."""
    told: list[int] = []
    reader.read(path, Options(told=told.append))
    assert sum(told) == path.stat().st_size
