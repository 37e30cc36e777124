"""Choose an index for your vectors: family and settings by recall, memory and work.

tuning = tune(rows, texts, recall=0.95, ram=4 * 10**9)
tuning.index.save("chosen")
print(tuning.describe())
"""

from lib.index.tuning.choice import Tuning, tune
from lib.index.tuning.configs import Config, formula_bytes
from lib.index.tuning.rows import ArrayRows, VectorRows
from lib.index.tuning.trials import Estimate, MeasuredSetting
