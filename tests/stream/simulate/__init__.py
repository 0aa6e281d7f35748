"""Tests of the simulated survey."""
