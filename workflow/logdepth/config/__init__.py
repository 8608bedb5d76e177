"""Configuration: one definition as pydantic models; schema and default are generated from it."""
