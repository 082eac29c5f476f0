//! `docs/promises.md` and the tables in `examples/notices/*/README.md`: written from what the cases of
//! `examples/notices` declare, when all of them have passed. A row that no case proves cannot appear.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::case::{Case, Needs};
use crate::expect::Promise;
use crate::notices::Notice;
use crate::world::{World, repository};

/// What stands before and behind the table of a page.
const BEGIN: &str =
    "<!-- promises: `make promises` writes this table when the cases have passed -->\n";
const END: &str = "<!-- end of promises -->\n";

/// What writes the tables.
const WRITE: &str = "OUBLIETTE_WRITE_PROMISES";

/// The case that looks at what the others have proved.
pub(crate) fn last_cases() -> Vec<Case> {
    vec![Case::new(
        "notices::the_pages_say_what_has_passed",
        Needs::nothing(),
        pages,
    )]
}

fn pages(_world: &World) -> Result<()> {
    let notices = Notice::all()?;
    let missing: Vec<String> = notices.iter().flat_map(Notice::not_passed).collect();
    ensure!(
        missing.is_empty(),
        "these did not pass in this run, which must be one of all `notices::`: {missing:?}"
    );
    let mut all = Vec::new();
    for notice in &notices {
        let rows = Row::of(notice).with_context(|| notice.name.clone())?;
        page(&notice.readme(), &table(&rows, false)?)?;
        all.extend(rows);
    }
    all.sort_by_key(|row| row.number);
    page(&repository().join("docs/promises.md"), &table(&all, true)?)
}

/// A promise of an organisation.
struct Row<'n> {
    number: u32,
    notice: &'n str,
    promise: &'n Promise,
}

impl<'n> Row<'n> {
    fn of(notice: &'n Notice) -> Result<Vec<Self>> {
        notice
            .promises()
            .map(|promise| {
                let number = promise.row.strip_prefix('N').map(str::parse);
                Ok(Self {
                    number: number.context("a row is called N and a number")??,
                    notice: &notice.name,
                    promise,
                })
            })
            .collect()
    }
}

/// The table, with the organisations where it has several.
fn table(rows: &[Row<'_>], several: bool) -> Result<String> {
    let (head, line) = if several {
        ("| notice ", "|---")
    } else {
        ("", "")
    };
    let mut text = format!(
        "| {head}| promise | rules, requests | cases | not yet |\n|---{line}|---|---|---|---|\n"
    );
    for Row {
        notice, promise, ..
    } in rows
    {
        let by = promise.rules.iter().chain(&promise.requests);
        let by: Vec<String> = by.map(|name| format!("`{name}`")).collect();
        let cases = match (promise.rules.is_empty(), promise.requests.is_empty()) {
            (false, _) => format!("`notices::{notice}`, `notices::{notice}::calendar`"),
            (true, false) => format!("`notices::{notice}::requests`"),
            (true, true) => String::new(),
        };
        let of = if several {
            format!("| {notice} ")
        } else {
            String::new()
        };
        writeln!(
            text,
            "| {} {of}| {} | {} | {cases} | {} |",
            promise.row,
            promise.sentence,
            by.join(", "),
            promise.open.as_deref().unwrap_or_default()
        )?;
    }
    Ok(text)
}

/// The page has this table, or gets it.
fn page(path: &Path, table: &str) -> Result<()> {
    let name = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("failed to read {name}"))?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let (before, after) = parts.with_context(|| format!("{name} has no place for its table"))?;
    let whole = [before, BEGIN, table, END, after].concat();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(path, whole).with_context(|| format!("failed to write {name}"))
    } else {
        ensure!(whole == text, "{name} is out of date: run `make promises`");
        Ok(())
    }
}
