"""The layers of the speech network: log-mel, augmentation, optimizer."""

import numpy as np
import pytest
import sounds
from conftest import ROOT

from dltasks.config import with_overrides
from dltasks.export import convert
from dltasks.litert.runtime import Runtime
from dltasks.tasks.speech import TASK, audio

YES = ROOT / "samples/speech/yes.flac"
RATE = 16_000


def test_the_log_mel_of_the_network_and_of_the_file_equals_librosas():
    import keras
    import librosa

    from dltasks.tasks.speech.network import (
        FFT_LENGTH,
        FRAME_LENGTH,
        HOP_LENGTH,
        MAX_HERTZ,
        MEL_BANDS,
        MIN_HERTZ,
        POWER_FLOOR,
        LogMel,
    )

    clip = audio.load(YES, RATE, RATE)
    samples = keras.Input((RATE,), dtype="float32", name="samples")
    network = keras.Model({"samples": samples}, {"log_mel": LogMel(RATE)(samples)})
    in_file = Runtime(convert.to_tflite(network, "none", {})).run({"samples": clip[None]})["log_mel"][0]
    in_network = network.predict_on_batch({"samples": clip[None]})["log_mel"][0]
    filters = librosa.filters.mel(
        sr=RATE,
        n_fft=FFT_LENGTH,
        n_mels=MEL_BANDS,
        fmin=MIN_HERTZ,
        fmax=MAX_HERTZ,
        htk=True,
        norm=None,
        dtype=np.float64,
    )
    # librosa centers a frame shorter than the transform, which changes only phases.
    padded = np.pad(clip.astype(np.float64), ((FFT_LENGTH - FRAME_LENGTH) // 2,))
    power = (
        np.abs(
            librosa.stft(
                padded,
                n_fft=FFT_LENGTH,
                hop_length=HOP_LENGTH,
                win_length=FRAME_LENGTH,
                window="hann",
                center=False,
                dtype=np.complex128,
            )
        )
        ** 2
    )
    expected = np.log(filters @ power + POWER_FLOOR).T
    for log_mel in (in_network, in_file):
        assert log_mel.shape == expected.shape == (98, 40)
        assert np.abs(log_mel - expected).max() < 2e-3


def test_augmentation_keeps_samples_in_range_and_targets_a_distribution():
    from dltasks.tasks.speech.augmentation import augmentation

    config = with_overrides(
        TASK.config(), {"mixup_alpha": 1.0, "noise_probability": 1.0, "silence_probability": 0.2}
    )
    labels = ("_silence_", "fall", "rise")
    clips = np.stack([sounds.whistle("rise", i) for i in range(16)])
    targets = np.eye(3, dtype=np.float32)[np.arange(16) % 3]
    model = augmentation(RATE, labels, config)
    augmented = model.predict_on_batch({"samples": clips, "probabilities": targets})
    assert augmented["samples"].shape == (16, RATE) and np.abs(augmented["samples"]).max() <= 1
    assert augmented["probabilities"].sum(axis=1) == pytest.approx(np.ones(16))


def test_noise_is_mixed_at_the_configured_signal_to_noise_ratio():
    from dltasks.tasks.speech.augmentation import BackgroundNoise

    clips = np.stack([sounds.whistle("rise", i) for i in range(31)] + [sounds.noise(1, 1)])
    targets = np.eye(2, dtype=np.float32)[[1] * 31 + [0]]
    noisy = np.asarray(BackgroundNoise(1.0, 6.0, 0, seed=0)(clips, clips, targets))
    ratios = (audio.level_db(clips) - audio.level_db(noisy - clips))[:31]
    assert 5.9 < ratios.min() < 12 and 24 < ratios.max() < 30.1
    assert np.array_equal(np.asarray(BackgroundNoise(0.0, 6.0, 0, seed=0)(clips, clips, targets)), clips)


def test_a_clip_without_changes_of_speed_shift_and_gain_stays_the_same():
    from dltasks.tasks.speech.augmentation import Gain, SpeedAndShift

    clips = np.stack([sounds.whistle("fall", i) for i in range(4)])
    augmented = np.asarray(Gain(0.0, seed=1)(SpeedAndShift(0.0, 0.0, seed=0)(clips)))
    assert np.abs(augmented[:, 1:-1] - clips[:, 1:-1]).max() < 1e-6


def test_log_mels_change_only_in_training_and_by_the_configured_amount():
    from dltasks.tasks.speech.spectrum import RandomEqualizer, VocalTractLength, spectrum_augmentation

    log_mel = np.random.default_rng(0).normal(-5, 2, (4, 20, 40)).astype(np.float32)
    for layer in spectrum_augmentation(TASK.config()):
        assert np.array_equal(np.asarray(layer(log_mel)), log_mel)
        assert not np.array_equal(np.asarray(layer(log_mel, training=True)), log_mel)
    assert np.allclose(np.asarray(VocalTractLength(0.0, seed=0)(log_mel, training=True)), log_mel)
    peak = np.eye(40, dtype=np.float32)[20] * np.ones((64, 1, 1), np.float32)
    positions = np.asarray(VocalTractLength(0.1, seed=0)(peak, training=True))[:, 0].argmax(axis=1)
    assert positions.min() in (18, 19) and positions.max() in (21, 22)
    gains = np.asarray(RandomEqualizer(6.0, seed=0)(log_mel, training=True)) - log_mel
    assert np.allclose(gains[:, :1], gains, atol=1e-5) and 1 < np.abs(gains).max() <= 1.382


def test_muon_makes_orthogonal_steps_for_convolutions():
    import keras

    from dltasks.tasks.speech.optimizer import Muon

    random = np.random.default_rng(0)
    kernel = keras.Variable(np.zeros((3, 3, 8, 16), np.float32))
    offset = keras.Variable(np.zeros(16, np.float32))
    optimizer = Muon.create(0.1, 0.0)
    optimizer.build([kernel, offset])
    gradient = random.normal(0, 1, (72, 16)) * np.geomspace(0.1, 10, 16)
    optimizer.apply([gradient.reshape(3, 3, 8, 16).astype(np.float32), np.ones(16, np.float32)])
    scales = np.linalg.svd(np.asarray(kernel).reshape(72, 16), compute_uv=False) / (0.1 * 0.2 * 72**0.5)
    assert scales.min() > 0.5 and scales.max() < 1.3
    assert np.asarray(offset) == pytest.approx(-0.1, rel=1e-3)
