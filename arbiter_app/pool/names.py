"""One model has many names: `openai/gpt-4o`, `gpt-4o-2024-08-06`, `models/gemini-2.5-flash`, `llama3.3:70b`.

Names are compared in three steps of closeness, so that the closest one wins where a runtime lists several.
"""

from __future__ import annotations

import re

_TAGS = re.compile(r":(?:latest|free|nitro|floor|online|beta|extended|exacto|default|standard)$")
_REGIONS = re.compile(r"^(?:us|us-gov|eu|apac|global|jp|au)\.(?=[a-z])")
_VENDORS = re.compile(r"^(?:anthropic|meta|amazon|mistral|cohere|deepseek|openai|qwen|google|ai21|writer)\.(?=[a-z])")
_REVISION = re.compile(r"-v\d{1,2}:\d{1,2}$|@(?:default|latest|\d{8})$")
_DATE = re.compile(r"-(?:20\d\d-\d\d-\d\d|20\d{6}|\d\d-\d\d|\d\d-20\d\d|\d{4}|\d{3}|latest)$")
_BORDERS = re.compile(r"(?<=[a-z])(?=\d)|(?<=\d)p(?=\d)|[._:\s-]+")
_REPEATED = re.compile(r"^meta-(?=llama)")


def folded(name: str) -> str:
    """The name as it is compared: without case and outer space."""
    return name.strip().casefold()


def bare(name: str) -> str:
    """The name without who provides it, and without a tag that says on which terms: `openai/gpt-4o:free` is `gpt-4o`."""
    last = _TAGS.sub("", folded(name)).rstrip("/").rpartition("/")[2]
    return _VENDORS.sub("", _REGIONS.sub("", last))


def family(name: str) -> str:
    """The name without dates and revisions, spelt in one way: `gpt-4o-2024-08-06` is `gpt-4o`, `llama-v3p1` is `llama3.1`."""
    plain = _DATE.sub("", _REVISION.sub("", bare(name)))
    plain = re.sub(r"(?<=-)v(?=\d)", "", _REPEATED.sub("", plain))
    return "-".join(part for part in _BORDERS.split(plain) if part)


FORMS = (folded, bare, family)
"""The steps, closest first."""
