"""Grafana's dashboards in deploy/grafana: Grafana can read all of them, and everything that they ask for is measured. And the sections for alerts."""

import json
import re
import unittest
from collections import Counter
from pathlib import Path

import promql_parser
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
# What Prometheus adds to everything that it reads, and what it says itself.
OF_THE_SCRAPE = {"job", "instance"}
OF_PROMETHEUS = {"up": set(), "ALERTS": {"alertname", "alertstate"}}
# Which installation, in every query of a dashboard. The documents' queries are about the only one.
OF_THE_INSTALLATION = 'job="$job"'


def dashboards():
    """Every dashboard: (name of the file, dashboard)."""
    return [(file.name, json.loads(file.read_text())) for file in sorted((ROOT / "deploy/grafana").glob("*.json"))]


def panels(dashboard):
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries(panel):
    return [target["expr"] for target in panel["targets"]]


def measured():
    """Every series that there is, with its labels: those of docs/metrics.md, which a test compares with the code, and Prometheus' own."""
    series = dict(OF_PROMETHEUS)
    rows = re.findall(r"^\| `(edge_assistant_\w+)` \| (\w+) \| (.*?) \|", (DOCS / "metrics.md").read_text(), re.M)
    for name, kind, labels in rows:
        labels = set(re.findall(r"`(\w+)`", labels))
        if kind == "histogram":
            series.update({f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels})
        else:
            series[name] = labels
    return {name: labels | OF_THE_SCRAPE for name, labels in series.items()}


def asked(query):
    """What a query asks for: the series that it selects, each with the labels that it compares, and the labels that it groups by."""
    series, groups = [], set()

    def see(expression):
        if isinstance(expression, promql_parser.VectorSelector):
            series.append((expression.name, {matcher.name for matcher in expression.matchers.matchers}))
        if isinstance(expression, promql_parser.AggregateExpr) and expression.modifier:
            groups.update(expression.modifier.labels)

    promql_parser.walk(promql_parser.parse(query.replace("$__rate_interval", "5m")), see)
    return series, groups


class Dashboards(unittest.TestCase):
    def test_grafana_knows_every_field(self):
        register_default_plugins()
        self.assertTrue(dashboards())
        for name, dashboard in dashboards():
            read = json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))
            with self.subTest(name):
                # What its model does not have is not written again; what is left out is written with its default.
                self.assertEqual(lost(dashboard, read), [])

    def test_every_panel_has_its_own_number_and_place(self):
        for name, dashboard in dashboards():
            with self.subTest(name):
                numbers = [panel["id"] for panel in dashboard["panels"]]
                self.assertEqual(len(set(numbers)), len(numbers))
                places = Counter()
                for panel in dashboard["panels"]:
                    grid = panel["gridPos"]
                    self.assertLessEqual(grid["x"] + grid["w"], 24, panel["title"])
                    rows, columns = range(grid["y"], grid["y"] + grid["h"]), range(grid["x"], grid["x"] + grid["w"])
                    places.update((row, column) for row in rows for column in columns)
                self.assertEqual(max(places.values()), 1, "panels overlap")

    def test_what_they_ask_for_is_measured(self):
        known = measured()
        self.assertGreater(len(known), 20)
        for _, dashboard in dashboards():
            for panel in panels(dashboard):
                for target in panel["targets"]:
                    with self.subTest(panel["title"]):
                        series, groups = asked(target["expr"])
                        for name, labels in series:
                            self.assertIn(name, known)
                            self.assertLessEqual(labels | groups, known[name], name)
                            self.assertIn(OF_THE_INSTALLATION, target["expr"])
                        # Labels in the legend are those that the result still has.
                        shown = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
                        self.assertLessEqual(shown, groups or known[series[0][0]])

    def test_a_wrong_name_is_noticed(self):
        known = measured()
        series, groups = asked('sum by (colour) (rate(edge_assistant_runs_ended{state="x"}[5m]))')
        self.assertEqual((series, groups), ([("edge_assistant_runs_ended", {"state"})], {"colour"}))
        self.assertNotIn(series[0][0], known)
        self.assertEqual(known["edge_assistant_runs_ended_total"], {"outcome", "code"} | OF_THE_SCRAPE)

    def test_the_objectives_are_those_of_the_document(self):
        promised = re.findall(r"^# (.*)\n(.*)$", (DOCS / "slo.md").read_text().split("```")[1], re.M)
        ((_, dashboard),) = dashboards()
        shown = [(panel["title"], query) for panel in panels(dashboard) if panel["type"] == "stat" for query in queries(panel)]
        without = [(title, query.replace(f"{{{OF_THE_INSTALLATION}}}", "").replace(f"{OF_THE_INSTALLATION},", "")) for title, query in shown]
        self.assertEqual(without, promised)


def lost(wanted, got, path=""):
    """The paths of what is in the first document and not, or otherwise, in the second."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        return [place for key, value in wanted.items() for place in lost(value, got.get(key), f"{path}/{key}")]
    if isinstance(wanted, list) and isinstance(got, list) and len(wanted) == len(got):
        return [place for index, value in enumerate(wanted) for place in lost(value, got[index], f"{path}/{index}")]
    return [] if wanted == got else [path]


class Alerts(unittest.TestCase):
    def test_each_alert_names_its_section_and_each_section_has_an_alert(self):
        rules = "".join((DOCS / name).read_text() for name in ("runbooks/find-a-fault.md", "slo.md"))
        named = re.findall(r'- alert: (\w+)\n(?:.*\n)*?.*runbook: "docs/runbooks/alerts\.md#(\w+)"', rules)
        self.assertEqual(len(named), rules.count("- alert: "))
        for alert, section in named:
            self.assertEqual(section, alert.lower())
        sections = re.findall(r"^## (\w+)$", (DOCS / "runbooks/alerts.md").read_text(), re.M)
        self.assertEqual(sorted(alert for alert, _ in named), sorted(sections))

    def test_the_panels_that_the_sections_name_are_there(self):
        titles = {panel["title"] for _, dashboard in dashboards() for panel in panels(dashboard)}
        text = (DOCS / "runbooks/alerts.md").read_text()
        for title in titles:
            text = text.replace(f"*{title}*", "")
        # What is left is on the pages of the app.
        self.assertEqual(set(re.findall(r"(?<!\*)\*([A-Z][^*]+)\*(?!\*)", text)), {"Administration → Providers", "Administration → Usage", "Test", "Tools"})
