"""Pairs of submissions that share much: a reason to look at both, never a verdict.

Code is read as tokens: names and numbers become one sign each, so that renaming changes nothing;
comments and layout are dropped. What the released copy holds, and what more than half of a class
writes, is left out. Two submissions are compared by the Jaccard index of their runs of tokens.
"""

import io
import keyword
import re
import tokenize
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from lib.course.assignments.notebook_cells import Cell, code_of, written_answers
from lib.course.assignments.release import released_notebook
from lib.course.assignments.sources import Assignment
from lib.course.assignments.submissions import Submission

RUN = 12  # tokens of code in a row
WORDS = 5  # words of a text in a row
LEAST = 20  # runs that a submission must have to be compared
LONGEST = 200_000  # characters of a submission that are read
DROPPED = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENCODING, tokenize.ENDMARKER,
}  # fmt: skip
SIGNS = {tokenize.NUMBER: "0", tokenize.STRING: '""'}
SMALL_CLASS = 6  # below it nothing is common
SOLUTION_NAME = "(the published solution)"
Runs = set[tuple[str, ...]]


@dataclass(frozen=True)
class SimilarPair:
    """Two submissions and how much they share.

    Attributes:
        first, second: the students, in order.
        code: Jaccard index of the runs of tokens, names made equal, from 0 to 1.
        names: the same with the names as they are; far below `code` where names were changed.
        text: of the runs of words in the written answers.
    """

    first: str
    second: str
    code: float
    names: float
    text: float


def similar_pairs(
    students: Sequence[str],
    codes: Sequence[str],
    texts: Sequence[str],
    *,
    released_code: str = "",
    released_text: str = "",
    threshold: float = 0.6,
) -> list[SimilarPair]:
    """List the pairs whose code or text reaches a threshold, the most similar first.

    Args:
        students: names, n of them.
        codes: the code of each.
        texts: the written answers of each.
        released_code, released_text: what all of them started from.
        threshold: Jaccard index from which a pair is listed.
    """
    code = _jaccard([code_runs(each) for each in codes], code_runs(released_code))
    names = _jaccard(
        [code_runs(each, names=True) for each in codes], code_runs(released_code, names=True)
    )
    text = _jaccard([text_runs(each) for each in texts], text_runs(released_text))
    most = np.maximum(code, text)
    pairs = [
        SimilarPair(
            students[i], students[j], float(code[i, j]), float(names[i, j]), float(text[i, j])
        )
        for i, j in np.argwhere(np.triu(most, k=1) >= threshold)
    ]
    return sorted(pairs, key=_most_similar_first)


def pairs_of_class(
    submissions: Sequence[Submission], assignment: Assignment, threshold: float
) -> list[SimilarPair]:
    """List the similar pairs of a class, then the submissions like the published solution.

    What most of a class writes is no sign between two students, but may come from the solution; so
    each submission is compared with the solution on its own.
    """
    readable = [each for each in submissions if not each.problem]
    released = [
        Cell("".join(row["source"]), row["cell_type"] == "code")
        for row in released_notebook(assignment)["cells"]
    ]

    def pairs_of(cells_by_name: dict[str, list[Cell]]) -> list[SimilarPair]:
        return similar_pairs(
            list(cells_by_name),
            ["\n".join(code_of(cells)) for cells in cells_by_name.values()],
            ["\n".join(written_answers(cells).values()) for cells in cells_by_name.values()],
            released_code="\n".join(code_of(released)),
            released_text="\n".join(written_answers(released).values()),
            threshold=threshold,
        )

    solution = {SOLUTION_NAME: assignment.cells}
    alone = [pairs_of(solution | {each.student: each.cells}) for each in readable]
    like_solution = sorted((pair for pairs in alone for pair in pairs), key=_most_similar_first)
    return pairs_of({each.student: each.cells for each in readable}) + like_solution


def code_runs(code: str, names: bool = False) -> Runs:
    """Return the runs of 12 tokens of Python code.

    Args:
        code: Python; what does not parse is read up to there.
        names: whether names stay as they are.
    """
    signs = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(code[:LONGEST]).readline):
            if token.type in DROPPED:
                continue
            sign = SIGNS.get(token.type, token.string)
            if token.type == tokenize.NAME and not names and not keyword.iskeyword(sign):
                sign = "name"
            signs.append(sign)
    except (tokenize.TokenError, SyntaxError, ValueError):
        pass  # what was read up to there
    return _runs(signs, RUN)


def text_runs(text: str) -> Runs:
    """Return the runs of 5 words of a text, in small letters."""
    return _runs(re.findall(r"\w+", text[:LONGEST].lower()), WORDS)


def _most_similar_first(pair: SimilarPair) -> tuple[float, str, str]:
    return -max(pair.code, pair.text), pair.first, pair.second


def _runs(signs: Sequence[str], length: int) -> Runs:
    return {tuple(signs[i : i + length]) for i in range(len(signs) - length + 1)}


def _jaccard(found: list[Runs], released: Runs) -> np.ndarray:
    """Return the Jaccard index of all pairs, 0 for those with few runs of their own."""
    n = len(found)
    counts = Counter(run for runs in found for run in runs)
    common = {run for run, count in counts.items() if n >= SMALL_CLASS and count > n / 2}
    own = [runs - released - common for runs in found]
    numbers = {run: number for number, run in enumerate(sorted(set().union(*own)))}
    places = [(row, numbers[run]) for row, runs in enumerate(own) for run in runs]
    rows, columns = np.array(places, dtype=int).reshape(-1, 2).T
    table = sparse.csr_matrix((np.ones(len(places)), (rows, columns)), (n, len(numbers) + 1))
    shared = (table @ table.T).toarray()
    sizes = np.array([len(runs) for runs in own])
    union = sizes[:, None] + sizes[None, :] - shared
    enough = np.minimum(sizes[:, None], sizes[None, :]) >= LEAST
    return np.where(enough, shared / np.maximum(union, 1), 0.0)
