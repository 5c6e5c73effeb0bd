"""Methods about lists."""
