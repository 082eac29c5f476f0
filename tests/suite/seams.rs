//! Where parts meet: duties, holds, small groups, sealed rows, whole partitions and inheritance in one
//! run, attacked by other sessions between its statements.

use anyhow::{Result, bail, ensure};
use oubliette_core::api::reason::Reason;
use oubliette_core::report::RunOutcome;

use crate::case::{Case, Server};
use crate::holds::{hold, placed};
use crate::partitions::wait_for_the_run;
use crate::races::{OLD, patient};
use crate::rig::{Rig, counts, own, series};
use crate::seals::{here_and_there, prepare};
use crate::traps::granted;
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let all = |name: &str, body| Case::on_each(&format!("seams::{name}"), &Server::ALL, body);
    let postgres = |name: &str, body| {
        let servers = [Server::Postgres15, Server::Postgres18];
        Case::on_each(&format!("seams::{name}"), &servers, body)
    };
    [
        all("rows_that_a_duty_keeps_cover_nobody", kept_cover),
        all("rows_of_which_a_part_goes_cover_nobody", kept_in_part_cover),
        all(
            "a_duty_that_begins_for_a_locked_child_keeps_its_parent",
            duty_below,
        ),
        all(
            "a_hold_that_fits_a_locked_child_since_keeps_what_would_be_sealed",
            hold_below,
        ),
        all(
            "a_partition_with_a_kept_row_goes_row_by_row",
            kept_in_partition,
        ),
        all(
            "a_killed_seal_under_a_duty_and_least_privileges_is_resumed",
            killed_under_duty,
        ),
        all("rows_of_partitions_are_sealed_each_once", sealed_partitions),
        postgres(
            "rows_are_sealed_out_of_the_table_that_they_are_in",
            inherited,
        ),
        postgres(
            "sealed_rows_are_not_read_by_way_of_a_relative",
            sealed_relatives,
        ),
        all(
            "a_sealed_table_that_a_crash_empties_is_refused",
            not_durable,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

const PEOPLE: &str = "CREATE TABLE people (id integer NOT NULL PRIMARY KEY, name varchar(40), \
    born_on date, postcode varchar(20), invoice varchar(20), paid date, gone ${civil} NULL, \
    ended ${civil} NULL)";
const COARSE: &str = "
- table: ${schema}.people
  since: {column: ended, timeZone: UTC}
  action:
    type: Anonymise
    columns:
    - {column: name, strategy: Nullify}
    - {column: born_on, strategy: GeneraliseDate, generaliseDate: {to: Year}}
    kAnonymity: {quasiIdentifiers: [born_on, postcode], k: 3, below: Leave}
";

/// Three of one year and place; the duty of the third runs.
fn people<'w>(world: &'w World, server: Server, name: &str, rules: &str) -> Result<Rig<'w>> {
    let rig = Rig::new(world, server, name, PEOPLE, rules)?;
    rig.sql(&format!(
        "INSERT INTO people SELECT n, 'Planted', DATE '1980-05-05', 'N1', 'x', DATE '2000-01-01', NULL, {OLD} \
         FROM {}; UPDATE people SET paid = DATE '2020-01-01', gone = {OLD} WHERE id = 3",
        series(server, 3)
    ))?;
    Ok(rig)
}

/// The kept row still has what it is recognised by.
fn kept_cover(world: &World, server: Server) -> Result<()> {
    let rig = people(world, server, "kept_cover", COARSE)?.mapped(
        "
- name: people
  table: ${schema}.people
  mustKeep:
  - {until: {latestOf: [{column: paid, plus: P20Y}]}, against: [Expiry], law: a contract}
",
    );
    let plan = rig.plan()?;
    ensure!(plan.rules[0].eligible == 0, "{plan:?}");
    let run = rig.run("one")?;
    ensure!(
        run.outcome == RunOutcome::Completed && own(&run) == 0,
        "{run:?}"
    );
    ensure!(rig.number("SELECT count(*) FROM people WHERE name IS NULL")? == 0);
    // Once it has ended they go together.
    rig.sql("UPDATE people SET paid = DATE '2000-01-01'")?;
    ensure!(rig.completed("two")? == [[3]]);
    Ok(())
}

