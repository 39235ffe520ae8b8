"""What all tests share."""

import os

import numpy as np
from hypothesis import settings

if os.environ.get("NUMBA_DISABLE_JIT") == "1":
    # Random bits are made of products that wrap, which plain numpy scalars warn of.
    np.seterr(over="ignore")

# A machine that does other things as well, or a kernel that has to be compiled, is no failure.
settings.register_profile("kscale", deadline=None)
settings.load_profile("kscale")
