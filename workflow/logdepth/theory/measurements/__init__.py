"""What the constructions need, measured: a module and a table each."""
