//! The chart as helm renders it: what it refuses, what the Pod may do, and that values, flags and
//! CRDs of the chart are those of the program. Needs helm, no server.

use std::collections::BTreeSet;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::{CommandFactory, Parser};
use oubliette::cli::Cli;
use serde_json::{Value, json};

use crate::case::{Case, Needs};
use crate::chart::{rendered, template};
use crate::cluster::documents;
use crate::world::{World, repository};

const IMAGE: &str = "image.repository=registry.example/oubliette";

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let case = |name: &str, body: fn(&World) -> Result<()>| {
        Case::new(format!("render::{name}"), Needs::nothing(), body)
    };
    vec![
        case("a_misspelt_value_is_refused", misspelt_value),
        case("no_image_is_guessed", no_image),
        case(
            "two_replicas_without_an_election_are_refused",
            two_without_election,
        ),
        case(
            "every_value_is_commented_and_in_the_schema",
            values_are_commented,
        ),
        case(
            "the_pods_arguments_are_the_programs_flags",
            arguments_are_flags,
        ),
        case("the_pod_may_do_nothing_it_does_not_need", pod_is_confined),
        case("roles_name_no_secret_and_no_wildcard", roles_are_least),
        case("crds_are_the_repositorys_and_stay", crds_are_the_same),
        case("policies_refuse_and_fail_closed", policies_fail_closed),
        case("chart_and_program_have_one_version", one_version),
    ]
}

/// Fails unless helm refuses with these words.
fn refused(arguments: &[&str], words: &str) -> Result<()> {
    match template(arguments) {
        Ok(_) => bail!("helm accepted {arguments:?}"),
        Err(error) if format!("{error:#}").contains(words) => Ok(()),
        Err(error) => Err(error.context(format!("the refusal does not say {words:?}"))),
    }
}

fn of_kind<'o>(objects: &'o [Value], kind: &str) -> Vec<&'o Value> {
    objects
        .iter()
        .filter(|object| object["kind"] == kind)
        .collect()
}

fn deployment(objects: &[Value]) -> Result<&Value> {
    let found = of_kind(objects, "Deployment");
    found
        .first()
        .copied()
        .ok_or_else(|| anyhow!("there is no Deployment"))
}

/// The Pod that the chart's Deployment makes.
pub(crate) fn pod() -> Result<Value> {
    let objects = rendered()?;
    Ok(deployment(&objects)?["spec"]["template"]["spec"].clone())
}

fn misspelt_value(_: &World) -> Result<()> {
    refused(
        &["--set", IMAGE, "--set", "admissionPolicy.enabled=false"],
        "admissionPolicy",
    )?;
    refused(&["--set", IMAGE, "--set", "crds.enable=false"], "enable")?;
    refused(&["--set", IMAGE, "--set", "replicas=many"], "replicas")?;
    for filter in ["bogus[", "info, debug", ""] {
        let value = format!("log.filter={}", filter.replace(',', "\\,"));
        refused(&["--set", IMAGE, "--set-string", &value], "filter")?;
    }
    let filter = r"log.filter=info\,oubliette[job{policy=crm}]=debug";
    template(&["--set", IMAGE, "--set-string", filter])?;
    for repository in ["Registry.example/oubliette", "registry.example/my image"] {
        let value = format!("image.repository={repository}");
        refused(&["--set-string", &value], "repository")?;
    }
    template(&["--set", "image.repository=localhost:5000/a_b/c--d"]).map(drop)
}

fn no_image(_: &World) -> Result<()> {
    refused(&[], "image.repository")?;
    let digest = format!("sha256:{}", "0".repeat(64));
    let objects = template(&["--set", IMAGE, "--set", &format!("image.digest={digest}")])?;
    let image = deployment(&objects)?.pointer("/spec/template/spec/containers/0/image");
    ensure!(
        image == Some(&json!(format!("registry.example/oubliette@{digest}"))),
        "{image:?}"
    );
    Ok(())
}

fn two_without_election(_: &World) -> Result<()> {
    let off = "leaderElection.enabled=false";
    refused(
        &["--set", IMAGE, "--set", off, "--set", "replicas=2"],
        "replicas",
    )?;
    let objects = template(&["--set", IMAGE, "--set", off])?;
    let strategy = deployment(&objects)?.pointer("/spec/strategy/type");
    ensure!(
        strategy == Some(&json!("Recreate")),
        "an update would run two: {strategy:?}"
    );
    Ok(())
}

