"""The capacity report: what a run folder says, as tables, figures and one page."""
