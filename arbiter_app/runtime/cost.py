"""What one call cost: read from the runtime's own statements first, computed or estimated only where it says nothing.

settled    a charge that the answer states
computed   usage x catalog price; also where the stated charge is implausible, and then it teaches nothing
estimated  learned mean of the bucket, when usage is missing; usage x a cautious price, where nobody knows the model's, or the answer
           says that it went before others, for a price that is in no list
unknown    none of these; never zero

Statements are claims: a charge is believed where usage and list price leave it possible, and read in every documented form:
`x-btl-customer-charge`, `x-litellm-response-cost`, OpenRouter's `usage.cost` (with `cost_details.upstream_inference_cost` where the
key is the caller's own), Perplexity's `usage.cost.total_cost`, xAI's `usage.cost_in_usd_ticks`, DeepInfra's `usage.estimated_cost`
and gateways' `usage.cost_usd`. A charge under the list price is always possible: credits, discounts and free tiers exist.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import ROUND_CEILING, Decimal

from arbiter_app import notices
from arbiter_app.pipeline import tiers
from arbiter_app.pipeline.completions import count_of, first_choice
from arbiter_app.pipeline.types import PICO_PER_USD, UNKNOWN_COST, Cost, CostState, Json, Model, Usage
from arbiter_app.pool.rates import Rates, price, rates_of

CHARGE_HEADER = "x-btl-customer-charge"
LITELLM_HEADER = "x-litellm-response-cost"
TICKS_PER_USD = 10**10
"""xAI's unit of money."""

FACTOR = 20
"""A charge over so many times the list price of the call's usage is implausible ..."""
ALLOWANCE_PICO = PICO_PER_USD // 10
"""... beyond this: tools of the runtime (a web search) are charged by use."""
UNLISTED_PICO = PICO_PER_USD // 1_000
"""The same bound per token where no list price is known: the dearest token sold costs 0.0006 USD."""
MOST_PICO = 50 * PICO_PER_USD
"""And no single call costs more than this."""
SLACK_TOKENS = 32_768
"""Tokens beyond what was sent or came that usage may state: pictures by address, a hidden system prompt ..."""
HIDDEN_TOKENS = 262_144
"""... and reasoning that is not shown."""
MOST_TOKENS = 1 << 24
_TOKENS, _OTHER_TOKENS = ("prompt_tokens", "completion_tokens"), ("input_tokens", "output_tokens")
"""How tokens of the prompt and of the answer are called, by chats and by others."""
_CACHED = ("prompt_cache_hit_tokens", "cache_read_input_tokens", "cached_tokens")
"""How tokens of the prompt that came from the provider's cache are called, beside `prompt_tokens_details.cached_tokens`."""
_AMOUNTS = ("estimated_cost", "cost_usd", "cost_usd_total", "total_cost")

_MAX_CHARGE_USD = Decimal(100_000)
_AMOUNT = re.compile(r"[+-]?(?:\d{1,20}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,3})?", re.ASCII)
_PLAIN = re.compile(r"(\d{1,4})\.(\d{1,12})", re.ASCII)
"""What runtimes mostly send, and whole pico-dollars well under the largest charge: read without decimal arithmetic."""
_PICO_DIGITS = 12


def cost_of(
    headers: Mapping[str, str],
    answer: Json | Usage | None,
    model: Model,
    *,
    multiplier: float = 1.0,
    learned_usd: float | None = None,
) -> Cost:
    """The cost of one answer, of which its body is known, or the usage alone; see `cost_with_usage`."""
    body: Json = answer if isinstance(answer, dict) else {}
    usage = answer if isinstance(answer, Usage) else usage_of(body)
    return cost_with_usage(headers, body, usage, model, multiplier=multiplier, learned_usd=learned_usd)


def cost_with_usage(
    headers: Mapping[str, str],
    body: Json,
    usage: Usage | None,
    model: Model,
    *,
    multiplier: float = 1.0,
    learned_usd: float | None = None,
) -> Cost:
    """The cost of one answer and how it is known. `usage` is what was read in its body; headers are lower-case.

    `multiplier` is the demo price override: it scales stated and computed charges. `learned_usd` is a mean of costs
    that were already scaled, and is taken as it is.
    """
    charge, set_aside = charge_of(headers, body, usage, model)
    if charge is not None:
        return Cost(charge if multiplier == 1.0 else scaled(charge, multiplier), CostState.SETTLED)
    if usage is not None:
        dearer = _times(body)
        state = CostState.COMPUTED if model.priced and dearer == 1.0 else CostState.ESTIMATED
        return Cost(computed_pico(usage, model, multiplier * dearer), state, set_aside=set_aside)
    if learned_usd is not None:
        return Cost(round(learned_usd * PICO_PER_USD), CostState.ESTIMATED, set_aside=set_aside)
    return Cost(None, CostState.UNKNOWN, set_aside=True) if set_aside else UNKNOWN_COST


