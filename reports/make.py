"""Makes the example report anew: ``python -m reports.make``."""

import contextlib
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from kscale.cli.demo import plan
from kscale.replay import replay

ROOT = Path(__file__).parent.parent
#: What is kept of the run folder: the report, its figures and run.json. The tables are left out for their size.
KEPT = ("report.html", "report.md", "run.json", "figures")


def main() -> None:
    """Replay the bundled trace and keep its report under reports/day; its command names paths of the checkout only."""
    target = ROOT / "reports" / "day"
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("traces").symlink_to(ROOT / "traces")
        out = Path("day")
        replay(replace(plan(out), trace=Path("traces/day.parquet"), nodes="traces/day-nodes.parquet"))
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        for name in KEPT:
            source = out / name
            if source.is_dir():
                shutil.copytree(source, target / name)
            else:
                shutil.copy(source, target / name)


if __name__ == "__main__":
    main()
