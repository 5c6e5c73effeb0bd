"""Placeholder."""


def serve():
    return {}
