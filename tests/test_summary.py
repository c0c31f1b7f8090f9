"""Tests particular to the summary task."""

import json
import os
import subprocess
import sys

import data_summary
import numpy as np
import pytest
from conftest import ENVIRONMENT, ROOT, dltasks, train_once

import dltasks as library
from dltasks.errors import DataError, ExportError
from dltasks.parallel import available_cores
from dltasks.tasks.summary import (
    centrality,
    documents,
    encoding,
    generation,
    headlines,
    oracle,
    selection,
    vocabulary,
)
from dltasks.tasks.summary.beam_search import BeamSearch
from dltasks.tasks.summary.config import SummaryConfig
from dltasks.tasks.summary.data import load_pairs
from dltasks.tasks.summary.documents import Document
from dltasks.tasks.summary.selection import SummaryLength
from dltasks.tasks.summary.sentences import split_sentences
from dltasks.tasks.summary.task import SummaryTask

ARTICLE = ROOT / "samples/summary/lighthouse.md"
ABSTRACT = ROOT / "samples/summary/abstract.txt"

FRENCH = (
    "Le maire élu hier à Besançon a fêté sa victoire. Les élèves ont joué une pièce drôle, très applaudie."
)
POLISH = (
    "Burmistrz miasta powitał gości. Później na rynku zabrzmiała muzyka, którą słyszało wielu mieszkańców. "
    "Święto trwało długo."
)
GERMAN = "Der Bürgermeister grüßt die Gäste aus Köln und Düsseldorf. Später tönt Musik über die Plätze. " * 5


def test_sentences_end_where_people_see_them_end():
    text = 'Dr. Smith et al. (2017) paid $3.5 million at 5 p.m. yesterday. "It works!" he said. See Fig. 3.'
    assert split_sentences(text) == [
        "Dr. Smith et al. (2017) paid $3.5 million at 5 p.m. yesterday.",
        '"It works!" he said.',
        "See Fig. 3.",
    ]


def test_a_sentence_has_its_position_in_the_text():
    document = Document("One  is here.\n\n  Two is\nthere. ")
    texts = [document.text[start:end] for start, end in document.spans]
    assert texts == ["One  is here.", "Two is\nthere."]


def test_a_text_without_punctuation_is_cut_at_its_lines_or_its_words():
    assert split_sentences("a line of words\n" * 50) == ["a line of words"] * 50
    assert [len(sentence.split()) for sentence in split_sentences("word " * 130)] == [40, 40, 40, 10]
    assert max(map(len, split_sentences("x" * 10_000))) <= 200


def test_only_paragraphs_lists_and_quotes_of_markdown_are_read():
    text = (
        "# Title\n\nFirst *one* here. A second\nthere.\n\n- item is this.\n\n```\ncode.\n```\n\n"
        "| a | b |\n|---|---|\n| 1 | 2 |\n"
    )
    regions = tuple(documents.find_paragraphs(text))
    assert Document(text, regions=regions).sentences == [
        "First *one* here.",
        "A second\nthere.",
        "item is this.",
    ]


def test_markdown_marks_are_not_in_the_summary():
    text = "- **Trains** start `here`, see [the plan](https://example.com)[^1]. It is snake_case.\n"
    sentences = Document(text, regions=tuple(documents.find_paragraphs(text))).sentences
    assert sentences[0].startswith("**Trains**")
    assert documents.strip_markdown(sentences[0]) == "Trains start here, see the plan."
    assert documents.strip_markdown("It is snake_case, _really_.") == "It is snake_case, really."


def test_the_main_text_of_a_page_is_read(tmp_path):
    body = "".join(
        f"<p>The {i}th keeper of the light climbed the tower in the storm and lit the lamp.</p>"
        for i in range(9)
    )
    page = (
        f"<html><body><nav><a href='/'>Home</a></nav><article><h1>T</h1>{body}</article>"
        "<footer>Cookies</footer></body></html>"
    )
    (tmp_path / "page.html").write_text(page)
    document = documents.load_document(tmp_path / "page.html")
    assert document.is_main_text and "Cookies" not in document.text and "3th keeper" in document.text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Grüße aus Köln.".encode(), "Grüße aus Köln."),
        ("Grüße aus Köln.".encode("utf-16"), "Grüße aus Köln."),
        (b"\xef\xbb\xbfabc", "abc"),
    ],
)
def test_an_encoding_is_recognized(content, text):
    assert documents.decode(content, "x") == (text, ())


