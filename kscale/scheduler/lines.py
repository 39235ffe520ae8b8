"""The rows of cohorts and lines (kscale.scheduler.cohorts): the lists that they stand in, and the heap of the woken."""

from __future__ import annotations

from typing import Any

from kscale.engine.clock import SECOND, WOKEN
from kscale.engine.lists import link, unlink
from kscale.kernels import inlined, kernel


@inlined
def _take(free: Any, used: Any, following: Any) -> int:
    """Return a row that is free."""
    row = free[0]
    if row >= 0:
        free[0] = following[row]
    else:
        row = used[0]
        used[0] += 1
    return row


@kernel
def open_cohort(
    now_us: int, level: int, before: int,
    cohort_first_line: Any, cohort_last_line: Any, cohort_pods: Any, cohort_low: Any, cohort_high: Any,
    cohort_level: Any, cohort_tried_us: Any, cohort_tries: Any, cohort_kinds: Any, cohort_woken: Any,
    cohort_next: Any, cohort_previous: Any, cluster_first_cohort: Any, cluster_last_cohort: Any,
    cluster_free_cohort: Any, cluster_cohorts: Any,
) -> int:  # fmt: skip
    """Make an empty cohort behind another in the order of tries; -1 is the front."""
    cohort = _take(cluster_free_cohort, cluster_cohorts, cohort_next)
    cohort_first_line[cohort], cohort_last_line[cohort] = -1, -1
    cohort_pods[cohort], cohort_low[cohort], cohort_high[cohort], cohort_tries[cohort] = 0, 0, 0, 0
    cohort_level[cohort], cohort_tried_us[cohort] = level, now_us
    cohort_kinds[cohort], cohort_woken[cohort] = 0, 0
    link(cohort, before, cohort_next, cohort_previous, cluster_first_cohort, cluster_last_cohort, 0)
    return cohort


@kernel
def close_cohort(
    cohort: int, cohort_next: Any, cohort_previous: Any, cluster_first_cohort: Any, cluster_last_cohort: Any,
    cluster_free_cohort: Any,
) -> None:  # fmt: skip
    """Give up a cohort that has no pods."""
    unlink(cohort, cohort_next, cohort_previous, cluster_first_cohort, cluster_last_cohort, 0)
    cohort_next[cohort] = cluster_free_cohort[0]
    cluster_free_cohort[0] = cohort


@kernel
def open_line(
    cohort: int, template: int, before: int, diagnosis: int, kind: int,
    line_first: Any, line_last: Any, line_pods: Any, line_template: Any, line_cohort: Any, line_next: Any,
    line_previous: Any, line_diagnosis: Any, line_kind: Any, line_fits: Any, cohort_first_line: Any,
    cohort_last_line: Any, cluster_free_line: Any, cluster_lines: Any,
) -> int:  # fmt: skip
    """Make an empty line in a cohort, behind another of its lines; -1 is the front."""
    line = _take(cluster_free_line, cluster_lines, line_next)
    line_first[line], line_last[line], line_pods[line], line_fits[line] = -1, -1, 0, 0
    line_template[line], line_cohort[line] = template, cohort
    line_diagnosis[line], line_kind[line] = diagnosis, kind
    link(line, before, line_next, line_previous, cohort_first_line, cohort_last_line, cohort)
    return line


@kernel
def close_line(
    line: int, line_cohort: Any, line_next: Any, line_previous: Any, cohort_first_line: Any, cohort_last_line: Any,
    cluster_free_line: Any,
) -> None:  # fmt: skip
    """Give up a line that has no pods."""
    unlink(line, line_next, line_previous, cohort_first_line, cohort_last_line, line_cohort[line])
    line_cohort[line] = -1
    line_next[line] = cluster_free_line[0]
    cluster_free_line[0] = line


@kernel
def append_pod(
    pod: int, line: int, pod_line: Any, pod_next: Any, pod_previous: Any, pod_attempts: Any, pod_queue_sequence: Any,
    line_first: Any, line_last: Any, line_pods: Any, line_cohort: Any, cohort_pods: Any, cohort_high: Any,
    cohort_tries: Any,
) -> None:  # fmt: skip
    """Put a pod at the end of the line, which is the end of its cohort."""
    cohort = line_cohort[line]
    pod_line[pod] = line
    link(pod, line_last[line], pod_next, pod_previous, line_first, line_last, line)
    line_pods[line] += 1
    cohort_pods[cohort] += 1
    pod_queue_sequence[pod] = cohort_high[cohort]
    cohort_high[cohort] += 1
    pod_attempts[pod] -= cohort_tries[cohort]


