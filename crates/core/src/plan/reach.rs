//! A person's rows, typed against the catalog.

use super::Refusal;
use super::clock::Typing;
use crate::api::reason::Reason;
use crate::catalog::{Column, ColumnKind, Table};
use crate::name::Ident;
use crate::policy::{Normalise, Reach, ReachWay};
use crate::sql::{IdentifierSql, ReachSql, WaySql};
use crate::value::{Personal, Value};

impl Typing<'_> {
    /// The ways to a person's rows.
    pub(super) fn reach(&self, table: &Table, reach: &Reach) -> Result<ReachSql, Vec<Refusal>> {
        let mut refusals = Vec::new();
        let mut ways = Vec::new();
        for way in &reach.ways {
            match self.way(table, way) {
                Ok(way) => ways.push(way),
                Err(found) => refusals.extend(found),
            }
        }
        if refusals.is_empty() {
            Ok(ReachSql { ways })
        } else {
            Err(refusals)
        }
    }

    fn way(&self, table: &Table, way: &ReachWay) -> Result<WaySql, Vec<Refusal>> {
        match way {
            ReachWay::Keys(names, keys) => {
                let columns = names.iter().map(|name| self.column(table, name).cloned());
                let columns: Vec<Column> =
                    columns.collect::<Result<_, _>>().map_err(|r| vec![r])?;
                let unlike = columns.iter().enumerate().find(|(at, column)| {
                    let values = keys.iter().filter_map(|key| key.get(*at));
                    values.into_iter().any(|value| !is_like(column, value))
                });
                if let Some((_, column)) = unlike {
                    let message = format!(
                        "{}.{} is {}, and what it equals is of another type: the database may find \
                         others equal than the application does",
                        table.name, column.name, column.type_name
                    );
                    let refusal = Refusal::of(&self.rule.name, Reason::ColumnUnfit, message);
                    return Err(vec![refusal]);
                }
                Ok(WaySql::Keys(columns, keys.clone()))
            }
            ReachWay::Identifier {
                column,
                normalise,
                values,
            } => {
                let typed = self.identifier(table, column, *normalise, values)?;
                Ok(WaySql::Identifier(Box::new(typed)))
            }
            ReachWay::Fits(identifiers) => {
                let typed = identifiers.iter().map(|(column, normalise, values)| {
                    self.identifier(table, column, *normalise, values)
                });
                Ok(WaySql::Fits(typed.collect::<Result<_, _>>()?))
            }
            ReachWay::Through(hop, reach) => {
                let (hop, above) = self.hop(table, hop)?;
                let reach = self.reach(above, reach)?;
                Ok(WaySql::Through(Box::new(hop), reach))
            }
        }
    }

    fn identifier(
        &self,
        table: &Table,
        column: &Ident,
        normalise: Option<Normalise>,
        values: &[Personal],
    ) -> Result<IdentifierSql, Vec<Refusal>> {
        let column = self.column(table, column).map_err(|r| vec![r])?;
        let typed = IdentifierSql::of(column, normalise, values);
        typed.ok_or_else(|| {
            let message = format!(
                "{}.{} is {}, by which nobody is found{}",
                table.name,
                column.name,
                column.type_name,
                if normalise.is_some() {
                    ": LowercaseTrim is for text, DigitsOnly for text and whole numbers"
                } else {
                    ": text, whole numbers and uuids are"
                }
            );
            vec![Refusal::of(&self.rule.name, Reason::ColumnUnfit, message)]
        })
    }
}

/// Whether a value is of a column's own type, so that no comparison converts either.
fn is_like(column: &Column, value: &Value) -> bool {
    match (value, column.kind) {
        (Value::Null, _) => true,
        (Value::Int(_), kind) => matches!(kind, ColumnKind::Int | ColumnKind::Bool),
        (Value::Bytes(_), kind) => kind == ColumnKind::Bytes,
        (Value::Text(_), kind) => !matches!(kind, ColumnKind::Int | ColumnKind::Bytes),
    }
}

impl IdentifierSql {
    /// A column that is compared with identifiers; `None`: it cannot be. What cannot be a value of the
    /// column is nobody's there and left out.
    pub fn of(
        column: &Column,
        normalise: Option<crate::policy::Normalise>,
        values: &[Personal],
    ) -> Option<Self> {
        let text = |value: &Personal| Value::Text(value.expose().to_owned());
        let values: Vec<Value> = match (normalise, column.kind) {
            (Some(how), _) if super::lookup::can_be(column, how) => {
                let there = values
                    .iter()
                    .filter(|value| !how.leaves_nothing(value.expose()));
                there.map(text).collect()
            }
            (None, ColumnKind::Text | ColumnKind::Enum) => {
                let there = values.iter().filter(|value| !value.expose().is_empty());
                there.map(text).collect()
            }
            (None, ColumnKind::Int) => {
                let numbers = values
                    .iter()
                    .filter_map(|value| value.expose().parse().ok());
                numbers.map(Value::Int).collect()
            }
            (None, ColumnKind::UnsignedBigInt) => {
                let is_number = |value: &&Personal| value.expose().parse::<u64>().is_ok();
                values.iter().filter(is_number).map(text).collect()
            }
            (None, ColumnKind::Uuid) => values
                .iter()
                .filter(|value| is_uuid(value.expose()))
                .map(text)
                .collect(),
            (Some(_) | None, _) => return None,
        };
        Some(Self {
            column: column.clone(),
            normalise,
            values,
        })
    }
}

/// Whether a text is a uuid as databases write it.
fn is_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}
