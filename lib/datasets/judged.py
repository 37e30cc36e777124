"""Any corpus in the form of BEIR, MTEB or ViDoRe: queries, a corpus, and graded judgements.

Each of the three parts is found under the root in one of the forms in which such data sets are
given away:

    corpus    corpus.jsonl, corpus.parquet, corpus/*.parquet, corpus.tsv or collection.tsv
    queries   queries.jsonl, queries.parquet, queries/*.parquet, queries.tsv
    qrels     qrels/<split>.tsv (a header line, then query, document, grade), qrels/<split>.trec
              or qrels.trec (TREC's four columns), qrels/*.parquet or data/*.parquet (where MTEB
              has them without a name of their own), qrels/<split>.jsonl, qrels.jsonl

Either side may be text, pictures, or both: Parquet holds the bytes of a picture, other forms the
path of its file. A side with both columns is read as the one that the user names, or as both.

Sets in several languages, as ViDoRe v2 and v3, have a column `language` of the queries, or a
folder for each part and language, `english-queries/`: the option `language` takes one.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lib.core.checks import RetrievalInputError, check_choice, check_distinct
from lib.core.qrels import Qrels
from lib.core.reading import DamagedFileError, MissingFileError, reading
from lib.core.task import RetrievalTask, entries_at
from lib.datasets.completeness import Count, check_counts, check_media, published_counts
from lib.datasets.media.files import PictureFiles
from lib.datasets.media.parquet_pictures import ParquetPictures
from lib.datasets.media.pictures_with_texts import PicturesWithTexts

NAME = "beir"
SPLITS = ("test", "validation", "dev", "train")
SIDES = ("found", "text", "image", "both")  # what a side holds; "found": what its file holds
SHOWN = {"both": "pictures with texts"}
# As ViDoRe writes them, and MTEB its subsets.
LANGUAGES = ("all", "english", "french", "german", "italian", "portuguese", "spanish")
IDS = ("_id", "id", "{}-id", "{}_id", "docid", "qid")  # names of the column of ids
TEXT = ("text", "query")  # names of the column of texts
QUERY, DOCUMENT = ("query-id", "query_id", "qid"), ("corpus-id", "corpus_id", "docid")
GRADE = ("score", "relevance", "grade")
ADVICE = "Get the file again"


@dataclass(frozen=True, eq=False, repr=False)
class JudgedCorpus:
    """Hold queries and a corpus of any two modalities with graded judgements, in file order.

    Args:
        name: `"beir: "` and the name of the folder.
        split: of the judgements.
        query_modality, modality: `"text"`, `"image"` or `"both"`, of the queries and of the corpus.
        texts, media: the queries and the entries of the corpus; pictures are decoded on access.
        text_ids, item_ids: their ids.
        qrels: `(n_queries, n_items)`, only queries that are judged.
        counts: sizes of the three parts.
        missing: pictures that do not exist; their entries were left out.
    """

    name: str
    split: str
    query_modality: str
    modality: str
    texts: Sequence
    text_ids: tuple[str, ...]
    media: Sequence
    item_ids: tuple[str, ...]
    qrels: Qrels
    counts: tuple[Count, ...]
    missing: tuple[str, ...] = ()
    datasheet: str = NAME

    relevance = "graded judgements, linear gain"

    @property
    def query_side(self) -> str:
        """Return the name of the side of the queries: its modality, or "query" where both agree."""
        return "query" if self.query_modality == self.modality else self.query_modality

    @property
    def directions(self) -> tuple[str]:
        return (f"{self.query_side}_to_{self.modality}",)

    def task(self, direction: str) -> RetrievalTask:
        """Return queries, corpus and judgements; no picture is decoded."""
        check_choice(direction, self.directions, "direction")
        return RetrievalTask(
            name=self.name, split=self.split, direction=direction, queries=self.texts,
            gallery=self.media, qrels=self.qrels, datasheet=self.datasheet,
        )  # fmt: skip

    def without_items(self, positions: Sequence[int]) -> JudgedCorpus:
        """Leave out documents without usable media or rows; the judgements of the others stay."""
        lost = set(positions)
        kept = [at for at in range(len(self.item_ids)) if at not in lost]
        qrels = self.qrels.T.take_queries(kept).T
        counts = tuple(
            replace(one, found=len(kept), published=len(self.item_ids))
            if one.what == "documents" else one for one in self.counts
        )  # fmt: skip
        return replace(
            self,
            media=entries_at(self.media, kept),
            item_ids=tuple(self.item_ids[at] for at in kept),
            qrels=qrels,
            counts=counts,
            missing=(*self.missing, *(self.item_ids[at] for at in sorted(lost))),
        )

    def checksum(self, *, media: bool = True) -> str:
        """Return the SHA-256 of everything that a score, and, with media, an embedding needs."""
        facts = [self.name, self.split, self.directions, self.item_ids, self.text_ids]
        digest = hashlib.sha256(json.dumps(facts).encode())
        for array in (self.qrels.indptr, self.qrels.items, self.qrels.grades):
            digest.update(array.astype("<i8").tobytes())
        for side in (self.texts, self.media) if media else ():
            of_files = hasattr(side, "fingerprint")
            digest.update((side.fingerprint() if of_files else json.dumps(list(side))).encode())
        return digest.hexdigest()

    def describe(self) -> str:
        """Describe the corpus in one line."""
        n_queries, n_items = self.qrels.shape
        grades = f"grades 1 to {self.qrels.max_grade}"
        return (
            f"{self.name}, {self.split} split: {n_queries:,} queries"
            f" ({SHOWN.get(self.query_modality, self.query_modality)}), {n_items:,} documents"
            f" ({SHOWN.get(self.modality, self.modality)}), {self.qrels.items.size:,} judgements,"
            f" {grades}"
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.describe()})"


def load_judged(
    root: str | Path,
    split: str = "test",
    *,
    queries: str = "found",
    corpus: str = "found",
    language: str = "all",
    allow_partial: bool = False,
    need_media: bool = True,
) -> JudgedCorpus:
    """Load a data set of queries, corpus and judgements, in one of the forms named above.

    Queries without a judgement in the split are left out, as BEIR does. Grades below 1 are not
    relevant. The text of a document is its title, a space, and its text.

    Args:
        root: the folder.
        split: of the judgements.
        queries, corpus: take `"text"`, `"image"` or `"both"` where a side has both columns.
        language: of the queries; one of `LANGUAGES`.
        allow_partial: leave out documents whose picture does not exist, and judgements of
            documents that the corpus lacks; the counts say so.
        need_media: False reads no picture and looks for none, for rows that were encoded elsewhere.

    Reference: Thakur et al. 2021, "BEIR"; Muennighoff et al. 2023, "MTEB"; Faysse et al. 2024,
    "ColPali" (ViDoRe).
    """
    check_choice(split, SPLITS, "split")
    check_choice(language, LANGUAGES, "language")
    root = Path(root)
    names = {part: _part_name(root, part, language) for part in ("corpus", "queries", "qrels")}
    item_ids, media, modality = _read_side(root, names["corpus"], split, corpus)
    query_ids, texts, query_modality = _read_side(root, names["queries"], split, queries)
    for ids, kind in ((item_ids, "document"), (query_ids, "query")):
        check_distinct(ids, kind, str(root))
    cells = _read_judgements(root, names["qrels"], split)
    if language != "all" and names["queries"] == "queries":
        spoken = _languages(root, split)
        others = {id_ for id_, one in zip(query_ids, spoken, strict=True) if one != language}
        cells = {cell: grade for cell, grade in cells.items() if cell[0] not in others}
    qrels, kept, n_unknown = _aligned(cells, query_ids, item_ids, root, allow_partial)
    sizes = {"queries": len(kept), "documents": len(item_ids), "judgements": len(cells)}
    label, stated = published_counts(root, NAME, split, {split: dict.fromkeys(sizes)})
    stated = stated if language == "all" else dict.fromkeys(sizes)
    split = split if language == "all" else f"{split} {language}"
    label = f"{NAME}: {root.resolve().name}" + label.removeprefix(NAME)
    found = sizes | {"judgements": len(cells) - n_unknown}
    published = stated | ({"judgements": len(cells)} if n_unknown else {})
    counts = tuple(Count(what, n, published[what]) for what, n in found.items())
    check_counts(counts, f"{label}, {split} split", allow_partial)
    whole = JudgedCorpus(
        name=label, split=split, query_modality=query_modality, modality=modality,
        texts=entries_at(texts, kept), text_ids=tuple(query_ids[at] for at in kept),
        media=media, item_ids=tuple(item_ids), qrels=qrels, counts=counts,
    )  # fmt: skip
    return _with_media(whole, allow_partial) if need_media else whole


def _with_media(corpus: JudgedCorpus, allow_partial: bool) -> JudgedCorpus:
    """Refuse documents and queries whose picture is no file, or leave out such documents."""
    for side, entries in (("queries", corpus.texts), ("documents", corpus.media)):
        entries = getattr(entries, "pictures", entries)  # of pictures with texts
        if isinstance(entries, PictureFiles):
            present = entries.present()
            absent = [entries.names[at] for at in np.flatnonzero(~present)]
            count = Count(f"pictures of {side}", int(present.sum()), len(entries))
            check_media(count, absent, corpus.name, allow_partial and side == "documents")
            if absent:
                corpus = corpus.without_items(np.flatnonzero(~present).tolist())
    return corpus


def _aligned(
    cells: dict[tuple[str, str], int],
    query_ids: Sequence[str],
    item_ids: Sequence[str],
    root: Path,
    allow_partial: bool,
) -> tuple[Qrels, list[int], int]:
    """Judgements as `Qrels` of the judged queries, their positions, and how many are unknown."""
    item_at = {id_: at for at, id_ in enumerate(item_ids)}
    judged = {query for query, _ in cells}
    lacking = judged - set(query_ids)
    unknown = [cell for cell in cells if cell[1] not in item_at or cell[0] in lacking]
    if unknown and not allow_partial:
        query, item = unknown[0]
        raise RetrievalInputError(
            f"{root}: {len(unknown):,} of {len(cells):,} judgements name a query or a document that"
            f" the files lack, first {query!r}, {item!r}. Get all parts of one release, or leave"
            " them out with allow_partial=True (--allow-partial)"
        )
    kept = [at for at, id_ in enumerate(query_ids) if id_ in judged]
    row_at = {query_ids[at]: row for row, at in enumerate(kept)}
    left = set(unknown)
    triples = [
        (row_at[query], item_at[item], grade)
        for (query, item), grade in cells.items()
        if (query, item) not in left and grade > 0
    ]
    if not triples:
        raise RetrievalInputError(f"{root}: no judgement of the split has a grade above 0")
    rows, items, grades = (np.array(part, np.int64) for part in zip(*triples))
    qrels = Qrels.from_pairs(rows, items, grades, shape=(len(kept), len(item_ids)))
    return qrels, kept, len(unknown)


# ---- the three parts


def _read_side(root: Path, part: str, split: str, wanted: str) -> tuple[list[str], Sequence, str]:
    """Read ids and entries of the queries or of the corpus, and what they are."""
    kind = part.split("-")[-1]  # without the language
    check_choice(wanted, SIDES, kind)
    if wanted == "both":
        ids, texts, _ = _read_side(root, part, split, "text")
        _, pictures, _ = _read_side(root, part, split, "image")
        return ids, PicturesWithTexts(pictures, texts), "both"
    tables = _parquet_files(root, part, split)
    if tables:
        return _parquet_side(tables, kind, wanted)
    path = root / f"{part}.jsonl"
    if path.is_file():
        return _text_side(_json_rows(path), root, path, kind, wanted)
    names = (f"{part}.tsv", *(("collection.tsv",) if part == "corpus" else ()))
    for path in (root / name for name in names):
        if path.is_file():
            rows = ((where, dict(zip(("_id", "text"), row))) for where, row in _tsv_rows(path, 2))
            return _text_side(rows, root, path, kind, wanted)
    spoken = [one for one in LANGUAGES[1:] if (root / f"{one}-{part}").is_dir()]
    advice = f". It has {part} of {', '.join(spoken)}: --option language" if spoken else ""
    raise MissingFileError(
        f"{root} has no {part}: {part}.jsonl, {part}.parquet, {part}/*.parquet or"
        f" {part}.tsv{advice}"
    )


def _part_name(root: Path, part: str, language: str) -> str:
    """Name a part: `english-queries` where that folder exists, else `queries`."""
    return f"{language}-{part}" if (root / f"{language}-{part}").is_dir() else part


def _languages(root: Path, split: str) -> list[str]:
    """Read the language of each query, in the order of the files."""
    where, languages = str(root), []
    for path in _parquet_files(root, "queries", split):
        with reading(path, "no Parquet file", ADVICE):
            where, columns = str(path), pq.read_schema(path).names
            if "language" in columns:
                languages += pq.read_table(path, columns=["language"]).column(0).to_pylist()
    if not languages and (root / "queries.jsonl").is_file():
        languages = [row.get("language") for where, row in _json_rows(root / "queries.jsonl")]
    if not any(languages):
        raise RetrievalInputError(f"{where}: the queries have no column language, so take all")
    return languages


def _parquet_files(root: Path, part: str, split: str) -> list[Path]:
    """Find the Parquet files of a part; those named after the split where there are such."""
    single = root / f"{part}.parquet"
    files = [single] if single.is_file() else sorted((root / part).glob("*.parquet"))
    named = [path for path in files if path.name.startswith((f"{split}-", f"{split}."))]
    return named or files


def _parquet_side(paths: Sequence[Path], part: str, wanted: str) -> tuple[list[str], Sequence, str]:
    ids: list[str] = []
    texts: list[str] = []
    places: list[tuple[Path, int, int, str, str]] = []
    modality = wanted
    for path in paths:
        with reading(path, "no Parquet file", ADVICE):
            file = pq.ParquetFile(path)
            # MIEB keeps a column of the type null for what a side does not hold.
            columns = [
                field.name for field in file.schema_arrow if not pa.types.is_null(field.type)
            ]
            id_column = _column(columns, _id_names(part), path)
            modality = _modality(columns, modality, path)
            read = [id_column]
            if modality == "text":
                read += [name for name in ("title", *TEXT) if name in columns]
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group, columns=read).to_pylist()
                for row, entry in enumerate(rows):
                    ids.append(str(entry[id_column]))
                    if modality == "text":
                        texts.append(_text_of(entry, f"{path}, id {ids[-1]!r}"))
                    else:
                        places.append((path, group, row, ids[-1], "image"))
    return ids, (texts if modality == "text" else ParquetPictures(places)), modality


def _id_names(part: str) -> list[str]:
    one = {"queries": "query", "corpus": "corpus"}[part]
    return [name.format(one) for name in IDS]


def _modality(columns: Sequence[str], wanted: str, path: object) -> str:
    has = ["text"] if any(name in columns for name in TEXT) else []
    has += ["image"] if "image" in columns else []
    if wanted != "found":
        if wanted not in has:
            raise RetrievalInputError(f"{path} has no column {wanted!r}, but {', '.join(columns)}")
        return wanted
    if len(has) != 1:
        raise RetrievalInputError(
            f"{path} must have a column text or image, got {', '.join(columns)}; where it has both,"
            " choose with --option corpus=image or queries=text (or both)"
        )
    return has[0]


def _text_side(
    rows: Iterator[tuple[str, dict]], root: Path, path: Path, part: str, wanted: str
) -> tuple[list[str], Sequence, str]:
    ids, entries, modality, names = [], [], wanted, _id_names(part)
    for where, row in rows:
        id_column = _column(list(row), names, where)
        modality = _modality(list(row), modality, where)
        ids.append(str(row[id_column]))
        if modality == "text":
            entries.append(_text_of(row, where))
        elif isinstance(row["image"], str):
            entries.append(row["image"])
        else:
            raise RetrievalInputError(f"{where}: image must be a path, got {row['image']!r:.60}")
    if not ids:
        raise DamagedFileError(f"{path} has no entry. {ADVICE}")
    return ids, (entries if modality == "text" else PictureFiles(root, entries)), modality


def _text_of(entry: Mapping, where: str) -> str:
    parts = [entry.get(name) for name in ("title", *TEXT)]
    text = " ".join(part.strip() for part in parts if isinstance(part, str) and part.strip())
    if not text:
        raise RetrievalInputError(f"{where}: it must have a text, got none. Leave it out")
    return text


def _column(columns: Sequence[str], names: Sequence[str], where: object) -> str:
    found = [name for name in names if name in columns]
    if not found:
        raise RetrievalInputError(
            f"{where} must have a column {' or '.join(names)}, got {', '.join(map(str, columns))}"
        )
    return found[0]


def _read_judgements(root: Path, part: str, split: str) -> dict[tuple[str, str], int]:
    """`{(query, document): grade}` of a split, each pair once."""
    cells: dict[tuple[str, str], int] = {}
    for where, query, document, grade in _judgement_rows(root, part, split):
        try:
            number = float(grade)
            whole = int(number)
            if number != whole:
                raise ValueError
        except (TypeError, ValueError, OverflowError) as error:
            raise RetrievalInputError(
                f"{where}: the grade must be a whole number, got {grade!r:.40}"
            ) from error
        key = str(query), str(document)
        if cells.setdefault(key, whole) != whole:
            raise RetrievalInputError(f"{where}: {key} has the grades {cells[key]} and {whole}")
    return cells


def _judgement_rows(
    root: Path, part: str, split: str
) -> Iterator[tuple[str, object, object, object]]:
    tables = _parquet_files(root, part, split)
    if not tables and not (root / "qrels").is_dir():
        tables = _parquet_files(root, "data", split)
    if tables:
        _check_split_named(tables, split)
        for path in tables:
            with reading(path, "no Parquet file", ADVICE):
                table = pq.read_table(path)
            yield from _judged_rows((str(path), row) for row in table.to_pylist())
        return
    table = root / "qrels" / f"{split}.tsv"
    if table.is_file():
        rows = _tsv_rows(table, None)
        header = next(rows, ("", []))[1]
        yield from _judged_rows((where, dict(zip(header, row))) for where, row in rows)
        return
    for path in (root / "qrels" / f"{split}.jsonl", root / "qrels.jsonl"):
        if path.is_file():
            yield from _judged_rows(_json_rows(path))
            return
    for path in (root / "qrels" / f"{split}.trec", root / "qrels.trec"):
        if path.is_file():
            with reading(path, "no UTF-8 text", ADVICE):
                lines = path.read_text(encoding="utf-8").splitlines()
            for number, line in enumerate(lines, start=1):
                fields = line.split()
                if fields and len(fields) != 4:
                    raise RetrievalInputError(
                        f"{path}, line {number}: expected query 0 document grade, got {line!r:.80}"
                    )
                if fields:
                    yield f"{path}, line {number}", fields[0], fields[2], fields[3]
            return
    raise MissingFileError(
        f"{root} has no qrels of the split {split!r}: qrels/{split}.tsv, qrels/{split}.trec,"
        f" qrels/{split}.jsonl, qrels/*.parquet, data/*.parquet, qrels.trec or qrels.jsonl"
    )


def _check_split_named(tables: Sequence[Path], split: str) -> None:
    """Refuse judgements in files that are named after other splits alone."""
    named = {path.name: re.split(r"[-.]", path.name)[0] for path in tables}
    others = [file for file, start in named.items() if start in SPLITS and start != split]
    if others:
        raise MissingFileError(
            f"{tables[0].parent} has no qrels of the split {split!r}, but {', '.join(others)}"
        )


def _judged_rows(rows: Iterator[tuple[str, dict]]) -> Iterator[tuple[str, object, object, object]]:
    for where, row in rows:
        columns = list(row)
        query, document = (_column(columns, names, where) for names in (QUERY, DOCUMENT))
        yield where, row[query], row[document], row[_column(columns, GRADE, where)]


def _json_rows(path: Path) -> Iterator[tuple[str, dict]]:
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            where = f"{path}, line {number}"
            if not line.strip():
                continue
            with reading(where, "no JSON", ADVICE):
                row = json.loads(line)
            if not isinstance(row, dict):
                raise DamagedFileError(f"{where} is no JSON object. {ADVICE}")
            yield where, row


def _tsv_rows(path: Path, n_columns: int | None) -> Iterator[tuple[str, list[str]]]:
    with reading(path, "no UTF-8 table", ADVICE):
        text = path.read_text(encoding="utf-8-sig")
    rows = csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    for number, row in enumerate(rows, start=1):
        if row and n_columns is not None and len(row) != n_columns:
            raise RetrievalInputError(
                f"{path}, line {number}: expected {n_columns} columns between tabs, got {row!r:.80}"
            )
        if row:
            yield f"{path}, line {number}", row
