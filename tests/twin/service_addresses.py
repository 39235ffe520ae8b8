"""How addresses and node ports are given out, Service by Service and number by number, in plain Python."""

from __future__ import annotations

from dataclasses import dataclass, field

IP_TAKEN, PORT_TAKEN, FULL = "provided IP is already allocated", "provided port is already allocated", "range is full"


@dataclass
class Range:
    first: int
    size: int
    static: int

    def draw(self, taken: set[int]) -> int | None:
        """The lowest free number of the upper band, then of the lower one."""
        places = [
            *range(self.first + self.static, self.first + self.size),
            *range(self.first, self.first + self.static),
        ]
        return next((number for number in places if number not in taken), None)


@dataclass
class Port:
    number: int
    name: str
    asked: int = 0


@dataclass
class Service:
    """A Service; ``had`` are node ports by the names of their ports."""

    type: str = "ClusterIP"
    headless: bool = False
    allocates: bool = True
    local: bool = False
    asked_ip: int = -1
    asked_health: int = 0
    ports: list[Port] = field(default_factory=list)
    first: bool = False  # whether it is that of the API server
    ip: int = -1
    health: int = 0
    had: dict[str, int] = field(default_factory=dict)
    refusal: str = ""

    def numbers(self) -> set[int]:
        return {*self.had.values(), *([self.health] if self.health else [])}


@dataclass
class _Wish:
    """What a Service keeps while it is looked at, and what it comes to have."""

    of: Service
    ip: int
    health: int
    node: dict[str, int]
    refusal: str = ""

    def refuse(self, reason: str) -> None:
        self.refusal = self.refusal or reason


def keeps(service: Service) -> _Wish:
    """What it has and is to have still."""
    balanced = service.type == "LoadBalancer"
    addressed = service.type != "ExternalName" and not service.headless
    ip = service.ip if addressed and service.asked_ip in (-1, service.ip) else -1
    checked = balanced and service.local
    health = service.health if checked and service.asked_health in (0, service.health) else 0
    node = {}
    for port in service.ports:
        had = service.had.get(port.name, 0)
        if had and (balanced or service.type == "NodePort") and port.asked in (0, had):
            node[port.name] = had
    return _Wish(service, ip, health, node)


def give(services: list[Service], others: list[Service], addresses: Range, ports: Range) -> None:
    """Look at ``services``, in the order in which they were made; ``others`` keep what they have."""
    wishes = [keeps(service) for service in services]
    _addresses(wishes, {other.ip for other in others} | {wish.ip for wish in wishes}, addresses)
    taken = {number for other in others for number in other.numbers()}
    taken |= {number for wish in wishes for number in (*wish.node.values(), wish.health) if number}
    _stated_ports(wishes, taken)
    _drawn_ports(wishes, taken, ports)
    for wish in wishes:
        kept = keeps(wish.of) if wish.refusal else wish
        wish.of.ip, wish.of.health, wish.of.had, wish.of.refusal = kept.ip, kept.health, kept.node, wish.refusal


def _addresses(wishes: list[_Wish], taken: set[int], addresses: Range) -> None:
    asking = [w for w in wishes if w.ip < 0 and w.of.type != "ExternalName" and not w.of.headless]
    for wish in asking:
        asked = wish.of.asked_ip
        if asked < 0:
            continue
        if asked in taken or (asked == addresses.first and not wish.of.first):
            wish.refuse(IP_TAKEN)
        else:
            wish.ip = asked
            taken.add(asked)
    taken.add(addresses.first)
    for wish in asking:
        if wish.of.asked_ip < 0:
            found = addresses.draw(taken)
            if found is None:
                wish.refuse(FULL)
            else:
                wish.ip = found
                taken.add(found)


def _checks(wish: _Wish) -> bool:
    return wish.of.type == "LoadBalancer" and wish.of.local and not wish.health


def _stated_ports(wishes: list[_Wish], taken: set[int]) -> None:
    claimed: dict[int, _Wish] = {}
    kept = {id(wish): set(wish.node.values()) for wish in wishes}
    for wish in wishes:
        for port in wish.of.ports:
            if not port.asked or port.name in wish.node:
                continue
            free = port.asked not in taken and claimed.setdefault(port.asked, wish) is wish
            if free or port.asked in kept[id(wish)]:
                wish.node[port.name] = port.asked
            else:
                wish.refuse(PORT_TAKEN)
    checking = [wish for wish in wishes if _checks(wish) and wish.of.asked_health]
    for wish in checking:
        asked = wish.of.asked_health
        if asked in taken or asked in claimed:
            wish.refuse(PORT_TAKEN)
        else:
            claimed[asked] = wish
            wish.health = asked
    # What was asked for is not drawn in this pass, granted or not.
    taken.update(port.asked for wish in wishes for port in wish.of.ports if port.asked)
    taken.update(wish.of.asked_health for wish in checking)


def _drawn_ports(wishes: list[_Wish], taken: set[int], ports: Range) -> None:
    for wish in wishes:
        service = wish.of
        if service.type == "NodePort" or (service.type == "LoadBalancer" and service.allocates):
            asking = [port for port in service.ports if not port.asked and port.name not in wish.node]
            have: dict[int, int] = {}
            for port in service.ports:
                if port.name in wish.node:
                    have.setdefault(port.number, wish.node[port.name])
            for port in sorted(asking, key=lambda one: one.number):
                if port.number not in have:
                    found = ports.draw(taken)
                    if found is None:
                        wish.refuse(FULL)
                        continue
                    have[port.number] = found
                    taken.add(found)
                wish.node[port.name] = have[port.number]
        if _checks(wish) and not service.asked_health:
            found = ports.draw(taken)
            if found is None:
                wish.refuse(FULL)
            else:
                wish.health = found
                taken.add(found)
