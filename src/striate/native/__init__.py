"""Kernels of our own in C, compiled once for the processor at hand; without a compiler there are none."""
