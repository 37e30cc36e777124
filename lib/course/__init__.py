"""The teaching room: exercises that judge the reader's own answer, and predictions.

    course.predict("gap", "Which gap is wider?", ["trained", "untrained"], yours=None)
    course.reveal("gap", observed="b", because="...")
    course.check("start.top_k", top_k)      what is wrong with this answer, and a hint for it
    course.hint("start.top_k")              the next hint

The exercises of a notebook are in the module of its name.
"""

from __future__ import annotations

from lib.course import (
    ann_graphs,
    ann_hashing,
    ann_lists_and_codes,
    ann_lists_judged,
    ann_score_aware,
    ann_tradeoffs,
    benchmarks,
    cross_encoders,
    evaluation_traps,
    joint_embedding,
    late_interaction,
    loss_infonce,
    loss_infonce_batches,
    loss_mnr,
    loss_mnr_negatives,
    loss_shootout,
    loss_shootout_fairness,
    loss_sigmoid,
    loss_triplet,
    metrics,
    start_here,
    two_stage,
)
from lib.course.engine import Exercise, Verdict, check, exercises, hint, register
from lib.course.predictions import predict, reveal

for notebook in (
    start_here,
    joint_embedding,
    metrics,
    evaluation_traps,
    loss_infonce,
    loss_infonce_batches,
    loss_triplet,
    loss_mnr,
    loss_mnr_negatives,
    loss_sigmoid,
    loss_shootout,
    loss_shootout_fairness,
    cross_encoders,
    late_interaction,
    two_stage,
    ann_lists_and_codes,
    ann_lists_judged,
    ann_graphs,
    ann_hashing,
    ann_score_aware,
    ann_tradeoffs,
    benchmarks,
):
    register(*notebook.EXERCISES)

__all__ = ["Exercise", "Verdict", "check", "exercises", "hint", "predict", "register", "reveal"]
