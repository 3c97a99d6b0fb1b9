"""What everything stands on: errors, settings, files, run folders, workers, other programs."""
