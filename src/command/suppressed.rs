//! `oubliette suppressed`: for mailers, which of their addresses are of persons who were erased.
//!
//! Values come from the input, never from the command line, and are not repeated unless that is asked
//! for: they are the caller's own. The database is sent digests and nothing else.

use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use jiff::Timestamp;
use oubliette_core::erasure::{SuppressionKey, SuppressionKeys};
use oubliette_core::ledger::Ledger;
use oubliette_core::name::Ident;
use zeroize::Zeroizing;

use super::source::Given;
use crate::inputs::offline::target_of;
use crate::inputs::secrets;
use crate::ledger::Store;
use crate::work::suppression::are_suppressed;

/// What is asked of the command.
#[derive(Clone, Debug, Args)]
pub struct Request {
    /// The database with the ledger. The user needs SELECT on its table `erased`, and no more.
    #[command(flatten)]
    pub given: Given,
    /// Where the ledger is, as the TargetDatabase says: a schema, on MySQL and MariaDB a prefix.
    #[arg(long, default_value = "oubliette", value_name = "NAME")]
    pub ledger: Ident,
    /// The identifier's name in the DataMaps, such as `email`.
    #[arg(long, value_name = "NAME")]
    pub identifier: String,
    /// The file with the suppression key.
    #[arg(long, value_name = "FILE")]
    pub key_file: PathBuf,
    /// A file with an earlier key; may be given several times.
    #[arg(long, value_name = "FILE")]
    pub previous_key_file: Vec<PathBuf>,
    /// Prints the values instead of the numbers of their lines.
    #[arg(long)]
    pub values: bool,
}

/// Reads values from the input, one in a line, and prints the lines of those that are suppressed. Exit
/// code 0: none is; 2: some are; 1: an error.
pub async fn run(
    request: &Request,
    input: impl Read + IsTerminal,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    if input.is_terminal() {
        bail!("no values: give them on the input, one in a line, such as `… < addresses.txt`");
    }
    let keys = SuppressionKeys::new(
        key(&request.key_file)?,
        request
            .previous_key_file
            .iter()
            .map(|file| key(file))
            .collect::<anyhow::Result<_>>()?,
    );
    let values = values(input)?;
    let Some((url, login)) = request.given.database()? else {
        bail!("no database: give the one with the ledger with --database-url");
    };
    let target = target_of(&url)?;
    let database = secrets::connect(&target, login, None).await?;
    let ledger = Ledger {
        engine: database.engine(),
        place: request.ledger.clone(),
    };
    let store = Store::unchecked(&database, ledger);
    let now = Timestamp::now();
    let found = are_suppressed(&store, &keys, &request.identifier, &values, now).await;
    database.close().await;
    let found = found?;
    for (number, value) in found
        .iter()
        .zip(&values)
        .enumerate()
        .filter_map(|(i, (suppressed, value))| suppressed.then_some((i + 1, value)))
    {
        let written = if request.values {
            writeln!(out, "{}", value.as_str())
        } else {
            writeln!(out, "{number}")
        };
        written.context("failed to write the answer")?;
    }
    Ok(ExitCode::from(if found.contains(&true) { 2 } else { 0 }))
}

/// The key in a file.
pub fn key(file: &Path) -> anyhow::Result<SuppressionKey> {
    let name = file.display();
    let content = std::fs::read(file).with_context(|| format!("failed to read {name}"))?;
    let content = Zeroizing::new(content);
    SuppressionKey::of(&content).with_context(|| format!("{name} holds no suppression key"))
}

/// The lines of the input, an empty one among them: it is nobody's, and lines keep their numbers.
fn values(mut input: impl Read) -> anyhow::Result<Vec<Zeroizing<String>>> {
    let mut text = Zeroizing::new(String::new());
    // What is no text is not repeated.
    let read = input.read_to_string(&mut text);
    read.context("failed to read the values: they are texts in UTF-8, one in a line")?;
    let lines = text.lines().map(str::to_owned);
    Ok(lines.map(Zeroizing::new).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_numbers_and_what_is_no_text_is_not_repeated() {
        let of = |bytes: &[u8]| values(bytes);
        let lines = of(b"a@x.org\r\n\nb@x.org").unwrap();
        let lines: Vec<&str> = lines.iter().map(|line| line.as_str()).collect();
        assert_eq!(lines, ["a@x.org", "", "b@x.org"]);
        let error = format!("{:#}", of(b"secret\xff").unwrap_err());
        assert!(
            error.contains("UTF-8") && !error.contains("secret"),
            "{error}"
        );
    }
}
