"""Methods about accounts."""
