"""The Grafana dashboard: it has what Grafana imports, and shows metrics that exist."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from sequence_tutor.distributed.metrics.prometheus_series import BULK_SERIES, RUN_SERIES

FILE = Path(__file__).parents[3] / "cluster" / "grafana.json"
OURS = {s.exported_name: s for s in (*RUN_SERIES, *BULK_SERIES)}
# Metrics of Ray itself on the dashboard; a real run exports all of them but those of GPUs.
RAYS = {
    "ray_node_cpu_count",
    "ray_node_cpu_utilization",
    "ray_node_gpus_utilization",
    "ray_node_mem_total_host",
    "ray_node_mem_used_host",
    "ray_object_store_memory",
    "ray_resources",
}
ROWS = (
    "Is it working?",
    "Where is the bottleneck?",
    "Learning",
    "The rewards' health",
    "Losses and the record",
    "Scoring a file",
    "Cluster",
)


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    return json.loads(FILE.read_text(encoding="utf-8"))


def expressions(dashboard: dict[str, Any]) -> list[str]:
    return [t["expr"] for p in dashboard["panels"] for t in p.get("targets", [])]


def metrics_in(expression: str) -> set[str]:
    return set(re.findall(r"\bray_\w+", expression))


def overlapping(panels: list[dict[str, Any]]) -> list[tuple[str, str]]:
    def apart(a: dict[str, int], b: dict[str, int]) -> bool:
        return (
            a["x"] + a["w"] <= b["x"]
            or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"]
            or b["y"] + b["h"] <= a["y"]
        )

    pairs = combinations(panels, 2)
    return [(a["title"], b["title"]) for a, b in pairs if not apart(a["gridPos"], b["gridPos"])]


def test_every_metric_shown_exists(dashboard: dict[str, Any]):
    shown = set().union(*map(metrics_in, expressions(dashboard)))
    assert shown - OURS.keys() - RAYS == set()
    assert RAYS <= shown


def test_every_exported_metric_is_shown(dashboard: dict[str, Any]):
    shown = set().union(*map(metrics_in, expressions(dashboard)))
    assert OURS.keys() - shown == set()


def test_control_metrics_are_found_in_an_expression():
    text = 'sum by (run) (rate(ray_a_total{run=~"$run"}[5m])) / ray_b'
    assert metrics_in(text) == {"ray_a_total", "ray_b"}


def test_a_panel_shows_only_the_chosen_runs(dashboard: dict[str, Any]):
    for expression in expressions(dashboard):
        ours = [name for name in metrics_in(expression) if name in OURS]
        assert expression.count('{run=~"$run"') >= len(ours), expression


def test_labels_in_expressions_are_those_of_the_metrics(dashboard: dict[str, Any]):
    for expression in expressions(dashboard):
        allowed = {"run", "run_id"} | {OURS[n].label for n in metrics_in(expression) if n in OURS}
        if metrics_in(expression) & OURS.keys():
            for labels in re.findall(r"by \(([^)]*)\)", expression):
                assert set(labels.split(", ")) <= allowed, expression


def test_only_counters_have_rates(dashboard: dict[str, Any]):
    for expression in expressions(dashboard):
        for function, name in re.findall(r"\b(\w+)\((ray_sequence_tutor_\w+)", expression):
            is_rate = function in ("rate", "increase")
            assert is_rate <= (OURS[name].kind != "gauge"), expression


def test_the_dashboard_has_what_grafana_imports(dashboard: dict[str, Any]):
    assert dashboard["schemaVersion"] >= 36 and dashboard["title"] and dashboard["uid"]
    assert "id" not in dashboard and "__inputs" not in dashboard
    panels = dashboard["panels"]
    ids = [panel["id"] for panel in panels]
    assert len(set(ids)) == len(ids)
    assert [p["title"] for p in panels if p["type"] == "row"] == list(ROWS)
    for panel in panels:
        grid = panel["gridPos"]
        assert grid.keys() == {"h", "w", "x", "y"} and grid["x"] + grid["w"] <= 24
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            references = [target["refId"] for target in panel["targets"]]
            assert references and len(set(references)) == len(references)
            assert all(target["expr"] for target in panel["targets"])


def test_the_variables_are_the_data_source_and_the_runs(dashboard: dict[str, Any]):
    source, run = dashboard["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == (
        "datasource",
        "datasource",
        "prometheus",
    )
    assert (run["name"], run["multi"], run["includeAll"]) == ("run", True, True)
    assert run["definition"] == run["query"]["query"]
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(dashboard)))
    assert used <= {"datasource", "run", "__rate_interval", "__range", "__all"}


def test_no_two_panels_overlap(dashboard: dict[str, Any]):
    panels = dashboard["panels"]
    assert overlapping(panels) == []
    moved = [panels[1], panels[2] | {"gridPos": panels[1]["gridPos"]}]
    assert overlapping(moved) == [(panels[1]["title"], panels[2]["title"])]
