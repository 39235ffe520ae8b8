"""The rules for iptables-restore: as many as the model counts, and what a Service's chains say."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.network import proxies
from kscale.network.measuring.backends import iptables
from kscale.network.measuring.layout import Load
from kscale.network.ports import Ports


def counted(text: str) -> dict[str, tuple[int, int]]:
    """Rules and chains by table."""
    found, table = {}, ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:]
            found[table] = [0, 0]
        elif line.startswith(("-A", ":")):
            found[table][line[0] == ":"] += 1
    return {name: (rules, chains) for name, (rules, chains) in found.items()}


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 60), st.integers(1, 25))
def test_there_are_as_many_rules_and_chains_as_the_model_counts(services: int, endpoints: int) -> None:
    case = proxies.case(proxies.found()["iptables"], Ports.uniform(services, endpoints))
    made = case.mode.structure(case)
    (command,) = iptables.LEGACY.full(Load(services, endpoints))
    found = counted(command.text)
    assert found == {name: (made.rules[name], made.chains[name]) for name in ("filter", "nat")}
    assert command.text.count("-A KUBE-SERVICES ") == made.lists["nat KUBE-SERVICES"] + 1


def test_a_change_has_the_whole_list_and_the_chains_of_one() -> None:
    assert iptables.NFT.change is not None
    (command,) = iptables.NFT.change(Load(20, 3), 4)
    assert counted(command.text)["nat"] == (5 + 20 + 1 + 3 * 3, 4 + 1 + 3)
    assert command.words[0] == "iptables-nft-restore"


def test_endpoints_are_equally_likely_and_comments_go_when_there_are_many() -> None:
    service = Load(2, 4).service(0)
    rules = list(iptables.own(service, large=False))
    chances = [float(r.split("--probability ")[1].split()[0]) for r in rules if "--probability" in r]
    left, each = 1.0, []
    for chance in [*chances, 1.0]:
        each.append(left * chance)
        left *= 1 - chance
    assert each == pytest.approx([0.25] * 4)
    assert all("--comment" in rule for rule in rules)
    large = list(iptables.own(service, large=True))
    assert [rule for rule in large if "--comment" in rule] == large[:1] and len(large) == len(rules)
    assert Load(501, 2).large and not Load(500, 2).large
