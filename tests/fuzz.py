"""Fuzzed files: small good ones cut, flipped, doubled and falsified, reproducible from kind, number and seed.

make("photo", 17) makes a case again from its name. test_fuzz.py runs them; tests/fuzz_runner.py runs more.
"""

import gzip
import io
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import data_summary
import fuzz_bundles
import numpy as np
import sounds
from drawings import draw
from PIL import Image

from dltasks.data import tables

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "samples"
KINDS = ("photo", "sound", "table", "text", "network", "manifest", "bundle", "file")
EXTENSIONS = {
    "photo": (".jpg", ".png", ".webp", ".gif", ".bmp", ".tif"),
    "sound": (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".au"),
    "table": (".csv", ".csv.gz", ".tsv", ".parquet", ".jsonl", ".jsonl.gz"),
    "text": (".txt", ".md", ".html"),
}


@dataclass(frozen=True)
class Case:
    """A fuzzed input.

    Attributes:
        name: Kind, number and seed, from which it is made again.
        description: What was done to a good file.
        files: Contents by name, the input first; a Path is a link to it.
        base: The bundle that the files are laid over.
    """

    name: str
    description: str
    files: dict[str, bytes | Path]
    base: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.description})"


def make(kind: str, number: int, seed: int = 0) -> Case:
    """The case of this number: first those written by hand, then mutated good files."""
    random, name = np.random.default_rng((seed, KINDS.index(kind), number)), f"{kind}/{number}/{seed}"
    if kind in fuzz_bundles.KINDS:
        return Case(name, *fuzz_bundles.make(kind, number, random, mutate))
    crafted = CRAFTED[kind]()
    if number < len(crafted):
        description, content = list(crafted.items())[number]
        return Case(name, description, {description: content() if callable(content) else content})
    samples = GOOD[kind]()
    sample = list(samples)[number % len(samples)]
    if sample.endswith(".gz") and random.random() < 0.7:
        mutations, content = mutate(gzip.decompress(samples[sample]), random, list(samples.values()))
        content = gzip.compress(content, mtime=0)
    else:
        mutations, content = mutate(samples[sample], random, list(samples.values()))
    file = sample
    if random.random() < 0.05:
        file = "renamed" + str(random.choice(EXTENSIONS[kind]))
    return Case(name, f"{sample} as {file}, {mutations}", {file: content})


def mutate(content: bytes, random: np.random.Generator, others: list[bytes]) -> tuple[str, bytes]:
    """Names of the mutations of a file, and the mutated file."""
    names, mutated = [], content
    for _ in range(int(random.choice([1, 1, 1, 2, 3]))):
        name = list(MUTATIONS)[int(random.integers(len(MUTATIONS)))]
        mutated = MUTATIONS[name](mutated, random, others)
        names.append(name)
    return ", ".join(names), mutated


def _random_offset(content: bytes, random) -> int:
    """An offset, mostly near the start or the end, where headers are."""
    edge = min(len(content), 400)
    first, last = [(0, len(content)), (0, edge), (len(content) - edge, len(content))][
        int(random.choice([0, 1, 1, 2]))
    ]
    return int(random.integers(first, max(first + 1, last)))


def _cut(content, random, _):
    return content[: _random_offset(content, random)]


def _cut_start(content, random, _):
    return content[min(_random_offset(content, random), 64) :]


def _flip_bits(count: int) -> Callable:
    def flip(content, random, _):
        changed = bytearray(content)
        for _ in range(count if content else 0):
            changed[_random_offset(content, random)] ^= 1 << int(random.integers(8))
        return bytes(changed)

    return flip


def _fill(value: int) -> Callable:
    def fill(content, random, _):
        at, length = _random_offset(content, random), int(random.integers(1, 200))
        return content[:at] + bytes([value]) * min(length, len(content) - at) + content[at + length :]

    return fill


def _replace_number(content, random, _):
    """Replace four bytes by a false size."""
    at = _random_offset(content, random)
    value = int(random.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x00FFFFFF, 65536]))
    packed = struct.pack("<I" if random.random() < 0.5 else ">I", value)
    return content[:at] + packed + content[at + 4 :]


