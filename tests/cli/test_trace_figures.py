"""Figures of ``kscale trace info --out``."""

import re

import polars as pl
import pytest

from kscale.cli.trace_figures import figures
from kscale.traces import Rest
from kscale.traces.common.digest import gather
from kscale.traces.common.opening import read_nodes


def _digest(**columns):
    def portions():
        yield pl.DataFrame({"name": ["a", "b", "c"], "namespace": "n", **columns})
        return Rest(timed="arrival_us" in columns)

    return gather(portions())


TIMES = {"arrival_us": [0, 60_000_000, 3_600_000_000], "duration_us": [0, 10_000_000, None]}
ALL = TIMES | {"cpu_milli": [100, 2000, 64_000], "memory_bytes": [1 << 20, 1 << 30, 1 << 40], "gpu_count": [0, 0, 2],
               "gpu_milli": [0, 0, 1000], "resource.x/nic": [0, 1, 3]}  # fmt: skip


def _words(svg):
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_every_figure_names_what_it_shows_with_its_unit():
    found = figures(_digest(**ALL), read_nodes("96cpu,2Ti,8xT4:2"))
    assert list(found) == ["arrivals", "requests", "durations", "load"]
    said = {name: _words(svg) for name, svg in found.items()}
    assert "Arrivals: 3 pods over 1h" in said["arrivals"]
    assert {"Pods that arrive", "Cores asked for that arrive", "GPUs asked for that arrive"} < set(said["arrivals"])
    assert said["arrivals"].count("time since the start of the trace") == 3
    requests = set(said["requests"])
    assert {"CPU", "Memory", "GPU", "X/nic", "cores a pod", "bytes a pod"} < requests
    assert "GPUs a pod, of the 1 pod that ask for some" in requests
    assert "half ask for at most 1Gi, 99 % for 1Ti" in requests
    assert {"half at most 0s, 99 % at most 0s", "from start to end"} < set(said["durations"])
    assert "Load on 2 nodes if no pod waited" in said["load"]
    assert any(word.startswith("peak ") and word.endswith(" of 192 cores") for word in said["load"])


def test_figures_are_the_same_again_and_stand_alone():
    first, again = (figures(_digest(**ALL), read_nodes("96cpu,2Ti:2")) for _ in range(2))
    assert first == again
    assert all(svg.startswith("<?xml") and svg.rstrip().endswith("</svg>") for svg in first.values())


@pytest.mark.parametrize(
    ("columns", "nodes", "names"),
    [
        (TIMES, None, ["arrivals", "durations"]),
        (TIMES | {"cpu_milli": [1, 1, 1]}, None, ["arrivals", "requests", "durations"]),
        ({"cpu_milli": [1, 1, 1]}, "1cpu,1Gi", ["requests"]),
        ({"arrival_us": [7, 7, 7], "cpu_milli": [1, 1, 1]}, "1cpu,1Gi", ["arrivals", "requests", "load"]),
        ({}, "1cpu,1Gi", []),
    ],
)
def test_only_what_there_is_something_of_is_drawn(columns, nodes, names):
    assert list(figures(_digest(**columns), None if nodes is None else read_nodes(nodes))) == names