/// What is left of a row that a duty keeps a part of loses what it is grouped by.
fn kept_in_part_cover(world: &World, server: Server) -> Result<()> {
    let rules = format!(
        "{COARSE}
- table: ${{schema}}.people
  since: {{column: gone, timeZone: UTC}}
"
    );
    let rig = people(world, server, "part_cover", &rules)?.mapped(
        "
- name: people
  table: ${schema}.people
  columns:
  - {column: name, strategy: Nullify}
  - {column: born_on, strategy: Nullify}
  - {column: postcode, strategy: Nullify}
  mustKeep:
  - columns: [invoice, ended]
    until: {latestOf: [{column: paid, plus: P20Y}]}
    against: [Expiry]
    law: a contract
",
    );
    for id in ["one", "two"] {
        let run = rig.run(id)?;
        ensure!(run.outcome == RunOutcome::Completed, "{run:?}");
        let alike = rig.number(
            "SELECT count(*) FROM people WHERE postcode = 'N1' AND born_on = DATE '1980-01-01'",
        )?;
        ensure!(alike == 0 || alike >= 3, "{id}: a group of {alike}");
        ensure!(rig.number("SELECT count(*) FROM people WHERE postcode IS NULL")? == 1);
        ensure!(rig.number("SELECT count(*) FROM people WHERE invoice = 'x'")? == 3);
    }
    Ok(())
}

const FAMILY: &str = "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, ended ${civil} NULL, note varchar(80)); \
    CREATE TABLE c (id integer NOT NULL PRIMARY KEY, t_id integer NOT NULL, note varchar(80), paid date, \
        FOREIGN KEY (t_id) REFERENCES t (id)); \
    CREATE INDEX c_t ON c (t_id)";
const PAID: &str = "
- name: c
  table: ${schema}.c
  mustKeep:
  - {until: {latestOf: [{column: paid, plus: P20Y}]}, against: [Expiry], law: a contract}
";

fn family<'w>(world: &'w World, server: Server, name: &str, action: &str) -> Result<Rig<'w>> {
    let own = match action {
        "Seal" => "{type: Seal, seal: {expireAfter: P2Y}}",
        _ => "{type: Delete}",
    };
    let rules = format!(
        "
- table: ${{schema}}.t
  since: {{column: ended, timeZone: UTC}}
  action: {own}
  related:
  - {{table: '${{schema}}.c', of: '${{schema}}.t', match: [{{column: t_id, equals: id}}], action: {{type: {action}}}}}
"
    );
    let rig = Rig::new(world, server, name, FAMILY, &rules)?;
    let series = series(server, 60);
    rig.sql(&format!(
        "INSERT INTO t SELECT n, {OLD}, 'old' FROM {series}; \
         INSERT INTO c SELECT n, n, 'child', DATE '2000-01-01' FROM {series} WHERE n > 20"
    ))?;
    if action == "Seal" {
        prepare(&rig)?;
    }
    Ok(rig)
}

/// The look at the children saw what was committed; the change that kept one came while it was locked.
fn duty_below(world: &World, server: Server) -> Result<()> {
    for action in ["Delete", "Seal"] {
        let name = format!("duty_below_{}", action.to_lowercase());
        let mut rig = patient(family(world, server, &name, action)?.mapped(PAID));
        granted(&mut rig)?;
        let mut application = rig.holding("UPDATE c SET paid = DATE '2020-01-01' WHERE id = 31")?;
        let run = rig.begin_run("one")?;
        rig.wait_for_a_waiter()?;
        rig.in_session(&mut application, "COMMIT")?;
        let run = rig.block_on(run.ran())?;
        ensure!(run.outcome == RunOutcome::Completed, "{action}: {run:?}");
        ensure!(
            rig.number("SELECT count(*) FROM c WHERE id = 31")? == 1,
            "{action}: a kept child is gone: {run:?}"
        );
        ensure!(counts(&run)[0] == [59, 39], "{action}: {run:?}");
        ensure!(run.rules[0].residual.kept == 1, "{action}: {run:?}");
    }
    Ok(())
}

