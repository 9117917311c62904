"""How runtimes say no: one table from what real servers answer to what it means (`pipeline.ports.Refused`).

The shapes of error bodies differ as much as the words (`Said` reads all of them), and statuses mean little: the same
"no such model" comes as 400, 401, 403, 404, 410 and 422. So a refusal is read from status, code, type, param and words
together; the first row of `_TABLE` that fits decides. Each row is there because a server answers so (see the tests, which
have one example a row with its source).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from arbiter_app.pipeline.completions import first_choice
from arbiter_app.pipeline.ports import Refusal, Refused
from arbiter_app.runtime.claims import secrets

MAX_MESSAGE_CHARS = 2_000
MAX_WORD_CHARS = 200
MAX_READ_CHARS = 8_000
"""So much of what is said is looked at; the rest would be somebody's text."""
MAX_DEPTH = 6

_MESSAGES = (
    "message",
    "Message",
    "msg",
    "error_description",
    "detail",
    "raw",
    "title",
    "reason",
    "error_msg",
    "status_msg",
)
_CODES = ("code", "error_code", "Code", "__type", "errorCode", "status_code")
_TYPES = ("type", "error_type", "status")
_INNER = (
    "error",
    "errors",
    "message",
    "detail",
    "innererror",
    "metadata",
    "details",
    "cause",
    "response",
    "data",
    "base_resp",
)
_GENERIC = re.compile(r"(?i)(?:provider returned error|upstream error|bad request|error|)\.?$")


@dataclass(slots=True)
class Said:
    """What an error body says, whatever its shape: the outermost code, type and param, and every word of it."""

    messages: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    param: str | None = None
    window: int | None = None
    needs: int | None = None
    markup: bool = False

    @property
    def message(self) -> str:
        """The most telling sentence: the outermost one that is more than a heading."""
        return next((one for one in self.messages if not _GENERIC.match(one)), "")

    @property
    def words(self) -> str:
        """All of it in lower case, to be searched."""
        return " ".join([*self.codes, *self.types, *self.messages])[:MAX_READ_CHARS].lower().replace("\u2019", "'")


def said(body: bytes) -> Said:
    """Read an error body: `{"error": {...}}`, `{"error": "text"}`, a list, JSON inside a string, plain text, HTML."""
    found = Said()
    text = body.decode("utf-8", "replace").removeprefix("\ufeff").strip()
    if text[:1] in ("{", "["):
        try:
            _collect(orjson.loads(text), found, 0)
        except orjson.JSONDecodeError:
            found.messages.append(_clean(text))
    elif re.match(r"(?i)\s*<(?:!doctype|html|head|body|\?xml|center|h1)", text):
        found.markup = True
        title = re.search(r"(?is)<(title|h1)[^>]*>(.*?)</\1>", text[:MAX_READ_CHARS])
        found.messages.append(_clean(f"a page of HTML ({title[2].strip()})" if title else "a page of HTML"))
    elif text:
        found.messages.append(_clean(text))
    return found


def _collect(value: Any, found: Said, depth: int) -> None:
    if depth > MAX_DEPTH:
        return
    if isinstance(value, str):
        _take_message(value, found, depth)
    elif isinstance(value, list):
        for one in value[:8]:
            _collect(one, found, depth + 1)
    elif isinstance(value, dict):
        _collect_object(value, found, depth)


def _collect_object(value: dict[str, Any], found: Said, depth: int) -> None:
    for key in _CODES:
        _take_code(value.get(key), found)
    for key in _TYPES:
        one = value.get(key)
        if isinstance(one, str) and not one.isdecimal():
            found.types.append(_word(one))
        else:
            _take_code(one, found, named=False)
    param = value.get("param")
    if found.param is None and isinstance(param, str) and param:
        found.param = _word(param)
    loc = value.get("loc")
    if found.param is None and isinstance(loc, list):
        found.param = _word(".".join(str(part) for part in loc[:8] if part != "body"))
    found.window = found.window or _count(value.get("n_ctx"))
    found.needs = found.needs or _count(value.get("n_prompt_tokens"))
    for key in _MESSAGES:
        if isinstance(value.get(key), str):
            _take_message(value[key], found, depth)
    choice = first_choice(value)
    if choice is not None and choice.get("error"):
        _collect(choice["error"], found, depth + 1)
    for key in _INNER:
        if value.get(key) and not (key in _MESSAGES and isinstance(value[key], str)):
            _collect(value[key], found, depth + 1)


