"""Training a network: step, loop, schedule, measures."""