def _times(body: Json) -> float:
    """How many times its list price an answer costs at most, by what it states of how it was served."""
    stated = body.get("usage")
    usage: Json = stated if isinstance(stated, dict) else {}
    return tiers.times(body.get("service_tier") or usage.get("service_tier"), fast=usage.get("speed") == "fast")


def pico_of(stated: object, multiplier: float = 1.0) -> int | None:
    """Exact pico-dollars of an amount stated in USD (string or number); None when it is no sensible amount.

    NaN, infinities, junk, more than 100,000 USD, and negative amounts are no statement at all.
    """
    if stated is None or isinstance(stated, bool):
        return None
    text = str(stated).strip().removeprefix("$")
    plain = _PLAIN.fullmatch(text) if multiplier == 1.0 else None
    if plain is not None:
        return int(plain[1]) * PICO_PER_USD + int(plain[2].ljust(_PICO_DIGITS, "0"))
    if not _AMOUNT.fullmatch(text):
        return None
    amount = Decimal(text)
    if amount > _MAX_CHARGE_USD or amount < 0:
        return None
    return scaled(int((amount * PICO_PER_USD).to_integral_value()), multiplier)


def scaled(pico: int, multiplier: float) -> int:
    """An amount under a demo price override."""
    return pico if multiplier == 1.0 else int((pico * Decimal(repr(multiplier))).to_integral_value())


def usage_of(body: Json, sent_bytes: int | None = None) -> Usage | None:
    """Token counts of an answer; None when they are missing or make no sense.

    A token is at least a byte: of `sent_bytes` of request there are not many more tokens of prompt.
    """
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return None
    counts = _counts(usage)
    totals = _totals(body, usage, counts)
    if totals is None:
        return None
    tokens_in, tokens_out = totals
    sent_less = sent_bytes is not None and tokens_in > sent_bytes + SLACK_TOKENS
    if sent_less or (tokens_out > HIDDEN_TOKENS and tokens_out > len(str(body.get("choices"))) + HIDDEN_TOKENS):
        notices.claims.count("usage", "an answer stated far more tokens than were sent or came, which was set aside")
        return None
    return _by_kind(usage, counts, tokens_in, tokens_out)


def _totals(body: Json, usage: Json, counts: dict[str, int]) -> tuple[int, int] | None:
    """All tokens of the prompt and of the answer, whatever kinds are counted apart; None where they make no sense."""
    said_in, said_out = _TOKENS
    if usage.get(said_in) is None or usage.get(said_out) is None:
        said_in, said_out = [_first_of(names, usage) for names in zip(_TOKENS, _OTHER_TOKENS, strict=True)]
    tokens_in, tokens_out, total = counts.get(said_in), counts.get(said_out), counts.get("total_tokens", 0)
    if tokens_in is not None and not said_out and "total_tokens" in counts and total >= tokens_in:
        tokens_out = total - tokens_in
    if tokens_in is None or tokens_out is None:
        if said_in or said_out:
            notices.claims.count("usage", "an answer's token counts are no numbers of tokens and were set aside")
        return None
    read, written = counts.get("cache_read_input_tokens", 0), counts.get("cache_creation_input_tokens", 0)
    own = usage.get("prompt_tokens") is None and "input_tokens_details" not in usage
    if own or read + written > tokens_in:  # they are not among those of the prompt: so counts Anthropic
        tokens_in += read + written
    if total > tokens_in + tokens_out:
        tokens_out += _unshown(usage, total - tokens_in - tokens_out)
    if tokens_in == 0 or (tokens_out == 0 and _has_text(body)):
        notices.claims.count("usage", "an answer stated no tokens for what was sent or came, which was set aside")
        return None
    return tokens_in, tokens_out


