"""Sentences and phrases that no picture shows: law, graph theory, physics, collections of texts.

They come from texts inside installed packages and are committed, because other versions of the
packages hold other sentences. Some name a thing that has a picture ("tree", "pulley"): no hand has
removed them.
"""

import ast
import importlib.util
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from lib.core.result_store import ResultStore
from lib.core.writing import sha256_of

STORE = ResultStore("familiarity", "crossmodal bench familiarity")
FILE = "off_topic.csv"
SOURCES = {
    "validation": {
        "licences of packages": "*.dist-info/**/*LICEN*",
        "networkx, docstrings": "networkx/algorithms/**/*.py",
    },
    "test": {
        "sympy, docstrings of physics": "sympy/physics/**/*.py",
        "ir_datasets, descriptions": "ir_datasets/docs/*.yaml",
    },
}
N_SENTENCES, N_PHRASES = 150, 150  # of each source, at most
SENTENCE = re.compile(r"[A-Z][A-Za-z ,'-]+\.")
# A phrase is two neighbouring words of a sentence, neither short nor one of these.
FUNCTION_WORDS = frozenset([
    "also", "another", "because", "been", "before", "being", "between", "both", "cannot",
    "could", "does", "each", "either", "from", "given", "have", "here", "however", "into",
    "itself", "many", "more", "most", "must", "only", "other", "otherwise", "over", "same",
    "should", "since", "some", "such", "than", "that", "their", "them", "then", "there",
    "therefore", "these", "they", "this", "those", "under", "used", "uses", "using", "very",
    "were", "what", "when", "where", "whether", "which", "while", "will", "with", "within",
    "without", "would", "your",
])  # fmt: skip


def sentences_of(text: str) -> Iterator[str]:
    """Yield the plain sentences of a text: 5 to 16 words, one capital letter or name at most."""
    text = re.sub(r"<[^>]+>", " ", text)
    for paragraph in re.split(r"\n\s*\n", text):
        for sentence in re.split(r"(?<=[.!?])\s+", " ".join(paragraph.split())):
            words = sentence.split()
            capitals = sum(word[0].isupper() for word in words)
            plain = SENTENCE.fullmatch(sentence) and "--" not in sentence
            if plain and 5 <= len(words) <= 16 and capitals <= 1:
                yield sentence


def phrase_of(sentence: str) -> str | None:
    """Return two neighbouring content words, chosen by the sentence's hash, or None."""
    words = re.findall(r"[a-z'-]+", sentence.lower())
    is_content = [len(word) > 3 and word not in FUNCTION_WORDS for word in words]
    pairs = [i for i in range(len(words) - 1) if is_content[i] and is_content[i + 1]]
    if not pairs:
        return None
    start = pairs[int(sha256_of(sentence.encode())[:8], 16) % len(pairs)]
    return " ".join(words[start : start + 2])


def _docstrings(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield ast.get_docstring(node) or ""


def collect_off_topic() -> list[dict]:
    """Collect the sentences and phrases of the installed packages, in an order by hash."""
    packages = Path(importlib.util.find_spec("numpy").origin).parents[1]
    rows, used = [], set()
    for split, sources in SOURCES.items():
        for source, pattern in sources.items():
            found = set()
            for path in sorted(packages.glob(pattern)):
                if path.is_file() and "tests" not in path.parts:
                    text = path.read_text(encoding="utf-8", errors="ignore")
                    texts = _docstrings(text) if path.suffix == ".py" else [text]
                    found.update(sentence for part in texts for sentence in sentences_of(part))
            ordered = sorted(found, key=lambda text: sha256_of(text.encode()))
            # Where sentences are few, half of them give phrases.
            n = min(N_SENTENCES, len(ordered) // 2)
            phrases = dict.fromkeys(filter(None, map(phrase_of, ordered[n:])))
            chosen = {"sentences": ordered[:n], "phrases": list(phrases)[:N_PHRASES]}
            for kind, texts in chosen.items():
                for text in texts:
                    if text not in used:
                        used.add(text)
                        rows.append({"split": split, "kind": kind, "source": source, "text": text})
    return rows


def write_off_topic() -> None:
    """Collect the sentences and phrases of the installed packages and commit them."""
    STORE.save_table(FILE, collect_off_topic())
    load_off_topic.cache_clear()


@lru_cache(maxsize=1)
def load_off_topic() -> tuple[dict, ...]:
    """Load the committed sentences and phrases: rows of split, kind, source and text."""
    return tuple(STORE.table(FILE).to_dict("records"))
