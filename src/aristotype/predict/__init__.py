"""Floor 5: properties of crystals from their genes alone, with an uncertainty, and how good the predictions are.

`predict` gives a property of every row of a table; `training_rows` reads a numeric column as training rows;
`errors_of` says how far predictions are off, and `coverage` whether their uncertainty can be believed.
"""

from aristotype.predict._judge import coverage, errors_of
from aristotype.predict._labels import TrainingRows, labelled_rows, training_rows
from aristotype.predict._predict import predict
from aristotype.predict._targets import TARGETS, Target, target_named

__all__ = [
    "TARGETS",
    "Target",
    "TrainingRows",
    "coverage",
    "errors_of",
    "labelled_rows",
    "predict",
    "target_named",
    "training_rows",
]
