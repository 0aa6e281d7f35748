"""Tests of the proof, and its rows in quick form."""
