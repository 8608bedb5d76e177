"""The command line: one module a stage, with no science in it."""
