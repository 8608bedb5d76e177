"""What writers and readers of records agree on. Standard library alone."""

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
PROVENANCE = "provenance"
"""Folder of a study that holds its records."""
HISTORY = f"{PROVENANCE}/history.jsonl"
