"""The pool is what the runtime lists: the catalog's models that are there, under the runtime's names, and new ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import NamedTuple
from urllib.parse import quote

from arbiter_app.pipeline.types import Capability, Deployment, Json, Model, capabilities, leaves_choice
from arbiter_app.pool import names
from arbiter_app.pool.price_list import lookup
from arbiter_app.runtime.claims.facts import Known, facts_of, name_of, no_chat

MAX_REMEMBERED = 300
"""Models that were listed once and are gone, the latest first: their decisions can still be told about."""
SEES = re.compile(
    r"gpt-4o|gpt-4\.1|gpt-[5-9]|claude|gemini|(?:^|[-_/])o[34]|vision|(?:^|[-_/\d.])vl|llava|pixtral|gemma-?[3-9]|llama-?4|grok-[4-9]",
    re.I,
)
PRICES = frozenset({"input", "output"})
"""The keys of a model's plain prices."""
_PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F)) + " "


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a list, by model ids (`others`, `beyond`: by the runtime's names)."""

    listed: int = 0
    used: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()
    unpriced: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    replaced: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """By part: who was to take it, and who takes it."""


class Claim(NamedTuple):
    """A row of the list that names a chat model."""

    name: str
    row: Json


class Found(NamedTuple):
    """The models of a list, and what became of it."""

    models: dict[str, Model]
    report: Report


def read(rows: Iterable[Json]) -> tuple[list[Claim], list[str], list[str]]:
    """The chat models of a list, the names of the others, and what is no model at all, in sentences. The first of a name counts."""
    claims: dict[str, Claim] = {}
    others, doubts = [], []
    for row in rows:
        name = name_of(row)
        if name is None:
            doubts.append(
                f"a row of the list is set aside: {str(row.get('id', row.get('name')))[:60]!r} is no name of a model"
            )
        elif no_chat(row, name):
            others.append(name)
        else:
            claims.setdefault(names.folded(name), Claim(name, row))
    return list(claims.values()), others, doubts


def build(
    rows: Iterable[Json],
    declared: Mapping[str, Model],
    aliases: Mapping[str, Sequence[str]],
    before: Mapping[str, Model],
    *,
    dearest: Known,
    most: int,
    join: Sequence[str],
    keep: Set[str],
    apart: Set[str] = frozenset(),
) -> Found | None:
    """The models after a list was read; None where it names no chat model, which changes nothing.

    `before` are the models until now, `dearest` the cautious price of those whose own is not known, `most` the size of
    the pool, `join` patterns of the names that may join. `keep`: ids that stay when they are missing, as that does not
    prove that they are gone. `apart`: ids of which the report says nothing, as they may be on other runtimes.
    """
    claims, others, doubts = read(rows)
    if not claims:
        return None
    matched = _matched(claims, declared, aliases)
    models = {key: _restated(model, matched.get(key), doubts) for key, model in declared.items()}
    taken = {claim.name for claim in matched.values()}
    claims = _unreserved(claims, taken, others, doubts)
    if not claims:
        return None
    new = [claim for claim in claims if claim.name not in taken and _may_join(claim.name, join)]
    new.sort(key=lambda claim: (_precedence(before.get(_id(claim.name))), lookup(claim.name).input_usd is None))
    named = {*matched, *(_id(claim.name) for claim in new)}
    kept = {key: before[key] for key in before if key in keep and key not in named and before[key].listed}
    room = max(0, most - len(matched) - len(kept))
    for claim in new[:room]:
        model = _joined(claim, models, before.get(_id(claim.name)), dearest, doubts)
        models[model.id] = model
    models |= kept
    gone = [model for key, model in before.items() if key not in models]
    models |= {model.id: replace(model, listed=False) for model in gone[:MAX_REMEMBERED]}
    here = [model for model in models.values() if model.listed]
    report = Report(
        listed=len(claims),
        used=tuple(key for key in declared if models[key].listed and key not in apart),
        joined=tuple(model.id for model in here if model.joined),
        absent=tuple(key for key in declared if not models[key].listed and key not in apart),
        others=tuple(others),
        beyond=tuple(claim.name for claim in claims if claim.name not in taken and claim not in new[:room]),
        unpriced=tuple(model.id for model in here if not model.priced),
        doubts=tuple(doubts),
    )
    return Found(models, report)


def _unreserved(claims: Sequence[Claim], taken: Set[str], others: list[str], doubts: list[str]) -> list[Claim]:
    """The claims without those of a name that asks for Arbiter's choice, unless the catalog calls such a model something else
    (`taken`). That of another Arbiter is as it should be, and among `others`."""
    kept = []
    for claim in claims:
        if not leaves_choice(claim.name) or claim.name in taken:
            kept.append(claim)
        elif claim.row.get("owned_by") == "arbiter":
            others.append(claim.name)
        else:
            doubts.append(
                f"the model {claim.name!r} of the list is left out: by this name callers leave the choice to Arbiter; to use it, give"
                " it another in ARBITER_CATALOG, with this one as the `model` of a deployment"
            )
    return kept


def restate(
    rows: Iterable[Json], declared: Mapping[str, Model], aliases: Mapping[str, Sequence[str]]
) -> tuple[dict[str, Model] | None, list[str]]:
    """These models as a runtime's list has them, which says nothing of others; None where it names no chat model. And doubts."""
    claims, _, doubts = read(rows)
    if not claims:
        return None, doubts
    matched = _matched(claims, declared, aliases)
    return {key: _restated(model, matched.get(key), doubts) for key, model in declared.items()}, doubts


def offered(rows: Iterable[Json], taken: Set[str], models: Mapping[str, Model], dearest: Known) -> list[Model]:
    """What a runtime lists beyond the names that are `taken`, as the models that would join."""
    claims, _, doubts = read(rows)
    beyond = [claim for claim in claims if claim.name not in taken and not leaves_choice(claim.name)]
    return [_joined(claim, models, None, dearest, doubts) for claim in beyond]


def together(model: Model, deployments: Sequence[Deployment]) -> Model:
    """A model as its deployments make it: at the price of the first that is listed, with the widest window of those."""
    if not deployments:
        return model
    here = [at.model for at in deployments if at.model.listed]
    first = here[0] if here else deployments[0].model
    windows = [one.context_tokens for one in here]
    return replace(
        model,
        name=first.name,
        listed=bool(here),
        input_usd=first.input_usd,
        output_usd=first.output_usd,
        cached_usd=first.cached_usd,
        special_usd=first.special_usd,
        price_from=first.price_from,
        context_tokens=max((one for one in windows if one is not None), default=None),
    )


def _precedence(before: Model | None) -> int:
    """Who joins first where not all can: who is in the pool, then who was."""
    return 2 if before is None else 1 - before.listed


def index(models: Mapping[str, Model], aliases: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Every name by which a model may be asked for -> its id; a name of several models is none, unless it is one's id. Listed models come first."""
    found: dict[str, str] = {}
    ordered = sorted(models.values(), key=lambda model: not model.listed)
    for form in names.FORMS:
        level: dict[str, set[str]] = {}
        for model in ordered:
            for name in (model.id, model.sent, *aliases.get(model.id, ())):
                level.setdefault(form(name), set()).add(model.id)
        for name, ids in level.items():
            here = {key for key in ids if models[key].listed} or ids
            own = {key for key in here if form(key) == name} if len(here) > 1 else here
            if len(own) == 1:
                found.setdefault(name, next(iter(own)))
    return found


def _matched(
    claims: Sequence[Claim], declared: Mapping[str, Model], aliases: Mapping[str, Sequence[str]]
) -> dict[str, Claim]:
    """For each declared model the row that names it, closest first. Models that the operator calls the same there share a row."""
    exact = {claim.name: claim for claim in claims}
    found = {key: exact[model.sent] for key, model in declared.items() if model.sent in exact}
    used = {claim.name for claim in found.values()}
    for form in names.FORMS:
        ids: dict[str, str] = {}
        for key, model in declared.items():
            for name in (model.sent, key, *aliases.get(key, ())):
                ids.setdefault(form(name), key)
        for claim in claims:
            key = ids.get(form(claim.name), "")
            if key and key not in found and claim.name not in used:
                found[key] = claim
                used.add(claim.name)
    return found


def _restated(model: Model, claim: Claim | None, doubts: list[str]) -> Model:
    """A model of the catalog with what its row states; what is not stated (any more) is as the catalog says."""
    if claim is None:
        return replace(model, listed=False)
    known = Known(model.input_usd, model.output_usd, model.context_tokens) if model.priced else lookup(model.id)
    facts, fixed = facts_of(claim.row, claim.name, known, doubts), model.fixed
    stated = (None, None) if fixed & PRICES else (facts.input_usd, facts.output_usd)
    input_usd, output_usd, source = _priced(*stated, known, model.price_from)
    as_before = input_usd in (None, model.input_usd)
    own_cached = model.cached_usd if as_before or "cached" in fixed else None
    window = model.context_tokens if "context" in fixed else facts.context_tokens
    special = {kind: usd for kind, usd in model.special_usd.items() if as_before or kind in fixed}
    return replace(
        model,
        name=model.name or claim.name,
        listed=True,
        input_usd=model.input_usd if input_usd is None else input_usd,
        output_usd=model.output_usd if output_usd is None else output_usd,
        context_tokens=window or model.context_tokens or known.context_tokens,
        cached_usd=own_cached if own_cached is not None else facts.special_usd.get("cached"),
        special_usd={**_beside_cached(facts.special_usd), **special},
        price_from=source,
        can=_able(model, facts.capabilities) if model.joined else model.can,
    )


def _able(model: Model, stated: Mapping[str, bool]) -> frozenset[Capability]:
    """What a model can that the catalog's file does not know: as edited, else as its row states."""
    return capabilities(
        {one: (one in model.can if one in model.fixed else stated.get(one, one in model.can)) for one in Capability}
    )


def _joined(
    claim: Claim, models: Mapping[str, Model], before: Model | None, dearest: Known, doubts: list[str]
) -> Model:
    """A model beyond the catalog: facts from its row, from a model of the same family, or from the price list."""
    known = known_of(claim.name, models)
    if known.input_usd is None and before is not None and before.price_from == "runtime":
        known = Known(before.input_usd, before.output_usd, known.context_tokens)
        facts = facts_of(claim.row, claim.name, known, doubts)
        if facts.input_usd is None and facts.output_usd is None:
            known = Known(context_tokens=known.context_tokens)
    else:
        facts = facts_of(claim.row, claim.name, known, doubts)
    input_usd, output_usd, source = _priced(facts.input_usd, facts.output_usd, known, "library")
    return Model(
        id=_id(claim.name),
        name=claim.name,
        joined=True,
        input_usd=input_usd if input_usd is not None else dearest.input_usd or 0.0,
        output_usd=output_usd if output_usd is not None else dearest.output_usd or 0.0,
        cached_usd=facts.special_usd.get("cached"),
        special_usd=_beside_cached(facts.special_usd),
        context_tokens=facts.context_tokens or known.context_tokens,
        price_from=source,
        can=capabilities({Capability.VISION: bool(SEES.search(claim.name)), **facts.capabilities}),
    )


def known_of(name: str, models: Mapping[str, Model]) -> Known:
    """What is known of a model beyond the catalog's file: by the price list, else by a model of the same family."""
    known, family = lookup(name), names.family(name)
    if known.input_usd is None:
        kin = next((model for key, model in models.items() if names.family(key) == family and model.priced), None)
        known = known if kin is None else Known(kin.input_usd, kin.output_usd, kin.context_tokens)
    return known


def _beside_cached(special_usd: Mapping[str, float]) -> dict[str, float]:
    """Prices of special tokens but for cached ones, which a model has a field for."""
    return {kind: usd for kind, usd in special_usd.items() if kind != "cached"}


def _priced(
    input_usd: float | None, output_usd: float | None, known: Known, otherwise: str
) -> tuple[float | None, float | None, str]:
    """Both prices and where they come from. A side that is not stated is as it is known; one side alone is no price."""
    stated = input_usd is not None or output_usd is not None
    both = known.input_usd if input_usd is None else input_usd, known.output_usd if output_usd is None else output_usd
    if both[0] is None or both[1] is None:
        return None, None, "unknown"
    return both[0], both[1], "runtime" if stated else otherwise


def _id(name: str) -> str:
    """The name as it can stand in a header."""
    return quote(name, safe=_PRINTABLE)


def _may_join(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name fits a pattern, the first that it fits deciding; `!` in front keeps out."""
    plain = names.bare(name), names.folded(name)
    for pattern in patterns:
        if any(fnmatchcase(one, pattern.lstrip("!").casefold()) for one in plain):
            return not pattern.startswith("!")
    return False
