//! What planning, many requests and the operator itself cost, as figures: `make bench`. Nothing is asserted about a
//! time; what is compared stands side by side in one run, and medians are told.

mod idle;
mod memory;
pub(crate) mod result;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::case::{Case, Server};
use crate::crowds::figures;
use crate::rig::Rig;
use crate::samples;
use crate::sql::Database;
use crate::world::{World, repository};

/// How often each of two is done, in turns.
const ROUNDS: usize = 5;

/// Whether it is what is run.
pub(crate) fn is_asked_for() -> bool {
    std::env::var_os("OUBLIETTE_BENCH").is_some()
}

/// The cases; none unless they are asked for.
pub(crate) fn cases() -> Vec<Case> {
    if !is_asked_for() {
        return Vec::new();
    }
    let mut cases = Vec::new();
    for (name, body) in [
        (
            "plan_of_200_tables",
            plan_of_many as fn(&World, Server) -> Result<()>,
        ),
        ("many_requests", many_requests),
        ("one_person_of_many_rows", one_person),
    ] {
        cases.extend(Case::on_each(
            &format!("bench::{name}"),
            &Server::ENGINES,
            body,
        ));
    }
    cases.extend(memory::cases());
    cases.push(idle::case());
    if samples::are_there() {
        cases.extend(Case::on_each(
            "bench::plan_of_sakila",
            &Server::ENGINES,
            plan_of_sakila,
        ));
    }
    cases
}

/// The time of the processors that this process has used.
fn cpu() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').context("no fields")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = fields.get(11..13).context("no times")?;
    let ticks: Vec<u64> = ticks.iter().map(|n| n.parse()).collect::<Result<_, _>>()?;
    // In hundredths of a second, whatever the kernel's own clock.
    Ok(Duration::from_millis(ticks.iter().sum::<u64>() * 10))
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort();
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// Plans again and again; the medians of processor and clock.
fn planned(rig: &Rig<'_>) -> Result<String> {
    let (mut used, mut took) = (Vec::new(), Vec::new());
    let mut rules = 0;
    for _ in 0..ROUNDS {
        let (before, began) = (cpu()?, Instant::now());
        rules = rig.plan()?.rules.len();
        used.push(cpu()?.saturating_sub(before));
        took.push(began.elapsed());
    }
    Ok(format!(
        "{rules} rules: {:?} of a processor, {:.2?} by the clock",
        median(used),
        median(took)
    ))
}

fn tell(world: &World, server: Server, what: &str, figures: &str) -> Result<()> {
    let line = format!("bench {what} on {}: {figures}", server.slug());
    eprintln!("{line}");
    world.keep(&format!("bench-{what}-{}.txt", server.slug()), &line)
}

/// Trees of tables, each with a rule: so many, of so many tables.
const TREES: usize = 10;
const TABLES: usize = 20;

/// Every table hangs on one above it in its tree, and every second one on a table of another tree, whose
/// rows stay.
fn trees(database: &Database) -> (String, String) {
    let (mut sql, mut rules) = (String::new(), String::new());
    let mut add = |text: String| sql.push_str(&database.fill(&text));
    for tree in 0..TREES {
        for table in 0..TABLES {
            add(format!(
                "CREATE TABLE t{tree}_{table} (id integer PRIMARY KEY, above integer, kind integer, \
                 made_at ${{instant}} NULL, name varchar(100), email varchar(100));\n\
                 CREATE INDEX i{tree}_{table} ON t{tree}_{table} (above);\n\
                 INSERT INTO t{tree}_{table} VALUES (1, 1, 1, NULL, 'a', 'b');\n"
            ));
        }
    }
    add("CREATE TABLE kinds (id integer PRIMARY KEY); INSERT INTO kinds VALUES (1);\n".to_owned());
    let key = |tree, table, column, to: &str| {
        format!(
            "ALTER TABLE t{tree}_{table} ADD CONSTRAINT f{tree}_{table}_{column} \
             FOREIGN KEY ({column}) REFERENCES {to} (id);\n"
        )
    };
    for tree in 0..TREES {
        let _ = writeln!(
            rules,
            "- {{name: t{tree}, basis: b, table: \"${{schema}}.t{tree}_0\", expireAfter: P1Y, \
             since: {{column: made_at}}, action: {{type: Delete}}, related: ["
        );
        for table in 1..TABLES {
            let above = (table - 1) / 2;
            add(key(tree, table, "above", &format!("t{tree}_{above}")));
            let _ = writeln!(
                rules,
                "  {{table: \"${{schema}}.t{tree}_{table}\", of: \"${{schema}}.t{tree}_{above}\", \
                 match: [{{column: above, equals: id}}], action: {{type: Delete}}}},"
            );
            if table % 2 == 0 {
                add(key(tree, table, "kind", "kinds"));
            }
        }
        rules.push_str("]}\n");
    }
    (sql, rules)
}

fn one_person(world: &World, server: Server) -> Result<()> {
    let figures = figures::one_person(world, server)?;
    tell(world, server, "one-person-of-many-rows", &figures)
}

fn many_requests(world: &World, server: Server) -> Result<()> {
    let figures = figures::many_requests(world, server)?;
    tell(world, server, "many-requests", &figures)
}

fn plan_of_many(world: &World, server: Server) -> Result<()> {
    let rig = Rig::new(world, server, "bench_plan", "", "")?;
    let (sql, rules) = trees(&rig.database);
    world.bed_server(server)?.sql(&rig.database.name, &sql)?;
    let figures = planned(&rig.rules(&rules))?;
    tell(world, server, "plan-of-200-tables", &figures)
}

fn plan_of_sakila(world: &World, server: Server) -> Result<()> {
    let family = server.family();
    let folder = repository().join(format!("tests/samples/sakila_customers_{family}"));
    let script = samples::script(&folder)?.context("the sample has no script")?;
    let mut rig = Rig::new(world, server, "bench_sakila", "", "")?;
    world.bed_server(server)?.sql(&rig.database.name, &script)?;
    let keys = folder.join("rows.sql");
    if keys.exists() {
        world
            .bed_server(server)?
            .sql(&rig.database.name, &std::fs::read_to_string(keys)?)?;
    }
    let manifest = std::fs::read_to_string(folder.join("manifests.yaml"))?;
    let (_, rules) = manifest.split_once("  rules:\n").context("no rules")?;
    rig = rig.rules(rules);
    let figures = planned(&rig)?;
    tell(world, server, "plan-of-sakila", &figures)
}
