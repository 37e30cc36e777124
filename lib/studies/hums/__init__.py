"""Hums as notes and from their sound: matchers, voices, trackers; recordings of MIR-QBSH."""

from lib.studies.hums.from_sound import (
    CONTOURS,
    N_QUERIES,
    STORE,
    format_accuracy,
    format_search,
    held_out_hums,
    sound_rows,
    write_committed,
)
from lib.studies.hums.lengths import format_lengths
from lib.studies.hums.lengths import format_times as format_search_times
from lib.studies.hums.matchers import format_matchers, format_others, format_times
from lib.studies.hums.recordings import MirexResult, evaluate_recordings
