"""The astronomer's guide, and what computes its figures: ``python -m ops.guide``."""
