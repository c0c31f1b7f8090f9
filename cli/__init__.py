"""The dltasks command: one file for each command."""
