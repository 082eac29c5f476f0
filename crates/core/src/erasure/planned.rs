//! A request's plan as the ErasurePlan has it: what becomes of the rows of each entry, and why what stays
//! stays. Counts and names; never a value.

use super::outcome::{PlacePlan, RequestReport};
use crate::api::data_map::GroundName;
use crate::api::erasure_plan::{
    ErasurePlanSpec, FoundRole, PlannedDatabase, PlannedEffect, PlannedHold, PlannedKeep,
    PlannedRelated, PlannedTable, RequestRef,
};
use crate::api::rule::RelatedActionType;
use crate::api::words::Word;
use crate::duty::{NamedMap, duty_named};
use crate::report::{Effect, RulePlan};

impl RequestReport {
    /// The plan for whoever decides about it. `maps`: those of all databases, for what duties say.
    pub fn planned(&self, request_ref: RequestRef, maps: &[&NamedMap]) -> ErasurePlanSpec {
        ErasurePlanSpec {
            request_ref,
            digest: self.digest,
            as_of: self.as_of,
            databases: self
                .places
                .iter()
                .map(|place| database(place, maps))
                .collect(),
        }
    }
}

fn database(place: &PlacePlan, maps: &[&NamedMap]) -> PlannedDatabase {
    let rows = |rows: usize| i64::try_from(rows).unwrap_or(i64::MAX);
    let found = place.found.iter();
    let rules = place.plan.rules.iter();
    PlannedDatabase {
        map: place.map.clone(),
        database: place.database.clone(),
        found: found
            .map(|(role, n)| FoundRole {
                role: role.clone(),
                rows: rows(*n),
            })
            .collect(),
        tables: rules
            .filter(|rule| rule.rows() > 0 || rule.kept.rows > 0 || rule.held > 0)
            .map(|rule| table(rule, maps))
            .collect(),
        unclassified: place.unclassified.clone(),
    }
}

fn table(rule: &RulePlan, maps: &[&NamedMap]) -> PlannedTable {
    let kept = rule.kept.duties.iter().map(|count| {
        let duty = duty_named(maps, &count.duty);
        PlannedKeep {
            duty: count.duty.clone(),
            law: duty.map(|duty| duty.law.clone()).unwrap_or_default(),
            ground: duty
                .and_then(|duty| duty.ground.as_deref())
                .and_then(|ground| GroundName::ALL.iter().find(|(_, text)| *text == ground))
                .map(|(ground, _)| (*ground).into()),
            rows: count.rows,
            until: count.next_ends_at,
            open_ended: count.open_ended,
            tell_subject: duty.is_none_or(|duty| duty.tell_subject),
        }
    });
    let held = rule.held_by.iter().map(|count| PlannedHold {
        hold: count.hold.clone(),
        rows: count.rows,
    });
    let related = rule.related.iter().filter(|table| table.rows > 0);
    PlannedTable {
        entry: rule.rule.clone(),
        table: rule.table.clone(),
        effect: match rule.effect {
            Effect::Deleted | Effect::Sealed => PlannedEffect::Delete,
            Effect::Pseudonymised | Effect::Masked | Effect::Anonymised | Effect::Detached => {
                PlannedEffect::Transform
            }
        }
        .into(),
        rows: rule.eligible,
        kept: kept.collect(),
        held: held.collect(),
        related: related
            .map(|table| PlannedRelated {
                table: table.table.clone(),
                effect: match table.effect {
                    Effect::Deleted => RelatedActionType::Delete,
                    Effect::Sealed => RelatedActionType::Seal,
                    Effect::Detached => RelatedActionType::Detach,
                    Effect::Pseudonymised | Effect::Masked | Effect::Anonymised => {
                        RelatedActionType::Anonymise
                    }
                }
                .into(),
                rows: table.rows,
            })
            .collect(),
    }
}
