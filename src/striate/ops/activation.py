"""Activations in plain arithmetic: what bends a network's sums, and the softmax that makes shares of them.

The formulas are one line each; what is worth reading is how they stay exact where exp overflows, in the value
and in the gradient. Any shape, any floating type.
"""

from __future__ import annotations

import torch
from torch import Tensor


def relu(x: Tensor) -> Tensor:
    """Rectify: y = max(0, x). Its slope is 1 or 0, so depth does not wear gradients out as a sigmoid does.

    x: any shape.   Returns: the same shape.   At 0 the slope is taken as 0, as torch does.
    Source: Nair and Hinton 2010; Glorot, Bordes and Bengio 2011.

    >>> relu(torch.tensor([-2.0, -0.5, 0.0, 3.0])).tolist()
    [0.0, 0.0, 0.0, 3.0]
    """
    return torch.where(x <= 0, 0.0, x)  # asked this way round, a NaN stays a NaN


def sigmoid(x: Tensor) -> Tensor:
    """Squash to (0, 1): y = 1/(1 + exp(-x)).

    x: any shape.   Returns: the same shape.
    Its slope y (1 - y) is at most 1/4, and nearly 0 for large |x|: the unit is saturated.
    Source: Rumelhart, Hinton and Williams 1986, equation 2.

    >>> sigmoid(torch.tensor([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    # exp(1000) overflows, exp(-1000) is just 0: so only exp(-|x|), and for x < 0 the fraction widened by it.
    e = torch.exp(-_magnitude(x))
    return torch.where(x >= 0, 1 / (1 + e), e / (1 + e))


def tanh(x: Tensor) -> Tensor:
    """Squash to (-1, 1): y = (exp(x) - exp(-x))/(exp(x) + exp(-x)) = 2 sigmoid(2 x) - 1.

    x: any shape.   Returns: the same shape.
    Centred at 0, where its slope is 1: the choice of the networks of 1998.
    Source: LeCun, Bottou, Orr and Müller 1998, Efficient BackProp, section 4.4.

    >>> tanh(torch.tensor([-1000.0, 0.0, 1000.0])).tolist()
    [-1.0, 0.0, 1.0]
    """
    # With m = exp(-2|x|) - 1, |y| = -m/(m + 2); expm1 keeps the digits of a small x, which exp - 1 loses.
    m = torch.expm1(-2 * _magnitude(x))
    y = -m / (m + 2)
    return torch.where(x >= 0, y, -y)


def softmax(x: Tensor, dim: int) -> Tensor:
    """Turn scores into shares that are positive and sum to 1: y_k = exp(x_k) / sum over j of exp(x_j).

    x: scores, any shape; dim: the axis of the classes.   Returns: the same shape.
    Source: Bridle 1990; Goodfellow et al. 2016, section 6.2.2.3.

    >>> softmax(torch.tensor([1000.0, 1000.0]), dim=0).tolist()
    [0.5, 0.5]
    """
    # The same number taken off all scores changes nothing; taking off the largest keeps exp from overflowing.
    # It is a constant to the gradient, since whatever it is cancels.
    e = torch.exp(x - x.amax(dim, keepdim=True).detach())
    return e / e.sum(dim, keepdim=True)


def _magnitude(x: Tensor) -> Tensor:
    """Give |x| with slope 1 at 0, where abs would give 0 and so lose the gradient there."""
    return torch.where(x >= 0, x, -x)
