"""Metrics against values computed by hand or published."""

import numpy as np
import pytest

from dltasks.evaluation import metrics
from dltasks.evaluation.results import evaluate_classification


def test_wilson_interval_of_8_in_10():
    low, high = metrics.wilson_interval(8, 10)
    assert (round(low, 4), round(high, 4)) == (0.4902, 0.9433)


def test_wilson_interval_of_none_and_of_all_stays_within_0_to_1():
    assert metrics.wilson_interval(0, 20)[0] == 0.0 and metrics.wilson_interval(20, 20)[1] == 1.0
    assert metrics.wilson_interval(0, 0) == (0.0, 1.0)


def test_poisson_interval_of_zero_and_of_ten():
    assert metrics.poisson_interval(0) == (0.0, pytest.approx(3.69, abs=0.05))
    assert metrics.poisson_interval(10) == (pytest.approx(4.80, abs=0.02), pytest.approx(18.39, abs=0.02))


def test_equal_error_rate_of_scores_that_separate_the_classes_is_zero():
    positive = np.array([True, True, False, False])
    assert metrics.equal_error_rate(np.array([0.9, 0.8, 0.2, 0.1]), positive) == 0
    assert metrics.equal_error_rate(np.array([0.1, 0.2, 0.8, 0.9]), positive) == 1
    assert metrics.equal_error_rate(np.array([0.9, 0.2, 0.8, 0.1]), positive) == 0.5
    assert metrics.equal_error_rate(np.full(4, 0.5), positive) == 0.5


def test_confusion_matrix_has_a_row_per_label():
    counts = metrics.confusion(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1]), 3)
    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [0, 1, 0]]


def test_balanced_accuracy_and_macro_f1_ignore_classes_that_do_not_occur():
    counts = np.array([[1, 1, 0, 0], [0, 2, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]])
    assert metrics.balanced_accuracy(counts) == pytest.approx((0.5 + 1 + 0) / 3)
    assert metrics.macro_f1(counts) == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)


def test_calibration_error_of_overconfident_predictions():
    confidence, hits = np.full(10, 0.9), np.array([True] * 6 + [False] * 4)
    assert metrics.expected_calibration_error(confidence, hits) == pytest.approx(0.3)


def test_log_loss_of_a_coin_toss():
    assert metrics.log_losses(np.full((2, 2), 0.5), np.array([0, 1])).tolist() == pytest.approx(
        [0.6931472] * 2
    )


def test_top_k_contains_the_k_most_probable_classes():
    probabilities = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])
    assert metrics.in_top(probabilities, np.array([1, 2]), 2).tolist() == [True, False]


def test_bootstrap_interval_of_a_mean_is_close_to_the_normal_interval():
    values = np.random.default_rng(1).normal(5, 1, 400)
    low, high = metrics.bootstrap_interval(lambda rows: values[rows].mean(), 400)
    assert low == pytest.approx(values.mean() - 0.098, abs=0.02)
    assert high == pytest.approx(values.mean() + 0.098, abs=0.02)


def test_bootstrap_interval_of_a_calibration_error_contains_the_error():
    random = np.random.default_rng(2)
    confidence = random.uniform(0.3, 1, 2000)
    hits = random.uniform(size=2000) < confidence
    error = metrics.expected_calibration_error(confidence, hits)
    low, high = metrics.bootstrap_interval(
        lambda rows: metrics.expected_calibration_error(confidence[rows], hits[rows]), 2000, maximum=1
    )
    assert 0 <= low <= error <= high < 0.05


def test_evaluation_of_a_classifier_lists_the_most_frequent_confusions():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]])
    evaluation = evaluate_classification(("cat", "dog"), probabilities, ["cat", "cat", "cat", "dog"])
    assert evaluation.scores["accuracy"].value == 0.5
    (pair,) = evaluation.confusion
    assert (pair.label, pair.prediction, pair.count, pair.total) == ("cat", "dog", 2, 3)
    assert evaluation.classes["cat"]["recall"].value == pytest.approx(1 / 3)
    assert evaluation.classes["dog"]["precision"].value == pytest.approx(1 / 3)
