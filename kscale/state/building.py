"""Building: what intake gathers before the tables are allocated.

Each plug-in is asked for its ``plan``: it names topologies, sets of nodes and counters, and appends rows to lists that
belong to templates. ``lay_out`` tells how long every table gets, ``fill`` writes the rows once the tables are there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from kscale.state.descriptions import NodeDescriptions, PodDescription, PodTemplate, Selector
from kscale.state.labels import Labels
from kscale.state.schema.segment import BITS
from kscale.state.tables import Cluster

#: Rows of ``topology`` that are no label: the whole cluster is one domain, and every node is a domain of its own.
CLUSTER, NODE = 0, 1

Mask = npt.NDArray[np.bool_]


class Building:
    """Topologies, sets of nodes, counters and lists, each row made once.

    ``templates`` are the rows of the table ``template`` in order; ``pods_of`` tells how many pods each has in all,
    where that is known. ``kept`` is what a plug-in's plan keeps for its ``fill``, by the plug-in's name. ``changes``
    tells whether nodes come and go.
    """

    def __init__(self, nodes: NodeDescriptions, templates: list[PodTemplate], resources: list[str]) -> None:
        self.nodes, self.templates, self.resources = nodes, templates, resources
        self.labels = Labels([dict(template.labels) for template in templates])
        self._codes = {name: code for code, name in enumerate(sorted({t.namespace for t in templates}))}
        self.namespace = np.array([self._codes[template.namespace] for template in templates], np.int64)
        self.terminating = np.array([template.terminating for template in templates], dtype=bool)
        self.pods_of: npt.NDArray[np.int64] | None = None
        self.kept: dict[str, Any] = {}
        self.changes = False
        count = len(nodes)
        self._domains: list[npt.NDArray[np.int32]] = [np.zeros(count, np.int32), np.arange(count, dtype=np.int32)]
        self._topologies: dict[str, int] = {}
        self._masks: dict[bytes, int] = {}
        self._mask_rows: list[npt.NDArray[np.uint8]] = []
        self._counters: dict[tuple[int, bytes, int], int] = {}
        self._watched: set[int] = set()
        self._counted: list[npt.NDArray[np.int64]] = []
        self._lists: dict[str, list[tuple[int, dict[str, int]]]] = {}
        self._peers: dict[bytes, int] = {}
        self._peer_rows: list[npt.NDArray[np.uint8]] = []
        self.shared: dict[PodDescription, PodDescription] = {}
        self._namespaces: dict[Selector, set[str]] = {}
        self._marks: dict[str, dict[int, int]] = {}
        self._sizes: dict[str, int] = {}
        self._selected: dict[tuple[Selector, tuple[str, ...] | None], npt.NDArray[np.int64]] = {}
        self._hosted: list[tuple[int, dict[str, int]]] = []
        self._seen: dict[tuple[int, int], Mask] = {}
        self._barring: set[str] = set()

    def configuration(self, template: PodTemplate) -> Any:
        """Return the arguments of the template's profile; None when no profile takes its pods."""
        return self.nodes.configurations.get(template.description.profile)

    def topology(self, key: str) -> int:
        """Return the topology of a node label."""
        if key not in self._topologies:
            self._topologies[key] = len(self._domains)
            code = self.nodes.labels.keys.get(key)
            values = np.full(len(self.nodes), -1, np.int32) if code is None else self.nodes.labels.columns[code]
            distinct, domain = np.unique(values, return_inverse=True)
            without = np.int32(len(distinct) > 0 and distinct[0] < 0)
            self._domains.append((domain - without).astype(np.int32))
        return self._topologies[key]

    def has_key(self, topology: int) -> Mask:
        """Return which nodes have a domain in the topology."""
        return self._domains[topology] >= 0

    def nodemask(self, mask: Mask) -> int:
        """Return the row of a set of nodes; -1 for all nodes."""
        if mask.all():
            return -1
        row = self._masks.setdefault(mask.tobytes(), len(self._mask_rows))
        if row == len(self._mask_rows):
            self._mask_rows.append(mask.astype(np.uint8))
        return row

    def counter(self, topology: int, counted: Mask, nodemask: int = -1) -> int:
        """Return the counter of the templates ``counted`` by a topology's domains."""
        rows = np.flatnonzero(counted)
        # The shorter of two forms, which can never be equal: their lengths differ.
        same = rows.tobytes() if 64 * len(rows) < len(counted) else np.packbits(counted).tobytes()
        key = (topology, same, nodemask)
        row = self._counters.setdefault(key, len(self._counters))
        if row == len(self._counted):
            self._counted.append(rows)
        return row

    def watched(self, counted: Mask) -> int:
        """Return the counter of the templates ``counted`` over the whole cluster that also tells of trials.

        While a trial of preemption lasts, ``tally_count`` less ``counter_total`` is how many of their pods it has put
        on a node, less those that it has taken off; otherwise both are the same.
        """
        row = self.counter(CLUSTER, counted)
        if row not in self._watched:
            self._watched.add(row)
            for template in self._counted[row].tolist():
                self.append("trial", template, counter=row)
        return row

    def selected(self, selector: Selector | None, namespaces: Collection[str] | None) -> Mask:
        """Return which templates a selector selects in these namespaces (None is all of them)."""
        found = np.zeros(len(self.templates), bool)
        if selector is not None:
            found[self.selected_rows(selector, namespaces)] = True
        return found

    def selected_rows(self, selector: Selector, namespaces: Collection[str] | None) -> npt.NDArray[np.int64]:
        """Return the same templates as rows (int64, ascending); they are kept, and nobody may write to them.

        Of 100,000 selectors and as many templates, masks would take 10 GB.
        """
        key = (selector, None if namespaces is None else tuple(sorted(namespaces)))
        found = self._selected.get(key)
        if found is None:
            term = selector.requirements
            found = self.labels.rows(term) if term else np.arange(len(self.templates))
            if namespaces is not None:
                codes = [self._codes[name] for name in namespaces if name in self._codes]
                found = found[np.isin(self.namespace[found], codes)]
            found.setflags(write=False)
            self._selected[key] = found
        return found

    def namespaces(self, selector: Selector) -> set[str]:
        """Return the namespaces whose labels a selector selects, of those that are known."""
        if selector in self._namespaces:
            return self._namespaces[selector]
        known = self.nodes.surroundings.namespaces
        labels = Labels(list(known.values()))
        found = np.ones(len(known), bool)
        for requirement in selector.requirements:
            found &= labels.matches((requirement,))
        names = {name for name, good in zip(known, found.tolist(), strict=True) if good}
        self._namespaces[selector] = names
        return names

    def peers(self, members: Mask) -> int:
        """Return the row of a set of templates; -1 for none at all."""
        if not members.any():
            return -1
        row = self._peers.setdefault(np.packbits(members).tobytes(), len(self._peer_rows))
        if row == len(self._peer_rows):
            self._peer_rows.append(members.astype(np.uint8))
        return row

    def append(self, table: str, template: int, **values: int) -> None:
        """Append a row to the template's list in ``table``; rows stay in the order in which they are appended."""
        self._lists.setdefault(table, []).append((template, values))

    def bars(self, table: str) -> None:
        """Say that rows of ``table`` keep a template off the domains with pods of their counter, and do no more."""
        self._barring.add(table)

    def mark(self, column: str, template: int, value: int) -> None:
        """Give a template's column ``template_<column>`` a value."""
        self._marks.setdefault(column, {})[template] = value

    def size(self, table: str, rows: int) -> None:
        """Give a plug-in's own table its length."""
        self._sizes[table] = rows

    def has(self, table: str) -> bool:
        """Tell whether some template has a row in the list ``table``."""
        return bool(self._lists.get(table))

    def counts(self) -> bool:
        """Tell whether anything is counted."""
        return bool(self._counted)

    def lay_out(self, tables: Iterable[str]) -> dict[str, int]:
        """Return the lengths of the dimensions that it decides; ``tables`` are those of the plug-ins."""
        sizes = {table: self._sizes.get(table, len(self._lists.get(table, ()))) for table in tables}
        domains = [int(d.max(initial=-1)) + 1 for d in self._domains]
        # One domain more than there are, never counted in: what nodes without any of the pods have.
        segments = sum((domains[topology] >> BITS) + 1 for topology, _, _ in self._counters)
        for topology, _, nodemask in self._counters:
            if (topology, nodemask) not in self._seen:
                self._seen[topology, nodemask] = self._eligible(topology, nodemask)
        self._hosted = self._list_hosted()
        return sizes | {
            "topology": len(self._domains), "nodemask": len(self._mask_rows), "peers": len(self._peer_rows),
            "counter": len(self._counted),
            "segment": segments, "tally": (segments + 1) << BITS, "seen": sum(map(len, self._seen.values())),
            "counting": sum(len(c) for c in self._counted),
            "domain": max([*domains, 1]) + 1, "hosted": len(self._hosted),
        }  # fmt: skip

    def single(self, topology: int) -> bool:
        """Tell whether no domain of the topology has more than one node."""
        domain = self._domains[topology]
        return topology != CLUSTER and int(np.bincount(domain[domain >= 0], minlength=1).max()) <= 1

    def _list_hosted(self) -> list[tuple[int, dict[str, int]]]:
        """Return, for each template, the counters in its lists that tell single nodes apart, each once.

        Those that do no more than bar come last.
        """
        singles = {topology for topology in {topology for topology, _, _ in self._counters} if self.single(topology)}
        hosted = [row for row, (topology, _, _) in enumerate(self._counters) if topology in singles]
        known = np.zeros(len(self._counters), bool)
        known[hosted] = True
        only: dict[tuple[int, int], bool] = {}
        for table, rows in self._lists.items():
            for template, values in rows:
                if "counter" in values and known[values["counter"]]:
                    entry = (template, values["counter"])
                    only[entry] = only.get(entry, True) and table in self._barring
        ordered = sorted(only.items(), key=lambda item: item[1])
        return [(template, {"counter": counter, "barring": int(bars)}) for (template, counter), bars in ordered]

    def fill(self, cluster: Cluster) -> None:
        """Write every row into the tables."""
        for row, domain in enumerate(self._domains):
            cluster.topology_domain[row] = domain
            cluster.topology_domains[row] = int(domain.max(initial=-1)) + 1
            cluster.topology_single[row] = self.single(row)
            if cluster.topology_single[row]:
                cluster.topology_node[row, domain[domain >= 0]] = np.flatnonzero(domain >= 0)
        for row, mask in enumerate(self._mask_rows):
            cluster.nodemask_node[row] = mask
        for column, values in self._marks.items():
            cluster.columns[f"template_{column}"][list(values)] = list(values.values())
        for row, members in enumerate(self._peer_rows):
            cluster.peers_member[row] = members
        self._fill_counters(cluster)
        for table, rows in self._lists.items():
            _fill_list(cluster, table, rows)
        if self._hosted:
            _fill_list(cluster, "hosted", self._hosted)

    def _fill_counters(self, cluster: Cluster) -> None:
        seen_first, first = {}, 0
        for key, eligible in self._seen.items():
            seen_first[key] = first
            cluster.seen_eligible[first : first + len(eligible)] = eligible
            first += len(eligible)
        good = {key: int(eligible.sum()) for key, eligible in self._seen.items()}
        first = 0
        for row, (topology, _, nodemask) in enumerate(self._counters):
            key = (topology, nodemask)
            cluster.counter_topology[row], cluster.counter_nodemask[row] = key
            cluster.counter_first[row], cluster.counter_domains[row] = first, len(self._seen[key])
            cluster.counter_seen_first[row], cluster.counter_eligible[row] = seen_first[key], good[key]
            cluster.counter_single[row] = cluster.topology_single[topology]
            first += (len(self._seen[key]) >> BITS) + 1
        if self._counted:
            templates = np.concatenate(self._counted)
            counters = np.repeat(np.arange(len(self._counted)), [len(c) for c in self._counted])
            order = np.argsort(templates, kind="stable")
            cluster.counting_counter[:] = counters[order]
            _fill_bounds(cluster, "counting", templates[order])

    def _eligible(self, topology: int, nodemask: int) -> Mask:
        """Return which domains of a topology have a node whose pods count."""
        domain = self._domains[topology]
        counts = domain >= 0 if nodemask < 0 else (domain >= 0) & (self._mask_rows[nodemask] != 0)
        eligible = np.zeros(int(domain.max(initial=-1)) + 1, bool)
        eligible[domain[counts]] = True
        return eligible


def _fill_list(cluster: Cluster, table: str, rows: list[tuple[int, dict[str, int]]]) -> None:
    templates = np.array([template for template, _ in rows], np.int64)
    order = np.argsort(templates, kind="stable")
    for name in rows[0][1]:
        cluster.columns[f"{table}_{name}"][:] = np.array([values[name] for _, values in rows], np.int64)[order]
    _fill_bounds(cluster, table, templates[order])


def _fill_bounds(cluster: Cluster, table: str, templates: npt.NDArray[np.int64]) -> None:
    rows: Any = np.arange(cluster.sizes["template"])
    cluster.columns[f"template_{table}_first"][:] = np.searchsorted(templates, rows, "left")
    cluster.columns[f"template_{table}_last"][:] = np.searchsorted(templates, rows, "right")
