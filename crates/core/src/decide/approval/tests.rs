//! Every way in which a plan is approved, and every one in which it is not.

use super::*;
use crate::approval::{ApprovalGuard, DryRunGuard, TargetKind};

const UID: &str = "u-1";
const ROWS: i64 = 20;

const fn asks(approval: ApprovalGuard) -> Asks {
    Asks {
        approval,
        dry_run: DryRunGuard::Required,
    }
}

fn digest(text: &str) -> Digest {
    Digest::of_bytes(text)
}

fn parts(spec: &str, schema: &str) -> PlanParts {
    PlanParts {
        spec: digest(spec),
        schema: digest(schema),
        statements: digest("statements"),
        duties: None,
    }
}

/// An Approval of the plan "now" for 20 rows, filed in that second.
fn filed(second: i64, by: &str, decision: Decision) -> Filed {
    Filed {
        name: format!("a{second}"),
        at: Timestamp::from_second(second).unwrap(),
        ruling: Ok(Ruling {
            kind: TargetKind::RetentionPolicy,
            target: "enquiries".to_owned(),
            uid: UID.to_owned(),
            decision,
            plan: digest("now"),
            max_rows: ROWS,
            by: by.to_owned(),
        }),
    }
}

fn approves(second: i64, by: &str) -> Filed {
    filed(second, by, Decision::Approve)
}

fn but(mut filed: Filed, change: impl FnOnce(&mut Ruling)) -> Filed {
    change(filed.ruling.as_mut().unwrap());
    filed
}

fn weighed(guard: ApprovalGuard, all: &[Filed]) -> Result<ApprovalStatus, Verdict> {
    let before = ApprovalStatus {
        plan: digest("then"),
        parts: Some(parts("spec", "other schema")),
        max_rows: ROWS,
        approved_at: None,
        approvals: vec![],
    };
    let parts = parts("spec", "schema");
    let plan = Planned {
        digest: &digest("now"),
        parts: Some(&parts),
        rows: Some(ROWS),
        loosened: &[],
    };
    weigh(asks(guard), UID, &plan, all, Some(&before))
}

#[test]
fn a_plan_is_approved_by_enough_people_for_what_all_of_them_allow() {
    use ApprovalGuard::{FourEyes, Required};
    let more = |second, by| but(approves(second, by), |r| r.max_rows = 50);
    for (what, guard, all, most, names) in [
        ("one", Required, vec![approves(1, "dpo")], 20, vec!["a1"]),
        (
            "the one who allows most",
            Required,
            vec![approves(1, "dpo"), more(2, "lead")],
            50,
            vec!["a2"],
        ),
        (
            "the newest word of one person",
            Required,
            vec![more(1, "dpo"), approves(2, "dpo")],
            20,
            vec!["a2"],
        ),
        (
            "a rejection that its author took back by a newer word",
            Required,
            vec![filed(1, "dpo", Decision::Reject), approves(2, "dpo")],
            20,
            vec!["a2"],
        ),
        (
            "a rejection of another plan",
            Required,
            vec![
                but(filed(1, "lead", Decision::Reject), |r| {
                    r.plan = digest("then");
                }),
                approves(2, "dpo"),
            ],
            20,
            vec!["a2"],
        ),
        (
            "the lower ceiling of two people",
            FourEyes,
            vec![more(1, "dpo"), approves(2, "lead")],
            20,
            vec!["a1", "a2"],
        ),
    ] {
        let approved = weighed(guard, &all).unwrap_or_else(|v| panic!("{what}: {v:?}"));
        let found = (approved.max_rows, approved.approvals);
        let names = names.into_iter().map(str::to_owned).collect();
        assert_eq!(found, (most, names), "{what}");
        assert_eq!(approved.plan, digest("now"), "{what}");
    }
}

