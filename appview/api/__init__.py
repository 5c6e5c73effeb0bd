"""One file per method; the path is the NSID."""
