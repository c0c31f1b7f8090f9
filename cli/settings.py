"""Where the settings of a training run come from: a JSON file or a bundle."""

import json


def task_of(arguments: list[str]) -> str | None:
    """The task of the bundle that --like names, if it is among the arguments."""
    for position, each in enumerate(arguments):
        if each.startswith("--like="):
            return _record(each.partition("=")[2])["task"]
        if each == "--like" and position + 1 < len(arguments):
            return _record(arguments[position + 1])["task"]
    return None


def plan_of(task: str, file: str | None, like: str | None):
    """The task's plan as a file or a bundle has it; its own without either."""
    from dltasks import tasks
    from dltasks.errors import SettingError
    from dltasks.plan import changed

    kind = tasks.find(task)
    plan = kind.plan()
    if like:
        record = _record(like)
        if record["task"] != task:
            raise SettingError(f"--like {like}: a bundle of {record['task']}, not of {task}")
        plan = changed(plan, record["plan"])
    if file:
        try:
            with open(file, encoding="utf-8") as opened:
                found = json.load(opened)
        except (OSError, ValueError) as error:
            raise SettingError(f"{file}: not a JSON file of settings ({error})") from error
        if not isinstance(found, dict):
            raise SettingError(f'{file}: wanted one JSON object of settings, as "plan" in a bundle.json')
        plan = changed(plan, found.get("plan", found))
    return plan


def _record(name: str) -> dict:
    from dltasks import bundle
    from dltasks.errors import ModelError

    folder = bundle.find_folder(name)
    if folder is None:
        raise ModelError(f"--like {name}: neither a bundled model nor a bundle folder")
    return bundle.read_record(folder)
