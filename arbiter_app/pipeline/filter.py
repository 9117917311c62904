"""Stage 2: which models can serve? Gates in order: allow-list, setting, window, capability, dialect, price, latency, health.

Window and capability are facts: when no model passes, the caller hears which number or feature stood in the way. The
ceilings are wishes: when nobody meets them the nearest serves, and the answer says so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType

from arbiter_app.pipeline.effort import Setting
from arbiter_app.pipeline.errors import BadRequest, NoCapableModel, Unprocessable, too_long
from arbiter_app.pipeline.plain import listed, quoted
from arbiter_app.pipeline.tokens import RATIO_RANGE, TokenRatios
from arbiter_app.pipeline.types import IN_WORDS, ChatRequest, Eligible, Model

# What a model of unknown window may be trusted to hold.
SMALL_TOKENS = 4_096
NOT = "!"
"""Before a model's name on the caller's list: that one may not serve."""
MAX_COST = "arbiter_max_cost"


def everybody(request: ChatRequest, names: tuple[str, ...], least_window: int, tokens_in: int) -> Eligible | None:
    """All of a healthy pool, where it is plain that no gate stops anybody: nothing is asked for that a model could lack, and the
    prompt fits every window (`least_window`), however it turns out to be counted. None where the gates have to be looked at."""
    bound = request.pin or request.allow is not None or request.max_cost_usd is not None
    reserve = request.max_tokens or 0
    if (
        request.needs
        or request.untranslatable is not None
        or bound
        or request.max_latency_s is not None
        or not names
        or _most(tokens_in, reserve) > least_window
    ):
        return None
    return Eligible(names, {}, tokens_in + reserve, tokens_in)


def eligible(
    request: ChatRequest,
    catalog: Sequence[Model],
    *,
    tokens_in: int,
    expected_cost: Callable[[Model], float | None],
    expected_latency_s: Callable[[str], float | None],
    quarantined: Callable[[str], bool],
    ratios: TokenRatios,
    lacking: Mapping[str, str] = MappingProxyType({}),
    gone: Collection[str] = (),
    speaks: Callable[[str], bool] = lambda _: True,
) -> Eligible:
    """The models that can serve this request. Raises ContextLengthExceeded, NoCapableModel or Unprocessable.

    `lacking`: models that refused something of this request a moment ago, and what. `gone`: those that the runtime says it
    does not serve; they are asked last of all. `speaks`: whether a model has a runtime of the caller's own dialect, which alone can serve
    what cannot be translated.
    """
    reserve = request.max_tokens or 0
    rejected: dict[str, str] = {}
    named = _as_told(request, _named(request, catalog, rejected), rejected)
    fitting, note = _fitting(named, tokens_in, reserve, ratios, rejected)
    capable = _speaking(request, _capable(request, fitting, rejected), speaks, rejected)
    if request.pin is not None:
        budget_met = _affordable(request, capable, expected_cost, {})[1]
        return Eligible((request.pin,), rejected, tokens_in + reserve, tokens_in, budget_met, note=note)
    capable = _willing(capable, lacking, rejected)
    affordable, budget_met = _affordable(request, capable, expected_cost, rejected)
    fast, capped = _fast(request, affordable, expected_latency_s, rejected)
    healthy, sick_note = _healthy(fast, quarantined, gone, rejected)
    told = "; ".join(part for part in (note, sick_note) if part)
    names = tuple(model.id for model in healthy)
    return Eligible(names, rejected, tokens_in + reserve, tokens_in, budget_met, capped, told)


def _named(request: ChatRequest, catalog: Sequence[Model], rejected: dict[str, str]) -> list[Model]:
    """The pool, or what the caller allows of it; names that are not in the pool are the caller's mistake."""
    if not catalog:
        raise NoCapableModel("no model is open for routing; the operator has switched off all of them")
    if request.pin is None and request.allow is None:
        return list(catalog)
    known = {model.id: model for model in catalog}
    names = {*known, *(model.base for model in catalog)}
    allowed = [name for name in request.allow or () if not name.startswith(NOT)]
    excluded = {name.removeprefix(NOT) for name in request.allow or () if name.startswith(NOT)}
    for field, stated in (
        ("arbiter_models", allowed),
        ("arbiter_pin", (request.pin,) if request.pin else ()),
    ):
        unknown = [name for name in stated if name not in names]
        if unknown:
            raise Unprocessable(
                f"{field} names {listed(unknown)}, not in the pool: {', '.join(sorted(known))}", param=field
            )
    pinned = known.get(request.pin or "")
    if pinned and (not excluded.isdisjoint(called(pinned)) or (allowed and set(allowed).isdisjoint(called(pinned)))):
        raise BadRequest(
            f"arbiter_pin names {quoted(request.pin)}, which arbiter_models ({listed(request.allow or ())}) leaves out; "
            "send one of them, or a pin that is on the list",
            param="arbiter_pin",
        )
    if request.allow == ():
        raise Unprocessable("arbiter_models is empty; name at least one model or leave it out", param="arbiter_models")
    wanted = {
        name
        for name, model in known.items()
        if (not allowed or not called(model).isdisjoint(allowed)) and excluded.isdisjoint(called(model))
    }
    if request.pin:
        wanted = {request.pin}
    if not wanted:
        raise Unprocessable("arbiter_models leaves out every model of the pool", param="arbiter_models")
    why = f"not {request.pin}, which is pinned" if request.pin else "not on the caller's allow-list"
    rejected.update(
        {
            name: why if excluded.isdisjoint(called(model)) else "left out by the caller"
            for name, model in known.items()
            if name not in wanted
        }
    )
    return [model for name, model in known.items() if name in wanted]


