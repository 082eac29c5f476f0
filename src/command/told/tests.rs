//! What people read, as snapshots; and what the exit code says.

use oubliette_core::digest::Digest;
use oubliette_core::report::{Effect, KeptRows, Residual, RulePlan, RuleRun, TableCount};

use super::*;

fn rule(name: &str, table: &str, eligible: i64, total: i64) -> RulePlan {
    RulePlan {
        rule: name.to_owned(),
        table: table.to_owned(),
        effect: Effect::Deleted,
        cutoff: "2026-05-24T00:00:00Z".parse().unwrap(),
        eligible,
        total,
        clock_null: 0,
        implausible: 0,
        held: 0,
        held_by: Vec::new(),
        small_groups: None,
        kept: KeptRows::default(),
        overdue_since: (eligible > 0).then(|| "2024-05-01T10:00:00Z".parse().unwrap()),
        related: Vec::new(),
        partitions: 0,
        walk: "id".to_owned(),
    }
}

fn told(name: &str, rules: Vec<RulePlan>) -> Told {
    Told {
        namespace: "learning".to_owned(),
        name: name.to_owned(),
        database: "learning/learning".to_owned(),
        address: "crm-rw.crm.svc:5432/crm".to_owned(),
        server: Some("PostgreSQL 18.6".to_owned()),
        mode: "Enforce",
        suspended: false,
        estimated_seconds: rules.iter().map(|rule| Some(rule.rows() / 100)).collect(),
        plan: Some(PlanReport {
            parts: None,
            digest: Digest::of_bytes("plan"),
            as_of: "2026-11-24T17:30:00Z".parse().unwrap(),
            rules,
            warnings: Vec::new(),
            loosened: Vec::new(),
            survivors: Vec::new(),
        }),
        refusals: Vec::new(),
        notes: Vec::new(),
        statements: Vec::new(),
        run: None,
        open_run: None,
        left_elsewhere: Vec::new(),
    }
}

