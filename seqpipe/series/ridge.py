"""Ridge regression in closed form, from sums over batches: one decomposition serves every penalty.

Axes: N rows, F inputs, H outputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PENALTIES = np.logspace(-7, 1, 17)  # shares of the mean variance of an input


@dataclass
class RidgeSums:
    """What a ridge needs to know of its rows: sums in float64, of products in the type of the rows."""

    squares: np.ndarray
    products: np.ndarray
    rows: int = 0

    @classmethod
    def empty(cls, inputs: int, outputs: int) -> RidgeSums:
        return cls(np.zeros((inputs, inputs)), np.zeros((inputs, outputs)))

    def add(self, inputs: np.ndarray, outputs: np.ndarray, weights: np.ndarray) -> None:
        """Rows [N, F] and [N, H], each weighing so much; rows with a NaN are to be left out."""
        scaled = inputs * weights[:, None]  # float32: the product is what costs
        self.squares += scaled.T @ scaled
        self.products += scaled.T @ (outputs * weights[:, None])
        self.rows += len(inputs)

    def solve(self) -> list[np.ndarray]:
        """float64 [F, H] for each of PENALTIES; of the last input, which is the constant, no penalty."""
        total = max(float(self.squares[-1, -1]), 1e-12)
        means, wanted = self.squares[:-1, -1] / total, self.products[-1] / total
        values, vectors = np.linalg.eigh(self.squares[:-1, :-1] - total * np.outer(means, means))
        values = np.maximum(values, 0.0)
        rotated = vectors.T @ (self.products[:-1] - total * np.outer(means, wanted))
        mean = max(float(values.mean()), 1e-12)
        slopes = [vectors @ (rotated / (values + penalty * mean)[:, None]) for penalty in PENALTIES]
        return [np.concatenate([slope, [wanted - means @ slope]]) for slope in slopes]
