"""The endpoint of least load per weight, by a tournament tree per node: the choice of a linear scan in log2 E steps.

A scan takes the first endpoint that no later one beats: b beats a if overhead(a) x weight(b) > overhead(b) x weight(a),
Linux's comparison without division. Fractions of positive weights are totally ordered, so the winner of a tournament in
which the left one wins ties is that very endpoint.
"""

from __future__ import annotations

from typing import Any

from kscale.kernels import kernel


@kernel
def winner_of(node: int, left: int, right: int, tree_overhead: Any, tree_weight: Any) -> int:
    """Return the one of two endpoints (-1: none) that has the least load per weight, the left one on ties."""
    if left < 0:
        return right
    if right < 0:
        return left
    if tree_overhead[node, left] * tree_weight[right] > tree_overhead[node, right] * tree_weight[left]:
        return right
    return left


@kernel
def replay(node: int, endpoint: int, tree_winner: Any, tree_overhead: Any, tree_weight: Any) -> None:
    """Play the matches of an endpoint again after its overhead has changed, as far as they may end otherwise."""
    place = (tree_winner.shape[1] >> 1) + endpoint
    while place > 1:
        place >>= 1
        before = tree_winner[node, place]
        won = winner_of(
            node, tree_winner[node, 2 * place], tree_winner[node, 2 * place + 1], tree_overhead, tree_weight
        )
        tree_winner[node, place] = won
        if before != endpoint and won == before:
            return


@kernel
def plant(tree_winner: Any, tree_overhead: Any, tree_weight: Any) -> None:
    """Play all matches of all nodes: after weights have changed."""
    leaves = tree_winner.shape[1] >> 1
    for node in range(tree_winner.shape[0]):
        for endpoint in range(len(tree_weight)):
            tree_winner[node, leaves + endpoint] = endpoint if tree_weight[endpoint] > 0 else -1
        for place in range(leaves - 1, 0, -1):
            tree_winner[node, place] = winner_of(
                node, tree_winner[node, 2 * place], tree_winner[node, 2 * place + 1], tree_overhead, tree_weight
            )
