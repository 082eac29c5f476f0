//! What is asked for before rows are changed, and what people decided, as the program works with it.
//! `api::approval` and `api::guards` are what people write; `api::parse` makes these.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

pub use crate::api::approval::{Decision, TargetKind};
pub use crate::api::guards::{ApprovalGuard, DryRunGuard};

/// What is asked for before rows are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asks {
    /// Who must agree.
    pub approval: ApprovalGuard,
    /// Whether a dry run comes first.
    pub dry_run: DryRunGuard,
}

impl Asks {
    /// Nothing is asked for.
    pub const NOTHING: Self = Self {
        approval: ApprovalGuard::None,
        dry_run: DryRunGuard::None,
    };

    /// Of each guard the stricter one.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        Self {
            approval: self.approval.max(other.approval),
            dry_run: self.dry_run.max(other.dry_run),
        }
    }

    /// People who must have approved.
    pub fn people(self) -> usize {
        match self.approval {
            ApprovalGuard::None => 0,
            ApprovalGuard::Required => 1,
            ApprovalGuard::FourEyes => 2,
        }
    }
}

/// One person's decision about one plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// What has the plan: a policy, or a person's request.
    pub kind: TargetKind,
    /// Its name.
    pub target: String,
    /// Its UID.
    pub uid: String,
    /// What was decided.
    pub decision: Decision,
    /// Of which plan.
    pub plan: Digest,
    /// Most rows of a run; zero where nothing was approved.
    pub max_rows: i64,
    /// Who decided. Compared, never shown: an Approval is told by its own name.
    pub by: String,
}

/// What a plan's digest is made of, each part with a digest of its own, so that of two plans it can
/// be said what differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanParts {
    /// The policy's spec and what counts of the database's.
    #[schemars(with = "String", length(max = 128))]
    pub spec: Digest,
    /// The schema of the tables.
    #[schemars(with = "String", length(max = 128))]
    pub schema: Digest,
    /// The statements.
    #[schemars(with = "String", length(max = 128))]
    pub statements: Digest,
    /// The duties on the tables that it changes; left out where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(max = 128))]
    pub duties: Option<Digest>,
}

impl PlanParts {
    /// What differs from another plan: "the spec and the statements".
    fn changed(&self, then: &Self) -> String {
        let Self {
            spec,
            schema,
            statements,
            duties,
        } = self;
        let parts = [
            ("the spec", *spec != then.spec),
            ("the schema of its tables", *schema != then.schema),
            ("its statements", *statements != then.statements),
            ("the duties on its tables", *duties != then.duties),
        ];
        let changed: Vec<&str> = parts
            .iter()
            .filter(|(_, differs)| *differs)
            .map(|(name, _)| *name)
            .collect();
        changed.join(" and ")
    }
}

/// How two plans differ, for people: their digests, and the parts where both are known.
pub fn difference(
    then: (&Digest, Option<&PlanParts>),
    now: (&Digest, Option<&PlanParts>),
) -> String {
    let digests = format!("it was {} then and is {} now", then.0, now.0);
    match (then.1, now.1) {
        (Some(old), Some(new)) if old != new => {
            format!("{digests}; changed since: {}", new.changed(old))
        }
        _ => digests,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stricter_guard_counts_whoever_wrote_it() {
        let of = |approval, dry_run| Asks { approval, dry_run };
        let strict = of(ApprovalGuard::FourEyes, DryRunGuard::None);
        let other = of(ApprovalGuard::Required, DryRunGuard::Required);
        let both = of(ApprovalGuard::FourEyes, DryRunGuard::Required);
        assert_eq!(strict.stricter(other), both);
        assert_eq!(other.stricter(strict), both);
        assert_eq!(Asks::NOTHING.stricter(other), other);
    }

    #[test]
    fn a_difference_names_the_parts_that_changed() {
        let digest = |text: &str| Digest::of_bytes(text);
        let parts = |schema: &str| PlanParts {
            spec: digest("spec"),
            schema: digest(schema),
            statements: digest("statements"),
            duties: None,
        };
        let (then, now) = (digest("then"), digest("now"));
        let (old, new) = (parts("one"), parts("two"));
        let told = difference((&then, Some(&old)), (&now, Some(&new)));
        let digests = format!("it was {then} then and is {now} now");
        assert_eq!(
            told,
            format!("{digests}; changed since: the schema of its tables")
        );
        assert_eq!(difference((&then, None), (&now, Some(&new))), digests);
    }
}