@pytest.mark.parametrize(("text", "encoding"), [(GERMAN, "cp1252"), (FRENCH, "latin_1"), (POLISH, "cp1250")])
def test_a_guessed_encoding_is_noted(text, encoding):
    decoded, notes = documents.decode(text.encode(encoding), "x")
    assert decoded == text and notes[0].startswith("not UTF-8; read as ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty; expected a text"),
        (b" \n ", "empty; expected a text"),
        (b"\0\1\2", "not a text (it contains zero bytes)"),
        (b"... !!! ---", "no sentences in it"),
        (b"# Title\n\n```\ncode\n```\n", "no sentences in it"),
    ],
)
def test_a_file_without_text_is_refused(tmp_path, content, message):
    path = tmp_path / "bad.md"
    path.write_bytes(content)
    with pytest.raises(DataError, match="bad.md") as error:
        documents.load_document(path)
    assert message in str(error.value)


def test_a_text_beyond_the_limit_is_refused(monkeypatch):
    monkeypatch.setattr(documents, "MAX_CHARACTERS", 1000)
    with pytest.raises(DataError, match="1,200 characters; at most 1,000"):
        documents.load_document(b"word. " * 200)


def test_headings_are_not_sentences(tmp_path):
    essay = (
        b"The column and the tree\n\nEvery city has a tree. It is argued about.\n\nNew trees\n\n"
        b"They grow slowly."
    )
    assert documents.load_document(essay).sentences == [
        "Every city has a tree.",
        "It is argued about.",
        "They grow slowly.",
    ]
    assert len(documents.load_document(b"Bread\n\nMilk\n\nTwo eggs")) == 3
    page = tmp_path / "page.html"
    body = (
        "In 2019 we stopped using yeast, as many did. Our bread is better and our waste smaller, "
        "as numbers show."
    )
    page.write_text(
        f"<html><body><article><h1>Why we moved</h1><p>{body}</p><p>{body}</p></article></body></html>"
    )
    sentences = documents.load_document(page).sentences
    assert sentences[0] == "In 2019 we stopped using yeast, as many did."


def test_the_header_and_the_signature_of_a_message_are_not_sentences():
    mail = (
        b"From: Anna <a@b.org>\nTo: all\nSubject: Move\n\nWe move on 3 May. Tell all.\n\n"
        b"-- \nAnna Berg\nTel. +49\n"
    )
    assert documents.load_document(mail).sentences == ["We move on 3 May.", "Tell all."]


def select(values, sentences, length) -> list[int]:
    scores = selection.sentence_scores(np.array(values), sentences)
    return selection.select_sentences(scores, sentences, length)


def test_as_many_sentences_are_selected_as_requested():
    values = [0.1, 0.9, 0.5, 0.8]
    sentences = ["Red dogs bark.", "Blue cats sing.", "Old men walk.", "Tall trees fall."]
    assert select(values, sentences, SummaryLength(sentences=2)) == [1, 3]
    assert select(values, sentences, SummaryLength(sentences=9)) == [0, 1, 2, 3]
    assert select(values, sentences, SummaryLength(ratio=0.75)) == [1, 2, 3]


def test_a_repetition_is_not_selected():
    sentences = ["The light was lit by hand.", "By hand the light was lit.", "Boats came home."]
    assert select([0.9, 0.8, 0.5], sentences, SummaryLength(sentences=2)) == [0, 2]


def test_no_more_words_are_selected_than_requested():
    sentences = ["one two three four five six", "one two three", "seven eight"]
    assert select([0.9, 0.5, 0.4], sentences, SummaryLength(words=5)) == [1, 2]
    assert select([0.9, 0.5, 0.4], sentences, SummaryLength(words=1)) == []


def test_the_greedy_oracle_adds_what_is_missing():
    words = [text.split() for text in ("the cat sat", "the cat sat down", "a dog ran off")]
    reference = ["the", "cat", "sat", "down", "a", "dog", "ran", "off"]
    assert oracle.select_greedily(words, [reference]) == [1, 2]