fn values_are_commented(_: &World) -> Result<()> {
    let folder = repository().join("charts/oubliette");
    let values = std::fs::read_to_string(folder.join("values.yaml"))?;
    let schema: Value = serde_json::from_slice(&std::fs::read(folder.join("values.schema.json"))?)?;
    let parsed = documents(&values)?.pop().context("values.yaml is empty")?;
    let mut uncommented = Vec::new();
    check_values(
        &parsed,
        &schema["properties"],
        "",
        &values,
        &mut uncommented,
    );
    ensure!(uncommented.is_empty(), "{}", uncommented.join("\n"));
    Ok(())
}

/// Goes down as far as the schema does; below that, values are the user's own.
fn check_values(values: &Value, known: &Value, path: &str, text: &str, faults: &mut Vec<String>) {
    let Some(values) = values.as_object() else {
        return;
    };
    for (name, value) in values {
        let path = format!("{path}.{name}");
        let Some(schema) = known.get(name) else {
            faults.push(format!("{path} is not in values.schema.json"));
            continue;
        };
        let inner = &schema["properties"];
        if inner.is_object() && path != ".resources" {
            if schema["additionalProperties"] != json!(false) {
                faults.push(format!("{path} is open in values.schema.json"));
            }
            check_values(value, inner, &path, text, faults);
        } else if !is_commented(text, name) {
            faults.push(format!("{path} has no comment `# --` in values.yaml"));
        }
    }
}

/// Whether each line with that key follows a comment that begins with `# --`.
fn is_commented(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let key = format!("{name}:");
    let mut places = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.starts_with(&key))
        .peekable();
    let found = places.peek().is_some();
    let begins = |at: usize| {
        let above = lines.get(..at).unwrap_or_default().iter().rev();
        above
            .take_while(|line| line.starts_with('#'))
            .any(|line| line.starts_with("# -- "))
    };
    // Headings of groups carry the name of a value elsewhere: `enabled` and the like must all be
    // commented, `service:` need not.
    found && places.all(|(at, line)| begins(at) || line.trim_end() == key)
}

fn arguments_are_flags(_: &World) -> Result<()> {
    let objects = template(&[
        "--set",
        IMAGE,
        "--set",
        "watchNamespaces={crm,learning}",
        "--set",
        "settings.recordRetention=P3Y",
    ])?;
    let arguments: Vec<String> = deployment(&objects)?
        .pointer("/spec/template/spec/containers/0/args")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|argument| argument.as_str().map(str::to_owned))
        .collect();
    let program = std::iter::once("oubliette".to_owned());
    Cli::try_parse_from(program.chain(arguments.iter().cloned()))
        .context("the Pod would not start")?;

    let given: BTreeSet<&str> = arguments
        .iter()
        .filter_map(|argument| argument.strip_prefix("--")?.split('=').next())
        .collect();
    let command = Cli::command();
    let operator = command
        .find_subcommand("operator")
        .context("there is no operator command")?;
    let flags: BTreeSet<&str> = operator
        .get_arguments()
        .filter_map(|flag| flag.get_long())
        .filter(|flag| *flag != "help")
        .collect();
    ensure!(
        flags == given,
        "flags of the program: {flags:?}; arguments of the Pod: {given:?}"
    );
    Ok(())
}

fn pod_is_confined(_: &World) -> Result<()> {
    let pod = pod()?;
    for (pointer, wanted) in [
        ("/securityContext/runAsNonRoot", json!(true)),
        ("/securityContext/runAsUser", json!(65532)),
        (
            "/securityContext/seccompProfile/type",
            json!("RuntimeDefault"),
        ),
        (
            "/containers/0/securityContext/allowPrivilegeEscalation",
            json!(false),
        ),
        (
            "/containers/0/securityContext/readOnlyRootFilesystem",
            json!(true),
        ),
        (
            "/containers/0/securityContext/capabilities",
            json!({"drop": ["ALL"]}),
        ),
        ("/containers/0/livenessProbe/httpGet/path", json!("/livez")),
        (
            "/containers/0/readinessProbe/httpGet/path",
            json!("/readyz"),
        ),
    ] {
        let seen = pod.pointer(pointer);
        ensure!(seen == Some(&wanted), "{pointer} is {seen:?}, not {wanted}");
    }
    for absent in [
        "volumes",
        "hostNetwork",
        "hostPID",
        "hostIPC",
        "initContainers",
    ] {
        ensure!(pod.get(absent).is_none(), "the Pod has {absent}");
    }
    ensure!(
        pod.pointer("/containers/0/resources/limits/memory")
            .is_some(),
        "no memory limit"
    );
    Ok(())
}

