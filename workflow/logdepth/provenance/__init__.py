"""Provenance: what defines an output of ours, and what its record says.

Nothing here can change a result, so that its source is no part of any definition.
"""
