"""Makes the example report and the figure of kube-proxy's modes anew: ``python -m reports.make``."""

import contextlib
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import polars as pl

from kscale.cli import proxy_figures
from kscale.cli.demo import plan
from kscale.network import curve, proxies
from kscale.replay import replay

ROOT = Path(__file__).parent.parent
#: What is kept of the run folder: the report, its figures and run.json. The tables are left out for their size.
KEPT = ("report.html", "report.md", "run.json", "figures")


def modes() -> None:
    """Draw docs/figures/proxy-curve.svg: the modes that are there today, as they usually are, 10 endpoints each."""
    found = [
        mode for mode in proxies.found().values() if mode.versions.status(proxies.Platform().kubernetes) != "removed"
    ]
    frame = curve.curve(curve.points(10, 100_000, 25), [10], found).filter(pl.col("variant") == pl.col("mode"))
    (ROOT / "docs" / "figures" / "proxy-curve.svg").write_text(proxy_figures.overview(frame), encoding="utf-8")


def report() -> None:
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
    modes()
    report()
