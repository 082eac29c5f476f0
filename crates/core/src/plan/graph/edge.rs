//! The references that a rule's `related` entries decide, as they lead from its table down.

use super::refuse;
use crate::api::reason::Reason;
use crate::catalog::{Catalog, Column, ColumnKind, Reference, Table};
use crate::name::{Ident, TableName};
use crate::plan::Refusal;
use crate::policy::{Match, Related, RelatedAction, Rule};
use crate::sql::{Transform, Way};
use crate::strategy::Strategy;

/// A child table with more rows than this needs an index on its referencing columns: otherwise the
/// check of every single parent scans it (69 ms against 0.015 ms, PERFORMANCE.md section 10).
const SMALL_TABLE: u64 = 10_000;

/// One decided reference.
pub(super) struct Edge<'a> {
    pub(super) related: &'a Related,
    pub(super) child: &'a Table,
    pub(super) parent: &'a Table,
    /// Each referencing column with the one it refers to.
    pub(super) pairs: Vec<(&'a Column, &'a Column)>,
    /// The database's own; `None`: only the application knows it.
    pub(super) reference: Option<&'a Reference>,
}

/// The entry that decides a reference, and its place.
pub(super) fn decision<'a>(
    catalog: &Catalog,
    rule: &'a Rule,
    reference: &Reference,
) -> Option<(usize, &'a Related)> {
    let columns = reference.from_columns.iter().zip(&reference.to_columns);
    let pairs: Vec<(&Ident, &Ident)> = columns.collect();
    rule.related.iter().enumerate().find(|(_, related)| {
        catalog.is(&related.table, &reference.from)
            && catalog.is(&related.of, &reference.to)
            && related.matches.len() == pairs.len()
            && related.matches.iter().all(|(a, b)| pairs.contains(&(a, b)))
    })
}

/// Whether rows that refer to the rule's keep them: then none goes whose reference had to be decided.
pub(super) fn keeps(catalog: &Catalog, rule: &Rule, reference: &Reference) -> bool {
    let columns = reference.from_columns.iter().zip(&reference.to_columns);
    let pairs: Vec<(&Ident, &Ident)> = columns.collect();
    catalog.is(&rule.table, &reference.to)
        && rule.unless.iter().any(|rows| {
            let matches = &rows.hop.matches;
            let is_pair =
                |m: &Match| m.normalise.is_none() && pairs.contains(&(&m.column, &m.equals));
            rows.via.is_none()
                && rows.conditions.is_empty()
                && catalog.is(&rows.hop.table, &reference.from)
                && matches.len() == pairs.len()
                && matches.iter().all(is_pair)
        })
}

/// The edges below the rule's table, each entry once, in the order in which the walk meets them.
/// Entries that lead nowhere are refused.
pub(super) fn edges<'a>(
    catalog: &'a Catalog,
    rule: &'a Rule,
    root: &'a Table,
    refusals: &mut Vec<Refusal>,
) -> Vec<Edge<'a>> {
    let mut found = Vec::new();
    let mut used = vec![false; rule.related.len()];
    let mut open = vec![root];
    while let Some(parent) = open.pop() {
        let decided = catalog.references.iter().filter_map(|reference| {
            let (index, _) = decision(catalog, rule, reference)?;
            (reference.to == parent.name).then_some((index, Some(reference)))
        });
        let of_parent = rule.related.iter().enumerate();
        let declared = of_parent.filter(|(_, related)| catalog.is(&related.of, &parent.name));
        let all = decided.chain(declared.map(|(index, _)| (index, None)));
        let mut children: Vec<&Table> = Vec::new();
        for (index, reference) in all {
            if std::mem::replace(&mut used[index], true) {
                continue;
            }
            match edge(catalog, &rule.related[index], parent, reference) {
                Ok(edge) => {
                    children.push(edge.child);
                    found.push(edge);
                }
                Err((reason, message)) => {
                    refusals.push(Refusal::of(&rule.name, reason, message));
                }
            }
        }
        open.extend(children.into_iter().rev());
    }
    for (related, _) in rule.related.iter().zip(used).filter(|(_, used)| !used) {
        refusals.push(refuse::unmatched(catalog, rule, related));
    }
    depth_first(found, &root.name)
}

