"""The life of a group as one pure, total step."""
