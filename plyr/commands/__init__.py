"""One module for each command, or for a few that belong together; each is loaded only when it is called."""