def test_titles_are_compared_by_recall():
    text = "We build a very long bridge across the wide river of our town for everybody. Short one."
    _, scores = oracle.score_sentences(text, ["A bridge for everybody"])
    assert scores[0] > 0.5 > scores[1]


def test_oracle_scores_are_computed_once(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = oracle.compute_oracle(["A cat. A dog ran."], [["A dog"]])
    assert len([*tmp_path.rglob("*.npz")]) == 1
    monkeypatch.setattr(oracle, "_score_chunk", None)
    assert oracle.compute_oracle(["A cat. A dog ran."], [["A dog"]]) == first


def test_oracle_scores_are_computed_where_no_cache_can_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    spans, _ = oracle.compute_oracle(["A cat. A dog ran."], [["A dog"]])[0]
    assert spans == ((0, 6), (7, 17))


KILLED_RUN = """
import multiprocessing, threading
from dltasks.tasks.summary import oracle

def report_workers():
    while not multiprocessing.active_children():
        threading.Event().wait(0.01)
    print("started", flush=True)

threading.Thread(target=report_workers, daemon=True).start()
oracle.compute_oracle(["A cat. A dog ran. " * 300] * 2000, [["A dog"]] * 2000)
"""


@pytest.mark.skipif(available_cores() == 1, reason="one core uses no workers")
def test_workers_exit_with_a_run_that_is_killed(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED_RUN],
        cwd=ROOT,
        env=ENVIRONMENT | {"XDG_CACHE_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"started\n"
    process.kill()
    # The workers share its output, which ends when the last of them exits.
    process.communicate(timeout=60)


def constant_steps(*rows):
    """An `advance` with these probabilities, whatever the previous tokens."""
    return lambda last, parents, step: np.repeat(np.array([rows[step]]), len(last), axis=0)


def test_the_most_probable_sequence_is_found():
    row, end = [0, 0, 0, 0.1, 0.6, 0.3], [0, 0, 0, 0.8, 0.1, 0.1]
    search = BeamSearch(beams=2, min_tokens=1, max_tokens=3)
    tokens, score = search.run(constant_steps(row, row, end))[0]
    assert tokens == [4, 4] and score == pytest.approx(np.log(0.6 * 0.6 * 0.8) / 3)


def test_a_sequence_is_found_where_all_tokens_repeat():
    rows = [[0, 0, 0, 0, 1.0, 0]] * 9
    assert BeamSearch(beams=2, min_tokens=1, max_tokens=9).run(constant_steps(*rows))


def test_no_three_tokens_occur_twice():
    rows = [[0, 0, 0, 0.01, 0.9, 0.09]] * 9
    for tokens, _ in BeamSearch(beams=3, min_tokens=1, max_tokens=9).run(constant_steps(*rows)):
        trigrams = list(zip(tokens, tokens[1:], tokens[2:], strict=False))
        assert len(trigrams) == len(set(trigrams))


def test_copied_tokens_get_the_probability_that_is_not_generated():
    outputs = {
        "token_probabilities": np.array([[0.5, 0.5, 0, 0]]),
        "copy_probabilities": np.array([[0.25, 0.75, 0.0]]),
        "generation_probability": np.array([[0.2]]),
    }
    probabilities = generation.mix_probabilities(outputs, np.array([3, 2, 3]))
    assert probabilities[0] == pytest.approx([0.1, 0.1, 0.6, 0.2])


def test_numbers_of_a_headline_must_occur_in_the_text():
    text = "There are 3,000 bees and 2.4 hives"
    assert headlines.unsupported_numbers("3000 bees in 2.4 hives", text) == []
    assert headlines.unsupported_numbers("31 bees", "There are 3 or 1 bees") == ["31"]
    assert headlines.drop_unsupported("31 bees of 7", "7 bees") == "bees of 7"


def test_a_word_with_a_number_must_occur_as_it_is():
    text = "Step 3: delete 3,000 files of GPT-4o, 2.0 of them twice."
    assert headlines.unsupported_numbers("3D files", text) == ["3d"]
    assert headlines.unsupported_numbers("3000 files and 2.0 of GPT-4o in step 3", text) == []


@pytest.mark.parametrize(
    ("headline", "title_case", "expected"),
    [
        ("hivenote: a bert model for una marwick", False, "HiveNote: A BERT model for Una Marwick"),
        ("hivenote: a model for the hive", True, "HiveNote: A Model for the Hive"),
        ("bert-based small models", True, "BERT-Based Small Models"),
    ],
)
def test_capitals_are_those_of_the_text(headline, title_case, expected):
    text = "We present HiveNote. The BERT model of Una Marwick is small. Models are large."
    assert headlines.restore_case(headline, text, title_case) == expected


def test_recurring_words_raise_a_score():
    sentences = ["The tower burns.", "Sailors saw the tower burn.", "Cake was eaten.", "The tower was old."]
    assert centrality.score_sentences(sentences).values.argmin() == 2


@pytest.mark.parametrize(
    "dependent",
    [
        "They repaired bridges quickly.",
        "\u201cEngineers repaired bridges\u201d, it says.",
        "Engineers repaired bridges quickly?",
        "Engineers repaired bridges with me.",
    ],
)
def test_dependence_on_a_speaker_or_another_sentence_lowers_a_score(dependent):
    sentences = ["Rain fell.", "Engineers repaired bridges quickly.", dependent]
    values = centrality.score_sentences(sentences).values
    assert values[1] > values[2]


def test_the_same_content_is_selected_once():
    sentences = [
        "Fire at the harbour mill.",
        "The harbour mill had a fire.",
        "Police asked nobody.",
        "Rain fell.",
    ]
    scores = centrality.score_sentences(sentences)
    selected = selection.select_sentences(scores, sentences, SummaryLength(sentences=2))
    assert len(set(selected) & {0, 1}) == 1


def test_rescaled_values_are_scores_in_the_same_order():
    scores = centrality.rescale(np.array([3.0, 1.0, 2.0, 0.0]), np.array([0.2, 0.3, 0.25, 0.22]))
    assert scores.argsort().tolist() == [3, 1, 2, 0] and ((scores > 0) & (scores < 1)).all()


def training_texts() -> list[str]:
    return [pair["text"] for pair in data_summary.pairs(50)]


def test_tokens_of_a_word_share_the_word():
    model = vocabulary.train_vocabulary(training_texts(), 300)
    tokens = vocabulary.tokenize(model, ["the pump, the Zyxw"])[0]
    words = vocabulary.words_of_tokens(model, tokens)
    assert len(words) == len(tokens) and words[-1] == words[-2]
    assert words[0] == words[[i for i, word in enumerate(words) if word == words[0]][-1]]


def test_the_same_texts_give_the_same_vocabulary():
    texts = training_texts()
    assert vocabulary.train_vocabulary(texts, 300) == vocabulary.train_vocabulary(texts, 300)


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_pairs_are_read_from_tables(tmp_path, suffix):
    import polars as pl

    frame = pl.DataFrame({"article": ["One. Two."], "highlights": ["One."], "split": ["test"]})
    path = tmp_path / f"pairs.{suffix}"
    {"jsonl": frame.write_ndjson, "csv": frame.write_csv, "parquet": frame.write_parquet}[suffix](path)
    batch = load_pairs(path, None, None)
    assert batch.inputs[0].text == "One. Two."
    assert batch.labels[0].summaries == ("One.",)
    assert batch.splits == ["test"]


def test_a_text_may_have_several_summaries(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"text": "A b.", "targets": ["A.", "B."]}\n')
    assert load_pairs(path, None, None).labels[0].summaries == ("A.", "B.")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "", "summary": "s"}', "row 2: empty; expected a text"),
        ('{"text": "t", "summary": ""}', "row 2: no summary"),
        ('{"text": null, "summary": "s"}', "row 2: no text, but None"),
    ],
)
def test_a_bad_row_is_named_and_costs_only_itself(tmp_path, line, message):
    path = tmp_path / "pairs.jsonl"
    path.write_text(f'{{"text": "A b.", "summary": "A."}}\n{line}\n')
    good, bad = load_pairs(path, None, None).inputs
    assert good.text == "A b." and message in str(bad)


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        (
            '{"a": "x", "summary": "y"}',
            {},
            "no column for the text among a, summary; name it with --text",
        ),
        ('{"texts": "x", "summary": "y"}', {"text": "text"}, "no column 'text'; did you mean texts?"),
        ("{broken", {}, "row 1: not JSON"),
        (
            '{"text": "x", "summary": "y", "split": "tset"}',
            {},
            "split 'tset'; expected train, val or test",
        ),
    ],
)
def test_bad_training_data_is_refused_with_a_reason(tmp_path, content, settings, message):
    path = tmp_path / "pairs.jsonl"
    path.write_text(content + "\n")
    with pytest.raises(DataError) as error:
        SummaryTask().load_examples(path, SummaryConfig(**settings))
    assert message in str(error.value)


