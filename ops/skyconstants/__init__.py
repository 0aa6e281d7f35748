"""Simulations of the judgement of the sky: its constants, and what it finds of planted faults."""
