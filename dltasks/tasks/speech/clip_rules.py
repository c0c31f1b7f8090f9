"""Properties of clips that are worth a finding, as a table of rules."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from dltasks.doctor.duplicates import Items
from dltasks.doctor.findings import NOTE, WARNING, Finding
from dltasks.tasks.speech.audio import SILENCE_LEVEL
from dltasks.tasks.speech.clip_stats import ClipStats
from dltasks.tasks.speech.data import SILENCE

MAX_CLIPPED_FRACTION = 0.005
"""Fraction of a clip's samples at full scale above which it was recorded too loudly."""

MIN_WORD_SECONDS = 0.2
"""Duration below which a clip contains no complete word."""

MAX_RARE_FRACTION = 0.05
"""Fraction of the clips up to which a property counts as rare."""


@dataclass(frozen=True)
class Expected:
    """What the clips are compared with.

    Attributes:
        seconds: length of the network's input.
        sample_rate: of the network, in hertz.
        rare_rates: sample rates of few of the clips.
    """

    seconds: float
    sample_rate: int
    rare_rates: frozenset[int]


@dataclass(frozen=True)
class Rule:
    """A property that makes clips worth a finding.

    Attributes:
        kind: of the finding.
        matches: whether a clip has the property.
        message: plural verb and object; may use fields of `expected`.
        fix: what to do.
        measured: the clip's measurement; uses fields of `clip`.
        words_only: whether clips of silence are left out.
        note_if_rare: "words" or "clips" if the finding is a note where few of these have the property.
        is_removable: whether --fix moves the clips.
        severity: of the finding otherwise.
    """

    kind: str
    matches: Callable[[ClipStats, Expected], bool]
    message: str
    fix: str
    measured: str
    words_only: bool = True
    note_if_rare: str = ""
    is_removable: bool = False
    severity: str = WARNING


RULES = (
    Rule(
        "silent",
        lambda clip, _: clip.level < SILENCE_LEVEL,
        f"are below {SILENCE_LEVEL:g} dBFS but not in {SILENCE}",
        "training leaves them out; record them again, or remove them (--fix)",
        "{clip.level:.0f} dB",
        is_removable=True,
    ),
    Rule(
        "clipped",
        lambda clip, _: clip.clipped > MAX_CLIPPED_FRACTION,
        f"are at full scale for more than {MAX_CLIPPED_FRACTION:.1%} of their length",
        "record at a lower level",
        "{clip.clipped:.1%}",
        note_if_rare="words",
    ),
    Rule(
        "short",
        lambda clip, _: clip.seconds < MIN_WORD_SECONDS,
        f"last less than {MIN_WORD_SECONDS:g} s",
        "check that they contain a complete word",
        "{clip.seconds:.2f} s",
    ),
    Rule(
        "long",
        lambda clip, expected: clip.seconds > 2 * expected.seconds,
        "last more than twice the network's {expected.seconds:g} s; only the loudest stretch is used",
        "cut them into one word per clip",
        "{clip.seconds:.1f} s",
        note_if_rare="clips",
    ),
    Rule(
        "low sample rate",
        lambda clip, expected: clip.sample_rate < expected.sample_rate,
        "have fewer than {expected.sample_rate:,} samples per second: their high frequencies are missing",
        "record at that rate; if only some classes have a low rate, the network learns the microphone",
        "{clip.sample_rate:,} Hz",
        words_only=False,
    ),
    Rule(
        "rare sample rate",
        lambda clip, expected: (
            clip.sample_rate >= expected.sample_rate and clip.sample_rate in expected.rare_rates
        ),
        "have a different sample rate from most",
        "they are resampled; check that they are not all of one class",
        "{clip.sample_rate:,} Hz",
        words_only=False,
        severity=NOTE,
    ),
)


def expected_clip(clips: dict[int, ClipStats], seconds: float, sample_rate: int) -> Expected:
    """What to compare the clips with. seconds, sample_rate: of the network's input."""
    counts = Counter(clip.sample_rate for clip in clips.values())
    rare = frozenset(rate for rate, count in counts.items() if count <= MAX_RARE_FRACTION * len(clips))
    return Expected(seconds, sample_rate, rare)


def apply_rules(
    clips: dict[int, ClipStats], labels: Sequence[str], items: Items, expected: Expected
) -> Iterator[Finding]:
    """A finding for each rule that matches clips, which come by their index."""
    words = {i: clip for i, clip in clips.items() if labels[i] != SILENCE}
    totals = {"words": len(words), "clips": len(clips)}
    for rule in RULES:
        candidates = words if rule.words_only else clips
        matches = [i for i, clip in candidates.items() if rule.matches(clip, expected)]
        if not matches:
            continue
        is_rare = len(matches) <= MAX_RARE_FRACTION * totals.get(rule.note_if_rare, 0)
        yield Finding(
            rule.kind,
            NOTE if is_rare else rule.severity,
            len(matches),
            items.count_phrase(len(matches), rule.message.format(expected=expected)),
            rule.fix,
            tuple(f"{items.names[i]} {rule.measured.format(clip=clips[i])}" for i in matches),
            items.removable(matches) if rule.is_removable else (),
        )