def _by_kind(usage: Json, counts: dict[str, int], tokens_in: int, tokens_out: int) -> Usage:
    """The usage with these totals, and which of them are of a kind with a price of its own."""
    nested = any([isinstance(one, dict) for one in usage.values()])
    details = _details(usage, "prompt_tokens_details") or _details(usage, "input_tokens_details") if nested else {}
    inner = _counts(details) if details else {}
    apart = () if counts.keys().isdisjoint(_CACHED) else _CACHED
    cached = inner.get("cached_tokens") or next((counts[name] for name in apart if counts.get(name)), 0)
    if cached > tokens_in:
        notices.claims.count(
            "usage", "more cached tokens than tokens of the prompt were stated: none are counted as cached"
        )
        cached = 0
    writes = nested or "cache_creation_input_tokens" in counts
    written, written_1h = _written(usage, counts, details, inner) if writes else (0, 0)
    if written + written_1h > tokens_in - cached:
        notices.claims.count(
            "usage", "more tokens written to a cache than tokens of the prompt were stated: none are counted so"
        )
        written = written_1h = 0
    answered = (
        _details(usage, "completion_tokens_details") or _details(usage, "output_tokens_details") if nested else {}
    )
    told = _counts(answered) if answered else {}
    if not inner and not told and not written and not written_1h:
        return Usage(tokens_in, tokens_out, cached)
    return Usage(
        tokens_in,
        tokens_out,
        cached,
        written,
        written_1h,
        audio_in_tokens=min(inner.get("audio_tokens", 0), tokens_in),
        cached_audio_tokens=min(_counts(_details(details, "cached_tokens_details")).get("audio_tokens", 0), cached),
        image_in_tokens=min(inner.get("image_tokens", 0), tokens_in),
        reasoning_tokens=min(told.get("reasoning_tokens", 0), tokens_out),
        audio_out_tokens=min(told.get("audio_tokens", 0), tokens_out),
        image_out_tokens=min(told.get("image_tokens", 0), tokens_out),
    )


def _details(stated: Json, name: str) -> Json:
    """An object within an object; empty where there is none."""
    found = stated.get(name)
    return found if isinstance(found, dict) else {}


def _written(usage: Json, counts: dict[str, int], details: Json, inner: dict[str, int]) -> tuple[int, int]:
    """Tokens of the prompt that were written to the provider's cache: for minutes, and for an hour.

    As Anthropic, OpenAI, OpenRouter and LiteLLM say it: in all, and, where that is stated, by how long they stay.
    """
    split = _counts(
        _details(usage, "cache_creation")
        or _details(details, "cache_creation")
        or _details(details, "cache_creation_token_details")
    )
    hour = split.get("ephemeral_1h_input_tokens", 0)
    total = (
        inner.get("cache_write_tokens")
        or inner.get("cache_creation_tokens")
        or counts.get("cache_creation_input_tokens")
        or hour + split.get("ephemeral_5m_input_tokens", 0)
    )
    return max(0, total - hour), min(hour, total)


def _counts(stated: Json) -> dict[str, int]:
    """The members that are numbers of tokens."""
    found = {}
    for name, number in stated.items():
        count = number if type(number) is int else count_of(number)
        if count is not None and 0 <= count <= MOST_TOKENS:
            found[name] = count
    return found


def _first_of(names: Iterable[str], usage: Json) -> str:
    """The first of these members that is stated; empty where none is."""
    for name in names:
        if usage.get(name) is not None:
            return name
    return ""


def _has_text(body: Json) -> bool:
    """Whether an answer has text."""
    first = first_choice(body)
    message = first.get("message") if first is not None else None
    return isinstance(message, dict) and bool(message.get("content"))


def _unshown(usage: Json, beyond: int) -> int:
    """Reasoning that is counted in the total alone, and charged like any answer: so count xAI, and Gemini, which does not name it."""
    details = usage.get("completion_tokens_details")
    reasoning = _counts(details).get("reasoning_tokens", 0) if isinstance(details, dict) else 0
    return beyond if beyond == reasoning or (not reasoning and beyond <= HIDDEN_TOKENS) else 0


def charge_of(headers: Mapping[str, str], body: Json, usage: Usage | None, model: Model) -> tuple[int | None, bool]:
    """The first plausible charge in pico-dollars, None where there is none; and whether one was set aside as implausible."""
    set_aside = False
    for pico in _stated(headers, body):
        if pico is not None and (pico <= ALLOWANCE_PICO or pico <= most_pico(usage, model)):
            return pico, False
        set_aside = True
    if set_aside:
        notices.claims.count("charge", f"a charge stated for a call of {model.id} cannot be true and was set aside")
    return None, set_aside


