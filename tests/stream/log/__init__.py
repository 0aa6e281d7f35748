"""The logs, held to the seam and to what each promises beyond it."""
