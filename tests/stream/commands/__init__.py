"""Each command as a user meets it."""