def called(model: Model) -> set[str]:
    """By what callers allow a model or leave it out: its id, and that of the model whose variant it is."""
    return {model.id, model.base}


def _as_told(request: ChatRequest, models: list[Model], rejected: dict[str, str]) -> list[Model]:
    """Without variants that the request has no room for. What the caller says of how hard to think goes before them: of each model
    the variant is left that says the same, or else the model alone."""
    if not any(model.setting is not None for model in models):
        return models
    told = request.setting
    same = {model.base for model in models if told is not None and model.setting == told}
    for model in models:
        if told is None:
            why = _no_room(request, model.setting) if model.setting is not None else ""
        elif model.base in same:
            why = "" if model.setting == told else f"the caller asks for {told.name}"
        else:
            why = "" if model.setting is None else "the caller says how hard to think"
        if why:
            rejected[model.id] = why
    left = [model for model in models if model.id not in rejected]
    if not left and request.pin is not None:
        raise BadRequest(
            f"arbiter_pin names {quoted(request.pin)}, and the request does not go with that: {rejected[request.pin]}; pin"
            f" {quoted(models[0].base)}, or leave that out",
            param="arbiter_pin",
        )
    if not left:
        raise NoCapableModel("none of the models that may serve this request can think as it says")
    return left


def _no_room(request: ChatRequest, setting: Setting) -> str:
    """Why a request cannot be answered at a setting: a call that is forced is not thought before, and a budget has to fit."""
    if not setting.thinks:
        return ""
    choice = request.payload.get("tool_choice") or request.payload.get("function_call")
    if choice == "required" or isinstance(choice, dict):
        return "no thinking before a call that is forced"
    if request.max_tokens is not None and request.max_tokens <= setting.budget_tokens:
        return f"max_tokens leaves no room for {setting.budget_tokens:,} tokens of thinking"
    return ""


def _fitting(
    models: Sequence[Model], tokens_in: int, reserve: int, ratios: TokenRatios, rejected: dict[str, str]
) -> tuple[list[Model], str]:
    most = _most(tokens_in, reserve)
    if all(model.context_tokens is not None and most <= model.context_tokens for model in models):
        return list(models), ""
    needed = {model.id: round(tokens_in * ratios.of(model.base)) + reserve for model in models}
    fits = [model for model in models if model.context_tokens is not None and needed[model.id] <= model.context_tokens]
    unknown = [model for model in models if model.context_tokens is None]
    if len(fits) + len(unknown) < len(models):
        for model in models:
            if model.context_tokens is not None and needed[model.id] > model.context_tokens:
                rejected[model.id] = f"needs {needed[model.id]:,} tokens, window {model.context_tokens:,}"
    if fits:
        rejected.update({model.id: "window unknown" for model in unknown if needed[model.id] > SMALL_TOKENS})
        return fits + [model for model in unknown if model.id not in rejected], ""
    if unknown:
        return unknown, "window unknown: no declared window holds this prompt, so models without one are tried"
    widest = max(models, key=lambda model: model.context_tokens or 0)
    served_by = f"The largest window among the models that may serve is that of {widest.id}; counts are estimates."
    raise too_long(widest.context_tokens, needed[widest.id], reserve, served_by)


