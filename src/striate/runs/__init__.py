"""A run on disk: what was asked (recipe), what happened (folder) and the result (weights)."""
