"""``kscale netpol reach`` on a dump with Calico's policies."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli
from tests.network.calico.test_tiers import everywhere, source, tier
from tests.network.policy.making import Object, policy, three

FROM_B = everywhere("from-b", 10, selector="pod == 'a'", ingress=[source("Allow", selector="pod == 'b'")])
NO_Z = everywhere("no-z", tier="kube-admin", ingress=[source("Deny", namespaceSelector="ns == 'z'")])
STAGED: Object = {"apiVersion": "projectcalico.org/v3", "kind": "StagedNetworkPolicy", "metadata": {"name": "s"}}


def write(folder: Path, *objects: Object) -> None:
    items = [*three(), policy("x", "closed"), *objects]
    (folder / "dump.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))


def reach(cli: Cli, *words: str) -> Any:
    done = cli("netpol", "reach", "-f", "dump.json", "-o", "json", *words)
    assert done.code == 0, done.err
    return json.loads(done.out), done.err


def test_a_rule_a_tier_and_a_policy_of_kubernetes_decide(cli: Cli, tmp_path: Path) -> None:
    write(tmp_path, FROM_B, NO_Z, STAGED)
    found, told = reach(cli, "--from", "y/b", "--to", "x/a")
    assert found["reaches"] and found["ingress"]["allowed_by"] == ["from-b ingress[0]"]
    assert "Calico's policies decide with NetworkPolicies" in told
    assert "left out: 1 of kind StagedNetworkPolicy" in told
    assert "not looked at" not in told
    found, _ = reach(cli, "--from", "z/b", "--to", "x/a")
    assert not found["reaches"]
    assert found["ingress"]["denied_by"] == "no-z ingress[0]"
    assert found["why"] == "ingress of x/a: denied by no-z ingress[0]"
    found, _ = reach(cli, "--from", "y/c", "--to", "x/a")
    assert found["ingress"]["denied_by"] == "the end of tier default"
    assert found["ingress"]["isolated_by"] == ["no-z", "from-b", "x/knp.default.closed"]
    found, _ = reach(cli, "--from", "y/c", "--to", "y/a")
    assert not found["reaches"]
    found, _ = reach(cli, "--from", "x/a", "--to", "y/c")
    assert found["ingress"]["allowed_by"] == ["its profiles"]
    table = cli("netpol", "reach", "-f", "dump.json", "--from", "z/b", "--to", "x/a").out
    assert "denied by: no-z ingress[0]" in table


def test_pairs_by_tiers(cli: Cli, tmp_path: Path) -> None:
    write(tmp_path, NO_Z)
    found, _ = reach(cli)
    reached = Counter((row["from"][0], row["to"][0]) for row in found["pairs"] if row["reaches"])
    # z reaches nobody, not even its own; x is closed by Kubernetes.
    assert reached == {("x", "y"): 9, ("y", "y"): 6, ("x", "z"): 9, ("y", "z"): 9}
    assert len(found["pairs"]) == 72


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (everywhere("p", selector="pod = 'a'"), "spec.selector"),
        (tier("t", defaultAction="Log"), "spec.defaultAction"),
    ],
)
def test_wrong_objects_are_told_in_one_line(cli: Cli, tmp_path: Path, wrong: Object, said: str) -> None:
    write(tmp_path, wrong)
    done = cli("netpol", "reach", "-f", "dump.json")
    assert done.code == 2 and not done.out
    assert said in done.err and "Traceback" not in done.err
