"""kscale against decisions recorded from the real kube-scheduler: node, status, and why a pod fits nowhere."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.golden.recordings import FAMILIES, FILE, Expected, NotModelled, play, recordings

#: Family: recordings, pods compared, those of them that fit nowhere, those with the reasons compared as well.
KEPT = {
    "fit_cpu_mem": (8, 650, 74, 74),
    "taints": (8, 670, 10, 10),
    "node_selector_affinity": (8, 670, 148, 112),
    "unschedulable": (4, 350, 11, 11),
    "node_name": (4, 350, 116, 68),
    "dense_fill": (2, 700, 0, 0),
}
ALL = {
    "fit_cpu_mem": (24, 1854, 216, 216),
    "taints": (24, 1920, 39, 39),
    "node_selector_affinity": (24, 1920, 386, 310),
    "unschedulable": (12, 960, 26, 26),
    "node_name": (12, 960, 268, 149),
    "dense_fill": (4, 1350, 0, 0),
}


def compared(found: Iterable[dict[str, Any]]) -> tuple[int, int, int, int]:
    """Compare the recordings that are modelled, and count as in the tables above."""
    count, pods = 0, list[Expected]()
    for recording in found:
        try:
            expected, result = play(recording)
        except NotModelled:
            continue
        for one, other in zip(expected, result, strict=True):
            assert other == one, recording["scenario"]["name"]
        count += 1
        pods += expected
    refused = [pod for pod in pods if pod.status == "refused"]
    return count, len(pods), len(refused), sum(pod.reason is not None for pod in refused)


@pytest.mark.parametrize("family", FAMILIES)
def test_recordings_kept_here(family: str) -> None:
    with gzip.open(FILE) as stream:
        kept = json.load(stream)
    assert len(kept) == sum(numbers[0] for numbers in KEPT.values())
    assert compared(each for each in kept if each["scenario"]["name"].startswith(f"{family}/")) == KEPT[family]


@pytest.mark.data
@pytest.mark.parametrize("family", FAMILIES)
def test_all_recordings(family: str) -> None:
    if "KSCALE_DATA" not in os.environ:
        pytest.skip("KSCALE_DATA does not name the folder that holds golden/")
    assert compared(recordings(Path(os.environ["KSCALE_DATA"]), family)) == ALL[family]
