"""What a study will cost, before anything runs."""
