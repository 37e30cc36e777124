"""Join the sentences about one video into the paragraph that seeks it."""

from lib.core.checks import RetrievalInputError

PARAGRAPHS = ("as published", "tidy")


def join_sentences(sentences, where: str, paragraph: str = "as published") -> str:
    """Join sentences with one space, as published code does: `" ".join(sentences)`.

    Args:
        sentences: of one video, in the order of the file.
        where: file and video, for errors.
        paragraph: `"as published"`, or `"tidy"` without the spaces around each sentence.
    """
    if not isinstance(sentences, list) or not sentences:
        raise RetrievalInputError(f"{where}: sentences must be texts, got {sentences!r:.80}")
    if not all(isinstance(sentence, str) for sentence in sentences):
        raise RetrievalInputError(f"{where}: sentences must be texts, got {sentences!r:.80}")
    if paragraph == "tidy":
        sentences = [sentence.strip() for sentence in sentences]
    return " ".join(sentences)
