"""The proof: RELIABILITY, row by row, with real brokers, real processes and real kills."""
