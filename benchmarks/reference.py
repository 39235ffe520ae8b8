"""The reference that a workload's time is told as a ratio to, measured in turn with it.

So a slow or busy machine slows both. It is the kernel of ``kscale.reference``.
"""

from __future__ import annotations

import time

from kscale import reference

SCANS = 290


def reference_seconds(scans: int = SCANS) -> float:
    """Run the reference kernel once and return its processor seconds."""
    began = time.process_time()
    reference.scan(scans)
    return time.process_time() - began
