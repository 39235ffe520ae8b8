"""Tables on standard output, in the form that ``-o`` asks for."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable

import polars as pl
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from kscale.cli.options import Form
from kscale.cli.terminal import console, tell
from kscale.errors import one_line
from kscale.report.text import escape_markdown
from kscale.state.quantities import format_duration, format_quantity

#: Widths in a terminal: texts are folded at this one where room is short; a first column up to that one never is.
_TEXT, _NAME, _GAP = 12, 40, 2
#: Longest text that is printed.
_LONGEST = 1 << 20


def show(tables: dict[str, pl.DataFrame], form: Form) -> None:
    """Print tables by title; ``table`` leaves out columns that the terminal has no room for, ``wide`` none."""
    if form == "json":
        sys.stdout.write(
            json.dumps({title: _rows(frame) for title, frame in tables.items()}, indent=2, default=str) + "\n"
        )
    elif form == "yaml":
        sys.stdout.write("".join(_yaml(title, frame) for title, frame in tables.items()))
    elif form == "csv":
        sys.stdout.write("\n".join(_visible(frame).write_csv() for frame in tables.values()))
    elif form == "markdown":
        sys.stdout.write("\n".join(_markdown(title, _visible(frame)) for title, frame in tables.items()))
    else:
        for title, frame in tables.items():
            _table(title, _visible(frame), wide=form == "wide")


def markdown(title: str, frame: pl.DataFrame) -> str:
    """Return a table as Markdown for a page among others', where nothing in a name may be a mark."""
    return _markdown(title, _visible(frame), escape_markdown)


def _visible(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame with control characters made visible, in its names too; JSON and YAML have escapes."""
    texts = [
        pl.Series(texts.name, [None if v is None else one_line(v, _LONGEST) for v in texts], dtype=pl.String)
        for texts in frame.select(pl.col(pl.String))
    ]
    return frame.with_columns(texts).rename({name: one_line(name, _LONGEST) for name in frame.columns})


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


#: How amounts are written for people, by the unit that ends a name, and what the name is without it.
_UNITS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("_us", "", format_duration),
    (" (us)", "", format_duration),
    ("_bytes", "", format_quantity),
    ("cpu_milli", "cpu", lambda value: format_quantity(value, "cpu")),
    ("share", "share", lambda value: f"{100 * value:.3g} %"),
)


def _unit(name: str) -> tuple[str, Callable[[float], str] | None]:
    """Return a name without its unit, and how its amounts are written; None where it has none."""
    for ending, instead, write in _UNITS:
        if name.endswith(ending):
            return (name.removesuffix(ending) + instead).replace("_", " "), write
    return name.replace("_", " "), None


def _written(frame: pl.DataFrame) -> list[list[str]]:
    """Return the rows as people read them; a unit stands in a column's name, or in the row's first cell."""
    units = [_unit(name)[1] for name in frame.columns]
    by_row = [name == "value" or dtype.is_float() for name, dtype in frame.schema.items()]
    rows = []
    for row in frame.iter_rows():
        label, of_row = _unit(row[0]) if isinstance(row[0], str) and any(by_row) else ("", None)
        writes = [unit or (of_row if mine else None) for unit, mine in zip(units, by_row, strict=True)]
        cells = [_amount(value, write) for value, write in zip(row, writes, strict=True)]
        rows.append([label, *cells[1:]] if of_row else cells)
    return rows


def _amount(value: object, write: Callable[[float], str] | None) -> str:
    if write is not None and isinstance(value, int | float) and math.isfinite(value):
        return write(value)
    return _cell(value)


def _heads(names: list[str]) -> list[str]:
    """Return the names of columns without their units; a time beside an amount of the same name says so."""
    short = [_unit(name)[0] for name in names]
    return [f"{head} at" if head in short[:index] else head for index, head in enumerate(short)]


def _table(title: str, frame: pl.DataFrame, *, wide: bool) -> None:
    out = console()
    rows, heads = _written(frame), _heads(frame.columns)
    numbers = [dtype.is_numeric() for dtype in frame.dtypes]
    widths = [max(map(cell_len, column)) for column in zip(heads, *rows, strict=True)]
    kept = len(heads) if wide else _fitting(widths, numbers, out.width)
    table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False, header_style="bold")
    for index in range(kept):
        whole = wide or numbers[index] or (index == 0 and widths[0] <= _NAME)
        justify = "right" if numbers[index] else "left"
        table.add_column(Text(heads[index]), justify=justify, no_wrap=whole, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*(Text(cell) for cell in row[:kept]))
    if wide:
        out = console(width=max(out.width, sum(widths) + _GAP * len(widths)))
    out.print(table)
    if kept < len(heads):
        left = len(heads) - kept
        tell(f"({left} more column{'s' if left > 1 else ''} with -o wide: {', '.join(heads[kept:])})", style="dim")
    out.print()


def _fitting(widths: list[int], numbers: list[bool], room: int) -> int:
    """Return how many columns fit, when numbers and a short first column stay whole and texts may be folded."""
    used = -_GAP
    for index, (width, number) in enumerate(zip(widths, numbers, strict=True)):
        whole = number or (index == 0 and width <= _NAME)
        used += _GAP + (width if whole else min(width, _TEXT))
        if used > room:
            return max(index, 1)
    return len(widths)


def _bars(cell: str) -> str:
    return cell.replace("|", "\\|")


def _markdown(title: str, frame: pl.DataFrame, escape: Callable[[str], str] = _bars) -> str:
    def row(cells: list[str]) -> str:
        return "| " + " | ".join(map(escape, cells)) + " |\n"

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
