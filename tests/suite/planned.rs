//! `oubliette plan` of a scenario's files is the plan that stands in the status of the applied
//! objects: field by field, digest and all.

use anyhow::{Context, Result, bail, ensure};
use oubliette_core::api::condition::MAX_MESSAGE;
use serde_json::Value;

use crate::cluster::{is_current, ready};
use crate::printed::program;
use crate::scenario::Stage;
use crate::wait::PATIENCE;

/// Compares every policy of the manifests with its status, once the operator has looked at it.
pub(crate) fn the_same(stage: &Stage<'_>, manifests: &str) -> Result<()> {
    let mut files = stage.objects(manifests)?;
    let policies = files.iter().filter(|o| o["kind"] == "RetentionPolicy");
    let names: Vec<String> = policies
        .filter_map(|o| o.pointer("/metadata/name")?.as_str().map(str::to_owned))
        .collect();
    files.extend(stage.supplies()?);
    for name in names {
        let settled = stage.namespace.wait_until(
            "RetentionPolicy",
            &name,
            "was planned",
            PATIENCE,
            |object| {
                let reason = ready(object).and_then(|c| c["reason"].as_str());
                match reason {
                    // The TargetDatabase is looked at beside the policy.
                    None | Some("Pending" | "Planning" | "DatabaseNotFound") => {
                        Err(format!("the reason is {reason:?}"))
                    }
                    Some(_) if is_current(object) => Ok(()),
                    Some(_) => Err("the status is of an older generation".to_owned()),
                }
            },
        )?;
        compare(stage, &files, &name, &settled).with_context(|| format!("policy {name}"))?;
    }
    Ok(())
}

fn compare(stage: &Stage<'_>, files: &[Value], name: &str, settled: &Value) -> Result<()> {
    let status = &settled["status"];
    let as_of = status.pointer("/plan/asOf").and_then(Value::as_str);
    let output = program(files, |command| {
        command
            .args(["plan", "--output", "json", "--statements"])
            .args(["--namespace", &stage.namespace.name])
            .env("OUBLIETTE_LOG", "trace");
        if let Some(as_of) = as_of {
            command.args(["--as-of", as_of]);
        }
    })?;
    let (text, log) = (
        String::from_utf8(output.stdout)?,
        String::from_utf8(output.stderr)?,
    );
    stage.world.keep(
        &format!("plan-{}-{name}.txt", stage.namespace.name),
        &format!("{text}\n{log}"),
    )?;
    let report: Value =
        serde_json::from_str(&text).with_context(|| format!("not JSON: {text:?}; {log}"))?;
    let told = report["policies"]
        .as_array()
        .and_then(|all| all.iter().find(|told| told["name"] == name))
        .context("it tells nothing of the policy")?;
    let condition = ready(settled).context("no Ready condition")?;
    let reason = condition["reason"].as_str().unwrap_or_default();
    let code = output.status.code();
    match reason {
        // The operator does not plan what is suspended.
        "Suspended" => return Ok(()),
        "DryRun" | "Scheduled" => {
            ensure!(
                told["plan"] == status["plan"],
                "the plan is {}\nthe status has {}",
                told["plan"],
                status["plan"]
            );
            ensure!(told["refusals"] == serde_json::json!([]), "{told}");
            let pending = told["plan"]["rules"].as_array().is_some_and(|rules| {
                rules.iter().any(|rule| {
                    let related = rule["related"].as_array().cloned().unwrap_or_default();
                    rule["eligible"] != 0 || related.iter().any(|table| table["rows"] != 0)
                })
            });
            let expected = if pending { 2 } else { 0 };
            ensure!(code == Some(expected), "exit code {code:?}: {text}");
        }
        _ => {
            if !status["plan"].is_null() {
                ensure!(
                    told["plan"] == status["plan"],
                    "the plan is {}\nthe status has {}",
                    told["plan"],
                    status["plan"]
                );
            }
            let refusals = told["refusals"].as_array().cloned().unwrap_or_default();
            ensure!(
                refusals.iter().any(|refusal| refusal["reason"] == reason),
                "the status says {condition}, the plan {told}"
            );
            let message = condition["message"].as_str().unwrap_or_default();
            let cut = message.len() + 4 > MAX_MESSAGE;
            for refusal in &refusals {
                let words = refusal["message"].as_str().unwrap_or_default();
                if !cut && !message.contains(words) {
                    bail!("the status does not say {words:?}: {message}");
                }
            }
            ensure!(code == Some(1), "exit code {code:?}: {text}");
        }
    }
    Ok(())
}
