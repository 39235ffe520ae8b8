"""Balancing as plain as can be: dicts, lists and linear scans, no trees, no heaps of its own, no tables by column."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from math import gcd
from typing import Any

from kscale.network.balancing.common.inputs import Changes, Connections, Endpoints, Lives, Settings

MASK = (1 << 64) - 1
MINUTE = 60_000_000
DAY = 86_400_000_000


def mixed(key: int, seed: int) -> int:
    bits = (seed + (key + 1) * 0x9E3779B97F4A7C15) & MASK
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & MASK
    return bits ^ (bits >> 31)


def hash_32(key: int, bits: int) -> int:
    return ((key & 0xFFFFFFFF) * 0x61C88647 & 0xFFFFFFFF) >> (32 - bits)


@dataclass
class Node:
    """What the proxy of one node knows."""

    active: list[int]
    inactive: list[int]
    last: int = -1
    level: int = 0
    turn: int = 0
    stuck: dict[int, tuple[int, int]] = field(default_factory=dict)
    cache: dict[int, dict[str, Any]] = field(default_factory=dict)
    rover: int = 0
    checked_us: int = 0
    counter: int = 1


class Twin:
    """One run; results are attributes of the same names as in ``Balanced``."""

    def __init__(
        self, name: str, connections: Connections, endpoints: Endpoints, seed: int, changes: Changes, lives: Lives,
        settings: Settings,
    ) -> None:  # fmt: skip
        self.name, self.seed, self.settings, self.connections_given = name, seed, settings, connections
        self.weights = [int(weight) for weight in endpoints.weight]
        self.last_weights = list(self.weights)
        count = len(self.weights)
        self.limits = [0] * count if endpoints.limit is None else [int(limit) for limit in endpoints.limit]
        self.free = [[0] * limit for limit in self.limits]
        self.lives = [
            [(int(b), int(d)) for e, b, d in zip(lives.endpoint, lives.born_us, lives.dies_us, strict=True) if e == row]
            or [(-(1 << 62), 1 << 62)]
            for row in range(count)
        ]
        rows = len(connections.arrival_us)
        self.node = [0] * rows if connections.node is None else [int(node) for node in connections.node]
        self.destination = (
            [0] * rows if connections.destination is None else [int(one) for one in connections.destination]
        )
        self.client = [0] * rows if connections.client is None else [int(one) for one in connections.client]
        self.destinations = max(self.destination, default=0) + 1
        self.nodes = [Node([0] * count, [0] * count) for _ in range(max(self.node, default=0) + 1)]
        self.endpoint, self.wait_us = [-1] * rows, [-1] * rows
        self.connections, self.busy_us, self.most_active = [0] * count, [0] * count, [0] * count
        self.lost, self.broken, self.retried = [0] * count, [0] * count, [0] * count
        self.lost_first_us, self.lost_last_us = [-1] * count, [-1] * count
        self.open = [0] * count
        self.slots: list[int] = []
        self.events: list[tuple[int, int, int, Any]] = []
        self.sequence = 0
        self.late: list[tuple[int, int, int]] = []
        self.listed_anew()
        for turn in range(len(changes.time_us)):
            self.event(int(changes.time_us[turn]), 1, (int(changes.endpoint[turn]), int(changes.weight[turn])))
        for row in range(rows):
            self.event(int(connections.arrival_us[row]), 2, row)
        self.run()

    def event(self, time_us: int, phase: int, what: Any) -> None:
        self.sequence += 1
        heapq.heappush(self.events, (time_us, phase, self.sequence, what))

    def run(self) -> None:
        pending = False
        while self.events:
            time_us, phase, _, what = heapq.heappop(self.events)
            if phase == 0:
                what()
            elif phase == 1:
                endpoint, weight = what
                self.weights[endpoint] = weight
                if weight != 0 or self.last_weights[endpoint] < 0:
                    self.last_weights[endpoint] = weight
                pending = True
            else:
                if pending:  # what proxies learn counts when the next connection comes
                    self.listed_anew()
                    pending = False
                self.arrive(what, time_us)
        for reached, row, endpoint in sorted(self.late):
            # Their ends are events of the same kind: those that are due come first.
            while self.events and self.events[0][0] <= reached:
                heapq.heappop(self.events)[3]()
            self.reach(row, endpoint, reached)

    # Choosing

    def usable(self) -> list[int]:
        return [endpoint for endpoint, weight in enumerate(self.weights) if weight > 0]

    def alive(self, endpoint: int, time_us: int) -> tuple[int, int] | None:
        return next(((born, dies) for born, dies in self.lives[endpoint] if born <= time_us < dies), None)

    def arrive(self, row: int, now_us: int) -> None:
        node, client, reached = self.nodes[self.node[row]], self.client[row], now_us
        stuck, used = node.stuck.get(client, (-1, 0))
        affinity_us = self.settings.affinity_us
        if affinity_us == 0 or stuck < 0 or self.weights[stuck] <= 0 or now_us - used > affinity_us:
            stuck = -1
        if self.name == "userspace":
            endpoint, reached = self.dial(node, now_us, stuck)
        else:
            endpoint = stuck if stuck >= 0 else getattr(self, "choose_" + self.name)(node, row, now_us)
        self.endpoint[row] = endpoint
        if endpoint < 0:
            return
        node.stuck[client] = endpoint, now_us
        if self.name == "userspace":
            self.late.append((reached, row, endpoint))
        else:
            self.reach(row, endpoint, reached)

    def dial(self, node: Node, now_us: int, stuck: int) -> tuple[int, int]:
        usable = self.usable()
        if not usable:
            return -1, now_us
        tries = [stuck] if stuck >= 0 else []
        while len(tries) < 4:
            if tries and self.alive(tries[-1], now_us + sum((250_000, 500_000, 1_000_000)[: len(tries) - 1])):
                break
            tries.append(usable[node.turn % len(usable)])
            node.turn += 1
        for endpoint in tries[:-1]:
            self.retried[endpoint] += 1
        return tries[-1], now_us + sum((250_000, 500_000, 1_000_000)[: len(tries) - 1])

    def choose_iptables(self, node: Node, row: int, now_us: int) -> int:
        usable = self.usable()
        return usable[(mixed(row, self.seed) >> 32) * len(usable) >> 32] if usable else -1

    choose_nftables = choose_iptables

    def choose_rr(self, node: Node, row: int, now_us: int) -> int:
        for step in range(1, len(self.weights) + 1):
            endpoint = (node.last + step) % len(self.weights)
            if self.weights[endpoint] > 0:
                node.last = endpoint
                return endpoint
        return -1

    def choose_wrr(self, node: Node, row: int, now_us: int) -> int:
        step = gcd(*[weight for weight in self.weights if weight > 0]) or 1
        top = max(0, *self.weights) - (step - 1)
        if top <= 0:
            return -1
        while True:
            node.last += 1
            if node.last == len(self.weights):
                node.last = 0
                node.level -= step
                if node.level <= 0:
                    node.level = top
            if self.weights[node.last] >= node.level:
                return node.last

    def least(self, node: Node, load: Any, weighted: bool = True) -> int:
        best = -1
        for endpoint in self.usable():
            if best >= 0:
                mine, known = load(endpoint), load(best)
                if weighted:
                    mine, known = mine * self.weights[best], known * self.weights[endpoint]
                if known <= mine:
                    continue
            best = endpoint
        return best

    def choose_lc(self, node: Node, row: int, now_us: int) -> int:
        return self.least(node, lambda e: node.active[e] * 256 + node.inactive[e], weighted=False)

    def choose_wlc(self, node: Node, row: int, now_us: int) -> int:
        return self.least(node, lambda e: node.active[e] * 256 + node.inactive[e])

    def choose_sed(self, node: Node, row: int, now_us: int) -> int:
        return self.least(node, lambda e: node.active[e] + 1)

    def choose_nq(self, node: Node, row: int, now_us: int) -> int:
        idle = [endpoint for endpoint in self.usable() if node.active[endpoint] == 0]
        return idle[0] if idle else self.choose_sed(node, row, now_us)

    def choose_sh(self, node: Node, row: int, now_us: int) -> int:
        return self.in_slot(hash_32(self.client[row], 8))

    def choose_dh(self, node: Node, row: int, now_us: int) -> int:
        return self.in_slot(hash_32(self.destination[row], 8))

    def choose_mh(self, node: Node, row: int, now_us: int) -> int:
        return self.in_slot((mixed(self.client[row], 2_654_435_761) >> 1) % 4093)

    def in_slot(self, slot: int) -> int:
        endpoint = self.slots[slot] if self.slots else -1
        return endpoint if endpoint >= 0 and self.weights[endpoint] > 0 else -1

    def listed_anew(self) -> None:
        listed = [endpoint for endpoint, weight in enumerate(self.weights) if weight >= 0]
        for node in self.nodes:
            node.turn = 0
            if self.name == "wrr":
                node.last = -1
                step = gcd(*[weight for weight in self.weights if weight > 0]) or 1
                top = max(0, *self.weights) - (step - 1)
                if node.level > top or node.level == 0:
                    node.level = top
                elif step > 1:
                    node.level = node.level // step * step + 1
        if self.name == "sh":
            round_ = [endpoint for endpoint in listed for _ in range(max(self.weights[endpoint], 1))]
            self.slots = [round_[slot % len(round_)] for slot in range(256)] if round_ else []
        elif self.name == "dh":
            self.slots = [listed[slot % len(listed)] for slot in range(256)] if listed else []
        elif self.name == "mh":
            self.slots = self.maglev()

    def maglev(self) -> list[int]:
        weights = {endpoint: weight for endpoint, weight in enumerate(self.last_weights) if weight > 0}
        if not weights:
            return []
        divisor = gcd(*weights.values())
        shift = max((max(weights.values()) // divisor).bit_length() - 6, 0)
        slots = [-1] * 4093
        orders = {}
        for endpoint in weights:
            offset = (mixed(endpoint, 2_654_435_761) >> 1) % 4093
            skip = (mixed(endpoint, 2_654_446_892) >> 1) % 4092 + 1
            orders[endpoint] = iter([(offset + skip * turn) % 4093 for turn in range(4093)])
        while True:
            for endpoint, weight in weights.items():
                for _ in range(weight // divisor >> shift or 1):
                    slots[next(slot for slot in orders[endpoint] if slots[slot] < 0)] = endpoint
                    if -1 not in slots:
                        return slots

    # Locality

    def overloaded(self, node: Node, endpoint: int) -> bool:
        return node.active[endpoint] > self.weights[endpoint] and any(
            active * 2 < weight for active, weight in zip(node.active, self.weights, strict=True)
        )

    def expire(self, node: Node, now_us: int) -> None:
        while node.checked_us + MINUTE <= now_us:
            node.checked_us += MINUTE
            old = {
                idle: [d for d, entry in node.cache.items() if entry["used"] + idle <= node.checked_us]
                for idle in (DAY, 6 * MINUTE)
            }
            if node.counter % 30 == 0:
                for destination in old[DAY]:
                    del node.cache[destination]
                node.counter = 1
            elif len(node.cache) <= 16_384:
                node.counter += 1
            else:
                goal = min((len(node.cache) - 16_384) * 4 // 3, 8192)
                for _ in range(self.destinations):
                    node.rover = (node.rover + 1) % self.destinations
                    if node.rover in old[6 * MINUTE]:
                        del node.cache[node.rover]
                        goal -= 1
                    if goal <= 0:
                        break

    def choose_lblc(self, node: Node, row: int, now_us: int) -> int:
        self.expire(node, now_us)
        entry = node.cache.get(self.destination[row])
        if entry:
            entry["used"] = now_us
            if self.weights[entry["endpoint"]] > 0 and not self.overloaded(node, entry["endpoint"]):
                return entry["endpoint"]
        endpoint = self.choose_wlc(node, row, now_us)
        if endpoint >= 0:
            node.cache[self.destination[row]] = {"endpoint": endpoint, "used": now_us}
        return endpoint

    def choose_lblcr(self, node: Node, row: int, now_us: int) -> int:
        self.expire(node, now_us)

        def load(endpoint: int) -> float:
            return node.active[endpoint] * 256 + node.inactive[endpoint]

        entry = node.cache.get(self.destination[row])
        if entry:
            entry["used"] = now_us
            best = most = -1
            for endpoint in entry["set"]:  # the newest first
                weight = self.weights[endpoint]
                if weight <= 0:
                    continue
                if best < 0 or load(best) * weight > load(endpoint) * self.weights[best]:
                    best = endpoint
                if most < 0 or load(most) * weight < load(endpoint) * self.weights[most]:
                    most = endpoint
            if len(entry["set"]) > 1 and now_us > entry["changed"] + DAY and most >= 0:
                entry["set"].remove(most)
                entry["changed"] = now_us
            if best >= 0 and not self.overloaded(node, best):
                return best
        endpoint = self.choose_wlc(node, row, now_us)
        if endpoint >= 0:
            entry = node.cache.setdefault(self.destination[row], {"set": [], "changed": now_us, "used": now_us})
            if endpoint not in entry["set"]:
                entry["set"].insert(0, endpoint)
                entry["changed"] = now_us
        return endpoint

    # Serving

    def reach(self, row: int, endpoint: int, now_us: int) -> None:
        node = self.nodes[self.node[row]]
        life = self.alive(endpoint, now_us)
        if life is None:
            self.lost[endpoint] += 1
            if self.lost_first_us[endpoint] < 0:
                self.lost_first_us[endpoint] = now_us
            self.lost_last_us[endpoint] = now_us
            self.keep_closed(node, endpoint, now_us)
            return
        born, dies = life
        self.connections[endpoint] += 1
        start = now_us
        if self.limits[endpoint]:
            start = max(now_us, min(self.free[endpoint]))
        duration = int(self.connections_given.duration_us[row])
        if start - born < self.settings.slow_start_us:
            duration = duration * self.settings.slow_start_milli // 1000
        end = min(start + duration, dies)
        self.broken[endpoint] += start + duration > dies
        if start < dies:
            self.wait_us[row] = start - int(self.connections_given.arrival_us[row])
            self.busy_us[endpoint] += end - start
            if self.limits[endpoint]:
                self.free[endpoint].remove(min(self.free[endpoint]))
                self.free[endpoint].append(end)
        node.active[endpoint] += 1
        self.open[endpoint] += 1
        self.most_active[endpoint] = max(self.most_active[endpoint], self.open[endpoint])

        def close() -> None:
            node.active[endpoint] -= 1
            self.open[endpoint] -= 1
            self.keep_closed(node, endpoint, end)

        self.event(end, 0, close)

    def keep_closed(self, node: Node, endpoint: int, now_us: int) -> None:
        if self.settings.inactive_us == 0:
            return
        node.inactive[endpoint] += 1

        def forget() -> None:
            node.inactive[endpoint] -= 1

        self.event(now_us + self.settings.inactive_us, 0, forget)
