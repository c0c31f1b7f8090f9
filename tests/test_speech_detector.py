"""Detections from probabilities, and thresholds for a budget of false alarms."""

from dataclasses import replace

import numpy as np
import pytest
import sounds
from conftest import ROOT, dltasks

import dltasks as library
from dltasks.tasks.speech import audio
from dltasks.tasks.speech.detector import Detection, Detector, DetectorConfig
from dltasks.tasks.speech.synthetic_stream import (
    SyntheticStream,
    WordEvent,
    count_detections,
    mix_stream,
)
from dltasks.tasks.speech.thresholds import ScoredStream, detect_all, fit_curve

SENTENCE = ROOT / "samples/speech/go-happy-right-no.flac"
RATE = 16_000


CONFIG = DetectorConfig(
    ("", "go", "stop"),
    (1.0, 0.6, 0.8),
    smoothing=2,
    refractory_seconds=1.0,
    hop_seconds=0.1,
    window_seconds=1.0,
)


def rows(*values: float, column: int = 1) -> np.ndarray:
    probabilities = np.zeros((len(values), 3), np.float32)
    probabilities[:, column] = values
    return probabilities


def detect(probabilities: np.ndarray) -> list[Detection]:
    return list(Detector(CONFIG).process(probabilities))


def test_a_command_is_detected_when_its_mean_passes_the_threshold_and_not_again_for_a_while():
    detections = detect(rows(0, 0.7, 0.7, *[0.9] * 5, 0, 0, 0.9, 0.9, *[0.0] * 5, 0.9, 0.9))
    assert [round(detection.time_seconds, 2) for detection in detections] == [0.85, 2.45]
    assert detections[0].command == "go" and detections[0].probability == pytest.approx(0.7)
    assert detect(rows(0.7, 0.7, column=2)) == []


def test_a_lasting_command_is_detected_once_and_another_one_after_it_too():
    lasting = rows(*[0.9] * 30)
    assert len(detect(lasting)) == 1
    both = np.concatenate([lasting, rows(*[0.95] * 5, column=2)])
    assert [detection.command for detection in detect(both)] == ["go", "stop"]


def test_detections_do_not_depend_on_the_blocks_of_the_stream():
    values = rows(*np.random.default_rng(0).random(500))
    whole, detector = detect(values), Detector(CONFIG)
    in_blocks = [detection for block in np.array_split(values, 60) for detection in detector.process(block)]
    assert whole == in_blocks and len(whole) > 10


def test_hits_misses_and_false_alarms_are_counted():
    events = [WordEvent(1.0, "go"), WordEvent(4.0, "stop"), WordEvent(8.0, "other"), WordEvent(12.0, "go")]
    detections = [
        Detection(1.4, "go", 0.9),
        Detection(4.1, "go", 0.9),
        Detection(8.0, "go", 0.8),
        Detection(12.9, "go", 1),
    ]
    counts = count_detections(detections, events, ("go", "stop"), 1800.0)
    assert counts.spoken == {"go": 2, "stop": 1} and counts.hits == {"go": 1, "stop": 0}
    assert counts.false_alarms == {"go": 3, "stop": 0}
    assert counts.miss_rate() == pytest.approx(2 / 3) and counts.false_alarms_per_hour() == 6


def test_a_synthetic_stream_contains_its_words_at_their_times():
    clips = [("go", sounds.whistle("rise", i)) for i in range(5)]
    stream = mix_stream(clips, [], np.full((4, RATE), 1e-4, np.float32), 60.0, RATE, seed=0)
    assert stream.samples.shape == (60 * RATE,) and 2 <= len(stream.events) <= 20
    for event in stream.events:
        middle = round(event.seconds * RATE)
        level = audio.level_db(stream.samples[middle - RATE // 2 : middle + RATE // 2])
        assert level == pytest.approx(-26, abs=5)


def alternating_stream(seed: int) -> ScoredStream:
    """Half an hour of "go" and another word in turn; the network is mostly more certain of the first."""
    random = np.random.default_rng(seed)
    events = tuple(WordEvent(3.0 * i + 1.5, "go" if i % 2 else "other") for i in range(600))
    probabilities = np.zeros((18_000, 3), np.float32)
    for event in events:
        row = round((event.seconds - 0.5) / 0.1)
        is_go = event.word == "go"
        probabilities[row - 2 : row + 3, 1] = random.beta(5, 2) if is_go else random.beta(2, 5)
    return ScoredStream(SyntheticStream(np.zeros(0, np.float32), events), probabilities, 1800.0)


def test_thresholds_keep_their_budget_with_other_speakers_and_a_larger_one_misses_less():
    points = fit_curve((alternating_stream(0), alternating_stream(1)), CONFIG, (1.0, 20.0, 100.0))
    false_alarms = [sum(point.counts.false_alarms.values()) for point in points]
    miss_rates = [point.counts.miss_rate() for point in points]
    assert false_alarms[0] <= 1 and false_alarms[1] <= 20 and false_alarms[2] <= 100
    assert miss_rates[0] > miss_rates[1] >= miss_rates[2]
    unseen = alternating_stream(2)
    for point in points[1:]:
        detections = detect_all(unseen.probabilities, replace(CONFIG, thresholds=point.thresholds))
        counts = count_detections(detections, unseen.stream.events, ("go", "stop"), 1800.0)
        assert counts.false_alarms_per_hour() < 2 * point.budget
    assert all(point.thresholds[0] == 1.0 for point in points)


def test_the_thresholds_of_another_budget_can_be_used():
    task = library.load("commands").task
    assert task.with_budget(0.5).thresholds != task.with_budget(50).thresholds
    result = dltasks("listen", SENTENCE, "--false-alarms-per-hour", 3)
    assert result.returncode == 2 and "this model has thresholds for 0.5, 1, 2, 5" in result.stderr
