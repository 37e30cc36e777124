"""Scenes to words: five paraphrased captions a scene, and exactly what each of them states.

`plan` decides with array arithmetic what every caption says; `captions` only puts it into words.
Judgements read the plan, never the words, so no parser stands between a caption and its truth.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.datasets.scenes.world import COLOURS, MOTIONS, SceneBatch, mix64

# The five captions. Every caption states both shapes, colours, counts and the relation.
KINDS = (
    "full",  # states everything, group 0 first
    "converse",  # states everything, group 1 first, so the relation word is the opposite one
    "partial size",  # leaves out the size of one group
    "partial texture",  # leaves out the texture of one group
    "order",  # leaves out all sizes and textures: binding and relation are left, in word order
)
N_CAPTIONS = len(KINDS)

_SIZE_WORDS = (("small", "little"), ("large", "big"))
_TEXTURE_WORDS = (("solid", "plain"), ("striped", "stripy"), ("dotted", "spotted"))
# Singular and plural of each shape, and of a synonym where there is one.
_SHAPE_WORDS = (
    (("circle", "circles"), ("disc", "discs")),
    (("square", "squares"), ("square", "squares")),
    (("triangle", "triangles"), ("triangle", "triangles")),
    (("diamond", "diamonds"), ("rhombus", "rhombuses")),
    (("star", "stars"), ("star", "stars")),
    (("cross", "crosses"), ("plus", "pluses")),
    (("heart", "hearts"), ("heart", "hearts")),
    (("moon", "moons"), ("crescent", "crescents")),
)
_COUNT_WORDS = ("a", "two", "three")
_GROUP_WORDS = ("one", "a pair of", "a trio of")  # where no verb or pronoun has to agree with them

# Indexed by the relation of the first named group {a} to the second {b}.
_RELATION_WORDS = (
    ("to the left of", "left of"),
    ("to the right of", "right of"),
    ("above", "over"),
    ("below", "under"),
)
_A_PLACE = ("on the left", "on the right", "at the top", "at the bottom")
_B_BESIDE_IT = ("on its right", "on its left", "below it", "above it")
_B_BESIDE_THEM = ("on their right", "on their left", "below them", "above them")
_TEMPLATES = (
    "{a} {relation} {b}",
    "{a} {a_place} and {b} {b_place}",
    "{a} with {b} {b_beside}",
    "{a} {is_} {relation} {b}",
    "there {is_} {a} {relation} {b}",
    "{relation} {b} {is_} {a}",
)
_VERBLESS = 2  # the first two templates have no word that agrees with {a} in number
_MOTION_WORDS = tuple((f"everything moves {m}", f"everything drifts {m}") for m in MOTIONS)


@dataclass(frozen=True)
class CaptionPlan:
    """Statements and word choices of the five captions of n scenes.

    Args:
        states_size, states_texture: (n, 5, 2) bool: a caption states the attribute of the group.
        first: (n, 5), the group named first.
        template: (n, 5), position in the list of sentence forms.
        synonym: (n, 5), a non-negative integer; its bits choose synonyms.
    """

    states_size: np.ndarray
    states_texture: np.ndarray
    first: np.ndarray
    template: np.ndarray
    synonym: np.ndarray


def plan(scenes: SceneBatch) -> CaptionPlan:
    """Plan the captions of scenes, from each scene's `wording` alone."""
    kind = np.arange(N_CAPTIONS)
    wording = scenes.wording[:, None].astype(np.uint64)
    words = mix64(wording * np.uint64(N_CAPTIONS) + kind.astype(np.uint64))

    def bits(at: int, n_values: int) -> np.ndarray:  # (n, 5), from 16 of the 64 bits
        field = words >> np.uint64(at) & np.uint64(0xFFFF)
        return ((field * np.uint64(n_values)) >> np.uint64(16)).astype(np.int64)

    # The group that a partial caption is short about, (n, 5, 2).
    omitted = bits(0, 2)[..., None] == np.arange(2)
    states_size = ~(omitted & (kind == 2)[:, None]) & (kind != 4)[:, None]
    states_texture = ~(omitted & (kind == 3)[:, None]) & (kind != 4)[:, None]
    first = np.where(kind == 0, 0, np.where(kind == 1, 1, bits(16, 2)))
    template = np.where(kind == 4, bits(32, _VERBLESS), bits(32, len(_TEMPLATES)))
    return CaptionPlan(states_size, states_texture, first, template, bits(48, 2048))


@lru_cache(maxsize=1 << 16)
def _noun_phrase(
    shape: int, colour: int, size: int, texture: int, count: int, synonym: int, grouped: bool
) -> str:
    """Write a phrase such as "two small red circles"; a size or texture of -1 is left out."""
    adjectives = [_TEXTURE_WORDS[texture][synonym & 1]] if texture >= 0 else []
    # Both "striped red" and "red striped" occur.
    adjectives.insert((synonym >> 1) & len(adjectives), COLOURS[colour])
    if size >= 0:
        adjectives.insert(0, _SIZE_WORDS[size][(synonym >> 2) & 1])
    noun = _SHAPE_WORDS[shape][(synonym >> 3) & 1][count > 1]
    number = (_GROUP_WORDS if grouped else _COUNT_WORDS)[count - 1]
    if number == "a" and adjectives[0][0] in "aeiou":
        number = "an"
    return " ".join([number, *adjectives, noun])


