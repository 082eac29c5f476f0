//! What stands in the way of a change of one table. A guard is one function per refusal, and a
//! list: counts would lie or data would survive otherwise (DESIGN section 5, SQL.md sections 3, 5).

mod code;
mod inherited;
mod trigger;

use super::Refusal;
use super::column::walkable;
use super::draft::{Intent, RuleDraft, View};
use crate::api::reason::Reason;
use crate::catalog::{Catalog, Index, Reference, Table, TableKind};
use crate::grants;
use crate::ledger::looks_like_a_ledgers;
use crate::name::Ident;
use crate::policy::{Policy, Rule};
use crate::sql::{KeyColumn, Transform};
use crate::strategy::{PSEUDONYM_LENGTH, Strategy};

pub(super) use self::trigger::stale as stale_triggers;

/// What happens to rows of a table.
#[derive(Clone, Debug)]
pub(super) enum Touch {
    Delete,
    Update(Vec<Transform>),
}

impl Touch {
    /// The same to the rows of a leaf, whose columns have constraints of their own.
    fn in_leaf(&self, leaf: &Table) -> Self {
        match self {
            Self::Delete => Self::Delete,
            Self::Update(transforms) => {
                let own = |transform: &Transform| Transform {
                    column: leaf
                        .column(&transform.column.name)
                        .unwrap_or(&transform.column)
                        .clone(),
                    strategy: transform.strategy.clone(),
                };
                Self::Update(transforms.iter().map(own).collect())
            }
        }
    }
}

/// Whom a guard asks about.
#[derive(Clone, Copy)]
struct Subject<'a> {
    policy: &'a Policy,
    rule: &'a Rule,
    catalog: &'a Catalog,
    ledger: &'a str,
    table: &'a Table,
    touch: &'a Touch,
    detach: bool,
    /// It is a leaf of the table that the statement names.
    is_leaf: bool,
}

type Found = (Reason, String, Option<String>);

type Guard = fn(&Subject<'_>) -> Vec<Found>;

/// Every guard of a table, in the order in which people should read them; those of its columns follow.
const GUARDS: &[(Of, Guard)] = &[
    // A table with a key has no foreign leaf: PostgreSQL refuses it.
    (Of::Named, kind),
    (Of::Named, ledger),
    (Of::Named, storage),
    (Of::Named, row_security),
    (Of::Named, rewrite_rules),
    (Of::Leaves, trigger::guard),
    (Of::Leaves, code::guard),
    (Of::Leaves, replica_identity),
    (Of::Named, visibility),
];

/// The guards of columns that are transformed.
const COLUMN_GUARDS: &[(Of, Guard)] = &[
    (Of::Leaves, assignable),
    (Of::Leaves, not_null),
    (Of::Leaves, unique),
    (Of::Leaves, checks),
    (Of::Leaves, length),
    (Of::Leaves, keys_and_references),
];

/// What a guard looks at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    /// The table that the statement names.
    Named,
    /// Its leaves as well, where it is partitioned: rows change there by the leaf's own rules.
    Leaves,
}

/// Asks every guard about one table.
pub(super) fn table(
    view: View<'_>,
    rule: &Rule,
    table: &Table,
    touch: &Touch,
    detach: bool,
    refusals: &mut Vec<Refusal>,
) {
    let subject = Subject {
        policy: view.policy,
        rule,
        catalog: view.catalog,
        ledger: view.ledger.as_str(),
        table,
        touch,
        detach,
        is_leaf: false,
    };
    ask(GUARDS.iter().chain(COLUMN_GUARDS), &subject, refusals);
}

/// Asks the guards of columns alone, whatever else stands in the way of a change of their table.
pub(super) fn columns(
    policy: &Policy,
    rule: &Rule,
    catalog: &Catalog,
    table: &Table,
    transforms: Vec<Transform>,
    refusals: &mut Vec<Refusal>,
) {
    let subject = Subject {
        policy,
        rule,
        catalog,
        ledger: "",
        table,
        touch: &Touch::Update(transforms),
        detach: false,
        is_leaf: false,
    };
    ask(COLUMN_GUARDS.iter(), &subject, refusals);
}

