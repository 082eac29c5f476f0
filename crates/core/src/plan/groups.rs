//! Small groups in a plan: which columns can make them, and which plan is refused for them.

use super::approve::is_unindexed;
use super::column::column;
use super::draft::RuleDraft;
use super::facts::RuleFacts;
use super::refusal::Refusal;
use crate::api::reason::Reason;
use crate::catalog::{ColumnKind, Table};
use crate::groups::{Below, Groups, Promise, SmallGroups, Weighed};
use crate::name::TableName;
use crate::policy::Rule;
use crate::rows::number;
use crate::sql::{Effect, Eligible, GroupSql, KeyColumn, Quasi, Transform};

/// A rule's promise about small groups with its statements.
#[derive(Clone, Debug)]
pub struct GroupDraft {
    /// What is promised.
    pub promise: Promise,
    /// How groups are counted.
    pub sql: GroupSql,
}

/// The promise, each quasi-identifier checked against its column. The rows that other rules delete are
/// filled in when all of them are drafted.
pub(super) fn draft(
    rule: &Rule,
    table: &Table,
    key: &[KeyColumn],
    transforms: &[Transform],
    refusals: &mut Vec<Refusal>,
) -> Option<GroupDraft> {
    let promise = rule.groups.as_ref()?;
    let mut quasi = Vec::new();
    for name in &promise.columns {
        let Some(column) = column(rule, table, name, refusals) else {
            continue;
        };
        let of_key = key.iter().any(|key| key.0.name == *name) || table.primary_key.contains(name);
        let why = if of_key {
            Some("is of the key, by which every row is a group of its own".to_owned())
        } else if column.generated {
            Some("is computed by the database: name the columns that it is made of".to_owned())
        } else if matches!(
            column.kind,
            ColumnKind::Bytes | ColumnKind::Json | ColumnKind::Other
        ) {
            let type_name = &column.type_name;
            Some(format!(
                "is {type_name}, whose values cannot be compared for groups"
            ))
        } else {
            None
        };
        if let Some(why) = why {
            refusals.push(Refusal::of(
                &rule.name,
                Reason::ColumnUnfit,
                format!("quasi-identifier {}.{name} {why}", table.name),
            ));
            continue;
        }
        let transform = transforms.iter().find(|t| t.column.name == *name);
        quasi.push(transform.map_or_else(
            || Quasi::Kept(column.clone()),
            |transform| Quasi::Made(transform.clone()),
        ));
    }
    Some(GroupDraft {
        promise: promise.clone(),
        sql: GroupSql {
            quasi,
            going: Vec::new(),
        },
    })
}

/// Tells each promise which rows of its table go by other rules of the policy, or leave their group
/// because duties keep only a part of them.
pub(super) fn tell_of_deletes(rules: &mut [RuleDraft]) {
    let others: Vec<(TableName, bool, Effect, Eligible)> = rules
        .iter()
        .map(|rule| {
            (
                rule.change.window.table.clone(),
                rule.remainder,
                rule.change.effect.clone(),
                rule.change.eligible.clone(),
            )
        })
        .collect();
    for rule in rules {
        let table = &rule.change.window.table;
        if let Some(groups) = &mut rule.groups {
            let promised = &groups.promise.columns;
            let going = others.iter().filter(|(of, remainder, effect, _)| {
                of == table
                    && match effect {
                        Effect::Delete => true,
                        Effect::Update(transforms, _) => {
                            let mut changed = transforms.iter().map(|t| &t.column.name);
                            *remainder && changed.any(|column| promised.contains(column))
                        }
                    }
            });
            groups.sql.going = going.map(|(.., eligible)| eligible.clone()).collect();
        }
    }
}

impl RuleDraft {
    /// How the groups will be, where the rule promises something of them.
    pub(super) fn weigh(&self, groups: &Groups) -> Option<Weighed> {
        let promise = &self.groups.as_ref()?.promise;
        Some(groups.weigh(promise.k, promise.below))
    }

    /// What is reported of that.
    pub(super) fn small_groups(&self, facts: &RuleFacts) -> Option<SmallGroups> {
        let promise = &self.groups.as_ref()?.promise;
        Some(self.weigh(&facts.groups)?.report(promise))
    }
}

/// Why a rule's groups are no good.
pub(super) fn refusal(rule: &RuleDraft, facts: &RuleFacts) -> Option<Refusal> {
    let promise = &rule.groups.as_ref()?.promise;
    if is_unindexed(rule, facts) {
        // Counting ended early.
        return None;
    }
    let weighed = rule.weigh(&facts.groups)?;
    let columns: Vec<String> = promise.columns.iter().map(ToString::to_string).collect();
    let columns = columns.join(", ");
    let table = &rule.change.window.table;
    if weighed.overflown {
        let most = number(i64::try_from(Groups::MOST).unwrap_or(i64::MAX));
        return Some(
            Refusal::of(
                &rule.name,
                Reason::SmallGroups,
                format!(
                    "{table} has more than {most} different values of ({columns}), so many are not \
                     counted"
                ),
            )
            .remedy("generalise the columns further, or leave the finest of them out of quasiIdentifiers"),
        );
    }
    if promise.below == Below::Leave || weighed.joining == 0 {
        return None;
    }
    let smallest = weighed.smallest.unwrap_or_default();
    let remedy = format!(
        "generalise further (a larger width, Year instead of Month), Nullify one of the columns, or \
         write in kAnonymity: {{quasiIdentifiers: [{columns}], k: {}, below: Leave}}, which leaves these \
         rows as they are until their group has grown",
        promise.k
    );
    Some(
        Refusal::of(
            &rule.name,
            Reason::SmallGroups,
            format!(
                "{} of {table} would be in groups of fewer than {} by ({columns}); the smallest would \
                 have {}",
                rows(weighed.joining),
                promise.k,
                rows(smallest)
            ),
        )
        .remedy(remedy),
    )
}

/// What a person should know of groups that were small before.
pub(super) fn warning(rule: &RuleDraft, facts: &RuleFacts) -> Option<String> {
    let promise = &rule.groups.as_ref()?.promise;
    let weighed = rule.weigh(&facts.groups)?;
    let before = match promise.below {
        Below::Leave => weighed.below,
        Below::Refuse if weighed.joining == 0 => weighed.below,
        Below::Refuse => 0,
    };
    (before > 0).then(|| {
        format!(
            "rule {}: {} of {} that were anonymised before are in groups of fewer than {} now, and no \
             run changes that; the smallest group has {}",
            rule.name,
            rows(before),
            rule.change.window.table,
            promise.k,
            rows(weighed.smallest.unwrap_or_default())
        )
    })
}

/// Says where related rows are counted that hang on rows which are left.
pub(super) fn at_most(rule: &RuleDraft, facts: &RuleFacts) -> Option<String> {
    (facts.left > 0 && !rule.nodes.is_empty()).then(|| {
        format!(
            "rule {}: of its related rows so many at the most: those that hang on rows of small groups \
             are among them",
            rule.name
        )
    })
}

fn rows(count: i64) -> String {
    let unit = if count == 1 { "row" } else { "rows" };
    format!("{} {unit}", number(count))
}