/// What hangs on a table stands right behind it.
fn depth_first<'a>(edges: Vec<Edge<'a>>, root: &TableName) -> Vec<Edge<'a>> {
    let mut left: Vec<Option<Edge<'a>>> = edges.into_iter().map(Some).collect();
    let mut sorted: Vec<Edge<'a>> = Vec::with_capacity(left.len());
    let mut way = vec![root.clone()];
    while let Some(table) = way.last().cloned() {
        let next = left
            .iter_mut()
            .find(|edge| edge.as_ref().is_some_and(|edge| edge.parent.name == table));
        match next.and_then(Option::take) {
            Some(edge) => {
                way.push(edge.child.name.clone());
                sorted.push(edge);
            }
            None => {
                way.pop();
            }
        }
    }
    sorted
}

fn edge<'a>(
    catalog: &'a Catalog,
    related: &'a Related,
    parent: &'a Table,
    reference: Option<&'a Reference>,
) -> Result<Edge<'a>, (Reason, String)> {
    let Some(child) = catalog.table(&related.table) else {
        return Err((Reason::TableMissing, refuse::missing(related)));
    };
    let columns = match reference {
        Some(reference) => reference
            .from_columns
            .iter()
            .zip(&reference.to_columns)
            .collect(),
        None => related
            .matches
            .iter()
            .map(|(a, b)| (a, b))
            .collect::<Vec<_>>(),
    };
    let column = |table: &'a Table, name: &Ident| {
        let missing = || {
            let what = format!(
                "related {}: {} has no column {name}, or it is not visible",
                related.table, table.name
            );
            (Reason::ColumnMissing, what)
        };
        table.column(name).ok_or_else(missing)
    };
    let pairs = columns
        .into_iter()
        .map(|(a, b)| Ok((column(child, a)?, column(parent, b)?)));
    Ok(Edge {
        related,
        child,
        parent,
        pairs: pairs.collect::<Result<_, _>>()?,
        reference,
    })
}

impl<'a> Edge<'a> {
    /// Whether its rows go.
    pub(super) fn deletes(&self) -> bool {
        matches!(
            self.related.action,
            RelatedAction::Delete | RelatedAction::Seal
        )
    }

    /// Whether its rows are sealed.
    pub(super) fn seals(&self) -> bool {
        matches!(self.related.action, RelatedAction::Seal)
    }

    /// The referencing columns that may be NULL.
    pub(super) fn nullable(&self) -> impl Iterator<Item = &'a Column> + '_ {
        let columns = self.pairs.iter().map(|(column, _)| *column);
        columns.filter(|column| column.nullable)
    }

    pub(super) fn way(&self) -> Way {
        let pairs = self.pairs.iter();
        Way {
            pairs: pairs.map(|(a, b)| ((*a).clone(), (*b).clone())).collect(),
            same_table: self.child.name == self.parent.name,
            index: self.index(),
        }
    }

    fn columns(&self) -> String {
        let names = self.pairs.iter().map(|(column, _)| column.name.to_string());
        names.collect::<Vec<_>>().join(", ")
    }

    /// Refuses what could not be carried out. `parent_goes`: rows of the table above are deleted.
    pub(super) fn check(&self, rule: &Rule, parent_goes: bool, refusals: &mut Vec<Refusal>) {
        let Self { child, parent, .. } = self;
        if !self.leads_to_one() {
            refusals.push(Refusal::of(
                &rule.name,
                Reason::ReferenceUnsupported,
                format!(
                    "related {}: the columns of {} that it refers to are neither its primary key nor \
                     a unique index of it, so that a row may belong to several parents",
                    child.name, parent.name
                ),
            ));
        }
        let compared = match self.reference {
            Some(_) => mean_the_same,
            None => are_comparable,
        };
        if let Some(pair) = self.pairs.iter().find(|(a, b)| !compared(a, b)) {
            refusals.push(Refusal::of(
                &rule.name,
                Reason::ReferenceUnsupported,
                format!(
                    "related {}: {} is {} and {}.{} is {}: the database may find others equal than \
                     the application does; only columns of one type, and texts of one collation, are \
                     compared",
                    child.name,
                    pair.0.name,
                    described(pair.0),
                    parent.name,
                    pair.1.name,
                    described(pair.1),
                ),
            ));
        }
        if !self.is_indexed() && child.estimated_rows > SMALL_TABLE {
            let refusal = Refusal::of(
                &rule.name,
                Reason::ReferenceUnindexed,
                format!(
                    "{}.{} references {} and has no index: every parent would scan {} rows",
                    child.name,
                    self.columns(),
                    parent.name,
                    child.estimated_rows
                ),
            );
            let index = format!("CREATE INDEX ON {} ({});", child.name, self.columns());
            refusals.push(refusal.remedy(index));
        }
        let detaches = matches!(self.related.action, RelatedAction::Detach);
        if detaches && parent_goes && self.nullable().next().is_none() {
            refusals.push(Refusal::of(
                &rule.name,
                Reason::ConstraintConflict,
                format!(
                    "related {}: Detach sets {} to NULL, but the column is NOT NULL: use Delete",
                    child.name,
                    self.columns()
                ),
            ));
        }
    }

