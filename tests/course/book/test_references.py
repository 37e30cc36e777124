"""Every citation leads to one entry of the bibliography."""

import pytest

from lib.course.book import references
from lib.course.book.references import (
    Citations,
    UnknownCitationError,
    bibliography_page,
    link_references,
    read_entries,
)


def linked(line):
    citations = Citations()
    text = link_references(f"\n\n- {line}\n", "05", citations)
    assert all(chapters == ["05"] for chapters in citations.chapters.values())
    return text.strip().removeprefix("- "), list(citations.chapters)


@pytest.mark.parametrize(
    ("line", "keys"),
    [
        ("Roy and Vetterli 2007, *The Effective Rank*: a measure.", ["roy-2007"]),
        ("Y. Malkov, D. Yashunin, *Efficient and Robust Approximate Nearest Neighbor Search"
         " Using Hierarchical Navigable Small World Graphs*, TPAMI 2020 (arXiv 2016).",
         ["malkov-2020"]),
        ("Lin et al. 2014, *Microsoft COCO*; Chen et al. 2015, *Microsoft COCO Captions*.",
         ["chen-2015", "lin-2014"]),
        ("Radford et al. 2021 (CLIP); Chen et al. 2020 (SimCLR).",
         ["chen-simclr-2020", "radford-2021"]),
        ("U. Ramer, *An Iterative Procedure*, 1972; D. Douglas, T. Peucker, 1973.",
         ["douglas-1973", "ramer-1972"]),
        ("Notebook 04 and its references.", []),
    ],
)  # fmt: skip
def test_citations_are_found(line, keys):
    text, found = linked(line)
    assert sorted(found) == keys
    assert text.count("](#work-") == len(keys)


def test_a_link_holds_the_title():
    text, _ = linked("Sohn 2016 (N-pair); Holm 1979, *A Simple Sequentially Rejective*.")
    assert text == (
        "[Sohn 2016 (N-pair)](#work-sohn-2016); "
        "Holm 1979, [*A Simple Sequentially Rejective*](#work-holm-1979)."
    )


@pytest.mark.parametrize(
    "line",
    [
        "Nobody 2019, *A Paper That Does Not Exist*.",
        "Roy and Vetterli 2008, *The Effective Rank*.",  # another year
        "Malkov 2007, *The Effective Rank*.",  # another author
        "Nobody et al. 2031.",
        "Chen et al. 2020.",  # two works
    ],
)
def test_what_is_not_there_is_refused(line):
    with pytest.raises(UnknownCitationError):
        linked(line)


def test_every_citation_of_the_notebooks_resolves_and_every_work_is_cited(chapters):
    citations = Citations()
    for chapter in chapters:
        for cell in chapter.stored.cells:
            if cell.cell_type == "markdown" and "## References" in cell.source:
                link_references(cell.source.partition("## References")[2], chapter.key, citations)
    assert set(citations.chapters) == set(read_entries())
    page = bibliography_page(citations, {chapter.key: chapter.title for chapter in chapters})
    assert page.count("Cited in") == len(read_entries())


def test_entries_are_whole():
    addresses = []
    for key, entry in read_entries().items():
        assert references.plain(entry.family).replace(" ", "-").split("-")[-1] in key, key
        assert str(entry.year) in key, key
        assert entry.authors and entry.where and entry.title == entry.title.strip(" .")
        assert references.re.fullmatch(r"|arXiv:\d{4}\.\d{4,5}|doi:10\.\d{4,5}/\S+", entry.id), key
        if entry.id.startswith("arXiv:"):
            assert 2000 + int(entry.id[6:8]) <= entry.year, f"{key}: published before its preprint"
        addresses += [entry.id] if entry.id else []
    assert len(set(addresses)) == len(addresses)
