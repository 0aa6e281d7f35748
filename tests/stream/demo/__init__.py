"""Tests of the demo's night."""
