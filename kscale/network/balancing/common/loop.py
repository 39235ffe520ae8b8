"""The loop over connections, composed for one algorithm: it holds only what the algorithm and the input use.

At one instant, connections end first, then proxies learn of changes, then connections come, in the order of their rows.
An algorithm that looks at connections goes through all of that in one loop (``run``). One that does not chooses for all
connections first (``run``), and endpoints then serve them (``deliver``): a small heap for each endpoint is faster than
one of all that is open. Where a heap is full, ``deliver`` stops and is called again with more room.
"""

from __future__ import annotations

from functools import cache

from kscale.composer import Composer
from kscale.network.balancing import Algorithm
from kscale.network.balancing.common import listing, seeing, serving, sticking, trees
from kscale.network.balancing.common.columns import COLUMNS

_LEARN = """
if apply_changes(now_us):
    take_note()
"""
_NOTE = """
relist()
{reweigh}
{changed}
"""
_REWEIGH = """
reweigh({unweighted})
plant()
"""
_SETTLE = """
while end_due(now_us):
    ended = take_ended()
    count_active(ended // endpoints, ended % endpoints, -1)
    weigh(ended // endpoints, ended % endpoints)
while forgotten_due(now_us):
    forgotten = take_forgotten()
    weigh(forgotten // endpoints, forgotten % endpoints)
"""
_WEIGH = """
tree_overhead[node, endpoint] = overhead(node_active[node, endpoint], node_inactive[node, endpoint])
replay(node, endpoint)
{weighed}
"""
_OPEN = """
end_us = serve(connection, endpoint, connection_reached_us[connection])
if end_us < 0:
    close(node * endpoints + endpoint, now_us)
else:
    keep_open(node, endpoint, end_us)
    count_active(node, endpoint, 1)
weigh(node, endpoint)
"""
_PICK = {
    (False, False): "endpoint = choose(connection, node, now_us)",
    (False, True): "endpoint = choose(connection, node, now_us, -1)",
    (True, False): """
endpoint = stuck_to(connection, node, now_us)
if endpoint < 0:
    endpoint = choose(connection, node, now_us)
stick(connection, node, now_us, endpoint)
""",
    (True, True): """
endpoint = stuck_to(connection, node, now_us)
endpoint = choose(connection, node, now_us, endpoint)
stick(connection, node, now_us, endpoint)
""",
}
_RUN = """
endpoints = len(endpoint_weight)
due_us = next_change_us()
for connection in range(first, last):
    now_us = connection_arrival_us[connection]
    node = np.int64(connection_node[connection])
    {settle}
    if now_us >= due_us:
        learn(now_us)
        due_us = next_change_us()
    {pick}
    connection_endpoint[connection] = endpoint
    {open}
"""
_DELIVER = """
for place in range(first, last):
    connection = {connection}
    endpoint = np.int64(connection_endpoint[connection])
    if endpoint >= 0:
        reached_us = connection_reached_us[connection]
        if not room_left(endpoint, reached_us):
            return place
        end_us = serve(connection, endpoint, reached_us)
        if end_us >= 0:
            note_end(endpoint, end_us)
return last
"""


def _indented(text: str, spaces: int) -> str:
    return ("\n" + " " * spaces).join(text.strip().splitlines())


@cache
def compose(algorithm: Algorithm, affinity: bool) -> tuple[str, dict[str, list[str]]]:
    """Return the module of an algorithm as text, and the columns that its entries take.

    Entries are ``start()`` and ``run(first, last)`` over connections. Where the algorithm looks at connections,
    ``resume()`` goes on from the loads that stand in the columns; where it does not, ``deliver(first, last)`` serves
    connections, and returns where it stopped.
    """
    composer = Composer([row.name for row in (*COLUMNS, *algorithm.columns)])
    sees = algorithm.overhead is not None
    for module, names in (
        (listing, ("relist", "apply_changes", "next_change_us", "reweigh")),
        (serving, ("serve", "room_left", "note_end")),
        (trees, ("replay", "plant")),
        (sticking, ("stuck_to", "stick")),
        (seeing, ("count_active", "end_due", "take_ended", "forgotten_due", "take_forgotten", "keep_open", "close")),
    ):
        for name in names:
            composer.use(name, getattr(module, name))
    composer.use("choose", algorithm.choose)
    if algorithm.changed is not None:
        composer.use("changed", algorithm.changed)
    if sees:
        composer.use("overhead", algorithm.overhead)
        if algorithm.weighed is not None:
            composer.use("weighed", algorithm.weighed)
        text = _WEIGH.format(weighed="weighed(node, endpoint)" if algorithm.weighed else "")
        composer.define("weigh", "node, endpoint", text)
    reweigh = _REWEIGH.format(unweighted=not algorithm.weighted) if sees else ""
    composer.define("take_note", "", _NOTE.format(reweigh=reweigh, changed="changed()" if algorithm.changed else ""))
    composer.define("learn", "now_us", _LEARN)
    settle = _SETTLE if sees else ""
    opened = "if endpoint >= 0:\n    " + _indented(_OPEN, 4) if sees else ""
    pick = _PICK[affinity, algorithm.delays]
    text = _RUN.format(settle=_indented(settle, 4), pick=_indented(pick, 4), open=_indented(opened, 4))
    composer.define("run", "first, last", text, entry=True)
    composer.define("start", "", ("" if not sees else _FIRST_WEIGHTS) + "take_note()", entry=True)
    entries = ["start", "run"]
    if sees:
        composer.define("resume", "", "take_note()", entry=True)
        entries.append("resume")
    else:
        text = _DELIVER.format(connection="order[place]" if algorithm.delays else "place")
        composer.define("deliver", "first, last", text, entry=True)
        entries.append("deliver")
    return composer.source(), {name: composer.columns_of(name) for name in entries}


_FIRST_WEIGHTS = """
for node in range(tree_overhead.shape[0]):
    for endpoint in range(tree_overhead.shape[1]):
        tree_overhead[node, endpoint] = overhead(0, 0)
"""
