"""Say of every benchmark in one line what is asked, what is searched, and what papers report."""

from typing import NamedTuple


class Overview(NamedTuple):
    """One line on a benchmark; the sizes are those of the split that papers report.

    Args:
        query: what one query is.
        searched: what is ranked for it; "and back" where the other direction is reported too.
        reported: the numbers that papers print.
    """

    query: str
    searched: str
    reported: str

    @property
    def task(self) -> str:
        """Join query and gallery: "sentence -> 5,000 pictures, and back"."""
        return f"{self.query} -> {self.searched}"


R = "R@1, 5, 10"
# The datasheets in data/README.md name the source of each number.
OVERVIEWS = {
    "coco": Overview("sentence", "5,000 pictures, and back", R),
    "flickr30k": Overview("sentence", "1,000 pictures, and back", R),
    "msrvtt": Overview("sentence", "1,000 clips, and back", R),
    "activitynet": Overview("paragraph", "4,917 videos, and back", "R@1, 5, 50"),
    "msvd": Overview("sentence", "670 clips, and back", R),
    "didemo": Overview("paragraph", "1,004 films, and back", R),
    "lsmdc": Overview("sentence", "1,000 clips, and back", R),
    "vatex": Overview("sentence", "1,500 clips, and back", R),
    "youcook2": Overview("sentence", "3,350 steps of films, and back", R),
    "audioset": Overview("sound", "1,725 silent clips, and back", R),
    "vggsound": Overview("sound", "1,545 silent clips, and back", R),
    "audiocaps": Overview("sentence", "975 sounds, and back", R),
    "clotho": Overview("sentence", "1,045 sounds, and back", f"{R}, mAP@10"),
    "urban1k": Overview("description", "1,000 pictures, and back", "R@1"),
    "docci": Overview("description", "5,000 pictures, and back", "R@1 (recalled)"),
    "xtd10": Overview("sentence", "1,000 pictures; 11 languages", "R@10"),
    "xm3600": Overview("sentence", "3,600 pictures; 36 languages", "R@1"),
    "xflickrco": Overview("sentence", "2,000 pictures; 8 languages", "R@1"),
    "flickr30k_cn": Overview("sentence", "1,000 pictures; Chinese", R),
    "sugarcrepe": Overview("picture", "the right one of 2 captions", "accuracy"),
    "winoground": Overview("picture or caption", "the right one of 2", "text, image, group"),
    "cirr": Overview("picture and text", "2,296 pictures", "R@1-50, subset@1-3"),
    "fashioniq": Overview("picture and text", "pictures of 3 kinds", "mean R@10, R@50"),
    "laion": Overview("none", "pictures to train on", "nothing"),
    "beir": Overview("text or picture", "texts or pictures", "nDCG@10"),
    "class-folders": Overview("picture", "names of classes", "accuracy"),
}


def table_lines(corpora, families) -> list[str]:
    """Return the table of data/README.md: one line a benchmark, in the order of the families.

    Args:
        corpora: the benchmarks of the registry.
        families: the names of the families, in order.
    """
    lines = ["| family | benchmark | a query is a | searched | papers report | split |"]
    lines.append("|---|---|---|---|---|---|")
    for corpus in sorted(corpora, key=lambda corpus: families.index(corpus.family)):
        one = OVERVIEWS[corpus.name]
        link = f"[{corpus.name}](#{corpus.name})"
        cells = corpus.family, link, one.query, one.searched, one.reported, f"`{corpus.splits[0]}`"
        lines.append(f"| {' | '.join(cells)} |")
    return lines
