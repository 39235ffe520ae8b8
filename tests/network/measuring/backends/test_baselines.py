"""What is below all modes: nothing, one rule that keeps connections, one more for each of two Services."""

from __future__ import annotations

import shutil

import pytest

from kscale.network.measuring.backends import baselines
from kscale.network.measuring.layout import Load

LOAD = Load(2, 1)


@pytest.mark.parametrize(("nft", "program", "rule"), [(True, "nft", "add rule"), (False, "iptables-restore", "-A ")])
def test_rules_by_the_program_that_is_there(
    monkeypatch: pytest.MonkeyPatch, nft: bool, program: str, rule: str
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name if nft else None)
    assert baselines.NONE.full(LOAD) == []
    for backend, count in ((baselines.CONNTRACK, 1), (baselines.DNAT, 3)):
        (command,) = backend.full(LOAD)
        assert command.words[0] == program and command.text.count(rule) == count
    assert all(pod in command.text for service in LOAD for pod in service.endpoints)
