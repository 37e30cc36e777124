"""Runs the notebooks: all of them into HTML and one report, or in place to store their outputs.

python -m lib.course.notebooks run                 what `make run` does
python -m lib.course.notebooks refresh 00 01       what `make refresh` does
"""

from lib.course.notebooks.run import NotebookFailed, Run, execute, execute_in_place, run_all

__all__ = ["NotebookFailed", "Run", "execute", "execute_in_place", "run_all"]
