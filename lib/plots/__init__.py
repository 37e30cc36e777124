"""Figures of the suite: readable on a projector, in grey, and without telling red from green.

Colour never carries meaning alone: a second series has another marker and another dash too.
Functions that draw one pair of axes take `ax` to draw into a panel, and return the axes;
`ax.figure` is the figure. In a notebook the figure is above the sentence about it:

    plots.curves(...)
    plots.show()
    report.sentence(...)

A schematic figure (`lib.plots.schematics`) brings its sentence with it:

    figure = plots.two_towers("alarm clock", picture)
    plots.show()
    report.sentence("{says}", says=plots.description(figure))
"""

from lib.plots.charts import curves, distributions, intervals, scatter
from lib.plots.comparisons import paired_differences, published_over_years
from lib.plots.drawings import edge_histograms, farthest_points, strokes_in_order
from lib.plots.indexes import allowed_errors, cells, graph
from lib.plots.matrices import forces, heatmap
from lib.plots.melodies import note_bars, tone_name, traces, warping
from lib.plots.model_scores import model_scores
from lib.plots.pictures import contact_sheet, spotlights
from lib.plots.result_grids import result_grid
from lib.plots.schematics.architectures import (
    cross_encoder,
    late_interaction,
    two_stages,
    two_towers,
)
from lib.plots.schematics.canvas import description
from lib.plots.schematics.decisions import flow_chart
from lib.plots.schematics.force_lines import force_lines
from lib.plots.schematics.learning import batch_matrix, triplet
from lib.plots.schematics.lists import hyperplanes, probed_cells, product_codes
from lib.plots.schematics.pipelines import pipeline
from lib.plots.schematics.queries import query_sum
from lib.plots.schematics.rows import cut_rankings, held_out_rows
from lib.plots.schematics.samples import sample_card
from lib.plots.schematics.shards import merged_shards
from lib.plots.schematics.walks import hnsw_levels
from lib.plots.sounds import sounds
from lib.plots.style import (
    COLOURS,
    DASHES,
    MARKERS,
    STYLE,
    one_legend,
    panels,
    save,
    show,
    use_style,
)
from lib.plots.thumbnails import add_thumbnails
