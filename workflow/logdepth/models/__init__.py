"""Models: an architecture is a value."""