#[test]
fn every_reason_why_a_plan_is_not_approved_is_told_with_the_difference() {
    use ApprovalGuard::{FourEyes, Required};
    use Reason::{ApprovalMissing, ApprovalVoid, ChangesRequested, Rejected};
    let then = |by| but(approves(1, by), |r| r.plan = digest("then"));
    let mut faulty = approves(3, "dpo");
    faulty.ruling = Err("spec.maxRow: this version does not know the field".to_owned());
    let (now, was) = (digest("now"), digest("then"));
    let differs = format!(
        "the Approval a1 is of another plan: it was {was} then and is {now} now; changed since: the \
         schema of its tables; the plan {now} changes 20 rows"
    );
    for (what, guard, all, reason, words) in [
        (
            "nothing",
            Required,
            vec![],
            ApprovalMissing,
            "nobody has approved it",
        ),
        (
            "nothing of two",
            FourEyes,
            vec![],
            ApprovalMissing,
            "none of the 2 people",
        ),
        (
            "one of two",
            FourEyes,
            vec![approves(1, "dpo")],
            ApprovalMissing,
            "is of one of them",
        ),
        (
            "one person twice",
            FourEyes,
            vec![approves(1, "dpo"), approves(2, "dpo")],
            ApprovalMissing,
            "is of one of them",
        ),
        (
            "another plan",
            Required,
            vec![then("dpo")],
            ApprovalVoid,
            differs.as_str(),
        ),
        (
            "more rows",
            Required,
            vec![but(approves(1, "dpo"), |r| r.max_rows = 19)],
            ApprovalVoid,
            "changes 20 rows now, and the Approval a1 allows 19",
        ),
        (
            "more rows than one of two allows",
            FourEyes,
            vec![
                approves(1, "dpo"),
                but(approves(2, "lead"), |r| r.max_rows = 19),
            ],
            ApprovalVoid,
            "the Approval a2 allows 19",
        ),
        (
            "a rejection",
            Required,
            vec![approves(1, "dpo"), filed(2, "lead", Decision::Reject)],
            Rejected,
            "the Approval a2 rejects the plan",
        ),
        (
            "a rejection beside the approvals of two",
            FourEyes,
            vec![
                approves(1, "dpo"),
                approves(2, "lead"),
                filed(3, "other", Decision::Reject),
            ],
            Rejected,
            "a3",
        ),
        (
            "changes asked for, which a rejection outweighs",
            Required,
            vec![
                approves(1, "dpo"),
                filed(2, "lead", Decision::RequestChanges),
            ],
            ChangesRequested,
            "the Approval a2 asks for changes",
        ),
        (
            "an approval that its author took back by a newer word",
            Required,
            vec![approves(1, "dpo"), filed(2, "dpo", Decision::Reject)],
            Rejected,
            "a2",
        ),
        (
            "a policy of that name that is gone",
            Required,
            vec![but(approves(1, "dpo"), |r| r.uid = "u-0".to_owned())],
            ApprovalMissing,
            "an earlier resource of this name",
        ),
        (
            "an Approval with a fault",
            Required,
            vec![faulty],
            ApprovalMissing,
            "the Approval a3 does not count: spec.maxRow",
        ),
    ] {
        let Err(verdict) = weighed(guard, &all) else {
            panic!("{what}: approved");
        };
        assert_eq!(verdict.reason, reason, "{what}: {}", verdict.message);
        assert!(
            verdict.message.contains(words),
            "{what}: {}",
            verdict.message
        );
        assert!(
            !verdict.message.contains("dpo"),
            "{what}: {}",
            verdict.message
        );
    }
}

#[test]
fn a_run_goes_on_while_what_it_was_begun_under_is_approved() {
    let under = |max_rows| Assent {
        plan: digest("now"),
        parts: None,
        max_rows,
        approved_at: None,
    };
    let required = asks(ApprovalGuard::Required);
    let all = [approves(1, "dpo")];
    let begun = under(Some(ROWS));
    assert!(is_still_approved(required, UID, Some(&begun), &all));
    assert!(!is_still_approved(required, UID, Some(&begun), &[]));
    let rejected = [approves(1, "dpo"), filed(2, "lead", Decision::Reject)];
    assert!(!is_still_approved(required, UID, Some(&begun), &rejected));
    // What is approved now is less than what it was begun for.
    let more = under(Some(ROWS + 1));
    assert!(!is_still_approved(required, UID, Some(&more), &all));
    // Begun before anybody was asked, or after a dry run alone.
    assert!(!is_still_approved(required, UID, None, &all));
    assert!(!is_still_approved(required, UID, Some(&under(None)), &all));
    let four_eyes = asks(ApprovalGuard::FourEyes);
    assert!(!is_still_approved(four_eyes, UID, Some(&begun), &all));
    let nobody = asks(ApprovalGuard::None);
    assert!(is_still_approved(nobody, UID, None, &rejected));
}

#[test]
fn a_hold_released_after_an_approval_voids_it_and_a_younger_one_counts() {
    let loosened = |second| Loosened {
        hold: "crm/litigation".to_owned(),
        at: Timestamp::from_second(second).unwrap(),
    };
    let weighed = |guard, filed: &[Filed], loosened: &[Loosened]| {
        let plan = Planned {
            digest: &digest("now"),
            parts: None,
            rows: Some(ROWS),
            loosened,
        };
        weigh(asks(guard), UID, &plan, filed, None)
    };
    let required = ApprovalGuard::Required;
    let old = approves(10, "dpo");
    for (released, counts) in [(9, true), (10, false), (11, false)] {
        let found = weighed(
            required,
            std::slice::from_ref(&old),
            &[loosened(1), loosened(released)],
        );
        assert_eq!(found.is_ok(), counts, "{released}");
        if let Err(verdict) = found {
            assert_eq!(verdict.reason, Reason::ApprovalVoid);
            for word in ["a10", "crm/litigation", "released"] {
                assert!(verdict.message.contains(word), "{}", verdict.message);
            }
        }
    }
    let released = [loosened(11)];
    let both = [old.clone(), approves(12, "dpo")];
    let approved = weighed(required, &both, &released).unwrap();
    assert_eq!(approved.approvals, ["a12"]);
    assert_eq!(approved.approved_at, Some(both[1].at));
    // Of four eyes all must be younger.
    let four = ApprovalGuard::FourEyes;
    let one_old = [old.clone(), approves(12, "lead")];
    assert!(weighed(four, &one_old, &released).is_err());
    let two = [approves(12, "lead"), approves(14, "dpo")];
    assert_eq!(
        weighed(four, &two, &released).unwrap().approved_at,
        Some(two[0].at)
    );
    // A rejection is no approval: it holds.
    let rejected = [filed(10, "dpo", Decision::Reject), approves(12, "lead")];
    let verdict = weighed(required, &rejected, &released).unwrap_err();
    assert_eq!(verdict.reason, Reason::Rejected);
}
