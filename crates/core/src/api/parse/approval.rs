//! Approval and `guards`: from the manifests to `crate::approval`.

use super::{At, Faults, FieldError};
use crate::api::approval::{ApprovalSpec, ApprovalTargetSpec, Decision};
use crate::api::guards::{ApprovalGuard, DatabaseGuardsSpec, DryRunGuard, PolicyGuardsSpec};
use crate::api::retention_policy::LimitsSpec;
use crate::api::words::Choice;
use crate::approval::{Asks, Ruling};
use crate::policy::Limits;

impl Ruling {
    /// Parses an Approval's spec, or names every fault of it. A field that is not known could bind an
    /// approval to something and refuses it; what only holds a run up stands without it.
    pub fn parse(spec: &ApprovalSpec) -> Result<Self, Vec<FieldError>> {
        let faults = Faults::default();
        let ruling = parse_ruling(&faults.root(), spec);
        faults.conclude(ruling)
    }
}

fn parse_ruling(at: &At<'_>, spec: &ApprovalSpec) -> Option<Ruling> {
    let ApprovalSpec {
        target_ref,
        decision,
        ground: _,
        plan_digest,
        max_rows,
        by,
        unknown,
    } = spec;
    let decision = at.field("decision").word(decision.as_ref());
    let approves = matches!(decision, Some(Decision::Approve) | None);
    if approves {
        at.known::<ApprovalSpec>(unknown);
    }
    let target_at = at.field("targetRef");
    let target = target_at
        .required(
            target_ref.as_ref(),
            "`{kind: RetentionPolicy, name: …, uid: …}`",
        )
        .and_then(|target| {
            let ApprovalTargetSpec {
                kind,
                name,
                uid,
                unknown,
            } = target;
            if approves {
                target_at.known::<ApprovalTargetSpec>(unknown);
            }
            let kind = target_at.field("kind").word(kind.as_ref());
            let name_at = target_at.field("name");
            let name = name_at.object_name(name.as_ref(), "`enquiries`");
            let uid_at = target_at.field("uid");
            let uid = uid_at.text(uid.as_ref(), "its `metadata.uid`");
            Some((kind?, name?.to_owned(), uid?.to_owned()))
        });
    let plan_at = at.field("planDigest");
    let plan = plan_at
        .text(plan_digest.as_ref(), "`status.plan.digest` of the target")
        .and_then(|text| plan_at.parsed(text));
    let rows_at = at.field("maxRows");
    let max_rows = if approves {
        rows_at
            .required(max_rows.as_ref(), "`12000`")
            .and_then(|rows| rows_at.within(*rows, 0, i64::MAX))
    } else {
        Some(0)
    };
    let by = at.field("by").text(by.as_ref(), "your own user name");
    let (kind, target, uid) = target?;
    Some(Ruling {
        kind,
        target,
        uid,
        decision: decision?,
        plan: plan?,
        max_rows: max_rows?,
        by: by?.to_owned(),
    })
}

/// A database's guards: floors under every policy's limits, and what it asks for.
pub(super) fn parse_database_guards(
    at: &At<'_>,
    spec: Option<&DatabaseGuardsSpec>,
) -> Option<(Limits, Asks)> {
    let none = DatabaseGuardsSpec::default();
    let DatabaseGuardsSpec {
        max_rows,
        max_percent,
        approval,
        dry_run,
        unknown,
    } = spec.unwrap_or(&none);
    at.known::<DatabaseGuardsSpec>(unknown);
    let limits = LimitsSpec {
        max_rows: *max_rows,
        max_percent: *max_percent,
        ..LimitsSpec::default()
    };
    let limits = super::target::parse_limits(at, Some(&limits));
    let asks = parse_asks(
        at,
        approval.as_ref(),
        dry_run.as_ref(),
        DryRunGuard::Required,
    );
    Some((limits?, asks?))
}

/// What a policy asks for by itself.
pub(super) fn parse_policy_guards(at: &At<'_>, spec: Option<&PolicyGuardsSpec>) -> Option<Asks> {
    let none = PolicyGuardsSpec::default();
    let PolicyGuardsSpec {
        approval,
        dry_run,
        unknown,
    } = spec.unwrap_or(&none);
    at.known::<PolicyGuardsSpec>(unknown);
    parse_asks(at, approval.as_ref(), dry_run.as_ref(), DryRunGuard::None)
}

fn parse_asks(
    at: &At<'_>,
    approval: Option<&Choice<ApprovalGuard>>,
    dry_run: Option<&Choice<DryRunGuard>>,
    unless_said: DryRunGuard,
) -> Option<Asks> {
    let approval = at.field("approval").word_or(approval, ApprovalGuard::None);
    let dry_run = at.field("dryRun").word_or(dry_run, unless_said);
    Some(Asks {
        approval: approval?,
        dry_run: dry_run?,
    })
}
