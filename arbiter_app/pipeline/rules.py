"""The rule classifier: compiled once, linear in the prompt, precise before it is complete.

A rule answers only where it is sure; everything else is left to the free model (`classify.py`). The rules are tried in
order, and the first that holds decides: what an answer must look like (structured) counts before what it is about.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from arbiter_app.pipeline.graders.arithmetic import find_expression
from arbiter_app.pipeline.types import Task

WINDOW_CHARS = 4_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """A rule that held: the task, and the rule in words."""

    task: Task
    rule: str


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE | re.MULTILINE)


_LANGUAGES = (
    r"python|javascript|typescript|java|golang|rust|c\+\+|c#|ruby|php|swift|kotlin|scala|haskell|perl|bash|shell|powershell"
    r"|sql|html|css|react|django|flask|pandas|numpy|node\.?js|matlab|verilog|assembly"
)
_CODE_THING = (
    r"function|method|script|program|class|quer(?:y|ies)|regex|regular expression|unit tests?|code|snippet|algorithm|decorator"
    r"|api endpoint|cli|parser|component|dockerfile|makefile|stored procedure|bash one-liner|struct|iterator|generator"
)
_FORMAT = r"json|yaml|yml|csv|xml|toml|markdown table"

_STRUCTURED = _any(
    rf"\b(?:in|as|into|to|using|return|returns?|output|produce|generate|give me|create|respond with|reply with|valid)\s"
    rf"(?:me\s)?(?:only\s|just\s)?(?:an?\s|the\s)?(?:single\s|valid\s|strict\s|raw\s|nested\s|following\s|flat\s)*(?:{_FORMAT})\b"
    r"(?!\s+(?:parser|library|module|file reader|schema validator|web token))",
    rf"\b(?:{_FORMAT})\s(?:format|object|array|document|string|schema|output|file|list|rows?)\b",
    r"\b(?:as|in|into|make|create|build|produce|draw|give me|generate)\s(?:a\s|an\s|me a\s)?(?:\w+\s){0,2}table\s"
    r"(?:with|of|showing|that|containing|listing|comparing|format|where)\b",
    r"\bas a (?:markdown )?table\b|\bin (?:a )?table (?:form|format)\b|\btabular form(?:at)?\b",
    r"\b(?:columns|fields|keys)\s?:\s*\w+\s*,\s*\w+",
    r"\bwith (?:the )?(?:columns|fields|keys) [\w\"'`]+(?:,| and)",
    r"^\s*tools:\s*[\[{]",
)
_CREATIVE = _any(
    r"\b(?:write|compose|create|draft|tell|give|make|pen|craft|generate|come up with)\s(?:me\s|us\s)?(?:(?:an?|the|some|another|\d+)\s)?"
    r"(?:[\w'-]+\s){0,4}(?:poems?|haikus?|sonnets?|limericks?|stor(?:y|ies)|songs?|lyrics|rap|essay|letter|e-?mail|blog ?post|blog|"
    r"speech|jokes?|dialogue|monologue|screenplay|script for|slogans?|tagline|tweets?|captions?|cover letter|fairy tale|novel|"
    r"article|press release|toast|riddles?|advert(?:isement)?|product description|paragraph|review|caption|plot|outline|memo)\b"
    r"(?!\s*(?:parser|generator in|program))",
    r"\b(?:pretend|imagine|act as|role-?play|you are now|speak like|in the style of|in the voice of)\b",
)
_CODE_MARKS = _any(
    r"```",
    r"^\s*(?:def|class)\s+\w+\s*[(:]",
    r"^\s*(?:import|from)\s+[\w.]+(?:\s+import\b|\s*;?\s*$)",
    r"^\s*#include\s*<",
    r"\b(?:public|private)\s+(?:static\s+)?(?:void|int|class|string)\b",
    r"\bfunction\s*\w*\s*\([^)]{0,200}\)\s*\{",
    r"\bconsole\.log\(|\bprint\(|\bSystem\.out\.",
    r"\bselect\s+[\w*,\s.]{1,120}\sfrom\s+\w+",
    r"=>\s*\{|;\s*\}\s*$",
    r"\bTraceback \(most recent call last\)|\b\w+(?:Error|Exception): ",
    r"^\s*(?:fn|func)\s+\w+\s*\(",
)
_CODE_ASK = _any(
    rf"\b(?:write|implement|code|create|build|develop|make|complete|generate|provide|design|give me|add)\s(?:me\s)?(?:an?\s|the\s|some\s|this\s)?"
    rf"(?:[\w+#.'-]+\s){{0,4}}(?:{_CODE_THING})\b(?!\s+(?:of conduct|of ethics|plan))",
    rf"\b(?:{_CODE_THING})\s(?:in|using|with)\s(?:{_LANGUAGES})\b",
    rf"\b(?:debug|refactor|fix|optimi[sz]e|unit[- ]test|vectori[sz]e|port)\s(?:this|the|my|an?)\s(?:[\w-]+\s){{0,3}}(?:{_CODE_THING}|bug|error)\b",
    rf"\bhow (?:do|can|to|would|should)\s(?:i\s|you\s|we\s)?(?:[\w'-]+\s){{1,10}}in\s(?:{_LANGUAGES})\b",
    rf"\b(?:using|in)\s(?:{_LANGUAGES})\b[^.?!]{{0,80}}\b(?:write|implement|create|return|sort|parse|print)",
    rf"\b(?:write|implement|code)\s[^.?!\n]{{0,80}}\bin\s(?:{_LANGUAGES})\b",
    rf"\b(?:what|why)\s(?:does|is)\s(?:this|my)\s(?:[\w-]+\s)?(?:{_CODE_THING})\b",
)
_CHOICES = _any(
    r"^\s*\(?[A-D][.):]\s.{1,400}\n\s*\(?[B-E][.):]\s",
    r"\bchoices:\s*\(?A\)?",
    r"\(A\)[^\n]{1,200}\(B\)",
    r"\b(?:true or false|which of the following)\b",
)
_MATH_TERMS = _any(
    r"\b(?:derivative|integral|differentiate|integrate|quadratic|polynomial|factori[sz]e|determinant|eigenvalues?|logarithm|"
    r"hypotenuse|prime factors?|greatest common divisor|least common multiple|square root|cube root|standard deviation|"
    r"solve for [a-z]|simplify the expression|system of equations|arithmetic sequence|geometric series|modulo)\b",
    r"\b(?:probability|odds|chance) (?:of|that)\b[^.?!]{0,120}\b(?:dice|die|coins?|cards?|balls?|rolls?|draws?|at least|exactly)\b",
    r"\b[a-z]\s*\^?\s*2?\s*[+\-]\s*\d+\s*[a-z]?\s*[+\-=]\s*-?\d",
)
_QUANTITY = _any(
    r"\bhow (?:many|much|far|long|old|tall|fast|heavy|often)\b",
    r"\bwhat (?:is|was|will be|are|would be|fraction|percent(?:age)?)\b[^?]{0,120}\b(?:total|average|mean|sum|cost|price|profit|"
    r"speed|distance|age|area|perimeter|volume|percent(?:age)?|ratio|number|interest|amount|weight|length|height|salary|left)\b",
    r"\b(?:calculate|compute|find|determine) (?:the|how)\b",
)
_NUMBER = re.compile(
    r"\d+(?:[.,]\d+)*%?|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|fifty|hundred|dozen|"
    r"half|twice|double|triple|thrice|quarter)\b",
    re.IGNORECASE,
)
_FACT = _any(
    r"^(?:so |and |hi,? |hello,? |please tell me |tell me |can you tell me |do you know )?"
    r"(?:who|whom|whose|when|where)\s(?:is|are|was|were|did|does|do|has|had|will|invented|discovered|wrote|painted|founded|won|said|can|first)\b",
    r"^(?:so |and |please tell me |tell me |can you tell me )?(?:what|which)\s(?:is|was|are|were)?\s?(?:the\s)?(?:name|capital|population|currency|"
    r"(?:chemical )?symbol|(?:chemical )?formula|largest|smallest|longest|highest|tallest|deepest|fastest|first|last|oldest|boiling point|"
    r"melting point|definition|meaning|difference between|year|date|country|city|planet|river|element|president|author|language|"
    r"animal|organ|number of|process|function of|cause|purpose of|main|most|full form|atomic)\b",
    r"^(?:what|which)\s(?:year|country|city|planet|element|river|language|president|animal|company|organ|gas|metal|vitamin|war|scientist)\b",
    r"^(?:what|which) (?:does|do|did) .{1,80} (?:mean|stand for)\b",
    r"^(?:is it true|is|are|was|were|do|does|did|can|has|have)\s(?:[\w'-]+\s){2,14}[\w'-]+\?$",
    r"^(?:define|in what year|in which|how (?:many|far|tall|old|long|deep|big|high) (?:is|are|was|were|does|do|did))\b",
    r"^(?:what happens|what is|what are|why (?:is|are|do|does|did)|how (?:does|do|did|is|are))\s[^\n]{3,120}\?$",
    r"^explain (?:what|why|how)\b[^\n]{3,100}$",
)
_OPEN_ASK = _any(
    r"\b(?:brainstorm|suggest|recommend|give me (?:\w+ )?(?:ideas|tips|advice|suggestions)|what should i|how should i|help me (?:plan|write|decide|choose)|"
    r"your opinion|do you think|pros and cons|rewrite|rephrase|paraphrase|summari[sz]e|proofread|improve the (?:following|text|writing)|"
    r"plan (?:a|my|an)\b|itinerary|recipe|workout|how would you feel|persuade|convince|continue the|ideas for|tips for|tips on|advice on)\b",
)
_ENGLISH = re.compile(
    r"\b(?:the|is|are|a|an|of|to|in|and|for|what|how|who|when|where|which|why|write|give|me|i|my|you|do|does|with|that|this|it|can|"
    r"please|on|be|from|if|has|have|was|were|make|create|list|find|tell|explain|as|by)\b",
    re.IGNORECASE,
)


def classify_by_rules(ask: str, *, json_format: bool = False) -> Verdict | None:
    """The task of a human ask, or None when no rule is sure. `json_format`: the request carries a JSON response format."""
    if json_format:
        return Verdict(Task.STRUCTURED, "response_format asks for JSON")
    text = window(ask)
    if not text:
        return None
    english = is_english(text)
    if english and _STRUCTURED.search(text):
        return Verdict(Task.STRUCTURED, "asks for a data format")
    if _CODE_MARKS.search(text):
        return Verdict(Task.CODE, "contains code")
    expression = find_expression(text)
    if expression is not None:
        return Verdict(Task.MATH, "arithmetic expression")
    return _by_words(text) if english else None


def _by_words(text: str) -> Verdict | None:
    if _CREATIVE.search(text) and not _CODE_LANGUAGE_ASK.search(text):
        return Verdict(Task.OPEN, "asks for creative writing")
    if _CODE_ASK.search(text):
        return Verdict(Task.CODE, "asks for code")
    if _CHOICES.search(text):
        return Verdict(Task.FACTUAL, "multiple choice")
    numbers = len(_NUMBER.findall(text))
    if numbers >= 1 and _MATH_TERMS.search(text):
        return Verdict(Task.MATH, "mathematical terms")
    if numbers >= 2 and _QUANTITY.search(text) and not _OPEN_ASK.search(text):
        return Verdict(Task.MATH, "word problem")
    if _OPEN_ASK.search(text):
        return Verdict(Task.OPEN, "asks for advice or rewriting")
    if len(text) < 300 and _FACT.search(text.strip()):
        return Verdict(Task.FACTUAL, "question of fact")
    return None


_CODE_LANGUAGE_ASK = _any(rf"\b(?:{_CODE_THING})\b[^.?!\n]{{0,60}}\bin\s(?:{_LANGUAGES})\b")

_HARD = _any(
    r"\b(?:prove|proof|theorem|derive|lemma|formally)\b",
    r"\bstep[- ]by[- ]step\b",
    r"\b(?:optimi[sz]e|time complexity|space complexity|concurren(?:t|cy)|thread-safe|distributed|lock-free|race condition|deadlock)\b",
    r"\b(?:edge cases|trade-?offs?|constraints?|requirements?|in depth|in detail|comprehensive|rigorous)\b",
    r"\b(?:refactor|architecture|dynamic programming|backtracking|amortized|multi-step|nested)\b",
    r"\b(?:differential equation|integral|eigenvalue|matrix|combinatorics|bayes|variance|induction)\b",
)
_LISTED = re.compile(r"^\s*(?:[-*\u2022]|\d+[.)])\s", re.MULTILINE)


def is_hard(ask: str) -> bool:
    """Difficulty from plain features: length, listed demands, numbers to juggle, and words of hard work. Two count."""
    text = window(ask)
    points = 2 if len(ask) > 6_000 else 1 if len(ask) > 1_500 else 0
    points += min(2, len({match.group(0).lower() for match in _HARD.finditer(text)}))
    points += 1 if len(_LISTED.findall(text)) >= 4 else 0
    points += 1 if len(_NUMBER.findall(text)) >= 8 else 0
    return points >= 2


def window(ask: str) -> str:
    """The bounded part of a long ask that the rules read: its head and its tail."""
    if len(ask) <= 2 * WINDOW_CHARS:
        return ask.strip()
    return (ask[:WINDOW_CHARS] + "\n" + ask[-WINDOW_CHARS:]).strip()


def is_english(text: str) -> bool:
    """Whether word rules may be trusted: mostly ASCII letters, and common English words among them."""
    head = text[:600]
    letters = sum(char.isalpha() for char in head)
    if letters == 0:
        return False
    ascii_letters = sum(char.isascii() and char.isalpha() for char in head)
    words = max(1, len(head.split()))
    return ascii_letters / letters > 0.9 and len(_ENGLISH.findall(head)) >= max(1, words * 0.12)
