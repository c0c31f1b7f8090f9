"""The dltasks command, as python -m dltasks."""

from dltasks.cli.main import main

main()
