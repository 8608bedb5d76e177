"""Claims of the paper, each tried on many instances: a module and a table each."""
