//! The suite: every case that needs a real server, in one binary, on one bed.
//!
//! `cargo test --test suite -- FILTER` runs the cases whose names contain FILTER and starts only
//! what these need; `-- --list` starts nothing. `make test` runs all of it.

mod agreed;
mod api;
mod applied;
mod approved;
mod approvers;
mod askers;
mod bad_input;
mod bench;
mod calendar;
mod case;
mod chart;
mod clerks;
mod clocked;
mod cluster;
mod columns;
mod commits;
mod controller;
mod coverage;
mod crowds;
mod database;
mod desk;
mod discover;
mod docs;
mod duties;
mod endings;
mod engine;
mod erasures;
mod expect;
mod given_up;
mod graphs;
mod health;
mod held_persons;
mod held_up;
mod holds;
mod image;
mod indexes;
mod init;
mod install;
mod interruption;
mod keys;
mod laptop;
mod layout;
mod lease;
mod leaves;
mod legal_hold;
mod limits;
mod local;
mod lookups;
mod loosened;
mod measured;
mod memory;
mod misspelt;
mod model;
mod model_graph;
mod monitoring;
mod moves;
mod notices;
mod operator;
mod owners;
mod packaged;
mod pages;
mod partitions;
mod planned;
mod plugin;
mod printed;
mod privacy;
mod promises;
mod proxy;
mod races;
mod readme;
mod render;
mod reply;
mod requests;
mod rewound;
mod rig;
mod rights;
mod samples;
mod scenario;
mod scissors;
mod seals;
mod seams;
mod servers;
mod small_groups;
mod sql;
mod suppression;
mod tenants;
mod tiers;
mod traps;
mod triggers;
mod verify;
mod wait;
mod walks;
mod windows;
mod witness;
mod world;

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use libtest_mimic::{Arguments, Failed, Trial};

use crate::case::{Case, Needs};
use crate::world::{World, repository};

/// Every file of cases. Add a line here for a new one.
fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    cases.extend(scenario::cases()?);
    cases.extend(samples::cases()?);
    cases.extend(notices::cases()?);
    cases.extend(applied::cases()?);
    cases.extend(agreed::cases());
    cases.extend(laptop::cases());
    cases.extend(local::cases());
    cases.extend(measured::cases());
    cases.extend(lease::cases());
    cases.extend(duties::cases());
    cases.extend(erasures::cases());
    cases.extend(crowds::cases());
    cases.extend(legal_hold::cases());
    cases.extend(api::cases());
    cases.extend(small_groups::cases());
    cases.extend(tiers::cases());
    cases.extend(bad_input::cases());
    cases.extend(calendar::cases());
    cases.extend(controller::cases());
    cases.extend(database::cases());
    cases.extend(health::cases());
    cases.extend(privacy::cases());
    cases.extend(readme::cases());
    cases.extend(docs::cases());
    cases.extend(render::cases());
    cases.extend(packaged::cases());
    cases.extend(image::cases());
    cases.extend(install::cases());
    cases.extend(monitoring::cases());
    cases.extend(moves::cases());
    cases.extend(engine::cases());
    cases.extend(races::cases());
    cases.extend(lookups::cases());
    cases.extend(seals::cases());
    cases.extend(seams::cases());
    cases.extend(model::cases());
    cases.extend(model_graph::cases());
    cases.extend(holds::cases());
    cases.extend(held_persons::cases());
    cases.extend(endings::cases());
    cases.extend(given_up::cases());
    cases.extend(misspelt::cases());
    cases.extend(tenants::cases());
    cases.extend(columns::cases());
    cases.extend(commits::cases());
    cases.extend(keys::cases());
    cases.extend(indexes::cases());
    cases.extend(traps::cases());
    cases.extend(triggers::cases());
    cases.extend(verify::cases());
    cases.extend(graphs::cases());
    cases.extend(walks::cases());
    cases.extend(clocked::cases());
    cases.extend(witness::cases());
    cases.extend(limits::cases());
    cases.extend(loosened::cases());
    cases.extend(windows::cases());
    cases.extend(owners::cases());
    cases.extend(leaves::cases());
    cases.extend(partitions::cases());
    cases.extend(rights::cases());
    cases.extend(approved::cases());
    cases.extend(approvers::cases());
    cases.extend(askers::cases());
    cases.extend(rewound::cases());
    cases.extend(suppression::cases());
    cases.extend(init::cases());
    cases.extend(discover::cases());
    cases.extend(coverage::cases());
    cases.extend(plugin::cases());
    cases.extend(clerks::cases());
    cases.extend(reply::cases());
    cases.extend(requests::cases());
    cases.extend(bench::cases());
    Ok(cases)
}

