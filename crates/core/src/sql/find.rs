//! The search for a person's row by what the person is known by, and for those of several persons in one
//! look over the table.

use super::{Bound, IdentifierSql, Writer, dialect};
use crate::catalog::{Column, Engine};
use crate::name::TableName;

/// Writes the search over one table.
#[derive(Clone, Debug)]
pub struct FindSql {
    /// The engine.
    pub engine: Engine,
    /// The table.
    pub table: TableName,
    /// Whether the rows are those of its leaves.
    pub with_leaves: bool,
    /// By what the person is known. Never empty.
    pub identifiers: Vec<IdentifierSql>,
    /// What is read of the row.
    pub read: Vec<Column>,
}

impl FindSql {
    /// Reads rows with any of the identifiers: for each of these 1 where the row has it, 0 where it has
    /// none, 2 where it has another one; then the columns.
    pub fn look(&self, most: u32) -> Bound {
        let d = dialect(self.engine);
        self.reading(most, |w, one| {
            d.whole(w, &mut |w| {
                w.sql("(CASE WHEN ");
                one.write(w);
                w.sql(" THEN 1 WHEN ");
                one.write_blank(w);
                w.sql(" THEN 0 ELSE 2 END)");
            });
        })
    }

    /// Reads rows with any of the identifiers, which are those of several persons, each column once: of
    /// each of these whether the row has none, and what it has ([`IdentifierSql::has`] tells whose that
    /// is); then the columns.
    pub fn look_for_several(&self, most: u32) -> Bound {
        let d = dialect(self.engine);
        self.reading(most, |w, one| {
            d.whole(w, &mut |w| {
                w.sql("(CASE WHEN ");
                one.write_blank(w);
                w.sql(" THEN 1 ELSE 0 END)");
            });
            w.sql(", ");
            one.write_read(w);
        })
    }

    /// Reads of each row what is `told` of each identifier, and then the columns.
    fn reading(&self, most: u32, told: impl Fn(&mut Writer<'_>, &IdentifierSql)) -> Bound {
        let mut w = Writer::new(dialect(self.engine));
        w.sql("SELECT ").joined(&self.identifiers, ", ", told);
        for column in &self.read {
            w.sql(", ");
            dialect(self.engine).read(&mut w, column);
        }
        w.sql(" FROM ")
            .rows_of(&self.table, self.with_leaves)
            .sql(" WHERE ");
        w.joined(&self.identifiers, " OR ", |w, one| one.write(w));
        w.sql(" LIMIT ").number(most);
        w.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::ColumnKind;
    use crate::propose::tests::{column, name};
    use crate::value::Value;

    #[test]
    fn no_cast_is_used_that_the_owner_of_a_type_may_have_declared() {
        let mut kind = column("kind", ColumnKind::Enum);
        kind.cast = "\"app\".\"kind\"".to_owned();
        let identifier = IdentifierSql {
            column: kind,
            normalise: None,
            values: vec![Value::Text("a".to_owned())],
        };
        let many = FindSql {
            engine: Engine::Postgres,
            table: name("people"),
            with_leaves: false,
            identifiers: vec![identifier.clone()],
            read: Vec::new(),
        };
        let look = many.look_for_several(7);
        let text = look.sql.text();
        assert!(!text.contains("\"kind\"::"), "{text}");
        assert!(text.contains("format('%s', \"kind\")"), "{text}");
        // What is read so is compared as it is.
        assert!(identifier.has(&Value::Text("a".to_owned())));
        assert!(!identifier.has(&Value::Text("A".to_owned())));
    }
}
