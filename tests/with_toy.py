"""The command with the toy task among its tasks: python tests/with_toy.py train toy ..."""

from pathlib import Path

from dltasks import tasks
from dltasks.cli.main import main

TOY_TASKS = Path(__file__).parent / "toy/tasks"

if __name__ == "__main__":
    tasks.__path__.append(str(TOY_TASKS))
    main()
