"""Where the files of the published benchmarks come from: addresses, terms, and what has to be got
by hand.

Sizes and checksums are those that others publish and use; where none was found there is none, and
the first download records its own (see `lib.datasets.download.downloads`). `seen_in` says where
each address was found.
"""

from dataclasses import dataclass

from lib.core.checks import RetrievalInputError
from lib.datasets.download.downloads import Source


@dataclass(frozen=True)
class Offer:
    """What the publisher of a corpus offers, and how.

    Args:
        terms: whose terms apply to what, in a line; shown before anything is downloaded.
        files: what can be downloaded.
        by_hand: what cannot, as steps; `{root}` stands for the folder of the corpus.
    """

    terms: str
    files: tuple[Source, ...]
    by_hand: tuple[str, ...] = ()


TFDS = "tensorflow/datasets, tensorflow_datasets/url_checksums/coco.txt"
KARPATHY = "google-research-datasets/Crisscrossed-Captions, README.md"
AUDIOSET_PAGE = "the AudioSet download page, research.google.com/audioset/download.html"
AUDIOSET_CSV = "https://storage.googleapis.com/us_audioset/youtube_corpus/v1/csv/"
CAV_MAE = "https://www.dropbox.com/s/"  # the authors of CAV-MAE share their subsets there
CXC_DATA = (
    "https://raw.githubusercontent.com/google-research-datasets/Crisscrossed-Captions/master/data/"
)
CAPTION_DATASETS = "https://cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip"
YOUTUBE = (
    "The clips are on YouTube, and the publisher gives only their ids and times. Get those that are"
    " still there by whatever means your law and YouTube's terms allow you; many are gone, for"
    " everybody."
)
CLIPS = (
    "Put the clips into {root}/videos, named <id>_<start in seconds, six digits>.mp4, and the"
    " sounds, if they are files of their own, into {root}/audio."
)
NAMES = " writes the names under which clips are looked for and not found."

