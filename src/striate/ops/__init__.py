"""The operator spelled out in plain tensor arithmetic: to learn from, and the reference that tests trust."""
