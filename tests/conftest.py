"""What all tests share."""

import os

import numpy as np

if os.environ.get("NUMBA_DISABLE_JIT") == "1":
    # Random bits are made of products that wrap, which plain numpy scalars warn of.
    np.seterr(over="ignore")