def _double(content, random, _):
    at, length = _random_offset(content, random), int(random.integers(1, 2000))
    return content[: at + length] + content[at:]


def _leave_out(content, random, _):
    at, length = _random_offset(content, random), int(random.integers(1, 500))
    return content[:at] + content[at + length :]


def _swap(content, random, _):
    one, other = sorted((_random_offset(content, random), _random_offset(content, random)))
    return content[:one] + content[other:] + content[one:other]


def _splice(content, random, others):
    other = others[int(random.integers(len(others)))]
    return content[: _random_offset(content, random)] + other[_random_offset(other, random) :]


def _append(content, random, others):
    return content + others[int(random.integers(len(others)))]


MUTATIONS: dict[str, Callable] = {
    "cut short": _cut,
    "the start lost": _cut_start,
    "a bit flipped": _flip_bits(1),
    "8 bits flipped": _flip_bits(8),
    "60 bits flipped": _flip_bits(60),
    "zeros in it": _fill(0),
    "ones in it": _fill(255),
    "a number replaced": _replace_number,
    "a stretch doubled": _double,
    "a stretch left out": _leave_out,
    "stretches swapped": _swap,
    "another file's end": _splice,
    "another file behind": _append,
}


# --- photos


@cache
def photos() -> dict[str, bytes]:
    """Good files of every supported format."""
    drawn = draw("disc", 1)
    with Image.open(SAMPLES / "image/cat.jpg") as opened:
        cat = opened.resize((120, 90))
    exif = Image.Exif()
    exif[0x0112] = 6
    gray16 = Image.fromarray((np.arange(60 * 50, dtype=np.uint16) * 20).reshape(50, 60))
    frames = {"save_all": True, "append_images": [draw("square", 2), draw("stripes", 3)]}
    return {
        "cat.jpg": _save(cat, "JPEG"),
        "turned.jpg": _save(cat, "JPEG", exif=exif),
        "progressive.jpg": _save(cat, "JPEG", progressive=True),
        "cmyk.jpg": _save(cat.convert("CMYK"), "JPEG"),
        "rgb.png": _save(drawn, "PNG"),
        "rgba.png": _save(cat.convert("RGBA"), "PNG", exif=exif),
        "palette.png": _save(cat.quantize(16), "PNG", transparency=0),
        "gray16.png": _save(gray16, "PNG"),
        "lossy.webp": _save(cat, "WEBP"),
        "lossless.webp": _save(cat.convert("RGBA"), "WEBP", lossless=True),
        "moving.webp": _save(drawn, "WEBP", **frames),
        "moving.gif": _save(drawn.quantize(), "GIF", **frames),
        "rgb.bmp": _save(drawn, "BMP"),
        "lzw.tif": _save(cat, "TIFF", compression="tiff_lzw"),
        "jpeg.tif": _save(cat, "TIFF", compression="jpeg"),
        "float.tif": _save(cat.convert("F"), "TIFF"),
    }


