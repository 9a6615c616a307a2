"""Baselines that a user would pick instead of a model: ion exchange and random decoration of known crystals."""

from aristotype.models.baselines._draw import Balance
from aristotype.models.baselines._likelihood import ExchangeLikelihood, exchange_counts, series_of
from aristotype.models.baselines._model import Baseline, Decoration, ElementChoice, IonExchange
from aristotype.models.baselines._prototypes import Fillings, element_lists

__all__ = [
    "Balance",
    "Baseline",
    "Decoration",
    "ElementChoice",
    "ExchangeLikelihood",
    "Fillings",
    "IonExchange",
    "element_lists",
    "exchange_counts",
    "series_of",
]
