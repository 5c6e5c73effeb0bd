"""Methods about the index itself: what it holds, how fresh it is, what became of a record."""
