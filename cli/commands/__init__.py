"""The commands: each file defines one as `command`; the file's first line is its summary in --help."""
