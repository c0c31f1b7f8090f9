"""What is particular to the summary task."""

import json
import os
import subprocess
import sys

import data_summary
import numpy as np
import pytest
from conftest import ENVIRONMENT, ROOT, dltasks, train_once

import dltasks as library
from dltasks.errors import DataError
from dltasks.parallel import available_cores
from dltasks.tasks.summary import centrality, data, documents, headlines, oracle, selection, vocabulary
from dltasks.tasks.summary.config import SummaryConfig
from dltasks.tasks.summary.documents import Document
from dltasks.tasks.summary.task import SummaryTask

ARTICLE = ROOT / "samples/summary/lighthouse.md"
ABSTRACT = ROOT / "samples/summary/abstract.txt"


FRENCH = (
    "Le maire élu hier à Besançon a fêté sa victoire. Les élèves ont joué une pièce drôle, très applaudie."
)
POLISH = "Burmistrz miasta powitał gości. Później na rynku zabrzmiała muzyka, którą słyszało wielu mieszkańców. Święto trwało długo."


def sentences(text: str) -> list[str]:
    return Document(text).sentences


def test_sentences_end_where_people_see_them_end():
    text = 'Dr. Smith et al. (2017) paid $3.5 million at 5 p.m. yesterday. "It works!" he said. See Fig. 3.'
    assert sentences(text) == [
        "Dr. Smith et al. (2017) paid $3.5 million at 5 p.m. yesterday.",
        '"It works!" he said.',
        "See Fig. 3.",
    ]


def test_a_sentence_knows_where_it_stands():
    found = Document("One  is here.\n\n  Two is\nthere. ")
    assert [found.text[a:b] for a, b in found.spans] == ["One  is here.", "Two is\nthere."]


def test_a_text_without_marks_is_cut_at_its_lines_or_its_words():
    assert sentences("a line of words\n" * 50) == ["a line of words"] * 50
    assert [len(each.split()) for each in sentences("word " * 130)] == [40, 40, 40, 10]
    assert max(map(len, sentences("x" * 10_000))) <= 200


def test_of_markdown_only_paragraphs_lists_and_quotes_are_read():
    text = "# Title\n\nFirst *one* here. A second\nthere.\n\n- item is this.\n\n```\ncode.\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    spans = tuple(documents._paragraphs(text))
    assert Document(text, stretches=spans).sentences == [
        "First *one* here.",
        "A second\nthere.",
        "item is this.",
    ]


def test_marks_of_markdown_are_not_in_the_summary():
    text = "- **Trains** start `here`, see [the plan](https://example.com)[^1]. It is snake_case.\n"
    found = Document(text, stretches=tuple(documents._paragraphs(text))).sentences
    assert found[0].startswith("**Trains**")
    assert documents.plain(found[0]) == "Trains start here, see the plan."
    assert documents.plain("It is snake_case, _really_.") == "It is snake_case, really."


def test_the_main_text_of_a_page_is_taken(tmp_path):
    body = "".join(
        f"<p>The {i}th keeper of the light climbed the tower in the storm and lit the lamp.</p>"
        for i in range(9)
    )
    page = f"<html><body><nav><a href='/'>Home</a></nav><article><h1>T</h1>{body}</article><footer>Cookies</footer></body></html>"
    (tmp_path / "page.html").write_text(page)
    found = documents.load(tmp_path / "page.html")
    assert found.extracted and "Cookies" not in found.text and "3th keeper" in found.text


@pytest.mark.parametrize(
    ("content", "text", "note"),
    [
        ("Grüße aus Köln.".encode(), "Grüße aus Köln.", ()),
        ("Grüße aus Köln.".encode("utf-16"), "Grüße aus Köln.", ()),
        (b"\xef\xbb\xbfabc", "abc", ()),
    ],
)
def test_an_encoding_is_recognised(content, text, note):
    assert documents.decoded(content, "x") == (text, note)


