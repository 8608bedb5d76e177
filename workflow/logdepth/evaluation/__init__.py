"""Evaluation: errors by k on frozen sets, with their intervals."""
