"""Single executions, small enough to draw: a module and a table each."""
