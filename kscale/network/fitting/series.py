"""The series that can be fitted: which figures, and what each is said to be a sum of.

To add a series, add a row to ``SERIES``. A term names the parameters that it gives; one without a name is of the
machine or of the way of measuring: it is fitted as well, and told, and no parameter of the model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from kscale.network.parameters import Parameters
from kscale.network.proxies.common.iptables_rules import FIXED_NAT_CHAINS, FIXED_NAT_RULES

Rows = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Sizes:
    """What terms are made of: float64, one a figure.

    Attributes:
        services: service ports.
        each: endpoints of each.
        place: the Service's place in the list from 1; 0 for an address that is no Service's.
    """

    services: Rows
    each: Rows
    place: Rows

    @classmethod
    def of(cls, frame: pl.DataFrame) -> Sizes:
        """Return those of a table of figures."""
        columns = ("services", "endpoints", "position")
        return cls(*(frame[name].fill_null(0).cast(pl.Float64).to_numpy() for name in columns))

    @property
    def endpoints(self) -> Rows:
        """Endpoints in all."""
        return self.services * self.each

    @property
    def hit(self) -> Rows:
        """1 for a Service's address, 0 for another."""
        return (self.place > 0).astype(np.float64)

    @property
    def passed(self) -> Rows:
        """Rules of KUBE-SERVICES that are passed: all and the last one, where no Service's is met."""
        return np.where(self.place > 0, self.place, self.services + 1)

    @property
    def rules(self) -> Rows:
        """Rules of the table nat, ClusterIPs only."""
        return FIXED_NAT_RULES + self.services * (2 + 3 * self.each)

    @property
    def chains(self) -> Rows:
        """Chains of it."""
        return FIXED_NAT_CHAINS + self.services * (1 + self.each)


Make = Callable[[Sizes, Parameters], Any]


@dataclass(frozen=True)
class Term:
    """One part of a sum.

    Attributes:
        about: what it is, for people.
        make: what its coefficient is multiplied by, one a figure.
        names: parameters that its coefficient is; none: it is of the machine alone.
        signed: it may be negative.
        varies: a column without several values of which it cannot be told from others.
        power: the parameter that is the exponent of its basis, where it has one.
    """

    about: str
    make: Make
    names: tuple[str, ...] = ()
    signed: bool = False
    varies: str = ""
    power: str = ""

    @property
    def constant(self) -> bool:
        """Whether it is the same for all figures, whatever they are of."""
        return self.make is _one


@dataclass(frozen=True)
class Series:
    """Figures of one sort, and their terms.

    Attributes:
        kind, what, backend, cache: which figures.
        terms: the most important first; what cannot be told from those before it keeps the model's value.
        known: what is taken off first, by parameters of the model.
        hits: only figures of Services' addresses.
        own_base: each load has a base of its own, where it has figures of several places: what else a machine does
            makes it slower and faster from one load to the next.
    """

    kind: str
    what: str
    backend: str
    cache: str
    terms: tuple[Term, ...]
    known: Make = lambda sizes, numbers: 0.0
    hits: bool = False
    own_base: bool = False

    @property
    def name(self) -> str:
        """For people."""
        words = {"latency": self.what, "load": f"CPU of {self.what}", "memory": f"memory of {self.what}"}[self.kind]
        return f"{self.backend}, {words}{', cold' if self.cache == 'cold' else ''}"


def _one(sizes: Sizes, numbers: Parameters) -> Rows:
    return np.ones(len(sizes.services))


def _column(name: str, sizes: Sizes, numbers: Parameters) -> Any:
    return getattr(sizes, name)


def _of(about: str, column: str, *names: str, **more: Any) -> Term:
    return Term(about, partial(_column, column), names, **more)


def _base(*names: str) -> Term:
    return Term("the way", _one, names)


def _begun(numbers: Parameters) -> float:
    return numbers["path_us"] + numbers["conntrack_new_us"] + numbers["nat_us"]


def _random(sizes: Sizes, large: bool | None) -> Rows:
    """Return rules of KUBE-SVC that a hit passes on the average; of large clusters, of others, of all."""
    which = 1.0 if large is None else (sizes.endpoints > 1000) == large
    return np.asarray(sizes.hit * (sizes.each + 1) / 2 * which)


