"""How fast and how lean the mathematics is: `make bench-core`, or `python -m ops.bench core`."""
