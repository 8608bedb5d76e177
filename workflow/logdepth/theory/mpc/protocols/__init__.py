"""Protocols: what each machine computes in each round."""
