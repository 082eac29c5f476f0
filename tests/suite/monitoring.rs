//! The chart's alerts and dashboard: they ask for metrics, labels and reasons that the program has,
//! and the alerts fire when they should, by Prometheus' own `promtool`. Needs no server.

use std::collections::BTreeSet;

use anyhow::{Context, Result, anyhow, bail, ensure};
use oubliette::metrics::{ALL, Described};
use oubliette_core::api::reason::Reason;
use serde_json::{Value, json};

use crate::case::{Case, Needs};
use crate::chart::{self, EVERYTHING};
use crate::world::{World, repository};

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let case = |name: &str, body: fn(&World) -> Result<()>| {
        Case::new(format!("monitoring::{name}"), Needs::nothing(), body)
    };
    vec![
        case(
            "alerts_and_dashboard_ask_for_what_the_program_has",
            asked_for_exists,
        ),
        case("alerts_fire_when_they_should", alerts_fire),
        case("each_alert_is_in_the_manual", alerts_are_documented),
    ]
}

/// The groups of the PrometheusRule.
fn groups() -> Result<Value> {
    let objects = chart::template(&["--values", EVERYTHING])?;
    let rule = objects.iter().find(|o| o["kind"] == "PrometheusRule");
    Ok(json!({"groups": rule.context("there is no PrometheusRule")?["spec"]["groups"]}))
}

/// The alerts, each with its expression.
fn alerts() -> Result<Vec<(String, String)>> {
    let groups = groups()?;
    let rules = groups.pointer("/groups/0/rules").and_then(Value::as_array);
    let text = |rule: &Value, field: &str| {
        let text = rule[field].as_str().map(str::to_owned);
        text.with_context(|| format!("a rule has no {field}: {rule}"))
    };
    let rules = rules.context("there are no rules")?.iter();
    rules
        .map(|rule| Ok((text(rule, "alert")?, text(rule, "expr")?)))
        .collect()
}

