"""Scenes: a generated world of coloured shapes with exactly known relevance of every caption.

A scene is two groups of objects and a relation between them. `sample` draws scenes of a split,
`render` turns them into images, `captions` into words, `qrels` judges, and `task` puts the four
together. `data/README.md` describes the corpus.
"""

from lib.datasets.scenes.drawing import SIZE, render, render_clip, render_sketch
from lib.datasets.scenes.language import (
    KINDS,
    N_CAPTIONS,
    caption_choice,
    captions,
    clip_captions,
    words,
)
from lib.datasets.scenes.relevance import TRUE, ceilings, qrels, same_words
from lib.datasets.scenes.splits import SPLITS, UNSEEN_PAIRS, sample, split_of
from lib.datasets.scenes.tasks import (
    DIRECTIONS,
    N_HARD,
    TWINS,
    hard_task,
    iter_chunks,
    sample_swappable,
    task,
    training_batch,
    training_twins,
    twins,
)
from lib.datasets.scenes.world import (
    COLOURS,
    COUNTS,
    MOTIONS,
    RELATIONS,
    SHAPES,
    SIZES,
    TEXTURES,
    SceneBatch,
    canonical,
    composition_key,
    concatenate,
    swap_colours,
    swap_relation,
)
