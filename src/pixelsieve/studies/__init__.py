"""Studies: many trainings, one answer."""
