//! Small groups at work: counted when the rule's turn comes, asked by each batch, and counted again when
//! the rule is done. Digests of groups are held in memory only, and only while the step lasts (P4).

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use futures::stream::TryStreamExt;
use oubliette_core::api::reason::Reason;
use oubliette_core::groups::{Below, Group, Groups, Promise, SmallGroups};
use oubliette_core::plan::{GroupDraft, RuleDraft};
use oubliette_core::report::RuleRun;
use oubliette_core::sql::{CountSql, KeyRow, Numbers, Window};

use super::batch::count;
use super::verify::ONE_STATEMENT;
use super::windows::{Look, Reading, Windows};
use crate::database::{Access, Database, Fault, Tx};

/// The groups as they were when the rule's turn came.
pub(super) struct Frozen {
    promise: Promise,
    groups: Groups,
    /// Whether an earlier process has changed rows of this step: which groups they are in, nobody knows.
    resumed: bool,
    /// The groups that rows were changed in, or may have been.
    changed: Mutex<BTreeSet<Group>>,
}

impl Frozen {
    /// Counts the groups of a rule; `None`: it promises nothing of them.
    pub(super) async fn of(
        database: &Database,
        rule: &RuleDraft,
        reading: Reading,
        resumed: bool,
    ) -> Result<Option<Self>, Fault> {
        let Some(draft) = &rule.groups else {
            return Ok(None);
        };
        let groups = measure(database, rule, draft, reading).await?;
        Ok(Some(Self {
            promise: draft.promise.clone(),
            groups,
            resumed,
            changed: Mutex::default(),
        }))
    }

    /// Whether the rule may not even begin: since the plan was made a group has become too small for a
    /// rule that refuses such, or there are too many of them.
    pub(super) fn refuses(&self) -> bool {
        let Promise { k, below, .. } = self.promise;
        self.groups.is_overflown()
            || below == Below::Refuse && self.groups.weigh(k, below).joining > 0
    }

    /// Whether the row's group will be large enough.
    pub(super) fn covers(&self, row: &KeyRow) -> bool {
        row.group
            .is_some_and(|group| self.groups.covers(group, self.promise.k))
    }

    /// Keeps of locked rows those whose group is large enough, and notes that they are changed: also
    /// those of a batch that is rolled back, rather than that one is missed.
    pub(super) fn keep(&self, rows: &mut Vec<KeyRow>) {
        rows.retain(|row| self.covers(row));
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        changed.extend(rows.iter().filter_map(|row| row.group));
    }

    /// Counts what stands in the table.
    pub(super) async fn found(
        &self,
        database: &Database,
        rule: &RuleDraft,
        reading: Reading,
        total: i64,
    ) -> Result<Found, Fault> {
        let Some(draft) = &rule.groups else {
            return Ok(Found::default());
        };
        let changed = self.changed.lock();
        let ours = changed.unwrap_or_else(PoisonError::into_inner).clone();
        let k = self.promise.k;
        let look = async || {
            let groups = measure(database, rule, draft, reading).await?;
            let ours = |group| self.resumed || ours.contains(&group);
            Ok::<_, Fault>(groups.found(k, ours))
        };
        let (mut weighed, mut shrunk) = look().await?;
        let mut more = false;
        if total <= ONE_STATEMENT {
            let mut tx = database.begin(Access::ReadOnly).await?;
            let plain = count(&mut tx, &rule.count.groups_found(&draft.sql, k)).await?;
            tx.rollback().await;
            if plain > weighed.below {
                // The application changes rows between the looks: only what both of them miss is missed.
                (weighed, shrunk) = look().await?;
                more = plain > weighed.below;
                weighed.below = weighed.below.max(plain);
            }
        }
        Ok(Found {
            groups: Some(weighed.report(&self.promise)),
            shrank: shrunk > 0 || more || weighed.overflown,
        })
    }
}

/// What stands in the table after a rule.
#[derive(Default)]
pub(super) struct Found {
    groups: Option<SmallGroups>,
    /// Whether a group to which the run has added is smaller than promised.
    shrank: bool,
}

impl Found {
    /// Enters it into what the rule did.
    pub(super) fn enter(self, done: &mut RuleRun) {
        let groups = self.groups.map(|groups| SmallGroups {
            left: done.residual.small_groups,
            ..groups
        });
        if self.shrank {
            done.failed = Some(Reason::GroupsShrank);
        } else if let Some(own) = done.changed.first_mut() {
            own.effect = own.effect.assessed(groups.as_ref());
        }
        done.small_groups = groups;
    }
}

/// Counts the groups of a rule in paced windows.
async fn measure(
    database: &Database,
    rule: &RuleDraft,
    draft: &GroupDraft,
    reading: Reading,
) -> Result<Groups, Fault> {
    let windows = Windows::new(database, &rule.count.window, Numbers::default(), reading);
    let groups = Mutex::new(Groups::default());
    let look = async |look: Look| {
        let Look { window, mut tx, .. } = look;
        add(rule, draft, &window, &mut tx, &groups).await?;
        tx.rollback().await;
        Ok(())
    };
    let seen = windows.seen(look);
    seen.try_collect::<()>().await?;
    Ok(groups.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Adds the groups of one window.
pub(super) async fn add(
    rule: &RuleDraft,
    draft: &GroupDraft,
    window: &Window,
    tx: &mut Tx,
    groups: &Mutex<Groups>,
) -> Result<(), Fault> {
    let rows = tx.rows(&rule.count.groups(window, &draft.sql)).await?;
    let mut groups = groups.lock().unwrap_or_else(PoisonError::into_inner);
    for (group, size) in rows.iter().filter_map(|row| CountSql::group(row)) {
        groups.add(group, size);
    }
    Ok(())
}
