use super::*;
use crate::bench::{Figure, Foreground, Latency, Mode, Phases, Run, Who, example};

fn of(sheet: &Sheet, id: &str) -> Judged {
    let mut all = judge(sheet).into_iter();
    all.find(|judged| judged.goal.id == id).unwrap()
}

/// A cell in which each of these took so many milliseconds for the same rows.
fn cell(server: Server, work: Work, runs: &[(Who, &[f64])]) -> Cell {
    example::cell(
        server,
        work,
        runs.iter()
            .map(|(who, milliseconds)| Mode {
                name: *who,
                statements: Vec::new(),
                runs: milliseconds
                    .iter()
                    .map(|run| Run {
                        phases: Phases {
                            run: *run,
                            ..Phases::default()
                        },
                        changed: 1000,
                        ..Run::default()
                    })
                    .collect(),
            })
            .collect(),
    )
}

fn sheet(cores: usize, cells: Vec<Cell>) -> Sheet {
    let mut sheet = example::sheet(cells);
    sheet.machine.cores = cores;
    sheet
}

#[test]
fn medians_are_judged_on_each_server_by_itself() {
    let runs: &[(Who, &[f64])] = &[
        (Who::Single, &[100.0, 900.0, 110.0]),
        (Who::OublietteBacklogOne, &[120.0, 125.0, 10.0]),
    ];
    let found = of(
        &sheet(
            2,
            vec![
                cell(Server::Postgresql, Work::DeleteNarrow, runs),
                cell(Server::Mariadb, Work::DeleteNarrow, runs),
            ],
        ),
        "delete-one-pages",
    );
    let [only] = found.findings.as_slice() else {
        panic!("{found:?}");
    };
    assert!((only.figure - 110.0 / 120.0).abs() < 1e-9, "{only:?}");
    assert_eq!(found.verdict(), Verdict::Met);
}

#[test]
fn a_goal_is_missed_where_one_cell_misses_it() {
    let cells = vec![
        cell(
            Server::Mysql,
            Work::DeleteNarrow,
            &[(Who::Single, &[75.0]), (Who::OublietteBacklogOne, &[100.0])],
        ),
        cell(
            Server::Mysql,
            Work::DeleteWide,
            &[(Who::Single, &[74.0]), (Who::OublietteBacklogOne, &[100.0])],
        ),
    ];
    let found = of(&sheet(2, cells), "delete-one-innodb");
    let met: Vec<bool> = found.findings.iter().map(|it| it.met).collect();
    assert_eq!(met, [true, false]);
    assert_eq!(found.verdict(), Verdict::Missed);
}

#[test]
fn the_machine_decides_which_of_two_goals_is_judged() {
    let cells = vec![cell(
        Server::Postgresql,
        Work::DeleteWide,
        &[(Who::Single, &[130.0]), (Who::OublietteBacklog, &[100.0])],
    )];
    let two = sheet(2, cells.clone());
    assert_eq!(of(&two, "delete-2-cores").verdict(), Verdict::Met);
    let other = of(&two, "delete-4-cores");
    assert_eq!(
        (other.verdict(), other.other_machine),
        (Verdict::NotMeasured, true)
    );
    let four = sheet(4, cells);
    assert_eq!(of(&four, "delete-4-cores").verdict(), Verdict::Missed);
}

#[test]
fn who_is_quick_and_wrong_misses() {
    let mut cells = vec![cell(
        Server::Mariadb,
        Work::DeleteUnless,
        &[(Who::Single, &[100.0]), (Who::OublietteBacklogOne, &[50.0])],
    )];
    assert_eq!(
        of(&sheet(2, cells.clone()), "lookups-innodb").verdict(),
        Verdict::Met
    );
    let checks = &mut cells[0].modes[1].runs[0].checks;
    checks.insert("a renewed row stays".to_owned(), false);
    let found = of(&sheet(2, cells), "lookups-innodb");
    assert_eq!(found.verdict(), Verdict::Missed);
    assert_eq!(found.findings[0].wrong, ["a renewed row stays"]);
}

