"""What runs in a process of its own: `python -m appview.media.workbench` does one job on one file of a stranger, within limits, and ends."""
