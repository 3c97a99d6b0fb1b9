"""The search for the smallest network that does the job."""
