"""Tests of the mathematics and of the group's state machine."""
