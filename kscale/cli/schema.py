"""``kscale schema``: the columns of the state and of the outputs, printed from their declarations."""

from __future__ import annotations

import polars as pl

from kscale.cli.options import Flag, Output
from kscale.cli.tables import show
from kscale.engine.outputs import LIVING_OUTPUTS, OUTPUTS


def schema(*, outputs: Flag = False, output: Output = "table") -> None:
    """Show every column with its type, unit and meaning.

    Without options, the columns of the simulated state, plug-ins' own included. With ``--outputs``, the data
    dictionary of a run folder; ``*`` in a name stands for a resource.

    Parameters
    ----------
    outputs
        The tables of a run folder instead of the state.
    output
        Form of the output.
    """
    show(_outputs() if outputs else _state(), output)


def _outputs() -> dict[str, pl.DataFrame]:
    return {
        f"{table}.parquet": pl.DataFrame(
            [{"column": o.name, "type": _type(o.dtype), "unit": o.unit or None, "meaning": o.doc} for o in columns],
            schema={"column": pl.String, "type": pl.String, "unit": pl.String, "meaning": pl.String},
        )
        for table, columns in (OUTPUTS | LIVING_OUTPUTS).items()
    }


def _type(dtype: object) -> str:
    return "Enum" if isinstance(dtype, pl.Enum) else str(dtype() if isinstance(dtype, type) else dtype)


def _state() -> dict[str, pl.DataFrame]:
    from kscale import living
    from kscale.scheduler import plugins
    from kscale.state.schema import load

    return {
        name: pl.DataFrame(
            [
                {
                    "column": f"{name}_{c.name}",
                    "type": c.dtype,
                    "shape": " x ".join(c.dims) or name,
                    "unit": c.unit or None,
                    "manifest": c.path,
                    "meaning": c.doc,
                }
                for c in table.columns.values()
            ],
            schema=dict.fromkeys(("column", "type", "shape", "unit", "manifest", "meaning"), pl.String),
        )
        for name, table in load([*plugins.columns(), *living.columns()]).items()
    }
