"""What operates evensky and proves it: no part of what is installed."""