OFFERS: dict[str, Offer] = {
    "coco": Offer(
        terms=(
            "Annotations: CC BY 4.0 (COCO consortium). Images: their owners', under the terms of"
            " use of Flickr. CxC ratings: Apache 2.0 (Google). See cocodataset.org/#termsofuse."
        ),
        files=(
            Source(
                CAPTION_DATASETS,
                "caption_datasets.zip",
                KARPATHY,
                members=("dataset_coco.json",),
                archive=True,
            ),
            Source(
                "http://images.cocodataset.org/zips/val2014.zip",
                "val2014.zip",
                TFDS,
                size=6_645_013_297,
                sha256="fe9be816052049c34717e077d9e34aa60814a55679f804cd043e3cbee3b9fde0",
                archive=True,
            ),
            Source(
                "http://images.cocodataset.org/zips/train2014.zip",
                "train2014.zip",
                TFDS,
                splits=("train", "train_only"),
                size=13_510_573_713,
                sha256="ede4087e640bddba550e090eae701092534b554b42b05ac33f0300b984b31775",
                archive=True,
            ),
            Source(
                "http://images.cocodataset.org/annotations/annotations_trainval2014.zip",
                "annotations_trainval2014.zip",
                TFDS,
                splits=(),
                size=252_872_794,
                sha256="031296bbc80c45a1d1f76bf9a90ead27e94e99ec629208449507a4917a3bf009",
                archive=True,
            ),
            Source(
                CXC_DATA + "sits_test.csv",
                "sits_test.csv",
                "google-research-datasets/Crisscrossed-Captions, data/",
                splits=(),
            ),
            Source(
                CXC_DATA + "sits_val.csv",
                "sits_val.csv",
                "google-research-datasets/Crisscrossed-Captions, data/",
                splits=(),
            ),
        ),
    ),
    "flickr30k": Offer(
        terms=(
            "Images: for non-commercial research and education only, and under the terms of use of"
            " Flickr, which the request form makes you accept."
        ),
        files=(
            Source(
                CAPTION_DATASETS,
                "caption_datasets.zip",
                KARPATHY,
                members=("dataset_flickr30k.json",),
                archive=True,
            ),
        ),
        by_hand=(
            (
                "Fill in the request form of the University of Illinois,"
                " https://forms.illinois.edu/sec/229675; a mail brings the address of the images."
            ),
            (
                "Unpack them so that {root}/flickr30k-images/1000092795.jpg is there: 31,783"
                " pictures in all."
            ),
            (
                "For all 31,783 pictures instead of a split, put results_20130124.token, which"
                " comes with them, into {root} too."
            ),
        ),
    ),
    "msrvtt": Offer(
        terms=(
            "No terms are stated with this archive, which the authors of CLIP4Clip share. The"
            " videos are their owners'; use them for research only."
        ),
        files=(
            Source(
                "https://github.com/ArrowLuo/CLIP4Clip/releases/download/v0.0/msrvtt_data.zip",
                "msrvtt_data.zip",
                "ArrowLuo/CLIP4Clip, README.md",
                members=("MSRVTT_data.json", "MSRVTT_JSFUSION_test.csv", "MSRVTT_train.*.csv"),
                archive=True,
            ),
        ),
        by_hand=(
            (
                "The page that offered the videos is gone (ArrowLuo/CLIP4Clip, issue 29). The"
                " authors of Frozen in Time share a copy of 6.6 GB (address from"
                " m-bain/frozen-in-time, README.md):"
                " https://www.robots.ox.ac.uk/~maxbain/frozen-in-time/data/MSRVTT.zip"
            ),
            "Unpack it so that {root}/videos/all/video0.mp4 is there: 10,000 clips in one folder.",
        ),
    ),
    "activitynet": Offer(
        terms=(
            "No terms are stated beside the archive of captions; see the project page,"
            " cs.stanford.edu/people/ranjaykrishna/densevid. The videos are their owners', on"
            " YouTube."
        ),
        files=(
            Source(
                "https://cs.stanford.edu/people/ranjaykrishna/densevid/captions.zip",
                "captions.zip",
                "SamsungLabs/AdaCLIP, README.md",
                members=("train.json", "val_1.json", "val_2.json", "*_ids.json"),
                archive=True,
            ),
        ),
        by_hand=(
            (
                "Open http://activity-net.org/download.html and fill in the form that it links for"
                " missing videos; the answer gives access to a drive with all of release 1.3."
            ),
            (
                "Put the validation videos into {root}/videos, named v_<id>.mp4 (.mkv and .webm do"
                " as well); for training, those of the training set too."
            ),
            "Without the drive: " + YOUTUBE,
        ),
    ),
    "audioset": Offer(
        terms=(
            "Labels: CC BY 4.0; ontology: CC BY-SA 4.0 (Google). The clips are their owners', on"
            " YouTube."
        ),
        files=(
            Source(
                CAV_MAE
                + "bb9p6t44t6etrzc/audioset_eval_5_per_class_for_retrieval_cleaned.json?dl=1",
                "audioset_eval_5_per_class_for_retrieval_cleaned.json",
                "YuanGongND/cav-mae, README.md",
                splits=("retrieval",),
            ),
            *(
                Source(AUDIOSET_CSV + file, file, AUDIOSET_PAGE, splits=splits)
                for file, splits in (
                    ("class_labels_indices.csv", None),
                    ("eval_segments.csv", ("eval",)),
                    ("balanced_train_segments.csv", ("balanced_train",)),
                    ("unbalanced_train_segments.csv", ()),
                )
            ),
            Source(
                "https://raw.githubusercontent.com/audioset/ontology/master/ontology.json",
                "ontology.json",
                "audioset/ontology, README.md",
            ),
        ),
        by_hand=(
            YOUTUBE,
            CLIPS,
            "`crossmodal data check audioset --root {root} --missing FILE`" + NAMES,
        ),
    ),
    "vggsound": Offer(
        terms=(
            "Labels: CC BY 4.0 (University of Oxford). The clips remain their owners', on YouTube."
        ),
        files=(
            Source(
                CAV_MAE + "exrdfh2nfrt1qvo/vgg_test_5_per_class_for_retrieval_cleaned.json?dl=1",
                "vgg_test_5_per_class_for_retrieval_cleaned.json",
                "YuanGongND/cav-mae, README.md",
                splits=("retrieval",),
            ),
            Source(
                "https://raw.githubusercontent.com/hche11/VGGSound/master/data/vggsound.csv",
                "vggsound.csv",
                "hche11/VGGSound, README.md",
            ),
        ),
        by_hand=(
            YOUTUBE,
            CLIPS,
            "`crossmodal data check vggsound --root {root} --missing FILE`" + NAMES,
        ),
    ),
    "laion": Offer(
        terms=(
            "Re-LAION is released for research, behind a form; the pictures are their owners', on"
            " the web. The first release of LAION-5B was withdrawn in December 2023."
        ),
        files=(),
        by_hand=(
            (
                "Sign in at the Hugging Face hub and accept the terms of"
                " laion/relaion2B-en-research-safe."
            ),
            (
                "Download one of its parts, part-00000-*.snappy.parquet, into {root}: some 16"
                " million rows."
            ),
            (
                "Fetch pictures for some rows with img2dataset: --input_format parquet --url_col"
                " url --caption_col caption --output_format webdataset --output_folder {root}. Many"
                " addresses are dead; the Parquet file beside each shard says which."
            ),
        ),
    ),
}


def choose(offer: Offer, split: str, files: tuple[str, ...] = ()) -> tuple[Source, ...]:
    """The files that a split needs, or those of the names given.

    Raises:
        RetrievalInputError: a name that is not offered.
    """
    if not files:
        return tuple(file for file in offer.files if file.splits is None or split in file.splits)
    known = {source.file: source for source in offer.files}
    unknown = [file for file in files if file not in known]
    if unknown:
        raise RetrievalInputError(
            f"no file is named {unknown[0]!r}; offered are {', '.join(known)}"
        )
    return tuple(known[file] for file in files)


def missing_space(sources: tuple[Source, ...], free: int) -> int:
    """Bytes by which a disk is too small for what is known of the sources; an archive counts twice.

    Args:
        sources: what will be downloaded; of unknown size count nothing.
        free: bytes free on the disk.

    Returns:
        0 where there is room.
    """
    needed = sum((source.size or 0) * (2 if source.archive else 1) for source in sources)
    return max(0, needed - free)
