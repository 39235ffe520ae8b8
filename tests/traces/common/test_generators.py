import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from kscale.errors import InputError
from kscale.traces import PODS, SPECS
from kscale.traces.common.generators import GENERATORS, generate
from tests.traces.holding import assert_round_trip


def made(name, nodes=100, pods=None, seed=1):
    return generate(name, np.random.default_rng(seed), nodes=nodes, pods=pods)


@pytest.mark.parametrize("name", GENERATORS)
def test_what_every_generator_gives(name, tmp_path):
    trace = made(name, nodes=12)
    assert dict(trace.pods.schema) == PODS
    assert dict(trace.specs.schema) == SPECS
    assert trace.nodes is not None and trace.nodes.height == 12
    assert trace.pods.select("namespace", "name").n_unique() == trace.pods.height
    assert trace.pods["arrival_us"].is_sorted()
    assert trace.specs["cpu_milli"].null_count() == trace.specs["memory_bytes"].null_count() == 0
    assert_frame_equal(made(name, nodes=12).pods, trace.pods)
    assert_round_trip(trace, tmp_path)


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("pods", [0, 1, 997])
def test_so_many_pods(name, pods):
    found = made(name, nodes=1, pods=pods).pods
    beyond = 500 if name == "clusterloader2-density" else 0
    alive = found.filter(pl.col("end_us").is_null()).height
    assert pods - 10 <= alive - beyond <= pods or name in ("clusterloader2-load", "clusterloader2-density")
    assert alive <= pods


def test_what_is_out_of_range():
    with pytest.raises(InputError, match="field '--nodes': 0 is out of range; expected 1 to 10,000,000"):
        made("clusterloader2-load", nodes=0)
    with pytest.raises(InputError, match="field '--pods': -1 is out of range"):
        made("clusterloader2-load", pods=-1)


def test_load_has_the_published_groups():
    trace = made("clusterloader2-load", nodes=200)
    assert trace.pods.height == 6000
    assert trace.pods["namespace"].n_unique() == 2
    owners = trace.pods.filter(pl.col("namespace") == "load-1").group_by("owner").agg(pl.len(), pl.col("arrival_us"))
    sizes = owners.with_columns(kind=pl.col("owner").str.replace(r"-\d+$", "")).group_by("kind").agg(
        pl.len().alias("owners"), pl.col("len").sum(), pl.col("len").first().alias("size")
    )  # fmt: skip
    # 3000 pods of a namespace: a quarter in 3 groups of 250, a quarter in 25 of 30, half in 300 of 5.
    assert {kind: (owners, size) for kind, owners, _, size in sizes.rows()} == {
        "big-deployment": (2, 250), "big-job": (1, 250),
        "medium-deployment": (23, 30), "medium-job": (1, 30), "medium-statefulset": (1, 30),
        "small-deployment": (298, 5), "small-job": (1, 5), "small-statefulset": (1, 5),
    }  # fmt: skip
    assert owners["arrival_us"].list.n_unique().max() == 1
    assert trace.specs.select("cpu_milli", "memory_bytes").rows() == [(5, 20_000_000)]
    assert trace.pods["arrival_us"].max() <= 600 * 10**6  # 10 a second
    assert trace.pods["arrival_us"].median() == pytest.approx(300e6, rel=0.2)
    assert trace.pods["duration_us"].null_count() == 6000


def test_density_saturates_and_then_measures():
    trace = made("clusterloader2-density", nodes=200)
    saturation = trace.pods.filter(pl.col("owner") == "saturation-deployment-0")
    latency = trace.pods.filter(pl.col("owner") != "saturation-deployment-0")
    assert saturation.height == 6000 and latency.height == 500
    assert saturation["arrival_us"].diff().drop_nulls().unique().to_list() == [50_000]
    assert saturation.group_by("namespace").len()["len"].to_list() == [3000, 3000]
    assert latency["arrival_us"].min() == 300 * 10**6
    assert latency["arrival_us"].diff().drop_nulls().unique().to_list() == [200_000]
    # They go when all of them are there, in the same order and at the same rate.
    assert latency["end_us"].min() == latency["arrival_us"].max() + 200_000
    assert trace.specs.select("cpu_milli", "memory_bytes").rows() == [(1, 10_000_000), (100, 350_000_000)]
    assert made("clusterloader2-density", nodes=1000).pods.height == 31_000


def test_throughput_is_bare_pods():
    trace = made("clusterloader2-scheduler-throughput")
    assert trace.pods.height == 5000
    assert trace.pods["owner"].null_count() == 5000
    assert trace.pods["arrival_us"].max() == 4999 * 2000


def test_node_density_fills_nodes():
    trace = made("kube-burner-node-density", nodes=4)
    assert trace.pods.height == 980
    assert trace.nodes is not None and trace.nodes["pods"].to_list() == [250] * 4
    assert trace.pods["arrival_us"].diff().drop_nulls().unique().to_list() == [50_000]
    assert trace.specs.select("cpu_milli", "memory_bytes", "tolerations").rows() == [
        (10, 10 << 20, "os=Windows:NoSchedule")
    ]


@pytest.mark.parametrize(
    ("name", "objects", "first", "each"),
    [("kube-burner-cluster-density-ms", 38, 34, 4), ("kube-burner-cluster-density-v2", 37, 2, 5)],
)
def test_cluster_density_is_made_and_churns(name, objects, first, each):
    trace = made(name, nodes=10)
    made_us = 90 * objects * 50_000
    begun = trace.pods.filter(pl.col("arrival_us") < made_us)
    assert begun.height == 90 * 2 * each
    place = begun.group_by("namespace", maintain_order=True).agg(pl.col("arrival_us").unique(maintain_order=True))
    for number, times in enumerate(place["arrival_us"].to_list()):
        assert times == [(number * objects + first + i) * 50_000 for i in range(each)]
    # From then on, 9 of 90 namespaces are replaced at a time, for an hour.
    ends = trace.pods["end_us"].drop_nulls().unique().sort().to_list()
    assert ends[0] == made_us
    assert set(np.diff(ends)) == {9 * objects * 50_000 + 120 * 10**6}
    assert made_us + 3300 * 10**6 < ends[-1] < made_us + 3600 * 10**6
    assert trace.pods.group_by("end_us").len().filter(pl.col("end_us").is_not_null())["len"].unique().to_list() == [
        9 * 2 * each
    ]
    # Each pod that goes is replaced: as many are alive at the end as were made.
    assert trace.pods["end_us"].null_count() == 90 * 2 * each
    assert (trace.pods["duration_us"].drop_nulls() > 0).all()


def test_seeds_differ_where_something_is_drawn():
    for name in ("clusterloader2-load", "kube-burner-cluster-density-v2"):
        assert not made(name, seed=1).pods.equals(made(name, seed=2).pods)
