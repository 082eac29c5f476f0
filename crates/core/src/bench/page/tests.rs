use super::*;
use crate::bench::{
    Cell, Condition, Figure, Foreground, Latency, Mode, Phases, Run, Server, Who, Work, example,
};

fn run(milliseconds: f64, changed: i64) -> Run {
    Run {
        phases: Phases {
            setup: 20.0,
            plan: 180.0,
            run: milliseconds,
            verify: 100.0,
        },
        changed,
        checks: [("exactly the expired rows have gone".to_owned(), true)].into(),
        log_bytes: Some(800 * 800_000),
        settled: Some(milliseconds * 2.0),
        ..Run::default()
    }
}

fn mode(name: Who, statement: &str, runs: Vec<Run>) -> Mode {
    Mode {
        name,
        statements: vec![statement.to_owned()],
        runs,
    }
}

fn delete() -> Cell {
    let alone = |milliseconds: f64| Run {
        phases: Phases {
            run: milliseconds,
            ..Phases::default()
        },
        ..run(milliseconds, 800_000)
    };
    let mut cut = alone(30_000.0);
    cut.cut = true;
    cut.changed = 120_000;
    cut.checks = [("a renewed row stays".to_owned(), false)].into();
    example::cell(
        Server::Postgresql,
        Work::DeleteNarrow,
        vec![
            mode(
                Who::Single,
                "DELETE FROM narrow WHERE left_at < $1",
                vec![alone(2_000.0), alone(9_000.0), alone(2_100.0)],
            ),
            mode(
                Who::OublietteBacklog,
                "oubliette apply",
                vec![
                    run(1_400.0, 800_000),
                    run(1_900.0, 800_000),
                    run(1_500.0, 800_000),
                ],
            ),
            mode(
                Who::OublietteBacklogOne,
                "oubliette apply",
                vec![run(2_600.0, 800_000), run(2_700.0, 800_000)],
            ),
            mode(Who::InSelectLimit, "DELETE … LIMIT 1000", vec![cut]),
        ],
    )
}

fn beside() -> Cell {
    let latency = |p50: f64, p99: f64| Latency {
        operations: 8_000,
        p50,
        p95: p99 / 2.0,
        p99,
        max: p99 * 3.0,
    };
    let seen = |during: f64, idle: f64, discarded: bool| Run {
        foreground: Some(Foreground {
            rate: 800.0,
            during: latency(1.1, during),
            idle_before: latency(1.0, idle),
            idle_after: latency(1.0, idle * 1.1),
        }),
        longest_lock_wait: Some(61.0),
        discarded: discarded.then(|| "idle p99 went from 2.0 to 9.0 ms".to_owned()),
        ..run(8_000.0, 80_000)
    };
    let mut cell = example::cell(
        Server::Mariadb,
        Work::DeleteWide,
        vec![mode(
            Who::OublietteSteady,
            "oubliette apply",
            vec![
                seen(2.6, 2.0, false),
                seen(9.0, 5.0, true),
                seen(2.4, 2.0, false),
            ],
        )],
    );
    cell.condition = Condition::Foreground;
    cell
}

fn operator() -> Cell {
    let figure = |value: f64, unit: &str| Figure {
        value,
        unit: unit.to_owned(),
    };
    let mut cell = example::cell(
        Server::Postgresql,
        Work::Operator,
        vec![Mode {
            name: Who::Operator,
            statements: Vec::new(),
            runs: vec![Run {
                figures: [
                    (goals::MEMORY.to_owned(), figure(48.25, "MB")),
                    (goals::CALLS.to_owned(), figure(1.5, "calls/h")),
                ]
                .into(),
                ..Run::default()
            }],
        }],
    );
    cell.engine = None;
    (cell.rows, cell.expired) = (0, 0);
    cell
}

#[test]
fn a_page_of_made_up_results() {
    let sheet = example::sheet(vec![delete(), beside(), operator()]);
    let notes = Notes::from([(
        "operator-memory".to_owned(),
        "the reason that somebody found.\n".to_owned(),
    )]);
    insta::assert_snapshot!(page(&sheet, &notes).unwrap());
}

#[test]
fn quick_results_say_so() {
    let mut sheet = example::sheet(Vec::new());
    let says_so = |sheet: &Sheet| {
        page(sheet, &Notes::new())
            .unwrap()
            .contains("not to be quoted")
    };
    assert!(!says_so(&sheet));
    sheet.quick = true;
    assert!(says_so(&sheet));
}

#[test]
fn results_of_two_builds_say_which() {
    let mut sheet = example::sheet(vec![delete(), beside()]);
    let told = |sheet: &Sheet| {
        let text = page(sheet, &Notes::new()).unwrap();
        text.matches("Measured with commit").count()
    };
    assert_eq!(told(&sheet), 0);
    sheet.cells[1].commit = Some("beef".to_owned());
    assert_eq!(told(&sheet), 2);
    sheet.cells[1].commit = None;
    assert_eq!(told(&sheet), 2);
    let text = page(&sheet, &Notes::new()).unwrap();
    assert!(
        text.contains("of several commits, as each part says"),
        "{text}"
    );
}

#[test]
fn a_note_is_about_a_goal() {
    let notes = Notes::from([("delete-five-cores".to_owned(), "why".to_owned())]);
    let refused = page(&example::sheet(Vec::new()), &notes).unwrap_err();
    assert!(
        refused.to_string().contains("delete-five-cores"),
        "{refused}"
    );
}

#[test]
fn what_others_named_cannot_break_a_table() {
    let mut cell = delete();
    cell.version = "1 | 2 `x`\n| y".to_owned();
    let text = page(&example::sheet(vec![cell]), &Notes::new()).unwrap();
    assert!(text.contains("| PostgreSQL 1   2  x    y |"), "{text}");
}