fn ask<'g>(
    guards: impl Iterator<Item = &'g (Of, Guard)>,
    named: &Subject<'_>,
    refusals: &mut Vec<Refusal>,
) {
    let Subject {
        rule,
        catalog,
        table,
        touch,
        ..
    } = *named;
    let leaves: Vec<(&Table, Touch)> = match &table.kind {
        TableKind::Partitioned { leaves } => leaves
            .iter()
            .filter_map(|leaf| catalog.tables.get(leaf))
            .map(|leaf| (leaf, touch.in_leaf(leaf)))
            .collect(),
        _ => Vec::new(),
    };
    for (of, guard) in guards {
        let mut asked =
            std::iter::once(*named).chain(leaves.iter().filter(|_| *of == Of::Leaves).map(
                |(leaf, touch)| Subject {
                    table: leaf,
                    touch,
                    is_leaf: true,
                    ..*named
                },
            ));
        // One of them is enough: the others are mostly alike.
        let Some((table, found)) = asked.find_map(|subject| {
            let found = guard(&subject);
            (!found.is_empty()).then_some((subject.table, found))
        }) else {
            continue;
        };
        for (reason, message, remedy) in found {
            refusals.push(Refusal {
                rule: Some(rule.name.clone()),
                reason,
                message: format!("{}: {message}", table.name),
                remedy,
            });
        }
    }
}

fn found(reason: Reason, message: impl Into<String>) -> Vec<Found> {
    vec![(reason, message.into(), None)]
}

fn kind(s: &Subject<'_>) -> Vec<Found> {
    let what = match &s.table.kind {
        TableKind::Ordinary | TableKind::Partitioned { .. } | TableKind::Partition { .. } => {
            return Vec::new();
        }
        TableKind::SystemVersioned => {
            return found(
                Reason::HistoryKept,
                "the table is system-versioned: its history would keep what is deleted",
            );
        }
        TableKind::InheritanceParent { children } => return inherited::guard(s, children),
        TableKind::Foreign => "a foreign table: write the rule where its rows are stored",
        TableKind::View | TableKind::MaterialisedView => {
            "a view: write the rule for the tables below it"
        }
        TableKind::Other { what } => what.as_str(),
    };
    found(Reason::TableUnfit, format!("it is {what}"))
}

fn ledger(s: &Subject<'_>) -> Vec<Found> {
    let name = s.table.name.table.as_str();
    let schema = s.table.name.schema.as_ref().map_or("", |s| s.as_str());
    let own = if s.catalog.engine.is_innodb() {
        crate::ledger::TABLES
            .iter()
            .any(|t| name == format!("{}_{t}", s.ledger))
    } else {
        schema == s.ledger
    };
    let columns = s.table.columns.iter().map(|column| column.name.as_str());
    let columns: Vec<&str> = columns.collect();
    if own {
        found(Reason::TableUnfit, "it belongs to the ledger")
    } else if looks_like_a_ledgers(s.catalog.engine, name, &columns) {
        found(
            Reason::TableUnfit,
            "it belongs to the ledger of another TargetDatabase",
        )
    } else {
        Vec::new()
    }
}

fn storage(s: &Subject<'_>) -> Vec<Found> {
    match &s.table.storage_engine {
        Some(engine) if !engine.eq_ignore_ascii_case("InnoDB") => vec![(
            Reason::NotTransactional,
            format!("its engine {engine} has no transactions, so a batch could not be undone"),
            Some(format!("ALTER TABLE {} ENGINE=InnoDB;", s.table.name)),
        )],
        _ => Vec::new(),
    }
}

fn row_security(s: &Subject<'_>) -> Vec<Found> {
    if s.table.row_security {
        vec![(
            Reason::RowSecurity,
            format!("row-level security would hide rows from {}", s.catalog.user),
            Some(format!("ALTER ROLE {} BYPASSRLS;", s.catalog.user)),
        )]
    } else {
        Vec::new()
    }
}

fn rewrite_rules(s: &Subject<'_>) -> Vec<Found> {
    if s.table.rules.is_empty() {
        return Vec::new();
    }
    found(
        Reason::TriggerPresent,
        format!(
            "rewrite rules on DELETE or UPDATE would replace the change: {}",
            s.table.rules.join(", ")
        ),
    )
}

