"""Training: the step, the loop, what is predicted (task), and what follows from the data (tune)."""
