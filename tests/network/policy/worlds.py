"""Random clusters under random policies, small and full of everything that a policy may say."""

from __future__ import annotations

from random import Random

from tests.network.policy.making import PROTOCOLS, Object, namespace, pod, policy

KEYS, VALUES, SPACES = ("app", "tier"), ("a", "b", "c"), ("x", "y", "z")
PORT_NAMES = ("web", "dns")
OUTSIDE = ("10.1.0.200", "192.0.2.7", "fd01::99")
BLOCKS = (
    ("0.0.0.0/0", ("10.1.0.0/16", "10.1.0.0/25", "192.0.2.0/24")), ("10.1.0.0/16", ("10.1.0.0/24", "10.1.0.4/30")),
    ("10.1.0.0/30", ("10.1.0.1/32",)), ("192.0.2.0/24", ()), ("fd01::/16", ("fd01::/120",)), ("fd01::2/127", ()),
)  # fmt: skip


def labels(rng: Random) -> dict[str, str]:
    return {key: rng.choice(VALUES) for key in KEYS if rng.random() < 0.7}


def selector(rng: Random) -> Object:
    found: Object = {}
    if rng.random() < 0.3:
        found["matchLabels"] = {rng.choice(KEYS): rng.choice(VALUES)}
    if rng.random() < 0.4:
        found["matchExpressions"] = [requirement(rng) for _ in range(rng.randint(0, 2))]
    return found


def requirement(rng: Random) -> Object:
    found: Object = {"key": rng.choice(KEYS), "operator": rng.choice(["In", "NotIn", "Exists", "DoesNotExist"])}
    if found["operator"] in ("In", "NotIn"):
        found["values"] = rng.sample(VALUES, rng.randint(1, 2))
    return found


def peer(rng: Random) -> Object:
    form = rng.randint(0, 3)
    if form == 3:
        cidr, parts = rng.choice(BLOCKS)
        excepted = rng.sample(parts, rng.randint(0, len(parts)))
        return {"ipBlock": {"cidr": cidr, **({"except": excepted} if excepted else {})}}
    found = {"podSelector": selector(rng)} if form != 1 else {}
    return {**found, **({"namespaceSelector": selector(rng)} if form else {})}


def ports(rng: Random) -> Object:
    found: Object = {} if rng.random() < 0.5 else {"protocol": rng.choice(PROTOCOLS)}
    form = rng.randint(0, 3)
    if form == 1:
        found["port"] = rng.choice(PORT_NAMES)
    elif form > 1:
        found["port"] = rng.choice([79, 80, 81])
        if form == 3:
            found["endPort"] = rng.choice([81, 82])
    return found


def random_policy(rng: Random, number: int) -> Object:
    spec: Object = {"podSelector": selector(rng)}
    for direction, side in (("ingress", "from"), ("egress", "to")):
        if rng.random() < 0.6:
            rules: list[Object] = [{} for _ in range(rng.randint(0, 2))]
            for rule in rules:
                if rng.random() < 0.7:
                    rule[side] = [peer(rng) for _ in range(rng.randint(0, 2))]
                if rng.random() < 0.5:
                    rule["ports"] = [ports(rng) for _ in range(rng.randint(0, 2))]
            spec[direction] = rules
    if rng.random() < 0.4:
        spec["policyTypes"] = rng.sample(["Ingress", "Egress"], rng.randint(0, 2))
    return policy(rng.choice(SPACES), f"policy-{number}", **spec)


def cluster(rng: Random) -> list[Object]:
    found = [namespace(name, **labels(rng)) for name in SPACES]
    for number in range(rng.randint(1, 9)):
        both = rng.choice([3, 3, 3, 1, 2])
        ips = [f"10.1.0.{number + 1}"] * (both & 1) + [f"fd01::{number + 1}"] * (both >> 1)
        named = [
            {"name": name, "containerPort": rng.choice([80, 81]), "protocol": rng.choice(PROTOCOLS)}
            for name in PORT_NAMES if rng.random() < 0.5
        ]  # fmt: skip
        host = {"hostNetwork": True} if rng.random() < 0.2 else {}
        node = rng.choice(["", "n1", "n2"])
        found.append(pod(rng.choice(SPACES), f"p{number}", labels(rng), ips, named, node, **host))
    return found + [random_policy(rng, number) for number in range(rng.randint(0, 5))]
