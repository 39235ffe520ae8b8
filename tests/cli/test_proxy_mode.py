"""The options for kube-proxies in a run: wrong ones are told in one line, and what they give stands in the folder."""

from __future__ import annotations

import json

import polars as pl
import pytest

SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"},
           "spec": {"selector": {"app": "a"}, "ports": [{"port": 80}]}}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--proxy-mode", "nftable"], "field '--proxy-mode': there is no 'nftable'; did you mean 'nftables'?"),
        (["--proxy-option", "backend"], "field '--proxy-option': cannot be 'backend'; expected NAME=CHOICE"),
        (["--proxy-option", "backend=nf"], "field 'backend': there is no 'nf'; did you mean 'nft'?"),
        (["--proxy-option", "cache=warm", "--proxy-option", "cache=cold"], "states cache twice"),
        (["--proxy-mode", "ipvs", "--proxy-option", "backend=nft"], "the mode ipvs has no option 'backend'"),
        (["--proxy-mode", "none", "--proxy-option", "backend=nft"], "says nothing without kube-proxies"),
        (["--proxy-parameters", "none.json"], "none.json: does not exist; expected a file of parameters"),
    ],
)
def test_wrong_options_are_one_line(cli, tmp_path, words, said):
    (tmp_path / "a.json").write_text(json.dumps(SERVICE))
    done = cli("replay", "-f", "a.json", *words, "--nodes", "4cpu,8Gi:1", "--out", "made/run")
    assert done.code == 2
    assert said in done.line and "xpected" in done.line
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_they_say_nothing_without_services(cli, tmp_path):
    (tmp_path / "pods.csv").write_text("name,cpu\na,1\n")
    done = cli("replay", "pods.csv", "--proxy-mode", "ipvs", "--nodes", "4cpu,8Gi:1", "--out", "run")
    assert done.code == 2
    assert "--proxy-mode says nothing without -f or --scenario" in done.line


def test_the_mode_and_its_numbers_hold(cli, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(SERVICE))
    (tmp_path / "slow.json").write_text('{"nftables_partial_s": 2.5}')
    words = ["--proxy-mode", "nftables", "--proxy-option", "list=none", "--proxy-parameters", "slow.json"]
    done = cli("replay", "-f", "a.json", *words, "--nodes", "4cpu,8Gi:2", "--out", "run", "--until", "1m")
    assert done.code == 0, done.err
    changes = pl.read_parquet(tmp_path / "run" / "network_changes.parquet")
    # The Service and its empty slice are written at once, and go into one sync.
    assert changes.height == 2 and changes["p50_us"].min() > 2_500_000
    told = json.loads((tmp_path / "run" / "run.json").read_text())
    assert {one["role"] for one in told["inputs"]} == {"objects", "proxy_parameters"}
    assert "--proxy-mode nftables --proxy-option list=none --proxy-parameters slow.json" in told["command"]


@pytest.mark.parametrize("mode", ["ipvs", "nftables"])
def test_who_asks_for_a_mode_that_ends_is_told(cli, tmp_path, mode):
    (tmp_path / "a.json").write_text(json.dumps(SERVICE))
    done = cli("replay", "-f", "a.json", "--proxy-mode", mode, "--nodes", "4cpu,8Gi:2", "--out", "run", "--until", "1m")
    assert done.code == 0, done.err
    notes = json.loads((tmp_path / "run" / "run.json").read_text())["notes"]
    about = [note for note in notes if note.startswith(f"Kubernetes' mode {mode}: deprecated since 1.35")]
    assert len(about) == (mode == "ipvs")
    assert all(note in done.err for note in about)
