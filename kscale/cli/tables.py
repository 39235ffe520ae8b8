"""Tables on standard output, in the form that ``-o`` asks for."""

from __future__ import annotations

import json
import math
import sys

import polars as pl
from rich.table import Table
from rich.text import Text

from kscale.cli.options import Form
from kscale.cli.terminal import console
from kscale.errors import one_line


def show(tables: dict[str, pl.DataFrame], form: Form) -> None:
    """Print tables by title; ``wide`` does not cut cells to the terminal."""
    if form == "json":
        sys.stdout.write(
            json.dumps({title: _rows(frame) for title, frame in tables.items()}, indent=2, default=str) + "\n"
        )
    elif form == "yaml":
        sys.stdout.write("".join(_yaml(title, frame) for title, frame in tables.items()))
    elif form == "csv":
        sys.stdout.write("\n".join(frame.write_csv() for frame in tables.values()))
    elif form == "markdown":
        sys.stdout.write("\n".join(_markdown(title, frame) for title, frame in tables.items()))
    else:
        for title, frame in tables.items():
            _table(title, frame, wide=form == "wide")


def _rows(frame: pl.DataFrame) -> list[dict[str, object]]:
    """Return rows whose numbers JSON has: what is not finite becomes null."""
    return [
        {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        for row in frame.iter_rows(named=True)
    ]


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return one_line(str(value), 400)


def _table(title: str, frame: pl.DataFrame, *, wide: bool) -> None:
    table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name, dtype in frame.schema.items():
        table.add_column(Text(name), justify="right" if dtype.is_numeric() else "left", no_wrap=wide, overflow="fold")
    for row in frame.iter_rows():
        table.add_row(*(Text(_cell(value)) for value in row))
    out = console()
    out.print(table, width=max(out.width, 400) if wide else None)
    out.print()


def _markdown(title: str, frame: pl.DataFrame) -> str:
    def row(cells: list[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"

    head = row(frame.columns) + row(["---:" if d.is_numeric() else "---" for d in frame.dtypes])
    return f"### {title}\n\n{head}{''.join(row([_cell(v) for v in r]) for r in frame.iter_rows())}"


def _yaml(title: str, frame: pl.DataFrame) -> str:
    # JSON scalars are YAML scalars: quoting is json's.
    lines = [f"{json.dumps(title)}:\n"] if frame.height else [f"{json.dumps(title)}: []\n"]
    for row in _rows(frame):
        lines += [
            f"  {'-' if index == 0 else ' '} {json.dumps(key)}: {json.dumps(value, default=str)}\n"
            for index, (key, value) in enumerate(row.items())
        ]
    return "".join(lines)
