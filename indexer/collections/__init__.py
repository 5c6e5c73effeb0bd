"""One file per collection: a valid record in, the rows that show it out. No I/O."""
