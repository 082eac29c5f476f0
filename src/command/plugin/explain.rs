//! `explain`: what a reason means, how things stand, and what to do. Needs no cluster.

use anyhow::anyhow;
use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use oubliette_core::api::reason::{Reason, Standing};

use super::names;
use crate::command::columns::{coloured, painted, wrap};

/// How like a reason a word must be to be offered for it, from 0 to 1.
const ALIKE: f64 = 0.8;

/// What is asked of the command.
#[derive(Clone, Debug, Args)]
pub struct Request {
    /// The reason, whatever its case. Left out: all of them are listed.
    #[arg(add = ArgValueCandidates::new(names::reasons))]
    pub reason: Option<String>,
}

/// Explains one reason or lists them.
pub fn run(request: &Request) -> anyhow::Result<String> {
    let Some(name) = &request.reason else {
        return Ok(list(coloured()));
    };
    let reason = Reason::named(name).ok_or_else(|| unknown(name))?;
    Ok(explained(reason, coloured()))
}

fn explained(reason: Reason, coloured: bool) -> String {
    let standing = reason.standing();
    let name = painted(reason.as_str(), Some(standing), coloured);
    let mut lines = vec![format!("{name}: {}", standing.describe())];
    wrap(&mut lines, "  ", reason.meaning());
    wrap(
        &mut lines,
        "  ",
        &format!("What to do: {}", reason.remedy()),
    );
    lines.join("\n") + "\n"
}

/// How a resource can stand, in the order in which somebody is needed.
const STANDINGS: [Standing; 5] = [
    Standing::Stalled,
    Standing::Waiting,
    Standing::Retrying,
    Standing::Working,
    Standing::Well,
];

/// Where meanings begin: behind the longest name.
const MEANINGS: usize = 26;

fn list(coloured: bool) -> String {
    let mut lines = Vec::new();
    for standing in STANDINGS {
        lines.push(format!("{}:", standing.describe()));
        for reason in Reason::ALL.iter().filter(|r| r.standing() == standing) {
            let mut meaning = Vec::new();
            wrap(&mut meaning, &" ".repeat(MEANINGS), reason.meaning());
            let name = painted(reason.as_str(), Some(standing), coloured);
            let gap = MEANINGS.saturating_sub(2 + reason.as_str().len());
            if let Some(first) = meaning.first_mut() {
                *first = format!("  {name}{}{}", " ".repeat(gap), first.trim_start());
            }
            lines.append(&mut meaning);
        }
    }
    lines.join("\n") + "\n"
}

fn unknown(name: &str) -> anyhow::Error {
    let wanted = name.to_lowercase();
    let likeness = |reason: &Reason| {
        let known = reason.as_str().to_lowercase();
        let part = wanted.len() >= 4 && known.contains(&wanted);
        if part {
            1.0
        } else {
            strsim::jaro_winkler(&wanted, &known)
        }
    };
    let mut near: Vec<(f64, Reason)> = Reason::ALL
        .iter()
        .map(|reason| (likeness(reason), *reason))
        .filter(|(alike, _)| *alike >= ALIKE)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let near: Vec<&str> = near
        .iter()
        .take(3)
        .map(|(_, reason)| reason.as_str())
        .collect();
    if near.is_empty() {
        anyhow!("no reason is called {name:?}: `explain` without a name lists them")
    } else {
        anyhow!("no reason is called {name:?}: is it {}?", near.join(" or "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::columns::WIDTH;

    fn asked(name: &str) -> anyhow::Result<String> {
        run(&Request {
            reason: Some(name.to_owned()),
        })
    }

    #[test]
    fn a_reason_is_explained_whatever_its_case() {
        insta::assert_snapshot!(asked("referenceundecided").unwrap(), @"
        ReferenceUndecided: stalled until changed
          Other rows reference the expired ones, and no `related` entry decides what happens to them.
          What to do: Add the entry that the message prints, and choose its action.
        ");
        for reason in Reason::ALL {
            let text = asked(reason.as_str()).unwrap();
            assert!(
                text.lines().all(|line| line.chars().count() <= WIDTH),
                "{text}"
            );
        }
    }

    #[test]
    fn a_slip_of_the_keyboard_is_answered_with_what_was_meant() {
        for (typed, meant) in [
            ("LimitExeeded", "LimitExceeded"),
            ("rewound", "LedgerRewound"),
            ("unreachabel", "Unreachable"),
        ] {
            let told = asked(typed).unwrap_err().to_string();
            assert!(told.contains(meant) && !told.contains('\n'), "{told}");
        }
        let told = asked("xyz").unwrap_err().to_string();
        assert!(told.contains("lists them"), "{told}");
    }

    #[test]
    fn the_list_has_every_reason_with_its_meaning() {
        let text = list(false);
        for reason in Reason::ALL {
            let first: Vec<&str> = reason.meaning().split(' ').take(3).collect();
            let begun = |line: &&str| line.starts_with(&format!("  {reason} "));
            let line = text.lines().find(begun).unwrap_or_default();
            assert!(
                line.contains(&format!("  {}", first.join(" "))),
                "{reason}: {line}"
            );
        }
        assert!(
            text.lines().all(|line| line.chars().count() <= WIDTH),
            "{text}"
        );
    }
}
