"""LAION: metadata in Parquet, shards of downloaded pictures, and the corpus that they make."""

from lib.datasets.laion.corpus import NAME, SPLITS, ShardPictures, load_laion, same_captions
