"""Miniatures of films with some of their clips: encoding all of them would take seconds."""

from lib.datasets.completeness import write_miniature_card
from lib.datasets.media.encoding import write_clip
from lib.datasets.miniatures.writing import FPS
from lib.datasets.registry import CORPORA


def write_with_clips(name, root, positions):
    """Write the annotations of a miniature, and its clips at some positions of the writer."""
    root.mkdir()
    miniature = CORPORA[name].write_files(root)
    for at, clip in enumerate(miniature.clips):
        if at in positions:
            write_clip(root / clip.path, clip.frames.repeat(2, axis=1).repeat(2, axis=2), FPS)
    write_miniature_card(root, name, miniature.counts)
    return root
