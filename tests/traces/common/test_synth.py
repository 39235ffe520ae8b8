import hashlib

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from kscale.errors import InputError
from kscale.traces import PODS, SPECS
from kscale.traces.common import synth as making
from kscale.traces.common.digest import gather
from kscale.traces.common.info import load
from kscale.traces.common.opening import bundled, open_trace, read_nodes
from kscale.traces.common.presets import PRESETS
from kscale.traces.common.specs import portions_of
from kscale.traces.common.synth import synth, synth_nodes


def _made(preset, seed=1, **options):
    return synth(preset, np.random.default_rng(seed), **options)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_same_seed_gives_the_same_bits(preset):
    first, second, other = (_made(preset, seed, pods=3000) for seed in (1, 1, 2))
    assert_frame_equal(first.pods, second.pods)
    assert_frame_equal(first.specs, second.specs)
    assert_frame_equal(first.nodes, second.nodes)
    assert not first.pods.equals(other.pods)


#: Of the pods and specs as CSV: recorded when the whole trace was still made at once (days: with it).
DIGESTS = {
    "borg": "12cd4f2a305d9e36",
    "alibaba": "380706fc8ab11c0e",
    "openb": "268ccdce74a9146a",
    "uniform": "8b86feef52e5e022",
    "days": "ef27bef64e114cbc",
}


@pytest.mark.parametrize("batch", [7, 1999, 1 << 19])
@pytest.mark.parametrize("preset", PRESETS)
def test_batches_change_no_bit_of_what_a_seed_gives(preset, batch, monkeypatch):
    monkeypatch.setattr(making, "_BATCH", batch)
    made = _made(preset, 5, pods=2000, nodes=20, load=0.05)
    text = made.pods.write_csv() + made.specs.write_csv()
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == DIGESTS[preset]


@pytest.mark.parametrize("preset", PRESETS)
def test_what_a_workload_is_like(preset):
    trace = _made(preset, pods=5000, nodes=30, days=2, specs=40)
    assert dict(trace.pods.schema) == PODS
    assert dict(trace.specs.schema) == SPECS
    assert trace.pods.height == 5000
    assert trace.pods["name"].n_unique() == 5000
    assert trace.pods["arrival_us"].is_sorted()
    assert 0 <= trace.pods["arrival_us"].min() <= trace.pods["arrival_us"].max() <= 2 * 86_400 * 10**6
    assert (trace.pods["duration_us"] > 0).all()
    assert trace.nodes.height == 30
    assert trace.specs.height <= 60
    assert trace.specs.n_unique() == trace.specs.height
    first = trace.pods.group_by("spec", maintain_order=True).first()["spec"]
    assert first.to_list() == list(range(trace.specs.height))


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("pods", [0, 1, 2])
def test_small_workloads(preset, pods):
    trace = _made(preset, pods=pods, nodes=1, days=0.01)
    assert (trace.pods.height, trace.nodes.height) == (pods, 1)


def test_days_have_a_peak():
    trace = _made("openb", pods=50_000, days=10)
    hours = np.bincount(trace.pods["arrival_us"].to_numpy() // (3600 * 10**6) % 24, minlength=24)
    assert hours.max() / hours.min() == pytest.approx(4, rel=0.15)
    assert abs(int(hours.argmax()) - 15) <= 2
    flat = _made("uniform", pods=50_000, days=10)
    hours = np.bincount(flat.pods["arrival_us"].to_numpy() // (3600 * 10**6) % 24, minlength=24)
    assert hours.max() / hours.min() < 1.2


def test_openb_has_the_published_shares():
    trace = _made("openb", pods=50_000)
    pods = trace.pods.join(trace.specs.with_row_index("spec"), on="spec")
    shares = [
        (pods["gpu_count"] == 0).mean(),
        ((pods["gpu_count"] == 1) & (pods["gpu_milli"] < 1000)).mean(),
        ((pods["gpu_count"] == 1) & (pods["gpu_milli"] == 1000)).mean(),
    ]
    assert shares == pytest.approx([0.133, 0.378, 0.480], abs=0.01)
    assert pods["duration_us"].quantile(0.5) == pytest.approx(540e6, rel=0.05)
    assert pods["duration_us"].quantile(0.9) == pytest.approx(6573e6, rel=0.1)
    assert pods["owner"].null_count() == 50_000


def test_alibaba_has_the_published_tasks():
    trace = _made("alibaba", pods=300_000, days=7)
    sizes = trace.pods.group_by("owner").len()["len"]
    assert sizes.median() in (1, 2)
    assert sizes.quantile(0.75) == pytest.approx(29, rel=0.2)
    assert sizes.quantile(0.9) == pytest.approx(158, rel=0.2)
    assert sizes.quantile(0.99) == pytest.approx(998, rel=0.4)
    assert trace.pods.group_by("owner").agg(pl.col("arrival_us").n_unique())["arrival_us"].max() == 1


def test_borg_has_tiers_and_heavy_tails():
    trace = _made("borg", pods=200_000, days=7)
    assert set(trace.specs["priority"]) == {25, 103, 117, 200}
    work = (trace.pods["duration_us"] / 1e6 * 1.0).to_numpy()
    jobs = trace.pods.group_by("owner").agg(pl.col("duration_us").sum())["duration_us"].sort(descending=True)
    assert jobs[: jobs.len() // 100].sum() / jobs.sum() > 0.6
    assert np.quantile(work, 0.5) < work.mean() / 5


def test_load_is_met_by_the_scarcest_resource():
    trace = _made("openb", pods=4000, nodes=40, load=0.6)
    assert load(gather(portions_of(trace)), trace.nodes)["mean_share"].max() == pytest.approx(0.6, abs=0.02)
    assert "durations" in trace.notes[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nodes": 0}, "field '--nodes': 0 is out of range"),
        ({"pods": -1}, "field '--pods': -1 is out of range"),
        ({"pods": 10**9}, "field '--pods': 1000000000 is out of range"),
        ({"days": 0}, "field '--days': 0 is out of range"),
        ({"days": float("nan")}, "field '--days': nan is out of range"),
        ({"specs": 0}, "field '--specs': 0 is out of range"),
        ({"load": -1}, "field '--load': -1 is out of range"),
        ({"pods": 2, "load": 5}, "field '--load': 5 cannot be reached with 2 pods"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        _made("uniform", **options)


def test_unknown_presets():
    with pytest.raises(InputError, match="'brog' is not a preset; did you mean 'borg'"):
        _made("brog")


def test_nodes_keep_their_proportions():
    nodes = synth_nodes(PRESETS["openb"], 1523)
    assert nodes.height == 1523
    assert nodes.filter(pl.col("gpu_model") == "G2").height == pytest.approx(549, abs=20)
    assert nodes["name"].n_unique() == 1523
    assert nodes["labels"][0] == "gpu-model=G2,topology.kubernetes.io/zone=zone-0"


def test_the_recipe_gives_the_bundled_trace():
    made = synth("openb", np.random.default_rng(3), nodes=40, pods=4000, days=1, load=0.6)
    found = open_trace(bundled() / "day.parquet")
    assert_frame_equal(found.pods, made.pods)
    assert_frame_equal(found.specs, made.specs)
    assert_frame_equal(read_nodes(bundled() / "day-nodes.parquet"), made.nodes)
    text = (bundled() / "README.md").read_text()
    assert "kscale trace synth openb --nodes 40 --pods 4000 --days 1 --load 0.6 --seed 3" in text
