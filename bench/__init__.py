"""What is measured, by command: each benchmark prints a ratio to something that was measured in the same run."""
