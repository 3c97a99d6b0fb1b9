"""Damaged files for every reader: a few in tests/test_fuzz.py, many in benchmarks/fuzz.py."""
