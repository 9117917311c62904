"""What a runtime's model list states of its models, in every shape that runtimes use: read leniently, believed with care.

A price's unit follows from its key and from what is known of the model; windows and prices far from that, or out of any
range, are set aside with the reason. Shapes: OpenAI, OpenRouter, LiteLLM (`model_info`), vLLM, llama.cpp, LM Studio, Ollama,
Groq, Together, Fireworks, Mistral, Cohere, Gemini, GitHub Models, Hugging Face's router, Vercel's gateway, DeepInfra.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from arbiter_app.pipeline.types import Json

MAX_ROWS = 20_000
"""Rows of a list that are looked at."""
MAX_NAME = 200
"""Characters of a model's name."""
LEAST_WINDOW, LARGEST_WINDOW = 512, 20_000_000
"""Tokens: the smallest context of a model that answers chats, and twice the largest that is offered."""
DOUBTED_WINDOW, WINDOW_FACTOR = 2_048, 16
"""A window smaller than the first is doubted where a known one is this many times as large; one as many times larger always."""
PRICE_RANGE = (1e-10, 2e-3)
"""USD per token: from a tenth of the cheapest model on offer to three times the dearest answer."""
PRICE_FACTOR = 10.0
"""How far a stated price may be from the known one."""
SHOWN = 60

TOKEN, THOUSAND, MILLION = 1.0, 1e3, 1e6
_PARTS = ((re.compile(r"token_price_per_m$"), 1e4), (re.compile(r"(?<![a-z])cents?(?![a-z])"), 1e2))
"""Keys and units in parts of a dollar: Novita's ten-thousandths, cents."""
_UNITS = (TOKEN, MILLION, THOUSAND)
_INPUT = ("prompt", "input", "input_tokens", "input_token", "in", "text_input")
_OUTPUT = ("completion", "output", "output_tokens", "output_token", "out", "text_output")
_PLACES = ("model_info", "metadata", "meta", "top_provider", "limits", "info", "limit")
_WINDOWS = (
    "max_model_len",
    "n_ctx",
    "loaded_context_length",
    "context_length",
    "context_window",
    "max_context_length",
    "max_input_tokens",
    "inputTokenLimit",
    "max_context_window",
    "context_size",
    "contextLength",
    "contextWindow",
    "context",
    "max_prompt_tokens",
    "max_context_window_tokens",
    "input_token_limit",
    "n_ctx_train",
)
_KINDS = ("type", "mode", "model_type", "task", "kind", "category")
_NO_CHAT_KIND = re.compile(
    r"embed|rerank|moderat|image|audio|speech|tts|transcri|video|classif|feature-extraction|ocr|diffusion", re.I
)
_CHAT_KIND = re.compile(r"chat|llm|vlm|language|text-generation|image-text-to-text|multimodal", re.I)
_NO_CHAT_NAME = re.compile(
    r"embed|rerank|moderation|whisper|transcri|(?<![a-z])(?:tts|asr|stt|ocr|sora|veo|lyria|aqa|clip|bge|gte|e5|flux|sdxl|colbert)(?![a-z])"
    r"|dall-?e|(?:^|[-_/])image|imagen|imagine|image-\d|stable-diffusion|minilm|guard|realtime|-audio|speech|voyage-\d|paraphrase-"
    r"|(?:^|/)(?:text-)?(?:davinci|babbage|curie|ada)(?:-|$)|turbo-instruct|music|orpheus|kokoro|playai|deep-research|computer-use",
    re.I,
)
_NUMBER = re.compile(
    r"\s*\$?\s*(-?\d{1,30}(?:[_,]\d{3})*(?:\.\d{1,30})?(?:e[+-]?\d{1,3})?)\s*([km]?)(?:i?b)?\s*(?:tokens?)?\s*", re.I
)
_TIMES = {"": 1.0, "k": 1_000.0, "m": 1_000_000.0}


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a model without the runtime: USD per token, tokens; None where nothing is."""

    input_usd: float | None = None
    output_usd: float | None = None
    context_tokens: int | None = None
    special_usd: Mapping[str, float] = field(default_factory=dict)
    """Tokens of special kinds (`pool.rates.SPECIAL`)."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is believed of a row; None where it states nothing that can be believed."""

    input_usd: float | None
    output_usd: float | None
    context_tokens: int | None
    capabilities: Mapping[str, bool]
    special_usd: Mapping[str, float] = field(default_factory=dict)
    """Of tokens of special kinds (`pool.rates.SPECIAL`)."""