def summarize(*arguments) -> dict:
    """The JSON of one summary."""
    result = dltasks("summarize", *arguments, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_offsets_refer_to_the_sentence_in_the_file():
    summary, text = summarize(ARTICLE, "--sentences", 2), ARTICLE.read_text()
    assert summary["input"] == str(ARTICLE) and summary["model"] == "sentences"
    assert len(summary["sentences"]) == 2
    for sentence in summary["sentences"]:
        assert text[sentence["start"] : sentence["end"]] == sentence["text"] and 0 < sentence["score"] < 1
    joined = " ".join(sentence["text"] for sentence in summary["sentences"])
    assert " ".join(summary["summary"].split()) == " ".join(joined.split())


@pytest.mark.parametrize("count", [1, 3, 7])
def test_the_summary_has_the_requested_number_of_sentences(count):
    assert len(summarize(ABSTRACT, "-n", count)["sentences"]) == count


@pytest.mark.parametrize("style", ["extract", "headline"])
@pytest.mark.parametrize("count", [1, 7, 40, 100])
def test_the_summary_has_at_most_the_requested_number_of_words(style, count):
    summary = summarize(ABSTRACT, "--style", style, "--words", count)["summary"]
    assert 0 < len(summary.split()) <= count


def test_a_headline_is_a_line_whose_numbers_occur_in_the_text():
    prediction = summarize(ABSTRACT, "--style", "headline")
    assert prediction["summary"] and "\n" not in prediction["summary"] and prediction["sentences"] == []
    assert headlines.unsupported_numbers(prediction["summary"], ABSTRACT.read_text()) == []


def test_selected_sentences_are_marked_in_the_text():
    output = dltasks("summarize", ABSTRACT, "--sentences", 1, "--highlight").stdout
    assert output.count(">>") == output.count("<<") == 1
    assert output.replace(">>", "").replace("<<", "").strip() == ABSTRACT.read_text().strip()


def test_fewer_sentences_than_requested_are_noted():
    result = dltasks("summarize", input=b"Only this one sentence.")
    assert result.stdout == "Only this one sentence.\n"
    assert "the text has 1 sentence, fewer than 3" in result.stderr


def test_another_language_is_noted_and_summarized():
    text = (
        "Der Gemeinderat hat am Dienstag beschlossen, die Bücherei offen zu halten. "
        "Das freut die Einwohner sehr. "
    )
    result = dltasks("summarize", "-", "--sentences", 1, input=(text * 4).encode())
    assert result.returncode == 0 and result.stdout and "another language" in result.stderr


def test_an_empty_list_of_names_is_no_failure(tmp_path):
    (tmp_path / "names.txt").write_text("")
    result = dltasks("summarize", f"@{tmp_path / 'names.txt'}")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "options",
    [
        ("--ratio", "nan"),
        ("-m", "headlines", "--highlight"),
        ("--words", 5, "--ratio", 0.5),
        ("--style", "headline", "--sentences", 2),
    ],
)
def test_wrong_usage_is_refused(options):
    assert dltasks("summarize", ABSTRACT, *options).returncode == 2


