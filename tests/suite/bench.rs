//! What planning, whole graphs, many requests and the operator itself cost, as figures: `make bench`. Nothing is asserted about a
//! time; what is compared stands side by side in one run, and medians are told.

mod idle;
mod memory;
pub(crate) mod result;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::case::{Case, Server};
use crate::crowds::figures;
use crate::rig::{Rig, series};
use crate::samples;
use crate::sql::Database;
use crate::world::{World, repository};

/// How often each of two is done, in turns.
const ROUNDS: usize = 5;

/// The cases; none unless they are asked for.
pub(crate) fn cases() -> Vec<Case> {
    if std::env::var_os("OUBLIETTE_BENCH").is_none() {
        return Vec::new();
    }
    let mut cases = Vec::new();
    for (name, body) in [
        (
            "plan_of_200_tables",
            plan_of_many as fn(&World, Server) -> Result<()>,
        ),
        ("graph_beside_statements_by_hand", graph),
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

/// A process as Linux counts it: who began it, and the time of the processors that its threads have used,
/// its own and that of children that have ended.
fn process(id: &str) -> Result<(u32, Duration)> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("no fields")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = fields.get(11..15).context("no times")?;
    let ticks: Vec<u64> = ticks.iter().map(|n| n.parse()).collect::<Result<_, _>>()?;
    // In hundredths of a second, whatever the kernel's own clock.
    let used = Duration::from_millis(ticks.iter().sum::<u64>() * 10);
    Ok((fields.get(1).context("no parent")?.parse()?, used))
}

/// What this process has used.
fn cpu() -> Result<Duration> {
    Ok(process("self")?.1)
}

/// What a server has used, with its children.
fn cpu_of(server: u32) -> Result<Duration> {
    let mut used = process(&server.to_string())?.1;
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        // One that ends meanwhile is counted by its parent.
        if let Some(Ok((parent, own))) = name.to_str().map(process)
            && parent == server
        {
            used += own;
        }
    }
    Ok(used)
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

/// Rows of the rule's own table, of which half go; each has two below it, and each of those two.
const PARENTS: u32 = 10_000;

const SCHEMA: &str = "
CREATE TABLE parents (id integer PRIMARY KEY, left_at ${instant} NULL, name varchar(100));
CREATE TABLE children (id integer PRIMARY KEY, parent integer NOT NULL, name varchar(100));
CREATE TABLE grandchildren (id integer PRIMARY KEY, child integer NOT NULL, name varchar(100));
CREATE INDEX parents_left ON parents (left_at);
CREATE INDEX children_parent ON children (parent);
CREATE INDEX grandchildren_child ON grandchildren (child);
ALTER TABLE children ADD CONSTRAINT of_parent FOREIGN KEY (parent) REFERENCES parents (id);
ALTER TABLE grandchildren ADD CONSTRAINT of_child FOREIGN KEY (child) REFERENCES children (id);
";

const RULES: &str = "
- {name: parents, basis: b, table: \"${schema}.parents\", expireAfter: P1Y, since: {column: left_at}, action: {type: Delete}, related: [
    {table: \"${schema}.children\", of: \"${schema}.parents\", match: [{column: parent, equals: id}], action: {type: Delete}},
    {table: \"${schema}.grandchildren\", of: \"${schema}.children\", match: [{column: child, equals: id}], action: {type: Delete}}]}
";

const BY_HAND: [&str; 3] = [
    "DELETE FROM grandchildren WHERE child IN (SELECT c.id FROM children c JOIN parents p ON p.id = c.parent \
     WHERE p.left_at < current_timestamp - INTERVAL '1' YEAR)",
    "DELETE FROM children WHERE parent IN (SELECT id FROM parents \
     WHERE left_at < current_timestamp - INTERVAL '1' YEAR)",
    "DELETE FROM parents WHERE left_at < current_timestamp - INTERVAL '1' YEAR",
];

fn fill(rig: &Rig<'_>) -> Result<()> {
    let [parents, children, grandchildren] =
        [1, 2, 4].map(|times| series(rig.server, PARENTS * times));
    let old =
        "CASE WHEN n % 2 = 0 THEN current_timestamp - INTERVAL '2' YEAR ELSE current_timestamp END";
    // Of whole numbers, in each engine's spelling.
    let above = if rig.server.is_postgres() {
        "(n + 1) / 2"
    } else {
        "(n + 1) DIV 2"
    };
    rig.sql(&format!(
        "DELETE FROM grandchildren; DELETE FROM children; DELETE FROM parents;
         INSERT INTO parents SELECT n, {old}, 'somebody who has left' FROM {parents};
         INSERT INTO children SELECT n, {above}, 'something of theirs' FROM {children};
         INSERT INTO grandchildren SELECT n, {above}, 'a part of that' FROM {grandchildren};"
    ))?;
    if rig.server.is_postgres() {
        for table in ["parents", "children", "grandchildren"] {
            rig.sql(&format!("VACUUM ANALYZE {table}"))?;
        }
    } else {
        rig.sql("ANALYZE TABLE parents, children, grandchildren")?;
    }
    Ok(())
}

/// The statements in one transaction, in a session of their own.
fn by_hand(rig: &Rig<'_>) -> Result<()> {
    rig.block_on(async {
        let mut session = rig.link().session().await?;
        session.execute("BEGIN").await?;
        for statement in BY_HAND {
            session.execute(statement).await?;
        }
        session.execute("COMMIT").await.map(drop)
    })
}

/// What something took by the clock, and of the processors: the server's share and ours.
#[derive(Clone, Copy)]
struct Cost {
    clock: Duration,
    server: Duration,
    own: Duration,
}

impl Cost {
    fn of(server: u32, work: impl FnOnce() -> Result<()>) -> Result<Self> {
        let (used, own, began) = (cpu_of(server)?, cpu()?, Instant::now());
        work()?;
        Ok(Self {
            clock: began.elapsed(),
            server: cpu_of(server)?.saturating_sub(used),
            own: cpu()?.saturating_sub(own),
        })
    }

    /// The median of each part.
    fn median(all: &[Self]) -> Self {
        let of = |part: fn(&Self) -> Duration| median(all.iter().map(part).collect());
        Self {
            clock: of(|cost| cost.clock),
            server: of(|cost| cost.server),
            own: of(|cost| cost.own),
        }
    }

    /// Without a part that was measured by itself.
    fn without(self, part: Self) -> Self {
        Self {
            clock: self.clock.saturating_sub(part.clock),
            server: self.server.saturating_sub(part.server),
            own: self.own.saturating_sub(part.own),
        }
    }

    fn processors(self) -> Duration {
        self.server + self.own
    }
}

fn graph(world: &World, server: Server) -> Result<()> {
    let rig = Rig::new(world, server, "bench_graph", SCHEMA, RULES)?;
    let pid = world.bed_server(server)?.id()?;
    let (mut runs, mut plans, mut hands) = (Vec::new(), Vec::new(), Vec::new());
    let rows = i64::from(PARENTS / 2) * 7;
    for round in 0..=ROUNDS {
        fill(&rig)?;
        let hand = Cost::of(pid, || by_hand(&rig))?;
        fill(&rig)?;
        let plan = Cost::of(pid, || rig.plan().map(drop))?;
        let mut changed = 0;
        let run = Cost::of(pid, || {
            let counts = rig.completed(&format!("bench-{round}"))?;
            changed = counts.concat().iter().sum();
            Ok(())
        })?;
        ensure!(changed == rows, "{changed} rows instead of {rows}");
        // The first round made the ledger and warmed everything.
        if round > 0 {
            runs.push(run);
            plans.push(plan);
            hands.push(hand);
        }
    }
    let [run, plan, hand] = [runs, plans, hands].map(|all| Cost::median(&all));
    let alone = run.without(plan);
    let ratio = |hand: Duration, run: Duration| hand.as_secs_f64() / run.as_secs_f64();
    tell(
        world,
        server,
        "graph-beside-statements-by-hand",
        &format!(
            "{rows} rows, by hand {:.2?}, a run without its plan {:.2?}: ratio {:.2}; of the processors {:.2?} \
             and {:.2?} ({:.2?} of them the program's): ratio {:.2}; the plan {:.2?}",
            hand.clock,
            alone.clock,
            ratio(hand.clock, alone.clock),
            hand.processors(),
            alone.processors(),
            alone.own,
            ratio(hand.processors(), alone.processors()),
            plan.clock,
        ),
    )
}
