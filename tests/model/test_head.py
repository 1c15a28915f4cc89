"""Losses and gradients of torch's own cross-entropy, without its table of scores."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from flipbook.model import head
from flipbook.model.head import summed_loss

NUM_WORDS = 50


def _inputs(num_rows: int = 13, dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(num_rows, 8, generator=generator, dtype=dtype)
    weight = torch.randn(NUM_WORDS, 8, generator=generator, dtype=dtype)
    targets = torch.randint(0, NUM_WORDS, (num_rows,), generator=generator)
    return hidden.requires_grad_(), weight.requires_grad_(), targets


def _plain(hidden: Tensor, weight: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    scores = nn.functional.linear(hidden, weight)
    return nn.functional.cross_entropy(
        scores.to(torch.promote_types(scores.dtype, torch.float32)),
        targets,
        reduction="sum",
        label_smoothing=smoothing,
    )


@pytest.mark.parametrize("rows_per_call", [1, 5, 13, 100])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_it_is_torchs_cross_entropy(
    rows_per_call: int, smoothing: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(head.LOGITS_PER_CALL, "cpu", rows_per_call * NUM_WORDS)
    hidden, weight, targets = _inputs()
    ours = summed_loss(hidden, weight, targets, label_smoothing=smoothing)
    theirs = _plain(hidden, weight, targets, smoothing)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)
    for one, other in zip(
        torch.autograd.grad(ours * 0.7, (hidden, weight)),
        torch.autograd.grad(theirs * 0.7, (hidden, weight)),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_only_what_learns_gets_a_gradient() -> None:
    hidden, weight, targets = _inputs()
    summed_loss(hidden, weight.detach(), targets).backward()
    assert hidden.grad is not None
    assert weight.grad is None
    summed_loss(hidden.detach(), weight, targets).backward()
    assert weight.grad is not None
    with torch.no_grad():
        assert not summed_loss(hidden, weight, targets).requires_grad


def test_large_scores_stay_finite() -> None:
    hidden, weight, targets = _inputs(dtype=torch.float32)
    loss = summed_loss(hidden * 1e4, weight, targets)
    torch.testing.assert_close(loss, _plain(hidden * 1e4, weight, targets, 0.0))
    assert all(g.isfinite().all() for g in torch.autograd.grad(loss, (hidden, weight)))


@pytest.mark.parametrize("rows_per_call", [3, 100])
def test_in_mixed_precision_the_loss_stays_float32(
    rows_per_call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(head.LOGITS_PER_CALL, "cpu", rows_per_call * NUM_WORDS)
    hidden, weight, targets = _inputs(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = summed_loss(hidden, weight, targets)
        theirs = _plain(hidden, weight, targets, 0.0)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    for one, other in zip(
        torch.autograd.grad(ours, (hidden, weight)),
        torch.autograd.grad(theirs, (hidden, weight)),
        strict=True,
    ):
        assert one.dtype == torch.float32
        assert (one - other).norm() < 5e-3 * other.norm()
