"""A line: pods of one template in a cohort that were turned away for the same reasons, in the order of their places."""

from kscale.state.schema import Column

COLUMNS = (
    Column("first", "int64", "Its first pod.", default=-1),
    Column("last", "int64", "Its last pod.", default=-1),
    Column("pods", "int64", "Pods in it.", "pods"),
    Column("template", "int64", "Their template.", default=-1),
    Column("cohort", "int64", "Its cohort; -1 is free.", default=-1),
    Column("next", "int64", "The line after it in its cohort.", default=-1),
    Column("previous", "int64", "The one before it.", default=-1),
    Column("diagnosis", "int64", "Why its pods did not fit when last tried.", default=-1),
    Column("kind", "int64", "What may help them: see kscale.scheduler.cohorts."),
    Column("fits", "int64", "1 when its template has a node, in the present try of its cohort."),
)
