"""Sketches: line drawings of emoji, drawn again by the measured hand, that find pictures and pages.

Three tasks, split by concept as `lib.datasets.pictures`: to colour pictures, to icons (another
artist), and to pages of title, text and picture. Drawings recorded with a mouse are a test set of
their own. `data/README.md` says which queries are derived from what they shall find.
"""

from lib.datasets.sketches.drawings import (
    PEN,
    PLAIN,
    draw_sketches,
    emoji_groups,
    emoji_places,
    emoji_strokes,
    sketch_strokes,
    training_places,
)
from lib.datasets.sketches.hand_drawn import HandDrawn, load_hand_drawn, read_hand_drawn
from lib.datasets.sketches.manuals import load_manual
from lib.datasets.sketches.pages import Page, category_word, load_pages, read_glosses
from lib.datasets.sketches.tasks import DIRECTIONS, hand_drawn_task, query_places, task
