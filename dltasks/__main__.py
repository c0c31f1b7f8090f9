"""python -m dltasks is the dltasks command."""

from dltasks.cli.main import main

main()
