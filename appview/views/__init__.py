"""Rows in, JSON objects out. Pure: no clock, no database. One module per lexicon of definitions."""
