"""Tracing: from an output back to all that it comes from.

``trace`` takes a file to the records of its study, ``lineage`` collects the files and jobs behind
it, ``show`` puts them into steps for a terminal and for a page.
"""
