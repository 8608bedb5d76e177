"""Massively parallel computation, and its translations to transformers and back."""
