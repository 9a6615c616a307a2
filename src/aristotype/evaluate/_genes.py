"""The report on a batch of generated genes: validity, novelty and distances to a reference.

Definitions are those of the protocol "genes-1", word by word in docs/benchmarks.md. The legal share is over all
attempts, every other figure over legal genes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import GeneBatch, gene_keys, template_keys
from aristotype.errors import InputError
from aristotype.evaluate import _counts
from aristotype.evaluate._bootstrap import Interval, Tally, resampled_copies, share, with_interval
from aristotype.evaluate._distances import chi_square, jensen_shannon, wasserstein
from aristotype.evaluate._distributions import element_shares
from aristotype.evaluate._frechet_gene import frechet_gene
from aristotype.evaluate._smact import charge_balanced
from aristotype.symmetry import forced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from aristotype.evaluate._bootstrap import Floats
    from aristotype.models.gene_encoder import GeneEncoder

PROTOCOL = "genes-1"
"""Changes when a definition changes; figures of different protocols are never compared."""
MAX_PRIMITIVE_ATOMS = 20
"""The largest primitive cell of MP-20."""
TEMPLATE_SAMPLE = 1_000


@dataclass(frozen=True, kw_only=True)
class KnownKeys:
    """What counts as known: 128-bit keys of the genes that a model was trained on, and of their templates."""

    genes: frozenset[bytes]
    merged_genes: frozenset[bytes]  # the two groups of an enantiomorphic pair taken for one
    templates: frozenset[bytes]

    @staticmethod
    def of(genes: GeneBatch) -> KnownKeys:
        """The keys of a batch."""
        return KnownKeys(
            genes=frozenset(gene_keys(genes).tolist()),
            merged_genes=frozenset(gene_keys(genes, merge_enantiomorphs=True).tolist()),
            templates=frozenset(template_keys(genes).tolist()),
        )


def legal_share(genes: GeneBatch) -> float:
    """Genes with a site, existing letters and no zero-freedom position twice, over all."""
    return _mean(genes.legal())


def distinct_share(keys: Sequence[bytes]) -> float:
    """Distinct keys over all."""
    return len(set(keys)) / max(1, len(keys))


def novel_share(keys: Sequence[bytes], known: Iterable[bytes]) -> float:
    """Rows whose key is not known over all rows; duplicates count each time."""
    seen = frozenset(known)
    return sum(key not in seen for key in keys) / max(1, len(keys))


def novel_templates(keys: Sequence[bytes], known: Iterable[bytes], *, sample: int | None = None) -> float:
    """Distinct unknown templates per 1,000 genes. It falls as n grows: compare at equal n.

    Args:
        keys: template keys of n genes in the order of generation.
        known: keys that are not novel.
        sample: count in consecutive blocks of so many genes and average; None takes all as one block.
    """
    seen = frozenset(known)
    size = sample or len(keys)
    starts = range(0, len(keys) - size + 1, size)
    counts = [len(set(keys[start : start + size]) - seen) for start in starts]
    return 1000 * float(np.mean(counts)) / size if counts and size else float("nan")


def gene_report(
    genes: GeneBatch,
    reference: GeneBatch,
    *,
    train_keys: KnownKeys | None = None,
    attempts: int | None = None,
    resamples: int = 200,
    seed: int = 0,
    encoder: GeneEncoder | None = None,
) -> dict[str, Any]:
    """Every figure of the protocol for one batch, in plain Python types.

    Args:
        genes: what was generated, in order, illegal ones included.
        reference: what it is compared with; all of it legal.
        train_keys: what counts as known; without it there are no figures of novelty.
        attempts: how many genes the generator tried, where that is more than it returned.
        resamples: bootstrap resamples of `genes` (the reference stands still); 0 for no such intervals.
        seed: of the bootstrap.
        encoder: brings in `frechet_gene` on its embedding, and the key `embeddings` with what decides that figure.

    Returns:
        `protocol`, the counts `attempts`, `legal`, `reference` and `resamples`, and `metrics`: name to `value`, `low`
        and `high` (95 %: Wilson's for shares of genes, the bootstrap's for distances; None where an interval would mean
        nothing, as for counts of distinct things).

    Raises:
        InputError: no gene is legal, the reference is empty or holds illegal genes, or attempts are fewer than genes.
        MissingDependencyError: smact is not installed.
    """
    attempts = len(genes) if attempts is None else attempts
    legal = genes.legal()
    _check(genes, reference, legal, attempts)
    sample = genes.take(legal)
    copies = resampled_copies(len(sample), resamples, seed)
    metrics = {"legal": share(int(legal.sum()), attempts)}
    metrics |= _key_metrics(sample, train_keys)
    metrics |= {name: share(int(flags.sum()), len(flags)) for name, flags in _flags(sample).items()}
    metrics |= {
        name: with_interval(mine, partial(distance, q=theirs.histogram()), copies)
        for name, mine, theirs, distance in _comparisons(sample, reference)
    }
    metrics["groups_present"] = Interval(value=len(np.unique(sample.space_group)))
    special = np.column_stack(
        [_counts.primitive_atoms(sample) - _counts.special_atoms(sample), _counts.special_atoms(sample)]
    )
    metrics["special_atoms"] = with_interval(Tally.of_matrix(special), _share_of_ones, copies)
    embeddings = {}
    if encoder is not None:
        found = frechet_gene(sample, reference, encoder=encoder)
        metrics["frechet_gene"] = Interval(value=found.distance.value)
        embeddings["frechet_gene"] = found.to_dict()
    return {
        "protocol": PROTOCOL,
        **({"embeddings": embeddings} if embeddings else {}),
        "attempts": attempts,
        "legal": len(sample),
        "reference": len(reference),
        "resamples": resamples,
        "metrics": {name: asdict(interval) for name, interval in metrics.items()},
    }


def _check(genes: GeneBatch, reference: GeneBatch, legal: NDArray[np.bool_], attempts: int) -> None:
    if not legal.any():
        raise InputError(f"none of {len(genes)} genes is legal; at least one is needed for a report")
    if not len(reference) or not reference.legal().all():
        wrong = int((~reference.legal()).sum())
        raise InputError(f"{wrong} of {len(reference)} reference genes are illegal; give at least one, all legal")
    if attempts < len(genes):
        raise InputError(f"{attempts} attempts cannot give {len(genes)} genes; leave attempts out or count again")


def _key_metrics(sample: GeneBatch, known: KnownKeys | None) -> dict[str, Interval]:
    """Figures of keys; counts of distinct ones depend on n, and drawing again would make duplicates: no intervals."""
    keys = gene_keys(sample).tolist()
    metrics = {"distinct": Interval(value=distinct_share(keys))}
    if known is None:
        return metrics
    merged = gene_keys(sample, merge_enantiomorphs=True).tolist()
    for name, mine, theirs in (("novel", keys, known.genes), ("novel_merged", merged, known.merged_genes)):
        metrics[name] = share(sum(key not in theirs for key in mine), len(mine))
    templates = template_keys(sample).tolist()
    metrics["novel_templates"] = Interval(value=novel_templates(templates, known.templates))
    if len(templates) >= TEMPLATE_SAMPLE:
        value = novel_templates(templates, known.templates, sample=TEMPLATE_SAMPLE)
        metrics["novel_templates_1000"] = Interval(value=value)
    return metrics


def _flags(sample: GeneBatch) -> dict[str, NDArray[np.bool_]]:
    return {
        "p1": sample.space_group == 1,
        "over_20_atoms": _counts.primitive_atoms(sample) > MAX_PRIMITIVE_ATOMS,
        "smact": charge_balanced(sample),
        "forced": forced(sample.space_group, sample.elements, sample.wyckoffs),
    }


def _comparisons(sample: GeneBatch, reference: GeneBatch) -> list[tuple[str, Tally, Tally, Callable[..., Floats]]]:
    def both(feature: Callable[[GeneBatch], Tally]) -> tuple[Tally, Tally]:
        return feature(sample), feature(reference)

    def numbers(count: Callable[[GeneBatch], NDArray[np.int64]]) -> tuple[Tally, Tally]:
        return both(lambda genes: Tally.of_numbers(count(genes)))

    groups = numbers(lambda genes: genes.space_group.astype(np.int64))
    return [
        ("space_group_jsd", *groups, jensen_shannon),
        ("space_group_chi2", *groups, chi_square),
        ("emd_elements", *numbers(_counts.num_elements), wasserstein),
        ("emd_sites", *numbers(lambda genes: genes.num_sites), wasserstein),
        ("emd_primitive_atoms", *numbers(_counts.primitive_atoms), wasserstein),
        ("emd_conventional_atoms", *numbers(_counts.conventional_atoms), wasserstein),
        ("emd_free_parameters", *numbers(_counts.free_parameters), wasserstein),
        ("element_jsd_atoms", *both(element_shares), jensen_shannon),
        ("element_jsd_sites", *both(lambda genes: Tally.of_matrix(_counts.site_compositions(genes))), jensen_shannon),
        ("site_freedom_jsd", *both(_site_freedoms), jensen_shannon),
    ]


def _site_freedoms(genes: GeneBatch) -> Tally:
    freedoms = _counts.site_freedoms(genes)
    rows, sites = np.nonzero(freedoms >= 0)
    return Tally(genes=rows, bins=freedoms[rows, sites], weights=np.ones(len(rows)))


def _share_of_ones(histogram: Floats) -> Floats:
    return histogram[1:].sum() / histogram.sum()


def _mean(flags: NDArray[np.bool_]) -> float:
    return float(flags.mean()) if len(flags) else float("nan")
