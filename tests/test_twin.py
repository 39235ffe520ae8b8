"""The twin of kube-scheduler against decisions recorded from the real one: every field of a selection."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.twin.compare import FAMILIES, compared, files, read

EACH = 3


@pytest.mark.data
@pytest.mark.parametrize("family", FAMILIES)
def test_recordings(family: str) -> None:
    if "KSCALE_DATA" not in os.environ:
        pytest.skip("KSCALE_DATA does not name the folder that holds golden/")
    found = files(Path(os.environ["KSCALE_DATA"]), family)
    for path in random.Random(family).sample(found, min(EACH, len(found))):
        for expected, result in compared(read(path)):
            assert result == expected, (path.name, expected["pod"])