fn hold_below(world: &World, server: Server) -> Result<()> {
    for action in ["Delete", "Seal"] {
        let name = format!("hold_below_{}", action.to_lowercase());
        let rig = patient(family(world, server, &name, action)?);
        placed(&rig, &hold(&rig, "h", "c", "note", &["sued"])?)?;
        let mut application = rig.holding("UPDATE c SET note = 'sued' WHERE id = 31")?;
        let run = rig.begin_run("one")?;
        rig.wait_for_a_waiter()?;
        rig.in_session(&mut application, "COMMIT")?;
        let run = rig.block_on(run.ran())?;
        ensure!(run.outcome == RunOutcome::Completed, "{action}: {run:?}");
        ensure!(
            rig.number("SELECT count(*) FROM c WHERE id = 31")? == 1,
            "{action}: a held child is gone: {run:?}"
        );
        ensure!(counts(&run)[0] == [59, 39], "{action}: {run:?}");
    }
    Ok(())
}

/// A table of years, one partition each, whose rows have a date of their own that keeps them.
fn parted(server: Server) -> String {
    let table = "CREATE TABLE t (id integer NOT NULL, ended date NOT NULL, note varchar(60), paid date, \
         PRIMARY KEY (id, ended))";
    if server.is_postgres() {
        return format!(
            "{table} PARTITION BY RANGE (ended); \
             CREATE TABLE p2015 PARTITION OF t FOR VALUES FROM (MINVALUE) TO ('2016-01-01'); \
             CREATE TABLE p2016 PARTITION OF t FOR VALUES FROM ('2016-01-01') TO ('2017-01-01'); \
             CREATE TABLE p2090 PARTITION OF t FOR VALUES FROM ('2017-01-01') TO (MAXVALUE)"
        );
    }
    format!(
        "{table} PARTITION BY RANGE COLUMNS (ended) (PARTITION p2015 VALUES LESS THAN ('2016-01-01'), \
         PARTITION p2016 VALUES LESS THAN ('2017-01-01'), PARTITION p2090 VALUES LESS THAN (MAXVALUE))"
    )
}

fn kept_in_partition(world: &World, server: Server) -> Result<()> {
    let rules = "- {table: '${schema}.t', since: {column: ended}, partitions: Whole}\n";
    let mut rig = patient(
        Rig::new(world, server, "kept_part", &parted(server), rules)?.mapped(
            "
- name: t
  table: ${schema}.t
  columns: [{column: note, strategy: Nullify}]
  mustKeep:
  - columns: [paid]
    until: {latestOf: [{column: paid, plus: P20Y}]}
    against: [Expiry]
    law: a contract
",
        ),
    );
    let year = |from: u32, day: &str| {
        rig.sql(&format!(
            "INSERT INTO t SELECT n + {from}, DATE '{day}', 'x', DATE '2000-01-01' FROM {}",
            series(server, 100)
        ))
    };
    year(0, "2015-06-01")?;
    year(1_000, "2016-06-01")?;
    year(2_000, "2080-06-01")?;
    rig.sql("UPDATE t SET paid = NULL WHERE id = 1007")?;
    let account = granted(&mut rig)?;
    if server.is_postgres() {
        rig.sql(&format!(
            "GRANT SELECT, TRUNCATE ON p2015, p2016 TO {account}"
        ))?;
    }
    let plan = rig.plan()?;
    ensure!(
        (plan.rules[0].eligible, plan.rules[0].partitions) == (199, 1),
        "{plan:?}"
    );
    let mut application = rig.holding(
        "UPDATE t SET paid = DATE '2020-01-01' WHERE id = 7 AND ended < DATE '2016-01-01'",
    )?;
    let run = rig.begin_run("one")?;
    wait_for_the_run(&rig)?;
    rig.in_session(&mut application, "COMMIT")?;
    let run = rig.block_on(run.ran())?;
    ensure!(run.outcome == RunOutcome::Completed, "{run:?}");
    ensure!(run.rules[0].partitions == 0, "{run:?}");
    ensure!(counts(&run) == [vec![198], vec![2]], "{run:?}");
    let left = rig.rows("SELECT id, note FROM t WHERE id < 2000 ORDER BY id")?;
    let left: Vec<Option<String>> = left.into_iter().flatten().collect();
    ensure!(
        left == [Some("7".to_owned()), None, Some("1007".to_owned()), None],
        "{left:?}"
    );
    ensure!(rig.number("SELECT count(*) FROM t")? == 102);
    rig.sql("UPDATE t SET paid = DATE '2000-01-01'")?;
    let run = rig.run("two")?;
    ensure!(
        counts(&run)[0] == [2] && run.rules[0].partitions == 2,
        "{run:?}"
    );
    Ok(())
}

