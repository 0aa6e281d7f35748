"""Laws and cases of the group state machine."""
