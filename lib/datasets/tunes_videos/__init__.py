"""Videos with a folk tune as their music: 300 clips as recipes, rendered on demand.

`load_recipes` tells what each clip is, `clip_file` renders it into the cache as .mp4, and
`hum_task` hums what is played in some of them. `data/README.md` describes the corpus.
"""

from lib.datasets.tunes_videos.films import clip_file, pictures, render_files, soundtrack
from lib.datasets.tunes_videos.recipes import NAME, ClipRecipe, load_recipes
from lib.datasets.tunes_videos.score import ClipScore, clip_score
from lib.datasets.tunes_videos.tasks import ClipHums, hum_task
