"""The schema language: load a catalog of lexicons, validate records, parameters and bodies."""
