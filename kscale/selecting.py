"""Selecting: pods of an inventory by name, and the inventory with just these pods pending."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kscale.errors import InputError
from kscale.state.manifests import Inventory, PodColumns

_MOST_NAMES = 3


def find_pod(inventory: Inventory, name: str, namespace: str | None = None) -> int:
    """Return the row of a pod, given as ``name`` or ``namespace/name``. Raises InputError with the nearest names.

    Without a namespace, the pod of that name in any of them, if there is but one.
    """
    pods = inventory.pods
    stated, _, last = name.rpartition("/")
    if stated and namespace not in (None, stated):
        raise InputError(f"'{name[:200]}' is not in the namespace {namespace}", field="POD", expected="one namespace")
    where = stated or namespace
    rows = [row for row, found in enumerate(pods.names) if found == last and where in (None, pods.namespaces[row])]
    if len(rows) == 1:
        return rows[0]
    if rows:
        names = ", ".join(f"{pods.namespaces[row]}/{last}" for row in rows[:_MOST_NAMES])
        more = f" and {len(rows) - _MOST_NAMES} more" if len(rows) > _MOST_NAMES else ""
        raise InputError(f"'{name}' may be {names}{more}", field="POD", expected="NAMESPACE/NAME, or -n NAMESPACE")
    raise InputError(
        f"there is no pod '{name[:200]}'{_near(inventory, last, where)}", field="POD",
        expected=f"one of the {len(pods):,} pods that were read" if len(pods) else "objects with pods",
    )  # fmt: skip


def _near(inventory: Inventory, name: str, namespace: str | None) -> str:
    """Return ``; did you mean …?`` for pods whose names begin so, or are close; nothing where there are none."""
    pods = inventory.pods
    among: dict[str, int] = {}
    for row, found in enumerate(pods.names):
        if namespace in (None, pods.namespaces[row]):
            among.setdefault(found, row)
    if not among and namespace is not None:
        spaces = difflib.get_close_matches(namespace, sorted(set(pods.namespaces)), 1)
        return f", and no pods in the namespace '{namespace}'" + (f"; did you mean '{spaces[0]}'?" if spaces else "")
    close = [found for found in among if found.startswith(name)][:_MOST_NAMES] if name else []
    close = close or difflib.get_close_matches(name, among, _MOST_NAMES)
    names = [f"{pods.namespaces[among[found]]}/{found}" for found in close]
    return f"; did you mean {' or '.join(names)}?" if names else ""


def with_pending(inventory: Inventory, rows: Sequence[int], copies: Sequence[str] = (), *, away: int = -1) -> Inventory:
    """Return the inventory with these pods pending, in this order, next to the bound ones; others that wait are gone.

    A row may come again: ``copies`` then name each. The bound pod ``away`` is gone too.
    """
    pods = inventory.pods
    bound = np.flatnonzero((pods.node >= 0) & (np.arange(len(pods)) != away))
    order = np.concatenate([bound, np.asarray(rows, np.int64)])
    names = [pods.names[row] for row in order.tolist()]
    if copies:
        names[len(bound) :] = copies
    node = pods.node[order].copy()
    node[len(bound) :] = -1
    columns = PodColumns(
        names, [pods.namespaces[row] for row in order.tolist()], pods.template[order], node,
        pods.start_us[order], pods.created_us[order],
    )  # fmt: skip
    return replace(inventory, pods=columns, pending=np.arange(len(bound), len(order), dtype=np.int64), sources=[])
