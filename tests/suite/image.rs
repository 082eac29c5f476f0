//! The image and what publishes it. Building it takes minutes, so that CI looks at what it is built
//! from; `make test-image` has the same looked at in what `make image` built, and runs it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use oubliette::database::PUBLIC_AUTHORITIES;
use serde_json::Value;

use crate::case::{Case, Needs, Server};
use crate::cluster::documents;
use crate::layout;
use crate::render::pod;
use crate::world::{World, repository};

/// The cases; those that need a built image are there only where one is named.
pub(crate) fn cases() -> Vec<Case> {
    let case = |name: &str, body: fn(&World) -> Result<()>| {
        Case::new(format!("image::{name}"), Needs::nothing(), body)
    };
    let mut cases = vec![
        case("both_ways_to_build_it_end_in_one_frame", one_frame),
        case("it_runs_as_the_chart_runs_it", as_the_chart_runs_it),
        case("the_compiler_is_the_repositorys", one_compiler),
        case("a_released_chart_names_its_image", released_chart),
        case("workflows_are_given_no_more_than_they_need", workflows),
        case("renovate_looks_at_what_is_there", renovate),
    ];
    if built().is_some() {
        cases.push(case(
            "the_layout_holds_one_program_for_each_architecture",
            |_| layout::is_what_it_should_be(&named()?),
        ));
        cases.push(Case::new(
            "image::the_program_in_it_plans",
            Needs::server(Server::Postgres15),
            |world| layout::plans(world, &named()?),
        ));
    }
    cases
}

/// The OCI layout that `make image` made, where one is named.
fn built() -> Option<PathBuf> {
    std::env::var_os("OUBLIETTE_IMAGE").map(PathBuf::from)
}

fn named() -> Result<PathBuf> {
    built().context("OUBLIETTE_IMAGE names no OCI layout")
}

fn read(path: impl AsRef<Path>) -> Result<String> {
    let path = repository().join(path);
    std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))
}

/// A stage of the Dockerfile: its name, what it begins from, and its instructions.
struct Stage {
    name: Option<String>,
    from: String,
    instructions: Vec<(String, String)>,
}

impl Stage {
    /// The arguments of an instruction that stands there once.
    fn only(&self, word: &str) -> Result<&str> {
        let mut found = self.instructions.iter().filter(|(name, _)| name == word);
        match (found.next(), found.next()) {
            (Some((_, arguments)), None) => Ok(arguments),
            _ => Err(anyhow!("{:?} has not one {word}", self.name)),
        }
    }

    fn words(&self) -> BTreeSet<&str> {
        let words = self.instructions.iter().map(|(word, _)| word.as_str());
        words.collect()
    }
}

fn stages() -> Result<Vec<Stage>> {
    let text = read("Dockerfile")?;
    let lines: Vec<&str> = text.lines().filter(|l| !l.starts_with('#')).collect();
    let mut stages: Vec<Stage> = Vec::new();
    for line in lines.join("\n").replace("\\\n", " ").lines() {
        let Some((word, arguments)) = line.trim().split_once(' ') else {
            continue;
        };
        if word == "FROM" {
            let words: Vec<&str> = arguments
                .split(' ')
                .filter(|word| !word.starts_with("--"))
                .collect();
            stages.push(Stage {
                name: words.get(2).map(|&name| name.to_owned()),
                from: words.first().context("FROM nothing")?.to_string(),
                instructions: Vec::new(),
            });
        } else {
            let stage = stages.last_mut().context("an instruction before FROM")?;
            let instruction = (word.to_owned(), arguments.to_owned());
            stage.instructions.push(instruction);
        }
    }
    Ok(stages)
}

fn stage<'s>(stages: &'s [Stage], name: &str) -> Result<&'s Stage> {
    let mut found = stages.iter();
    found
        .find(|stage| stage.name.as_deref() == Some(name))
        .with_context(|| format!("the Dockerfile has no stage {name}"))
}

fn one_frame(_: &World) -> Result<()> {
    let stages = stages()?;
    ensure!(stage(&stages, "frame")?.from == "scratch");
    let last = stages.last().context("the Dockerfile is empty")?;
    for (end, copied) in [
        (stage(&stages, "prebuilt")?, "target/image/${TARGETARCH} /"),
        (last, "--from=compile /image /"),
    ] {
        ensure!(end.from == "frame", "an end begins from {}", end.from);
        ensure!(end.only("COPY")? == copied, "{}", end.only("COPY")?);
        ensure!(
            end.words()
                .iter()
                .all(|word| matches!(*word, "COPY" | "ARG")),
            "{:?} is not the frame's affair alone",
            end.words()
        );
    }
    let compile = read("deploy/image/compile")?;
    ensure!(
        compile.contains(&format!("\"$root{PUBLIC_AUTHORITIES}\"")),
        "the authorities are not put where the program looks for them: {PUBLIC_AUTHORITIES}"
    );
    Ok(())
}

/// The user of an image as the chart's securityContext has it.
pub(crate) fn charts_user() -> Result<String> {
    let pod = pod()?;
    let id = |name: &str| pod["securityContext"][name].as_u64().context("no number");
    Ok(format!("{}:{}", id("runAsUser")?, id("runAsGroup")?))
}

