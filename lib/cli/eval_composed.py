"""`crossmodal eval` of composed queries: what it takes, and CIRR's files for the server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lib.cli.output import say
from lib.core.checks import RetrievalInputError
from lib.datasets.composed import ComposedQueries

if TYPE_CHECKING:
    from lib.studies.published import Result

SERVER = "the evaluation server that github.com/Cuberick-Orion/CIRR names"


def check_options(corpus, submission: Path | None, unsupported: Mapping[str, object]) -> None:
    """Refuse options that have no meaning for a corpus of composed queries, or only for one.

    Args:
        corpus: the loaded corpus, of any kind.
        submission: folder of the files for CIRR's server.
        unsupported: options that composed queries do not have, with their values.
    """
    if not isinstance(corpus, ComposedQueries):
        if submission is not None:
            raise RetrievalInputError("--write-submission is of cirr alone; leave it out")
        return
    given = [name for name, value in unsupported.items() if value]
    if given:
        raise RetrievalInputError(
            f"{', '.join(given)}: composed queries ({corpus.name}) are evaluated whole, with"
            " --model or --embeddings; leave it out"
        )
    if not corpus.has_targets and submission is None:
        raise RetrievalInputError(
            f"the targets of {corpus.name}, {corpus.split} split, are not published. Write its"
            f" rankings with --write-submission FOLDER, and upload them to {SERVER}"
        )


def evaluate_vectors(
    images,
    queries,
    corpus: ComposedQueries,
    *,
    identity: Mapping[str, str],
    metrics: list[str] | None = None,
    submission: Path | None = None,
) -> Result | None:
    """Evaluate vectors, after writing the submission where one is wanted.

    Returns:
        None where the targets are not published, so that there is nothing but the submission.
    """
    from lib.studies.published.cirr_submission import write_submission
    from lib.studies.published.composed import evaluate_composed

    if submission is not None:
        for path in write_submission(submission, images, queries, corpus):
            say(f"written to {path}")
        if not corpus.has_targets:
            say(f"no scores here: the targets are not published. Upload both files to {SERVER}")
            return None
    return evaluate_composed(images, queries, corpus, metrics=metrics, identity=identity)
