"""Exercises of notebook 20: what a run has to do, a query's sum, a page, a threshold for copies."""

import numpy as np

from lib.course.cases import Case, Exercise

# ---- folder.changes: a stays, b is gone, c has new content, e is a, d and f are one new picture.

KNOWN = {"a.png": "11", "b.png": "22", "c.png": "33"}
FOUND = {"a.png": "11", "c.png": "44", "d.png": "55", "e.png": "11", "f.png": "55"}


def _two_lists(result):
    """Read a pair of lists, whichever kind of sequence holds them."""
    if isinstance(result, list | tuple) and len(result) == 2:
        return [list(part) if isinstance(part, list | tuple) else part for part in result]
    return result


changes = Exercise(
    "folder.changes",
    """Return [digests to encode, paths to drop], two sorted lists: known, {path: digest} of the
    last run, and found, {path: digest} of the folder now, in. A digest is encoded once, and only if
    no known picture has it. A path is dropped if it is gone.""",
    (
        Case((KNOWN, FOUND), [["44", "55"], ["b.png"]], mistakes={
            "content that is known under another name is encoded again: e.png is a.png"
            " | Look for the digest among the known digests, not for the path among the known"
            " paths.": [["11", "44", "55"], ["b.png"]],
            "an edited file is missed: c.png has new content"
            " | Its path is known, its digest is not.": [["55"], ["b.png"]],
            "two new files of one content are encoded twice"
            " | d.png and f.png are one picture. Collect the digests in a set.":
                [["44", "55", "55"], ["b.png"]],
            "an edited file is dropped | Its path is still there: c.png keeps its place and gets a"
            " new vector.": [["44", "55"], ["b.png", "c.png"]],
            "paths are returned for the first list | Return the digests: content is encoded, not"
            " names.": lambda lists: any(".png" in str(each) for each in lists[0]),
            "the two lists have changed places | First what is encoded, then what is dropped.":
                [["b.png"], ["44", "55"]],
            "the dropped ones are digests | Return paths: two paths can share a digest, and one of"
            " them can be gone.": [["44", "55"], ["22"]],
            "the lists are not sorted | Sort both: the order of a set is no order.":
                lambda lists: [sorted(each) for each in lists] == [["44", "55"], ["b.png"]],
        }, otherwise="Encode 44 and 55, drop b.png.", given="with every kind of change",
            read=_two_lists),
        (
            Case((KNOWN, KNOWN), [[], []], "an unchanged folder gives work | Nothing is new and"
                " nothing is gone: two empty lists.", read=_two_lists),
            Case(({}, {"a.png": "11"}), [["11"], []], "in the first run everything is new",
                given="for an empty index", read=_two_lists),
            Case(({"a.png": "11", "b.png": "11"}, {"b.png": "11"}), [[], ["a.png"]],
                "one of two equal files is deleted, and its path is not dropped, or its content is"
                " encoded again | Paths are dropped one by one; the digest is still known.",
                read=_two_lists),
            Case(({"x.png": "9", "a.png": "8"}, {"z.png": "30", "b.png": "100"}),
                [["100", "30"], ["a.png", "x.png"]],
                "the lists are not sorted | Sort digests and paths as texts.", read=_two_lists),
        ),
    ),
    """- Two questions: which content is new, and which paths are gone?
    - Content is new if its digest is among the values of `found` and not among those of `known`.
    - A path is gone if it is a key of `known` and no key of `found`. Sets subtract; sort at the
      end.""",
    "Names say where a picture is, hashes say what it is. A run that mixes them up encodes too much"
    " or loses rows.",
)  # fmt: skip

# ---- folder.compose: in the plane; t = (1, 0), p = (0, 1).

T = np.array([1.0, 0.0, 0.0])
P = np.array([0.0, 1.0, 0.0])
U = np.array([0.0, 0.0, 1.0])
NONE = np.empty((0, 3))
OPPOSED = np.array([[0.0, 1.0, 0.0], [0.0, 0.8, 0.6]])


def _unit(row) -> np.ndarray:
    return row / np.sum(np.square(row)) ** 0.5


MEAN = _unit(OPPOSED.mean(axis=0))