fn replica_identity(s: &Subject<'_>) -> Vec<Found> {
    if s.table.publications_without_identity.is_empty() {
        return Vec::new();
    }
    vec![(
        Reason::ReplicaIdentityMissing,
        format!(
            "publications {} carry it without a replica identity: the change would fail",
            s.table.publications_without_identity.join(", ")
        ),
        Some(format!(
            "ALTER TABLE {} REPLICA IDENTITY FULL;",
            s.table.name
        )),
    )]
}

fn visibility(s: &Subject<'_>) -> Vec<Found> {
    let mut hidden = Vec::new();
    if !s.catalog.sees_references {
        hidden.push((
            Reason::ReferencesHidden,
            format!(
                "{} cannot see every foreign key, so a cascade could stay hidden",
                s.catalog.user
            ),
            Some(format!("GRANT PROCESS ON *.* TO {};", s.catalog.user)),
        ));
    }
    if !s.catalog.sees_triggers {
        hidden.push((
            Reason::ReferencesHidden,
            format!("{} cannot see triggers", s.catalog.user),
            Some(grants::seeing_triggers(s.catalog, &s.table.name)),
        ));
    }
    hidden
}

fn each_transform(
    s: &Subject<'_>,
    mut check: impl FnMut(&Transform) -> Option<(Reason, String)>,
) -> Vec<Found> {
    let Touch::Update(transforms) = s.touch else {
        return Vec::new();
    };
    transforms
        .iter()
        .filter_map(|t| {
            check(t)
                .map(|(reason, what)| (reason, format!("column {}: {what}", t.column.name), None))
        })
        .collect()
}

fn assignable(s: &Subject<'_>) -> Vec<Found> {
    each_transform(s, |t| {
        (t.column.generated || t.column.identity_always).then(|| {
            (
                Reason::ConstraintConflict,
                "its values are generated by the database and cannot be assigned: transform the \
                 columns it is made from"
                    .to_owned(),
            )
        })
    })
}

fn not_null(s: &Subject<'_>) -> Vec<Found> {
    each_transform(s, |t| {
        (t.strategy == Strategy::Nullify && !t.column.nullable && !s.detach).then(|| {
            (
                Reason::ConstraintConflict,
                "Nullify, but the column is NOT NULL: use Constant".to_owned(),
            )
        })
    })
}

fn unique(s: &Subject<'_>) -> Vec<Found> {
    each_transform(s, |t| {
        let name = &t.column.name;
        let repeats = |index: &&Index| {
            let reads = index.reads.contains(name);
            index.unique
                && (reads || index.compares.contains(name))
                && match t.strategy {
                    Strategy::Nullify => index.nulls_alike,
                    // Whole they are as different as the values were.
                    Strategy::Pseudonym => reads,
                    _ => true,
                }
        };
        let index = s.table.indexes.iter().find(repeats)?;
        let strategy = t.strategy.name();
        let called = Ident::new(&index.name).map_or(String::new(), |name| format!(" {name}"));
        let instead = match t.strategy {
            _ if index.nulls_alike => "to it rows without a value are alike, too",
            Strategy::Pseudonym => {
                "it reads a part of the value, or what becomes of it: use Nullify"
            }
            _ if index.reads.contains(name) => "use Nullify",
            _ => "use Nullify or Pseudonym",
        };
        Some((
            Reason::ConstraintConflict,
            format!(
                "{strategy} gives several rows what is one value to the unique index{called}: {instead}"
            ),
        ))
    })
}

fn checks(s: &Subject<'_>) -> Vec<Found> {
    each_transform(s, |t| {
        let check = s
            .table
            .checks
            .iter()
            .find(|c| c.columns.contains(&t.column.name))?;
        Some((
            Reason::ConstraintConflict,
            format!(
                "CHECK constraint {} reads it and could refuse the new value",
                check.name
            ),
        ))
    })
}

fn length(s: &Subject<'_>) -> Vec<Found> {
    each_transform(s, |t| {
        let needed = match &t.strategy {
            Strategy::Pseudonym => PSEUDONYM_LENGTH,
            Strategy::Constant { value } => {
                u64::try_from(value.chars().count()).unwrap_or(u64::MAX)
            }
            _ => return None,
        };
        let room = t.column.max_length?;
        (needed > room).then(|| {
            (
                Reason::ConstraintConflict,
                format!(
                    "{} needs {needed} characters, the column holds {room}",
                    t.strategy.name()
                ),
            )
        })
    })
}