def _save(image: Image.Image, form: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


@cache
def crafted_photos() -> dict[str, bytes]:
    """Photos that claim to be large, or unpack to large ones."""
    good = photos()
    jpeg = bytearray(good["cat.jpg"])
    at = jpeg.find(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = struct.pack(">HH", 65500, 65500)
    gif = bytearray(good["moving.gif"])
    gif[6:10] = struct.pack("<HH", 65535, 65535)
    bmp = bytearray(good["rgb.bmp"])
    bmp[18:26] = struct.pack("<ii", 100_000, -100_000)
    webp = bytearray(good["moving.webp"])
    webp[24:30] = b"\xfe\xff\xfe" * 2
    return {
        "a billion pixels.png": png(100_000, 100_000, 2, b"\0" * 1000),
        "none.png": png(0, 0, 2, b""),
        "two billion wide.png": png(2**31 - 1, 1, 2, b"\0" * 100),
        "a bomb of gray.png": lambda: png(11_000, 11_000, 0, rows=11_001),
        "a bomb with transparency.png": lambda: png(6_500, 6_500, 6, rows=4 * 6_500 + 1),
        "a bomb of gray and transparency.png": lambda: png(11_000, 11_000, 4, rows=2 * 11_000 + 1),
        "a bomb of 16 bits.png": lambda: png(8_000, 8_000, 0, rows=2 * 8_000 + 1, bits=16),
        "a wide bomb.png": lambda: png(2_000_000, 60, 6, rows=4 * 2_000_000 + 1),
        "chunks of text.png": lambda: with_chunks(b"zTXt", b"key\0\0" + zlib.compress(b"\0" * 50_000_000), 3),
        "a profile that unpacks.png": lambda: with_chunks(
            b"iCCP", b"key\0\0" + zlib.compress(b"\0" * 300_000_000), 1
        ),
        "a hundred thousand chunks.png": lambda: with_chunks(b"tEXt", b"key\0x", 100_000),
        "large.jpg": bytes(jpeg),
        "large.gif": bytes(gif),
        "large.bmp": bytes(bmp),
        "large.webp": bytes(webp),
        "a bomb.webp": lambda: _save(
            Image.new("RGBA", (7_000, 7_000)), "WEBP", lossless=True, method=0, quality=0
        ),
        "a bomb.tif": lambda: _save(Image.new("RGBA", (7_000, 7_000)), "TIFF", compression="tiff_lzw"),
        "a bomb of numbers.tif": lambda: _save(
            Image.new("F", (6_500, 6_500)), "TIFF", compression="tiff_adobe_deflate"
        ),
        "scans without end.jpg": lambda: scans(5_000),
        "nothing.jpg": b"",
        "one byte.png": b"\x89",
        "text.jpg": b"not a photo" * 50,
        "a program.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
        b"%%EndComments\n(x) run\nshowpage\n",
        "an archive.png": gzip.compress(b"a" * 1000),
    }


def png(width: int, height: int, colors: int, data: bytes = b"", rows: int = 0, bits: int = 8) -> bytes:
    """A PNG. rows: bytes of a row, all zeros."""
    if rows:
        packer = zlib.compressobj(1)
        data = b"".join([*(packer.compress(bytes(rows)) for _ in range(height)), packer.flush()])
    else:
        data = zlib.compress(data)
    header = struct.pack(">IIBBBBB", width, height, bits, colors, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def with_chunks(name: bytes, data: bytes, count: int) -> bytes:
    """A good PNG with more chunks before its pixels."""
    good = photos()["rgb.png"]
    return good[:33] + _chunk(name, data) * count + good[33:]


def scans(count: int) -> bytes:
    """A progressive JPEG of 60 megapixels whose last scan is repeated."""
    good = _save(Image.new("L", (10_000, 6_000)), "JPEG", progressive=True)
    last = good.rfind(b"\xff\xda")
    return good[:last] + good[last:-2] * count + good[-2:]


# --- sounds


@cache
def recordings() -> dict[str, bytes]:
    """Good files of every supported format."""
    import soundfile

    whistle = sounds.whistle("rise", 1)
    two = np.stack([whistle, -whistle], axis=1)
    kinds = {
        "16.wav": (whistle, "WAV", "PCM_16"),
        "24.wav": (two, "WAV", "PCM_24"),
        "float.wav": (whistle, "WAV", "FLOAT"),
        "law.wav": (whistle, "WAV", "ULAW"),
        "adpcm.wav": (whistle, "WAV", "MS_ADPCM"),
        "gsm.wav": (whistle, "WAV", "GSM610"),
        "two.flac": (two, "FLAC", "PCM_16"),
        "vorbis.ogg": (whistle, "OGG", "VORBIS"),
        "opus.ogg": (whistle, "OGG", "OPUS"),
        "one.mp3": (whistle, "MP3", "MPEG_LAYER_III"),
        "one.aiff": (whistle, "AIFF", "PCM_16"),
        "one.au": (whistle, "AU", "PCM_16"),
    }
    files = {"yes.flac": (SAMPLES / "speech/yes.flac").read_bytes()}
    for name, (samples, form, kind) in kinds.items():
        file = io.BytesIO()
        rate = 44_100 if name == "24.wav" else sounds.RATE
        soundfile.write(file, samples, rate, format=form, subtype=kind)
        files[name] = file.getvalue()
    return files


def wav(rate=16_000, channels=1, bits=16, length=None, data=b"\1\0" * 800, form=1) -> bytes:
    """A WAV file with this header."""
    block = (channels * bits // 8) & 0xFFFF
    header = struct.pack("<HHIIHH", form, channels & 0xFFFF, rate, (rate * block) & 0xFFFFFFFF, block, bits)
    length = len(data) if length is None else length
    body = b"WAVEfmt " + struct.pack("<I", 16) + header + b"data" + struct.pack("<I", length) + data
    return b"RIFF" + struct.pack("<I", (4 + len(body)) & 0xFFFFFFFF) + body


@cache
def crafted_recordings() -> dict[str, bytes]:
    """False headers, and long recordings in few bytes."""
    numbers = np.full(1600, np.nan, np.float32).tobytes()
    files = {f"{rate} hertz.wav": wav(rate) for rate in (0, 1, 1999, 2000, 768_000, 2**31 - 1, 2**32 - 1)}
    files |= {
        f"{count} channels.wav": wav(channels=count, data=b"\1\0" * 4096) for count in (0, 256, 1024, 65_535)
    }
    files |= {
        f"{rate} hertz in {count} channels.wav": wav(rate, count, data=b"\1\0" * 9000)
        for rate in (192_000, 768_000)
        for count in (64, 1024)
    }
    files |= {f"{bits} bits.wav": wav(bits=bits) for bits in (0, 1, 7, 12, 64, 65_535)}
    files |= {f"form {form}.wav": wav(form=form) for form in (0, 2, 3, 17, 85, 65_534)}
    return files | {
        "four gigabytes.wav": wav(length=2**32 - 1),
        "odd.wav": wav(data=b"\1" * 801),
        "no samples.wav": wav(data=b""),
        "no numbers.wav": wav(bits=32, form=3, data=numbers),
        "more chunks.wav": wav()[:36] + b"LIST\xff\xff\xff\xff" * 5000,
        "chunks of nothing.wav": lambda: wav()[:12] + b"junk\0\0\0\0" * 200_000,
        "an hour of nothing.flac": lambda: silent_flac(16_000 * 3600),
        "a frame again and again.flac": lambda: flac_bomb(4000),
        "a billion samples.flac": _flac_length(2**36 - 1),
        "no length.flac": _flac_length(0),
        "nothing.wav": b"",
        "one byte.flac": b"f",
        "text.wav": b"not a sound" * 50,
        "an archive.ogg": gzip.compress(b"a" * 1000),
        "only pages.ogg": recordings()["vorbis.ogg"][:58] * 3000,
        "tags.mp3": b"ID3\4\0\0\x7f\x7f\x7f\x7f" + b"\0" * 1000,
        "frames of noise.mp3": b"\xff\xfb\x90\x00" * 20_000,
    }


def silent_flac(count: int) -> bytes:
    """A FLAC file of `count` silent samples."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, np.zeros(count, np.int16), 16_000, format="FLAC")
    return file.getvalue()


def flac_bomb(count: int) -> bytes:
    """`count` frames of 65,535 samples of silence, a dozen bytes each."""
    info = struct.pack(">HH", 65_535, 65_535) + b"\0" * 6
    info += (16_000 << 44 | 15 << 36 | count * 65_535).to_bytes(8, "big") + b"\0" * 16
    frames = b"".join(_flac_frame(number) for number in range(count))
    return b"fLaC" + b"\x80" + len(info).to_bytes(3, "big") + info + frames


def _flac_frame(number: int) -> bytes:
    coded = chr(number).encode("utf-8", "surrogatepass") if number > 127 else bytes([number])
    head = b"\xff\xf8\x70\x08" + coded + struct.pack(">H", 65_534)
    head += bytes([_crc(head, 0x07, 8)])
    frame = head + b"\0\0\0"
    return frame + struct.pack(">H", _crc(frame, 0x8005, 16))


def _crc(content: bytes, polynomial: int, bits: int) -> int:
    value, top = 0, 1 << (bits - 1)
    for byte in content:
        value ^= byte << (bits - 8)
        for _ in range(8):
            value = ((value << 1) ^ (polynomial if value & top else 0)) & ((1 << bits) - 1)
    return value


def _flac_length(count: int) -> bytes:
    content = bytearray(recordings()["yes.flac"])
    packed = int.from_bytes(content[18:26], "big") >> 36 << 36 | count
    content[18:26] = packed.to_bytes(8, "big")
    return bytes(content)


# --- tables


@cache
def good_tables() -> dict[str, bytes]:
    """Transactions in every supported format, an index of photos, and texts with summaries."""
    import polars as pl

    tomorrow = (SAMPLES / "fraud/tomorrow.csv").read_bytes()
    labeled = (SAMPLES / "fraud/transactions.csv").read_bytes()
    frame = pl.read_csv(labeled, try_parse_dates=True).tail(400)
    lines = labeled.splitlines(keepends=True)
    pairs = "".join(json.dumps(pair) + "\n" for pair in data_summary.pairs(20)).encode()
    files = {
        "tomorrow.csv": tomorrow,
        "labeled.csv": lines[0] + b"".join(lines[-400:]),
        "tomorrow.tsv": tomorrow.replace(b",", b"\t"),
        "tomorrow.csv.gz": gzip.compress(tomorrow, mtime=0),
        "pairs.jsonl": pairs,
        "index.csv": b"path,label,split\n" + b"".join(b"%d.jpg,%d,train\n" % (i, i % 3) for i in range(40)),
        "tomorrow.jsonl": pl.read_csv(tomorrow).write_ndjson().encode(),
    }
    for name in ("snappy", "zstd", "uncompressed"):
        file = io.BytesIO()
        frame.write_parquet(file, compression=name)
        files[f"{name}.parquet"] = file.getvalue()
    files["tomorrow.jsonl.gz"] = gzip.compress(files["tomorrow.jsonl"], mtime=0)
    return files


@cache
def crafted_tables() -> dict[str, bytes]:
    """Tables that unpack without end, and cells without a meaning."""
    head = b"id,time,customer,terminal,amount,fraud\n"
    row = b"1,2018-08-01 10:00:00,c1,t1,12.5,0\n"
    nested = b"[" * 100_000 + b"]" * 100_000
    files = {
        "a bomb.csv.gz": lambda: gzip_repeated(head, b"1," * 500_000, 400),
        "a bomb of lines.csv.gz": lambda: gzip_repeated(head, b"\n" * 1_000_000, 400),
        "a bomb in a bomb.csv.gz": lambda: gzip.compress(gzip.compress(b"\0" * 10_000_000)),
        "many members.csv.gz": lambda: gzip.compress(b"", mtime=0) * 20_000,
        "a million columns.csv": lambda: b",".join(b"c%d" % i for i in range(1_000_000)) + b"\n1\n",
        "half a million empty columns.csv": lambda: b"," * 500_000 + b"\n" + b"," * 500_000 + b"\n",
        "a long line.csv": head + b"x" * 5_000_000,
        "only commas.csv": b",,,,\n" * 1000,
        "equal names.csv": b"time,time,time\n1,2,3\n",
        "our own names.csv": b"_file,_row,_moment,_amount,_random_offset,_key\n1,2,3,4,5,6\n",
        "a lone quote.csv": head + b'1,"2018\n' * 1000,
        "quotes in quotes.csv": head + b'"""""""' * 1000 + b"\n",
        "zeros.csv": b"\0" * 5000,
        "zeros far in.csv": head + row * 300 + b"\0" * 100 + row,
        "a zero in a name.csv": b"path,label\na\0b.jpg,x\nc.jpg,y\n",
        "a name without end.csv": b"path,label\n" + b"a/" * 5000 + b".jpg,x\nc.jpg,y\n",
        "a way out.csv": b"path,label\n../../../../etc/passwd,x\n/dev/zero,y\n/dev/stdin,y\n",
        "nested.jsonl": b'{"text": ' + nested + b"}\n",
        "nested objects.jsonl": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        "kinds.jsonl": b'{"text": 1, "summary": []}\n{"text": {"a": 1}, "summary": [[1]]}\n{"text": null}\n',
        "no object.jsonl": b'{"text": "a"}\n[1, 2]\n',
        "numbers.jsonl": b'{"amount": 1e999, "time": NaN}\n{"amount": ' + b"9" * 5000 + b"}\n",
        "garbage.jsonl": b"{" + bytes(range(256)) * 20,
        "only magic.parquet": b"PAR1PAR1",
        "no footer.parquet": b"PAR1" + b"\0" * 100 + b"\xff\xff\xff\x7fPAR1",
        "not one.parquet": head + row,
        "utf-16.csv": (head + row).decode().encode("utf-16"),
        "a byte order mark.csv": b"\xef\xbb\xbf",
        "a header.csv": head,
        "nothing.csv": b"",
        "spaces.csv": b" \n \t\r\n" * 100,
        "return.csv": head.replace(b"\n", b"\r") + row.replace(b"\n", b"\r"),
    }
    for name, cell in CRAFTED_CELLS.items():
        for index, column in enumerate(("id", "time", "customer", "terminal", "amount", "fraud")):
            cells = row.strip().split(b",")
            cells[index] = cell
            files[f"{column} is {name}.csv"] = (
                head + row + b",".join(cells) + b"\n" + row.replace(b"1,", b"2,", 1)
            )
    return files | parquets()


def gzip_repeated(head: bytes, part: bytes, count: int) -> bytes:
    """A .gz of a text and a part repeated `count` times."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join([packer.compress(head), *(packer.compress(part) for _ in range(count)), packer.flush()])


CRAFTED_CELLS = {
    "nothing": b"",
    "huge": b"1e308",
    "beyond all": b"1e400",
    "negative": b"-1",
    "no number": b"nan",
    "infinity": b"-inf",
    "a long number": b"9" * 400,
    "64 bits": b"9223372036854775807",
    "65 bits": b"18446744073709551616",
    "a bell": b"\x07\x1b[31m",
    "no text": b"\xff\xfe",
    "a formula": b'"=cmd()"',
    "the year 0": b"0000-01-01 00:00:00",
    "the year 9999": b"9999-12-31 23:59:59",
    "the year 292277": b"+292277-01-01 00:00:00",
    "a leap second": b"2016-12-31 23:59:60",
    "a strange zone": b"2018-08-01 10:00:00+99:99",
    "lines": b'"a\nb\nc"',
}


@cache
def parquets() -> dict[str, bytes]:
    """Column types that no table of transactions has, and many rows in few bytes."""
    import polars as pl

    frames = {
        "rows of nothing": pl.DataFrame({"amount": pl.repeat(0, 100_000_000, dtype=pl.Int8, eager=True)}),
        "lists": pl.DataFrame({"time": [[1], [2]], "amount": [{"a": 1}, {"a": 2}], "fraud": [0, 1]}),
        "bytes": pl.DataFrame({"time": [b"\xff", b"a"], "amount": [b"1", b"2"], "fraud": [b"0", b"1"]}),
        "durations": pl.DataFrame({"time": [1, 2], "amount": [1, 2]}).cast(pl.Duration("us")),
        "times": pl.DataFrame({"time": [1, 2], "amount": [1, 2]}).cast(pl.Time),
        "decimals": pl.DataFrame({"time": [1, 2], "amount": [1, 2]}).cast(pl.Decimal(38, 10)),
        "date_order": pl.DataFrame({"time": [-(2**31), 2**31 - 1], "amount": [1, 2]}).cast(
            pl.Date, strict=False
        ),
        "nulls": pl.DataFrame({"time": [None, None], "amount": [None, None], "fraud": [None, None]}),
        "moments": pl.DataFrame({"time": [-(2**63), 2**63 - 1], "amount": [1, 2], "fraud": [0, 1]}).cast(
            {"time": pl.Datetime("us")}
        ),
    }
    files = {}
    for name, frame in frames.items():
        file = io.BytesIO()
        frame.write_parquet(file)
        files[f"{name}.parquet"] = file.getvalue()
    return files


# --- texts


@cache
def good_texts() -> dict[str, bytes]:
    """Texts in every supported format."""
    text = (SAMPLES / "summary/abstract.txt").read_text(encoding="utf-8")
    marked = (SAMPLES / "summary/lighthouse.md").read_bytes()
    paragraphs = "".join(f"<p>{paragraph}</p>" for paragraph in [text] * 2)
    head = "<!doctype html><html><head><title>a</title></head>"
    page = f"{head}<body><main><h1>b</h1>{paragraphs}</main></body></html>"
    return {
        "abstract.txt": text.encode(),
        "lighthouse.md": marked,
        "page.html": page.encode(),
        "utf-16.txt": text.encode("utf-16"),
        "latin.txt": f"Déjà vu, à l'été. {text}".encode("latin-1", "replace"),
    }


@cache
def crafted_texts() -> dict[str, bytes]:
    """Texts that slow regular expressions and parsers down."""
    long = {
        "lines": "\n",
        "spaces": " ",
        "blank lines": "\n \n\t",
        "one word": "a",
        "dots": ".",
        "words with dots": "a.",
        "digits": "1",
        "dashes": "-",
        "quotes": "> ",
        "signatures": "-- \n",
        "signatures with text": "-- \na\n\n \n",
        "headers": "From: a\n",
        "colons": "A:\n ",
        "list": "- ",
        "numbers": "1. ",
        "brackets": "[",
        "closed brackets": "](",
        "links": "[a](b)  ",
        "stars": "*",
        "stars and words": "*a ",
        "underlines": "_a",
        "ticks": "`",
        "hashes": "# ",
        "tables": "|",
        "rows": "|a|b|\n|-|-|\n",
        "abbreviations": "Mr. ",
        "apostrophes": "'s n't ",
        "addresses": "a@b.c ",
        "marks": "e\u0301\u0301\u0301",
        "arabic": "\u0645\u0631\u062d\u0628\u0627 ",
        "chinese": "你好。",
        "controls": "\x01\x02\x1b[31m",
        "nothing wide": "\u200b\u202e",
    }
    texts = {}
    for name, text in long.items():
        for extension in (".txt", ".md"):
            repeated = text * (60_000 // len(text))
            texts[f"{name}{extension}"] = f"So it began. {repeated} end".encode()
    texts["links that end.md"] = ("[a](b)   " * 40 + "x").encode()
    tags = {
        "b": "<b>",
        "div": "<div>",
        "p": "<p>a",
        "table": "<table><tr><td>",
        "comment": "<!-- ",
        "entity": "&a;",
    }
    for name, tag in tags.items():
        texts[f"nested {name}.html"] = ("<html><body>" + tag * 8_000 + "text of it. " * 50).encode()
    entities = "<!DOCTYPE html [<!ENTITY a 'aaaaaaaaaa'>" + "".join(
        f"<!ENTITY {b} '{f'&{a};' * 10}'>" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    return texts | {
        "entities.html": (entities + "]><html><body><p>&i;</p></body></html>").encode(),
        "an attribute.html": b"<html><body><p a='" + b"x" * 300_000 + b"'>text</p></body></html>",
        "outside.html": b"<!doctype html SYSTEM 'file:///etc/passwd'><html><p>text of it</p></html>",
        "zeros.txt": b"\0" * 1000,
        "zeros far in.txt": b"a text. " * 1000 + b"\0" * 100,
        "half a utf-16.txt": b"\xff\xfea",
        "halves.txt": "\ud800\udfff\ud800".encode("utf-16-le", "surrogatepass").join([b"\xff\xfe", b"a\0"]),
        "all bytes.txt": bytes(range(1, 256)) * 100,
        "nothing.txt": b"",
        "a mark.txt": b"\xef\xbb\xbf",
    }


GOOD = {"photo": photos, "sound": recordings, "table": good_tables, "text": good_texts}
CRAFTED = {
    "photo": crafted_photos,
    "sound": crafted_recordings,
    "table": crafted_tables,
    "text": crafted_texts,
}
assert set(EXTENSIONS["table"]) <= set(tables.EXTENSIONS)