def test_an_encoding_that_is_guessed_is_said():
    text = (
        "Der Bürgermeister grüßt die Gäste aus Köln und Düsseldorf. Später tönt Musik über die Plätze. " * 5
    )
    for each, encoding in ((text, "cp1252"), (FRENCH, "latin_1"), (POLISH, "cp1250")):
        found, notes = documents.decoded(each.encode(encoding), "x")
        assert found == each and notes[0].startswith("not UTF-8; read as ")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty; wanted a text"),
        (b" \n ", "empty; wanted a text"),
        (b"\0\1\2", "not a text (it holds zero bytes)"),
        (b"... !!! ---", "no sentences in it"),
        (b"# Title\n\n```\ncode\n```\n", "no sentences in it"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path, content, said):
    path = tmp_path / "bad.md"
    path.write_bytes(content)
    with pytest.raises(DataError, match="bad.md") as found:
        documents.load(path)
    assert said in str(found.value)


def test_a_text_beyond_the_limit_is_refused(monkeypatch):
    monkeypatch.setattr(documents, "MOST", 1000)
    with pytest.raises(DataError, match="1,200 characters; at most 1,000"):
        documents.load(b"word. " * 200)


def test_headings_and_what_surrounds_a_message_are_no_sentences(tmp_path):
    essay = b"The column and the tree\n\nEvery city has a tree. It is argued about.\n\nNew trees\n\nThey grow slowly."
    assert documents.load(essay).sentences == [
        "Every city has a tree.",
        "It is argued about.",
        "They grow slowly.",
    ]
    mail = b"From: Anna <a@b.org>\nTo: all\nSubject: Move\n\nWe move on 3 May. Tell all.\n\n-- \nAnna Berg\nTel. +49\n"
    assert documents.load(mail).sentences == ["We move on 3 May.", "Tell all."]
    lines = b"Bread\n\nMilk\n\nTwo eggs"
    assert len(documents.load(lines)) == 3
    page = tmp_path / "page.html"
    body = "In 2019 we stopped using yeast, as many did. Our bread is better and our waste smaller, as numbers show."
    page.write_text(
        f"<html><body><article><h1>Why we moved</h1><p>{body}</p><p>{body}</p></article></body></html>"
    )
    assert documents.load(page).sentences[0] == "In 2019 we stopped using yeast, as many did."


def picked(scores, texts, length) -> list[int]:
    return selection.chosen(selection.by_scores(np.array(scores), texts), texts, length)


def test_exactly_as_many_sentences_as_asked():
    scores = np.array([0.1, 0.9, 0.5, 0.8])
    texts = ["Red dogs bark.", "Blue cats sing.", "Old men walk.", "Tall trees fall."]
    assert picked(scores, texts, selection.Length(sentences=2)) == [1, 3]
    assert picked(scores, texts, selection.Length(sentences=9)) == [0, 1, 2, 3]
    assert picked(scores, texts, selection.Length(ratio=0.75)) == [1, 2, 3]


def test_what_says_the_same_is_not_chosen_twice():
    texts = ["The light was lit by hand.", "By hand the light was lit.", "Boats came home."]
    assert picked([0.9, 0.8, 0.5], texts, selection.Length(sentences=2)) == [0, 2]


def test_never_more_words_than_asked():
    texts = ["one two three four five six", "one two three", "seven eight"]
    assert picked([0.9, 0.5, 0.4], texts, selection.Length(words=5)) == [1, 2]
    assert picked([0.9, 0.5, 0.4], texts, selection.Length(words=1)) == []


def test_the_greedy_choice_adds_what_is_missing():
    words = [each.split() for each in ("the cat sat", "the cat sat down", "a dog ran off")]
    assert oracle.greedy(words, [["the", "cat", "sat", "down", "a", "dog", "ran", "off"]]) == [1, 2]


def test_titles_are_compared_by_recall():
    text = "We build a very long bridge across the wide river of our town for everybody. Short one."
    _, gains = oracle._of_text(text, ["A bridge for everybody"])
    assert gains[0] > 0.5 > gains[1]


