import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.laion.metadata import (
    COLUMNS,
    Filters,
    FilterStep,
    MetadataScan,
    known_columns,
    write_filtered,
)
from lib.datasets.miniatures.laion import JOINED, UPPER
from lib.datasets.registry import CORPORA


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("laion") / "mini"
    CORPORA["laion"].write_miniature(folder)
    return folder / "metadata"


def column(scan, name):
    return [value for batch in scan for value in batch.column(name).to_pylist()]


def parquet(path, **columns):
    pq.write_table(pa.table(columns), path)
    return path


def test_both_schemas_get_the_same_names(root):
    upper, joined = known_columns(root / UPPER), known_columns(root / JOINED)
    assert upper["id"] == "SAMPLE_ID" and upper["text"] == joined["text"] == "TEXT"
    assert {"hash", "punsafe", "pwatermark", "language"} == joined.keys() - upper.keys()
    batch = next(iter(MetadataScan(root / JOINED)))
    assert batch.schema.names == list(joined)
    assert all(batch.schema.field(name).type == COLUMNS[name][1] for name in joined)


def test_relaion_writes_url_and_caption(tmp_path):
    path = parquet(tmp_path / "x.parquet", url=["u"], caption=["c"], other=[1])
    assert known_columns(path) == {"url": "url", "text": "caption"}
    assert [batch.to_pylist() for batch in MetadataScan(path)] == [[{"url": "u", "text": "c"}]]


def test_nan_and_floats_become_what_the_column_should_hold(root):
    scan = MetadataScan(root / UPPER, Filters(with_text=False), columns=["width", "similarity"])
    assert column(scan, "width") == [640, 640, 640, 400, None, 1200, 32, 800, 800, 640]
    assert column(scan, "similarity")[-1] is None
    assert (scan.report.n_read, scan.report.n_kept) == (10, 10)


def test_null_and_blank_texts_are_counted(root):
    scan = MetadataScan(root / UPPER)
    assert column(scan, "id") == [1, 4, 5, 6, 7, 8, 9, 10]
    assert scan.report.steps == (FilterStep("text is not blank", failed=1, unstated=1),)


@pytest.mark.parametrize(
    ("filters", "ids", "failed", "unstated"),
    [
        (
            {"min_side": 256},
            [1, 2, 3, 4, 8, 9, 10],
            2,
            1,
        ),  # 1200 x 100 and 32 x 32; one width is NaN
        ({"min_side": 480}, [1, 2, 3, 8, 9, 10], 3, 1),
        ({"min_pixels": 120_000}, [1, 2, 3, 4, 6, 8, 9, 10], 1, 1),
        ({"max_aspect": 1}, [7], 8, 1),
        ({"max_aspect": 12.0}, [1, 2, 3, 4, 6, 7, 8, 9, 10], 0, 1),
        ({"nsfw": ("UNLIKELY",)}, [1, 2, 3, 4, 5, 6, 10], 2, 1),
        ({"nsfw": ("UNSURE", "NSFW")}, [7, 8], 7, 1),
        ({"min_similarity": 0.3}, [1, 2, 3, 4, 6, 7, 8], 2, 1),
    ],
)
def test_each_filter_of_the_upper_case_release(root, filters, ids, failed, unstated):
    scan = MetadataScan(root / UPPER, Filters(with_text=False, **filters))
    assert column(scan, "id") == ids
    ((step,), read) = scan.report.steps, scan.report.n_read
    assert (step.failed, step.unstated, read) == (failed, unstated, 10)


@pytest.mark.parametrize(
    ("filters", "hashes"),
    [
        ({"max_punsafe": 0.98}, [-8_021_334_502_111, 2**62, 17]),
        (
            {"max_punsafe": 0.99},
            [-8_021_334_502_111, 2**62, 17, -1],
        ),  # 0.99 as float32, in file and bound
        ({"max_pwatermark": 0.5}, [-8_021_334_502_111, 2**62, -1]),
        ({"languages": ("de", "fr")}, [-1]),
    ],
)
def test_each_filter_of_the_joined_release(root, filters, hashes):
    assert (
        column(MetadataScan(root / JOINED, Filters(with_text=False, **filters)), "hash") == hashes
    )