/// What every value of this field in a document says.
fn texts(document: &Value, field: &str, found: &mut Vec<String>) {
    match document {
        Value::Object(fields) => {
            found.extend(fields.get(field).and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| texts(value, field, found));
        }
        Value::Array(items) => items.iter().for_each(|value| texts(value, field, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn asked_for_exists(_: &World) -> Result<()> {
    let objects = chart::template(&["--values", EVERYTHING])?;
    let dashboard = objects
        .iter()
        .find_map(|object| object["data"]["oubliette.json"].as_str())
        .context("there is no dashboard")?;
    let dashboard: Value = serde_json::from_str(dashboard).context("it is not JSON")?;
    let mut expressions: Vec<String> = alerts()?.into_iter().map(|(_, expr)| expr).collect();
    texts(&dashboard, "expr", &mut expressions);
    let mut asked = BTreeSet::new();
    for expression in &expressions {
        let names = check(expression).with_context(|| expression.clone())?;
        ensure!(!names.is_empty(), "{expression} asks for no metric");
        asked.extend(names);
    }
    let forgotten: Vec<&str> = ALL
        .iter()
        .map(|metric| metric.name)
        .filter(|name| !asked.contains(name))
        .collect();
    ensure!(forgotten.is_empty(), "nobody looks at {forgotten:?}");

    // The variables ask by another language: `label_values(METRIC{…}, LABEL)`.
    let mut definitions = Vec::new();
    texts(&dashboard, "definition", &mut definitions);
    ensure!(definitions.len() == 2, "{definitions:?}");
    for definition in definitions {
        let (metric, label) = definition
            .trim_start_matches("label_values(")
            .trim_end_matches(')')
            .rsplit_once(", ")
            .context("no label_values")?;
        check(&format!("max by ({label}) ({metric})")).with_context(|| definition.clone())?;
    }
    // That the check can fail.
    for wrong in [
        "oubliette_overdue",
        "oubliette_overdue_rows{polcy=\"p\"}",
        "max by (kind) (oubliette_overdue_rows)",
        "oubliette_reconcile_failures_total{reason=\"Rewound\"}",
        "rate(oubliette_runs_total{outcome=\"fialed\"}[5m])",
        "oubliette_overdue_rows_bucket",
    ] {
        ensure!(check(wrong).is_err(), "{wrong} is let pass");
    }
    Ok(())
}

/// Labels that scraping adds.
const OF_TARGETS: [&str; 3] = ["instance", "job", "pod"];

/// Words of PromQL that stand alone.
const WORDS: [&str; 4] = ["and", "or", "unless", "offset"];

/// Fails where an expression names a metric, a label or a value that the program has not; which
/// metrics it asks for. That it is PromQL at all, promtool and Grafana's sidecar see.
fn check(expression: &str) -> Result<Vec<&'static str>> {
    let mut asked = Vec::new();
    // Of the metrics in the expression, and so of every aggregation of it.
    let mut labels: BTreeSet<&str> = OF_TARGETS.into();
    let mut grouped = Vec::new();
    let mut rest = expression;
    while let Some(at) = rest.find(|c: char| c.is_ascii_alphanumeric() || c == '[') {
        rest = &rest[at..];
        if rest.starts_with('[') {
            rest = rest.split_once(']').context("a range has no end")?.1;
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after;
        let next = after.trim_start();
        if matches!(word, "by" | "on") {
            let labels = next.strip_prefix('(').context("labels do not begin")?;
            let (labels, behind) = labels.split_once(')').context("labels do not end")?;
            grouped.extend(labels.split(',').map(str::trim));
            rest = behind;
        } else if WORDS.contains(&word)
            || word.starts_with(|c: char| c.is_ascii_digit())
            || next.starts_with('(')
            || next.starts_with("by ")
        {
            // A word of the language, a number or duration, a function, an aggregation.
        } else {
            let metric = described(word)?;
            labels.extend(metric.labels);
            if word != metric.name {
                labels.insert("le");
            }
            if let Some(selector) = after.strip_prefix('{') {
                let (selector, behind) = selector.split_once('}').context("a brace is open")?;
                selected(metric, selector)?;
                rest = behind;
            }
            asked.push(metric.name);
        }
    }
    for label in grouped {
        ensure!(
            labels.contains(label),
            "no metric of it has the label {label}"
        );
    }
    Ok(asked)
}

/// The metric of a series.
fn described(series: &str) -> Result<&'static Described> {
    let found = ALL.iter().find(|metric| {
        let histogram =
            |end| metric.sort == "histogram" && series.strip_suffix(end) == Some(metric.name);
        metric.name == series || histogram("_bucket") || histogram("_count") || histogram("_sum")
    });
    found.ok_or_else(|| anyhow!("there is no metric {series}"))
}

/// Fails where a selector names a label or a value that the metric has not.
fn selected(metric: &Described, selector: &str) -> Result<()> {
    for matcher in selector.split(',') {
        let compares = matcher.find(['=', '!']);
        let (label, value) = matcher.split_at(compares.context("a matcher compares nothing")?);
        let label = label.trim();
        ensure!(
            metric.labels.contains(&label),
            "{} has no label {label}",
            metric.name
        );
        for value in value.trim_matches(['=', '!', '~', '"']).split('|') {
            let known = match label {
                "reason" => Reason::ALL.iter().any(|reason| reason.as_str() == value),
                "outcome" => ["completed", "stopped", "failed"].contains(&value),
                "namespace" | "policy" => value == format!("${label}"),
                _ => bail!("nobody knows the values of {label}"),
            };
            ensure!(known, "{label} is never {value}");
        }
    }
    Ok(())
}

fn alerts_fire(_: &World) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let rules = folder.path().join("rules.yaml");
    // JSON is YAML.
    std::fs::write(&rules, groups()?.to_string())?;
    let path = |file: &std::path::Path| file.display().to_string();
    chart::tool(
        "promtool",
        &["check", "rules", "--lint-fatal", &path(&rules)],
        "",
    )?;

    let text = std::fs::read_to_string(repository().join("tests/monitoring/alerts.yaml"))?;
    for (alert, _) in alerts()? {
        let fires = format!("alertname=\"{alert}\"");
        ensure!(text.contains(&fires), "no test has {alert} fire");
    }
    let tests = folder.path().join("tests.yaml");
    std::fs::write(&tests, text)?;
    chart::tool("promtool", &["test", "rules", &path(&tests)], "").map(drop)
}

fn alerts_are_documented(_: &World) -> Result<()> {
    let page = std::fs::read_to_string(repository().join("docs/operations.md"))?;
    for (alert, _) in alerts()? {
        ensure!(
            page.contains(&format!("| `{alert}` |")),
            "{alert} is not in docs/operations.md"
        );
    }
    Ok(())
}
