"""A cohort: pods that wait and were last tried in one go, so that they have failed as often and back off as long."""

from kscale.state.schema import Column

COLUMNS = (
    Column("first_line", "int64", "First of its lines.", default=-1, dims=("line",)),
    Column("last_line", "int64", "Last of its lines.", default=-1, dims=("line",)),
    Column("pods", "int64", "Pods in it.", "pods", dims=("line",)),
    Column("low", "int64", "The places of its pods begin here.", dims=("line",)),
    Column("high", "int64", "And end before this.", dims=("line",)),
    Column("level", "int64", "Failed tries, up to the one from which the back-off grows no more.", dims=("line",)),
    Column("backoff_us", "int64", "When its back-off expires, in whole seconds.", "us", dims=("line",)),
    Column("tried_us", "int64", "When it was last tried.", "us", dims=("line",)),
    Column("tries", "int64", "Its tries: those of a pod are these and what the pod's row holds.", dims=("line",)),
    Column("kinds", "int64", "Kinds of its lines: see kscale.scheduler.cohorts.", dims=("line",)),
    Column("woken", "int64", "1 when it is to be tried.", dims=("line",)),
    Column("due_us", "int64", "Once woken: the end of its back-off, or -1 when that is over.", "us", dims=("line",)),
    Column("order", "int64", "Its number in the order of last tries.", dims=("line",)),
    Column("next", "int64", "The cohort after it in that order.", default=-1, dims=("line",)),
    Column("previous", "int64", "The one before it.", default=-1, dims=("line",)),
)