def _iptables_latency(backend: str) -> list[Series]:
    nft = backend == "nft"
    if nft:
        random = [Term("a statistic rule", lambda s, n: _random(s, None), ("iptables_nft_endpoint_rule_us",),
                       varies="endpoints")]  # fmt: skip
    else:
        random = [
            Term("a statistic rule", lambda s, n: _random(s, True), ("iptables_endpoint_rule_us",), varies="endpoints"),
            Term("a statistic rule with comment", lambda s, n: _random(s, False),
                 ("iptables_endpoint_rule_commented_us",), varies="endpoints"),
        ]  # fmt: skip
    found = []
    for cache in ("warm", "cold"):
        rules = [
            f"iptables_{backend}_{cache}_rule_us",
            *(["iptables_nft_typical_rule_us"] if nft and cache == "warm" else []),
        ]
        # With cold caches all Services have one endpoint in what is known.
        terms = [
            _base(),
            _of("a rule of KUBE-SERVICES", "passed", *rules),
            _of("a Service's address", "hit", signed=True),
        ]
        more = [] if cache == "cold" else random
        found.append(Series("latency", "connect", f"iptables-{backend}", cache, (*terms, *more), own_base=True))
    fixed = "iptables_nft_fixed_us" if nft else "iptables_fixed_us"
    later = "iptables_nft_established_us" if nft else "iptables_established_us"

    def first(sizes: Sizes, numbers: Parameters) -> Any:
        each = numbers["iptables_nft_endpoint_rule_us" if nft else "iptables_endpoint_rule_us"]
        return _begun(numbers) + each * (sizes.each + 1) / 2 + (numbers["iptables_fixed_us"] if nft else 0)

    def passed(sizes: Sizes, numbers: Parameters) -> Any:
        return numbers["established_path_us"] + (numbers["iptables_established_us"] if nft else 0)

    rule = _of("a rule of KUBE-SERVICES", "passed", f"iptables_{backend}_warm_rule_us", signed=True)
    found.append(Series("latency", "first", f"iptables-{backend}", "warm", (_base(fixed), rule), first, hits=True))
    found.append(Series("latency", "later", f"iptables-{backend}", "warm", (_base(later),), passed, hits=True))
    return found


def _doublings(sizes: Sizes, numbers: Parameters) -> Rows:
    return np.asarray(sizes.hit * np.log2(np.maximum(sizes.each, 1)))


#: What should cost nothing: it is told, so that anybody sees that it does not.
_MORE = _of("a Service more", "services", signed=True)
_LOWEST = (
    Series("latency", "first", "none", "warm", (_base("path_us"),)),
    Series("latency", "later", "none", "warm", (_base("established_path_us"),)),
    Series("latency", "first", "conntrack", "warm", (_base("conntrack_new_us"),), lambda s, n: n["path_us"]),
    Series("latency", "first", "dnat", "warm", (_base("nat_us"),), lambda s, n: n["path_us"] + n["conntrack_new_us"]),
)
_NFTABLES = (
    Series("latency", "connect", "nftables", "warm", (
        _base(), _of("a Service's address", "hit", signed=True),
        Term("a doubling of the endpoints", _doublings, ("nftables_doubling_us",), varies="endpoints"),
    ), own_base=True),
    Series("latency", "connect", "nftables", "cold", (_base(), _of("cold caches", "hit", "nftables_cold_us")),
           own_base=True),
    Series("latency", "first", "nftables", "warm", (
        _base("nftables_fixed_us"), _of("a Service's chains", "hit", "nftables_hit_us"), _MORE,
    ), lambda s, n: _begun(n) + n["nftables_doubling_us"] * _doublings(s, n)),
    Series("latency", "later", "nftables", "warm", (_base("nftables_established_us"),),
           lambda s, n: n["established_path_us"], hits=True),
)  # fmt: skip


def _virtual(sizes: Sizes, numbers: Parameters) -> Any:
    return sizes.hit * sizes.services / (2 * numbers["ipvs_buckets"])


_IPVS = (
    Series("latency", "connect", "ipvs", "warm", (
        _base(), Term("an entry of a chain", _virtual, ("ipvs_node_warm_us",)),
        _of("a Service's address", "hit", signed=True),
    ), own_base=True),
    Series("latency", "first", "ipvs", "warm", (_base("ipvs_us"),), lambda s, n: (
        n["path_us"] + n["conntrack_new_us"] + n["ipvs_sets_passed"] * n["ipvs_set_us"] + n["ipvs_choice_us"]
        + n["ipvs_node_warm_us"] * (1 + _virtual(s, n))
    ), hits=True),
    Series("latency", "later", "ipvs", "warm", (_base("ipvs_established_us"),),
           lambda s, n: n["established_path_us"], hits=True),
    Series("load", "addresses", "ipvs", "warm", (
        Term("a square of addresses", lambda s, n: s.services**2, ("ipvs_address2_s",)),
        _of("an address", "services", "ipvs_address_s"),
    )),
)  # fmt: skip
_START = Term("the program's start", _one)


