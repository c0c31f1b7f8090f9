"""The dltasks command: one file a verb."""
