"""Open the encoder of `crossmodal eval` and evaluate it, with a bar of progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lib.cli.output import progress_bar, say
from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError

if TYPE_CHECKING:
    from lib.datasets.captioned import CaptionedMedia
    from lib.studies.published import Result


def check_encodable(corpus) -> None:
    """Refuse a corpus with a side that no model here encodes."""
    from lib.datasets.captioned import CaptionedMedia
    from lib.datasets.choices import ChoiceCorpus
    from lib.datasets.composed import ComposedQueries
    from lib.datasets.judged import JudgedCorpus

    known = CaptionedMedia | JudgedCorpus | ComposedQueries | ChoiceCorpus
    if not isinstance(corpus, known):
        raise RetrievalInputError(
            f"no model here encodes both sound and film; evaluate {corpus.name} with --embeddings"
            " FILE.npz"
        )


def check_model(model: str, corpus) -> None:
    """Refuse a model that cannot encode the media of a corpus, before it is loaded."""
    has_sound = corpus.modality == "audio"
    if has_sound and model != "clap":
        raise RetrievalInputError(
            f"{model} encodes no sound, which {corpus.name} needs; --model clap --pretrained"
            " laion/clap-htsat-unfused (or a folder) does, or pass --embeddings FILE.npz"
        )
    if model == "clap" and not has_sound:
        raise RetrievalInputError(
            f"clap encodes sounds and texts; {corpus.name} has {corpus.modality}s. Choose a model"
            " of open_clip, or scenes"
        )


def open_encoder(model: str, pretrained: str | None, settings: Mapping[str, object]):
    """Load a model, and say its notes."""
    if model == "clap":
        from lib.models.clap_encoder import load_clap

        encoder = load_clap(pretrained, **settings)
    else:
        from lib.models.encoder import load_encoder

        encoder = load_encoder(model, pretrained, **settings)
    for note in encoder.notes:
        say(note)
    return encoder


def evaluate_model(
    encoder, corpus, bank, cache: Path | None, allow_partial: bool, protocol: dict
) -> Result | None:
    """Encode a corpus with a progress bar and evaluate it; say what was left out or cut."""
    from lib.cli.eval_composed import evaluate_vectors
    from lib.datasets.composed import ComposedQueries
    from lib.studies.published import embed_composed, evaluate_corpus

    check_model(encoder.identity["model"], corpus)

    def evaluate_with_bar(corpus, bank) -> Result | None:
        corpora = [each for each in (corpus, bank) if each is not None]
        n = sum(len(getattr(each, "prompts", each.media)) + len(each.texts) for each in corpora)
        with progress_bar() as bar:
            row = bar.add_task("embeddings", total=n)
            progress = partial(bar.advance, row)
            if isinstance(corpus, ComposedQueries):
                rows = embed_composed(encoder, corpus, folder=cache, progress=progress)
                identity = {**encoder.identity, "query": corpus.composition}
                return evaluate_vectors(*rows, corpus, identity=identity, **protocol)
            options = protocol | {"progress": progress}
            return evaluate_corpus(encoder, corpus, bank=bank, folder=cache, **options)

    try:
        result = evaluate_with_bar(corpus, bank)
    except ValueError as error:
        if isinstance(error, DamagedFileError) and not allow_partial:
            raise DamagedFileError(
                f"{error}. `crossmodal data check --decode` lists all damaged files,"
                " --allow-partial leaves them out"
            ) from error
        if not allow_partial:
            raise
        before, (corpus, bank) = (corpus, bank), (_decodable(corpus), bank and _decodable(bank))
        if (corpus, bank) == before:  # nothing is damaged: the error has another reason
            raise
        say(corpus.describe())
        result = evaluate_with_bar(corpus, bank)
    found = getattr(corpus, "prompts", corpus.media)  # of classes, all templates
    texts = [*_texts_of(corpus.texts, corpus.query_modality), *_texts_of(found, corpus.modality)]
    if n_cut := encoder.count_truncated(texts):
        cut = f"{n_cut:,} of {len(texts):,} texts"
        say(f"{cut} are too long for the model: their ends were cut")
    return result


def _texts_of(side: Sequence, modality: str) -> Sequence[str]:
    """Return the texts of a side: all of it, those beside its pictures, or none."""
    return side if modality == "text" else getattr(side, "texts", ())


def _decodable(corpus: CaptionedMedia) -> CaptionedMedia:
    """Leave out the items with damaged media, and name each."""
    from lib.datasets.media.files import find_damaged

    files = getattr(corpus, "pictures", corpus.media)  # of classes, which are texts
    with progress_bar() as bar:
        row = bar.add_task("looking for damaged media", total=len(files))
        damaged = find_damaged(files, lambda done: bar.advance(row, done))
    for reason in damaged.values():
        say(f"left out: {reason}")
    leave_out = getattr(corpus, "without_pictures", corpus.without_items)
    return leave_out(list(damaged)) if damaged else corpus
