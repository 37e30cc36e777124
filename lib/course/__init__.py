"""Exercises that check the student's own answer, predictions made before a result is shown, and
interactive figures.

    course.predict("gap", "Which gap is wider?", ["trained", "untrained"], yours=None)
    course.reveal("gap", observed="b", because={"a": "...", "b": "..."})
    course.tally()                          how many predictions were right
    course.check("start.top_k", top_k)      what is wrong with this answer, and a hint for it
    course.hint("start.top_k")              the next hint
    course.explore("temperature")           an interactive figure
    course.practise("losses", my_loss)      a lab: score on the practice queries
    course.submit("losses", my_loss, name="Ada")      the final score, kept in the leaderboard

The exercises of notebook NN are in `exercises/nbNN_*.py`.
"""

from lib.course.engine import Exercise, Verdict, all_exercises, check, hint, register
from lib.course.explorables import explore
from lib.course.labs.engine import leaderboard, practise, rubric, submit
from lib.course.predictions import predict, reveal, tally

__all__ = [
    "Exercise",
    "Verdict",
    "all_exercises",
    "check",
    "explore",
    "hint",
    "leaderboard",
    "practise",
    "predict",
    "register",
    "reveal",
    "rubric",
    "submit",
    "tally",
]
