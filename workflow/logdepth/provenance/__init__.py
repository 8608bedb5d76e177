"""Provenance: what defines an output, and the record of how each one was made.

Nothing here can change a result, so that its source is no part of any definition.
"""
