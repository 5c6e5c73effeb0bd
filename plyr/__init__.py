"""The command line: composes the programs, reads the environment, and is imported by nothing."""