#[test]
fn whom_was_cut_is_compared_by_what_was_done_until_then() {
    let mut cells = vec![cell(
        Server::Mariadb,
        Work::DeleteWide,
        &[
            (Who::OublietteBacklogOne, &[100.0]),
            (Who::PtArchiverDefaults, &[300.0]),
        ],
    )];
    let run = &mut cells[0].modes[1].runs[0];
    (run.cut, run.changed) = (true, 100);
    let found = of(&sheet(2, cells), "archiver-defaults");
    assert!((found.findings[0].figure - 30.0).abs() < 1e-9, "{found:?}");
    assert!(found.findings[0].cut && found.findings[0].met);
}

#[test]
fn against_another_program_the_whole_call_is_judged() {
    let mut cells = vec![cell(
        Server::Mariadb,
        Work::DeleteNarrow,
        &[
            (Who::OublietteBacklogOne, &[100.0]),
            (Who::PtArchiverBest, &[150.0]),
        ],
    )];
    let found = of(&sheet(2, cells.clone()), "archiver-best-one");
    assert_eq!(found.verdict(), Verdict::Met);
    cells[0].modes[0].runs[0].phases.plan = 60.0;
    let found = of(&sheet(2, cells), "archiver-best-one");
    assert_eq!(found.verdict(), Verdict::Missed);
}

#[test]
fn discarded_runs_are_not_judged() {
    let latency = |p99: f64| Latency {
        p99,
        ..Latency::default()
    };
    let run = |during: f64, idle: f64, discarded: Option<&str>| Run {
        foreground: Some(Foreground {
            rate: 100.0,
            during: latency(during),
            idle_before: latency(idle),
            idle_after: latency(idle),
        }),
        longest_lock_wait: Some(60.0),
        discarded: discarded.map(str::to_owned),
        ..Run::default()
    };
    let mut cells = vec![cell(Server::Mariadb, Work::DeleteWide, &[])];
    cells[0].condition = Condition::Foreground;
    cells[0].modes = vec![Mode {
        name: Who::OublietteSteady,
        statements: Vec::new(),
        runs: vec![
            run(2.6, 2.0, None),
            run(90.0, 2.0, Some("noise")),
            run(2.8, 2.0, None),
        ],
    }];
    cells[0].modes[0].runs[1].longest_lock_wait = Some(120.0);
    let mut sheet = sheet(2, cells);
    let found = of(&sheet, "steady-p99");
    assert_eq!(found.findings[0].runs, (2, 3));
    assert!((found.findings[0].figure - 1.35).abs() < 1e-9, "{found:?}");
    assert_eq!(found.verdict(), Verdict::Met);
    let waited = of(&sheet, "lock-wait");
    assert!((waited.findings[0].figure - 1.2).abs() < 1e-9, "{waited:?}");
    let rate = of(&sheet, "steady-rate");
    let stands = (rate.verdict(), rate.discarded);
    assert_eq!(stands, (Verdict::NotMeasured, false));
    let runs = &mut sheet.cells[0].modes[0].runs;
    runs.retain(|run| !run.counts());
    let none = of(&sheet, "steady-p99");
    let stands = (none.verdict(), none.discarded);
    assert_eq!(stands, (Verdict::NotMeasured, true));
}

#[test]
fn what_was_counted_is_judged_without_a_database() {
    let mut cells = vec![cell(Server::Mariadb, Work::Operator, &[])];
    cells[0].engine = None;
    cells[0].modes = vec![Mode {
        name: Who::Operator,
        statements: Vec::new(),
        runs: vec![Run {
            figures: [(MEMORY, 39.5, "MB"), (CALLS, 2.5, "calls/h")]
                .map(|(name, value, unit)| {
                    let unit = unit.to_owned();
                    (name.to_owned(), Figure { value, unit })
                })
                .into(),
            ..Run::default()
        }],
    }];
    let sheet = sheet(2, cells);
    assert_eq!(of(&sheet, "operator-memory").verdict(), Verdict::Met);
    assert_eq!(of(&sheet, "operator-calls").verdict(), Verdict::Missed);
    assert_eq!(of(&sheet, "memory-flat").verdict(), Verdict::NotMeasured);
}
