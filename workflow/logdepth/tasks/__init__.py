"""Tasks: data as a function of seed and step."""
