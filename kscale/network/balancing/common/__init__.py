"""What the algorithms share: columns, the loop over connections, serving, and measures of what came of it."""
