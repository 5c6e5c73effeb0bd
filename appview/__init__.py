"""Carry rows up into JSON: the XRPC methods that our lexicons define."""
