"""Baselines to beat, data rate, and robustness of a frozen threshold."""
