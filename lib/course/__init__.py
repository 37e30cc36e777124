"""The teaching room: exercises that judge the reader's own answer, and predictions.

    course.predict("gap", "Which gap is wider?", ["trained", "untrained"], yours=None)
    course.reveal("gap", observed="b", because="...")
    course.check("start.top_k", top_k)      what is wrong with this answer, and a hint for it
    course.hint("start.top_k")              the next hint

The exercises of a notebook are in the module of its name.
"""

from lib.course.engine import Exercise, Verdict, all_exercises, check, hint, register
from lib.course.exercises import (
    nb00_start_here,
    nb01_joint_embedding,
    nb02_metrics,
    nb03_evaluation_traps,
    nb04_infonce,
    nb04_infonce_batches,
    nb05_triplet,
    nb06_mnr,
    nb06_mnr_negatives,
    nb07_sigmoid,
    nb08_shootout,
    nb08_shootout_fairness,
    nb09_cross_encoders,
    nb10_late_interaction,
    nb11_two_stage,
    nb12_lists_and_codes,
    nb12_lists_judged,
    nb13_graphs,
    nb14_hashing,
    nb14_score_aware,
    nb15_tradeoffs,
    nb16_benchmarks,
)
from lib.course.predictions import predict, reveal

for notebook in (
    nb00_start_here,
    nb01_joint_embedding,
    nb02_metrics,
    nb03_evaluation_traps,
    nb04_infonce,
    nb04_infonce_batches,
    nb05_triplet,
    nb06_mnr,
    nb06_mnr_negatives,
    nb07_sigmoid,
    nb08_shootout,
    nb08_shootout_fairness,
    nb09_cross_encoders,
    nb10_late_interaction,
    nb11_two_stage,
    nb12_lists_and_codes,
    nb12_lists_judged,
    nb13_graphs,
    nb14_hashing,
    nb14_score_aware,
    nb15_tradeoffs,
    nb16_benchmarks,
):
    register(*notebook.EXERCISES)

__all__ = ["Exercise", "Verdict", "all_exercises", "check", "hint", "predict", "register", "reveal"]
