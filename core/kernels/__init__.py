"""Loops over pixels, compiled by numba: arrays in, arrays out, nothing decided.

Each module's kernels call kernels of their own module only: numba's cache notices when the file of
a kernel changes, not when that of a kernel that it calls does.
"""
