"""The command line as a program of its own, whose loop runs as plain Python: ``python plain.py replay …``."""

from __future__ import annotations

import functools
import sys

import numpy as np

from kscale import __main__ as door
from kscale import replay
from kscale.simulation import Settings

if __name__ == "__main__":
    np.seterr(over="ignore")
    replay.Settings = functools.partial(Settings, compiled=False)  # type: ignore[misc]
    sys.exit(door.run(sys.argv[1:]))