/// Cases that run operators of their own, after the suite's has ended.
fn own_operator_cases() -> Result<Vec<Case>> {
    let mut cases = interruption::cases();
    cases.extend(memory::cases());
    cases.extend(controller::own_operator_cases());
    cases.extend(given_up::own_operator_cases());
    cases.extend(held_up::own_operator_cases());
    cases.extend(tenants::own_operator_cases());
    cases.extend(requests::own_operator_cases());
    cases.extend(clerks::own_operator_cases());
    cases.extend(askers::own_operator_cases());
    cases.extend(notices::own_operator_cases()?);
    Ok(cases)
}

/// Cases that look at what all the others left behind.
fn last_cases() -> Vec<Case> {
    let mut cases = privacy::last_cases();
    cases.extend(promises::last_cases());
    cases
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    // Cases mostly wait for servers; four of them keep two processors busy.
    arguments.test_threads.get_or_insert(4);

    let world: Arc<OnceLock<World>> = Arc::default();
    let rounds = [cases()?, own_operator_cases()?, last_cases()];
    let mut needs = Needs::nothing();
    let rounds = rounds.map(|cases| trials(cases, &arguments, &world, &mut needs));
    if arguments.list {
        let all = rounds.into_iter().flatten().collect();
        return Ok(libtest_mimic::run(&arguments, all).exit_code());
    }

    // The bed is started here, by the main thread: the servers end when this thread does.
    let bed = servers::start(&needs).context(
        "failed to start the test bed (`make setup` installs what it needs, and says what is missing)",
    )?;
    let mut ready = World::new(repository().join("target/suite"))?;
    bed.populate(&mut ready, &needs)?;
    world
        .set(ready)
        .map_err(|_| anyhow!("the world was made twice"))?;

    let mut failed = false;
    for (number, round) in rounds.into_iter().enumerate() {
        if let (1, Some(world)) = (number, world.get()) {
            world.stop_operator()?;
        }
        if round.iter().any(|trial| !arguments.is_filtered_out(trial)) {
            failed |= libtest_mimic::run(&arguments, round).has_failed();
        }
    }
    // The world's clients go before the servers.
    drop(world);
    drop(bed);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// The cases as trials; what the selected ones need is added to `needs`.
fn trials(
    cases: Vec<Case>,
    arguments: &Arguments,
    world: &Arc<OnceLock<World>>,
    needs: &mut Needs,
) -> Vec<Trial> {
    let mut trials = Vec::new();
    for case in cases {
        let Case {
            name,
            needs: own,
            body,
        } = case;
        let world = Arc::clone(world);
        let shown = name.clone();
        let trial = Trial::test(name, move || {
            let world = world
                .get()
                .ok_or_else(|| Failed::from("no servers were started"))?;
            let began = Instant::now();
            let outcome = body(world).map_err(|error| format!("{error:#}"));
            let seconds = began.elapsed().as_secs_f32();
            match &outcome {
                // At once as well as at the end: who watches need not wait for the others.
                Err(error) => eprintln!("{shown}: failed after {seconds:.1} s: {error}"),
                Ok(()) if seconds > 30.0 => eprintln!("{shown}: took {seconds:.1} s"),
                Ok(()) => {}
            }
            outcome.map_err(Failed::from)
        });
        if !arguments.is_filtered_out(&trial) {
            needs.merge(&own);
        }
        trials.push(trial);
    }
    trials
}