class Rows(list[Json]):
    """The rows of a list; `whole` unless it says that there are more, which `next_page` asks for, as a query."""

    whole = True
    next_page = ""


_LISTS = ("data", "models", "result", "results", "items")
"""What the member with the rows of a model list is called."""


def rows_of(listing: object) -> Rows | None:
    """The rows of a model list in whichever shape; None when it is none."""
    rows: object = listing
    if isinstance(listing, dict):
        named = next((key for key in _LISTS if key in listing), None)
        nothing = (
            named is not None and listing[named] is None and not listing.get("error")
        )  # so programs in Go write an empty list
        rows = [] if nothing else listing.get(named)
    if isinstance(rows, dict):
        rows = [{"id": key, **value} for key, value in rows.items() if isinstance(value, dict)]
    if not isinstance(rows, list):
        return None
    found = Rows({"id": row} if isinstance(row, str) else row for row in rows[:MAX_ROWS])
    found[:] = [row for row in found if isinstance(row, dict)]
    more = isinstance(listing, dict) and (listing.get("has_more") is True or bool(listing.get("nextPageToken")))
    found.whole = not more and len(rows) <= MAX_ROWS
    found.next_page = _next_page(listing, found) if more and isinstance(listing, dict) else ""
    return found


def _next_page(listing: Json, rows: Rows) -> str:
    """The query that asks for what comes after these rows, as Anthropic, OpenAI and Google would have it; empty where nobody can tell."""
    if isinstance(token := listing.get("nextPageToken"), str) and token:
        return urlencode({"pageToken": token})
    last = listing.get("last_id") or (rows[-1].get("id") if rows else None)
    return urlencode({"after_id": last, "after": last}) if isinstance(last, str) and last else ""


def name_of(row: Json) -> str | None:
    """What the runtime calls the model, the very text to send; None when that can be no name."""
    stated = next(
        (row[key] for key in ("id", "model_name", "name", "model", "key") if isinstance(row.get(key), str)), None
    )
    if stated is None or not (name := stated.strip()) or len(name) > MAX_NAME or "*" in name:
        return None
    if str(row.get("id", "")).startswith("azureml://") and isinstance(row.get("name"), str):
        name = row["name"].strip()
    return name if name.isprintable() and not any(0xD800 <= ord(char) < 0xE000 for char in name) else None


def no_chat(row: Json, name: str) -> str:
    """Why this model cannot answer a chat; empty when it can."""
    for key, good in (("active", True), ("archived", False), ("disabled", False), ("supports_chat", True)):
        if row.get(key) is (not good):
            return f"{key} is {str(not good).lower()}"
    kinds = [value for place in _places(row) for key in _KINDS if isinstance(value := place.get(key), str)]
    if any(_NO_CHAT_KIND.search(kind) and not _CHAT_KIND.search(kind) for kind in kinds):
        return f"it is listed as {kinds[0][:SHOWN]}"
    ways = _words(row, "supportedGenerationMethods", "supported_generation_methods", "endpoints", "supported_endpoints")
    if ways and not any("chat" in way or "generatecontent" in way for way in ways):
        return "it is offered on other endpoints only"
    can = row.get("capabilities")
    if isinstance(can, dict) and can.get("completion_chat") is False:
        return "it does not chat"
    if "output" in (modes := _modalities(row)) and "text" not in modes["output"]:
        return "it does not answer in text"
    return "" if any(_CHAT_KIND.search(kind) for kind in kinds) or not _NO_CHAT_NAME.search(name) else "by its name"