compose = Exercise(
    "folder.compose",
    """Return the query (d,) of length 1: a text (d,), pictures (p, d) and texts to avoid (u, d),
    all rows of length 1, and a weight in. q = (1 - weight) text + weight P - 0.5 mean(without),
    where P is the mean of the pictures brought to length 1. Without pictures the text counts whole;
    p and u may be 0.""",
    (
        Case((T, NONE, NONE, 0.5), T, mistakes={
            "half of the text is lost where there is no picture, or the result has another length"
            " | With text alone q is the text.": 0.5 * T,
        }, otherwise="With no pictures and nothing to avoid, the query is the text.",
            given="with text alone", meaning="one vector (d,)",
            if_raises="p or u is 0: the mean of no rows is no number. Ask for the length first."),
        (
            Case((T, P[None], NONE, 0.25), _unit(0.75 * T + 0.25 * P), mistakes={
                "the weight stands at the wrong part | weight belongs to the pictures, 1 - weight"
                " to the text.": _unit(0.25 * T + 0.75 * P),
                "the result has not length 1 | Divide by its length at the end.":
                    0.75 * T + 0.25 * P,
                "text and pictures count the same | weight is an argument: use it.": _unit(T + P),
            }, otherwise="0.75 text + 0.25 picture, brought to length 1.",
                given="with a weight of 0.25"),
            Case((T, OPPOSED, NONE, 0.5), _unit(0.5 * T + 0.5 * MEAN), mistakes={
                "the mean of two pictures is shorter than 1, so the pictures count less than the"
                " weight says | Bring the mean to length 1 before it is added.":
                    _unit(0.5 * T + 0.5 * OPPOSED.mean(axis=0)),
                "two pictures count twice | Take their mean, not their sum.":
                    _unit(0.5 * T + 0.5 * OPPOSED.sum(axis=0)),
            }, otherwise="Mean of the two pictures, to length 1, then the weighted sum.",
                given="with two pictures"),
        ),
        (
            Case((T, NONE, U[None], 0.2), _unit(T - 0.5 * U), mistakes={
                "what should be avoided is added | Subtract it.": _unit(T + 0.5 * U),
                "it is subtracted whole | Half of the mean is subtracted.": _unit(T - U),
                "it is ignored | q = text - 0.5 mean(without).": T,
                "the text does not count whole, though there is no picture | The weight parts text"
                " from pictures. What is avoided has its own half.": _unit(0.8 * T - 0.5 * U),
            }, otherwise="text - 0.5 mean(without), to length 1.", given="with one text to avoid"),
            Case((T, P[None], np.stack([U, P]), 0.5),
                _unit(0.5 * T + 0.5 * P - 0.5 * np.mean([U, P], axis=0)), mistakes={
                "the texts to avoid are summed | Take half of their mean, however many there are.":
                    _unit(0.5 * T + 0.5 * P - 0.5 * np.sum([U, P], axis=0)),
            }, otherwise="The sum of all three parts, to length 1.", given="with everything"),
        ),
    ),
    """- Three parts: text, pictures, what is avoided. Which of them are there?
    - Make the mean of the pictures one vector of length 1 first. Without pictures the text has
      the whole weight.
    - Subtract half of the mean of `without` if it has rows; divide by the length at the end.""",
    "Each part has length 1 before it is weighted, so the weight means what it says.",
)  # fmt: skip

# ---- folder.page: by score 5, 2, 0, 3, 6, 1, 4; 2 and 6 are not allowed, 0, 3 and 1 are copies.

SCORES = np.array([0.7, 0.3, 0.8, 0.6, 0.1, 0.9, 0.5])
ALLOWED = np.array([True, True, False, True, True, True, False])
GROUP = np.array([4, 4, 1, 4, 3, 9, 2])
TIED = np.zeros(40)
ALL_40 = np.ones(40, bool)
OWN_40 = np.arange(40)