@kernel
def remove_pod(
    pod: int, pod_line: Any, pod_next: Any, pod_previous: Any, pod_attempts: Any, pod_diagnosis: Any, line_first: Any,
    line_last: Any, line_pods: Any, line_cohort: Any, line_diagnosis: Any, cohort_pods: Any, cohort_tries: Any,
) -> int:  # fmt: skip
    """Take a pod out of its line, settle its row, and return the line."""
    line = pod_line[pod]
    cohort = line_cohort[line]
    unlink(pod, pod_next, pod_previous, line_first, line_last, line)
    line_pods[line] -= 1
    cohort_pods[cohort] -= 1
    pod_attempts[pod] += cohort_tries[cohort]
    pod_diagnosis[pod] = line_diagnosis[line]
    pod_line[pod] = -1
    return line


@inlined
def _is_sooner(a: int, b: int, cohort_due_us: Any, cohort_order: Any) -> bool:
    due_a, due_b = cohort_due_us[a], cohort_due_us[b]
    return due_a < due_b or (due_a == due_b and cohort_order[a] < cohort_order[b])


@kernel
def wake_cohort(
    cohort: int, now_us: int, cohort_backoff_us: Any, cohort_woken: Any, cohort_due_us: Any, cohort_order: Any,
    queue_woken: Any, queue_size: Any,
) -> None:  # fmt: skip
    """Have the cohort tried: at once when its back-off is over, else behind all that is to be tried at once."""
    cohort_woken[cohort] = 1
    backoff_us = cohort_backoff_us[cohort]
    cohort_due_us[cohort] = backoff_us if backoff_us >= now_us // SECOND * SECOND else -1
    place = queue_size[WOKEN]
    queue_size[WOKEN] += 1
    while place > 0:
        above = (place - 1) >> 1
        if not _is_sooner(cohort, queue_woken[above], cohort_due_us, cohort_order):
            break
        queue_woken[place] = queue_woken[above]
        place = above
    queue_woken[place] = cohort


@kernel
def pop_cohort(cohort_due_us: Any, cohort_order: Any, queue_woken: Any, queue_size: Any) -> int:
    """Take out and return the woken cohort that comes first; it counts among the woken until it has been tried."""
    first = queue_woken[0]
    size = queue_size[WOKEN] - 1
    cohort, place = queue_woken[size], 0
    while 2 * place + 1 < size:
        child = 2 * place + 1
        if child + 1 < size and _is_sooner(queue_woken[child + 1], queue_woken[child], cohort_due_us, cohort_order):
            child += 1
        if not _is_sooner(queue_woken[child], cohort, cohort_due_us, cohort_order):
            break
        queue_woken[place] = queue_woken[child]
        place = child
    queue_woken[place] = cohort
    return first


@kernel
def move_line(
    line: int, cohort: int, before: int, shift: int, tries: int,
    line_first: Any, line_pods: Any, line_cohort: Any, line_next: Any, line_previous: Any, cohort_first_line: Any,
    cohort_last_line: Any, cohort_pods: Any, pod_next: Any, pod_attempts: Any, pod_queue_sequence: Any,
) -> None:  # fmt: skip
    """Move a line into another cohort; ``shift`` is added to its pods' places, ``tries`` to their attempts."""
    old = line_cohort[line]
    unlink(line, line_next, line_previous, cohort_first_line, cohort_last_line, old)
    line_cohort[line] = cohort
    link(line, before, line_next, line_previous, cohort_first_line, cohort_last_line, cohort)
    cohort_pods[old] -= line_pods[line]
    cohort_pods[cohort] += line_pods[line]
    if shift != 0 or tries != 0:
        pod = line_first[line]
        while pod >= 0:
            pod_queue_sequence[pod] += shift
            pod_attempts[pod] += tries
            pod = pod_next[pod]


