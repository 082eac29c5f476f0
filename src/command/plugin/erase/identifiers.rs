//! What identifies a person, from a terminal or the input to the Secret. Nothing here prints a value,
//! nor a line in which one could stand.

use std::collections::BTreeMap;
use std::io::BufRead;

use anyhow::{Context, bail, ensure};
use console::Term;
use oubliette_core::api::people::MAX_IDENTIFIERS;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::command::ask;
use crate::shutdown;

/// Identifiers that a request takes at the most: those of several maps may differ.
const MOST: usize = MAX_IDENTIFIERS * 4;
/// Longest value, in bytes.
const LONGEST: usize = 1024;

/// Names with their values, which are overwritten when they are no longer needed.
pub(super) struct Identifiers(BTreeMap<String, Zeroizing<String>>);

impl Identifiers {
    /// Each with its value.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn new() -> Self {
        Self(BTreeMap::new())
    }

    fn add(&mut self, name: &str, value: Zeroizing<String>) -> anyhow::Result<()> {
        let ends = |c: u8| c.is_ascii_alphanumeric();
        let bytes = name.as_bytes();
        let fits = bytes.first().copied().is_some_and(ends)
            && bytes.last().copied().is_some_and(ends)
            && bytes.iter().all(|c| ends(*c) || *c == b'-')
            && bytes.len() <= 63;
        // It may be a value that was written in the wrong place.
        ensure!(
            fits,
            "an identifier's name has letters, digits and `-` only, as in the DataMap"
        );
        ensure!(!value.is_empty(), "the identifier {name} is empty");
        ensure!(
            value.len() <= LONGEST,
            "the identifier {name} is longer than {LONGEST} bytes"
        );
        ensure!(
            !self.0.contains_key(name),
            "the identifier {name} is given twice"
        );
        ensure!(
            self.0.len() < MOST,
            "there are more than {MOST} identifiers"
        );
        self.0.insert(name.to_owned(), value);
        Ok(())
    }

    fn finished(self) -> anyhow::Result<Self> {
        ensure!(
            !self.0.is_empty(),
            "no identifier is given: nobody could be found"
        );
        Ok(self)
    }
}

/// Reads lines `name=value`. Blank lines are left out; of a value only the end of its line is.
pub(super) fn read(from: &mut impl BufRead) -> anyhow::Result<Identifiers> {
    let mut given = Identifiers::new();
    for number in 1.. {
        let mut line = Zeroizing::new(String::new());
        let read = from.read_line(&mut line);
        if read.with_context(|| format!("line {number} of the input cannot be read"))? == 0 {
            break;
        }
        let text = line.trim_end_matches(['\r', '\n']);
        if text.trim().is_empty() {
            continue;
        }
        let Some((name, value)) = text.split_once('=') else {
            bail!("line {number} of the input has no `=`: a line is name=value");
        };
        given
            .add(name.trim(), Zeroizing::new(value.to_owned()))
            .with_context(|| format!("line {number} of the input"))?;
    }
    given.finished()
}

/// Asks for each at the terminal, which does not show what is typed. Who presses return leaves one out.
pub(super) async fn ask(wanted: &[String]) -> anyhow::Result<Identifiers> {
    if !ask::possible() {
        bail!(
            "it asks for {} without showing what is typed, and there is no terminal to ask on: give \
             --identifiers-from - and lines name=value",
            wanted.join(", ")
        );
    }
    let stop = shutdown::on_signal().context("failed to listen for signals")?;
    let term = Term::stderr();
    term.write_line(
        "What identifies the person? Nothing that is typed is shown; return leaves one out.",
    )
    .context("failed to ask")?;
    let mut given = Identifiers::new();
    for name in wanted {
        term.write_str(&format!("  {name}: "))
            .context("failed to ask")?;
        let (sender, answer) = oneshot::channel();
        let asked = term.clone();
        // A thread of its own: it may wait for ever, and the program's end must not.
        std::thread::spawn(move || sender.send(asked.read_secure_line().map(Zeroizing::new)));
        let value = tokio::select! {
            () = stop.cancelled() => bail!("nothing was filed: told to stop"),
            line = answer => line.context("failed to read")?.context("failed to read")?,
        };
        if !value.is_empty() {
            given.add(name, value)?;
        }
    }
    given.finished()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<(String, String)>, String> {
        let given = read(&mut text.as_bytes()).map_err(|error| format!("{error:#}"))?;
        Ok(given
            .iter()
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .collect())
    }

    #[test]
    fn a_value_is_what_stands_behind_the_first_equals_sign() {
        let read = read_text("email=ada=x@mail.invalid\r\n\n phone = +44 20 \nnumber=é\n").unwrap();
        let pairs = [
            ("email", "ada=x@mail.invalid"),
            ("number", "é"),
            ("phone", " +44 20 "),
        ];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(read, pairs);
    }

    #[test]
    fn a_refusal_repeats_no_value() {
        let long = format!("email={}", "xyzzy".repeat(300));
        for (text, words) in [
            ("xyzzy@mail.invalid", "line 1 of the input has no `=`"),
            (
                "email=xyzzy\nxyzzy@mail.invalid=1",
                "line 2 of the input: an identifier's name has",
            ),
            ("email=xyzzy\nemail=xyzzy", "given twice"),
            ("email=", "email is empty"),
            (&long, "longer than"),
            ("\n \n", "no identifier is given"),
        ] {
            let told = read_text(text).unwrap_err();
            assert!(told.contains(words), "{told}");
            assert!(!told.contains("xyzzy"), "{told}");
        }
    }
}
