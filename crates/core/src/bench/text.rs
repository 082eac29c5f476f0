//! Statements of the benchmark: literals of the program with words in braces that engines spell each in
//! their own way. Values are bound, as everywhere.

use crate::catalog::Engine;
use crate::sql::{Bound, Writer, dialect};
use crate::value::Value;

/// The benchmark's own schema; on MySQL and MariaDB a database of its own.
pub const PLACE: &str = "oubliette_bench";
/// Where the program keeps its ledger meanwhile: a schema beside it, or the prefix of tables within it.
pub const LEDGER: &str = "oubliette_bench_ledger";

/// A word in braces and the text that stands for it, which may have such words itself.
pub type Meant = (&'static str, &'static str);

/// Deepest text within a text.
const DEEPEST: u8 = 8;

/// A statement under way. `{1}` is the first value, `{s}` the schema with its dot; the other words are
/// those that are given and those of the engine. A word that nobody knows stays as it is.
pub struct Text<'m> {
    writer: Writer<'static>,
    meant: &'m [Meant],
    values: &'m [Value],
}

impl<'m> Text<'m> {
    /// An empty statement.
    pub fn new(engine: Engine, meant: &'m [Meant], values: &'m [Value]) -> Self {
        Self {
            writer: Writer::new(dialect(engine)),
            meant,
            values,
        }
    }

    /// A piece of the program.
    pub fn say(&mut self, text: &'static str) -> &mut Self {
        self.expand(text, DEEPEST);
        self
    }

    /// A piece for each of some names, which `{}` stands for.
    pub fn each(
        &mut self,
        names: &[&'static str],
        separator: &'static str,
        piece: &'static str,
    ) -> &mut Self {
        for (at, name) in names.iter().enumerate() {
            if at > 0 {
                self.say(separator);
            }
            for (at, part) in piece.split("{}").enumerate() {
                if at > 0 {
                    self.say(name);
                }
                self.say(part);
            }
        }
        self
    }

    /// A number of the program's own, in the text.
    pub fn number(&mut self, n: u32) -> &mut Self {
        self.writer.number(n);
        self
    }

    /// The finished statement.
    pub fn finish(self) -> Bound {
        self.writer.finish()
    }

    fn expand(&mut self, text: &'static str, deeper: u8) {
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((word, after)) = after.split_once('}') else {
                break;
            };
            self.writer.sql(before);
            let number: Option<usize> = word.parse().ok();
            let value = number.and_then(|n| self.values.get(n.checked_sub(1)?));
            let given = self.meant.iter().find(|(name, _)| *name == word);
            if let Some(value) = value {
                self.writer.bind(value.clone());
            } else if let Some((_, text)) = given
                && deeper > 0
            {
                self.expand(text, deeper - 1);
            } else {
                self.writer.sql(spelt(self.writer.dialect().engine(), word));
            }
            rest = after;
        }
        self.writer.sql(rest);
    }
}

/// A word as the engine spells it.
fn spelt(engine: Engine, word: &'static str) -> &'static str {
    let postgres = engine == Engine::Postgres;
    match (word, postgres) {
        ("s", _) => "oubliette_bench.",
        ("instant", true) => "timestamp with time zone",
        ("instant", false) => "timestamp",
        // Of whole numbers.
        ("div", true) => "/",
        ("div", false) => "DIV",
        ("days(", true) => "INTERVAL '1 day' * (",
        ("days(", false) => "INTERVAL (",
        (")days", true) => ")",
        (")days", false) => ") DAY",
        // NULL is NULL.
        ("same", true) => "IS NOT DISTINCT FROM",
        ("same", false) => "<=>",
        _ => word,
    }
}

/// Words of every text.
pub(super) fn words(engine: Engine) -> [Meant; 7] {
    let pseudonym = match engine {
        Engine::Postgres => {
            "'p_' || left(encode(sha256((SELECT decode(current_setting('oubliette_bench.outer'), 'hex')) \
             || sha256((SELECT decode(current_setting('oubliette_bench.inner'), 'hex')) \
             || convert_to(email, 'UTF8'))), 'hex'), 32)"
        }
        Engine::MySql | Engine::MariaDb => {
            "concat('p_', left(sha2(concat(cast(@oubliette_bench_outer AS binary), \
             unhex(sha2(concat(cast(@oubliette_bench_inner AS binary), cast(email AS binary)), 256))), \
             256), 32))"
        }
    };
    [
        // A number d from 0 to 999 for each row, without order: below 400 it is due.
        (
            "scattered",
            "(SELECT n, n * 2654435761 % 4294967296 {div} 4294968 AS d FROM {s}numbers WHERE n <= {1}) \
             AS source",
        ),
        // In the order of the key.
        (
            "ordered",
            "(SELECT n, n * 1000 {div} ({1} + 1) AS d FROM {s}numbers WHERE n <= {1}) AS source",
        ),
        // Four of a hundred are due.
        (
            "few",
            "(SELECT n, 360 + n * 2654435761 % 4294967296 {div} 4294968 AS d FROM {s}numbers \
             WHERE n <= {1}) AS source",
        ),
        (
            "then",
            "current_timestamp - {days(}CASE WHEN d < 400 THEN 400 + d ELSE (d - 400) {div} 4 END{)days}",
        ),
        ("cutoff", "current_timestamp - INTERVAL '1' YEAR"),
        (
            "of_70",
            "'a note as people write it, of seventy characters with all of its words'",
        ),
        ("pseudonym", pseudonym),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_spelt_by_engine_and_values_are_bound() {
        let text = "SELECT n {div} 2 FROM {source} WHERE at < now() - {days(}n{)days} AND n <= {1}";
        let meant = [("source", "{s}{t}"), ("t", "numbers")];
        let values = [Value::Int(7)];
        let written = |engine| {
            let mut sql = Text::new(engine, &meant, &values);
            sql.say(text)
                .say(" AND ")
                .each(&["a", "b"], ", ", "w.{} {same} a.{}");
            sql.finish()
        };
        let postgres = written(Engine::Postgres);
        assert_eq!(
            postgres.sql.text(),
            "SELECT n / 2 FROM oubliette_bench.numbers WHERE at < now() - INTERVAL '1 day' * (n) \
             AND n <= $1 AND w.a IS NOT DISTINCT FROM a.a, w.b IS NOT DISTINCT FROM a.b"
        );
        assert_eq!(postgres.values, values);
        assert_eq!(
            written(Engine::MySql).sql.text(),
            "SELECT n DIV 2 FROM oubliette_bench.numbers WHERE at < now() - INTERVAL (n) DAY \
             AND n <= ? AND w.a <=> a.a, w.b <=> a.b"
        );
    }
}
