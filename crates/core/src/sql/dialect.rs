//! What is spelt differently. A small trait without defaults: a new engine is a new file, and the
//! compiler names each missing spelling.

use super::mysql::InnoDb;
use super::postgres::Postgres;
use super::{KeyColumn, Writer};
use crate::catalog::{Column, Engine};
use crate::name::TableName;
use crate::policy::Normalise;
use crate::strategy::DateUnit;
use crate::value::{Key, Value};

/// The spellings of one engine.
pub trait Dialect: Sync {
    /// The engine.
    fn engine(&self) -> Engine;
    /// Quotes an identifier.
    fn quote(&self, out: &mut String, name: &str);
    /// The placeholder of the `index`-th value, counted from 1.
    fn placeholder(&self, out: &mut String, index: usize);
    /// A bound value cast to the column's type, in a form that can use the column's index.
    fn bound(&self, w: &mut Writer<'_>, column: &Column, value: Value);
    /// A bound date or time of ours, to be compared with many rows' values of the column: in a form that is
    /// read once, not for every row.
    fn limit(&self, w: &mut Writer<'_>, column: &Column, value: Value);
    /// Reads a column in a shape that comes back through `bound` unchanged.
    fn read(&self, w: &mut Writer<'_>, column: &Column);
    /// A bound text compared byte by byte with a text or enum column (`=`), whatever its collation.
    fn equals_exactly(&self, w: &mut Writer<'_>, column: &Column, value: Value);
    /// A bound text that a text or enum column equals neither byte by byte nor in the eyes of whoever uses
    /// the column (its collation, or its type's own operators).
    fn differs_for_all(&self, w: &mut Writer<'_>, column: &Column, value: Value);
    /// `a IS DISTINCT FROM b`, where `b` is written by the closure; text compared byte by byte.
    fn differs(&self, w: &mut Writer<'_>, column: &Column, other: &mut dyn FnMut(&mut Writer<'_>));
    /// A column's value as text without a comma that is equal where the values are, byte by byte, and `-`
    /// for NULL; or that of the value which the closure writes, as the column would keep it.
    fn exact(
        &self,
        w: &mut Writer<'_>,
        column: &Column,
        value: Option<&mut dyn FnMut(&mut Writer<'_>)>,
    );
    /// 32 hexadecimal digits of the digest of the texts that the closure writes.
    fn digest(&self, w: &mut Writer<'_>, texts: &mut dyn FnMut(&mut Writer<'_>));
    /// The key of a row lies above `key`.
    fn key_above(&self, w: &mut Writer<'_>, columns: &[KeyColumn], key: &Key);
    /// The key of a row does not lie above `key`.
    fn key_upto(&self, w: &mut Writer<'_>, columns: &[KeyColumn], key: &Key);
    /// The date or time is a real one: not a zero or partial date.
    fn real_date(&self, w: &mut Writer<'_>, column: &Column);
    /// An aggregate of whole numbers (`count(*)`, `SUM(…)`) as a 64-bit integer, never NULL.
    fn whole(&self, w: &mut Writer<'_>, aggregate: &mut dyn FnMut(&mut Writer<'_>));
    /// The least of the clock readings that the closure writes, of a column's type or NULL, as text
    /// (`2026-02-28T23:00:00`, UTC for instants) or integer.
    fn oldest(&self, w: &mut Writer<'_>, column: &Column, reading: &mut dyn FnMut(&mut Writer<'_>));
    /// An identifier made comparable, as bytes: text, or a whole number for its digits.
    fn normalised(&self, w: &mut Writer<'_>, column: &Column, how: Normalise);
    /// A bound identifier in the same form, to be compared with `normalised`.
    fn normal(&self, w: &mut Writer<'_>, value: Value, how: Normalise);
    /// An identifier's bytes once it is comparable: those of `erasure::comparable`. NULL for NULL.
    fn comparable(&self, w: &mut Writer<'_>, column: &Column, how: Option<Normalise>);
    /// 64 hexadecimal digits of the keyed HMAC of the bytes that the closure writes (pads are session
    /// variables). NULL for NULL.
    fn keyed(&self, w: &mut Writer<'_>, bytes: &mut dyn FnMut(&mut Writer<'_>));
    /// `p_` and 32 hexadecimal digits of the keyed HMAC of the column.
    fn pseudonym(&self, w: &mut Writer<'_>, column: &Column);
    /// The column already has a pseudonym's shape.
    fn is_pseudonym(&self, w: &mut Writer<'_>, column: &Column);
    /// The first day of the column's unit.
    fn first_day(&self, w: &mut Writer<'_>, column: &Column, unit: DateUnit);
    /// The greatest multiple of `width` that is not above the column.
    fn multiple(&self, w: &mut Writer<'_>, column: &Column, width: u32);
    /// Statements that set the pads of the keyed HMAC for this transaction or session.
    fn set_pads(&self, inner_hex: &str, outer_hex: &str) -> Vec<super::Bound>;
    /// Asks for the counts of a [`super::Witness`]: a row for each, its name and the number. Of every
    /// table, or, where that is dearer, of these and of whatever the transaction has begun to change.
    fn changes_so_far(&self, of: Option<&[TableName]>) -> super::Bound;
    /// What EXPLAIN is called where a SELECT-only user may run it, in a form the plan can read.
    fn explain(&self) -> &'static str;
}

/// The dialect of an engine.
pub fn dialect(engine: Engine) -> &'static dyn Dialect {
    match engine {
        Engine::Postgres => &Postgres,
        Engine::MySql => &InnoDb { maria: false },
        Engine::MariaDb => &InnoDb { maria: true },
    }
}
