"""Data in memory and on disk: batches, columns, tables, labeled files."""
