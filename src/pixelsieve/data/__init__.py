"""Clusters in physical units, the detector they are from, and how they are split."""