fn roles_are_least(_: &World) -> Result<()> {
    let objects = rendered()?;
    let mut rules = Vec::new();
    for role in of_kind(&objects, "Role")
        .into_iter()
        .chain(of_kind(&objects, "ClusterRole"))
    {
        rules.extend(role["rules"].as_array().into_iter().flatten());
    }
    ensure!(!rules.is_empty(), "there are no rules");
    for rule in rules {
        // Who files a request creates the person's Secret, and cannot read it.
        if *rule == json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]}) {
            continue;
        }
        let text = rule.to_string();
        for word in [
            "\"*\"",
            "secrets",
            "configmaps",
            "impersonate",
            "escalate",
            "bind",
        ] {
            ensure!(!text.contains(word), "a rule says {word}: {text}");
        }
    }
    Ok(())
}

fn crds_are_the_same(_: &World) -> Result<()> {
    let keep = "/metadata/annotations/helm.sh~1resource-policy";
    let objects = rendered()?;
    let crds = of_kind(&objects, "CustomResourceDefinition");
    let mut files = 0;
    for entry in std::fs::read_dir(repository().join("crds"))? {
        let path = entry?.path();
        let wanted = documents(&std::fs::read_to_string(&path)?)?
            .pop()
            .context("an empty CRD file")?;
        let crd = crds
            .iter()
            .find(|crd| crd["metadata"]["name"] == wanted["metadata"]["name"]);
        let crd = crd.with_context(|| format!("{} is not in the chart", path.display()))?;
        ensure!(
            crd["spec"] == wanted["spec"],
            "{} is not what the chart installs",
            path.display()
        );
        ensure!(
            crd.pointer(keep) == Some(&json!("keep")),
            "uninstalling would delete policies"
        );
        files += 1;
    }
    ensure!(
        files == crds.len(),
        "{files} CRD files, {} CRDs in the chart",
        crds.len()
    );

    let objects = template(&["--set", IMAGE, "--set", "crds.keep=false"])?;
    let crds = of_kind(&objects, "CustomResourceDefinition");
    ensure!(
        crds.len() == files && crds.iter().all(|crd| crd.pointer(keep).is_none()),
        "kept anyway"
    );
    let objects = template(&["--set", IMAGE, "--set", "crds.enabled=false"])?;
    ensure!(
        of_kind(&objects, "CustomResourceDefinition").is_empty(),
        "installed anyway"
    );
    Ok(())
}

fn policies_fail_closed(_: &World) -> Result<()> {
    let objects = rendered()?;
    let policies = of_kind(&objects, "ValidatingAdmissionPolicy");
    let bindings = of_kind(&objects, "ValidatingAdmissionPolicyBinding");
    ensure!(
        policies.len() == 14,
        "there are {} policies",
        policies.len()
    );
    for policy in policies {
        let name = &policy["metadata"]["name"];
        ensure!(
            policy["spec"]["failurePolicy"] == "Fail",
            "{name} lets pass what it cannot judge"
        );
        let binding = bindings
            .iter()
            .find(|binding| binding["spec"]["policyName"] == *name);
        let binding = binding.with_context(|| format!("{name} is not bound"))?;
        let actions = &binding["spec"]["validationActions"];
        ensure!(
            *actions == json!(["Deny", "Audit"]),
            "{name} is bound to {actions}"
        );
    }
    let objects = template(&["--set", IMAGE, "--set", "admissionPolicies.enabled=false"])?;
    ensure!(
        of_kind(&objects, "ValidatingAdmissionPolicy").is_empty(),
        "installed anyway"
    );
    Ok(())
}

fn one_version(_: &World) -> Result<()> {
    let text = std::fs::read_to_string(repository().join("charts/oubliette/Chart.yaml"))?;
    let chart = documents(&text)?.pop().context("Chart.yaml is empty")?;
    for field in ["version", "appVersion"] {
        let program = env!("CARGO_PKG_VERSION");
        ensure!(
            chart[field] == program,
            "{field} is {}, the program's is {program}",
            chart[field]
        );
    }
    Ok(())
}
