"""``kscale proxy fit``: parameters of kube-proxy's modes from measurements."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from kscale.cli.options import Output, Quiet
from kscale.cli.terminal import tell
from kscale.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from kscale.network.fitting.fit import Fitted
    from kscale.network.parameters import Parameters


def fit(*files: Path, out: Path | None = None, output: Output = "table", quiet: Quiet = False) -> None:
    """Fit the parameters of kube-proxy's modes to measurements, and tell how near the model comes.

    A file is what ``kscale proxy measure`` writes, or any CSV with the columns kind (latency, load, memory), backend
    (iptables-legacy, iptables-nft, nftables, ipvs), services, endpoints, position (latency: the Service's place in the
    list from 1; 0: an address that is no Service's), value, and if need be what, cache (warm, cold), unit, weight.
    docs/proxies.md says what is fitted, and how.

    Parameters
    ----------
    files
        CSV files with measurements.
    out
        JSON or YAML file for all parameters of the model, the fitted ones replaced: for --parameters.
    output
        Form of the output.
    quiet
        No notes on standard error.
    """
    from kscale.cli.files import write
    from kscale.cli.tables import show
    from kscale.network import parameters as numbers
    from kscale.network import proxies
    from kscale.network.fitting import readings
    from kscale.network.fitting.fit import fit as do

    if not files:
        raise InputError("FILES is missing", expected="CSV files with measurements")
    if out is not None and (out.is_dir() or not out.parent.is_dir()):
        raise InputError("cannot be a file", file=out, field="--out", expected="a name in a folder that is there")
    base = proxies.parameters()
    result = do(readings.read(files), base)
    if out is not None:
        write(out, numbers.text(result.parameters, yaml=out.suffix.lower() in (".yaml", ".yml")))
    if not quiet:
        for name, why in result.left_out:
            tell(f"note: {name} is left out: {why}", stderr=True)
    show({"series": _series(result.fitted), "parameters": _parameters(result.fitted, base)}, output)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _series(fitted: tuple[Fitted, ...]) -> pl.DataFrame:
    import polars as pl

    rows = [(one.series.name, one.points, _known(one.r2), one.median, one.most) for one in fitted]
    schema = {"series": pl.String, "points": pl.Int64, "R2": pl.Float64, "median error": pl.Float64,
              "largest error": pl.Float64}  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")


def _parameters(fitted: tuple[Fitted, ...], base: Parameters) -> pl.DataFrame:
    """Return a row for each coefficient; one that is no parameter of the model has no model's value."""
    import polars as pl

    from kscale.network.fitting.readings import KEPT

    rows = []
    for one in fitted:
        unit = KEPT[one.series.kind]
        for value in one.values:
            for name in value.names or ("",):
                model = base.row(name) if name else None
                found = None if value.kept else value.value
                rows.append((one.series.name, value.about, name, found, _known(value.error),
                             model.value if model else None, model.unit if model else unit))  # fmt: skip
    schema = {"series": pl.String, "of": pl.String, "parameter": pl.String, "value": pl.Float64,
              "standard error": pl.Float64, "model": pl.Float64, "unit": pl.String}  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")