def test_labels_are_found_once(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    one = oracle.labelled(["A cat. A dog ran."], [["A dog"]])
    assert len([*tmp_path.rglob("*.npz")]) == 1
    monkeypatch.setattr(oracle, "_of_chunk", None)
    assert oracle.labelled(["A cat. A dog ran."], [["A dog"]]) == one


def test_labels_are_found_where_no_cache_can_be_kept(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert oracle.labelled(["A cat. A dog ran."], [["A dog"]])[0][0] == ((0, 6), (7, 17))


@pytest.mark.skipif(available_cores() == 1, reason="one core takes no workers")
def test_workers_end_with_a_run_that_is_killed(tmp_path):
    code = """
import multiprocessing, threading
from dltasks.tasks.summary import labels

def tell():
    while not multiprocessing.active_children():
        threading.Event().wait(0.01)
    print("begun", flush=True)

threading.Thread(target=tell, daemon=True).start()
labels.labelled(["A cat. A dog ran. " * 300] * 2000, [["A dog"]] * 2000)
"""
    environment = ENVIRONMENT | {"XDG_CACHE_HOME": str(tmp_path)}
    running = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert running.stdout.readline() == b"begun\n"
    running.kill()
    # The workers have the same output: it ends when the last of them does.
    running.communicate(timeout=60)


def steps(*rows):
    """An `advance` that gives these probabilities, whatever went before."""
    return lambda last, parents, step: np.repeat(np.array([rows[step]]), len(last), axis=0)


def test_the_best_sequence_is_found():
    row, end = [0, 0, 0, 0.1, 0.6, 0.3], [0, 0, 0, 0.8, 0.1, 0.1]
    best, score = headlines.message(steps(row, row, end), headlines.Search(beams=2, fewest=1, most=3))[0]
    assert best == [4, 4] and score == pytest.approx(np.log(0.6 * 0.6 * 0.8) / 3)


def test_something_is_found_where_all_pieces_repeat():
    rows = [[0, 0, 0, 0, 1.0, 0]] * 9
    assert headlines.message(steps(*rows), headlines.Search(beams=2, fewest=1, most=9))


def test_no_three_pieces_come_twice():
    rows = [[0, 0, 0, 0.01, 0.9, 0.09]] * 9
    for pieces, _ in headlines.message(steps(*rows), headlines.Search(beams=3, fewest=1, most=9)):
        triples = list(zip(pieces, pieces[1:], pieces[2:], strict=False))
        assert len(triples) == len(set(triples))


def test_a_copied_piece_gets_the_share_that_is_not_written():
    outputs = {
        "vocabulary": np.array([[0.5, 0.5, 0, 0]]),
        "copy": np.array([[0.25, 0.75, 0.0]]),
        "written": np.array([[0.2]]),
    }
    assert headlines.mixed(outputs, np.array([3, 2, 3]))[0] == pytest.approx([0.1, 0.1, 0.6, 0.2])


def test_numbers_must_stand_in_the_text():
    assert headlines.unsupported("3000 bees in 2.4 hives", "There are 3,000 bees and 2.4 hives") == []
    assert headlines.unsupported("31 bees", "There are 3 or 1 bees") == ["31"]
    assert headlines.without_unsupported("31 bees of 7", "7 bees") == "bees of 7"


def test_capitals_are_those_of_the_text():
    text = "We present HiveNote. The BERT model of Una Marwick is small. Models are large."
    assert (
        headlines.cased("hivenote: a bert model for una marwick", text, False)
        == "HiveNote: A BERT model for Una Marwick"
    )
    assert headlines.cased("hivenote: a model for the hive", text, True) == "HiveNote: A Model for the Hive"
    assert headlines.cased("bert-based small models", text, True) == "BERT-Based Small Models"


def test_a_word_with_a_number_must_stand_in_the_text_as_it_is():
    text = "Step 3: delete 3,000 files of GPT-4o, 2.0 of them twice."
    assert headlines.unsupported("3D files", text) == ["3d"]
    assert headlines.unsupported("3000 files and 2.0 of GPT-4o in step 3", text) == []


def test_what_comes_again_is_worth_more():
    texts = ["The tower burns.", "Sailors saw the tower burn.", "Cake was eaten.", "The tower was old."]
    assert centrality.worth(texts).values.argmin() == 2


@pytest.mark.parametrize(
    "leaning",
    [
        "They repaired bridges quickly.",
        "\u201cEngineers repaired bridges\u201d, it says.",
        "Engineers repaired bridges quickly?",
        "Engineers repaired bridges with me.",
    ],
)
def test_what_leans_on_another_sentence_or_a_speaker_is_worth_less(leaning):
    values = centrality.worth(["Rain fell.", "Engineers repaired bridges quickly.", leaning]).values
    assert values[1] > values[2]


def test_what_was_said_counts_once():
    texts = [
        "Fire at the harbour mill.",
        "The harbour mill had a fire.",
        "Police asked nobody.",
        "Rain fell.",
    ]
    chosen = selection.chosen(centrality.worth(texts), texts, selection.Length(sentences=2))
    assert len(set(chosen) & {0, 1}) == 1


def test_worth_is_shown_as_scores():
    found = centrality.shown(np.array([3.0, 1.0, 2.0, 0.0]), np.array([0.2, 0.3, 0.25, 0.22]))
    assert found.argsort().tolist() == [3, 1, 2, 0] and ((found > 0) & (found < 1)).all()


def test_words_are_counted_whole():
    model = vocabulary.learned([each["text"] for each in data_summary.pairs(50)], 300)
    row = vocabulary.encoded(model, ["the pump, the Zyxw"])[0]
    words = vocabulary.words(model, row)
    assert len(words) == len(row) and words[-1] == words[-2]
    assert words[0] == words[[i for i, each in enumerate(words) if each == words[0]][-1]]


def test_the_same_texts_give_the_same_vocabulary():
    texts = [each["text"] for each in data_summary.pairs(50)]
    assert vocabulary.learned(texts, 300) == vocabulary.learned(texts, 300)


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_pairs_are_read_from_tables(tmp_path, ending):
    import polars as pl

    frame = pl.DataFrame({"article": ["One. Two."], "highlights": ["One."], "split": ["test"]})
    path = tmp_path / f"pairs.{ending}"
    {"jsonl": frame.write_ndjson, "csv": frame.write_csv, "parquet": frame.write_parquet}[ending](path)
    found = data.read(path, None, None)
    assert (
        found.inputs[0].text == "One. Two."
        and found.labels[0].summaries == ("One.",)
        and found.splits == ["test"]
    )


def test_several_summaries_are_taken(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"text": "A b.", "targets": ["A.", "B."]}\n')
    assert data.read(path, None, None).labels[0].summaries == ("A.", "B.")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"text": "", "summary": "s"}', "row 2: empty; wanted a text"),
        ('{"text": "t", "summary": ""}', "row 2: no summary"),
        ('{"text": null, "summary": "s"}', "row 2: no text, but None"),
    ],
)
def test_a_bad_row_is_named_and_costs_only_itself(tmp_path, line, said):
    path = tmp_path / "pairs.jsonl"
    path.write_text(f'{{"text": "A b.", "summary": "A."}}\n{line}\n')
    one, other = data.read(path, None, None).inputs
    assert one.text == "A b." and said in str(other)


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        ('{"a": "x", "summary": "y"}', [], "no column for the text, of a, summary; name it with --text"),
        ('{"texts": "x", "summary": "y"}', ["--text", "text"], "no column 'text'; did you mean texts?"),
        ("{broken", [], "row 1: not JSON"),
        ('{"text": "x", "summary": "y", "split": "tset"}', [], "split 'tset'; wanted train, val or test"),
    ],
)
def test_bad_training_data_is_said_in_a_line(tmp_path, content, options, said):
    path = tmp_path / "pairs.jsonl"
    path.write_text(content + "\n")
    with pytest.raises(DataError) as found:
        named = dict(zip(("text",), options[1:], strict=False))
        SummaryTask().load_examples(path, SummaryConfig(**named))
    assert said in str(found.value)


