"""Placeholder."""
def serve():
    return {}
