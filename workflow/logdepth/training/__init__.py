"""Training: one loop, two recipes, exact resume."""
