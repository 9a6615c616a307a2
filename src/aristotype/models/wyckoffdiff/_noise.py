"""Discrete diffusion (D3PM, Austin et al., arXiv:2107.03006) with Q_t = (1 - beta_t) I + beta_t 1 m^T.

A variable of d values keeps its value up to step t with probability `kept` (bar alpha_t), or else is a draw of m. The
reverse step mixes the posteriors of all x_0, in closed form and in O(d).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_OFFSET = 0.008


def schedule(timesteps: int) -> Tensor:
    """(T + 1,) float64 probability that a value is kept up to step t: 1 at 0, 0 at T.

    Equation (10) of Kelvinius et al. (a cosine, not squared), divided by its value at 0. The last step ends in the
    prior exactly: with beta clipped at 0.999, as published, the bound would be infinite where the prior has zeros.
    """
    t = torch.arange(timesteps + 1, dtype=torch.float64) / timesteps
    kept = torch.cos((t + _OFFSET) / (1 + _OFFSET) * math.pi / 2)
    kept = kept / kept[0]
    kept[-1] = 0.0
    return kept


def spaced(timesteps: int, steps: int) -> Tensor:
    """(steps + 1,) steps of the noise that a shorter chain visits, evenly spaced from 0 to T."""
    return torch.linspace(0, timesteps, steps + 1, dtype=torch.float64).round().long()


@dataclass(frozen=True, kw_only=True)
class Step:
    """A reverse step from `kept` to `kept_before`, for each variable (broadcast)."""

    kept: Tensor  # where x_t is
    kept_before: Tensor  # where it goes

    def of(self, row: Tensor, *shape: int) -> Step:
        """That of variables of some rows, with trailing axes."""
        return Step(kept=self.kept[row].view(-1, *shape), kept_before=self.kept_before[row].view(-1, *shape))


def noised(values: Tensor, kept: Tensor, prior: Tensor, uniform: Tensor) -> Tensor:
    """x_t of x_0 `values` (...), kept with probability `kept` (broadcast), else drawn from `prior` (..., d).

    `uniform` (...) decides both.
    """
    again = ((uniform - kept) / (1 - kept).clamp(min=1e-12)).clamp(0, 1)
    return torch.where(uniform < kept, values, pick(prior.expand(*values.shape, -1), again))


def pick(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """Index (...) drawn from distributions (..., d) by inversion; never one of probability zero."""
    total = probabilities.cumsum(-1)
    passed = total <= uniform[..., None].to(total.dtype) * total[..., -1:]
    last = probabilities.shape[-1] - 1 - (probabilities.flip(-1) > 0).to(torch.uint8).argmax(-1)
    return torch.minimum(passed.sum(-1), last)


def posterior(probabilities: Tensor, values: Tensor, step: Step, prior: Tensor) -> Tensor:
    """p(x_before | x_t) (..., d), the mixture over x_0 of the posteriors q(x_before | x_t, x_0).

    Args:
        probabilities: (..., d) of x_0; what cannot lead to x_t gets no weight.
        values: (...) x_t.
        step: of each variable, with a trailing axis.
        prior: (..., d) m.
    """
    here = functional.one_hot(values, probabilities.shape[-1]).to(probabilities.dtype)
    prior = prior.expand_as(probabilities)
    at_value = prior.gather(-1, values[..., None])
    kept, before = step.kept.to(probabilities.dtype), step.kept_before.to(probabilities.dtype)
    reached = kept * here + (1 - kept) * at_value
    tiny = torch.finfo(probabilities.dtype).tiny
    weight = torch.where(reached > 0, probabilities / reached.clamp(min=tiny), 0.0)
    lost = 1 - kept / before
    out = ((1 - lost) * here + lost * at_value) * (
        before * weight + (1 - before) * prior * weight.sum(-1, keepdim=True)
    )
    return out / out.sum(-1, keepdim=True).clamp(min=tiny)


def drawn_before(log_probabilities: Tensor, values: Tensor, step: Step, prior: Tensor, uniform: Tensor) -> Tensor:
    """x_before (...) drawn from `posterior` by inversion, of p(x_0) as logarithms."""
    return pick(posterior(log_probabilities.exp(), values, step, prior), uniform)


def drawn_from_zero(log_probabilities: Tensor, values: Tensor, step: Step, uniform: Tensor) -> Tensor:
    """`drawn_before` where the prior is zero for certain: few variables leave zero, and those that have left stay."""
    stay = _stay(log_probabilities, step)[1]
    leave = (values == 0) & (uniform >= stay)
    again = ((uniform[leave] - stay[leave]) / (1 - stay[leave]).clamp(min=1e-12)).clamp(0, 1)
    return values.masked_scatter(leave, 1 + pick(log_probabilities[leave][:, 1:].exp(), again))


def _stay(log_probabilities: Tensor, step: Step) -> tuple[Tensor, Tensor]:
    """The probability that a lost value comes back, (before - kept) / (1 - kept), and that zero stays (...)."""
    kept, before = (each.to(log_probabilities.dtype).squeeze(-1) for each in (step.kept, step.kept_before))
    r = ((before - kept) / (1 - kept).clamp(min=1e-38)).clamp(0, 1)
    return r, (1 - r) + r * log_probabilities[..., 0].exp()


def divergence(log_probabilities: Tensor, values: Tensor, noisy: Tensor, step: Step, prior: Tensor) -> Tensor:
    """KL (...) in nats of q(x_before | x_t, x_0) from p(x_before | x_t); at the last step it is -log p(x_0).

    Args:
        log_probabilities: (..., d) of x_0, as the network has it.
        values: (...) x_0.
        noisy: (...) x_t.
        step: of each variable, with a trailing axis.
        prior: (..., d) m.
    """
    probabilities = log_probabilities.exp()
    truth = functional.one_hot(values, probabilities.shape[-1]).to(probabilities.dtype)
    q, p = (posterior(each, noisy, step, prior) for each in (truth, probabilities))
    return torch.where(q > 0, q * (q.clamp(min=1e-38).log() - p.clamp(min=1e-38).log()), 0.0).sum(-1)


def divergence_from_zero(log_probabilities: Tensor, values: Tensor, noisy: Tensor, step: Step) -> Tensor:
    """`divergence` where the prior is zero for certain.

    What is not zero at t stays; a value that was lost comes back with probability r.
    """
    r, stay = _stay(log_probabilities, step)
    stay = torch.log(stay.clamp(min=1e-38))
    at_value = log_probabilities.gather(-1, values[..., None])[..., 0]
    leave = -r * at_value + torch.special.xlogy(1 - r, 1 - r) - (1 - r) * stay
    return torch.where(noisy > 0, torch.zeros_like(stay), torch.where(values > 0, leave, -stay))
