"""In what words runtimes say no: rows of what real servers answer (`TABLE`), and the same in general (`GENERAL`)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from arbiter_app.pipeline.ports import Refused


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: what it means, and when it fits. `codes` and `words` either; `statuses` and `unless` restrict."""

    means: Refused
    codes: frozenset[str] = frozenset()
    words: re.Pattern[str] | None = None
    statuses: frozenset[int] = frozenset()
    unless: re.Pattern[str] | None = None


def _row(means: Refused, *, codes: str = "", words: str = "", statuses: Iterable[int] = (), unless: str = "") -> Row:
    return Row(
        means,
        frozenset(codes.split()),
        re.compile(words, re.VERBOSE) if words else None,
        frozenset(statuses),
        re.compile(unless, re.VERBOSE) if unless else None,
    )


# Words are matched in lower case, in verbose patterns: a blank is `\ `, or `\s` for any.
TABLE = (
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
        codes="context_length_exceeded context_window_exceeded exceed_context_size_error "
        "max_context_length_exceeded model_context_window_exceeded contextwindowexceedederror 5021 1261 prompt_too_long "
        "tokens_limit_reached request_too_large",
        words=r"""maximum\scontext\slength | prompt\sis\stoo\slong | prompt\stoo\slong | input\sis\stoo\slong
        | input\stoken\scount .{0,40} exceeds | exceeds?\s(?:the\s)?(?:model'?s?\s)?(?:maximum\s)?context\s(?:window|length|size|limit)
        | exceeds\sthe\savailable\scontext | context\sshift\sis\sdisabled | maximum\sprompt\slength
        | reduce\sthe\slength\sof\s(?:the\s)?(?:messages|prompt|input)
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
        | string\stoo\slong\.\sexpected\sa\sstring\swith\smaximum\slength\s\d{6} | extra\susage\sis\srequired\sfor\slong\scontext
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
        | (?:monthly|your)\sspend(?:ing)?\s(?:limit|cap)\b | spending\slimit\s(?:has\sbeen\s)?reached | budget\shas\sbeen\sexceeded
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
        words=r"""(?:file|image|audio|url|thread|assistant|tool_call_id|previous_response)\S*\s.{0,80}not\sfound
        | no\s(?:such\s)?(?:file|image|thread|assistant|response)\b
        | failed\sto\s(?:download|fetch|load) | (?:download|fetch)ing\s(?:the\s)?image""",
        statuses=(400, 404, 422),
    ),
)

# In general: what a sentence speaks of, and what it says of that, in either order, with no other subject between them.
_IN = r"(?:[^.;!?\n]|\.(?=\S))"
_MODEL = r"\b(?:model|deployment|engine|adapter|checkpoint)s?\b"
_OTHER = r"""(?:parameters?|arguments?|fields?|propert(?:y|ies)|features?|tools?|functions?|images?|pictures?|audio|videos?|files?|urls?|formats?
    |schemas?
    |roles?|messages?|content|temperature|stream\w*|logprobs|stop|seed|\w*_\w+|json|reasoning|thinking|penalt\w+|prefill|system|modalit\w+|output
    |inputs?|prompts?|outputs?|tokens?|context|values?|types?|decode|load(?:ing)?|currently|temporarily|momentarily|moment|busy|overload\w*
        |capacity)"""
_BETWEEN = rf"(?:(?!(?<![\w.-]){_OTHER}(?![\w-])){_IN})"
_UNAVAILABLE = r"""(?:(?:(?<!\w)(?:not|never|cannot|no\slonger)|n't)\s(?:\w+\s){0,2}?(?:exists?|found|available|offered|hosted|served|deployed|known
    |recogni[sz]ed
        |supported|enabled|accessible|active|allowed|permitted|(?:white|allow)-?\s?listed|subscribed|installed|loaded|registered|configured|valid
            |listed|included
        |part\sof|in\s(?:(?:our|your|the|its|an?)\s)?(?:\w+\s){0,2}(?:list|catalog|registry|plan))\b
    | (?<!\w)(?:can|may)\sno\slonger\sbe\b | (?<!\w)only\s(?:available|accessible|offered|served)\b
    | (?<!\w)(?:withdrawn|retired|shut\s?-?down|deprecated|decommissioned|sunset\w*|discontinued|offline|eol|end[\s-]of[\s-]life|disabled|deactivated
        |blocked|unavailable|restricted|forbidden|deleted|expired|replaced\sby|is\s(?:invalid|unknown|incorrect|wrong|unsupported))\b
    | (?<!\w)requires\s(?:\w+\s)?(?:terms|acceptance|approval|access|verification|a\snewer\sversion)\b | use\scase\sdetails\shave\snot)"""
_LIMIT = r"(?:limits?|max(?:imum)?|window|length|context|size|capacity|max_\w+|n_ctx|\d[\d,]*)"
GENERAL = (
    _row(
        Refused.CONTENT,
        codes="content_moderation inputtextsensitivecontentdetected outputtextsensitivecontentdetected 1026 1027",
        words=rf"""\b(?:content|prompt|input|request|messages?|output|response|text|queries|query)\b{_IN}{{0,80}}\b(?:flagged|blocked|filtered
            |violat\w+|rejected|refused
            |moderated|not\s(?:allowed|permitted|accepted)|denied|high\srisk)\b{_IN}{{0,80}}\b(?:safety|moderation|polic(?:y|ies)|guardrails?
                |sensitive|harmful|unsafe|inappropriate|prohibited|high\srisk
            |terms\sof\s(?:service|use)|keyword|cyber\w*)
        | \b(?:safety|moderation|guardrails?|content)\s?-?(?:filters?|checks?|systems?|polic\w+|moderation)?\b{_IN}{{0,40}}\b(?:triggered|blocked
            |violat\w+|flagged|refused|rejected)
        | (?:violat\w+|against|breach\w*)\s(?:\w+\s){{0,3}}(?:moderation|content|safety|usage|acceptable\suse)\s?(?:polic|guideline|rule|standard)
        | (?:sensitive|harmful|unsafe|inappropriate|prohibited)\s(?:\w+\s)?content | new_sensitive | sensitive\swords?
        | safety\s(?:reasons|concerns|filters?) | due\sto\ssafety | \bnsfw\b
        | \b(?:prompt|response|output|content)\s(?:was|is|has\sbeen)\s(?:blocked|filtered|flagged|moderated)
        | \bdisallowed\s(?:content|use) | \bprohibited\suse | \binappropriate\b | \bguardrails?\b | content\sfilters?\b
        | \bmoderation\s(?:check\s)?failed""",
        statuses=(400, 403, 406, 422, 451),
        unless=r"security\spolic | firewall | \bwaf\b | data\spolicy | \bnetwork\b | \bip\saddress | \borgani[sz]ation | \badmin | \bregion\b",
    ),
    _row(
        Refused.TOO_LONG,
        codes="model_max_prompt_tokens_exceeded context_overflow context_limit_exceeded input_too_long 1039",
        words=rf"""\b(?:prompt|inputs?|context|conversation|sequence|messages?|chat|history|request|tokens?)\b{_IN}{{0,60}}\b(?:exceed\w*
            |too\s(?:long|large|big|many\stokens)|longer
            |larger|greater|more)\b{_IN}{{0,60}}\b(?:tokens?|context|{_LIMIT})\b
        | \b(?:prompt|inputs?|context|conversation|sequence|chat|history|messages?)\s(?:(?:is|are|was|length|size|you|have|submitted
            |sent)\s){{0,4}}too\s(?:long|large|big)\b
        | \btokens?\b{_IN}{{0,30}}(?:>\s?{_LIMIT}|\bonly\s(?:supports?|takes|accepts|allows)) | \bcontext\sis\sfull
        | \btokens?\b{_IN}{{0,30}}\b(?:limit|window|context)\s(?:window\s)?is\s\d | \bprompt_tokens{_IN}{{0,20}}\bexceed
        | \b(?:shorten|reduce\sthe\s(?:size|length)\sof)\s(?:your|the)\s(?:prompt|input|messages?|conversation|context)
        | \bkv[\s-]?cache{_IN}{{0,30}}\btokens | \btokens\srequested{_IN}{{0,30}}\bavailable\b
        | \b(?:context|tokens?|sequence|prompt|input)\s(?:window|length|size|limit|count)?\s?{_IN}{{0,40}}\b(?:exceeded|exceeds?|overflow\w*
            |too\s(?:long|small|large))
        | (?:context|token)\s(?:window|length|size|limit)\s(?:was\s|is\s|has\sbeen\s)?(?:exceed\w*|reached|overflow\w*) | context\soverflow
        | contextwindowexceeded
        | \b(?:max(?:imum)?|limit)\s(?:\w+\s){{0,3}}(?:length|tokens?|size){_IN}{{0,30}}\bexceeded
        | \b(?:only\s)?supports?\s(?:only\s)?(?:up\sto|at\smost|a\smaximum\sof)\s[\d,]+\stokens | does\s?n[o']t\sfit\s(?:in|into|within)\b
        | truncat\w+\s(?:your\s|the\s)?(?:prompt|input|messages)
        | \u8d85(?:\u8fc7|\u51fa)\w{{0,12}}(?:\u957f\u5ea6|\u4e0a\u4e0b\u6587|\u9650\u5236) | \u957f\u5ea6\u8d85
        | \u4e0a\u4e0b\u6587\w{{0,8}}(?:\u8d85|\u8fc7\u957f) | (?:\u8f93\u5165|\u5185\u5bb9)\w{{0,4}}\u8fc7\u957f""",
        statuses=(400, 413, 422, 429, 500),
        unless=r"""\boutput\stokens | ^(?!.*\b(?:prompt|inputs?|total)\b).*\bmax_(?:completion_|output_|new_)?tokens\b | completion\stokens | image
        | picture | \bfiles?\b | upload | \burls?\b | \bnames?\b | batch
            | per\s(?:minute|min|second|day|hour) | \b[rt]p[md]\b | rate\slimit | \bitems?\b | \barray | characters? | \bbytes?\b | \bquota
            | temperature | descriptions?
            | \btools?\b | \bfunctions?\b | credit | billing | concurren | please\swait | budget | vocabular | token\sids?
            | should\sbe\s(?:greater|less|longer)""",
    ),
    _row(
        Refused.OUT_OF_CREDIT,
        codes="quota_exceeded subscription_expired credits_exhausted balance_depleted monthly_limit_exceeded 1309 1310",
        words=rf"""\b(?:balance|credits?|funds|wallet|prepaid\s\w+)\b{_IN}{{0,40}}\b(?:too\slow|low|insufficient|not\senough|exhausted|depleted
            |exceeded|expired|negative
            |used\sup|run\sout|empty|zero)\b
        | \b(?:insufficient|no(?:\susable|\sremaining)?|not\senough|low|out\sof|zero|negative)\s(?:\w+\s){{0,3}}(?:balance|credits?|funds|quota)\b
        | \bbilling\b{_IN}{{0,60}}\b(?:disabled|not\s|required?|enabled?|inactive|issue|suspended|on\shold|upgrade)
        | \b(?:enable|set\sup|configure|upgrade|check\syour)\s(?:your\s|the\s)?(?:plan\sand\s)?billing\b
        | \b(?:payment\smethod|credit\scard|unpaid\sinvoice|payment\s(?:is\s)?(?:overdue|failed|past\sdue))
        | \b(?:spend(?:ing)?|budget|usage|monthly|weekly|plan|subscription)\s(?:\w+\s)?(?:limits?|cap|quota)\b{_IN}{{0,40}}\b(?:reached|exceeded
            |exhausted|hit)\b
        | \b(?:reached|exceeded|hit|crossed|used\sup|over)\s{_IN}{{0,60}}\b(?:spend(?:ing)?|usage|monthly|weekly|budget|subscription|plan
            |free)\s(?:\w+\s){{0,2}}(?:limits?|cap|quota|tier)\b
        | \b(?:monthly|weekly)\s(?:quota|credits?)\b | \bsubscription\b{_IN}{{0,40}}\b(?:expired|inactive|ended|cancel\w+|required|overdue)
        | inactive\ssubscription
        | \bfree\s(?:tier|trial|quota|credits?)\b{_IN}{{0,40}}\b(?:exceeded|exhausted|ended|expired|used\sup|over)\b
        | \b(?:monthly|plan's|plan|subscription)\s(?:\w+\s)?(?:allowance|budget|quota)\b | \bquota\s(?:has\sbeen\s|is\s)?(?:exhausted|used\sup)\b
        | \b(?:trial|plan)\s(?:has|is|period)?\s?(?:\w+\s)?(?:ended|expired|over) | \bplease\s(?:recharge|top\sup|upgrade\syour\splan)
        | \b(?:purchase|buy|add)\s(?:more\s)?credits?
        | \b(?:no|not\senough)\smoney | \bcredits?\s(?:is|are|of)\s\$?0\b | \b(?:overdue|unpaid)\s(?:invoice|bill|payment) | \bsubscribe\sto\b
        | \bbilling\slimit
        | \bexceeded\s(?:the|your)\smonthly\s | \bbilling\s(?:information|details|account) | \bcard\s(?:was|has\sbeen|is)\s(?:declined|expired)
        | \bout\sof\s(?:\w+\s)?usage\b | crossed\sbudget | api\scalls\s/\smonth
        | \u4f59\u989d | \u6b20\u8d39 | \u8bf7\u5145\u503c | \u989d\u5ea6\w{{0,6}}(?:\u4e0d\u8db3|\u7528\u5c3d|\u8017\u5c3d|\u8d85)""",
        statuses=(400, 401, 403, 412, 422, 429, 503),
        unless=r"""rate\slimit | per\s(?:minute|min|second|hour) | \bhourly\b | \b[rt]pm\b
        | (?:retry|try\sagain)\s(?:in|after)\s[\d.]+\s?(?:m?s|sec|min)""",
    ),
    _row(
        Refused.GONE,
        codes="model_permission_blocked_project model_permission_blocked_org model_terms_required no_access model_is_deactivated model_deactivated "
        "user_model_access_denied org_model_access_denied model_not_supported_on_free_tier modeldeprecated 1221 1222 1311",
        words=rf"""{_MODEL}{_BETWEEN}{{0,120}}?{_UNAVAILABLE}
        | \b(?:no|not\san?|unavailable|unknown|unrecogni[sz]ed|invalid|incorrect|wrong|unsupported|nonexistent|undefined)\s(?:such\s|known\s|valid\s
            |base\s|chat\s|requested\s|supported\s)?
            {_MODEL}(?!\s(?:output|response|parameters?|settings?|options?|config\w*))
        | \b(?:no\saccess|not\s(?:have\s)?(?:access|subscribed|permission|entitled|authorized|permitted|allowed)|access\s(?:is\s)?(?:denied
            |forbidden))\s(?:to\s|for\s|on\s|use\s|the\s|this\s){{0,3}}
            (?:publisher\s|access\s|requested\s)?{_MODEL}
        | \b(?:lacks?|no|without|missing)\s(?:\w+\s)?(?:permission|access)\s(?:\w+\s){{0,3}}{_MODEL}
        | \bnot\s(?:authorized|entitled)\sto\s{_IN}{{0,60}}{_MODEL}
        | \b(?:could|can)\s?not\s(?:find|locate|resolve)\s(?:\w+\s){{0,2}}{_MODEL}
        | \bno\s(?:\w+\s){{1,2}}(?:available|found|configured)\s(?:\w+\s){{1,2}}{_MODEL}
        | \b(?:does|do|can)\s?(?:not|n't)\s(?:serve|host|offer|provide|have)\s(?:\w+\s){{0,2}}{_MODEL}
        | \baccept\s(?:\w+\s){{1,3}}(?:license|terms|agreement){_IN}{{0,40}}{_MODEL}
        | \bmodel['"`]?\s(?:field\s|name\s|id\s)?(?:must|should)\sbe\s(?:one\sof|in)\b | \bvalue\s(?:of|for)\s['"`]?model\b
        | \bnot\sone\sof\s(?:\w+\s){{0,3}}models\b
        | \b(?:key|token|you|account|team|project|user|organi[sz]ation)\s(?:may|can|must|do|does|is|are)\s?(?:not|n't)\s(?:\w+\s)?
            (?:use|access|call|invoke)\s(?:\w+\s){{0,2}}{_MODEL}
        | \baccess\sto\s(?:\w+\s){{0,2}}{_MODEL}{_IN}{{0,40}}\b(?:restricted|denied|forbidden|blocked)
        | model\saccess\sis\sdenied | \bdeprecated\sand\s(?:has|have|is|was|will)\b | permission\s'aiplatform\.endpoints\.predict'
        | ^\W*(?:\w+\s)?[`'"]?[\w./:@-]{{2,120}}[`'"]?\s(?:does\snot|doesn't)\ssupport\s(?:chat|generate|completion)\b
        | \bnot\sin\s(?:your|the|its|an?)\s(?:\w+\s)?allowed\s(?:models?|list)
        | \u65e0\u6743\w{{0,4}}\u6a21\u578b | \u6a21\u578b\w{{0,20}}(?:\u4e0d\u53ef\u7528|\u672a\u627e\u5230|\u4e0d\u652f\u6301|\u65e0\u6548)""",
        statuses=(400, 401, 403, 404, 405, 410, 412, 422, 501),
        unless=r"""(?:is|are|currently)\s(?:still\s)?(?:loading|overloaded|at\scapacity|busy) | temporarily | try\sagain | \bretry\b
        | in\sa\smoment""",
    ),
    _row(
        Refused.UNSUPPORTED,
        words=rf"""(?<![\w.-]){_OTHER}(?![\w-]){_IN}{{0,60}}\b(?:(?:not|never|only)\s(?:yet\s)?(?:supported|enabled|available|allowed|implemented)
            |(?:is|are)\sunsupported)
        | {_MODEL}{_IN}{{0,60}}[\s'"`]n[\s'"`]{_IN}{{0,20}}\bnot\ssupported | \bparameter\s\W?\w+\W?\s(?:is\s)?(?:not\ssupported|unsupported)
        | \brole\W{_IN}{{0,20}}\bunsupported | \bonly\sfor\sapi\sversions | \bat\smost\s0\s | \bvalid\srange\sof\smax_\w*tokens""",
        statuses=(400, 403, 422, 500, 501),
        unless=r"\bfile\stype | \bmime | \bmedia\stype | \bschema\b",
    ),
    _row(
        Refused.KEY,
        words=rf"""\b(?:key|token|credential)s?\b{_IN}{{0,30}}\b(?:expired|revoked|disabled|deactivated|deleted|inactive|suspended|leaked|invalid
            |not\svalid)\b
        | \borgani[sz]ation\s(?:has\sbeen|is)\s(?:disabled|suspended|deactivated)
        | \baccount\s(?:is|has\sbeen|was)\s(?:disabled|suspended|deactivated|banned|locked)""",
        statuses=(400, 401, 403, 422),
        unless=r"\b(?:tool|function|message|input|field|property)",
    ),
)
"""What no row of `TABLE` knows, by what is said of what. Read where nothing but the status would tell otherwise."""
