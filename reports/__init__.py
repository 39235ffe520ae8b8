"""Example reports, made by one command from the bundled traces."""
