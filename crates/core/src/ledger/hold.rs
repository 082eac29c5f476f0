//! Legal holds in the ledger: they outlive their resources, and only a release ends one.
//!
//! Whoever places one first raises the generation of every open checkpoint, in the same transaction:
//! a batch under way was planned without it, and its fence must miss (SQL.md section 1).

use super::schema::Ledger;
use super::statements::text;
use crate::hold::{HeldPerson, Hold, Holds, PERSON};
use crate::sql::{Bound, Writer};
use crate::value::Value;

/// A hold as the ledger knows it, without its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldRow {
    /// The resource's UID.
    pub id: String,
    /// Its namespace and name.
    pub name: String,
    /// The table whose rows are held, or [`PERSON`].
    pub table: String,
    /// The reference of the matter.
    pub reason: String,
    /// Who placed it.
    pub placed_by: String,
    /// Since when it is in force, RFC 3339.
    pub accepted_at: String,
    /// How it ended; `None`: it is in force.
    pub released: Option<Released>,
}

impl HoldRow {
    /// What is held, for people.
    pub fn on(&self) -> &str {
        if self.table == PERSON {
            "a person"
        } else {
            &self.table
        }
    }
}

/// A hold as it is kept with its values.
#[derive(Clone, Copy, Debug)]
pub enum KeptHold<'h> {
    /// On rows.
    Rows(&'h Hold),
    /// On a person.
    Person(&'h HeldPerson),
}

/// How a hold ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    /// When, RFC 3339.
    pub at: String,
    /// Who released it.
    pub by: String,
    /// Why: a reference.
    pub reason: String,
}

impl Ledger {
    /// Raises the generation of every open checkpoint. Waits for batches that are at their fence:
    /// what they commit was changed before the hold.
    pub fn raise_hold_generation(&self) -> Bound {
        let mut w = self.writer();
        w.sql("UPDATE ");
        self.table(&mut w, "checkpoint");
        w.sql(" SET hold_gen = hold_gen + 1 WHERE state IN ('open', 'walked')");
        w.finish()
    }

    /// Places a hold; a second one with this id fails on the primary key.
    pub fn insert_hold(&self, hold: KeptHold<'_>, row: &HoldRow) -> Bound {
        let mut w = self.writer();
        w.sql("INSERT INTO ");
        self.table(&mut w, "hold");
        w.sql(
            " (id, name, held_table, predicate, hold_keys, state, reason, placed_by, accepted_at) \
             VALUES (",
        );
        let (id, predicate, keys) = match hold {
            KeptHold::Rows(hold) => (&hold.id, hold.predicate(), hold.keys()),
            KeptHold::Person(hold) => (&hold.id, hold.predicate(), hold.keys()),
        };
        for value in [
            id.as_str(),
            &row.name,
            &row.table,
            &predicate,
            &keys,
            ACTIVE,
            &row.reason,
            &row.placed_by,
        ] {
            w.bind(text(value)).sql(", ");
        }
        w.bind(text(&row.accepted_at)).sql(")");
        w.finish()
    }

    /// The holds in force, with their values.
    pub fn active_holds(&self) -> Bound {
        let mut w = self.writer();
        w.sql("SELECT id, name, held_table, predicate, hold_keys FROM ");
        self.table(&mut w, "hold");
        w.sql(" WHERE state <> 'released' ORDER BY id");
        w.finish()
    }

    /// Widens a hold on a person: hits one row while it is in force.
    pub fn widen_hold(&self, hold: &HeldPerson) -> Bound {
        let mut w = self.writer();
        let (predicate, keys) = (hold.predicate(), hold.keys());
        w.sql("UPDATE ");
        self.table(&mut w, "hold");
        w.sql(" SET predicate = ").bind(text(&predicate));
        w.sql(", hold_keys = ").bind(text(&keys));
        w.sql(" WHERE id = ")
            .bind(text(&hold.id))
            .sql(" AND state <> 'released'");
        w.finish()
    }

    /// Reads a row of `active_holds` into the others; `None`: it is not one that this program wrote.
    pub fn read_active_hold(row: &[Value], holds: &mut Holds) -> Option<()> {
        let [id, name, table, predicate, keys] = row else {
            return None;
        };
        let (id, name, table) = (id.as_text()?, name.as_text()?, table.as_text()?);
        let (predicate, keys) = (predicate.as_text()?, keys.as_text()?);
        if table == PERSON {
            let person = HeldPerson::stored(id, name, predicate, keys)?;
            holds.persons.push(person);
        } else {
            holds
                .rows
                .push(Hold::stored(id, name, table, predicate, keys)?);
        }
        Some(())
    }

    /// One hold, without its values.
    pub fn hold(&self, id: &str) -> Bound {
        let mut w = self.select_hold();
        w.sql(" WHERE id = ").bind(text(id));
        w.finish()
    }

    /// All holds, without their values, in the order in which they were placed.
    pub fn holds(&self) -> Bound {
        let mut w = self.select_hold();
        w.sql(" ORDER BY accepted_at, id");
        w.finish()
    }

    fn select_hold(&self) -> Writer<'static> {
        let mut w = self.writer();
        w.sql(
            "SELECT id, name, held_table, reason, placed_by, accepted_at, state, released_at, \
             released_by, release_reason FROM ",
        );
        self.table(&mut w, "hold");
        w
    }

    /// Reads a row of `hold` or `holds`.
    pub fn read_hold(row: &[Value]) -> Option<HoldRow> {
        let [
            id,
            name,
            table,
            reason,
            placed_by,
            accepted_at,
            state,
            released_at,
            released_by,
            release_reason,
        ] = row
        else {
            return None;
        };
        let owned = |value: &Value| value.as_text().map(str::to_owned);
        Some(HoldRow {
            id: owned(id)?,
            name: owned(name)?,
            table: owned(table)?,
            reason: owned(reason)?,
            placed_by: owned(placed_by)?,
            accepted_at: owned(accepted_at)?,
            released: if state.as_text()? == RELEASED {
                Some(Released {
                    at: owned(released_at)?,
                    by: owned(released_by)?,
                    reason: owned(release_reason)?,
                })
            } else {
                None
            },
        })
    }

    /// Ends a hold: hits one row while it is in force. Its values go, the row stays as evidence.
    pub fn release_hold(&self, id: &str, released: &Released) -> Bound {
        let mut w = self.writer();
        w.sql("UPDATE ");
        self.table(&mut w, "hold");
        w.sql(" SET state = ").bind(text(RELEASED));
        w.sql(", hold_keys = NULL, released_at = ")
            .bind(text(&released.at));
        w.sql(", released_by = ").bind(text(&released.by));
        w.sql(", release_reason = ").bind(text(&released.reason));
        w.sql(" WHERE id = ")
            .bind(text(id))
            .sql(" AND state <> 'released'");
        w.finish()
    }
}

const ACTIVE: &str = "active";
const RELEASED: &str = "released";
