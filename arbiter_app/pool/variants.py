"""Variants: a model of the catalog at other settings of how hard it is to think, each a candidate of its own (`gpt-5:low`).

They share the model's price, window, deployments and health; what they cost and how good they are is learned of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from arbiter_app.pipeline.effort import EFFORTS, LEAST_BUDGET, MOST_BUDGET, Setting
from arbiter_app.pipeline.types import Deployment, Model

MOST_VARIANTS = 8
"""Of one model: each has to be tried."""


def settings_of(model: str, stated: object) -> tuple[Setting, ...]:
    """The settings that a catalog lists: words for efforts, whole numbers for budgets of thinking in tokens. Raises ValueError."""
    if not isinstance(stated, list) or len(stated) > MOST_VARIANTS:
        raise ValueError(f"model {model!r}: variants must be a list of at most {MOST_VARIANTS} efforts or budgets")
    found = tuple(_setting(model, one) for one in stated)
    if len(set(found)) < len(found):
        raise ValueError(f"model {model!r}: a variant stands there twice")
    return found


def _setting(model: str, stated: object) -> Setting:
    if isinstance(stated, str) and stated in EFFORTS:
        return Setting(stated)
    if type(stated) is int and LEAST_BUDGET <= stated <= MOST_BUDGET:
        return Setting(budget_tokens=stated)
    raise ValueError(
        f"model {model!r}: a variant is one of {', '.join(EFFORTS)}, or a budget of {LEAST_BUDGET:,} to {MOST_BUDGET:,} tokens of"
        f" thinking, not {stated!r:.60}"
    )


def ids_of(model: str, settings: Sequence[Setting]) -> tuple[str, ...]:
    """What a model's variants are called."""
    return tuple(f"{model}:{one.name}" for one in settings)


def variants_of(model: Model) -> tuple[Model, ...]:
    """A model at each of its other settings. A public prior of its quality is that of its own."""
    return tuple(
        replace(model, id=name, name=model.sent, setting=one, variant_of=model.id, baseline=False, prior={})
        for name, one in zip(ids_of(model.id, model.variants), model.variants, strict=True)
    )


def deployed(variant: Model, several: Sequence[Deployment]) -> tuple[Deployment, ...]:
    """The deployments of a variant's model, as they serve the variant: under the same keys, by which health and limits go."""
    return tuple(
        Deployment(
            at.key,
            at.runtime,
            replace(
                at.model,
                id=variant.id,
                name=at.model.sent,
                setting=variant.setting,
                variant_of=variant.variant_of,
                baseline=False,
            ),
        )
        for at in several
    )


def beside(models: Mapping[str, Model]) -> dict[str, Model]:
    """All variants of these models by id, without those whose name a model has."""
    return {one.id: one for model in models.values() for one in variants_of(model) if one.id not in models}