def most_pico(usage: Usage | None, model: Model) -> int:
    """The largest charge that is believed for a call."""
    if usage is None:
        usage = Usage(model.context_tokens or 1_000_000, 128_000)
    listed = computed_pico(Usage(usage.prompt_tokens, usage.completion_tokens), model)
    bound = FACTOR * listed if listed else UNLISTED_PICO * (usage.prompt_tokens + usage.completion_tokens)
    return min(bound + ALLOWANCE_PICO, MOST_PICO)


def computed_pico(usage: Usage, model: Model, multiplier: float = 1.0) -> int:
    """List price of these tokens in pico-dollars, exact for prices of up to twelve decimals per million tokens."""
    listed = usage.prompt_tokens * price(model.input_usd) + usage.completion_tokens * price(model.output_usd)
    if usage.special:
        listed += _beyond(usage, rates_of(model))
    return int((listed * Decimal(repr(multiplier))).to_integral_value())


def ceiling_pico(
    tokens_in: int, tokens_out: int, model: Model, multiplier: float = 1.0, *, cache: bool = False, media: bool = False
) -> int:
    """The most that so many tokens cost at list price, of whatever kinds with a price of their own they turn out to be.

    `cache`: the caller marks what is to stay in the provider's cache for an hour; `media`: there is more than text.
    """
    rates = rates_of(model)
    prompt, answer = [rates.input, rates.cached, rates.cache_write], [rates.output, rates.reasoning]
    if cache:
        prompt.append(rates.cache_write_1h)
    if media:
        prompt += [rates.input_audio, rates.input_image]
        answer += [rates.output_audio, rates.output_image]
    listed = tokens_in * max(prompt) + tokens_out * max(answer)
    return int((listed * Decimal(repr(multiplier))).to_integral_value(ROUND_CEILING))


def _beyond(usage: Usage, rates: Rates) -> Decimal:
    """What tokens of special kinds cost beyond the plain price of their side; a discount is below zero.

    No token is priced twice: cached and written ones first, then audio, then pictures, as far as there are tokens left.
    """
    fresh, told = max(0, usage.fresh_tokens), usage.completion_tokens
    cached_audio = min(usage.cached_audio_tokens, usage.cached_tokens)
    audio = min(max(0, usage.audio_in_tokens - cached_audio), fresh)
    prompt = (
        (usage.cached_tokens - cached_audio, rates.cached),
        (cached_audio, rates.cached_audio),
        (usage.written_tokens, rates.cache_write),
        (usage.written_1h_tokens, rates.cache_write_1h),
        (audio, rates.input_audio),
        (min(usage.image_in_tokens, fresh - audio), rates.input_image),
    )
    spoken = min(usage.audio_out_tokens, told)
    drawn = min(usage.image_out_tokens, told - spoken)
    answer = (
        (spoken, rates.output_audio),
        (drawn, rates.output_image),
        (min(usage.reasoning_tokens, told - spoken - drawn), rates.reasoning),
    )
    sides = ((prompt, rates.input), (answer, rates.output))
    return sum((tokens * (rate - plain) for kinds, plain in sides for tokens, rate in kinds), Decimal(0))


def _stated(headers: Mapping[str, str], body: Json) -> Iterator[int | None]:
    """Every charge that an answer states; None for one that is no amount."""
    if (charge := headers.get(CHARGE_HEADER)) is not None:
        yield pico_of(charge)
    if (charge := headers.get(LITELLM_HEADER)) is not None and (pico := pico_of(charge)):
        yield pico  # 0 is what a proxy says of a model whose price it does not know
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return
    cost = usage.get("cost")
    if isinstance(cost, dict):
        cost = cost.get("total_cost", cost.get("total"))
    own_key = usage.get("is_byok") in (True, "true")
    upstream = _upstream(usage) if own_key else 0
    if cost is not None and upstream is not None:  # else it is the router's fee alone
        pico = pico_of(cost)
        yield pico if pico is None else pico + upstream
    ticks = usage.get("cost_in_usd_ticks")
    if type(ticks) is int:
        yield ticks * (PICO_PER_USD // TICKS_PER_USD) if ticks >= 0 else None
    for name in _AMOUNTS:
        if usage.get(name) is not None:
            yield pico_of(usage[name])


def _upstream(usage: Json) -> int | None:
    """What the provider charges to the caller's own key."""
    details = usage.get("cost_details")
    if not isinstance(details, dict):
        return None
    parts = [pico_of(details.get(f"upstream_inference_{side}_cost")) for side in ("prompt", "completions")]
    whole = pico_of(details.get("upstream_inference_cost"))
    if whole is None and any(part is not None for part in parts):
        whole = sum(part or 0 for part in parts)
    return whole
