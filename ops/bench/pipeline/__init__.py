"""What the way of a warp's pixels costs: the real service, watched from outside."""
