"""Tests: the folders mirror what they test."""