fn keys_and_references(s: &Subject<'_>) -> Vec<Found> {
    if s.detach {
        return Vec::new();
    }
    each_transform(s, |t| {
        let name = &t.column.name;
        if s.table.primary_key.contains(name) {
            return Some((
                Reason::ConstraintConflict,
                "it is part of the primary key, by which rows are walked".to_owned(),
            ));
        }
        // Losing the link is what Nullify means; any other value would point at somebody else.
        let binds = |r: &&Reference| {
            let refers = r.from == s.table.name && r.from_columns.contains(name);
            (refers && t.strategy != Strategy::Nullify)
                || (r.to == s.table.name && r.to_columns.contains(name))
        };
        let references = s.catalog.references.iter().filter(binds);
        let reference = references.min_by_key(|r| &r.name)?;
        Some((
            Reason::ConstraintConflict,
            format!("foreign key {} runs over it", reference.name),
        ))
    })
}

/// The key that rows are walked by, and its index: the primary key, or a unique index without NULLs.
pub(super) fn usable_key(
    rule: &Rule,
    table: &Table,
) -> Result<(Vec<KeyColumn>, Option<Ident>), Refusal> {
    walked_key(table).map_err(|why| {
        let message = format!(
            "{}: {why}: rows could be skipped or taken twice",
            table.name
        );
        Refusal::of(&rule.name, Reason::NoUsableKey, message)
    })
}

/// The same, or why there is none.
pub(super) fn walked_key(table: &Table) -> Result<(Vec<KeyColumn>, Option<Ident>), String> {
    let usable = |names: &[Ident]| -> Option<Vec<KeyColumn>> {
        let columns: Option<Vec<_>> = names.iter().map(|n| table.column(n)).collect();
        columns
            .filter(|c| !c.is_empty() && c.iter().all(|c| walkable(c) && !c.nullable))
            .map(|c| c.into_iter().cloned().map(KeyColumn).collect())
    };
    let name = |text: &str| text.parse().ok();
    if let Some(key) = usable(&table.primary_key) {
        return Ok((key, name("PRIMARY")));
    }
    let unique = table
        .indexes
        .iter()
        .filter(|i| i.unique && !i.partial_or_invalid)
        .find_map(|i| Some((usable(&i.columns)?, name(&i.name))));
    if let Some(key) = unique {
        return Ok(key);
    }
    Err(if table.primary_key.is_empty() {
        "it has no primary key and no unique index without NULLs".to_owned()
    } else {
        let odd: Vec<_> = table
            .primary_key
            .iter()
            .filter_map(|n| table.column(n))
            .filter(|c| !walkable(c))
            .map(|c| format!("{} ({})", c.name, c.type_name))
            .collect();
        format!("its key cannot be walked in order: {}", odd.join(", "))
    })
}

/// Where rows of a drafted rule live on.
pub(super) fn survivors(catalog: &Catalog, rule: &RuleDraft, survivors: &mut Vec<String>) {
    let names =
        std::iter::once(&rule.change.window.table).chain(rule.nodes.iter().map(|n| &n.depth.table));
    for table in names.filter_map(|n| catalog.tables.get(n)) {
        for view in &table.materialised_views {
            survivors.push(format!(
                "materialised view {view} keeps rows of {} until it is refreshed",
                table.name
            ));
        }
        for copy in &table.copies {
            survivors.push(format!(
                "{copy} looks like a leftover copy of {}: its rows stay",
                table.name
            ));
        }
    }
}

/// Missing privileges, named with the statements that give them.
pub(super) fn grants(
    policy: &Policy,
    catalog: &Catalog,
    intent: Intent,
    refusals: &mut Vec<Refusal>,
    warnings: &mut Vec<String>,
) {
    let missing = |intent| grants::missing(policy, catalog, intent);
    let now = missing(intent);
    if !now.is_empty() {
        refusals.push(
            Refusal::whole(
                Reason::MissingGrants,
                format!(
                    "user {} lacks privileges on the tables of this policy",
                    catalog.user
                ),
            )
            .remedy(now.join("\n")),
        );
    } else if intent == Intent::DryRun {
        let later = missing(Intent::Enforce);
        if !later.is_empty() {
            warnings.push(format!("before mode Enforce: {}", later.join(" ")));
        }
    }
}
