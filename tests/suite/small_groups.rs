//! Small groups (k-anonymity): refused or left, counted alike on every engine, grown over runs, and
//! found out where they shrink while a run is under way.

use anyhow::{Context, Result, ensure};
use oubliette::work::job::{JobOutcome, StopWhy};
use oubliette_core::api::reason::Reason;
use oubliette_core::groups::SmallGroups;
use oubliette_core::ledger::Released;
use oubliette_core::report::{Effect, PlanReport, RunOutcome, RunReport};

use crate::case::{Case, Server};
use crate::holds::{hold, placed};
use crate::races::{OLD, patient};
use crate::rig::{Rig, counts, own};
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let all =
        |name: &str, body| Case::on_each(&format!("small_groups::{name}"), &Server::ALL, body);
    [
        all("a_plan_with_a_small_group_is_refused_with_numbers", refused),
        all(
            "rows_of_small_groups_are_left_until_their_group_has_grown",
            left_and_grown,
        ),
        all(
            "values_are_told_apart_as_they_are_and_null_is_one_of_them",
            told_apart,
        ),
        all(
            "coarser_numbers_and_dates_make_one_group_with_what_was_done_before",
            coarser,
        ),
        all(
            "a_row_that_another_rule_deletes_covers_nobody",
            covered_by_who_goes,
        ),
        all(
            "a_row_that_is_held_or_not_due_covers_nobody",
            covered_by_who_stays,
        ),
        all(
            "a_group_that_shrinks_while_it_is_changed_is_found_out",
            shrinks,
        ),
        all(
            "a_group_that_shrinks_before_the_rule_begins_refuses_the_rule",
            shrinks_before,
        ),
        all(
            "several_workers_and_small_batches_leave_the_same_rows",
            several_workers,
        ),
        all(
            "a_run_that_is_stopped_and_resumed_leaves_the_same_rows",
            resumed,
        ),
        all("what_hangs_on_a_row_that_is_left_is_left", hanging),
        all("what_cannot_make_groups_is_refused", unfit),
    ]
    .into_iter()
    .flatten()
    .collect()
}

const TABLE: &str = "CREATE TABLE people (id integer NOT NULL PRIMARY KEY, name varchar(40), born_on date, \
                     postcode varchar(20), ended ${civil} NULL)";