def test_the_report_accounts_for_every_row_whatever_the_batch(root):
    filters = Filters(min_side=64, max_aspect=3, nsfw=("UNLIKELY", "UNSURE"), min_similarity=0.3)
    reports = set()
    for size in (1, 3, 10, 1000):
        scan = MetadataScan(root / UPPER, filters, batch_size=size)
        assert column(scan, "text") == ["a red car", "fünf Äpfel"]
        n_removed = sum(step.failed + step.unstated for step in scan.report.steps)
        assert scan.report.n_read == scan.report.n_kept + n_removed
        reports.add(scan.report)
    (report,) = reports
    assert [tuple(row.values()) for row in report.table_rows()] == [
        ("none", "", "", "10"),
        ("text is not blank", "1", "1", "8"),
        ("shorter side >= 64", "1", "1", "6"),
        ("longer / shorter side <= 3", "1", "0", "5"),
        ("nsfw in UNLIKELY, UNSURE", "1", "1", "3"),
        ("similarity >= 0.3", "0", "1", "2"),
    ]


def test_filtered_rows_are_written_as_parquet_or_as_a_list_of_urls(root, tmp_path):
    filters = Filters(min_similarity=0.3)
    done = []
    report = write_filtered(
        root / UPPER, tmp_path / "kept.parquet", filters, progress=lambda *n: done.append(n)
    )
    kept = pq.read_table(tmp_path / "kept.parquet")
    assert kept["id"].to_pylist() == [1, 4, 6, 7, 8] and report.n_kept == 5
    assert kept.schema.names == list(known_columns(root / UPPER)) and done[-1] == (10, 10)
    assert known_columns(tmp_path / "kept.parquet")["text"] == "text"  # it can be filtered again
    write_filtered(root / UPPER, tmp_path / "kept.txt", filters)
    assert (tmp_path / "kept.txt").read_text().splitlines() == kept["url"].to_pylist()


def test_a_list_of_urls_has_one_line_for_each(tmp_path):
    urls = ["https://a", "https://b\nhttps://evil", None, "https://c d", "https://e\u2028"]
    path = parquet(tmp_path / "x.parquet", URL=urls, TEXT=list("abcde"))
    report = write_filtered(path, tmp_path / "kept.txt", Filters())
    assert report.steps[-1] == FilterStep("url is one word", failed=2, unstated=1)
    lines = (tmp_path / "kept.txt").read_text(encoding="utf-8").split("\n")
    assert lines == ["https://a", "https://e\u2028", ""]


def test_outputs_that_cannot_be_written(root, tmp_path):
    path = parquet(tmp_path / "x.parquet", URL=["u"], TEXT=["t"])
    with pytest.raises(RetrievalInputError, match="suffix of kept.csv must be one of '.parquet'"):
        write_filtered(path, tmp_path / "kept.csv", Filters())
    with pytest.raises(RetrievalInputError, match="x.parquet is one of the files to read"):
        write_filtered(tmp_path, path, Filters())


def test_no_more_than_a_batch_is_read_before_it_is_wanted(root):
    scan = MetadataScan(root / UPPER, Filters(with_text=False), batch_size=2)
    batches = iter(scan)
    assert next(batches).num_rows == 2 and scan.report.n_read == 2
    assert next(batches).num_rows == 2 and scan.report.n_read == 4
    assert len(list(scan)) == 5 and scan.report.n_read == 10  # a new pass, from the start


def test_a_folder_is_its_files_by_name(tmp_path):
    for name in ("b", "a"):
        parquet(tmp_path / f"{name}.parquet", URL=[name], TEXT=[name])
    assert column(MetadataScan(tmp_path), "url") == ["a", "b"]
    assert column(MetadataScan([tmp_path / "b.parquet", tmp_path / "a.parquet"]), "url") == [
        "b",
        "a",
    ]


def test_a_side_of_zero_has_no_shape(tmp_path):
    path = parquet(tmp_path / "x.parquet", WIDTH=[0, 0, 4], HEIGHT=[0, 4, 4])
    scan = MetadataScan(path, Filters(with_text=False, max_aspect=2))
    assert column(scan, "width") == [4] and scan.report.steps[0].failed == 2


