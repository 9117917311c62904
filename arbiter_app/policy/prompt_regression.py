"""What the prompt itself tells of a model's grade: online regressions on hashed words, used only where they have predicted.

For each model of a bucket the sums of x r and x x are kept, where x are the features of a prompt and r is the grade less the
model's mean before it: one ridge regression for each feature alone (marginal regression, Fan and Lv, 2008), whose sum is
scaled by what it turned out to be worth. Every prediction is made before its grade is seen (prequential validation, Dawid,
1984): sum(p r) over the root of sum((p r)^2) is standard normal while the prompt tells nothing, and only over `SIGNIFICANT` of
these standard deviations does a prediction count. It is looked at after every grade, so it has to hold at any time: with
probability 1 - alpha a sum of n steps stays under sqrt((1 + m / n) (ln(1 + n / m) + 2 ln(1 / alpha))) of its standard deviations
for all n at once (Robbins, Statistical methods related to the law of the iterated logarithm, 1970). For m = 60, five is this bound
at alpha = 1 / 10,000 from 240 grades to 43,000, and at alpha = 1 / 350 where it is first looked at, after `LEAST_GRADES`.
All of it is sums, so that processes can add them up; a model takes 6 KB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log1p, sqrt
from zlib import crc32

import numpy as np

from arbiter_app.policy.posterior import Array

WORDS = 256
"""Places that words are hashed to: 3 KB a model, and few words of a prompt share one."""
PLAIN = 4
"""Features that are no words, see `features`."""
SIZE = WORDS + PLAIN
"""All features of a prompt."""
READ = 1000
"""Characters of a prompt that are read: what is asked stands early, and reading costs by length."""
RIDGE = 4.0
"""Grades' worth of evidence that pulls each coefficient to zero (a judgement: a word has to be seen some times)."""
SIGNIFICANT = 5.0
"""Standard deviations of sum(p r) over which predictions count: a level that chance does not pass at any time (above)."""
LEAST_GRADES = 60.0
"""Weight of grades before which nothing counts: the level above holds from there on, and sums begin to be normal."""
LARGEST_SHIFT = 0.5
"""Largest shift of a quality, 0 to 1, by a prompt: half of what there is."""
BATCH = 16
"""Grades that are learned together: sixteen one by one take six times as long."""

Head = tuple[str, int]
_LETTERS = bytes(at if chr(at).isalnum() or at >= 128 else 32 for at in range(256))
"""Every byte as itself, or a space where it is no part of a word: ASCII letters, digits, and all beyond ASCII are."""


def head(prompt: str) -> Head:
    """What is read of a prompt: its first characters, and its length."""
    return prompt[:READ], len(prompt)


def features(prompts: Sequence[Head]) -> Array:
    """Features [prompts, SIZE]: which hashed words occur in the first characters of each, and four plain ones: its length, and
    the shares of digits, of code's punctuation and of line ends."""
    found, plain = np.zeros((len(prompts), SIZE)), [(0.0, 0.0, 0.0, 0.0)] * len(prompts)
    rows: list[int] = []
    columns: list[int] = []
    for at, (text, length) in enumerate(prompts):
        data = text.lower().encode("utf-8", "replace")
        if data:
            words = {crc32(word) % WORDS for word in data.translate(_LETTERS).split()}
            columns += words
            rows += [at] * len(words)
            digits = len(data) - len(data.translate(None, b"0123456789"))
            marks = len(data) - len(data.translate(None, b"()[]{};="))
            shares = 4 * digits / len(data), 8 * marks / len(data), 16 * data.count(10) / len(data)
            plain[at] = (log1p(length) / 10, *shares)
    found[rows, columns] = 1.0
    found /= np.sqrt(np.maximum(found.sum(axis=1, keepdims=True), 1.0))
    found[:, WORDS:] = plain
    return found


