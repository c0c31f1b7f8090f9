"""Data sets: batches, columns, tables, labeled files, near-duplicates."""
