"""Backups of this installation: a consistent copy of the database, and a note that says what it is."""
