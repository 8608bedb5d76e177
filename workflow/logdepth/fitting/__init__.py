"""Curve fitting: what each depth solves, and how that grows with depth."""
