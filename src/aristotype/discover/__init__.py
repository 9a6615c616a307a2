"""Floor 6: the steps wired to a pipeline. So far `generate`: sample, filter, realise, top up."""

from aristotype.discover._generate import (
    PATIENCE,
    GenerateResult,
    GenerateSummary,
    Realizer,
    describe_conditions,
    generate,
)

__all__ = ["PATIENCE", "GenerateResult", "GenerateSummary", "Realizer", "describe_conditions", "generate"]
