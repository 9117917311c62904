"""Recorded traffic as streams: prompts with the quality and the cost of every model, from Parquet, CSV or JSONL."""

from __future__ import annotations

import csv
import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Row = Mapping[str, Any]

NEEDED = ("task", "model", "quality", "cost_usd")
MIX_MODELS = 4


class TrafficError(ValueError):
    """The file cannot be replayed; the message says what is missing."""


@dataclass(frozen=True)
class Stream:
    """One recorded stream: tasks and prompts [n], models [m], quality 0..1, cost in USD and tokens [n, m] (NaN: unknown). `segments` [n] tell
    requests of one task apart, "" where nothing does; `kinds` [n] are both."""

    name: str
    tasks: tuple[str, ...]
    prompts: tuple[str, ...]
    models: tuple[str, ...]
    quality: Floats
    cost: Floats
    tokens: Floats
    segments: tuple[str, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        """The task of each request, with its segment where there is one."""
        if not any(self.segments):
            return self.tasks
        return tuple(f"{task}, {one}" for task, one in zip(self.tasks, self.segments, strict=True))

    def __len__(self) -> int:
        return len(self.tasks)


def read_rows(path: Path) -> list[Row]:
    """The rows of a file, by its suffix: .parquet, .csv, .jsonl. Raises TrafficError."""
    rows = [_named(row) for row in read_table(path)]
    missing = [name for name in NEEDED if not rows or name not in rows[0]]
    if missing:
        raise TrafficError(f"{path}: no column {', '.join(missing)}; needs task, prompt, model, quality and cost_usd")
    return rows


def read_table(path: Path) -> Iterator[Row]:
    """The rows of a file as they are, by its suffix. Raises TrafficError."""
    readers = {".parquet": _parquet, ".csv": _csv, ".jsonl": _jsonl}
    if path.suffix not in readers:
        raise TrafficError(f"{path}: want one of {', '.join(readers)}")
    return readers[path.suffix](path)


def streams(rows: Sequence[Row], mixes: Mapping[str, str], segment: str = "") -> list[Stream]:
    """One stream for each value of `dataset`, then the mixes: name -> `PATTERN` or `PATTERN:model,model`. `segment` is the column that
    tells segments apart.

    Datasets of one family (the name before the first underscore) with the same pool of several models are mixed, too.
    """
    by_dataset: dict[str, list[Row]] = {}
    for row in rows:
        by_dataset.setdefault(str(row.get("dataset") or "traffic"), []).append(row)
    found = [_stream(name, by_dataset[name], None, segment) for name in sorted(by_dataset)]
    for name, wanted in {**_families(found), **mixes}.items():
        pattern, _, models = wanted.partition(":")
        chosen = [row for dataset in sorted(by_dataset) if fnmatchcase(dataset, pattern) for row in by_dataset[dataset]]
        if not chosen:
            raise TrafficError(f"no dataset matches {pattern!r}")
        found.append(_stream(name, chosen, set(models.split(",")) if models else None, segment))
    return [stream for stream in found if len(stream)]


def _families(found: Iterable[Stream]) -> dict[str, str]:
    pools: dict[str, list[tuple[str, ...]]] = {}
    for stream in found:
        pools.setdefault(stream.name.partition("_")[0], []).append(stream.models)
    return {
        f"{family}_mix": f"{family}_*"
        for family, several in pools.items()
        if len(several) > 1 and len(several[0]) >= MIX_MODELS and len(set(several)) == 1
    }


def _stream(name: str, rows: Sequence[Row], wanted: set[str] | None, segment: str) -> Stream:
    rows = [row for row in rows if wanted is None or row["model"] in wanted]
    models = sorted({str(row["model"]) for row in rows})
    prompts: dict[str, dict[str, Row]] = {}
    for row in rows:
        key = f"{row.get('dataset') or ''}|{row.get('prompt_id') or row.get('prompt')}"
        prompts.setdefault(key, {})[str(row["model"])] = row
    whole = [prompts[key] for key in sorted(prompts) if _complete(prompts[key], models)]
    firsts = [next(iter(one.values())) for one in whole]
    quality, cost, tokens = (_matrix(whole, models, value) for value in (_quality, _cost, _tokens))
    return Stream(
        name,
        tuple(str(row["task"]) for row in firsts),
        tuple(str(row.get("prompt") or "") for row in firsts),
        tuple(models),
        quality,
        cost,
        tokens,
        tuple(str(row.get(segment) or "") if segment else "" for row in firsts),
    )


def _complete(by_model: Mapping[str, Row], models: Sequence[str]) -> bool:
    return len(by_model) == len(models) and all(
        np.isfinite(_quality(row)) and np.isfinite(_cost(row)) for row in by_model.values()
    )


def _matrix(prompts: Sequence[Mapping[str, Row]], models: Sequence[str], value: Any) -> Floats:
    return np.array([[value(one[model]) for model in models] for one in prompts]).reshape(len(prompts), len(models))


def _quality(row: Row) -> float:
    return _number(row["quality"])


def _cost(row: Row) -> float:
    return _number(row["cost_usd"])


def _tokens(row: Row) -> float:
    return _number(row.get("prompt_tokens")) + _number(row.get("completion_tokens"))


def _number(value: Any) -> float:
    return float(value) if value is not None and value != "" else float("nan")


def _named(row: Row) -> Row:
    return {**row, "cost_usd": row["cost"]} if "cost" in row and "cost_usd" not in row else row


def _parquet(path: Path) -> Iterator[Row]:
    if not path.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise TrafficError("reading Parquet needs pyarrow: pip install pyarrow, or convert the file to CSV") from error
    yield from parquet.read_table(path).to_pylist()


def _csv(path: Path) -> Iterator[Row]:
    with path.open(newline="", encoding="utf-8") as lines:
        yield from csv.DictReader(lines)


def _jsonl(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise TrafficError(f"{path}, line {number}: {error}") from error
