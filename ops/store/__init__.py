"""A real server that speaks S3, and trouble in front of it, for the tests and the proof."""
