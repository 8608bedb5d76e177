"""Tracing: from an output back to all that it comes from."""
