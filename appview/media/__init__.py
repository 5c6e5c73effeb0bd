"""Audio and pictures: kept by content, fetched from the hosts of their authors, verified before they are seen, and streamed by HTTP's rules."""