def test_offsets_give_back_the_very_sentence():
    said = dltasks("summarize", ARTICLE, "--sentences", 2, "--json")
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    text = ARTICLE.read_text()
    assert found["input"] == str(ARTICLE) and found["model"] == "sentences"
    assert len(found["sentences"]) == 2
    for each in found["sentences"]:
        assert text[each["start"] : each["end"]] == each["text"] and 0 < each["score"] < 1
    assert " ".join(found["summary"].split()) == " ".join(
        " ".join(e["text"] for e in found["sentences"]).split()
    )


@pytest.mark.parametrize("count", [1, 3, 7])
def test_exactly_so_many_sentences_are_given(count):
    found = json.loads(dltasks("summarize", ABSTRACT, "--sentences", count, "--json").stdout)
    assert len(found["sentences"]) == count


@pytest.mark.parametrize("count", [1, 7, 40, 100])
def test_never_more_than_so_many_words_are_given(count):
    for style in ("extract", "headline"):
        found = json.loads(
            dltasks("summarize", ABSTRACT, "--style", style, "--words", count, "--json").stdout
        )
        assert 0 < len(found["summary"].split()) <= count


def test_a_headline_is_a_line_whose_numbers_stand_in_the_text():
    found = json.loads(dltasks("summarize", ABSTRACT, "--style", "headline", "--json").stdout)
    assert found["summary"] and "\n" not in found["summary"] and found["sentences"] == []
    assert headlines.unsupported(found["summary"], ABSTRACT.read_text()) == []


