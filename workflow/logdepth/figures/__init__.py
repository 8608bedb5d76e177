"""Figures: each a module with ``prepare``, from tables to tidy data, and ``draw``, to a figure."""
