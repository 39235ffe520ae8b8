"""Jobs as gangs, against a twin that takes one row after the other."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.traces import Options
from kscale.traces.acme import READER
from kscale.traces.common import files, joblogs

HEADER = "job_id,user,node_num,gpu_num,cpu_num,type,state,submit_time,start_time,end_time,duration,queue,gpu_time"
times = st.one_of(
    st.integers(0, 30).map(lambda s: f"2023-03-01 00:00:{s:02}"),
    st.integers(0, 30).map(lambda s: f"2023-03-01 08:00:{s:02}+08:00"),
)
unknown = st.sampled_from(["", "None", "noon"])
row = st.tuples(
    st.integers(0, 9), st.sampled_from([0, 1, 1, 2, 3, 5]), st.sampled_from([0, 1, 8, 24, 1024, 2049]),
    st.integers(0, 20), st.one_of(times, times, times, unknown), st.one_of(times, times, unknown),
    st.one_of(times, times, unknown),
)  # fmt: skip


def second(text):
    """Seconds since 1970, None where no time is told; ValueError where it is no time."""
    if text in ("", "None"):
        return None
    told = datetime.fromisoformat(text)
    return int((told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp())


def plainly(rows):
    """The pods of a log, how many rows are bad, and how many jobs never started."""
    seen, bad, never, jobs = set(), 0, 0, []
    known = []
    for number, nodes, gpus, cpus, *texts in rows:
        try:
            known.append(second(texts[0]))
        except ValueError:
            known.append(None)
        try:
            submitted, started, ended = map(second, texts)
        except ValueError:
            bad += 1
            continue
        late = ended is not None and ended < max(submitted or 0, started or 0)
        if submitted is None or late or gpus > 1024 * max(nodes, 1) or number in seen:
            bad += 1
            continue
        seen.add(number)
        never += started is None
        if started is not None:
            jobs.append((number, max(nodes, 1), gpus, cpus, submitted, started, ended))
    first = min((one for one in known if one is not None), default=0)
    pods = []
    for number, nodes, gpus, cpus, submitted, started, ended in jobs:
        for index in range(nodes):
            share = [amount // nodes + (index < amount % nodes) for amount in (gpus, cpus)]
            ran = None if ended is None else (ended - started) * 10**6
            end = None if ended is None else (ended - first) * 10**6
            pods.append((f"{number}-{index}", (submitted - first) * 10**6, ran, end, share[0], share[1] * 1000))
    return pods, bad, never


@settings(max_examples=250, deadline=None)
@given(rows=st.lists(row, max_size=15), size=st.integers(120, 1000), portion=st.integers(1, 8))
def test_any_log_is_read_as_one_by_one(tmp_path_factory, rows, size, portion):
    path = tmp_path_factory.mktemp("log") / "t.csv"
    lines = [f"{n},u,{nodes},{gpus},{cpus},x,y,{a},{b},{c},0,0,0" for n, nodes, gpus, cpus, a, b, c in rows]
    path.write_text("\n".join([HEADER, *lines, ""]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "BATCH_BYTES", size)
        patch.setattr(joblogs, "PORTION", portion)
        trace = READER.read(path, Options(lenient=True))
    pods, bad, never = plainly(rows)
    specs = trace.specs.select("gpu_count", "cpu_milli").rows()
    found = [
        (name, arrival, ran, end, *specs[spec])
        for name, arrival, ran, end, spec in trace.pods.select(
            "name", "arrival_us", "duration_us", "end_us", "spec"
        ).iter_rows()
    ]
    assert found == pods
    assert sum(trace.dropped.values()) == bad
    assert f": {len(rows) - bad:,} jobs, of which {never:,} never started" in trace.notes[1]
    assert f"the others are {len(pods):,} pods" in trace.notes[1]
