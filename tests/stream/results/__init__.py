"""Tests of the kept results."""
