"""A study in the formats of others, and without the names of who made it."""
