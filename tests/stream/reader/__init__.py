"""Tests of the reader of whole revisions."""