def _take_message(text: str, found: Said, depth: int) -> None:
    """A sentence; or JSON in a string, as proxies pass on what they were told."""
    stripped = text.strip()
    if stripped[:1] in ("{", "[") and depth < MAX_DEPTH:
        try:
            inner = orjson.loads(stripped)
        except orjson.JSONDecodeError:
            pass
        else:
            _collect(inner, found, depth + 1)
            return
    if stripped:
        found.messages.append(_clean(stripped))


def _take_code(one: Any, found: Said, *, named: bool = True) -> None:
    if isinstance(one, bool):
        return
    if isinstance(one, int) or (isinstance(one, str) and one.isascii() and one.isdecimal() and len(one) < 6):
        number = int(one)
        if 400 <= number < 600:
            found.statuses.append(number)
        elif named:
            found.codes.append(str(number)[:12])
    elif isinstance(one, str) and one:
        found.codes.append(_word(one))


def _count(one: Any) -> int | None:
    return one if type(one) is int and 0 < one < 1 << 40 else None


def _clean(text: str) -> str:
    """One bounded sentence without control characters and secrets."""
    kept = "".join(one if one.isprintable() else " " for one in text[: 2 * MAX_MESSAGE_CHARS])
    return secrets.without_foreign(secrets.hide(" ".join(kept.split())))[:MAX_MESSAGE_CHARS]


