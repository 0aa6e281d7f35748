"""What operates evensky does what it says."""
