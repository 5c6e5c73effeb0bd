"""Identifiers and string formats, one file for each: text in, a typed value or InvalidSyntax out."""