@kernel
def couple_lines(
    before: int, after: int,
    pod_line: Any, pod_next: Any, pod_previous: Any, line_first: Any, line_last: Any, line_pods: Any,
) -> int:  # fmt: skip
    """Make one of two lines of a cohort, where one's pods come before the other's; return the one that is left over."""
    pod_next[line_last[before]], pod_previous[line_first[after]] = line_first[after], line_last[before]
    kept, left = (before, after) if line_pods[before] >= line_pods[after] else (after, before)
    pod = line_first[left]
    for _ in range(line_pods[left]):
        pod_line[pod] = kept
        pod = pod_next[pod]
    line_first[kept], line_last[kept] = line_first[before], line_last[after]
    line_pods[kept] += line_pods[left]
    return left


@kernel
def fewer_before(
    line: int, place: int, pod_next: Any, pod_previous: Any, pod_queue_sequence: Any, line_first: Any, line_last: Any
) -> int:
    """Return how many pods of the line come before ``place``; minus how many come after where these are fewer.

    There are some on both sides.
    """
    front, back, steps = line_first[line], line_last[line], 0
    while pod_queue_sequence[front] < place and pod_queue_sequence[back] > place:
        front, back = pod_next[front], pod_previous[back]
        steps += 1
    return steps if pod_queue_sequence[front] > place else -steps


@kernel
def give_pods(
    line: int, other: int, count: int,
    pod_line: Any, pod_next: Any, pod_previous: Any, line_first: Any, line_last: Any, line_pods: Any,
) -> None:  # fmt: skip
    """Give the first pods of a line to another that is empty; the last ones when ``count`` is negative."""
    front = count > 0
    end = line_first[line] if front else line_last[line]
    pod = end
    for step in range(abs(count)):
        if step > 0:
            pod = pod_next[pod] if front else pod_previous[pod]
        pod_line[pod] = other
    if front:
        line_first[line] = pod_next[pod]
        pod_previous[pod_next[pod]], pod_next[pod] = -1, -1
        line_first[other], line_last[other] = end, pod
    else:
        line_last[line] = pod_previous[pod]
        pod_next[pod_previous[pod]], pod_previous[pod] = -1, -1
        line_first[other], line_last[other] = pod, end
    line_pods[line] -= abs(count)
    line_pods[other] += abs(count)


@kernel
def first_fitting(
    cohort: int, cohort_first_line: Any, line_next: Any, line_first: Any, line_fits: Any, pod_queue_sequence: Any
) -> int:
    """Return the first pod of the cohort whose template has a node; -1 where none has."""
    best, line = -1, cohort_first_line[cohort]
    while line >= 0:
        pod = line_first[line]
        if line_fits[line] != 0 and (best < 0 or pod_queue_sequence[pod] < pod_queue_sequence[best]):
            best = pod
        line = line_next[line]
    return best


@kernel
def back_off_cohort(
    cohort: int, now_us: int, cohort_level: Any, cohort_backoff_us: Any, cluster_initial_backoff_us: Any,
    cluster_max_backoff_us: Any,
) -> None:  # fmt: skip
    """Set when the back-off expires (kscale.scheduler.queue.back_off); where it grows no more, the level stays."""
    wait, most = cluster_initial_backoff_us[0], cluster_max_backoff_us[0]
    for step in range(1, cohort_level[cohort]):
        if wait > most - wait:
            wait = most
            cohort_level[cohort] = step + 1
            break
        wait += wait
    cohort_backoff_us[cohort] = (now_us + min(wait, most)) // SECOND * SECOND if most > 0 else -1


@kernel
def to_the_end(
    cohort: int, cohort_next: Any, cohort_previous: Any, cohort_order: Any, cluster_first_cohort: Any,
    cluster_last_cohort: Any, cluster_sequence: Any,
) -> None:  # fmt: skip
    """Put the cohort at the end of the order of tries."""
    unlink(cohort, cohort_next, cohort_previous, cluster_first_cohort, cluster_last_cohort, 0)
    link(cohort, cluster_last_cohort[0], cohort_next, cohort_previous, cluster_first_cohort, cluster_last_cohort, 0)
    cohort_order[cohort] = cluster_sequence[0]
    cluster_sequence[0] += 1
