"""The messages: their types, bytes, contract, and what is refused."""
