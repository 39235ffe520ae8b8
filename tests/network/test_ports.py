"""Service ports as columns: what is left out, what is refused, and what follows from the policies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from kscale.errors import InputError
from kscale.network.ports import UDP, Ports
from tests.network import rules


def test_what_is_left_out_is_nothing_and_a_scalar_holds_for_all() -> None:
    ports = Ports.of([3, 0, 5], node_port=True, protocol=UDP)
    assert len(ports) == 3
    assert ports.node_port.tolist() == [True] * 3 and ports.protocol.tolist() == [UDP] * 3
    assert ports.service.tolist() == [0, 1, 2]
    assert not ports.affinity.any() and not ports.external_ips.any()
    assert Ports.uniform(4, 7).endpoints.tolist() == [7] * 4
    assert Ports.uniform(0, 7).endpoints.dtype == np.int64 and not len(Ports.uniform(0, 7))


def test_columns_are_copies_that_nobody_writes_to() -> None:
    given_ = np.array([1, 2])
    ports = Ports.of(given_)
    given_[0] = 9
    assert ports.endpoints.tolist() == [1, 2]
    with pytest.raises(ValueError, match="read-only"):
        ports.endpoints[0] = 3


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        ({"endpoint": 1}, "there is no column 'endpoint'; did you mean 'endpoints'?"),
        ({"affinity": [True]}, r"field 'affinity': has the shape \(1,\); expected one value, or 2"),
        ({"external_ips": -1}, "field 'external_ips': holds -1 to -1; expected 0 to 10,000,000"),
        ({"external_ips": 1.5}, "field 'external_ips': holds float64; expected whole numbers"),
        ({"protocol": 3}, "field 'protocol': holds 3 to 3; expected 0 to 2"),
        ({"local_endpoints": [0, 9]}, "row 2, field 'local_endpoints': are more than the endpoints; expected as many"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(columns: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError, match=line):
        Ports.of([1, 2], **columns)


def test_services_that_cannot_be() -> None:
    with pytest.raises(InputError, match="field 'services': is -1"):
        Ports.uniform(-1, 1)


@given(rules.clusters())
@settings(max_examples=100)
def test_policies_row_by_row(ports: Ports) -> None:
    named = {port.name: port for port in rules.ports_of(ports)}
    for row in range(len(ports)):
        port = named.get(f"p{row}")
        if port is None:
            assert not ports.reachable[row] and not ports.internal_endpoints[row] and not ports.external_endpoints[row]
            continue
        cluster = not port.internal_local or port.accessible
        local = port.internal_local or (port.external_local and port.accessible)
        assert bool(ports.uses_cluster[row]) == cluster and bool(ports.uses_local[row]) == local
        used = set(port.endpoints if cluster else []) | set(port.local if local else [])
        assert ports.reachable[row] == len(used)
        assert ports.internal_endpoints[row] == len(port.local if port.internal_local else port.endpoints)
        outside = port.local if port.external_local else port.endpoints
        assert ports.external_endpoints[row] == (len(outside) if port.accessible else 0)


@given(rules.clusters())
@settings(max_examples=60)
def test_the_largest_of_each_service(ports: Ports) -> None:
    expected: dict[int, int] = {}
    for service, value in zip(ports.service.tolist(), ports.endpoints.tolist(), strict=True):
        expected[service] = max(expected.get(service, 0), value)
    assert ports.per_service(ports.endpoints).tolist() == [expected[key] for key in sorted(expected)]
