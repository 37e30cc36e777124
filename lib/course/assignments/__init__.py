"""Graded assignments: release them without solutions, run submissions apart, give points.

The instructor's notebooks, the hidden tests and the rubrics are in
`notebooks/instructor/assignments`, not in this package: what a student installs holds no solution.

    sources      the assignments: tasks, hidden tests, rubrics, the instructor's functions
    release      copies for students
    submissions  what a folder of submissions holds
    confinement  limits of one process, set from inside; needs the standard library alone
    child        the process that runs a submission
    runner       the other end: asks that process, stops it
    judging      compare an answer with the right one
    grading      the points of a class, resumable
    feedback     the table and a page for each student
    similarity   pairs of submissions that share much code or text
"""
