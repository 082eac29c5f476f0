//! The rows that hang on an expired row: every reference to it is decided, or the plan is refused
//! with the YAML that decides it (SQL.md section 3).

use super::Refusal;
use super::draft::View;
use super::guard::Touch;
use crate::api::reason::Reason;
use crate::catalog::{Catalog, OnDelete, Reference, Table, TableKind};
use crate::name::Ident;
use crate::policy::{Related, RelatedAction, Rule};
use crate::report;
use crate::sql::{Depth, Effect, Transform};
use crate::strategy::Strategy;

/// A child table with more rows than this needs an index on its referencing column: otherwise the
/// check of every single parent scans it (69 ms against 0.015 ms, PERFORMANCE.md section 10).
const SMALL_TABLE: u64 = 10_000;

/// One table of related rows in its place in the tree.
#[derive(Clone, Debug)]
pub struct Node {
    /// The statements.
    pub depth: Depth,
    /// The node above; `None`: the rule's own table.
    pub parent: Option<usize>,
    /// What is reported of its rows.
    pub effect: report::Effect,
    /// How often the engine counts a change of one row (see [`crate::sql::counted`]).
    pub counted: i64,
}

/// Walks down from the rule's table. Parents stand before their children.
pub(super) fn nodes<'a>(
    view: View<'a>,
    rule: &'a Rule,
    root: &'a Table,
    refusals: &'a mut Vec<Refusal>,
) -> Vec<Node> {
    let deletes = matches!(rule.action, crate::policy::Action::Delete);
    let catalog = view.catalog;
    let mut walk = Walk {
        view,
        catalog,
        rule,
        refusals,
        nodes: Vec::new(),
        used: vec![false; rule.related.len()],
    };
    walk.below(root, deletes, None, &mut vec![root]);
    let Walk { nodes, used, .. } = walk;
    for (related, used) in rule.related.iter().zip(used) {
        if !used {
            refusals.push(unmatched(catalog, rule, related));
        }
    }
    nodes
}

struct Walk<'a> {
    view: View<'a>,
    catalog: &'a Catalog,
    rule: &'a Rule,
    refusals: &'a mut Vec<Refusal>,
    nodes: Vec<Node>,
    used: Vec<bool>,
}

impl<'a> Walk<'a> {
    /// Adds what hangs on `table`; every reference must be decided where its rows go.
    fn below(
        &mut self,
        table: &'a Table,
        rows_go: bool,
        parent: Option<usize>,
        above: &mut Vec<&'a Table>,
    ) {
        if rows_go {
            self.through_partitions(table);
        }
        for reference in self
            .catalog
            .references
            .iter()
            .filter(|r| r.to == table.name)
        {
            let decision = self.decision(reference, table);
            match decision {
                None if !rows_go => {}
                None => self.refusals.push(undecided(self.rule, reference, above)),
                Some(related) => {
                    if let Some(refusal) = unsupported(self.rule, reference, above) {
                        self.refusals.push(refusal);
                    } else {
                        self.descend(reference, related, table, (parent, rows_go), above);
                    }
                }
            }
        }
    }

    /// References to a table that shares rows with this one: the partitioned table it is a part of,
    /// or one of its own partitions. Their rows would go, too, and no decision names them.
    fn through_partitions(&mut self, table: &Table) {
        let leaves = |table: &Table| match &table.kind {
            TableKind::Partitioned { leaves } => leaves.clone(),
            _ => vec![table.name.clone()],
        };
        let own = leaves(table);
        for reference in self
            .catalog
            .references
            .iter()
            .filter(|r| r.to != table.name)
        {
            let shared = self
                .catalog
                .tables
                .get(&reference.to)
                .is_some_and(|to| leaves(to).iter().any(|leaf| own.contains(leaf)));
            if shared {
                self.refusals.push(Refusal::of(
                    &self.rule.name,
                    Reason::ReferenceUnsupported,
                    format!(
                        "{} references {}, which shares rows with {}: write the rule for {}",
                        reference.from, reference.to, table.name, reference.to
                    ),
                ));
            }
        }
    }