def _word(text: str) -> str:
    return _clean(text)[:MAX_WORD_CHARS]


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of the table: what it means, and when it fits. `codes` and `words` either; `statuses` and `unless` restrict."""

    means: Refused
    codes: frozenset[str] = frozenset()
    words: re.Pattern[str] | None = None
    statuses: frozenset[int] = frozenset()
    unless: re.Pattern[str] | None = None


def _row(means: Refused, *, codes: str = "", words: str = "", statuses: Iterable[int] = (), unless: str = "") -> _Row:
    return _Row(
        means,
        frozenset(codes.split()),
        re.compile(words, re.VERBOSE) if words else None,
        frozenset(statuses),
        re.compile(unless, re.VERBOSE) if unless else None,
    )


# Words are matched in lower case, in verbose patterns: a blank is `\ `, or `\s` for any.
_TABLE = (
    _row(
        Refused.FOREIGN,
        codes="invalid_encrypted_content missing_thought_signature invalid_thought_signature",
        words=r"""invalid\s`?signature`?\sin\s`?thinking | thought[_\s]signature | `?thinking`?\s(?:or\s`?redacted_thinking`?\s)?blocks?\b
        .{0,80}(?:cannot\sbe\smodified|must\s(?:remain|start|be)|invalid) | expected\s`?thinking`?\sor\s`?redacted_thinking
        | encrypted\scontent\b.{0,120}(?:could\snot\sbe|can(?:not|'t)\sbe|failed\sto\sbe)\s(?:verified|decrypted)
        | item\s.{0,80}of\stype\s'?(?:reasoning|function_call)'?\swas\sprovided\swithout
        | reasoning_content\b.{0,80}(?:must\sbe\spassed\sback|is\smissing|is\srequired)""",
        statuses=(400, 422),
    ),
    _row(
        Refused.CONTENT,
        codes="content_filter content_policy_violation responsibleaipolicyviolation invalid_prompt data_inspection_failed "
        "datainspectionfailed moderation_blocked safety content_blocked prohibited_content sensitive_content "
        "sensitivecontentdetected 1301 cyber_policy_violation",
        words=r"""content\smanagement\spolicy | content[\s_]filter(?:ing)?\s(?:policy|policies) | usage\spolic(?:y|ies)
        | content\spolicy | responsible\sai | rejected\sas\sa\sresult\sof\sour\ssafety | flagged\sas\spotentially\sviolating
        | violat\w+\s(?:our|the|openai's)\s\w*\s?polic | requires\smoderation\son | your\sinput\swas\sflagged
        | blocked\s(?:by|due\sto|for)\s(?:the\s)?(?:safety|content|guardrail|moderation) | output\sblocked\sby | blocked\s(?:input|output):
        | violates\s(?:\w+\s)?usage\sguidelines | safety_check_type | flagged\s(?:for|as)\s.{0,40}\b(?:risk|cyber|harm|unsafe)
        | \u654f\u611f\u5185\u5bb9 | \u5185\u5bb9\u8fdd\u89c4 | prohibited_content
        | violated\sguardrail | may\scontain\ssensitive\sinformation | data\smay\scontain\sinappropriate\scontent | content\sexists\srisk
        | unsafe\sor\ssensitive\scontent""",
        statuses=(400, 403, 406, 422, 451, 500),
    ),
    _row(
        Refused.RATE_LIMITED,
        words=r"""quota\sexceeded\sfor\s(?:metric|quota) | please\sretry\sin\s[\d.]+ | retrydelay
        | free-models-per-(?:day|min) | tokens\sper\s(?:min|day)\b.{0,40}:\slimit\s\d+,\sused\s[1-9]""",
        statuses=(429, 503),
    ),
    _row(
        Refused.TOO_LONG,
        codes="context_length_exceeded context_window_exceeded exceed_context_size_error string_above_max_length "
        "max_context_length_exceeded model_context_window_exceeded contextwindowexceedederror 5021 1261 prompt_too_long "
        "tokens_limit_reached request_too_large",
        words=r"""maximum\scontext\slength | prompt\sis\stoo\slong | prompt\stoo\slong | input\sis\stoo\slong
        | input\stoken\scount .{0,40} exceeds | exceeds?\s(?:the\s)?(?:model'?s?\s)?(?:maximum\s)?context\s(?:window|length|size|limit)
        | exceeds\sthe\savailable\scontext | maximum\sprompt\slength | reduce\sthe\slength\sof\s(?:the\s)?(?:messages|prompt|input)
        | exceeds\sthe\slimit\sof\s\d+ | greater\sthan\sthe\scontext\slength | context\swindow\sexceeds
        | exceeded\smodel\stoken\slimit | exceeded\sthis\smodel\scontext\swindow | too\smany\s(?:input\s)?tokens
        | too\slarge\sfor\smodel\swith\s\d+ | longer\sthan\sthe\s(?:maximum\smodel|model's\s(?:maximum\s)?context)\slength
        | too\slong\sto\sfit\sinto\sthe\smodel | `inputs`\s(?:tokens|must\shave\sless) | exceed\scontext\slimit
        | input\stokens\sexceed\sthe\sconfigured\slimit | context\slength\sof\sonly\s\d+ | context\slength\sexceeded
        | range\sof\sinput\slength\sshould\sbe | prompt\sexceeds\smax(?:imum)?\slength | exceeds?\scontext\slength
        | exceeds\smaximum\scontext\slength | prompt\stoken\scount .{0,40} (?:exceeds|cannot\sexceed)
        | request\stoo\slarge\sfor\s(?:model|gpt|organi) .* (?:limit|reduce) | context\ssize\shas\sbeen\sexceeded
        | exceeds?\s(?:(?:the|its|this|max|maximum|model)\s){0,3}context\b | prompt\stokens\slimit\sexceeded | max_total_tokens
        | number\sof\sinput\stokens\s\d+\scannot\sexceed | prompt\slength\s\d+\sis\sgreater | maximum\ssequence\slength\sis\s\d
        | current\slength\sis\s\d+\swhile\slimit | exceeds\sthe\smaximum\sallowed\sinput\slength | exceed\smax\smessage\stokens
        | too\slarge\sfor\s\S{1,80}\smodel\.\smax\ssize | reduce\syour\sprompt\b | text\sfields\sthat\sare\stoo\slarge
        | tokens\sin\srequest\smore\sthan\smax\stokens | input\slength\sexceeds | larger\sthan\sthe\smaximum\scontext""",
        statuses=(400, 402, 413, 422, 429, 500),
        unless=r"tokens\sper\smin .{0,60} used\s[1-9] | please\swait | throttl",
    ),
    _row(
        Refused.OUT_OF_CREDIT,
        codes="insufficient_quota billing_hard_limit_reached billing_not_active insufficient_balance insufficient_credits "
        "insufficient_funds credit_balance_too_low budget_exceeded exceeded_current_quota_error arrearage payment_required "
        "insufficient_user_quota pre_consume_token_quota_failed budgetlimitreached "
        "quota_exhausted billing_error spend_limit_reached blocked_api_access accountoverdueerror 1113 3036",
        words=r"""insufficient\s(?:balance|credits?|funds|quota|account\sbalance) | credit\sbalance\sis\stoo\slow
        | exceeded\syour\scurrent\squota | billing\shard\slimit | account\sis\snot\sactive | billing\s(?:is\s)?not\sactive
        | doesn't\shave\sany\scredits | (?:run|ran|used)\s(?:out\sof|all\s(?:available|of\syour))\s(?:\w+\s)?credits | requires\smore\scredits
        | credit\slimit\sexceeded | exceeded\syour\s(?:monthly\s)?(?:included|spending|usage)\s(?:credits|limit)
        | (?:monthly|your)\sspending\slimit | spending\slimit\s(?:has\sbeen\s)?reached | budget\shas\sbeen\sexceeded
        | exceeded\s(?:your\s)?budget | reached\syour\sspecified\sapi\susage\slimits | depleted\syour\s\w*\s?(?:included\s)?credits
        | account\sis\sin\sgood\sstanding | daily\sfree\sallocation | top\sup\syour | no\sremaining\scredits | out\sof\scredits?
        | insufficient\s[\w\s]{1,30}\sbalance | no\s(?:credits?|quota|balance)\s(?:left|remaining) | exhausted\syour\s(?:\w+\s)?credits
        | exceeded(?:token)?budget\b | budget\slimit | quota\sis\snot\senough | not\senough\s(?:\w+\s)?(?:balance|credits?|quota|funds|points)
        | insufficient\spoints | pre-?consume\squota\sfailed | payment\sissues | invalid_payment_instrument | usage\scap\b
        | credits?\s(?:has|have)\srun\sout | trial\skey\slimit | free\stier\s(?:of\sthe\smodel\s)?has\sbeen\sexhausted
        | overdue\sbalance | key\slimit\sexceeded | \u989d\u5ea6\u4e0d\u8db3 | \u4f59\u989d\u4e0d\u8db3 | \u6b20\u8d39
        | payment\srequired | account\sbalance\sis\s(?:too\slow|negative|insufficient) | prepayment\scredits\sare\sdepleted""",
        statuses=(400, 401, 402, 403, 412, 422, 429, 500, 503),
        unless=r"rate\slimit\s(?:reached|exceeded)",
    ),
    _row(
        Refused.UNSUPPORTED,
        codes="unsupported_parameter unsupported_value unsupportedparamserror extra_forbidden unsupported_feature "
        "unsupported_operation tool_use_not_supported",
        words=r"""no\sendpoints\sfound\sthat\ssupport | not\ssupported\s(?:with|by|for|in|on)\s(?:this|the|selected)\s?\w*\smodel
        | (?:this\s|the\s)?model\s\S{0,80}\s?does\s?n[o']t\ssupport\s(?:the\s)?(?!chat|this\sapi|generatecontent)
        | does\s?n[o']t\ssupport\s(?:tools?|tool|function|image|images|vision|parameters|json|response|assistant\smessage|logprobs|system|multiple
            |thinking|reasoning|audio|temperature|max_|top_|parallel|structured|developer|successive|this\stool)
        | response[\s_]format\b.{0,40}(?:not\ssupported|unavailable) | unknown\svariant\s`?(?:image_url|input_audio|file|video_url|json_schema)
        | did\snot\smatch\sany\svariant | property\s'\S{1,80}'\sis\sunsupported | content'?\s(?::\svalue\s)?must\sbe\sa\sstring
        | (?:mode|penalty|logprobs)\sis\snot\senabled\sfor
        | only\ssupported\sby\scertain\smodels | (?:is\s)?not\sa\smultimodal\smodel | extra\sinputs\sare\snot\spermitted
        | not\sallowed\sto\srequest\slogprobs | requires\s--enable-auto-tool-choice | image\sinput\sis\snot\ssupported
        | `temperature`\sis\sdeprecated\sfor\sthis\smodel | `temperature`\sand\s`top_p`\scannot\sboth
        | (?:supports\sat\smost|maximum\sallowed\snumber\sof\soutput\stokens|max_tokens\sis\stoo\slarge)
        | `?max_(?:completion_)?tokens`?\smust\sbe\sless\sthan\sor\sequal\sto | conversation\sroles\smust\salternate
        | function\scalling\sis\snot\senabled\sfor | developer\sinstruction\sis\snot\senabled\sfor
        | tools?\s(?:is|are)\snot\ssupported | (?:image|vision)\w*\s(?:is|are)\snot\s(?:supported|enabled)
        | system\srole\snot\ssupported | unsupported\s(?:parameter|value)\b | mmproj""",
        statuses=(400, 403, 404, 422, 500, 501),
        unless=r"unsupported\sparameter\(s\)\sin\sthe\srequest\sbody\sof\sthe\scaller",
    ),
    _row(
        Refused.GONE,
        codes="model_not_found model_decommissioned model_deprecated deploymentnotfound invalid_model model_not_available "
        "model_not_exist modelnotfound model_not_supported model_not_active endpoint_not_found unknown_model "
        "model_access_denied no_such_model key_model_access_denied team_model_access_denied model_not_found_error 5007 1211 "
        "accessdenied.unpurchased model_no_access invalidmodelname unavailable_model access_terminated_model "
        "project_model_access_denied operationnotsupported model_unavailable modelnotopen no_permission",
        words=r"""\bmodel\b\s?[`'"]?\S{0,120}[`'"]?\s(?:does\snot|doesn't|didn't)\sexist | no\ssuch\smodel | unknown\smodel | invalid\smodel\b
        | \bmodel\b[\w\s]{0,40}\snot\sfound | \bmodel\b\s?[:`'"]?\s?[`'"]?\S{0,120}[`'"]?,?\s(?:was\s|is\s|could\s)?not\s(?:being\s|be\s)?
            (?:found|exist\b|available|deployed|accessible|recogni[sz]ed|active|serve)
        | models?/\S+\sis\s(?:not\sfound|no\slonger) | model\snot\s(?:exist|found|available|supported|loaded|deployed)
        | model\s(?:[`'"]?\S{0,120}[`'"]?\s|you\s(?:have\s)?\w+\s)?(?:has\sbeen|was|is)\s(?:\w+\s)?
            (?:decommissioned|deprecated|retired|removed|discontinued|shut\sdown|sunset|disabled|no\slonger)
        | model\s(?:identifier|name|id)\s[`'"]?\S{0,120}\s?(?:is\s)?(?:invalid|not) | model\sidentifier\sis\sinvalid
        | (?:not|n't)\shave\saccess\sto\s(?:the\s|this\s)?(?:\w+\s)?model | access\sto\s(?:the\s|this\s)?model\s\S*\s?(?:is\s)?(?:denied|not\sallowed)
        | not\s(?:allowed|authorized|permitted|entitled)\sto\s(?:access|use|call|invoke)\s(?:the\s|this\s)?model
        | can\sonly\saccess\smodels | no\sendpoints\sfound | no\sallowed\sproviders | is\snot\sa\svalid\smodel
        | deployment\sfor\sthis\sresource\sdoes\snot\sexist | deployment\s\S*\s?(?:was\s)?not\sfound | no\sdeployments?\savailable\sfor
        | on-demand\sthroughput\sis(?:n't|\snot)\ssupported | doesn't\ssupport\son-demand\sthroughput | end\sof\sits\slife
        | marked\sby\sprovider\sas\slegacy | not\sfound\sfor\saccount | function\s\S{1,80}:\snot\sfound | no\smodels?\sloaded
        | try\spulling\sit | not\sa\schat\smodel | only\ssupported\sin\sv1/responses | unable\sto\saccess\s(?:non-serverless\s)?model
        | non-serverless\smodel | model\s\S*\s?(?:has|have)\sreached\s(?:its\s)?end | endpoint\s.{0,80}(?:does\snot\sexist|is\sstopped)
        | must\sbe\sverified\sto\s(?:use|stream)\s(?:the|this)\smodel | model\srequires\s(?:a\s)?(?:\w+\s)?(?:subscription|plan|tier)
        | upgrade\syour\s(?:plan|tier|subscription)\sto\s(?:use|access) | not\ssupported\sby\sany\sprovider | model\snot\s\w*\s?support
        | does\snot\ssupport\s(?:chat\scompletions?|this\sapi|generatecontent) | chatcompletion\soperation\sdoes\snot\swork
        | unsupported\smodel\b | (?:could|can)\s?not\s(?:find|resolve|locate)\s(?:the\s)?model\b | no\smatching\smodel | model\sdisabled
        | model\s(?:id\s)?\S{1,120}\shas\sno\spermission | llm\sprovider\snot\sprovided | no\savailable\schannels?\sfor\s(?:the\s)?model
        | permission\sto\s(?:access|use|call|invoke)\s(?:the\s|this\s)?(?:\w+\s)?model | to\sperform:\sbedrock:invokemodel
        | only\savailable\s(?:to|for|on|with)\s(?:\w+\s){0,3}(?:pay\w*|paid|pro|plus|premium|enterprise)\b
        | \u65e0\u53ef\u7528\u6e20\u9053 | \u6a21\u578b.{0,80}(?:\u4e0d\u5b58\u5728|\u5df2\u4e0b\u7ebf|\u672a\u5f00\u901a|\u65e0\u6743)
        | \bmodel\b.{0,80}\s(?:has\smoved|was\s(?:moved|renamed))\sto\b | end-of-life | no\slonger\sserved
        | preview\s(?:\w+\s)?(?:for|of)\sth(?:is|e)\smodel\shas\sended
        | \bmodel\b\s[`'"]\S{1,120}[`'"]\sis\snot\ssupported(?:\.|$|\s(?:any\s?more|here|yet)\b) | supported\s(?:api\s)?model\snames\sare
        | not\sinclude\saccess\sto\s(?:the\s|this\s)?model | model\s\S{1,120}\srequires\san?\s(?:\w+\s)?(?:subscription|plan|tier)
        | model\sis\srestricted\sto | no\sroute\sfor\smodel | no\sproviders?\s(?:is\s|are\s)?available\sfor\s(?:the\s|this\s)?model
        | no\smodels?\s(?:are|is)\s(?:currently\s)?loaded | \u6a21\u578b.{0,80}(?:\u5df2\u4e0b\u67b6|\u5df2\u505c\u7528|\u5df2\u5f03\u7528)
        | gated\s(?:repo|model) | model\s\S{0,120}\sis\snot\s(?:enabled|allowed|permitted|part|in\sthe\slist)""",
        statuses=(400, 401, 403, 404, 405, 410, 412, 422, 424, 500, 501, 503),
        unless=r"""(?:is|are|currently)\s(?:loading|overloaded|at\scapacity) | temporarily | model\sis\sloading""",
    ),
    _row(
        Refused.RATE_LIMITED,
        codes="rate_limit_exceeded rate_limited rate_limit_error too_many_requests throttlingexception resource_exhausted "
        "toomanyrequests requests_limit_exceeded 1300 1302",
        words=r"""rate[\s-]limit | too\smany\srequests | too\smany\stokens | max(?:imum)?\srate\sexceeded
        | (?:tokens|requests)\sper\s(?:minute|day|hour) | throttl(?:ed|ing) | request\slimit""",
        statuses=(400, 403, 413, 429, 498, 503),
        unless=r"(?:capacity\sexceeded|overloaded)",
    ),
    _row(
        Refused.OVERLOADED,
        codes="overloaded_error overloaded unavailable_error engine_overloaded server_overloaded capacity_exceeded queue_exceeded "
        "service_unavailable modelnotreadyexception",
        words=r"""overloaded | (?:is|currently)\s(?:still\s)?loading | loading\smodel | at\scapacity | capacity\sexceeded | server\s(?:is\s)?busy
        | high\s(?:traffic|demand) | service\sunavailable | temporarily\s(?:unavailable|rate)
        | maximum\spending\srequests | no\savailable\s(?:server|worker|capacity)
        | try\sagain\slater | model\sis\snot\sready""",
        statuses=(400, 408, 409, 424, 425, 429, 498, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529),
    ),
    _row(
        Refused.KEY,
        codes="invalid_api_key authentication_error invalid_authentication_error unauthenticated account_deactivated "
        "permission_error unsupported_country_region_territory access_terminated invalidsubscriptionkey "
        "invalid_request_error_api_key permissiondenied api_key_invalid token_not_found_in_db unrecognizedclientexception 1004",
        words=r"""(?:invalid|incorrect|missing|wrong|expired|no)\s(?:\w+\s)?(?:api[\s_-]?key|authentication|credentials|access\stoken|bearer)
        | api\skey\snot\s(?:valid|found) | unauthorized | authentication\s(?:error|failed|fails) | invalid\sproxy\sserver\stoken""",
        statuses=(400, 401, 403, 407),
    ),
    _row(
        Refused.INVALID,
        words=r"""(?:file|image|audio|url|thread|assistant|tool_call_id|previous_response)\S*\s.{0,80}not\sfound | no\ssuch\sfile
        | failed\sto\s(?:download|fetch|load) | (?:download|fetch)ing\s(?:the\s)?image""",
        statuses=(400, 404, 422),
    ),
)

_BY_STATUS = {
    401: Refused.KEY,
    402: Refused.OUT_OF_CREDIT,
    403: Refused.KEY,
    404: Refused.GONE,
    407: Refused.KEY,
    408: Refused.OVERLOADED,
    409: Refused.OVERLOADED,
    410: Refused.GONE,
    424: Refused.OVERLOADED,
    425: Refused.OVERLOADED,
    429: Refused.RATE_LIMITED,
    451: Refused.CONTENT,
    498: Refused.OVERLOADED,
    503: Refused.OVERLOADED,
    529: Refused.OVERLOADED,
}
_THE_CALLERS = frozenset({Refused.CONTENT, Refused.TOO_LONG, Refused.UNSUPPORTED, Refused.FOREIGN, Refused.INVALID})
_OWN = frozenset({400, 413, 415, 416, 422})
_NO_ROUTE = re.compile(
    r"(?:404[\s:]*)?(?:page\s)?not\sfound\.?$|cannot\s(?:post|get)\b|no\sroute|a\spage\sof\shtml", re.VERBOSE
)

_N = r"\(?~?([\d,]+)\)?"
_NUMBERS = tuple(
    (re.compile(pattern), order)
    for pattern, order in (
        (rf"range of input length should be \[\d+, ?{_N}\]", "w"),
        (rf"at most {_N} input tokens", "w"),
        (rf"input length and .{{0,20}}exceed context limit: {_N} \+ ([\d,]+) > {_N}", "npw"),
        (rf"`inputs` must have less than {_N} tokens\. given: {_N}", "wn"),
        (rf"must be <= {_N}\. given: {_N} `inputs` tokens and {_N}", "wnp"),
        (rf"prompt is too long: {_N} tokens? > {_N}", "nw"),
        (rf"prompt is too long: {_N}, model maximum context length: {_N}", "nw"),
        (rf"token count {_N} exceeds the (?:maximum number of tokens allowed|limit of) {_N}", "nw"),
        (rf"token count of {_N} exceeds the limit of {_N}", "nw"),
        (rf"maximum prompt length is {_N} but the request contains {_N}", "wn"),
        (rf"request \({_N} tokens\) exceeds the available context size \({_N}", "nw"),
        (rf"contains {_N} tokens.{{0,60}}too large for model with {_N}", "nw"),
        (rf"model token limit: {_N} \(requested: {_N}\)", "wn"),
        (rf"max input tokens: {_N}, request input token count: {_N}", "wn"),
        (rf"input \({_N} tokens\) is longer than the model's context length \({_N}", "nw"),
        (rf"\(length {_N}\) is longer than the maximum model length of {_N}", "nw"),
        (rf"total length {_N}\) is too long to fit into the model \(context length {_N}", "nw"),
        (rf"current length is {_N} while limit is {_N}", "nw"),
        (rf"cannot exceed {_N} - received {_N}", "wn"),
        (rf"number of input tokens {_N} cannot exceed the total tokens limit {_N}", "nw"),
        (rf"prompt length {_N} is greater than max_seq_len {_N}", "nw"),
        (rf"maximum sequence length is {_N}", "w"),
        (rf"the limit for this model is {_N}", "w"),
        (rf"max(?:imum)? output tokens \({_N}\) exceeded this model context window limit \({_N}", "nw"),
        (rf"first {_N} tokens.{{0,80}}context length of only {_N}", "nw"),
        (rf"configured limit of {_N} tokens\. your messages resulted in {_N}", "wn"),
        (
            rf"maximum context length (?:is|of) {_N} tokens.*?(?:resulted in|requested(?: a total of)?(?: about)?|request has) {_N}",
            "wn",
        ),
        (rf"maximum context length (?:is|of) {_N}", "w"),
        (rf"context length of only {_N}", "w"),
        (rf"{_N} exceeds? (?:the )?(?:model's |maximum |max ){{0,2}}context (?:length|window|size)(?: of)? {_N}", "nw"),
        (rf"prompt tokens limit exceeded: {_N} > {_N}", "nw"),
        (rf"input length {_N} exceeds the maximum allowed input length {_N}", "nw"),
        (rf"exceeds? (?:the )?(?:model's |maximum |max ){{0,2}}context (?:length|window|size)(?: of)? {_N}", "w"),
        (rf"max size: {_N} tokens", "w"),
    )
)
"""Where the numbers stand: w the window, n what the request needs, p what comes on top of that for the answer."""


def refusal_of(status: int, body: bytes) -> Refusal:
    """What a runtime's error means. `status` is that of HTTP, which may be 200: then what the body states counts."""
    found = said(body)
    if not 400 <= status < 600:
        status = next(iter(found.statuses), 0)
    means, matched = _meaning(status, found)
    window, needs = _numbers(found) if means is Refused.TOO_LONG else (None, None)
    code = next((one for one in found.codes), None)
    kind = next(iter(found.types), None)
    if status not in _OWN and (means in _THE_CALLERS or not status):
        status = 400 if means in _THE_CALLERS else 502
    return Refusal(means, status, found.message, kind, code, found.param, matched, window, needs)


def states_error(answer: object) -> bool:
    """Whether a parsed body of status 2xx is an error and no answer."""
    if not isinstance(answer, dict):
        return isinstance(answer, list) and bool(answer) and isinstance(answer[0], dict) and "error" in answer[0]
    choice, stated, error = first_choice(answer), answer.get("base_resp"), answer.get("error")
    error = bool(error) and _says_something(error)
    if isinstance(stated, dict) and stated.get("status_code"):
        return True
    if choice is not None:
        inner = choice.get("error")
        return error or choice.get("finish_reason") == "error" or (bool(inner) and _says_something(inner))
    if error or answer.get("errors") or answer.get("object") == "error" or answer.get("type") == "error":
        return True
    return "choices" not in answer and any(key in answer for key in ("detail", "message", "error_code", "msg"))


def _says_something(error: object) -> bool:
    """Whether an error is one: some runtimes state one without a code and words beside every answer."""
    return any(error.values()) if isinstance(error, dict) else bool(error)


def _meaning(status: int, found: Said) -> tuple[Refused, str]:
    """What it means, and the words that said so (empty where a code or the status did)."""
    words = found.words
    stated = {one.lower() for one in (*found.codes, *found.types)}
    for row in _TABLE:
        if status and row.statuses and status not in row.statuses:
            continue
        if row.unless is not None and row.unless.search(words):
            continue
        if row.codes & stated:
            return row.means, ""
        match = row.words.search(words) if row.words is not None else None
        if match is not None:
            return row.means, match[0].strip()
    if status == 404 and (found.markup or not words or _NO_ROUTE.search(words)):
        return Refused.BROKEN, ""
    if status == 413 and not words:
        return Refused.TOO_LONG, ""
    if status in _OWN:
        return Refused.GONE if found.param == "model" else Refused.INVALID, ""
    return _BY_STATUS.get(status, Refused.INVALID if 400 <= status < 500 else Refused.BROKEN), ""


def _numbers(found: Said) -> tuple[int | None, int | None]:
    """The window and what the request needs, where they are stated."""
    for pattern, order in _NUMBERS:
        match = pattern.search(found.words)
        if match is not None:
            numbers = dict(zip(order, _counts(match.groups()), strict=True))
            needs = numbers.get("n")
            return numbers.get("w"), needs + numbers.get("p", 0) if needs is not None else None
    return found.window, found.needs


def _counts(groups: Iterable[str]) -> Iterator[int]:
    for group in groups:
        digits = group.replace(",", "")
        yield int(digits[:12]) if digits else 0