@pytest.mark.parametrize("keep", [0, 10, 400])
def test_a_cut_file_is_refused_with_its_name(root, tmp_path, keep):
    path = tmp_path / "part.parquet"
    path.write_bytes((root / UPPER).read_bytes()[:keep])
    with pytest.raises(
        DamagedFileError, match=r"part\.parquet is not a Parquet file.*Download it again"
    ):
        MetadataScan(path)


def test_damage_in_the_middle_gives_the_rows_before_it(tmp_path):
    path = tmp_path / "part.parquet"
    rows = pa.table({"TEXT": [f"text number {i}" for i in range(2000)]})
    pq.write_table(rows, path, row_group_size=1000, compression="snappy", use_dictionary=False)
    content = bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    content[start : start + 200] = b"\xff" * 200
    path.write_bytes(content)
    scan = MetadataScan(path, batch_size=1000)
    with pytest.raises(DamagedFileError, match="damaged behind row 1,000"):
        list(scan)
    assert scan.report.n_read == 1000


def test_missing_files(tmp_path):
    with pytest.raises(MissingFileError, match=r"nothing\.parquet is missing"):
        MetadataScan(tmp_path / "nothing.parquet")
    with pytest.raises(MissingFileError, match="no Parquet files"):
        MetadataScan(tmp_path)


def test_columns_that_are_not_there(root):
    with pytest.raises(
        RetrievalInputError, match=r"a column 'punsafe' \(the filter 'punsafe <= 0.5' reads it\)"
    ):
        MetadataScan(root / UPPER, Filters(max_punsafe=0.5))
    with pytest.raises(RetrievalInputError, match="a column 'hash' .it was requested"):
        MetadataScan(root / UPPER, columns=["hash"])
    with pytest.raises(RetrievalInputError, match="column must be one of"):
        MetadataScan(root / UPPER, columns=["WIDTH"])
    with pytest.raises(RetrievalInputError, match="column 'id'.*files of one release together"):
        MetadataScan([root / UPPER, root / JOINED])


def test_columns_that_hold_something_else(tmp_path):
    words = parquet(tmp_path / "words.parquet", WIDTH=["wide"])
    with pytest.raises(RetrievalInputError, match="'width' is string and cannot be read as int32"):
        list(MetadataScan(words, Filters(with_text=False)))
    parts = parquet(tmp_path / "parts.parquet", WIDTH=[1.5])
    with pytest.raises(RetrievalInputError, match="rows 0 to 0.*'width' is double"):
        list(MetadataScan(parts, Filters(with_text=False)))
    twice = parquet(tmp_path / "twice.parquet", TEXT=["a"], caption=["b"])
    with pytest.raises(RetrievalInputError, match="equal columns, 'TEXT' and 'caption'"):
        MetadataScan(twice)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"min_side": 0}, "min_side must be at least 1"),
        ({"min_pixels": 1.5}, "min_pixels must be a whole number"),
        ({"max_aspect": 0.5}, "max_aspect must be a number from 1 to inf, got 0.5"),
        ({"max_punsafe": float("nan")}, "max_punsafe must be a number from 0 to 1"),
        ({"min_similarity": "high"}, "min_similarity must be a number from -1 to 1"),
        ({"nsfw": "UNLIKELY"}, "nsfw must be a list"),
        ({"nsfw": ("SAFE",)}, "nsfw tag must be one of 'UNLIKELY', 'UNSURE', 'NSFW'"),
        ({"min_similarity": True}, "min_similarity must be a number from -1 to 1, got True"),
        ({"languages": ()}, "languages must be a list"),
        ({"languages": (1,)}, "languages must be a list"),
        ({"languages": 5}, "languages must be a list"),
        ({"with_text": "no"}, "with_text must be True or False"),
    ],
)
def test_filters_outside_their_range(wrong, message):
    with pytest.raises(RetrievalInputError, match=message):
        Filters(**wrong)


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64()])
def test_a_similarity_at_the_bound_passes_in_any_precision(tmp_path, kind):
    path = parquet(tmp_path / "rows.parquet", similarity=pa.array([0.3, 0.35, 0.3499], kind))
    for bound, n_kept in ((0.3, 3), (0.35, 1)):
        scan = MetadataScan(path, Filters(with_text=False, min_similarity=bound))
        assert sum(batch.num_rows for batch in scan) == n_kept
