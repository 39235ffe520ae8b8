from dataclasses import replace

import polars as pl
import pytest

from kscale.traces.common import specs
from kscale.traces.common.digest import gather
from kscale.traces.common.info import info, load, unfitting
from kscale.traces.common.opening import bundled, open_trace, read_nodes


def _trace():
    frame = pl.DataFrame(
        {
            "name": list("abcd"), "owner": ["x", "x", None, None], "arrival_us": [0, 10, 20, 40],
            "duration_us": [20, 5, None, None], "end_us": [None, None, 30, None], "cpu_milli": [1000, 2000, 4000, 0],
            "memory_bytes": [1, 1, 1, None], "gpu_count": [0, 2, 0, 0], "gpu_milli": [0, 1000, 0, 0],
            "gpu_models": [None, "T4", None, None], "resource.x/y": [None, None, None, 3],
        }
    )  # fmt: skip
    return specs.build("own", frame.with_columns(namespace=pl.lit("default")), dropped={"name: occurs twice": 2})


def _digest(trace, rows=3):
    return gather(specs.portions_of(trace, rows))


def test_load_follows_starts_and_ends():
    found = load(_digest(_trace()), read_nodes("4cpu,1Gi,4xT4"))
    cpu = found.row(by_predicate=pl.col("resource") == "cpu_milli", named=True)
    # 0-10: 1000, 10-15: 3000, 15-20: 1000, 20-30: 4000 (the first ends as the third comes), 30-40: 0.
    assert (cpu["offered"], cpu["peak"], cpu["peak_us"], cpu["peak_share"]) == (4000, 4000, 20, 1)
    assert cpu["mean"] == pytest.approx((1000 * 10 + 3000 * 5 + 1000 * 5 + 4000 * 10) / 40)
    gpu = found.row(by_predicate=pl.col("resource") == "gpu_milli", named=True)
    assert (gpu["offered"], gpu["peak"]) == (4000, 2000)
    other = found.row(by_predicate=pl.col("resource") == "resource.x/y", named=True)
    assert (other["offered"], other["peak"], other["peak_share"]) == (0, 3, None)


def test_load_without_times_is_the_sum():
    found = load(_digest(replace(_trace(), timed=False)), read_nodes("4cpu,1Gi"))
    assert found.row(by_predicate=pl.col("resource") == "cpu_milli", named=True)["peak"] == 7000
    assert found["mean"].null_count() == found.height


def test_what_fits_no_node():
    digest = _digest(_trace())
    found = unfitting(digest, read_nodes("3cpu,1Gi,2xP100"))
    assert found.select("spec", "pods").rows() == [(1, 1), (2, 1), (3, 1)]
    assert unfitting(digest, read_nodes("4cpu,1Gi,2xT4,3xx/y")).height == 0


def test_tables():
    tables = info(_digest(_trace()), read_nodes("3cpu,1Gi,2xP100"))
    assert list(tables) == [
        "Overview", "Requests", "Times", "Arrivals", "GPU requests", "Most frequent specs", "Largest pods",
        "Largest owners", "Load on the nodes", "Specs that fit no node", "Dropped rows",
    ]  # fmt: skip
    overview = dict(tables["Overview"].rows())
    assert (overview["pods"], overview["distinct specs"], overview["owners"], overview["rows dropped"]) == (4, 4, 1, 2)
    assert (overview["pods that never end"], overview["pods with a recorded end"]) == (1, 1)
    assert overview["span of arrivals (us)"] == 40
    assert tables["Arrivals"]["pods"].sum() == 4
    assert tables["Arrivals"].height <= 24
    assert tables["GPU requests"].rows() == [(2, 1000, "T4", 1)]
    assert tables["Largest owners"].rows() == [("default", "x", 2, 0)]
    requests = tables["Requests"].row(by_predicate=pl.col("what") == "cpu_milli", named=True)
    assert (requests["pods"], requests["p50"], requests["max"]) == (3, 2000, 4000)
    largest = tables["Largest pods"]
    assert largest.filter(pl.col("resource") == "cpu_milli").rows() == [
        ("cpu_milli", 4000, 1, "default/c", pytest.approx(4 / 3)),
        ("cpu_milli", 2000, 1, "default/b", pytest.approx(2 / 3)),
        ("cpu_milli", 1000, 1, "default/a", pytest.approx(1 / 3)),
    ]  # fmt: skip
    assert largest.row(by_predicate=pl.col("resource") == "resource.x/y") == ("resource.x/y", 3, 1, "default/d", None)


def test_no_pods_and_no_times():
    empty = specs.build("own", pl.DataFrame(schema={"name": pl.String}))
    assert info(_digest(empty), read_nodes("1cpu,1Gi"))["Overview"].height
    assert "Times" not in info(_digest(replace(_trace(), timed=False)))


def test_the_bundled_day_is_a_little_too_much():
    digest, nodes = _digest(open_trace(bundled() / "day.parquet")), read_nodes(bundled() / "day-nodes.parquet")
    gpu = load(digest, nodes).row(by_predicate=pl.col("resource") == "gpu_milli", named=True)
    assert 1 < gpu["peak_share"] < 1.1
    assert unfitting(digest, nodes).height == 0
    assert sum(info(digest)["Arrivals"]["pods"]) == 4000
