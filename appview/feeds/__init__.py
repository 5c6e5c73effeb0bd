"""Skeletons: which items are on a page, and after which key the next one begins.

Every order ends in the URI, or is kept as it was; filters run before LIMIT, and one item more than asked for tells
whether there is a next page. Pages go on after a key, never at an offset.
"""