page = Exercise(
    "folder.page",
    """Return the positions on one page, best first: scores (n,), allowed (n,) booleans, group (n,)
    equal for copies of one picture, k and an offset in. Only allowed pictures count, of each group
    the best one alone, equal scores by the smaller position; then `offset` of them are skipped and
    k are kept.""",
    (
        Case((SCORES, ALLOWED, GROUP, 3, 0), [5, 0, 4], mistakes={
            "the page is short: the condition was applied after the cut"
            " | 2 is not allowed and took a place. Apply the condition first, then cut.":
                lambda ids: ids in ([5, 0], [0, 5]),
            "copies take two places | 0, 3 and 1 are one picture: only the best, 0, counts.":
                lambda ids: len({int(GROUP[i]) for i in ids if 0 <= i < 7}) < len(ids),
            "a picture is shown that is not allowed | Keep those for which allowed is true.":
                lambda ids: any(not ALLOWED[i] for i in ids if 0 <= i < 7),
            "the order is lost | np.unique sorts by group. Sort the places that it gives, so that"
            " the best comes first again.": lambda ids: sorted(ids) == [0, 4, 5],
        }, otherwise="By score 5, 2, 0, 3, 1 and so on: 5, then 0 for its copies, then 4.",
            given="for the first page of 3"),
        (
            Case((SCORES, ALLOWED, GROUP, 1, 1), [0], mistakes={
                "the second page of one does not follow the first | Skip `offset` pictures of the"
                " list that is filtered and folded already.":
                    lambda ids: ids != [0],
            }, otherwise="5 is on the first page, 0 on the second.", given="for page two of one"),
            Case((SCORES, ALLOWED, GROUP, 2, 2), [4],
                "the last page is wrong | 5 and 0 are skipped, 4 is left: a last page may be"
                " short.", given="for the last page"),
            Case((SCORES, np.zeros(7, bool), GROUP, 3, 0), [],
                "nothing is allowed, and something is shown | Then the page is empty."),
        ),
        Case((TIED, ALL_40, OWN_40, 3, 2), [2, 3, 4],
            "equal scores come in another order on each page | A page must not depend on luck: of"
            " equal scores the smaller position comes first. Reversing a sort reverses ties too;"
            " sort minus the scores, with a sort that is stable.", given="with equal scores"),
    ),
    """- What must be done before the cut to a page? Name all of it.
    - Sort all positions by minus the score, stable; keep the allowed; keep the first of each group;
      only then cut from offset to offset + k.
    - unique with return_index gives the first place of each group, in the order of the groups: sort
      these places.""",
    "Cut last. Whatever drops hits after the cut makes pages short, and pages that follow repeat or"
    " skip pictures.",
)  # fmt: skip

# ---- folder.threshold: at 0.9 half of the different pairs fold, at 0.96 a quarter, at 0.99 none.

COPIES = np.array([0.95, 0.97, 0.98, 0.99, 1.0])
DIFFERENT = np.array([0.5, 0.8, 0.93, 0.97])
CANDIDATES = np.array([0.90, 0.96, 0.98, 0.99])

threshold = Exercise(
    "folder.threshold",
    """Return (threshold, share of the copies that are folded), two numbers: cosines of copies (m,),
    cosines of different pictures (n,), candidates (c,) ascending and the largest share of different
    pictures that may be folded in. A pair is folded if its cosine is at least the threshold. Take
    the smallest candidate that keeps the share; the largest candidate if none does.""",
    (
        Case((COPIES, DIFFERENT, CANDIDATES, 0.25), (0.96, 0.8), mistakes={
            "a share that equals the limit is refused | The limit is a quarter, and a quarter is"
            " allowed.": (0.98, 0.6),
            "the largest candidate is taken | Any larger threshold misses more copies. Take the"
            " smallest that keeps the limit.": (0.99, 0.4),
            "the limit is not kept | At 0.90 half of the different pairs are folded.": (0.9, 1.0),
            "it is the share of copies that are missed | Folded are those at or above it.":
                (0.96, 0.2),
            "it is the share of different pairs | Report the share of the copies.": (0.96, 0.25),
            "it returns the place of the candidate | Return the threshold itself.": (1, 0.8),
            "the number of copies is returned | Divide by how many there are.": (0.96, 4.0),
        }, otherwise="At 0.96 one of four different pairs folds, and four of five copies do.",
            given="with a limit of a quarter", meaning="the threshold and a share"),
        (
            Case((COPIES, DIFFERENT, CANDIDATES, 0.0), (0.98, 0.6), mistakes={
                "a cosine that equals the threshold is not folded | At least the threshold: 0.98"
                " counts.": (0.98, 0.4),
            }, otherwise="No different pair reaches 0.98.", given="with a limit of 0"),
            Case((COPIES, np.array([1.0, 1.0]), CANDIDATES, 0.1), (0.99, 0.4),
                "where no candidate keeps the limit it returns another one | Then the largest is"
                " what there is.", given="for a limit that nothing keeps"),
        ),
    ),
    """- For each candidate: which share of the different pairs is at least as large?
    - The first candidate, from the small end, whose share is at most the limit; else the last.
    - Only then look at the copies: the share at or above the chosen threshold.""",
    "A threshold trades copies on the page against pictures that are hidden. State both shares, and"
    " on pairs that did not choose it.",
)  # fmt: skip
