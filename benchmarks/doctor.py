"""`dltasks doctor` against CleanVision: ten thousand photos with planted faults, which are found, and the time.

    python benchmarks/doctor.py FLOWERS [--count 10000] [--side 500] [--rounds 3]

FLOWERS holds a folder a class. Photos are crops of these, scaled to `side` pixels. Planted are files cut short, texts under a
photo's name, copies in the same and in another class, the same picture encoded anew at nine tenths of its size, and photos
of one colour. CleanVision (tried: 0.3.7) ends with a traceback at the first photo that can't be read, so it is given the
folder without these. Found is the share of the planted that a tool names; besides is what it calls a copy that was not planted.
Wanted: all planted found, and 10,000 photos in at most a minute on two cores (taskset -c 0,1).
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
from pathlib import Path

from measured import COMMAND, measured, progress
from PIL import Image

PLANTED = 50
"""Of each kind."""

PEER = """
import json, sys
from cleanvision import Imagelab
lab = Imagelab(data_path=sys.argv[1], verbose=False)
lab.find_issues(verbose=False)
issues = lab.issues
pairs = [group for kind in ("exact_duplicates", "near_duplicates") for group in lab.info[kind]["sets"]]
blank = sorted(map(str, issues.index[issues["is_low_information_issue"]]))
print(json.dumps({"copies": [str(each) for group in pairs for each in group], "blank": blank}))
"""


def plant(flowers: Path, place: Path, count: int, side: int) -> tuple[dict[str, set[str]], set[str]]:
    """Make the photos, with faults; gives the names of these by kind, and of the photos that they were made of."""
    draw = random.Random(0)
    sources = sorted(flowers.glob("*/*.jpg"))
    made = []
    for number in range(count - 6 * PLANTED):
        source = sources[number % len(sources)]
        target = place / source.parent.name / f"{number:05}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(source) as image:
            _crop(image, side, draw).save(target, quality=90)
        made.append(target)
    draw.shuffle(made)
    classes = sorted({each.parent for each in made})
    planted = {kind: set() for kind in ("cut", "text", "copy", "other class", "again", "blank")}
    for number in range(PLANTED):
        name = f"x{number:03}.jpg"
        for kind, source in zip(planted, made[6 * number : 6 * number + 6], strict=True):
            other = draw.choice([each for each in classes if each != source.parent])
            target = (other if kind == "other class" else source.parent) / f"{kind.replace(' ', '')}-{name}"
            _spoil(kind, source, target, draw)
            planted[kind].add(str(target.relative_to(place)))
    return planted, {str(each.relative_to(place)) for each in made[: 6 * PLANTED]}


def _crop(image: Image.Image, side: int, draw: random.Random) -> Image.Image:
    """A part of the photo that no other crop of it is a near-copy of."""
    image = image.convert("RGB")
    width, height = (round(length * draw.uniform(0.45, 0.7)) for length in image.size)
    left, top = (
        draw.randint(0, length - part) for length, part in zip(image.size, (width, height), strict=True)
    )
    image = image.crop((left, top, left + width, top + height)).rotate(draw.uniform(-25, 25))
    return image.resize((side, round(side * height / width)))


def _spoil(kind: str, source: Path, target: Path, draw: random.Random) -> None:
    if kind == "cut":
        target.write_bytes(source.read_bytes()[: draw.randint(700, source.stat().st_size * 2 // 3)])
    elif kind == "text":
        target.write_text("not a photo")
    elif kind in ("copy", "other class"):
        shutil.copy(source, target)
    elif kind == "again":
        with Image.open(source) as image:
            image.resize([length * 9 // 10 for length in image.size]).save(target, quality=60)
    else:
        Image.new("RGB", (300, 200), tuple(draw.choices(range(256), k=3))).save(target)


def by_doctor(output: str) -> dict[str, set[str]]:
    """What it calls unreadable, copies and blank, from its JSON."""
    found = {each["kind"]: each["affected_items"] for each in json.loads(output)["findings"]}
    copies = [each for kind, named in found.items() if "identical" in kind for each in named]
    return {
        "unreadable": {each.split(": ")[0] for each in found.get("unreadable", ())},
        "copies": {name for group in copies for name in group.split(" = ")},
        "blank": set(found.get("blank", ())),
    }


def by_peer(output: str) -> dict[str, set[str]]:
    """The same of CleanVision."""
    told = json.loads(output.splitlines()[-1])
    return {"unreadable": set(), "copies": set(told["copies"]), "blank": set(told["blank"])}


def shares(
    found: dict[str, set[str]], planted: dict[str, set[str]], sources: set[str], place: Path
) -> list[str]:
    """The share of each kind that was found, and how many others were called copies."""
    named = {
        kind: {str(Path(each).relative_to(place)) if Path(each).is_absolute() else each for each in names}
        for kind, names in found.items()
    }
    found = [f"{len(names & named[SEEN_AS[kind]]) / len(names):.0%}" for kind, names in planted.items()]
    return [*found, str(len(named["copies"] - sources.union(*planted.values())))]


def main() -> None:
    """Plant, run both, and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("flowers", type=Path)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=500)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder).resolve() / "photos"
        planted, sources = plant(given.flowers, place, given.count, given.side)
        ours = measured([COMMAND, "doctor", str(place), "--task", "image", "--json"], fails=True)
        for name in planted["cut"] | planted["text"]:
            (place / name).unlink()
        peer = measured([sys.executable, "-c", PEER, str(place)])
        table = [
            (name, f"{run.wall:.1f}", f"{run.memory:.0f}", *shares(found, planted, sources, place))
            for name, run, found in (
                ("dltasks doctor", ours, by_doctor(ours.output)),
                ("CleanVision", peer, by_peer(peer.output)),
            )
        ]
    columns = ("", "seconds", "MB", *planted, "copies beside the planted")
    result = {"photos": given.count, "ratio": ours.wall / peer.wall, "columns": columns, "rows": table}
    progress("doctor", result, table, columns)


SEEN_AS = {
    "cut": "unreadable",
    "text": "unreadable",
    "copy": "copies",
    "other class": "copies",
    "again": "copies",
    "blank": "blank",
}

if __name__ == "__main__":
    main()
