"""Read what must be said beside published numbers, and find it for a number.

`data/published/remarks.csv` has a rule a line: what a number must be, and the words. They are for
differences that the columns of a protocol do not hold, such as a rank counted in another way.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.paths import data_dir
from lib.core.reading import MissingFileError
from lib.studies.published.protocol import JUDGEMENTS


@dataclass(frozen=True)
class Remark:
    """Hold the words for published numbers; an empty condition is met by every number."""

    source: str  # the source begins with it
    model: str  # the model begins with it
    pretrained: str  # this and the next columns are equal
    dataset: str
    direction: str
    metric: str  # or one of several, with spaces between them
    judgements: str  # of the result here, whose judgements may divide otherwise
    remark: str

    def applies(self, row, judgements: str) -> bool:
        """Tell whether a published number beside a result with these judgements meets all.

        Args:
            row: a `PublishedRow`.
            judgements: of the result here.
        """
        return (
            row.source.startswith(self.source)
            and row.model.startswith(self.model)
            and all(
                getattr(self, name) in ("", getattr(row, name))
                for name in ("pretrained", "dataset", "direction")
            )
            and (not self.metric or row.metric in self.metric.split())
            and self.judgements in ("", judgements)
        )


COLUMNS = tuple(field.name for field in fields(Remark))


def remarks_path() -> Path:
    """Return the path of the committed rules."""
    return data_dir() / "published" / "remarks.csv"


def read_remarks(source: str | Path | None = None) -> tuple[Remark, ...]:
    """Read and check the rules of a CSV file, by default the committed one."""
    return _read(Path(source) if source else remarks_path())


@lru_cache(maxsize=2)
def _read(source: Path) -> tuple[Remark, ...]:
    if not source.is_file():
        raise MissingFileError(f"{source} is missing. Restore it with git")
    remarks = []
    with open(source, newline="", encoding="utf-8") as stream:
        lines = csv.reader(stream)
        if (header := tuple(next(lines, ()))) != COLUMNS:
            raise RetrievalInputError(
                f"{source}: the header is {','.join(header)}, expected {','.join(COLUMNS)}"
            )
        for cells in lines:
            where = f"{source}, line {lines.line_num}"
            if len(cells) != len(COLUMNS):
                raise RetrievalInputError(
                    f"{where} has {len(cells)} cells, expected {len(COLUMNS)}"
                )
            remark = Remark(*(cell.strip() for cell in cells))
            if not remark.remark or not any(cells[:-1]):
                raise RetrievalInputError(f"{where}: a rule needs a condition and a remark")
            check_choice(remark.judgements, ("", *JUDGEMENTS), f"{where}: judgements")
            remarks.append(remark)
    return tuple(remarks)


def remarks_of(row, judgements: str, rules: Sequence[Remark] | None = None) -> list[str]:
    """List the words that must stand beside a published number.

    Args:
        row: a `PublishedRow`.
        judgements: of the result that it stands beside.
        rules: those of `read_remarks`; the committed ones when None.
    """
    rules = read_remarks() if rules is None else rules
    return [rule.remark for rule in rules if rule.applies(row, judgements)]