def facts_of(row: Json, name: str, known: Known, doubts: list[str]) -> Facts:
    """What is believed of a row, beside what is known already; what is set aside is added to `doubts` as sentences."""
    own: list[str] = []
    window = _window(row, known, own)
    input_usd = _price(row, "input", known.input_usd, name, own)
    output_usd = _price(row, "output", known.output_usd, name, own)
    doubts += [f"{name[:SHOWN]}: {doubt}" for doubt in own]
    plain = {"input": input_usd or known.input_usd, "output": output_usd or known.output_usd}
    return Facts(input_usd, output_usd, window, _capabilities(row), _special(row, plain))


def number(stated: object) -> float | None:
    """A finite number, also one that is written as `128k`, `131,072` or `$0.15`; None for anything else."""
    if isinstance(stated, bool) or not isinstance(stated, int | float | str):
        return None
    if isinstance(stated, str):
        found = _NUMBER.fullmatch(stated[:SHOWN])
        if found is None:
            return None
        stated = float(re.sub("[_,]", "", found[1])) * _TIMES[found[2].lower()]
    try:
        value = float(stated)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def _window(row: Json, known: Known, doubts: list[str]) -> int | None:
    stated = [(key, place[key]) for place in _places(row) for key in _WINDOWS if place.get(key) is not None]
    stated += [(key, one[key]) for one in _providers(row) for key in ("context_length",) if one.get(key) is not None]
    for key, value in stated:
        tokens = number(value)
        why = _implausible_window(tokens, known.context_tokens)
        if not why and tokens is not None:
            return int(tokens)
        doubts.append(f"{key} {_shown(value)} is set aside: {why}")
    return None


def _implausible_window(tokens: float | None, known: int | None) -> str:
    if tokens is None:
        return "it is no number of tokens"
    if not LEAST_WINDOW <= tokens <= LARGEST_WINDOW:
        return f"no model holds that many tokens ({LEAST_WINDOW:,} to {LARGEST_WINDOW:,})"
    if known and (tokens > known * WINDOW_FACTOR or (tokens < DOUBTED_WINDOW and known >= tokens * WINDOW_FACTOR)):
        return f"{known:,} tokens are known of this model"
    return ""


def _price(row: Json, side: str, known: float | None, name: str, doubts: list[str]) -> float | None:
    """USD per token of one side; the first statement that can be believed."""
    for key, value, units in _quotes(row, side):
        amount = number(value)
        if amount is None or amount < 0:
            doubts.append(f"{side} price {_shown(value)} ({key}) is set aside: it is no price")
        elif amount == 0:
            if not known or "free" in name.lower():
                return 0.0
            doubts.append(
                f"{side} price 0 ({key}) is set aside: ${known * MILLION:g} per million tokens is known of this model"
            )
        else:
            prices = [amount / unit for unit in units]
            if (found := _believed(prices, known)) is not None:
                return found
            read = ", ".join(f"${price * MILLION:.6g}" for price in prices)
            beside = f"${known * MILLION:g} is known" if known else "no model has such a price"
            doubts.append(f"{side} price {_shown(value)} ({key}) is set aside: {read} per million tokens, {beside}")
    return None


def _believed(prices: list[float], known: float | None) -> float | None:
    """The reading, of those that are possible, which is near to what is known; the key's own unit comes first."""
    possible = [price for price in prices if PRICE_RANGE[0] <= price <= PRICE_RANGE[1]]
    if known:
        possible = [price for price in possible if known / PRICE_FACTOR <= price <= known * PRICE_FACTOR]
        return min(possible, key=lambda price: abs(math.log(price / known)), default=None)
    return possible[0] if possible else None