@dataclass(slots=True)
class PromptRegression:
    """The regression of one model in one bucket. `sum_x` is the sum of all features seen; `prequential` holds the grades, sum(p r),
    sum(p p) and sum((p r)^2); `pending` the grades that are to be learned with the next ones."""

    sum_x: Array = field(default_factory=lambda: np.zeros(SIZE))
    sum_xy: Array = field(default_factory=lambda: np.zeros(SIZE))
    sum_xx: Array = field(default_factory=lambda: np.zeros(SIZE))
    prequential: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    pending: list[tuple[Head, float, float]] = field(default_factory=list, compare=False)
    enough: bool = field(default=False, init=False)
    """Whether there are grades enough to say anything, be it that prompts tell nothing."""
    significant: bool = field(default=False, init=False)
    """Whether predictions have been right by more than chance allows."""

    def __post_init__(self) -> None:
        """See what the grades so far prove."""
        self._test()

    def update(self, prompt: str, surprise: float, weight: float) -> None:
        """Count one grade in: `surprise` is the grade less what was expected without the prompt."""
        self.pending.append((head(prompt), surprise, weight))
        if len(self.pending) >= BATCH:
            prompts, surprises, weights = zip(*self.pending, strict=True)
            self.pending.clear()
            self.update_batch(features(prompts), np.array(surprises), np.array(weights))

    def update_batch(self, x: Array, surprise: Array, weight: Array) -> None:
        """Count grades in, all predicted before any of them is: features [n, SIZE], surprises [n] and weights [n]."""
        predicted = self.predict(x)
        hits = weight * predicted * surprise
        grades, all_hits, size, squares = self.prequential
        self.prequential = (
            grades + float(weight.sum()),
            all_hits + float(hits.sum()),
            size + float((weight * predicted).dot(predicted)),
            squares + float(hits.dot(hits)),
        )
        self._test()
        self.sum_x += weight.dot(x)
        self.sum_xy += (weight * surprise).dot(x)
        self.sum_xx += weight.dot(x * x)

    def add(self, other: PromptRegression) -> None:
        """Add what another process has learned."""
        self.sum_x += other.sum_x
        self.sum_xy += other.sum_xy
        self.sum_xx += other.sum_xx
        grades, hits, size, squares = self.prequential
        more = other.prequential
        self.prequential = grades + more[0], hits + more[1], size + more[2], squares + more[3]
        self._test()

    def _test(self) -> None:
        grades, hits, _, squares = self.prequential
        self.enough = grades >= LEAST_GRADES
        self.significant = self.enough and hits > SIGNIFICANT * sqrt(squares)

    def shift(self, x: Array) -> float:
        """How much better than its mean the model will do with a prompt [1, SIZE], scaled by what such predictions were worth."""
        _, hits, size, _ = self.prequential
        worth = min(max(hits / size, 0.0), 1.0) if size > 0 else 0.0
        return min(max(worth * float(self.predict(x)[0]), -LARGEST_SHIFT), LARGEST_SHIFT)

    def predict(self, x: Array) -> Array:
        """The raw predictions [n]: against the usual prompt, so that they are about each alone."""
        predicted: Array = (x - self.sum_x / max(self.prequential[0], 1.0)).dot(self.sum_xy / (self.sum_xx + RIDGE))
        return predicted

    def packed(self) -> bytes:
        """As bytes, for the store."""
        return np.concatenate([self.prequential, self.sum_x, self.sum_xy, self.sum_xx]).astype("<f4").tobytes()

    @classmethod
    def unpacked(cls, data: bytes) -> PromptRegression:
        """From bytes. Raises ValueError when they are not of this form."""
        flat = np.frombuffer(data, dtype="<f4").astype(np.float64)
        if len(flat) != 4 + 3 * SIZE or not np.isfinite(flat).all():
            raise ValueError("no packed regression")
        sum_x, sum_xy, sum_xx = flat[4:].reshape(3, SIZE).copy()
        grades, hits, size, squares = flat[:4].tolist()
        return cls(sum_x, sum_xy, sum_xx, (grades, hits, size, squares))