def test_chosen_sentences_are_marked_in_the_text():
    said = dltasks("summarize", ABSTRACT, "--sentences", 1, "--highlight").stdout
    assert said.count(">>") == said.count("<<") == 1
    assert said.replace(">>", "").replace("<<", "").strip() == ABSTRACT.read_text().strip()


def test_fewer_sentences_than_asked_are_said():
    said = dltasks("summarize", input=b"Only this one sentence.")
    assert (
        said.stdout == "Only this one sentence.\n" and "the text has 1 sentence, fewer than 3" in said.stderr
    )


def test_another_language_is_said_and_judged_all_the_same():
    text = (
        "Der Gemeinderat hat am Dienstag beschlossen, die Bücherei offen zu halten. Das freut die Einwohner sehr. "
        * 4
    )
    said = dltasks("summarize", "-", "--sentences", 1, input=text.encode())
    assert said.returncode == 0 and said.stdout and "another language" in said.stderr


def test_wrong_usage_is_told():
    assert dltasks("summarize", ABSTRACT, "--ratio", "nan").returncode == 2
    assert dltasks("summarize", ABSTRACT, "--model", "headlines", "--highlight").returncode == 2
    assert dltasks("summarize", ABSTRACT, "--words", 5, "--ratio", 0.5).returncode == 2
    assert dltasks("summarize", ABSTRACT, "--style", "headline", "--sentences", 2).returncode == 2


def test_a_long_text_is_judged_window_by_window_all_of_it():
    task = library.load("sentences").task
    rows = task._rows(Document("A cat sat here. " * 130))
    windows = list(task._windows(rows, 64, 40))
    assert [each["pieces"].shape[1] for each in windows] == [64, 64, 2]
    assert {float(each["total"][0, 0]) for each in windows} == {130.0}
    # "cat" stands in every sentence, and each window knows it.
    assert all((each["counts"][0, 0] == 130).any() for each in windows)