_SPECIAL: Mapping[str, tuple[str, tuple[float, float], tuple[str, ...]]] = {
    "cached": (
        "input",
        (0.005, 1.0),
        ("input_cache_read", "cache_read_input_token_cost", "cached_input", "cache_read"),
    ),
    "cache_write": ("input", (0.5, 2.0), ("input_cache_write", "cache_creation_input_token_cost", "cache_write")),
    "cache_write_1h": ("input", (1.0, 4.0), ("cache_creation_input_token_cost_above_1hr", "input_cache_write_1h")),
    "input_audio": ("input", (0.5, 60.0), ("audio", "input_cost_per_audio_token", "input_audio")),
    "output_audio": ("output", (0.5, 60.0), ("audio_output", "output_cost_per_audio_token", "output_audio")),
    "reasoning": ("output", (0.1, 10.0), ("internal_reasoning", "output_cost_per_reasoning_token")),
}
"""Kinds of tokens: the side whose plain price they are held against, the shares of it that are believed, and how runtimes (OpenRouter,
Vercel's gateway, LiteLLM) call their price."""


def _special(row: Json, plain: Mapping[str, float | None]) -> dict[str, float]:
    """USD per token of each special kind that a row states, where that is a believable share of the plain price."""
    found: dict[str, float] = {}
    holders = [
        place[name]
        for place in _places(row)
        for name in ("pricing", "price", "prices", "cost")
        if isinstance(place.get(name), dict)
    ]
    for kind, (side, (least, most), keys) in _SPECIAL.items():
        base = plain[side]
        amounts = [
            number(place[key]) for place in (*holders, *_places(row)) for key in keys if place.get(key) is not None
        ]
        if base and amounts and amounts[0]:
            shares = [amounts[0] / unit / base for unit in _UNITS]
            share = next((one for one in shares if least <= one <= most), None)
            if share is not None:
                found[kind] = share * base
    return found


def _quotes(row: Json, side: str) -> Iterator[tuple[str, object, tuple[float, ...]]]:
    """(key, value, the units it may be in, likeliest first) of every price of one side that a row states."""
    names = _INPUT if side == "input" else _OUTPUT
    for place in _places(row):
        for holder in ("pricing", "price", "prices", "cost"):
            prices = place.get(holder)
            if isinstance(prices, dict):
                currency = str(prices.get("currency") or "USD").upper()
                unit = _unit_of(str(prices.get("unit", "")))
                for key, value in prices.items():
                    if value is not None and isinstance(key, str) and _side_of(key) in names:
                        value = value.get("usd", value.get("price")) if isinstance(value, dict) else value
                        value = value if currency in ("USD", "$") else f"{value} {currency}"
                        yield f"{holder}.{key}"[:SHOWN], value, _units(key, unit)
        for key, value in place.items():
            if value is None or isinstance(value, dict | list) or not isinstance(key, str):
                continue
            if re.fullmatch(rf"{side}[-_]?(?:token[-_]?)?(?:cost|price).*", key, re.I):
                yield key[:SHOWN], value, _units(key, None)
    for one in _providers(row):
        yield from _quotes({"pricing": one.get("pricing")}, side) if isinstance(one.get("pricing"), dict) else ()


def _side_of(key: str) -> str:
    """The key of a price without its unit: `input_per_million` is `input`."""
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower()
    return re.sub(r"_?(?:price|cost|usd)?_?(?:per_.*|mtok|_?1[mk].*|text)?$", "", plain).rstrip("_")


def _unit_of(text: str) -> float | None:
    plain = text.lower().replace("-", "_").replace(" ", "_")
    parts = next((part for pattern, part in _PARTS if pattern.search(plain)), 1.0)
    unit = _tokens_of(plain)
    return None if unit is None else unit * parts