def _most(tokens_in: int, reserve: int) -> float:
    """The most tokens that a request may turn out to need with any model."""
    return tokens_in * RATIO_RANGE[1] + 1 + reserve


def _capable(request: ChatRequest, models: Sequence[Model], rejected: dict[str, str]) -> list[Model]:
    if not request.needs:
        return list(models)
    capable, missing = [], []
    for model in models:
        lacking = [IN_WORDS[one] for one in IN_WORDS if one in request.needs and one not in model.can]
        if lacking:
            rejected[model.id] = f"cannot do {' and '.join(lacking)}"
            missing += lacking
        else:
            capable.append(model)
    if capable:
        return capable
    features = " and ".join(dict.fromkeys(missing))
    if request.pin is not None:
        raise NoCapableModel(f"the pinned model {request.pin} cannot do {features}", param="arbiter_pin")
    raise NoCapableModel(f"no model that may serve this request can do {features}")


def _speaking(
    request: ChatRequest, models: list[Model], speaks: Callable[[str], bool], rejected: dict[str, str]
) -> list[Model]:
    refusal = request.untranslatable
    if refusal is None:
        return models
    speaking = [model for model in models if speaks(model.id)]
    if not speaking:
        raise refusal
    why = f"no runtime of its own knows {refusal.param}"
    rejected.update({model.id: why for model in models if model not in speaking})
    return speaking


def _willing(models: list[Model], lacking: Mapping[str, str], rejected: dict[str, str]) -> list[Model]:
    """Without those that refused something of this request a moment ago, while others are left."""
    willing = [model for model in models if model.id not in lacking]
    if not willing or len(willing) == len(models):
        return models
    rejected.update({model.id: f"refused {lacking[model.id]} before" for model in models if model.id in lacking})
    return willing


def _affordable(
    request: ChatRequest,
    models: list[Model],
    expected_cost: Callable[[Model], float | None],
    rejected: dict[str, str],
) -> tuple[list[Model], bool]:
    ceiling = request.max_cost_usd
    if ceiling is None:
        return models, True
    costs = {model.id: expected_cost(model) for model in models}
    within = [model for model in models if (cost := costs[model.id]) is not None and cost <= ceiling]
    if not within and ceiling == 0:
        raise NoCapableModel("no model that may serve this request is free, and arbiter_max_cost is 0", param=MAX_COST)
    if not within:
        cheapest = min(models, key=lambda model: _or_infinite(costs[model.id]))
        rejected.update({m.id: f"over the cost ceiling of ${ceiling:g}" for m in models if m is not cheapest})
        return [cheapest], False
    rejected.update({model.id: f"over the cost ceiling of ${ceiling:g}" for model in models if model not in within})
    return within, True


def _or_infinite(value: float | None) -> float:
    return float("inf") if value is None else value


def _fast(
    request: ChatRequest,
    models: list[Model],
    expected_latency_s: Callable[[str], float | None],
    rejected: dict[str, str],
) -> tuple[list[Model], bool]:
    ceiling = request.max_latency_s
    if ceiling is None:
        return models, False
    timed = {model.id: expected_latency_s(model.id) for model in models}
    within = [model for model in models if (latency := timed[model.id]) is None or latency <= ceiling]
    if not within:
        within = [min(models, key=lambda model: timed[model.id] or 0.0)]
    slow = {model.id: f"over the latency ceiling of {ceiling:g} s" for model in models if model not in within}
    rejected.update(slow)
    return within, bool(slow)


def _healthy(
    models: list[Model], quarantined: Callable[[str], bool], gone: Collection[str], rejected: dict[str, str]
) -> tuple[list[Model], str]:
    sick = {model.id: "quarantined after a failure" for model in models if quarantined(model.id)}
    if not sick:
        return models, ""
    if len(sick) == len(models):
        left = [model for model in models if model.id not in gone]
        return left or models, "every model that could serve is quarantined, so one is tried all the same"
    rejected.update(sick)
    return [model for model in models if model.id not in sick], ""
