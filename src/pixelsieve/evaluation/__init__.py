"""What a network gains: baselines to beat, data rate, robustness of a frozen threshold."""