/// A part of some rows must be kept where they are; the others are sealed.
fn killed_under_duty(world: &World, server: Server) -> Result<()> {
    let mut rig = patient(family(world, server, "killed_duty", "Seal")?);
    rig.sql("ALTER TABLE t ADD COLUMN paid date; DROP TABLE ${sealed}.t")?;
    rig.sql(
        "UPDATE t SET paid = CASE WHEN id <= 5 THEN DATE '2020-01-01' ELSE DATE '2000-01-01' END",
    )?;
    let mut rig = {
        rig = rig.mapped(
            "
- name: t
  table: ${schema}.t
  columns: [{column: note, strategy: Nullify}]
  mustKeep:
  - columns: [ended]
    until: {latestOf: [{column: paid, plus: P20Y}]}
    against: [Expiry]
    law: a contract
",
        );
        prepare(&rig)?;
        rig
    };
    granted(&mut rig)?;
    placed(&rig, &hold(&rig, "h", "c", "id", &["60"])?)?;
    let mut holder = rig.holding("UPDATE c SET note = 'mine' WHERE id = 31")?;
    let run = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    run.kill();
    rig.in_session(&mut holder, "COMMIT")?;
    rig.wait_until("SELECT count(*) FROM ${sealed}.t", |n| n == 0)?;
    let run = rig.run("one")?;
    ensure!(
        run.outcome == RunOutcome::Completed
            && counts(&run)[0] == [54, 39]
            && counts(&run)[1] == [5],
        "{run:?}"
    );
    ensure!(here_and_there(&rig, "t")? == (6, 54) && here_and_there(&rig, "c")? == (1, 39));
    ensure!(rig.number("SELECT count(*) FROM t WHERE note IS NULL")? == 5);
    ensure!(rig.number("SELECT count(*) FROM ${sealed}.t WHERE note = 'old'")? == 54);
    // What is sealed already a duty keeps, too.
    rig.sql("UPDATE ${sealed}.t SET sealed_at = current_timestamp - INTERVAL '25' MONTH, paid = NULL WHERE id <> 9")?;
    rig.sql(
        "UPDATE ${sealed}.t SET sealed_at = current_timestamp - INTERVAL '25' MONTH WHERE id = 9",
    )?;
    rig.completed("two")?;
    ensure!(here_and_there(&rig, "t")? == (6, 53));
    rig.expect_a_whole_chain()
}

fn sealed_partitions(world: &World, server: Server) -> Result<()> {
    let rules = "- {table: '${schema}.t', since: {column: ended}, partitions: Whole, \
                 action: {type: Seal, seal: {expireAfter: P2Y}}}\n";
    let mut rig = Rig::new(world, server, "seal_parts", &parted(server), rules)?.workers(2);
    for (from, day) in [(0, "2015-06-01"), (0, "2016-06-01"), (5_000, "2080-06-01")] {
        rig.sql(&format!(
            "INSERT INTO t SELECT n + {from}, DATE '{day}', 'x', NULL FROM {}",
            series(server, 1_500)
        ))?;
    }
    prepare(&rig)?;
    granted(&mut rig)?;
    let run = rig.run("one")?;
    ensure!(
        run.outcome == RunOutcome::Completed && counts(&run)[0] == [3_000],
        "{run:?}"
    );
    ensure!(here_and_there(&rig, "t")? == (1_500, 3_000));
    rig.expect_no_keys_kept()
}

