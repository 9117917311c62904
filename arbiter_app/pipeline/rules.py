"""The rule classifier: compiled once, linear in the prompt, precise before it is complete.

A rule answers only where it is sure; everything else is left to the free model (`classify.py`). The rules are tried in
order and the first that holds decides. Each names the words without which it cannot hold, so that an ordinary prompt
meets few regular expressions; those read a bounded window of the ask, in lower case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from arbiter_app import values
from arbiter_app.pipeline.graders.arithmetic import find_expression
from arbiter_app.pipeline.types import Task

HEAD_CHARS = 2_000
TAIL_CHARS = 1_500
FACT_CHARS = 200


@dataclass(frozen=True, slots=True)
class Verdict:
    """A rule that held: the task, and the rule in words."""

    task: Task
    rule: str


@dataclass(frozen=True, slots=True)
class _Rule:
    """Holds when one of the cue words stands in the text and the pattern is found. No cues: the pattern alone."""

    verdict: Verdict
    pattern: re.Pattern[str]
    cues: frozenset[str]

    def holds(self, text: str, words: frozenset[str]) -> bool:
        return not (self.cues and self.cues.isdisjoint(words)) and self.pattern.search(text) is not None


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.MULTILINE)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _rule(task: Task, name: str, cues: str, *patterns: str) -> _Rule:
    return _Rule(Verdict(task, name), _any(*patterns), _words(cues))


_LANGUAGES = (
    r"python|javascript|typescript|java|golang|rust|c\+\+|c#|ruby|php|swift|kotlin|scala|haskell|perl|bash|shell|powershell"
    r"|sql|html|css|react|django|flask|pandas|numpy|node\.?js|matlab|verilog|assembly"
)
_LANGUAGE_CUES = (
    "python javascript typescript java golang rust c ruby php swift kotlin scala haskell perl bash shell powershell sql html "
    "css react django flask pandas numpy node nodejs matlab verilog assembly"
)
_CODE_THING = (
    r"function|method|script|program|class|quer(?:y|ies)|regex|regular expression|unit tests?|code|snippet|algorithm|decorator"
    r"|api endpoint|cli|parser|component|dockerfile|makefile|stored procedure|one-liner|struct|iterator|generator"
)
_CODE_CUES = (
    "function method script program class query queries regex expression unit code snippet algorithm decorator endpoint cli "
    "parser component dockerfile makefile procedure liner struct iterator generator"
)
_FORMAT = r"json|yaml|yml|csv|xml|toml|markdown table"

_STRUCTURED = _rule(
    Task.STRUCTURED,
    "asks for a data format",
    "json yaml yml csv xml toml table tabular columns fields keys",
    rf"\b(?:in|as|into|to|using|returns?|output|produce|generate|give me|create|respond with|reply with|valid)\s"
    rf"(?:me\s)?(?:only\s|just\s)?(?:an?\s|the\s)?(?:single\s|valid\s|strict\s|raw\s|nested\s|following\s|flat\s)*(?:{_FORMAT})\b"
    r"(?!\s+(?:parser|library|module|file reader|schema validator|web token|tutorial))",
    rf"\b(?:{_FORMAT})\s(?:format|object|array|document|string|schema|output|list|rows?)\b",
    r"\b(?:as|in|into|make|create|build|produce|draw|give me|generate|prepare|use)\s(?:a\s|an\s|me a\s)?(?:\w+\s){0,2}table\s"
    r"(?:with|of|showing|that|containing|listing|comparing|format|where|and)\b",
    r"\bas a (?:markdown )?table\b|\bin (?:a )?table (?:form|format)\b|\btabular form(?:at)?\b",
    r"\b(?:return|output|extract|list|give|with)\b[^.?!\n]{0,60}\b(?:columns|fields|keys)\s?:?\s[\w\"'`]+(?:,| and)",
)
_CALLS = _rule(
    Task.STRUCTURED, "lists tools to call", "tools functions", r"^(?:available )?(?:tools|functions):\s?[\[{]"
)
# An instruction to wrap a reasoned answer in JSON says nothing about what is asked.
_WRAPPED = _any(
    r"\b(?:reasoning|rationale|explanation|thoughts?)\b[^.\n]{0,60}\b(?:answer|solution|choice)\b[^.\n]{0,60}\bjson\b"
)
_CREATIVE = _rule(
    Task.OPEN,
    "asks for creative writing",
    "poem poems haiku haikus sonnet sonnets limerick limericks story stories song songs lyrics rap essay letter email mail "
    "blog speech joke jokes dialogue monologue screenplay script slogan slogans tagline tweet tweets caption captions tale novel "
    "article release toast riddle riddles advert advertisement description paragraph plot outline memo interview hook "
    "headline bio resume introduction",
    r"\b(?:write|compose|create|draft|tell|give|make|pen|craft|come up with|construct|complete)\s(?:me\s|us\s)?"
    r"(?:(?:an?|the|some|another|your|my|\d+)\s)?(?:[\w'-]+,?\s){0,4}(?:poems?|haikus?|sonnets?|limericks?|stor(?:y|ies)|songs?|"
    r"lyrics|rap|essay|letter|e-?mail|blog ?post|blog|speech|jokes?|dialogue|monologue|screenplay|script for|slogans?|tagline|"
    r"tweets?|captions?|fairy tale|novel|article|press release|toast|riddles?|advert(?:isement)?|description|paragraph|"
    r"plot|outline|memo|interview|hook|headline|bio|resume|introduction)\b(?!\s*(?:parser|generator in|program))",
)
_PERSONA = _rule(
    Task.OPEN,
    "asks for a role to be played",
    "pretend roleplay role act imagine style voice speak",
    r"\b(?:pretend|role-?play|act as (?:an?|my|the)|(?:please )?take on the role|you are now|speak like|in the style of|in the voice of)\b",
    r"^imagine\b",
)
# Marks of code by the literal without which each cannot be there (searching for a literal costs next to nothing).
_CODE_MARKS = tuple(
    (hint, _any(pattern))
    for hint, pattern in (
        ("```", r"```"),
        ("def ", r"^[ \t]*def \w+[ \t]*\("),
        ("class ", r"^[ \t]*class \w+[ \t]*(?:\([\w., ]{0,80}\))?:[ \t]*$"),
        ("import ", r"^[ \t]*(?:import [\w.]+[ \t]*;?|from [\w.]+ import\b.{0,200})$"),
        ("#include", r"^[ \t]*#include[ \t]*<"),
        ("public ", r"\bpublic[ \t](?:static[ \t])?(?:void|int|class|string|final)\b"),
        ("private ", r"\bprivate[ \t](?:static[ \t])?(?:void|int|class|string|final)\b"),
        ("function", r"\bfunction[ \t]?\w{0,60}[ \t]?\([^)\n]{0,200}\)\s?\{"),
        ("console.log(", r"console\.log\("),
        ("print", r"\bprint(?:f|ln)?!?\([\"'\w]"),
        ("system.out.", r"\bsystem\.out\."),
        ("select ", r"\bselect\s[\w*,\s.]{1,120}?\sfrom\s\w+(?:\s(?:where|join|group|order|limit|inner|left)\b|\s?;)"),
        ("{", r"=>[ \t]?\{"),
        ("}", r";\s?\}\s?$"),
        ("traceback", r"\btraceback \(most recent call last\)"),
        ("error: ", r"\b[a-z]{2,40}error: "),
        ("exception: ", r"\b[a-z]{2,40}exception: "),
        ("fn ", r"^[ \t]*(?:pub )?fn \w+[ \t]*[(<]"),
        ("func ", r"^[ \t]*func \w+[ \t]*\("),
    )
)
_CONTAINS_CODE = Verdict(Task.CODE, "contains code")
_CODE_ASK = _rule(
    Task.CODE,
    "asks for code",
    f"{_CODE_CUES} {_LANGUAGE_CUES}",
    rf"\b(?:write|implement|code|create|build|develop|make|complete|generate|provide|design|give me|add)\s(?:me\s)?(?:an?\s|the\s|some\s|this\s)?"
    rf"(?:(?!{_FORMAT}|table|training|fitness|loyalty|exercise)[\w+#.'-]+\s){{0,4}}(?:{_CODE_THING})\b"
    r"(?!\s(?:of conduct|of ethics|plan|schedule|for (?:my|kids|children|students|beginners)|capable))",
    rf"\b(?:{_CODE_THING})\s(?:in|using|with)\s(?:{_LANGUAGES})(?![\w])",
    rf"\b(?:debug|refactor|fix|optimi[sz]e|unit[- ]test|vectori[sz]e|port)\s(?:this|the|my|an?)\s(?:[\w-]+\s){{0,3}}(?:{_CODE_THING}|bug|error)\b",
    rf"\bhow (?:do|can|to|would|should)\s(?:i\s|you\s|we\s)?(?:[\w'-]+\s){{1,10}}in\s(?:{_LANGUAGES})(?![\w])",
    rf"\b(?:using|in)\s(?:{_LANGUAGES})\b[^.?!\n]{{0,80}}\b(?:write|implement|create|return|sort|parse|print)",
    rf"\b(?:write|implement|code)\s[^.?!\n]{{0,80}}\bin\s(?:{_LANGUAGES})(?![\w])",
    rf"\b(?:write|implement|create|build|make|add)\s(?:me\s)?(?:an?\s|the\s)?(?:[\w-]+\s){{0,2}}(?:{_LANGUAGES})\shooks?\b",
    r"\b(?:what|why)\s(?:does|is)\s(?:this|my)\s(?:[\w-]+\s)?(?:function|method|script|query|regex|code|snippet|decorator)\b",
)
_CHOICES = _rule(
    Task.FACTUAL,
    "multiple choice",
    "answer answers option options choice choices choose select correct which statement statements",
    r"^[ \t]*(?:- )?\(?[a-d1-4][.):] [^\n]{0,600}\n\s{0,4}(?:- )?\(?[b-e2-5][.):] [^\n]{0,600}\n\s{0,4}(?:- )?\(?[c-f3-6][.):] ",
    r"^[ \t]*(?:- )?\(?a[.):] [^\n]{0,400}\n\s{0,4}(?:- )?\(?b[.):] ",
    r"\b(?:choices|options):\s{0,4}(?:- )?\(?[a1]\)",
    r"\(a\)[^\n]{1,200}\(b\)[^\n]{1,200}\(c\)",
)
_LETTERED = re.compile(r"^[ \t]*(?:- )?\(?[bB][.):]\s|\([bB]\) |\b(?:choices|options):", re.MULTILINE)
_SOFT_CHOICE = _rule(Task.FACTUAL, "multiple choice", "which true", r"\bwhich of the following\b", r"^true or false\b")
_MATH_TERMS = _rule(
    Task.MATH,
    "mathematical terms",
    "derivative integral differentiate integrate quadratic polynomial factorise factorize determinant eigenvalue eigenvalues "
    "logarithm hypotenuse prime divisor multiple root deviation solve simplify equations sequence series modulo",
    r"\b(?:derivative|integral|differentiate|integrate|quadratic|polynomial|factori[sz]e|determinant|eigenvalues?|logarithm|"
    r"hypotenuse|prime factors?|greatest common divisor|least common multiple|square root|cube root|standard deviation|"
    r"solve for [a-z]|simplify the expression|system of equations|arithmetic sequence|geometric series|modulo)\b",
)
_CHANCE = _rule(
    Task.MATH,
    "asks for a probability",
    "probability odds chance",
    r"\b(?:probability|odds|chance) (?:of|that)\b[^.?!]{0,120}\b(?:dice|die|coins?|cards?|balls?|rolls?|draws?|at least|exactly|neither)\b",
)
_EQUATION = _any(r"\bf\(x\) ?=", r"(?<![\w.])\d{0,4}[a-z] ?(?:\^ ?\d|\*\* ?\d)? ?[-+*] ?\d{0,4}[a-z]? ?= ?-?\d")
_PROOF = _rule(
    Task.MATH,
    "asks for a proof",
    "prove show",
    r"\b(?:prove|show) that\b[^.?!\n]{0,160}\b(?:numbers?|integers?|irrational|rational|convex|even|odd|primes?|continuous|"
    r"divisible|converges?|group|matrix|triangle|bounded|finite|infinite|sum|square)\b",
)
_QUANTITY = _any(
    r"\bhow (?:many|much|far|long|old|tall|fast|heavy|often|big)\b",
    r"\bwhat(?:'s|\u2019s| is| was| will| are| would| fraction| percent(?:age)?)\b[^?]{0,140}\b(?:total|average|mean|sum|cost|price|"
    r"profit|speed|distance|age|area|perimeter|volume|percent(?:age)?|ratio|number|interest|amount|weight|length|height|salary|"
    r"left|value|rate|capacity|difference|combined|each|pension|final|position|place|revenue)\b",
    r"\b(?:what percentage|what fraction|calculate|compute|determine|find)\b[^?.\n]{0,60}\b(?:total|average|sum|cost|price|profit|"
    r"age|area|perimeter|volume|percent|ratio|number|value|f\()",
    r"\bhow \w+ (?:farther|more|less|fewer|longer|older|is|are|does|did|will)\b",
)
_QUANTITY_CUES = _words("how what calculate compute determine find fraction percentage percent")
_DIGIT = re.compile(r"\d")
_NUMBER_WORDS = _words(
    "two three four five six seven eight nine ten eleven twelve twenty thirty fifty hundred dozen half twice double triple "
    "thrice quarter third thirds"
)
_NUMBER = re.compile(rf"\d+(?:[.,/]\d+)*%?|\b(?:{'|'.join(sorted(_NUMBER_WORDS))})\b")
_MAKING = re.compile(
    r"(?:^|[.!?:]\s|\bplease |\byou to |\bto )(?:write|implement|code|rewrite|translate|summari[sz]e|estimate|recommend|suggest)\b"
    r"|\b(?:fps|gb|mbps|ghz)\b",
    re.MULTILINE,
)
_FACT = _any(
    r"^(?:so |and |hi,? |hello,? |please tell me |tell me |can you tell me |do you know )?"
    r"(?:who|whom|whose|when|where)\s(?:is|are|was|were|did|does|do|has|had|invented|discovered|wrote|painted|founded|won|said|first)\b",
    r"^(?:so |and |please tell me |tell me |can you tell me )?(?:what|which)\s(?:is|was|are|were)?\s?(?:the\s)?(?:name|capital|population|currency|"
    r"(?:chemical )?symbol|(?:chemical )?formula|largest|smallest|longest|highest|tallest|deepest|fastest|first|last|oldest|boiling point|"
    r"melting point|definition|difference between|year|date|country|city|planet|river|element|president|author|"
    r"organ|number of|function of|purpose of|main cause|full form|atomic)\b",
    r"^(?:what|which)\s(?:year|country|city|planet|element|river|language|president|animal|company|organ|gas|metal|vitamin|war|scientist)\b",
    r"^(?:what|which) (?:does|do|did) .{1,80} (?:mean|stand for)\b",
    r"^(?:in what year|in which|how (?:many|far|tall|old|long|deep|big|high) (?:is|are|was|were|does|do|did))\b",
    r"^what (?:happens (?:if|when|to)|is|are|was) [^\n?\d]{3,60}\?$",
    r"^how (?:does|do|did) (?:an? |the )?[^\n?]{3,60} work\?$",
)
# Words of taste and of the asker's own case: such a question has no one answer.
_PERSONAL = _words(
    "best good better some should your you my i me we us our way ways tips favorite favourite idea ideas like feel think opinion "
    "rational need believe love recommend example examples pros cons worth most important primary key interesting fun life"
)
_OPEN_ASK = _rule(
    Task.OPEN,
    "asks for advice or rewriting",
    "brainstorm suggest suggestions suggested recommend recommendations ideas tips advice should help opinion think pros rewrite rephrase "
    "paraphrase summarise summarize proofread improve plan itinerary recipe workout feel persuade convince continue examples",
    r"\b(?:brainstorm|suggest|recommend|give me (?:\w+ )?(?:ideas|tips|advice|suggestions)|any (?:suggestions|advice|tips|ideas)|what should i|"
    r"how should i|help me (?:plan|write|decide|choose)|your opinion|do you think|pros and cons|rewrite|rephrase|paraphrase|summari[sz]e|"
    r"proofread|improve the (?:following|text|writing)|plan (?:a|my|an)\b|itinerary|recipe|workout|how would you feel|persuade|convince|"
    r"continue the|ideas for|tips for|tips on|advice on|give examples of)\b",
)
_COMMON = _words(
    "the is are a an of to in and for what how who when where which why write give me i my you do does with that this it can please "
    "on be from if has have was were make create list find tell explain as by she he they"
)
_WORD = re.compile(r"[a-z]+")


@values.value(frozen=True, slots=True)
class Reading:
    """An ask as the rules read it: its window in lower case, the words of that, in order and as a set, and its numbers."""

    text: str
    listed: list[str]
    words: frozenset[str]
    numbers: int


def reading(ask: str) -> Reading:
    """Read an ask once, for all that is asked of it here."""
    return _read(window(ask).lower())


def _read(text: str) -> Reading:
    listed = _WORD.findall(text)
    words = frozenset(listed)
    some = _DIGIT.search(text) is not None or not _NUMBER_WORDS.isdisjoint(words)
    return Reading(text, listed, words, len(_NUMBER.findall(text)) if some else 0)


def classify_by_rules(ask: str, *, json_format: bool = False, read: Reading | None = None) -> Verdict | None:
    """The task of a human ask, or None when no rule is sure. `json_format`: the request carries a JSON response format."""
    if json_format:
        return Verdict(Task.STRUCTURED, "response_format asks for JSON")
    read = read or reading(ask)
    text, words = read.text, read.words
    if not is_english(text, read.listed):
        return _in_any_language(text, words)
    wrapped = _WRAPPED.search(text) if "json" in words else None
    if wrapped is not None:
        text = text[: max(text.rfind("\n\n", 0, wrapped.start()), 0)].rsplit("\n\n## instruction", 1)[0]
        return _by_content(_read(text))
    if _CALLS.holds(text, words):
        return _CALLS.verdict
    if _STRUCTURED.holds(text, words) and not _CODE_ASK.holds(text, words) and not _CHOICES.holds(text, words):
        return _STRUCTURED.verdict
    return _by_content(read)


def has_choices(ask: str) -> bool:
    """Whether a prompt offers lettered answers to choose from."""
    return _LETTERED.search(window(ask)) is not None


def _in_any_language(text: str, words: frozenset[str]) -> Verdict | None:
    if _has_code(text):
        return _CONTAINS_CODE
    if find_expression(text) is not None and _LETTERED.search(text) is None:
        return Verdict(Task.MATH, "arithmetic expression")
    return None


def _by_content(read: Reading) -> Verdict | None:
    text, words = read.text, read.words
    if _has_code(text):
        return _CONTAINS_CODE
    if _CHOICES.holds(text, words):
        return _CHOICES.verdict
    quantities = _quantities(read)
    if quantities >= 3 and text.rstrip().endswith("?") and not _MAKING.search(text):
        return Verdict(Task.MATH, "word problem")
    for rule in (_CREATIVE, _PERSONA):
        if rule.holds(text, words) and not _CODE_LANGUAGE_ASK.holds(text, words):
            return rule.verdict
    if find_expression(text) is not None:
        return Verdict(Task.MATH, "arithmetic expression")
    for rule in (_CODE_ASK, _SOFT_CHOICE, _PROOF):
        if rule.holds(text, words):
            return rule.verdict
    if "=" in text and _EQUATION.search(text):
        return Verdict(Task.MATH, "equation")
    for rule in (_MATH_TERMS, _CHANCE):
        if read.numbers and rule.holds(text, words):
            return rule.verdict
    if _OPEN_ASK.holds(text, words):
        return _OPEN_ASK.verdict
    if quantities >= 2 and not _MAKING.search(text):
        return Verdict(Task.MATH, "word problem")
    if len(text) < FACT_CHARS and _PERSONAL.isdisjoint(words) and _FACT.search(text):
        return Verdict(Task.FACTUAL, "question of fact")
    return None


def _has_code(text: str) -> bool:
    for hint, pattern in _CODE_MARKS:  # noqa: SIM110 - a generator takes twice as long, and each request comes by here
        if hint in text and pattern.search(text) is not None:
            return True
    return False


def _quantities(read: Reading) -> int:
    """How many numbers stand in a text that asks for a quantity; 0 when it asks for none."""
    if read.numbers < 2 or _QUANTITY_CUES.isdisjoint(read.words):
        return 0
    return read.numbers if _QUANTITY.search(read.text) else 0


_CODE_LANGUAGE_ASK = _rule(
    Task.CODE,
    "asks for code",
    _LANGUAGE_CUES,
    rf"\b(?:{_CODE_THING})\b[^.?!\n]{{0,60}}\bin\s(?:{_LANGUAGES})(?![\w])",
    rf"\b(?:{_LANGUAGES})\shooks?\b",
)

_HARD_CUES = (
    "prove proof theorem derive lemma formally step optimize optimise complexity concurrent concurrency thread distributed lock "
    "race deadlock edge trade tradeoff tradeoffs constraint constraints requirement requirements depth detail comprehensive "
    "rigorous refactor architecture dynamic backtracking amortized nested differential integral eigenvalue matrix "
    "combinatorics bayes variance induction files"
)
_HARD = _rule(
    Task.OPEN,
    "hard",
    _HARD_CUES,
    r"\b(?:prove|proof|theorem|derive|lemma|formally)\b",
    r"\bstep[- ]by[- ]step\b",
    r"\b(?:optimi[sz]e|time complexity|space complexity|concurren(?:t|cy)|thread-safe|distributed|lock-free|race condition|deadlock)\b",
    r"\b(?:edge cases|trade-?offs?|constraints?|requirements?|in depth|in detail|comprehensive|rigorous)\b",
    r"\b(?:refactor|architecture|dynamic programming|backtracking|amortized|multi-step|nested|(?:multiple|several|across) files)\b",
    r"\b(?:differential equation|integral|eigenvalue|matrix|combinatorics|bayes|variance|induction)\b",
)
_LISTED = re.compile(r"^[ \t]*(?:[-*\u2022]|\d{1,3}[.)])[ \t]", re.MULTILINE)


def is_hard(ask: str, read: Reading | None = None) -> bool:
    """Difficulty from plain features: length, listed demands, numbers to juggle, and words of hard work. Two count."""
    read = read or reading(ask)
    text = read.text
    points = 2 if len(ask) > 6_000 else 1 if len(ask) > 1_500 else 0
    if not _HARD.cues.isdisjoint(read.words):
        points += min(2, len(set(_HARD.pattern.findall(text))))
    points += 1 if text.count("\n") >= 3 and len(_LISTED.findall(text)) >= 4 else 0
    points += 1 if read.numbers >= 8 else 0
    return points >= 2


def window(ask: str) -> str:
    """The bounded part of a long ask that the rules read: its head and its tail."""
    if len(ask) > HEAD_CHARS + TAIL_CHARS:
        ask = ask[:HEAD_CHARS] + "\n" + ask[-TAIL_CHARS:]
    return ask.strip()


def is_english(text: str, words: list[str]) -> bool:
    """Whether word rules may be trusted: next to no foreign letters, and common English words among the words."""
    if not words:
        return False
    if not text.isascii():
        head = text[:800]
        letters = sum(char.isalpha() for char in head)
        foreign = sum(char.isalpha() and not char.isascii() for char in head)
        if foreign > 0.1 * letters:
            return False
    seen = words[:150]
    return sum(word in _COMMON for word in seen) >= max(1, len(seen) * 0.12)
