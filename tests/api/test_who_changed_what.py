"""The audit log: every administrative act is kept with who, when, what, before and after, and nothing changes it afterwards."""

from __future__ import annotations

import csv
import io
import re
import time
from pathlib import Path

import arbiter_app
from arbiter_app.pipeline.types import Caller, Role
from tests.conftest import Running, running

ADA = Caller("arb_adaadaad", Role.OPERATOR, "ada@example.com")


def noted(gateway: Running, action: str, subject: str, before: object, after: object) -> None:
    gateway.run(lambda: gateway.arbiter.audit.note(ADA, action, subject, before=before, after=after))


def test_an_act_is_told_with_who_when_and_what_it_changed(own_gateway: Running) -> None:
    began = time.time()
    noted(own_gateway, "thing.edit", "house", {"input": 1.5}, {"input": 2})
    noted(own_gateway, "thing.add", "other", None, [1, "two", None])
    newest, oldest = own_gateway.http.get("/v1/audit").json()["data"]
    assert (newest["subject"], newest["before"], newest["after"]) == ("other", None, [1, "two", None])
    assert (oldest["key_id"], oldest["email"], oldest["action"]) == (ADA.key_id, ADA.email, "thing.edit")
    assert (oldest["before"], oldest["after"]) == ({"input": 1.5}, {"input": 2})
    assert began - 1 <= oldest["ts"] <= newest["ts"] <= time.time() + 1
    assert [row["subject"] for row in own_gateway.http.get("/v1/audit?subject=house").json()["data"]] == ["house"]


def test_the_log_is_read_in_pages_to_its_end(own_gateway: Running) -> None:
    for at in range(7):
        noted(own_gateway, "thing.edit", f"t-{at}", None, at)
    found, cursor = [], None
    while True:
        page = own_gateway.http.get("/v1/audit", params={"limit": 3, **({"before": cursor} if cursor else {})}).json()
        found += [row["after"] for row in page["data"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert found == [6, 5, 4, 3, 2, 1, 0]


def test_as_csv_it_is_whole_and_no_cell_is_a_formula(own_gateway: Running) -> None:
    for at in range(1_203):
        noted(own_gateway, "thing.edit", "=1+1" if at == 0 else f"t-{at}", None, {"at": at})
    answer = own_gateway.http.get("/v1/audit.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    head, *rows = csv.reader(io.StringIO(answer.text))
    assert head == ["id", "time", "key_id", "email", "action", "subject", "before", "after"]
    assert len(rows) == 1_203 and rows[-1][5] == "'=1+1" and rows[0][7] == '{"at":1202}'
    assert rows[0][1].endswith("+00:00")


def test_a_reset_is_on_record_and_takes_no_entry_away(tmp_path: Path) -> None:
    with running(tmp_path) as one:
        noted(one, "thing.edit", "house", 1, 2)
        one.http.post("/v1/reset")
        rows = one.http.get("/v1/audit").json()["data"]
        assert [row["action"] for row in rows] == ["store.reset", "thing.edit"]
        assert rows[0]["key_id"] == "settings-1"
    with running(tmp_path) as again:
        assert [row["action"] for row in again.http.get("/v1/audit").json()["data"]] == ["store.reset", "thing.edit"]


def test_nothing_in_the_product_changes_or_removes_an_entry() -> None:
    """Rows are inserted in one place; no other statement names the table."""
    store = Path(arbiter_app.__file__).parent / "store"
    sources = {path.name: path.read_text("utf-8") for path in store.rglob("*.py")}
    assert {name for name, text in sources.items() if "AuditEntry" in text} == {"audit.py", "tables.py"}
    assert not re.search(r"\b(update|delete)\(", sources["audit.py"])
