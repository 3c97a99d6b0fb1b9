"""The base of all rooms: errors, settings, files, run folders, workers, other programs."""
