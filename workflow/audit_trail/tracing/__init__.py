"""Tracing: from an output back to all that it comes from.

``trace`` is where to start; it takes files to the records of a study, ``lineage`` builds the graph,
``narrowing`` reduces it to what some rows come from, ``tree`` and ``page`` show it.
"""
