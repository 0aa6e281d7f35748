"""The messages, their bytes and their JSON Schemas."""
