"""A lexicon-driven XRPC server: routes, parameters, errors, cursors and limits."""