def _tokens_of(plain: str) -> float | None:
    """The tokens that a price is for, by its key or unit."""
    if re.search(r"million|mtok|per_?1?m(?:_|$)|1m|/m|permillion", plain):
        return MILLION
    if re.search(r"thousand|ktok|per_?1?k(?:_|$)|1k|/k|1000|perthousand", plain):
        return THOUSAND
    return TOKEN if re.search(r"per_?token|/token|^token$", plain) else None


def _units(key: str, unit: float | None) -> tuple[float, ...]:
    stated = _unit_of(key) or unit
    if stated is not None:
        return (stated,)
    plain = key.lower()
    likely = MILLION if plain.startswith(("input", "output")) else TOKEN
    return (likely, *(one for one in _UNITS if one != likely))


_INPUTS = {"vision": "image", "audio": "audio", "video": "video"}


def _capabilities(row: Json) -> dict[str, bool]:
    """`vision`, `audio`, `video`, `tools`, `json_schema` as far as the row says."""
    found: dict[str, bool] = {}
    if "input" in (modes := _modalities(row)):
        found.update({fact: word in modes["input"] for fact, word in _INPUTS.items()})
    takes = _words(row, "supported_parameters", "supported_features", "supported_openai_params", "features", "tags")
    if "supported_parameters" in row and takes:
        found["tools"] = "tools" in takes
        found["json_schema"] = "structured_outputs" in takes or "response_format" in takes
    says = [*_places(row), *([row["capabilities"]] if isinstance(row.get("capabilities"), dict) else [])]
    keys = {
        "vision": ("vision", "supports_vision", "supports_image_input", "image_input"),
        "audio": ("audio", "supports_audio_input", "audio_input"),
        "video": ("video", "supports_video_input", "video_input"),
        "tools": (
            "tools",
            "supports_tools",
            "function_calling",
            "supports_function_calling",
            "tool_calling",
            "tool_use",
        ),
        "json_schema": ("json_schema", "supports_response_schema", "structured_outputs", "structured_output"),
    }
    for fact, names in keys.items():
        stated = [one[key] for one in says for key in names if isinstance(one.get(key), bool)]
        if stated:
            found[fact] = stated[-1]
    if row.get("type") == "vlm":
        found["vision"] = True
    can = set(_words(row, "capabilities"))
    if can & {"vision", "image"}:
        found["vision"] = True
    return found


def _modalities(row: Json) -> dict[str, str]:
    """What goes in and out, in words, as far as the row says."""
    found: dict[str, str] = {}
    for place in (row, *_places(row), row.get("architecture"), row.get("modalities")):
        if not isinstance(place, dict):
            continue
        for side in ("input", "output"):
            for key in (
                f"{side}_modalities",
                f"supported_{side}_modalities",
                *([side] if place is row.get("modalities") else []),
            ):
                if isinstance(place.get(key), list) and place[key]:
                    found.setdefault(side, " ".join(map(str, place[key])).lower())
        both = place.get("modality")
        if isinstance(both, str) and "->" in both:
            before, _, after = both.lower().partition("->")
            found.setdefault("input", before)
            found.setdefault("output", after)
    return found


def _places(row: Json) -> list[Json]:
    """Where a row keeps its facts: in itself, and in its parts."""
    nested = [row[key] for key in _PLACES if isinstance(row.get(key), dict)]
    can = row.get("capabilities")
    limits = can.get("limits") if isinstance(can, dict) else None
    return [row, *nested, *([limits] if isinstance(limits, dict) else [])]


def _providers(row: Json) -> list[Json]:
    """Who serves the model behind a router, as far as it is told."""
    stated = row.get("providers")
    return [one for one in stated[:8] if isinstance(one, dict)] if isinstance(stated, list) else []


def _words(row: Json, *keys: str) -> list[str]:
    lists: Iterable[object] = (row[key] for key in keys if isinstance(row.get(key), list))
    return [str(word).lower() for words in lists if isinstance(words, list) for word in words[:100]]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