/// Rows of one key in a table and in one that inherits from it.
fn inherited(world: &World, server: Server) -> Result<()> {
    let schema = "CREATE TABLE p (id integer NOT NULL PRIMARY KEY, ended timestamp NULL, note varchar(80)); \
        CREATE TABLE h (own varchar(9), PRIMARY KEY (id)) INHERITS (p)";
    let rules = "
- table: ${schema}.p
  since: {column: ended, timeZone: UTC}
  action: {type: Seal, seal: {expireAfter: P2Y}}
- table: ${schema}.h
  since: {column: ended, timeZone: UTC}
  action: {type: Seal, seal: {expireAfter: P2Y}}
  where: [{column: own, operator: In, values: [go]}]
";
    let mut rig = Rig::new(world, server, "seal_heirs", schema, rules)?;
    prepare(&rig)?;
    rig.sql(&format!(
        "INSERT INTO p SELECT n, {OLD}, 'p' FROM generate_series(1, 20) n; \
         INSERT INTO h SELECT n, {OLD}, 'h', CASE WHEN n > 5 THEN 'go' ELSE 'stay' END \
         FROM generate_series(1, 20) n"
    ))?;
    granted(&mut rig)?;
    let run = rig.run("one")?;
    ensure!(
        run.outcome == RunOutcome::Completed && counts(&run)[..2] == [[20], [15]],
        "{run:?}"
    );
    ensure!(rig.number("SELECT count(*) FROM p")? == 5);
    ensure!(rig.number("SELECT count(*) FROM sealed.p WHERE note = 'p'")? == 20);
    ensure!(rig.number("SELECT count(*) FROM sealed.h WHERE own = 'go'")? == 15);
    Ok(())
}

/// A parent shows the rows of those that inherit from it to whoever may read the parent alone, and a
/// partition has privileges of its own.
fn sealed_relatives(world: &World, server: Server) -> Result<()> {
    let rig = family(world, server, "relatives", "Delete")?.rules(
        "
- table: ${schema}.c
  since: {column: paid}
  action: {type: Seal, seal: {expireAfter: P2Y}}
",
    );
    prepare(&rig)?;
    let user = format!("v_{}", rig.database.name.split('_').next().unwrap_or("x"));
    rig.block_on(rig.database.create_user(&user, "a-pass-word"))?;
    rig.sql(&format!("GRANT SELECT ON c TO {user}"))?;
    let stamps = "sealed_at timestamptz NOT NULL, sealed_by text NOT NULL";
    let key = "PRIMARY KEY (id, sealed_at)";
    let of_another = "CREATE TABLE archive (LIKE c); GRANT SELECT ON archive TO ${user}";
    for (what, made) in [
        (
            "a child of its source",
            format!("CREATE TABLE sealed.c ({stamps}, {key}) INHERITS (public.c)"),
        ),
        (
            "a child of another table",
            format!(
                "{}; CREATE TABLE sealed.c ({stamps}, {key}) INHERITS (archive)",
                of_another.replace("${user}", &user)
            ),
        ),
        (
            "with a leaf that others read",
            format!(
                "CREATE TABLE sealed.c (LIKE public.c, {stamps}, {key}) PARTITION BY RANGE (sealed_at); \
                 CREATE TABLE public.leaf PARTITION OF sealed.c DEFAULT; \
                 GRANT SELECT ON public.leaf TO {user}"
            ),
        ),
        (
            "with a part that others read",
            format!(
                "CREATE TABLE sealed.c (LIKE public.c, {stamps}, {key}); \
                 CREATE TABLE public.heir () INHERITS (sealed.c)"
            ),
        ),
    ] {
        rig.sql("DROP TABLE sealed.c")?;
        rig.sql(&made)?;
        let refused = rig.refused().map_err(|error| error.context(what))?;
        ensure!(
            refused.iter().all(|r| [
                Reason::SealedReadable,
                Reason::SealTargetUnfit,
                Reason::TableUnfit
            ]
            .contains(&r.reason)),
            "{what}: {refused:?}"
        );
        rig.sql("DROP TABLE IF EXISTS public.leaf, public.heir")?;
    }
    Ok(())
}

/// Deleted here for good, and copied to where a rollback or a crash does not hold.
fn not_durable(world: &World, server: Server) -> Result<()> {
    let rig = family(world, server, "not_durable", "Seal")?;
    let (change, reason) = if server.is_postgres() {
        ("ALTER TABLE sealed.c SET UNLOGGED", Reason::SealTargetUnfit)
    } else {
        (
            "ALTER TABLE ${sealed}.c ENGINE=MyISAM",
            Reason::NotTransactional,
        )
    };
    rig.sql(change)?;
    let refused = rig.refused()?;
    let [only] = refused.as_slice() else {
        bail!("{refused:?}")
    };
    ensure!(only.reason == reason, "{only:?}");
    if server.is_postgres() {
        ensure!(only.message.contains("SET LOGGED"), "{only:?}");
        rig.sql("ALTER TABLE sealed.c SET LOGGED")?;
        rig.plan()?;
    }
    Ok(())
}
