//! What is remembered of persons whose requests are carried out, for each request and map. Cleared when
//! the request has ended; the row stays and says that there was one.

use super::schema::Ledger;
use super::statements::text;
use crate::erasure::recorded::Recorded;
use crate::sql::Bound;
use crate::value::Value;

impl Ledger {
    /// Remembers a person; changes nothing where the request has one already.
    pub fn insert_subject(&self, request: &str, map: &str, recorded: &Recorded) -> Bound {
        self.insert_subjects(map, &[(request, recorded)])
    }

    /// Remembers more of a person whose request has not ended.
    pub fn update_subject(&self, request: &str, map: &str, recorded: &Recorded) -> Bound {
        let mut w = self.writer();
        let body = recorded.to_text();
        w.sql("UPDATE ");
        self.table(&mut w, "subject");
        w.sql(" SET body = ").bind(text(&body));
        w.sql(" WHERE request = ").bind(text(request));
        w.sql(" AND map = ")
            .bind(text(map))
            .sql(" AND state = 'open'");
        w.finish()
    }

    /// Remembers a person anew, whatever was remembered or forgotten before; the row is there.
    pub fn replace_subject(&self, request: &str, map: &str, recorded: &Recorded) -> Bound {
        let mut w = self.writer();
        w.sql("UPDATE ");
        self.table(&mut w, "subject");
        w.sql(" SET state = 'open', body = ")
            .bind(text(&recorded.to_text()));
        w.sql(" WHERE request = ").bind(text(request));
        w.sql(" AND map = ").bind(text(map));
        w.finish()
    }

    /// State and content of what is remembered, under lock if it is to be changed.
    pub fn subject(&self, request: &str, map: &str) -> Bound {
        let mut w = self.writer();
        w.sql("SELECT state, body FROM ");
        self.table(&mut w, "subject");
        w.sql(" WHERE request = ").bind(text(request));
        w.sql(" AND map = ").bind(text(map));
        w.finish()
    }

    /// Forgets a person. Nothing is left of what was remembered.
    pub fn clear_subject(&self, request: &str, map: &str) -> Bound {
        let mut w = self.writer();
        w.sql("UPDATE ");
        self.table(&mut w, "subject");
        w.sql(" SET state = 'ended', body = '' WHERE request = ")
            .bind(text(request));
        w.sql(" AND map = ").bind(text(map));
        w.finish()
    }

    /// Reads a row of `subject`: `Some(None)` where the request has ended; `None` where it is not one that
    /// this program wrote.
    pub fn read_subject(row: &[Value]) -> Option<Option<Recorded>> {
        let [state, body] = row else { return None };
        match state.as_text()? {
            "ended" => Some(None),
            "open" => Recorded::read(body.as_text()?).map(Some),
            _ => None,
        }
    }
}