fn as_the_chart_runs_it(_: &World) -> Result<()> {
    let stages = stages()?;
    let frame = stage(&stages, "frame")?;
    ensure!(frame.only("USER")? == charts_user()?);
    let entry: Value = serde_json::from_str(frame.only("ENTRYPOINT")?)?;
    ensure!(entry == serde_json::json!(["/oubliette"]), "{entry}");
    let container = &pod()?["containers"][0];
    ensure!(container["args"][0] == "operator", "{container}");
    ensure!(container["command"].is_null(), "{container}");
    Ok(())
}

fn one_compiler(_: &World) -> Result<()> {
    let toolchain = read("rust-toolchain.toml")?;
    let channel = toolchain
        .lines()
        .find_map(|line| line.strip_prefix("channel = \"")?.strip_suffix('"'))
        .context("rust-toolchain.toml names no channel")?;
    let stages = stages()?;
    let from = &stage(&stages, "compile")?.from;
    ensure!(
        from.contains(&format!("/rust:{channel}-")),
        "{from}, not {channel}"
    );
    Ok(())
}

fn released_chart(_: &World) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let helm = bed::tool("helm")?;
    let tools = helm.parent().context("helm has no folder")?;
    let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
    let path = std::env::var("PATH")?;
    let output = std::process::Command::new(repository().join("deploy/release/chart"))
        .args(["ghcr.io/oubliette-dev/oubliette", &digest])
        .arg(folder.path())
        .env("PATH", format!("{}:{path}", tools.display()))
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let package = folder
        .path()
        .join(format!("oubliette-{}.tgz", env!("CARGO_PKG_VERSION")));
    let package = package.to_str().context("a path that is not text")?;
    let command = ["template", "oubliette", package, "--kube-version", "1.30.0"];
    let rendered = documents(&crate::chart::tool("helm", &command, "")?)?;
    let images: Vec<&Value> = rendered
        .iter()
        .filter_map(|object| object.pointer("/spec/template/spec/containers/0/image"))
        .collect();
    let wanted = Value::from(format!("ghcr.io/oubliette-dev/oubliette@{digest}"));
    ensure!(images == [&wanted], "{images:?}");
    Ok(())
}

fn workflows(_: &World) -> Result<()> {
    let mut found = 0;
    for entry in std::fs::read_dir(repository().join(".github/workflows"))? {
        let path = entry?.path();
        let shown = path.display();
        let workflow = documents(&read(&path)?)?;
        let [workflow] = &workflow[..] else {
            return Err(anyhow!("{shown} is not one document"));
        };
        ensure!(workflow["permissions"] == serde_json::json!({}), "{shown}");
        let jobs = workflow["jobs"].as_object().context("no jobs")?;
        for (name, job) in jobs {
            found += 1;
            ensure!(
                job["permissions"].is_object(),
                "{shown}: {name} has them all"
            );
            ensure!(
                job["timeout-minutes"].is_u64() || job["uses"].is_string(),
                "{shown}: {name} may run for ever"
            );
            for step in job["steps"].as_array().into_iter().flatten() {
                let run = step["run"].as_str().unwrap_or_default();
                // What others may choose, such as a branch's name, must reach a shell as a variable.
                ensure!(!run.contains("${{"), "{shown}: {name} pastes into a script");
                if step["uses"]
                    .as_str()
                    .is_some_and(|uses| uses.contains("checkout@"))
                {
                    let kept = &step["with"]["persist-credentials"];
                    ensure!(
                        kept == &Value::from(false),
                        "{shown}: {name} keeps the token"
                    );
                }
            }
        }
    }
    ensure!(found > 4, "only {found} jobs were found");
    let (release, krew) = (
        read(".github/workflows/release.yml")?,
        read("deploy/krew/oubliette.yaml")?,
    );
    ensure!(release.contains("/oubliette-linux-$architecture.tar.gz"));
    for architecture in ["amd64", "arm64"] {
        ensure!(krew.contains(&format!("/oubliette-linux-{architecture}.tar.gz")));
    }
    Ok(())
}

fn renovate(_: &World) -> Result<()> {
    let settings: Value = serde_json::from_str(&read("renovate.json")?)?;
    let manifest = read("Cargo.toml")?;
    let names = |rule: &Value, field: &str| -> Vec<String> {
        let names = rule[field].as_array().into_iter().flatten();
        names
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect()
    };
    let rules = settings["packageRules"].as_array().context("no rules")?;
    let mut found = 0;
    for rule in rules {
        if rule["matchManagers"] == serde_json::json!(["cargo"]) {
            for name in names(rule, "matchPackageNames") {
                found += 1;
                ensure!(
                    manifest.contains(&format!("\n{name} = ")),
                    "nobody uses {name}"
                );
            }
        }
        for file in names(rule, "matchFileNames") {
            found += 1;
            ensure!(repository().join(&file).is_file(), "there is no {file}");
        }
    }
    for manager in settings["customManagers"]
        .as_array()
        .context("no managers")?
    {
        for file in names(manager, "managerFilePatterns") {
            let text = read(&file)?;
            for pattern in names(manager, "matchStrings") {
                found += 1;
                let (word, _) = pattern.split_once("(?<").context("it captures nothing")?;
                ensure!(text.contains(word), "{file} has no {word}");
            }
        }
    }
    ensure!(found > 7, "only {found} names were found");
    Ok(())
}
