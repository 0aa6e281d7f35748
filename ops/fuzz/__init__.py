"""A fuzzer for the decoder of warps: whatever the bytes, it does as astropy does, or refuses."""