def _sentences(scenes: SceneBatch, which: np.ndarray) -> list[list[str]]:
    """Word the captions `which` (n, m) of each scene."""
    caption_plan = plan(scenes)
    rows = np.arange(len(scenes))[:, None]
    first = caption_plan.first[rows, which]  # (n, m)
    order = np.stack([first, 1 - first], axis=-1)  # (n, m, 2): group of {a}, group of {b}

    def ordered(values: np.ndarray) -> np.ndarray:
        return np.take_along_axis(values, order, axis=-1)

    def of_scene(values: np.ndarray) -> np.ndarray:
        return ordered(np.broadcast_to(values[:, None], order.shape))

    size = np.where(ordered(caption_plan.states_size[rows, which]), of_scene(scenes.size), -1)
    states_texture = ordered(caption_plan.states_texture[rows, which])
    texture = np.where(states_texture, of_scene(scenes.texture), -1)
    template, synonym = caption_plan.template[rows, which], caption_plan.synonym[rows, which]
    # {b} may be "a pair of", and {a} too where nothing has to agree with it.
    a_grouped = (template < _VERBLESS) & (synonym >> 9 & 1 == 1)
    grouped = np.stack([a_grouped, synonym >> 10 & 1 == 1], axis=-1)
    bits = np.stack([synonym & 15, synonym >> 4 & 15], axis=-1)
    shape, colour, count = (of_scene(x) for x in (scenes.shape, scenes.colour, scenes.count))
    nouns = np.stack([shape, colour, size, texture, count, bits], axis=-1)  # (n, m, 2, 6)
    sentence = np.stack([template, scenes.relation[:, None] ^ first, synonym >> 8 & 1], axis=-1)
    return [
        [
            _sentence(*form, a[4], _noun_phrase(*a, a_grouped), _noun_phrase(*b, b_grouped))
            for form, (a, b), (a_grouped, b_grouped) in zip(forms, pairs, groupings, strict=True)
        ]
        for forms, pairs, groupings in zip(
            sentence.tolist(), nouns.tolist(), grouped.tolist(), strict=True
        )
    ]


def _sentence(template: int, relation: int, synonym: int, a_count: int, a: str, b: str) -> str:
    plural = a_count > 1
    return _TEMPLATES[template].format(
        a=a,
        b=b,
        relation=_RELATION_WORDS[relation][synonym],
        a_place=_A_PLACE[relation],
        b_place=_A_PLACE[relation ^ 1],
        b_beside=(_B_BESIDE_THEM if plural else _B_BESIDE_IT)[relation],
        is_="are" if plural else "is",
    )


def captions(scenes: SceneBatch) -> list[list[str]]:
    """Write five captions of each scene, in the order of KINDS: true, lower case, at most 21 words.

    Caption 0 states everything; caption 4 gives only shapes, colours, counts and the relation, so
    word order carries its meaning: the same words in another order describe other scenes of the
    gallery.

    Returns:
        n lists of 5 strings.
    """
    return _sentences(scenes, np.broadcast_to(np.arange(N_CAPTIONS), (len(scenes), N_CAPTIONS)))


def caption_choice(scenes: SceneBatch, which: np.ndarray) -> list[str]:
    """Write caption `which[i]` (0 to 4) of each scene i, faster than writing all five."""
    which = np.asarray(which)
    known = which.dtype.kind in "iu" and np.isin(which, range(N_CAPTIONS)).all()
    if which.shape != (len(scenes),) or not known:
        raise RetrievalInputError(
            f"which must hold one of 0..{N_CAPTIONS - 1} for each of the {len(scenes)} scenes, "
            f"got {which.dtype} {which.shape} {which[:5]}"
        )
    return [text for (text,) in _sentences(scenes, which[:, None])]


def clip_captions(scenes: SceneBatch) -> list[list[str]]:
    """Write `captions` that end with the motion of the clip: "... as everything drifts left"."""
    synonym = mix64(scenes.wording) >> np.uint64(63)
    motions = [_MOTION_WORDS[m][int(s)] for m, s in zip(scenes.motion, synonym, strict=True)]
    return [
        [f"{text} as {motion}" for text in five]
        for five, motion in zip(captions(scenes), motions, strict=True)
    ]


def words() -> list[str]:
    """List every word that captions and clip captions can contain, sorted."""
    phrases = ["an is are as", *COLOURS, *_COUNT_WORDS, *_GROUP_WORDS]
    phrases += [*_A_PLACE, *_B_BESIDE_IT, *_B_BESIDE_THEM]
    for table in (_SIZE_WORDS, _TEXTURE_WORDS, _RELATION_WORDS, _MOTION_WORDS, *_SHAPE_WORDS):
        phrases += [phrase for entry in table for phrase in entry]
    phrases += [w for template in _TEMPLATES for w in template.split() if not w.startswith("{")]
    return sorted({word for phrase in phrases for word in phrase.split()})