#[test]
fn what_is_refused_is_not_said_to_change() {
    let mut refused = told("refused", vec![rule("old", "public.t", 5_000, 10_000)]);
    let limit = Refusal::whole(Reason::LimitExceeded, "too many");
    refused.refuse(&[limit]);
    let report = |policies| Report {
        policies,
        requests: Vec::new(),
        interrupted: false,
    };
    let only = report(vec![refused]);
    let text = only.text(Output::Table).unwrap();
    assert!(
        text.starts_with("learning/refused: refused, nothing would change; 5,000 rows are due\n"),
        "{text}"
    );
    let heading = |report: &Report| {
        let text = report.text(Output::Markdown).unwrap();
        text.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(
        heading(&only),
        "## Retention plan: nothing would change, 1 policy is refused"
    );
    let mut both = only;
    let other = rule("new", "public.u", 7, 10);
    both.policies.push(told("other", vec![other]));
    assert_eq!(
        heading(&both),
        "## Retention plan: 7 rows would change, 1 policy is refused"
    );
}

/// A policy with everything that a plan can show, a refused one, and one with nothing to do.
fn report() -> Report {
    let mut enquiries = rule("enquiries", "public.enquiries", 5_000, 15_000);
    enquiries.related = vec![
        TableCount {
            table: "public.enquiry_notes".to_owned(),
            effect: Effect::Deleted,
            rows: 3_333,
        },
        TableCount {
            table: "public.a_table_whose_name_is_longer_than_any_column_should_be".to_owned(),
            effect: Effect::Detached,
            rows: 1,
        },
    ];
    let mut learners = rule("learners", "public.learners", 3, 2_000_000);
    learners.effect = Effect::Pseudonymised;
    learners.clock_null = 12;
    learners.implausible = 1;
    learners.held = 3;
    learners.held_by = vec![oubliette_core::report::HeldCount {
        hold: "learning/matter-14".to_owned(),
        rows: 3,
    }];
    learners.partitions = 2;
    learners.kept = KeptRows {
        rows: 5,
        duties: vec![oubliette_core::report::DutyCount {
            duty: "crm/map learners[0]".to_owned(),
            rows: 5,
            open_ended: 2,
            next_ends_at: Some("2027-01-10T00:00:00Z".parse().expect("an instant")),
        }],
    };
    learners.walk = "first_part_of_the_key, second_part_of_the_key, third".to_owned();
    let mut full = told("learning", vec![enquiries, learners]);
    full.estimated_seconds = vec![Some(8_333), None];
    full.plan.as_mut().unwrap().warnings = vec![
        "fsync is off: a failure of the server's machine can undo committed batches, and this \
         sentence goes on until it needs a second line"
            .to_owned(),
    ];
    full.notes = vec!["mode is DryRun".to_owned()];
    full.statements = vec![StatementsTold {
        rule: "enquiries".to_owned(),
        sql: vec![r#"DELETE FROM "public"."enquiries" WHERE "id" > ($1)"#.to_owned()],
    }];
    let mut refused = told("messages", Vec::new());
    refused.plan = None;
    refused.suspended = true;
    refused.refuse(&[
        Refusal::of(
            "old|er",
            Reason::ReferenceUndecided,
            "public.files.message_id references public.messages, and nothing says what happens to it",
        )
        .remedy("related:\n- table: public.files\n  of: public.messages\n"),
        Refusal::whole(Reason::MissingGrants, "SELECT is missing on public.messages"),
    ]);
    Report {
        policies: vec![
            full,
            refused,
            told("library", vec![rule("loans", "library.loans", 0, 0)]),
        ],
        requests: Vec::new(),
        interrupted: false,
    }
}

fn run(outcome: RunOutcome) -> RunReport {
    RunReport {
        run: "uid/apply".to_owned(),
        plan: Digest::of_bytes("plan"),
        as_of: "2026-11-24T17:30:00Z".parse().unwrap(),
        started_at: "2026-11-24T17:30:01Z".parse().unwrap(),
        finished_at: "2026-11-24T17:30:43Z".parse().unwrap(),
        outcome,
        rules: vec![RuleRun {
            rule: "enquiries".to_owned(),
            cutoff: "2026-05-24T00:00:00Z".parse().unwrap(),
            changed: vec![TableCount {
                table: "public.enquiries".to_owned(),
                effect: Effect::Deleted,
                rows: 5_000,
            }],
            residual: Residual {
                held: 0,
                kept: 0,
                locked: 0,
                newly_eligible: 2,
                unexplained: 0,
                too_large: 0,
                small_groups: 0,
            },
            oldest_left: None,
            held_by: Vec::new(),
            small_groups: None,
            partitions: 0,
            kept: KeptRows::default(),
            failed: None,
        }],
        evidence: Some(Digest::of_bytes("evidence")),
    }
}

#[test]
fn a_plan_as_a_table() {
    let text = report().text(Output::Table).unwrap();
    insta::assert_snapshot!(text);
    for line in text.lines() {
        let sql = line.trim_start().starts_with("DELETE");
        assert!(sql || line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn a_plan_as_markdown() {
    insta::assert_snapshot!(report().text(Output::Markdown).unwrap());
}

#[test]
fn a_run_tells_what_it_did_and_what_it_did_not_reach() {
    let mut done = told(
        "learning",
        vec![rule("enquiries", "public.enquiries", 5_000, 9_000)],
    );
    done.run = Some(run(RunOutcome::Completed));
    done.left_elsewhere = vec!["backups and snapshots: until their own retention ends".to_owned()];
    let mut stopped = told("messages", Vec::new());
    stopped.run = Some(run(RunOutcome::Stopped(Reason::RowsLocked)));
    let mut interrupted = told(
        "people",
        vec![rule("learners", "public.learners", 9_000, 9_000)],
    );
    interrupted.open_run = Some(OpenRunTold {
        run: "uid/2026-11-24T17:30:00Z".to_owned(),
        rows_changed: 1_200,
    });
    let report = Report {
        policies: vec![done, stopped, interrupted],
        requests: Vec::new(),
        interrupted: true,
    };
    insta::assert_snapshot!(report.text(Output::Table).unwrap());
    insta::assert_snapshot!(report.text(Output::Markdown).unwrap());
}

#[test]
fn json_and_yaml_say_the_same_and_carry_the_statuss_own_structs() {
    let mut report = report();
    report.policies[0].run = Some(run(RunOutcome::Completed));
    let json: serde_json::Value =
        serde_json::from_str(&report.text(Output::Json).unwrap()).unwrap();
    let yaml: serde_json::Value =
        serde_saphyr::from_str(&report.text(Output::Yaml).unwrap()).unwrap();
    assert_eq!(json, yaml);
    let told = &json["policies"][0];
    let plan: PlanReport = serde_json::from_value(told["plan"].clone()).unwrap();
    assert_eq!(Some(plan), report.policies[0].plan);
    let run: RunReport = serde_json::from_value(told["run"].clone()).unwrap();
    assert_eq!(Some(run), report.policies[0].run);
}

#[test]
fn the_exit_code_tells_the_worst_of_all_policies() {
    let nothing = || told("nothing", vec![rule("r", "t", 0, 9)]);
    let pending = || told("pending", vec![rule("r", "t", 1, 9)]);
    let hanging = || {
        let mut told = pending();
        let rule = &mut told.plan.as_mut().unwrap().rules[0];
        rule.eligible = 0;
        rule.related = vec![TableCount {
            table: "u".to_owned(),
            effect: Effect::Deleted,
            rows: 1,
        }];
        told
    };
    let refused = || {
        let mut told = nothing();
        told.refuse(&[Refusal::whole(Reason::Conflict, "another policy")]);
        told
    };
    let ran = |outcome| {
        let mut told = pending();
        told.run = Some(run(outcome));
        told
    };
    let stopped = || ran(RunOutcome::Stopped(Reason::RowsLocked));
    let given_up = || ran(RunOutcome::Stopped(Reason::Abandoned));
    for (policies, code) in [
        (vec![], NOTHING),
        (vec![nothing()], NOTHING),
        (vec![nothing(), pending()], PENDING),
        (vec![hanging()], PENDING),
        (vec![pending(), refused(), nothing()], FAILED),
        (vec![ran(RunOutcome::Completed), nothing()], NOTHING),
        (vec![ran(RunOutcome::Completed), pending()], PENDING),
        (vec![ran(RunOutcome::Completed), stopped()], FAILED),
        (vec![ran(RunOutcome::Failed(Reason::RunFailed))], FAILED),
        (vec![given_up(), nothing()], NOTHING),
        (vec![given_up(), pending()], PENDING),
        (vec![given_up(), refused()], FAILED),
    ] {
        let mut report = Report {
            policies,
            requests: Vec::new(),
            interrupted: false,
        };
        assert_eq!(report.code(), code, "{report:?}");
        report.interrupted = true;
        let stopped = if code == FAILED { FAILED } else { INTERRUPTED };
        assert_eq!(report.code(), stopped, "{report:?}");
    }
}

#[test]
fn markup_in_names_stays_text() {
    let mut told = told("x", vec![rule("a|b", "public.`x`|y", 1, 2)]);
    told.notes = vec!["<img src=x> @team #1 [a](b)".to_owned()];
    let report = Report {
        policies: vec![told],
        requests: Vec::new(),
        interrupted: false,
    };
    let text = report.text(Output::Markdown).unwrap();
    assert!(text.contains("| a\\|b | ``public.`x`\\|y`` |"), "{text}");
    assert!(
        text.contains("- note: \\<img src=x\\> \\@team \\#1 \\[a\\](b)"),
        "{text}"
    );
}
