//! How pt-archiver is called for a piece of work: as it comes, and with the flags that its makers and users
//! recommend for the most rows a second.

use super::layouts::layout;
use super::text::PLACE;
use super::{Who, Work};
use crate::catalog::Engine;

/// Its arguments but for the place of its defaults file, which stands where `FILE` does. `None`: that is not
/// pt-archiver, or it has no way to do it (it changes one table, deletes, and knows no PostgreSQL).
pub fn arguments(who: Who, engine: Engine, work: Work) -> Option<Vec<String>> {
    let (index, flags): (&str, &[&str]) = match who {
        Who::PtArchiverDefaults => ("", &[]),
        Who::PtArchiverBest => (
            ",i=PRIMARY",
            &[
                "--limit",
                "10000",
                "--bulk-delete",
                "--commit-each",
                "--primary-key-only",
            ],
        ),
        _ => return None,
    };
    let layout = layout(work)?;
    let mut tables = layout.tables(engine);
    let (Some(table), None) = (tables.next(), tables.next()) else {
        return None;
    };
    if !engine.is_innodb() || work == Work::Anonymise {
        return None;
    }
    let due = table.condition();
    let mut all = vec![
        "--source".to_owned(),
        format!("F={FILE},D={PLACE},t={}{index}", table.table.name),
        "--where".to_owned(),
        due.sql.text().to_owned(),
        "--purge".to_owned(),
        // Neither says anything about speed: whether there is a newer one, and in which letters they talk.
        "--no-version-check".to_owned(),
        "--no-check-charset".to_owned(),
    ];
    all.extend(flags.iter().map(|flag| (*flag).to_owned()));
    Some(all)
}

/// What is called, as somebody types it.
pub fn called(arguments: &[String]) -> String {
    let words = arguments.iter().map(|word| {
        if word.contains(' ') {
            format!("\"{word}\"")
        } else {
            word.clone()
        }
    });
    let words: Vec<String> = std::iter::once("pt-archiver".to_owned())
        .chain(words)
        .collect();
    words.join(" ")
}

/// Stands where the defaults file's path goes.
pub const FILE: &str = "FILE";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_called_for_deletes_from_one_table_where_it_knows_the_server() {
        let best = arguments(Who::PtArchiverBest, Engine::MariaDb, Work::DeleteNarrow).unwrap();
        assert_eq!(
            called(&best),
            "pt-archiver --source F=FILE,D=oubliette_bench,t=narrow,i=PRIMARY \
             --where \"ended_at < current_timestamp - INTERVAL '1' YEAR\" --purge --no-version-check \
             --no-check-charset --limit 10000 --bulk-delete --commit-each --primary-key-only"
        );
        let defaults = arguments(Who::PtArchiverDefaults, Engine::MySql, Work::DeleteNarrow);
        assert_eq!(defaults.unwrap().last().unwrap(), "--no-check-charset");
        for (who, engine, work) in [
            (Who::PtArchiverBest, Engine::Postgres, Work::DeleteNarrow),
            (Who::PtArchiverBest, Engine::MariaDb, Work::Anonymise),
            (Who::PtArchiverBest, Engine::MariaDb, Work::DeleteGraph),
            (Who::Single, Engine::MariaDb, Work::DeleteNarrow),
        ] {
            assert_eq!(
                arguments(who, engine, work),
                None,
                "{who:?} {engine:?} {work:?}"
            );
        }
    }
}
