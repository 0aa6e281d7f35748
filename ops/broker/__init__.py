"""A Kafka broker for the tests and for a first try."""
