"""The list of rows that a corpus needs: every kind of corpus, by hand."""

from dataclasses import replace

import numpy as np

from lib.core.qrels import Qrels
from lib.datasets.composed import ComposedGallery, ComposedQueries
from lib.datasets.judged import JudgedCorpus
from lib.datasets.media.base64_pictures import Base64Pictures
from lib.datasets.media.files import PictureFiles
from lib.studies.published.row_list import needed_rows

PICTURES = PictureFiles("root/val", ["a.jpg", "b.jpg"])


def row(array, id_, text="", file="", start="", end=""):
    return {"array": array, "id": id_, "text": text, "file": file, "start": start, "end": end}


def test_a_composed_query_has_its_text_and_its_reference():
    qrels = Qrels.from_pairs([0], [0], shape=(1, 2))
    corpus = ComposedQueries(
        name="tiny", split="val", media=PICTURES, item_ids=("a", "b"), texts=("more red",),
        text_ids=("7",), references=np.array([1]), qrels=qrels,
        galleries=(ComposedGallery("image", np.arange(1), np.arange(2)),), reference="removed",
        relevance="", counts=(),
    )  # fmt: skip
    assert list(needed_rows(corpus)) == [
        row("image", "a", file="root/val/a.jpg"),
        row("image", "b", file="root/val/b.jpg"),
        row("query", "7", "more red", "root/val/b.jpg"),
    ]


def test_texts_may_be_on_both_sides_and_pictures_may_ask():
    qrels = Qrels.from_pairs([0], [1], shape=(1, 2))
    corpus = JudgedCorpus("beir: tiny", "test", "text", "text", ("where?",), ("q",),
                          ("here", "there"), ("0", "1"), qrels, ())  # fmt: skip
    assert list(needed_rows(corpus)) == [
        row("text", "0", "here"),
        row("text", "1", "there"),
        row("query", "q", "where?"),
    ]
    asking = replace(corpus, query_modality="image", texts=PICTURES.take([0]))
    assert list(needed_rows(asking))[-1] == row("image", "q", file="root/val/a.jpg")


def test_pictures_in_a_table_are_the_table(tmp_path):
    (tmp_path / "imgs.tsv").write_text("7\tAAAA\n8\tAAAA\n")
    pictures = Base64Pictures(tmp_path, ["8"], "imgs.tsv")
    qrels = Qrels.from_pairs([0], [0], shape=(1, 1))
    corpus = JudgedCorpus("beir: tiny", "test", "text", "image", ("where?",), ("q",),
                          pictures, ("8",), qrels, ())  # fmt: skip
    assert next(iter(needed_rows(corpus))) == row("image", "8", file=f"{tmp_path}/imgs.tsv")
