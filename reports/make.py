"""Makes the example report anew: ``python -m reports.make``."""

import shutil
import tempfile
from pathlib import Path

from kscale.cli.demo import plan
from kscale.replay import replay

#: What is kept of the run folder: the report, its figures and run.json. The tables are left out for their size.
KEPT = ("report.html", "report.md", "run.json", "figures")


def main() -> None:
    """Replay the bundled trace and keep its report under reports/day."""
    target = Path(__file__).parent / "day"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "day"
        replay(plan(out))
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
