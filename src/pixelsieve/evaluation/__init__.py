"""Evaluation: one definition of every figure of merit, with uncertainties."""
