"""Audit: where an output comes from, and whether anybody has touched it since.

Records and histories are read here as what they are to an auditor: files from somebody else. What
verifies needs Python alone, so that it can be carried to any machine: ``python -m audit_trail``.
"""
