"""A simulated survey whose truth is known."""
