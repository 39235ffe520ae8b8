"""The plain twin: one node's kube-proxy, microsecond by microsecond, as the upstream runner has it."""

from fractions import Fraction


class OldRunner:
    """pkg/util/async, before 1.34: a bucket of tokens, and a timer that a refused call sets."""

    def __init__(self, least, most, burst, began):
        self.least, self.most, self.burst = least, most, burst
        self.tokens, self.filled = Fraction(burst - 1), began
        self.ended, self.timer = began, began + most

    def _accepts(self, now):
        if not self.least:
            return True
        self.tokens = min(Fraction(self.burst), self.tokens + Fraction(now - self.filled, self.least))
        self.filled = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def tries(self, now):
        """Return whether a run begins now: asked for, or by the timer."""
        if self._accepts(now):
            return True
        self.timer = min(self.timer, self.ended + self.least)
        return False

    def ran(self, now):
        self.ended, self.timer = now, now + self.most


class NewRunner:
    """pkg/proxy/runner, from 1.34 on: a rest after each run."""

    def __init__(self, least, most, began):
        self.least, self.most, self.free, self.timer = least, most, began + least, began + most

    def tries(self, now):
        return now >= self.free

    def ran(self, now):
        self.free, self.timer = now + self.least, now + self.most


def node(changes, watch, phase, cost, until):
    """Return when a node knows each change (dicts with written, service, endpoints), its syncs, full ones and CPU time.

    Stops at ``until`` on the clock of the API server: what would begin later is not decided.
    """
    began = -phase
    runner = OldRunner(cost.min_us, cost.resync_us, cost.burst, began) if cost.burst else NewRunner(
        cost.min_us, cost.resync_us, began)  # fmt: skip
    arrivals = {}
    for number, change in enumerate(changes):
        arrivals.setdefault(change["written"] + watch, []).append(number)
    seen, pending, asked = [None] * len(changes), [], False
    now, full_at, syncs, fulls, cpu = began, began, 0, 0, 0
    free = began
    while now <= until + watch:
        come = arrivals.get(now, [])
        pending += come
        asked = asked or bool(come)
        if now >= free and (asked or now >= runner.timer):
            # A refused call of the old runner is forgotten, and its timer remembers; the new one keeps it.
            if runner.tries(now):
                took, full = price([changes[number] for number in pending], now - full_at, cost)
                syncs, cpu = syncs + 1, cpu + took
                if full:
                    fulls, full_at = fulls + 1, now
                free = now + took
                for number in pending:
                    seen[number] = free
                pending, asked = [], False
                for late in range(now + 1, free + 1):
                    # The last of them come as the run ends.
                    pending += arrivals.get(late, [])
                asked = bool(pending)
                runner.ran(free)
                arrivals = {at: what for at, what in arrivals.items() if at > free}
                if free > now:
                    now = free
                    continue
            elif cost.burst:
                asked = False
        now += 1
    return seen, syncs, fulls, cpu


def price(changes, since, cost):
    """Return what a sync of these changes takes, and whether it is a full one."""
    took = 0.0
    if changes:
        services = min(len({change["service"] for change in changes}), cost.most_services)
        endpoints = sum(change["endpoints"] for change in changes)
        took = cost.base_us + cost.service_us * (services - 1) + cost.endpoint_us * (max(endpoints, 1) - 1)
    full = not changes or since > cost.resync_us
    return int((max(took, cost.again_us) if full else took) + 0.5), full
