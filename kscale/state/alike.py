"""Rows that are alike, found column by column."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl


def alike(frame: pl.DataFrame) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the first rows of each kind, ascending, and for each row the place of its kind among them.

    Rows are of one kind when they are equal in every column; nulls are equal.
    """
    # Columns with one value throughout tell no rows apart, and most are like that.
    varying = [column.name for column in frame if not _constant(column)] or frame.columns[:1]
    numbered = frame.select(pl.int_range(pl.len()).alias("#row"), *varying)
    first = numbered.select(pl.col("#row").first().over(varying)).to_series().to_numpy()
    firsts = np.flatnonzero(first == np.arange(len(first)))
    places = np.zeros(len(first), np.int64)
    places[firsts] = np.arange(len(firsts))
    return firsts, places[first]


def _constant(values: pl.Series) -> bool:
    nulls = values.null_count()
    return nulls == len(values) or (nulls == 0 and bool((values == values[0]).all()))
