//! The columns that a rule names, each held against the catalog: whether it is there, what a strategy can
//! make of it, and whether rows can be walked by it.

use super::{Refusal, constant, guard};
use crate::api::reason::Reason;
use crate::catalog::{Catalog, Column, ColumnKind, Engine, Table};
use crate::name::Ident;
use crate::policy::{Action, Policy, Rule, Treatment};
use crate::sql::{Transform, fits};
use crate::strategy::Strategy;

/// The column of that name, which must be there.
pub(super) fn column<'t>(
    rule: &Rule,
    table: &'t Table,
    name: &Ident,
    refusals: &mut Vec<Refusal>,
) -> Option<&'t Column> {
    let column = table.column(name);
    if column.is_none() {
        refusals.push(Refusal::of(
            &rule.name,
            Reason::ColumnMissing,
            format!("{} has no column {name}", table.name),
        ));
    }
    column
}

/// The treatments of a table's columns, each checked against its column.
pub(super) fn transforms(
    rule: &Rule,
    engine: Engine,
    table: &Table,
    treatments: &[Treatment],
    refusals: &mut Vec<Refusal>,
) -> Vec<Transform> {
    let mut transforms = Vec::new();
    for Treatment {
        column: name,
        strategy,
    } in treatments
    {
        let Some(column) = column(rule, table, name, refusals) else {
            continue;
        };
        if !fits(strategy, column.kind) {
            refusals.push(Refusal::of(
                &rule.name,
                Reason::ColumnUnfit,
                format!(
                    "{}.{name} is {}, which strategy {} cannot transform",
                    table.name,
                    column.type_name,
                    strategy.name()
                ),
            ));
        }
        let mut strategy = strategy.clone();
        if let Strategy::Constant { value } = &mut strategy {
            match constant::kept(column, engine, value) {
                Some(kept) => *value = kept,
                None => refusals.push(Refusal::of(
                    &rule.name,
                    Reason::ColumnUnfit,
                    format!(
                        "{}.{name} is {}: the constant is no value of this type that it keeps as \
                         written{}",
                        table.name,
                        column.type_name,
                        constant::what_fits(column)
                    ),
                )),
            }
        }
        transforms.push(Transform {
            column: column.clone(),
            strategy,
        });
    }
    transforms
}

/// What stands in the way of how a policy's rules treat columns, whatever else does: for whoever
/// proposes a treatment.
pub fn untreatable(policy: &Policy, catalog: &Catalog) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for rule in &policy.rules {
        if let (Action::Anonymise(treatments), Some(table)) =
            (&rule.action, catalog.table(&rule.table))
        {
            let found = transforms(rule, catalog.engine, table, treatments, &mut refusals);
            guard::columns(policy, rule, catalog, table, found, &mut refusals);
        }
    }
    refusals
}

/// Columns that MySQL would change by itself on any update.
pub(super) fn untouched(table: &Table) -> Vec<Column> {
    table
        .columns
        .iter()
        .filter(|c| c.on_update_now)
        .cloned()
        .collect()
}

/// Whether a column of this kind can be part of a walked key.
pub(super) fn walkable(column: &Column) -> bool {
    !column.nondeterministic
        && column.charset.as_deref().is_none_or(comes_back)
        && matches!(
            column.kind,
            ColumnKind::Int
                | ColumnKind::UnsignedBigInt
                | ColumnKind::Decimal
                | ColumnKind::Text
                | ColumnKind::Uuid
                | ColumnKind::Bytes
                | ColumnKind::Date
                | ColumnKind::Instant
                | ColumnKind::Civil
        )
}

/// Whether every text of a MySQL character set comes back from utf8mb4, in which keys are read, as it
/// was. Of those that are left out two characters become one, or one becomes another: a row would not
/// be found again.
fn comes_back(charset: &str) -> bool {
    matches!(
        charset,
        "ascii"
            | "cp1250"
            | "cp1251"
            | "cp1256"
            | "cp1257"
            | "cp850"
            | "cp852"
            | "cp866"
            | "gb18030"
            | "greek"
            | "hebrew"
            | "keybcs2"
            | "koi8r"
            | "koi8u"
            | "latin1"
            | "latin2"
            | "latin5"
            | "latin7"
            | "macce"
            | "macroman"
            | "ucs2"
            | "utf8"
            | "utf8mb3"
            | "utf8mb4"
            | "utf16"
            | "utf16le"
            | "utf32"
    )
}
