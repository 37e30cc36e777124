"""Open labs: one a part of the course, with a rubric and a leaderboard.

    course.practise("losses", my_loss)                 score on the validation queries
    course.submit("losses", my_loss, name="Ada")       score on the test queries, counted and kept
    course.leaderboard("losses")                       all names, the best first
    course.rubric("losses", by="machine")              rows of the rubric

The engine is in `engine.py`, the file of scores in `leaderboard.py`, and each lab in a file
`lab_N_topic.py`. `engine.grade` measures an answer without printing or writing anything.
"""