/// Birthdays become years; a group is a year and a postcode.
fn rule(k: u32, below: &str) -> String {
    format!(
        "
- table: ${{schema}}.people
  since: {{column: ended, timeZone: UTC}}
  action:
    type: Anonymise
    columns:
    - {{column: name, strategy: Nullify}}
    - {{column: born_on, strategy: GeneraliseDate, generaliseDate: {{to: Year}}}}
    kAnonymity: {{quasiIdentifiers: [born_on, postcode], k: {k}, below: {below}}}
    assessment: {{ref: DPIA-7, by: dpo, date: \"2026-01-31\"}}
"
    )
}

/// Adds people that have expired.
fn add(rig: &Rig<'_>, people: &[(u32, &str, &str)]) -> Result<()> {
    let rows: Vec<String> = people
        .iter()
        .map(|(id, born, postcode)| {
            let born = match *born {
                "" => "NULL".to_owned(),
                born => format!("'{born}'"),
            };
            let postcode = match *postcode {
                "NULL" => "NULL".to_owned(),
                postcode => format!("'{postcode}'"),
            };
            format!("({id}, 'Planted {id}', {born}, {postcode}, {OLD})")
        })
        .collect();
    rig.sql(&format!("INSERT INTO people VALUES {}", rows.join(", ")))
        .map(drop)
}

/// Three of 1980 in the north, exactly as many as are asked for; two of 1981 there.
const PEOPLE: [(u32, &str, &str); 5] = [
    (1, "1980-01-01", "N1"),
    (2, "1980-05-05", "N1"),
    (3, "1980-12-31", "N1"),
    (4, "1981-01-01", "N1"),
    (5, "1981-06-06", "N1"),
];

fn named(rig: &Rig<'_>) -> Result<i64> {
    rig.number("SELECT count(*) FROM people WHERE name IS NOT NULL")
}

fn of_plan(plan: &PlanReport) -> Result<&SmallGroups> {
    let groups = plan
        .rules
        .first()
        .and_then(|rule| rule.small_groups.as_ref());
    groups.context("the plan says nothing of groups")
}

fn of_run(run: &RunReport) -> Result<&SmallGroups> {
    let groups = run
        .rules
        .first()
        .and_then(|rule| rule.small_groups.as_ref());
    groups.context("the run says nothing of groups")
}

/// k, groups, the smallest, rows below k, and rows left.
fn figures(groups: &SmallGroups) -> (i64, i64, Option<i64>, i64, i64) {
    let SmallGroups {
        k,
        groups,
        smallest,
        rows_below,
        left,
        assessment: _,
    } = groups;
    (*k, *groups, *smallest, *rows_below, *left)
}

fn refused(world: &World, server: Server) -> Result<()> {
    let rig = Rig::new(world, server, "groups_refused", TABLE, &rule(3, "Refuse"))?;
    add(&rig, &PEOPLE)?;
    let refusals = rig.refused()?;
    let [refusal] = refusals.as_slice() else {
        anyhow::bail!("{refusals:?}");
    };
    let table = format!("{}.people", rig.database.schema());
    ensure!(
        refusal.reason == Reason::SmallGroups
            && refusal.message
                == format!(
                    "2 rows of {table} would be in groups of fewer than 3 by (born_on, postcode); the \
                     smallest would have 2 rows"
                ),
        "{refusal:?}"
    );
    let told = refusal.to_string();
    ensure!(!told.contains("1981") && !told.contains("N1"), "{told}");
    ensure!(
        matches!(rig.outcome("one")?, JobOutcome::Refused { .. }),
        "it ran"
    );
    ensure!(named(&rig)? == 5, "rows were changed");
    // The third of 1981 makes it exactly k.
    add(&rig, &[(6, "1981-02-02", "N1")])?;
    let plan = rig.plan()?;
    ensure!(
        figures(of_plan(&plan)?) == (3, 2, Some(3), 0, 0),
        "{plan:?}"
    );
    ensure!(plan.rules[0].effect == Effect::Anonymised, "{plan:?}");
    let run = rig.run("two")?;
    ensure!(
        run.outcome == RunOutcome::Completed && own(&run) == 6,
        "{run:?}"
    );
    ensure!(figures(of_run(&run)?) == (3, 2, Some(3), 0, 0), "{run:?}");
    ensure!(
        run.rules[0].changed[0].effect == Effect::Anonymised,
        "{run:?}"
    );
    ensure!(rig.completed("three")? == [[0]]);
    rig.expect_a_whole_chain()
}

fn left_and_grown(world: &World, server: Server) -> Result<()> {
    let rig = Rig::new(world, server, "groups_left", TABLE, &rule(3, "Leave"))?;
    add(&rig, &PEOPLE)?;
    let plan = rig.plan()?;
    ensure!(
        figures(of_plan(&plan)?) == (3, 1, Some(3), 0, 2),
        "{plan:?}"
    );
    ensure!(plan.rules[0].eligible == 3, "{plan:?}");
    let run = rig.run("one")?;
    ensure!(
        run.outcome == RunOutcome::Completed && own(&run) == 3,
        "{run:?}"
    );
    ensure!(figures(of_run(&run)?) == (3, 1, Some(3), 0, 2), "{run:?}");
    let residual = run.rules[0].residual;
    ensure!(
        (residual.small_groups, residual.rows(), residual.unexplained) == (2, 0, 0),
        "{run:?}"
    );
    let left = rig.rows("SELECT id, name FROM people WHERE name IS NOT NULL ORDER BY id")?;
    ensure!(left.len() == 2, "{left:?}");
    // Nothing is done twice, and who is left stays left.
    ensure!(rig.completed("two")? == [[0]]);
    ensure!(named(&rig)? == 2);
    // The third of 1981 comes, and a fourth of 1980 joins who was done before.
    add(&rig, &[(6, "1981-03-03", "N1"), (7, "1980-04-04", "N1")])?;
    let plan = rig.plan()?;
    ensure!(
        figures(of_plan(&plan)?) == (3, 2, Some(3), 0, 0),
        "{plan:?}"
    );
    let run = rig.run("three")?;
    ensure!(
        run.outcome == RunOutcome::Completed && own(&run) == 4 && named(&rig)? == 0,
        "{run:?}"
    );
    let groups = rig.rows("SELECT born_on, count(*) FROM people GROUP BY born_on ORDER BY 1")?;
    ensure!(groups.len() == 2, "{groups:?}");
    ensure!(rig.completed("four")? == [[0]]);
    // Numbers and the assessment, and no value of a group.
    let bodies = rig.rows(&format!("SELECT body FROM {}", rig.ledger("evidence")))?;
    let bodies: Vec<String> = bodies.into_iter().flatten().flatten().collect();
    ensure!(
        bodies
            .iter()
            .any(|b| b.contains("\"smallGroups\":{\"assessment\":{\"by\":\"dpo\"")),
        "{bodies:?}"
    );
    ensure!(
        !bodies
            .iter()
            .any(|b| b.contains("N1") || b.contains("1980-") || b.contains("1981-")),
        "{bodies:?}"
    );
    rig.expect_a_whole_chain()
}

/// `é` is no `e`, a blank at the end counts, small letters are no capitals, and NULL is not empty.
fn told_apart(world: &World, server: Server) -> Result<()> {
    let (before, collated) = if server.is_postgres() {
        (
            "CREATE COLLATION ${schema}.blind (provider = icu, locale = 'und-u-ks-level1', \
             deterministic = false); ",
            "varchar(20) COLLATE ${schema}.blind",
        )
    } else {
        (
            "",
            "varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
        )
    };
    let schema = format!("{before}{}", TABLE.replace("varchar(20)", collated));
    let rig = Rig::new(world, server, "groups_apart", &schema, &rule(2, "Leave"))?;
    let day = "1980-01-01";
    add(
        &rig,
        &[
            (1, day, "e"),
            (2, day, "é"),
            (3, day, "E"),
            (4, day, "e "),
            (5, day, ""),
            (6, day, "NULL"),
            (7, "", "e"),
            // In company.
            (11, day, "a,b"),
            (12, day, "a,b"),
            (13, "", "NULL"),
            (14, "", "NULL"),
            (15, day, "é é "),
            (16, day, "é é "),
        ],
    )?;
    let plan = rig.plan()?;
    ensure!(
        figures(of_plan(&plan)?) == (2, 3, Some(2), 0, 7),
        "{plan:?}"
    );
    let run = rig.run("one")?;
    ensure!(
        run.outcome == RunOutcome::Completed && own(&run) == 6,
        "{run:?}"
    );
    ensure!(figures(of_run(&run)?) == (2, 3, Some(2), 0, 7), "{run:?}");
    let left = rig.rows("SELECT id FROM people WHERE name IS NOT NULL ORDER BY id")?;
    let left: Vec<String> = left.into_iter().flatten().flatten().collect();
    ensure!(left == ["1", "2", "3", "4", "5", "6", "7"], "{left:?}");
    Ok(())
}

/// What was done before is of one group with what will be, whatever the column rounds and pads.
fn coarser(world: &World, server: Server) -> Result<()> {
    let schema = "CREATE TABLE people (id integer NOT NULL PRIMARY KEY, name varchar(40), age integer, \
                  income decimal(12,2), seen ${civil}, joined ${instant} NULL, born date, sort char(6), \
                  code char(5), ended ${civil} NULL)";
    let rules = "
- table: ${schema}.people
  since: {column: ended, timeZone: UTC}
  action:
    type: Anonymise
    columns:
    - {column: name, strategy: Nullify}
    - {column: age, strategy: GeneraliseNumber, generaliseNumber: {width: 10}}
    - {column: income, strategy: GeneraliseNumber, generaliseNumber: {width: 1000}}
    - {column: seen, strategy: GeneraliseDate, generaliseDate: {to: Month}}
    - {column: joined, strategy: GeneraliseDate, generaliseDate: {to: Quarter}}
    - {column: born, strategy: GeneraliseDate, generaliseDate: {to: Decade}}
    - {column: sort, strategy: Constant, constant: {value: x}}
    kAnonymity: {quasiIdentifiers: [age, income, seen, joined, born, sort, code, name], k: 4, below: Refuse}
";
    let rig = Rig::new(world, server, "groups_coarser", schema, rules)?;
    let row = |id: u32, values: &str| {
        let sql = format!("INSERT INTO people VALUES ({id}, {values}, {OLD})");
        rig.sql(&sql).map(drop)
    };
    // As a run leaves it, and as it is before, at both ends of every width.
    row(
        1,
        "NULL, 40, 2000.00, '2020-05-01 00:00:00', '2020-04-01 00:00:00', '1980-01-01', 'x', 'ab'",
    )?;
    row(
        2,
        "'a', 49, 2999.99, '2020-05-31 23:59:59', '2020-06-30 12:00:00', '1989-12-31', 'y', 'ab'",
    )?;
    row(
        3,
        "NULL, 41, 2000.00, '2020-05-01 00:00:00', '2020-04-01 00:00:00', '1980-01-01', 'x', 'ab'",
    )?;
    let refusals = rig.refused()?;
    ensure!(
        refusals.len() == 1 && refusals[0].message.starts_with("2 rows "),
        "{refusals:?}"
    );
    ensure!(
        refusals[0]
            .message
            .ends_with("the smallest would have 3 rows"),
        "{refusals:?}"
    );
    row(
        4,
        "'b', 40, 2000.01, '2020-05-02 00:00:00', '2020-04-01 00:00:01', '1981-01-01', NULL, 'ab'",
    )?;
    // Negative numbers are rounded down, too, and are others.
    for id in 5..9 {
        row(
            id,
            &format!("'c', -{id}, -0.01, NULL, NULL, NULL, 'z', NULL"),
        )?;
    }
    let plan = rig.plan()?;
    ensure!(
        figures(of_plan(&plan)?) == (4, 2, Some(4), 0, 0),
        "{plan:?}"
    );
    ensure!(plan.rules[0].effect == Effect::Masked, "{plan:?}");
    let run = rig.run("one")?;
    ensure!(
        run.outcome == RunOutcome::Completed && own(&run) == 7,
        "{run:?}"
    );
    ensure!(figures(of_run(&run)?) == (4, 2, Some(4), 0, 0), "{run:?}");
    ensure!(rig.completed("two")? == [[0]]);
    Ok(())
}

fn covered_by_who_goes(world: &World, server: Server) -> Result<()> {
    let rules = format!(
        "- {{table: '${{schema}}.people', since: {{column: ended, timeZone: UTC}}, expireAfter: P3Y}}{}",
        rule(3, "Refuse")
    );
    let mut rig = Rig::new(world, server, "groups_going", TABLE, &rules)?;
    rig.now = "2022-06-01T00:00:00Z".parse()?;
    add(&rig, &PEOPLE[..3])?;
    // One of them goes with this run: two would be left alone.
    rig.sql("UPDATE people SET ended = '2019-01-01 00:00:00' WHERE id = 1")?;
    let refusals = rig.refused()?;
    ensure!(
        refusals.len() == 1 && refusals[0].message.starts_with("2 rows "),
        "{refusals:?}"
    );
    add(&rig, &[(4, "1980-02-02", "N1")])?;
    let run = rig.run("one")?;
    ensure!(
        run.outcome == RunOutcome::Completed && counts(&run) == [[1], [3]],
        "{run:?}"
    );
    ensure!(rig.completed("two")? == [[0], [0]]);
    Ok(())
}

fn covered_by_who_stays(world: &World, server: Server) -> Result<()> {
    let rig = Rig::new(world, server, "groups_staying", TABLE, &rule(3, "Leave"))?;
    let third = hold(&rig, "third", "people", "id", &["33"])?;
    let store = placed(&rig, &third)?;
    add(&rig, &PEOPLE[..2])?;
    add(&rig, &[(33, "1980-03-03", "N1")])?;
    // Alike already, and yet with everything by which somebody is recognised.
    rig.sql("INSERT INTO people SELECT id + 10, name, '1980-01-01', postcode, current_timestamp FROM people")?;
    rig.sql("INSERT INTO people SELECT id + 20, name, '1980-01-01', postcode, NULL FROM people WHERE id < 10")?;
    let plan = rig.plan()?;
    ensure!(figures(of_plan(&plan)?) == (3, 0, None, 0, 2), "{plan:?}");
    ensure!(rig.completed("one")? == [[0]]);
    ensure!(named(&rig)? == 8);
    let released = Released {
        at: jiff::Timestamp::now().to_string(),
        by: "dpo".to_owned(),
        reason: "settled".to_owned(),
    };
    rig.block_on(store.release_hold("third", &released))?;
    ensure!(rig.completed("two")? == [[3]]);
    Ok(())
}

/// The fifth is renewed while the batch waits for it; it has to be found out, and is made good.
fn shrinks(world: &World, server: Server) -> Result<()> {
    let rig = Rig::new(world, server, "groups_shrink", TABLE, &rule(5, "Refuse"))?;
    let rig = patient(rig);
    let group: Vec<_> = (1..=5).map(|id| (id, "1980-05-05", "N1")).collect();
    add(&rig, &group)?;
    let mut application =
        rig.holding("UPDATE people SET ended = current_timestamp WHERE id = 5")?;
    let run = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    rig.in_session(&mut application, "COMMIT")?;
    let run = rig.block_on(run.ran())?;
    let failed = run.rules[0].failed;
    ensure!(
        run.outcome == RunOutcome::Failed(Reason::GroupsShrank)
            && failed == Some(Reason::GroupsShrank)
            && own(&run) == 4,
        "{run:?}"
    );
    ensure!(figures(of_run(&run)?) == (5, 1, Some(4), 4, 0), "{run:?}");
    ensure!(run.rules[0].changed[0].effect == Effect::Masked, "{run:?}");
    rig.expect_a_whole_chain()?;
    // What was small before is shown, and stands in nobody's way.
    let plan = rig.plan()?;
    ensure!(
        figures(of_plan(&plan)?) == (5, 1, Some(4), 4, 0),
        "{plan:?}"
    );
    ensure!(
        plan.warnings
            .iter()
            .any(|w| w.contains("were anonymised before")),
        "{plan:?}"
    );
    ensure!(rig.completed("two")? == [[0]]);
    rig.sql(&format!("UPDATE people SET ended = {OLD} WHERE id = 5"))?;
    let run = rig.run("three")?;
    ensure!(
        run.outcome == RunOutcome::Completed && own(&run) == 1,
        "{run:?}"
    );
    ensure!(figures(of_run(&run)?) == (5, 1, Some(5), 0, 0), "{run:?}");
    Ok(())
}

/// The plan has stood when another rule of the run held it up, and the group shrinks.
fn shrinks_before(world: &World, server: Server) -> Result<()> {
    let rules = format!(
        "- {{table: '${{schema}}.u', since: {{column: ended, timeZone: UTC}}}}{}",
        rule(3, "Refuse")
    );
    let schema =
        format!("{TABLE}; CREATE TABLE u (id integer NOT NULL PRIMARY KEY, ended ${{civil}} NULL)");
    let rig = Rig::new(world, server, "groups_shrink_before", &schema, &rules)?;
    let rig = patient(rig);
    add(&rig, &PEOPLE[..3])?;
    rig.sql(&format!("INSERT INTO u VALUES (1, {OLD})"))?;
    let mut application = rig.holding("UPDATE u SET ended = ended WHERE id = 1")?;
    let run = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    rig.sql("UPDATE people SET ended = current_timestamp WHERE id = 2")?;
    rig.in_session(&mut application, "COMMIT")?;
    let run = rig.block_on(run.ran())?;
    let failed: Vec<_> = run.rules.iter().map(|rule| rule.failed).collect();
    ensure!(
        run.outcome == RunOutcome::Failed(Reason::SmallGroups)
            && failed == [None, Some(Reason::SmallGroups)]
            && counts(&run) == [[1], [0]],
        "{run:?}"
    );
    ensure!(named(&rig)? == 3, "rows were changed");
    rig.expect_a_whole_chain()
}

fn several_workers(world: &World, server: Server) -> Result<()> {
    let rig = Rig::new(world, server, "groups_workers", TABLE, &rule(4, "Leave"))?;
    let mut rig = rig.workers(3);
    rig.pacing.batch_duration = std::time::Duration::from_millis(1);
    add_twenty(&rig)?;
    let run = rig.run("one")?;
    ensure!(
        run.outcome == RunOutcome::Completed && own(&run) == 210 - 6,
        "{run:?}"
    );
    ensure!(figures(of_run(&run)?) == (4, 17, Some(4), 0, 6), "{run:?}");
    ensure!(named(&rig)? == 6);
    Ok(())
}

/// Group n of 1 to 20 has n members, all over the key.
fn add_twenty(rig: &Rig<'_>) -> Result<()> {
    let codes: Vec<String> = (1..=20).map(|n| format!("N{n}")).collect();
    let mut people = Vec::new();
    for (n, code) in (1_u32..).zip(&codes) {
        people.extend((0..n).map(|i| (i * 100 + n, "1980-05-05", code.as_str())));
    }
    add(rig, &people)
}

/// What an earlier process has changed is of the groups that the later one counts.
fn resumed(world: &World, server: Server) -> Result<()> {
    let rig = Rig::new(world, server, "groups_resumed", TABLE, &rule(4, "Leave"))?;
    let rig = patient(rig);
    add_twenty(&rig)?;
    let application = rig.holding("UPDATE people SET name = name WHERE id = 1920")?;
    let run = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    run.stop(StopWhy::Shutdown);
    let outcome = rig.block_on(run.outcome())?;
    ensure!(matches!(outcome, JobOutcome::Stopped(_)), "{outcome:?}");
    ensure!(named(&rig)? == 7, "the case means to see half a run");
    drop(application);
    let run = rig.run("one")?;
    ensure!(
        run.outcome == RunOutcome::Completed && own(&run) == 210 - 6,
        "{run:?}"
    );
    ensure!(figures(of_run(&run)?) == (4, 17, Some(4), 0, 6), "{run:?}");
    rig.expect_a_whole_chain()
}

fn hanging(world: &World, server: Server) -> Result<()> {
    let schema = format!(
        "{TABLE}; CREATE TABLE letters (id integer NOT NULL PRIMARY KEY, person integer, body varchar(40), \
         FOREIGN KEY (person) REFERENCES people (id)); CREATE INDEX letters_person ON letters (person)"
    );
    let rules = format!(
        "{}  related: [{{table: '${{schema}}.letters', of: '${{schema}}.people', \
         match: [{{column: person, equals: id}}], action: {{type: Delete}}}}]\n",
        rule(3, "Leave")
    );
    let rig = Rig::new(world, server, "groups_hanging", &schema, &rules)?;
    add(&rig, &PEOPLE)?;
    rig.sql("INSERT INTO letters SELECT id, id, 'Planted' FROM people")?;
    let plan = rig.plan()?;
    ensure!(
        plan.warnings.iter().any(|w| w.contains("at the most")),
        "{plan:?}"
    );
    ensure!(rig.completed("one")? == [[3, 3]]);
    ensure!(rig.number("SELECT count(*) FROM letters WHERE person IN (4, 5)")? == 2);
    Ok(())
}

fn unfit(world: &World, server: Server) -> Result<()> {
    let schema = TABLE.replace(
        "ended",
        "doubled integer GENERATED ALWAYS AS (id * 2) STORED, file ${bytes}, ended",
    );
    let bytes = if server.is_postgres() {
        "bytea"
    } else {
        "blob"
    };
    let rules = rule(3, "Refuse").replace("[born_on, postcode]", "[id, doubled, file, gone]");
    let schema = schema.replace("${bytes}", bytes);
    let rig = Rig::new(world, server, "groups_unfit", &schema, &rules)?;
    let refusals = rig.refused()?;
    let reasons: Vec<Reason> = refusals.iter().map(|refusal| refusal.reason).collect();
    let unfit = Reason::ColumnUnfit;
    ensure!(
        reasons == [unfit, unfit, unfit, Reason::ColumnMissing],
        "{refusals:?}"
    );
    Ok(())
}
