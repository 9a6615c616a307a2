"""Every error that aristotype raises on purpose.

All derive from `AristotypeError`; each message gives the value that was met, the limit it broke and what to do about
it. This module stands below every floor and imports nothing.
"""

from __future__ import annotations


class AristotypeError(Exception):
    """Base of all errors raised on purpose; the command line prints it without a traceback."""


class InputError(AristotypeError, ValueError):
    """A value or a file from the user that cannot be used as it is."""


class StructureError(InputError):
    """A structure that is not a crystal we can encode (overlaps, partial occupancy, NaN, no volume, too large)."""


class SymmetryError(InputError):
    """A space group, position or description that does not exist or does not fit."""


class TableError(InputError):
    """A table with missing columns, wrong types, or a version that this release does not know."""


class UnknownNameError(InputError):
    """A name (model, dataset, key, column) that is not registered; the message lists the known ones."""


class InfeasibleConditionsError(InputError):
    """Conditions that nothing can satisfy, found before sampling; the message names the reason."""


class ConfigError(InputError):
    """A configuration with an unknown key or a value outside its range."""


class CheckpointError(AristotypeError):
    """A checkpoint that is missing, truncated, tampered with, or made for other tables or another version."""


class TrainingError(AristotypeError):
    """A training run that cannot go on, for example a loss that is not finite; the batch is named."""


class DataUnavailableError(AristotypeError):
    """A dataset that is neither at hand nor downloadable; the message says where it can be had."""


class OutputError(AristotypeError, OSError):
    """An output that exists, is locked by another process, or cannot be written; nothing is left half-written."""


class MissingDependencyError(AristotypeError, ImportError):
    """An optional package that a function needs; the message gives the extra to install."""
