"""What programs print becomes numbers, or an error that says what was missing."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from harness.core.errors import InfrastructureError
from harness.measure.workloads import printed
from harness.measure.workloads.declared import Declared
from harness.project.workload_tables import WorkloadTable


def test_json_takes_the_last_object_and_nested_keys() -> None:
    text = 'starting\n{"ns": 1}\n{"latency": {"p99": 12.5}, "ns": 2}\ndone\n'
    assert printed.from_json(text, "latency.p99") == 12.5
    assert printed.from_json(text, "ns") == 2.0


@pytest.mark.parametrize(("text", "words"), [
    ("", "printed nothing"),
    ("hello\n", "no line that is a JSON object"),
    ('{"other": 1}\n', "no number for 'ns'"),
    ('{"ns": NaN}\n', "nan for 'ns'"),
    ('{"ns": "fast"}\n', "but 'fast'"),
    ('{"ns": true}\n', "no number for 'ns'"),
])
def test_json_without_the_number_says_so(text: str, words: str) -> None:
    with pytest.raises(InfrastructureError, match=words):
        printed.from_json(text, "ns")


def test_a_pattern_takes_its_last_match() -> None:
    text = "rate: 1,000 ops\nrate: 2,500.5 ops\n"
    assert printed.from_pattern(text, r"rate: ([\d,.]+)") == 2500.5
    with pytest.raises(InfrastructureError, match="nothing that matches"):
        printed.from_pattern(text, r"latency: ([\d.]+)")


@pytest.mark.parametrize(("text", "found"), [
    ("12.5", (12.5, "")), ("warm\n1,234 ns/op\n", (1234.0, "ns/op")),
    ("Total time: 0.125 s", (0.125, "s")), ("12 of 14 tests", None), ("", None), ("done", None),
])
def test_a_last_line_that_is_a_number_is_the_programs_own(
    text: str, found: tuple[float, str] | None
) -> None:
    assert printed.last_number(text) == found


@pytest.mark.parametrize(("table", "words"), [
    ({"run": "./b {n}"}, "`params` does not"),
    ({"run": "./b {0}"}, "is no parameter"),
    ({"run": "./b", "params": {"n": 1}}, "has no {n} for it"),
    ({"run": "./b", "parse": "json"}, "needs"),
    ({"run": "./b", "metrics": [{"name": "ns", "unit": "ns"}]}, "need `parse"),
    ({"run": "./b", "parse": "regex", "metrics": [{"name": "ns", "unit": "ns"}]}, "`pattern`"),
    ({"run": "./b", "parse": "regex",
      "metrics": [{"name": "ns", "unit": "ns", "pattern": "x"}]}, "one group"),
    ({"run": ""}, "at least 1 character"),
    ({"run": "./b", "packages": ["two words"]}, "match pattern"),
])
def test_a_table_that_cannot_work_is_refused(table: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        WorkloadTable.model_validate(table)


def test_braces_can_be_written() -> None:
    table = WorkloadTable(run="awk '{{print $1}}' {n}", params={"n": [1, 2]})
    assert table.placeholders() == ["n"]
    assert table.run.format(n=1) == "awk '{print $1}' 1"


def test_a_table_brings_its_packages() -> None:
    table = WorkloadTable(run="sqlite3 :memory: .exit", packages=["sqlite3"])
    assert Declared("mine", table).packages({}) == ["sqlite3"]