    fn decision(&mut self, reference: &Reference, table: &Table) -> Option<&'a Related> {
        let pairs: Vec<(&Ident, &Ident)> = reference
            .from_columns
            .iter()
            .zip(&reference.to_columns)
            .collect();
        let index = self.rule.related.iter().position(|related| {
            self.catalog.is(&related.table, &reference.from)
                && self.catalog.is(&related.of, &table.name)
                && related.matches.len() == pairs.len()
                && related.matches.iter().all(|(a, b)| pairs.contains(&(a, b)))
        })?;
        self.used[index] = true;
        Some(&self.rule.related[index])
    }

    fn descend(
        &mut self,
        reference: &Reference,
        related: &'a Related,
        parent_table: &Table,
        (parent, parent_goes): (Option<usize>, bool),
        above: &mut Vec<&'a Table>,
    ) {
        let refuse = |reason, message: String| Refusal::of(&self.rule.name, reason, message);
        let (Some(child), Some(column), Some(parent_column)) = (
            self.catalog.tables.get(&reference.from),
            reference.from_columns.first(),
            reference.to_columns.first(),
        ) else {
            self.refusals.push(refuse(
                Reason::TableMissing,
                format!(
                    "{} references {} but its columns are not visible",
                    reference.from, reference.to
                ),
            ));
            return;
        };
        let (Some(column), Some(parent_column)) =
            (child.column(column), parent_table.column(parent_column))
        else {
            self.refusals.push(refuse(
                Reason::ColumnMissing,
                format!(
                    "the columns of reference {} are not visible",
                    reference.name
                ),
            ));
            return;
        };
        if !reference.indexed && child.estimated_rows > SMALL_TABLE {
            self.refusals.push(
                refuse(
                    Reason::ReferenceUnindexed,
                    format!(
                        "{}.{} references {} and has no index: every parent would scan {} rows",
                        child.name, column.name, reference.to, child.estimated_rows
                    ),
                )
                .remedy(format!("CREATE INDEX ON {} ({});", child.name, column.name)),
            );
        }
        if matches!(related.action, RelatedAction::Detach) && !column.nullable {
            self.refusals.push(refuse(
                Reason::ConstraintConflict,
                format!(
                    "related {}: Detach sets {} to NULL, but the column is NOT NULL: use Delete",
                    child.name, column.name
                ),
            ));
        }
        let touch = match &related.action {
            RelatedAction::Delete => Touch::Delete,
            RelatedAction::Anonymise(treatments) => Touch::Update(super::draft::transforms(
                self.rule,
                self.catalog.engine,
                child,
                treatments,
                self.refusals,
            )),
            RelatedAction::Detach => Touch::Update(vec![Transform {
                column: column.clone(),
                strategy: Strategy::Nullify,
            }]),
        };
        let detach = matches!(related.action, RelatedAction::Detach);
        if let (true, Touch::Update(transforms)) = (parent_goes, &touch)
            && !transforms
                .iter()
                .any(|t| t.column.name == column.name && t.strategy == Strategy::Nullify)
        {
            self.refusals.push(refuse(
                Reason::ConstraintConflict,
                format!(
                    "related {}: its rows stay and their parents in {} go, so {} must become NULL: \
                     use Detach, or add the column with strategy Nullify",
                    child.name, reference.to, column.name
                ),
            ));
        }
        super::guard::table(self.view, self.rule, child, &touch, detach, self.refusals);
        let goes = matches!(touch, Touch::Delete);
        let index = self.nodes.len();
        self.nodes.push(Node {
            depth: Depth {
                engine: self.catalog.engine,
                table: child.name.clone(),
                with_leaves: child.has_leaves(),
                column: column.clone(),
                parent_column: parent_column.clone(),
                effect: match touch.clone() {
                    Touch::Delete => Effect::Delete,
                    Touch::Update(t) => Effect::Update(t, super::draft::untouched(child)),
                },
                referenced: Vec::new(),
            },
            parent,
            effect: if detach {
                report::Effect::Detached
            } else {
                touch.reported()
            },
            counted: crate::sql::counted(self.catalog.engine, child),
        });
        above.push(child);
        self.below(child, goes, Some(index), above);
        above.pop();
    }
}

fn unsupported(rule: &Rule, reference: &Reference, above: &[&Table]) -> Option<Refusal> {
    let what = if reference.from == reference.to {
        "refers to its own table"
    } else if above.iter().any(|t| t.name == reference.from) {
        "closes a cycle of references"
    } else if reference.from_columns.len() != 1 {
        "consists of several columns"
    } else if !reference.enforced {
        "is not enforced by the database (NOT VALID or NOT ENFORCED), so a row could be added \
         while its parent goes"
    } else if !above.iter().any(|parent| is_unique_in(parent, reference)) {
        "leads to a column that is not unique, so a row may belong to several parents"
    } else {
        return None;
    };
    Some(Refusal::of(
        &rule.name,
        Reason::ReferenceUnsupported,
        format!(
            "reference {} from {} to {} {what}: this version does not handle such references \
             and refuses the rule",
            reference.name, reference.from, reference.to
        ),
    ))
}

/// Whether the reference leads to one row of the parent at the most, which InnoDB does not ask for.
fn is_unique_in(parent: &Table, reference: &Reference) -> bool {
    let columns = &reference.to_columns;
    let unique = parent
        .indexes
        .iter()
        .any(|index| index.unique && !index.partial_or_invalid && index.columns == *columns);
    parent.name == reference.to && (parent.primary_key == *columns || unique)
}

fn undecided(rule: &Rule, reference: &Reference, above: &[&Table]) -> Refusal {
    if let Some(refusal) = unsupported(rule, reference, above) {
        return refusal;
    }
    let would = match reference.on_delete {
        OnDelete::Refuse => "would refuse the delete",
        OnDelete::Cascade => "would silently delete rows there (ON DELETE CASCADE)",
        OnDelete::SetNull | OnDelete::SetDefault => "would silently change rows there",
    };
    let columns = |names: &[Ident]| {
        names
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let detach = if reference.nullable {
        ", or {type: Detach} to keep the row"
    } else {
        ""
    };
    Refusal::of(
        &rule.name,
        Reason::ReferenceUndecided,
        format!(
            "{} ({}) references {} and {would}: nothing decides what happens to its rows",
            reference.from,
            columns(&reference.from_columns),
            reference.to,
        ),
    )
    .remedy(format!(
        "related:\n- table: {}\n  of: {}\n  match: [{{column: {}, equals: {}}}]\n  action: {{type: Delete}}   # the rows go with their parent{detach}",
        reference.from,
        reference.to,
        columns(&reference.from_columns),
        columns(&reference.to_columns),
    ))
}

fn unmatched(catalog: &Catalog, rule: &Rule, related: &Related) -> Refusal {
    if catalog.table(&related.table).is_none() {
        return Refusal::of(
            &rule.name,
            Reason::TableMissing,
            format!(
                "related table {} does not exist or is not visible",
                related.table
            ),
        );
    }
    Refusal::of(
        &rule.name,
        Reason::ReferenceUnsupported,
        format!(
            "related {} of {}: no enforced foreign key of the database runs over these columns \
             below the rule's table; this version does not handle references that only the \
             application knows",
            related.table, related.of
        ),
    )
}