def test_a_long_text_is_scored_in_windows():
    task = library.load("sentences").task
    sentences = encoding.tokenize_sentences(task, Document("A cat sat here. " * 130))
    windows = list(encoding.encode_windows(task, sentences, 64, 40))
    assert [window["tokens"].shape[1] for window in windows] == [64, 64, 2]
    assert {float(window["sentence_count"][0, 0]) for window in windows} == {130.0}
    # "cat" occurs in every sentence, and its count is that in the whole text.
    assert all((window["token_counts"][0, 0] == 130).any() for window in windows)


@pytest.fixture(scope="session")
def headline_bundle(tmp_path_factory):
    """The folder of a small headline model."""
    settings = {
        "style": "headline",
        "epochs": 1,
        "max_source_tokens": 64,
        "max_headline_tokens": 8,
        "convolutions": 1,
        "decoder_layers": 1,
    }
    return train_once("summary", "headlines", tmp_path_factory, **settings).bundle


def test_a_trained_headline_model_has_its_signatures_and_agrees_with_its_network(headline_bundle):
    model = library.load(headline_bundle)
    assert model.runtime.signatures == ("encode", "predict_token")
    assert model.manifest["parity"]["agreement"] >= 0.98


def test_an_exported_headline_file_gives_the_same_headline(headline_bundle, tmp_path):
    path, model = tmp_path / "alone.tflite", library.load(headline_bundle)
    model.export(path, quantize="none")
    assert library.load(path).predict(ABSTRACT)[0].summary == model.predict(ABSTRACT)[0].summary


