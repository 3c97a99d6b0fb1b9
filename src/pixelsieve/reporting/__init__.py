"""What people read: tables and figures made from a run's JSON; no new numbers here."""
