"""Training: the step, the loop, what is predicted (task), what follows from the data (defaults)."""