def test_headlines_are_trained_exported_and_asked(tmp_path_factory, tmp_path):
    settings = {
        "style": "headline",
        "max_source_tokens": 64,
        "max_headline_tokens": 12,
        "convolutions": 1,
        "decoder_layers": 1,
    }
    trained = train_once("summary", "headlines", tmp_path_factory, **settings)
    model = library.load(trained.bundle)
    assert model.runtime.signatures == ("encode", "step")
    assert model.manifest["parity"]["agreement"] >= 0.98
    out = tmp_path / "alone.tflite"
    assert dltasks("export", trained.bundle, "--quantize", "none", "--out", out).returncode == 0
    one, other = (library.load(each).predict(ABSTRACT)[0].summary for each in (out, trained.bundle))
    assert one == other
    refused = dltasks("export", trained.bundle, "--quantize", "int8", "--out", out)
    assert refused.returncode == 1 and "try dynamic" in refused.stderr
    served = dltasks(
        "export", trained.bundle, "--format", "saved-model", "--out", tmp_path / "served", "--json"
    )
    assert served.returncode == 0 and json.loads(served.stdout)["agreement"] == 1.0


def test_a_step_with_its_cache_gives_what_the_whole_sequence_gives(tmp_path_factory):
    settings = {
        "style": "headline",
        "max_source_tokens": 64,
        "max_headline_tokens": 12,
        "convolutions": 1,
        "decoder_layers": 1,
    }
    trained = train_once("summary", "headlines", tmp_path_factory, **settings)
    from dltasks.export.networks import load_network

    model, network = library.load(trained.bundle), load_network(trained.bundle)
    inputs, _ = model.task.encode([ABSTRACT])
    sequence = np.array([[2, 300, 301, 302, 5, 6, 7, 8, 9, 10, 11, 12, 13]], np.int32)
    whole = network.predict_on_batch({"source": inputs["source"], "sequence": sequence})
    run = model.runtime.run
    memory = run({"source": inputs["source"]}, "encode")
    past = model.task._empty(memory, 1)
    for step, piece in enumerate(sequence[0, :-1]):
        given = {"piece": np.array([piece], np.int32), "place": np.array([step], np.int32)}
        outputs = run(given | memory | past, "step")
        past = {name: outputs[name] for name in past}
        for name in ("vocabulary", "copy", "written"):
            # The file keeps its weights as float16.
            assert np.abs(outputs[name][0] - whole[name][0, step]).max() < 0.01


SET = """
import data_summary
import tensorflow_datasets as tfds


class Tales(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({"article": tfds.features.Text(), "highlights": tfds.features.Text()}),
            supervised_keys=("article", "highlights"),
        )

    def _split_generators(self, _):
        return {"train": self._generate_examples(0, 40), "validation": self._generate_examples(40, 50), "test": self._generate_examples(50, 60)}

    def _generate_examples(self, first, last):
        for i, each in enumerate(data_summary.pairs(60)[first:last]):
            yield i, {"article": each["text"], "highlights": each["summary"]}
"""

TRAIN = """
import sets.tales
import dltasks
import data_summary

model = dltasks.train("summary", "tfds:tales", out="out", **(data_summary.SETTINGS | {"epochs": 1}))
print(model.record["training"]["examples"], model.evaluate("tfds:tales").count)
"""


def test_a_set_of_tensorflow_datasets_is_trained_on_by_its_name(tmp_path):
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "__init__.py").write_text("")
    (tmp_path / "sets" / "tales.py").write_text(SET)
    place = os.pathsep.join([str(tmp_path), str(ROOT / "tests"), ENVIRONMENT["PYTHONPATH"]])
    ran = subprocess.run(
        [sys.executable, "-c", TRAIN],
        cwd=tmp_path,
        env=ENVIRONMENT
        | {"PYTHONPATH": place, "TFDS_DATA_DIR": str(tmp_path / "tfds"), "NO_GCE_CHECK": "true"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert "{'train': 40, 'val': 10, 'test': 10} 10" in ran.stdout
