"""Token estimates: never far under what tokenizers count, whatever the script, and quick at any length."""

from __future__ import annotations

import time
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbiter_app.pipeline.tokens import TokenRatios, estimate_messages, estimate_tokens
from tests.clock import least_cpu_s

# The most that one of three vocabularies (100k and 200k byte-pair ones, and one that spells numbers digit by digit) takes.
COUNTED = {
    "prose": ("The ferry leaves the harbour at seven in the morning and comes back before the market closes.", 18),
    "names": ("Then Priya gave Oskar's brother Mateusz 14 marbles, while Ingrid kept 3,250 of them.", 30),
    "code": (
        'def mean(values: list[float]) -> float:\n    """Arithmetic mean."""\n    return sum(values) / len(values) if values else 0.0\n',
        33,
    ),
    "json": ('{"id": 48213, "tags": ["north", "south"], "size": {"w": 12.5, "h": 7.25}}', 40),
    "german": (
        "Die Donaudampfschifffahrtsgesellschaft veröffentlichte gestern ihre Geschäftsergebnisse für das vergangene Jahr.",
        32,
    ),
    "polish": ("Chrząszcz brzmi w trzcinie w Szczebrzeszynie, a dźwięk niesie się daleko.", 34),
    "chinese": ("渡輪早上七點離開港口，市場關門之前回來。", 31),
    "japanese": ("フェリーは朝七時に港を出て、市場が閉まる前に戻ります。", 31),
    "korean": ("여객선은 아침 일곱 시에 항구를 떠나 시장이 닫히기 전에 돌아옵니다.", 40),
    "russian": ("Паром выходит из гавани в семь утра и возвращается до закрытия рынка.", 31),
    "arabic": ("تغادر العبارة الميناء في السابعة صباحا وتعود قبل إغلاق السوق.", 40),
    "hindi": ("नौका सुबह सात बजे बंदरगाह से निकलती है और बाज़ार बंद होने से पहले लौट आती है।", 81),
    "thai": ("เรือข้ามฟากออกจากท่าเรือเวลาเจ็ดโมงเช้าและกลับมาก่อนตลาดปิด", 55),
    "emoji": ("\ud83d\ude00\ud83c\udf89\ud83d\ude80\ud83d\udd25\ud83d\udc69\u200d\ud83d\udc69\u200d\ud83d\udc67", 24),
    "base64": ("q83vEjRWeJq83vASNFZ4mrze8BI0Vniat9k2mZ0fYxG7bLh5cQpXwA==", 47),
    "hex": ("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", 59),
    "digits": ("31415926535897932384626433832795028841971693993751", 50),
    "spaces": ("a" + " " * 300 + "b", 5),
    "latex": ("\\int_0^\\infty e^{-x^2}\\,dx = \\frac{\\sqrt{\\pi}}{2}", 26),
}


@pytest.mark.parametrize("name", COUNTED)
def test_no_script_is_estimated_under_nine_tenths(name: str) -> None:
    text, real = COUNTED[name]
    assert estimate_tokens(text) >= 0.9 * real
    assert estimate_tokens(text * 40) >= 0.9 * real * 40


@pytest.mark.parametrize("name", ["prose", "code", "json", "latex"])
def test_ordinary_text_is_not_estimated_far_over(name: str) -> None:
    text, real = COUNTED[name]
    assert estimate_tokens(text) <= 1.6 * real


@pytest.mark.parametrize(
    "unit", ["The quick brown fox. ", "\u4eba\u5de5\u667a\u80fd", "\U0001f600", "a1B2c3D4", " ", "x\n", "="]
)
def test_a_megabyte_costs_milliseconds(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    estimate_tokens(text[:100])
    assert least_cpu_s(partial(estimate_tokens, text)) < 0.05


def test_a_long_text_of_parts_is_sampled_evenly() -> None:
    prose, chinese = "The quick brown fox jumps over the lazy dog. " * 4_000, "\u4eba\u5de5\u667a\u80fd" * 45_000
    apart = estimate_tokens(prose) + estimate_tokens(chinese)
    assert estimate_tokens(prose + chinese) == pytest.approx(apart, rel=0.08)


def test_many_messages_cost_no_more_than_one_long_one() -> None:
    messages = [{"role": "user", "content": "The quick brown fox. " * 400}] * 500
    assert least_cpu_s(partial(estimate_messages, messages)) < 0.08


def test_what_came_before_is_not_measured_again() -> None:
    """Instructions and earlier turns come with every request: only the new turn costs anything."""
    turns = [{"role": "user", "content": f"{COUNTED['prose'][0]} {turn}. " * 40} for turn in range(4)]
    said = [{"role": "system", "content": COUNTED["code"][0] * 900}, *turns]
    clock = time.process_time
    before = clock()
    first = estimate_messages(said)
    between = clock()
    again = [estimate_messages([*said, {"role": "user", "content": f"And {turn}?"}]) for turn in range(50)]
    assert (clock() - between) / 50 < (between - before) / 5
    assert max(again) - min(again) <= 1
    assert min(again) >= first + 5


@settings(max_examples=200)
@given(st.text(max_size=300), st.text(max_size=300))
def test_an_estimate_is_whole_and_grows_with_the_text(one: str, other: str) -> None:
    assert 0 <= estimate_tokens(one) <= 5 * len(one) + 1
    assert estimate_tokens(f"{one} {other}") + 12 >= 0.45 * (estimate_tokens(one) + estimate_tokens(other))


def test_calls_and_odd_contents_are_counted() -> None:
    plain = estimate_messages([{"role": "assistant", "content": None}])
    called = [{"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "book", "arguments": "{}"}}]}]
    assert estimate_messages(called) > plain
    assert estimate_messages([{"role": "user", "content": 7}, {"role": "user"}]) == plain + 4
    assert estimate_messages([{"role": "user", "content": "hi"}], {"odd": {1, 2}}) > 0


def test_ratios_ignore_what_is_no_measurement() -> None:
    ratios = TokenRatios()
    ratios.record("m", estimated=0, real=50)
    ratios.record("m", estimated=50, real=0)
    assert ratios.of("m") == 1.0
