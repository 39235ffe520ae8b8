"""How endpoints serve: lives, a limit at once with a queue first come first served, slow starts, deaths."""

from __future__ import annotations

from typing import Any

from kscale.kernels import kernel
from kscale.network.balancing.common.heaps import push, replace_least


@kernel
def life_at(endpoint: int, time_us: int, endpoint_life_first: Any, life_born_us: Any, life_dies_us: Any) -> int:
    """Return the life of an endpoint at an instant, -1 where it is dead; at the instant of its death it is."""
    low, high = endpoint_life_first[endpoint], endpoint_life_first[endpoint + 1]
    while low < high:
        middle = (low + high) >> 1
        if life_dies_us[middle] <= time_us:
            low = middle + 1
        else:
            high = middle
    if low < endpoint_life_first[endpoint + 1] and life_born_us[low] <= time_us:
        return low
    return -1


@kernel
def serve(
    connection: int, endpoint: int, reached_us: int, connection_arrival_us: Any, connection_duration_us: Any,
    connection_wait_us: Any, endpoint_limit: Any, endpoint_server_first: Any, server_free_us: Any,
    endpoint_life_first: Any, life_born_us: Any, life_dies_us: Any, endpoint_connections: Any, endpoint_busy_us: Any,
    endpoint_lost: Any, endpoint_lost_first_us: Any, endpoint_lost_last_us: Any, endpoint_broken: Any,
    run_slow_start_us: Any, run_slow_start_milli: Any,
) -> int:  # fmt: skip
    """Let an endpoint take a connection; return when it ends, us, or -1 where nobody is there to serve it.

    With a limit, the connection starts when the first of so many servers is free. A death cuts off what is served and
    what waits. An endpoint serves slower, ``run_slow_start_milli`` thousandths of the duration, what it starts within
    ``run_slow_start_us`` of its birth.
    """
    life = life_at(endpoint, reached_us, endpoint_life_first, life_born_us, life_dies_us)
    if life < 0:
        connection_wait_us[connection] = -1
        endpoint_lost[endpoint] += 1
        endpoint_lost_first_us[endpoint] = min(endpoint_lost_first_us[endpoint], reached_us)
        endpoint_lost_last_us[endpoint] = max(endpoint_lost_last_us[endpoint], reached_us)
        return -1
    endpoint_connections[endpoint] += 1
    limit, first = endpoint_limit[endpoint], endpoint_server_first[endpoint]
    start = max(reached_us, server_free_us[first]) if limit > 0 else reached_us
    duration = connection_duration_us[connection]
    if start - life_born_us[life] < run_slow_start_us[0]:
        milli = run_slow_start_milli[0]
        duration = duration // 1000 * milli + duration % 1000 * milli // 1000
    dies = life_dies_us[life]
    end = start + duration
    if end > dies:
        endpoint_broken[endpoint] += 1
        end = dies
    if start >= dies:
        connection_wait_us[connection] = -1
        return end
    connection_wait_us[connection] = start - connection_arrival_us[connection]
    endpoint_busy_us[endpoint] += end - start
    if limit > 0:
        replace_least(server_free_us, first, limit, end)
    return end


@kernel
def forget_ended(times: Any, first: int, count: int, now_us: int) -> int:
    """Take the ends that have come out of the heap at ``first``; return how many are left."""
    while count > 0 and times[first] <= now_us:
        count -= 1
        replace_least(times, first, count, times[first + count])
    return count


@kernel
def room_left(
    endpoint: int, now_us: int, room_end_us: Any, room_first: Any, room_size: Any, endpoint_active: Any
) -> bool:  # fmt: skip
    """Let an endpoint's connections end that are due; return whether there is room for one more."""
    endpoint_active[endpoint] = forget_ended(room_end_us, room_first[endpoint], endpoint_active[endpoint], now_us)
    return endpoint_active[endpoint] < room_size[endpoint]


@kernel
def note_end(
    endpoint: int, end_us: int, room_end_us: Any, room_first: Any, endpoint_active: Any, endpoint_most_active: Any
) -> None:  # fmt: skip
    """Add an open connection of an endpoint to its heap, in which there is room."""
    push(room_end_us, room_first[endpoint], endpoint_active[endpoint], end_us)
    endpoint_active[endpoint] += 1
    endpoint_most_active[endpoint] = max(endpoint_most_active[endpoint], endpoint_active[endpoint])