def _iptables_load(backend: str) -> list[Series]:
    name = f"iptables_{backend}"

    def changed(sizes: Sizes, numbers: Parameters) -> Any:
        return numbers[f"{name}_full_rule_s"] * (2 + 3 * sizes.each)

    def held(sizes: Sizes, numbers: Parameters) -> Any:
        return numbers[f"{name}_service_bytes"] * sizes.services + numbers[f"{name}_endpoint_bytes"] * sizes.endpoints

    swapped = _of("a rule", "rules", f"{name}_partial_rule_s")
    if backend == "legacy":
        swapped = Term(
            "a search among the rules", lambda s, n: s.rules * np.log2(s.rules), (f"{name}_partial_search_s",)
        )
    return [
        Series("load", "full", f"iptables-{backend}", "warm", (
            _of("a rule", "rules", f"{name}_full_rule_s"),
            Term("a square of chains", lambda s, n: s.chains**2, (f"{name}_full_chain2_s",)), _START,
        )),
        Series("load", "change", f"iptables-{backend}", "warm", (
            swapped, _of("a Service", "services", f"{name}_partial_service_s"), _base(f"{name}_partial_s"),
        ), changed),
        Series("memory", "kernel", f"iptables-{backend}", "warm", (
            _of("a Service", "services", f"{name}_service_bytes"),
            _of("an endpoint", "endpoints", f"{name}_endpoint_bytes"),
        )),
        Series("memory", "client", f"iptables-{backend}", "warm", (
            Term("the kernel's", held, (f"{name}_client_factor",)),
        )),
    ]  # fmt: skip


_FULL = "nftables_full"
_NFTABLES_LOAD = (
    Series("load", "full", "nftables", "warm", (
        _of("a Service", "services", f"{_FULL}_service_s"),
        Term("10,000 Services", lambda s, n: (s.services / 1e4) ** n[f"{_FULL}_power"], (f"{_FULL}_power_s",),
             power=f"{_FULL}_power"),
        _of("an endpoint", "endpoints", f"{_FULL}_endpoint_s"),
        Term("Services times endpoints", lambda s, n: s.services * s.endpoints, (f"{_FULL}_product_s",)), _START,
    )),
    Series("load", "change", "nftables", "warm", (
        _base("nftables_partial_s"), _of("a Service", "services", "nftables_partial_service_s"),
        _of("an endpoint", "endpoints", "nftables_partial_endpoint_s"),
        Term("a square of Services", lambda s, n: s.services**2, ("nftables_partial_service2_s",)),
        Term("Services times endpoints", lambda s, n: s.services * s.endpoints, ("nftables_partial_product_s",)),
    )),
    Series("load", "list-table", "nftables", "warm", (
        _of("a Service", "services", "nftables_list_table_service_s"),
        _of("an endpoint", "endpoints", "nftables_list_table_endpoint_s"),
        Term("a square of Services", lambda s, n: s.services**2, ("nftables_list_table_service2_s",)), _START,
    )),
    Series("load", "list-chains", "nftables", "warm", (
        _of("a Service", "services", "nftables_list_chains_service_s"),
        _of("an endpoint", "endpoints", "nftables_list_chains_endpoint_s"), _START,
    )),
    Series("memory", "kernel", "nftables", "warm", (
        _of("a Service", "services", "nftables_service_bytes"),
        _of("an endpoint", "endpoints", "nftables_endpoint_bytes"),
    )),
    Series("memory", "client", "nftables", "warm", (
        Term("the kernel's", lambda s, n: n["nftables_service_bytes"] * s.services
             + n["nftables_endpoint_bytes"] * s.endpoints, ("nftables_client_factor",)),
    )),
)  # fmt: skip
_RULE = Series("load", "rule", "iptables-legacy", "warm", (
    _of("a rule that is there", "rules", "userspace_insert_s"), _START,
))  # fmt: skip
#: A round trip takes the same whatever there is: no parameter, but told.
_ROUND_TRIPS = tuple(
    Series("latency", "round-trip", backend, "warm", (_base(), _MORE), hits=True)
    for backend in ("iptables-legacy", "iptables-nft", "nftables", "ipvs")
)
#: In order: what is below comes first, and later series take off what earlier ones gave.
SERIES = (
    *_LOWEST,
    *(series for backend in ("legacy", "nft") for series in _iptables_latency(backend)),
    *_NFTABLES, *_IPVS, *_ROUND_TRIPS,
    *(series for backend in ("legacy", "nft") for series in _iptables_load(backend)),
    *_NFTABLES_LOAD, _RULE,
)  # fmt: skip