    /// What stays must not refer to what goes.
    pub(super) fn keeps_its_link(&self, rule: &Rule, transforms: &[Transform]) -> Option<Refusal> {
        let lets_go = transforms.iter().any(|t| {
            let referencing = self.pairs.iter().any(|(c, _)| c.name == t.column.name);
            referencing && t.strategy == Strategy::Nullify
        });
        (!lets_go).then(|| {
            Refusal::of(
                &rule.name,
                Reason::ConstraintConflict,
                format!(
                    "related {}: its rows stay and their parents in {} go, so {} must become NULL: \
                     use Detach, or add the column with strategy Nullify",
                    self.child.name,
                    self.parent.name,
                    self.columns()
                ),
            )
        })
    }

    /// Whether a row can hang on one row of the parent at the most, which InnoDB does not ask for.
    fn leads_to_one(&self) -> bool {
        let mut columns: Vec<&Ident> = self.pairs.iter().map(|(_, to)| &to.name).collect();
        columns.sort();
        let are = |names: &[Ident]| {
            let mut names: Vec<&Ident> = names.iter().collect();
            names.sort();
            names == columns
        };
        let indexes = self.parent.indexes.iter();
        let mut unique = indexes.filter(|index| index.unique && !index.partial_or_invalid);
        are(&self.parent.primary_key) || unique.any(|index| are(&index.columns))
    }

    /// Whether an index of these columns begins with those of the reference.
    fn leads(&self, names: &[Ident]) -> bool {
        let first = names.get(..self.pairs.len()).unwrap_or_default();
        self.pairs.iter().all(|(c, _)| first.contains(&c.name))
    }

    /// The index that leads to the rows, as InnoDB names it.
    fn index(&self) -> Option<Ident> {
        if self.leads(&self.child.primary_key) {
            return Ident::new("PRIMARY").ok();
        }
        let mut indexes = self.child.indexes.iter();
        let index = indexes.find(|i| !i.partial_or_invalid && self.leads(&i.columns))?;
        index.name.parse().ok()
    }

    fn is_indexed(&self) -> bool {
        match self.reference {
            Some(reference) => reference.indexed,
            None => self.index().is_some(),
        }
    }
}

/// Whether two columns that no foreign key connects can be compared as the application compares them.
pub(crate) fn are_comparable(a: &Column, b: &Column) -> bool {
    let fits = match a.kind {
        ColumnKind::Int
        | ColumnKind::UnsignedBigInt
        | ColumnKind::Decimal
        | ColumnKind::Uuid
        | ColumnKind::Bytes
        | ColumnKind::Bool
        | ColumnKind::Date
        | ColumnKind::Instant
        | ColumnKind::Civil => true,
        ColumnKind::Text => {
            a.collation == b.collation
                && a.charset == b.charset
                && a.nondeterministic == b.nondeterministic
                && a.folded == b.folded
                && pads_blanks(a) == pads_blanks(b)
        }
        ColumnKind::Float | ColumnKind::Enum | ColumnKind::Json | ColumnKind::Other => false,
    };
    fits && a.kind == b.kind
}

/// Whether the rows that a foreign key leads to are those that are equal in the child's eyes. A key is
/// compared under the parent's collation, our statements under the child's: of `A` and `a` in a
/// case-blind column both would go with the parent of one.
fn mean_the_same(a: &Column, b: &Column) -> bool {
    let blind = |column: &Column| column.nondeterministic || column.folded;
    let texts = a.kind != ColumnKind::Text
        || (pads_blanks(a) == pads_blanks(b)
            && blind(a) == blind(b)
            && (!blind(a) || a.collation == b.collation));
    a.kind == b.kind && texts
}

/// A type that gives its values back with or without blanks at the end, as it likes.
fn pads_blanks(column: &Column) -> bool {
    let name = column.type_name.to_ascii_lowercase();
    name.starts_with("char(") || name.starts_with("character(") || name == "bpchar"
}

fn described(column: &Column) -> String {
    match &column.collation {
        Some(collation) => format!("{} ({collation})", column.type_name),
        None => column.type_name.clone(),
    }
}
