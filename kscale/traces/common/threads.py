"""Work that threads do before it is asked for; results come in the order of what they are made of."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar, cast

T = TypeVar("T")
U = TypeVar("U")
#: Items that ``each`` works on at the same time, at most.
AT_ONCE = 4


def ahead(items: Iterator[T]) -> Generator[T, None, None]:
    """Yield ``items``, each made by a thread while the one before is in use; an error comes in its turn."""
    end = object()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, items, end)
            yield cast("T", item)


def each(function: Callable[[T], U], items: Iterable[T]) -> Generator[U, None, None]:
    """Yield what ``function`` returns of each item, in the order of ``items``; threads call it for several at once.

    An error comes in its turn. No more than ``AT_ONCE`` items are held.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        coming: deque[Future[U]] = deque()
        for item in items:
            coming.append(pool.submit(function, item))
            if len(coming) == AT_ONCE:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
