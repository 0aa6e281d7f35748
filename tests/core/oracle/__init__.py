"""Twins of the kernels in numpy alone: what core did before it had kernels, bits and all."""
