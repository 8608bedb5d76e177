"""The theorems of the paper as running code."""
