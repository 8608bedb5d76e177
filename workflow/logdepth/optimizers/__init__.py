"""Optimisers: AdamW and Muon, with what the training loop needs of each."""
