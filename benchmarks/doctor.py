"""`dltasks doctor` against CleanVision: the time for ten thousand photos, and the planted faults reported.

    python benchmarks/doctor.py FLOWERS [--count 10000] [--side 500]

FLOWERS holds a folder per class. The photos are crops of these, scaled to `side` pixels. Planted are
truncated files, text files named like photos, copies in the same and in another class, photos encoded again
at nine tenths of their size, and photos of a single color. CleanVision (tested: 0.3.7) ends with a
traceback at the first photo that can't be read, so it gets the folder without these. The table shows the
proportion of the planted faults that each tool reports; the last column counts reported copies that were
not planted. Targets: all planted faults, and 10,000 photos within a minute on two cores (taskset -c 0,1).
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from random import Random

from measure import COMMAND, measure_process, write_results
from PIL import Image

PLANTED = 50
"""Number of faults of each kind."""

SEEN_AS = {
    "cut": "unreadable",
    "text": "unreadable",
    "copy": "copies",
    "other class": "copies",
    "again": "copies",
    "blank": "blank",
}
"""Kind of each planted fault, and what it should be reported as."""

CLEANVISION = """
import json, sys
from cleanvision import Imagelab
lab = Imagelab(data_path=sys.argv[1], verbose=False)
lab.find_issues(verbose=False)
issues = lab.issues
groups = [group for kind in ("exact_duplicates", "near_duplicates") for group in lab.info[kind]["sets"]]
blank = sorted(map(str, issues.index[issues["is_low_information_issue"]]))
print(json.dumps({"copies": [str(path) for group in groups for path in group], "blank": blank}))
"""


def plant(flowers: Path, folder: Path, count: int, side: int) -> tuple[dict[str, set[str]], set[str]]:
    """Write the photos and the faults.

    Gives the names of the faults by kind, and of the photos that they were made from.
    """
    random = Random(0)
    sources = sorted(flowers.glob("*/*.jpg"))
    photos = []
    for number in range(count - len(SEEN_AS) * PLANTED):
        source = sources[number % len(sources)]
        target = folder / source.parent.name / f"{number:05}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(source) as image:
            _crop(image, side, random).save(target, quality=90)
        photos.append(target)
    random.shuffle(photos)
    classes = sorted({photo.parent for photo in photos})
    planted: dict[str, set[str]] = {kind: set() for kind in SEEN_AS}
    originals = iter(photos)
    for number in range(PLANTED):
        for kind, source in zip(planted, originals, strict=False):
            other = random.choice([path for path in classes if path != source.parent])
            parent = other if kind == "other class" else source.parent
            target = parent / f"{kind.replace(' ', '')}-x{number:03}.jpg"
            _plant_fault(kind, source, target, random)
            planted[kind].add(str(target.relative_to(folder)))
    return planted, {str(photo.relative_to(folder)) for photo in photos[: len(SEEN_AS) * PLANTED]}


def _crop(image: Image.Image, side: int, random: Random) -> Image.Image:
    """A crop of the photo that is not a near-duplicate of other crops of it."""
    image = image.convert("RGB")
    width, height = (round(length * random.uniform(0.45, 0.7)) for length in image.size)
    left, top = (
        random.randint(0, length - size) for length, size in zip(image.size, (width, height), strict=True)
    )
    image = image.crop((left, top, left + width, top + height)).rotate(random.uniform(-25, 25))
    return image.resize((side, round(side * height / width)))


def _plant_fault(kind: str, source: Path, target: Path, random: Random) -> None:
    if kind == "cut":
        target.write_bytes(source.read_bytes()[: random.randint(700, source.stat().st_size * 2 // 3)])
    elif kind == "text":
        target.write_text("not a photo")
    elif kind in ("copy", "other class"):
        shutil.copy(source, target)
    elif kind == "again":
        with Image.open(source) as image:
            image.resize([length * 9 // 10 for length in image.size]).save(target, quality=60)
    else:
        Image.new("RGB", (300, 200), tuple(random.choices(range(256), k=3))).save(target)


def parse_doctor(output: str) -> dict[str, set[str]]:
    """The names of unreadable, copied and blank photos in the JSON of `dltasks doctor`."""
    items = {finding["kind"]: finding["affected_items"] for finding in json.loads(output)["findings"]}
    groups = [
        group for kind, named in items.items() if "duplicate" in kind or "leakage" in kind for group in named
    ]
    return {
        "unreadable": {item.split(": ")[0] for item in items.get("unreadable", ())},
        "copies": {name for group in groups for name in group.split(" = ")},
        "blank": set(items.get("blank", ())),
    }


def parse_cleanvision(output: str) -> dict[str, set[str]]:
    """The same of CleanVision."""
    issues = json.loads(output.splitlines()[-1])
    return {"unreadable": set(), "copies": set(issues["copies"]), "blank": set(issues["blank"])}


def proportions(
    reported: dict[str, set[str]], planted: dict[str, set[str]], sources: set[str], folder: Path
) -> list[str]:
    """The proportion of each kind that was reported, and the number of other photos reported as copies."""
    names = {
        kind: {str(Path(path).relative_to(folder)) if Path(path).is_absolute() else path for path in paths}
        for kind, paths in reported.items()
    }
    row = [f"{len(faults & names[SEEN_AS[kind]]) / len(faults):.0%}" for kind, faults in planted.items()]
    return [*row, str(len(names["copies"] - sources.union(*planted.values())))]


def main() -> None:
    """Plant the faults, run both tools, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("flowers", type=Path)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve() / "photos"
        planted, sources = plant(options.flowers, folder, options.count, options.side)
        doctor = measure_process(
            [COMMAND, "doctor", str(folder), "--task", "image", "--json"], exit_codes=(0, 1)
        )
        for name in planted["cut"] | planted["text"]:
            (folder / name).unlink()
        cleanvision = measure_process([sys.executable, "-c", CLEANVISION, str(folder)])
        rows = [
            (name, f"{run.wall:.1f}", f"{run.memory:.0f}", *proportions(reported, planted, sources, folder))
            for name, run, reported in (
                ("dltasks doctor", doctor, parse_doctor(doctor.output)),
                ("CleanVision", cleanvision, parse_cleanvision(cleanvision.output)),
            )
        ]
    columns = ("", "seconds", "MB", *planted, "copies beside the planted")
    result = {
        "photos": options.count,
        "ratio": doctor.wall / cleanvision.wall,
        "columns": columns,
        "rows": rows,
    }
    write_results("doctor", result, rows, columns)


if __name__ == "__main__":
    main()