def test_a_headline_model_cannot_be_exported_as_int8(headline_bundle, tmp_path):
    with pytest.raises(ExportError, match="try dynamic"):
        library.load(headline_bundle).export(tmp_path / "alone.tflite", quantize="int8")
    assert not any(tmp_path.iterdir())


def test_a_headline_model_is_exported_as_a_saved_model(headline_bundle, tmp_path):
    result = dltasks(
        "export", headline_bundle, "--format", "saved-model", "--out", tmp_path / "served", "--json"
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["agreement"] == 1.0


def test_steps_with_a_cache_equal_the_whole_sequence(headline_bundle):
    from dltasks.export.networks import load_network

    model, network = library.load(headline_bundle), load_network(headline_bundle)
    inputs, _ = model.task.encode([ABSTRACT])
    sequence = np.array([[2, 300, 301, 302, 5, 6, 7, 8, 9]], np.int32)
    expected = network.predict_on_batch({"source": inputs["source"], "sequence": sequence})
    run = model.runtime.run
    memory = run({"source": inputs["source"]}, "encode")
    past = generation.empty_past(memory, 1, model.task.max_headline_tokens)
    for position, token in enumerate(sequence[0, :-1]):
        step = {"token": np.array([token], np.int32), "position": np.array([position], np.int32)}
        outputs = run(step | memory | past, "predict_token")
        past = {name: outputs[name] for name in past}
        for name in ("token_probabilities", "copy_probabilities", "generation_probability"):
            # The file has its weights as float16.
            assert np.abs(outputs[name][0] - expected[name][0, position]).max() < 0.01


DATASET = """
import data_summary
import tensorflow_datasets as tfds


class Tales(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        text = tfds.features.Text()
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({"article": text, "highlights": text}),
            supervised_keys=("article", "highlights"),
        )

    def _split_generators(self, _):
        ranges = {"train": (0, 40), "validation": (40, 50), "test": (50, 60)}
        return {split: self._generate_examples(*indices) for split, indices in ranges.items()}

    def _generate_examples(self, start, end):
        for i, pair in enumerate(data_summary.pairs(60)[start:end]):
            yield i, {"article": pair["text"], "highlights": pair["summary"]}
"""

TRAINING = """
import sets.tales
import dltasks
import data_summary

model = dltasks.train("summary", "tfds:tales", out="out", **(data_summary.SETTINGS | {"epochs": 1}))
print(model.manifest["training"]["examples"], model.evaluate("tfds:tales").count)
"""


@pytest.mark.slow
def test_a_dataset_of_tensorflow_datasets_is_trained_on_by_its_name(tmp_path):
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "__init__.py").write_text("")
    (tmp_path / "sets" / "tales.py").write_text(DATASET)
    path = os.pathsep.join([str(tmp_path), str(ROOT / "tests"), ENVIRONMENT["PYTHONPATH"]])
    settings = {"PYTHONPATH": path, "TFDS_DATA_DIR": str(tmp_path / "tfds"), "NO_GCE_CHECK": "true"}
    process = subprocess.run(
        [sys.executable, "-c", TRAINING],
        cwd=tmp_path,
        env=ENVIRONMENT | settings,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert "{'train': 40, 'val': 10, 'test': 10} 10" in process.stdout
