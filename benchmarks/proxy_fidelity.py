"""How near the model of kube-proxy's modes comes to what is known: ``python -m benchmarks.proxy_fidelity``.

Prints the Markdown table of docs/fidelity.md. ``KSCALE_DATA`` names the folder whose data/kube-proxy has the measured
series; without it, only the published ones are printed.
"""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks import proxy_measured, proxy_published
from benchmarks.proxy_series import HEADS


def main() -> None:
    """Print the table."""
    found = proxy_published.series()
    if os.environ.get("KSCALE_DATA"):
        found += proxy_measured.series(Path(os.environ["KSCALE_DATA"]) / "data" / "kube-proxy")
    lines = [HEADS, ["---", "---", "---", "---:", "---:"], *(one.row() for one in found)]
    print("\n".join(f"| {' | '.join(cells)} |" for cells in lines))


if __name__ == "__main__":
    main()
