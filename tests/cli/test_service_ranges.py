"""The options for addresses and node ports of Services: wrong ones are told in one line, and nothing is left behind."""

from __future__ import annotations

import json

import pytest

SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"},
           "spec": {"clusterIP": "10.96.0.9", "ports": [{"port": 80}]}}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-f", "a.json", "--service-cluster-ip-range", "10.0.0.0/30"], "has 4; expected 8 addresses or more"),
        (
            ["-f", "a.json", "--service-cluster-ip-range", "here"],
            "--service-cluster-ip-range': 'here' is no range",
        ),
        (["-f", "a.json", "--service-node-port-range", "9-1"], "field '--service-node-port-range': '9-1' is no range"),
        (
            ["-f", "a.json", "--service-cluster-ip-range", "10.0.0.0/24"],
            "a.json, item 1 (Service default/a), field 'spec.clusterIP': 10.96.0.9 is not in the range 10.0.0.0/24",
        ),
        (["trace.csv", "--service-node-port-range", "1-2"], "--service-node-port-range says nothing without -f"),
    ],
)
def test_wrong_ranges_are_one_line(cli, tmp_path, words, said):
    (tmp_path / "a.json").write_text(json.dumps(SERVICE))
    done = cli("replay", *words, "--nodes", "4cpu,8Gi:1", "--out", "made/run")
    assert done.code == 2
    assert said in done.line and "expected" in done.line
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
