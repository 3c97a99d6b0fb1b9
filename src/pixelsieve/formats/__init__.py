"""File formats: one file a format, each read into `Clusters`."""
