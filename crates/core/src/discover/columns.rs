//! How the columns of a table could be treated: with what the guards take for possible, and nothing
//! where nothing fits.

use super::identifiers::plain;
use super::links::Links;
use super::{Decided, FoundRole, FoundWay, can_be_written};
use crate::api::data_map::MAX_COLUMNS;
use crate::catalog::{Catalog, Column, ColumnKind, Table};
use crate::coverage::{is_of_a_life, looks_personal, words};
use crate::people::Decision;
use crate::plan::untreatable;
use crate::policy::{Action, Treatment};
use crate::propose::policy_of;
use crate::strategy::{DateUnit, Strategy};

/// Texts of no more characters are names, words and codes.
const SHORT: u64 = 255;
/// Last words of columns that hold a word out of a few.
const CODES: [&str; 18] = [
    "category", "code", "color", "colour", "country", "currency", "format", "hash", "key", "kind",
    "language", "level", "locale", "role", "state", "status", "type", "url",
];
/// Words of columns into which people write what they like.
const FREE: [&str; 12] = [
    "body",
    "comment",
    "content",
    "description",
    "details",
    "feedback",
    "message",
    "note",
    "reason",
    "remark",
    "subject",
    "text",
];

/// A column of an entry.
#[derive(Debug)]
pub(super) struct FoundColumn<'c> {
    pub(super) column: &'c Column,
    pub(super) strategy: Option<Strategy>,
    pub(super) review: bool,
    pub(super) why: String,
}

/// What is proposed from.
pub(super) struct Proposing<'a, 'c> {
    pub(super) catalog: &'c Catalog,
    pub(super) links: &'c Links<'c>,
    pub(super) role: Option<&'a FoundRole<'c>>,
    pub(super) table: &'c Table,
    pub(super) ways: &'a [FoundWay<'c>],
    pub(super) decided: &'a Decided,
}

impl<'c> Proposing<'_, 'c> {
    /// Every column of rows that stay; of rows that go, those that a duty should not keep. And how
    /// many an entry has no room for.
    pub(super) fn columns(&self) -> (Vec<FoundColumn<'c>>, usize) {
        let goes = self.decided.decision == Decision::Delete;
        let columns = self.table.columns.iter();
        let columns = columns.filter(|column| can_be_written(&column.name));
        let mut found: Vec<FoundColumn<'c>> = columns
            .map(|column| self.column(column))
            .filter(|found| !goes || found.strategy.is_some())
            .collect();
        let beyond = found.len().saturating_sub(MAX_COLUMNS);
        for _ in 0..beyond {
            let plain = |found: &FoundColumn<'_>| found.strategy.is_none() && !found.review;
            let last = found.iter().rposition(plain).unwrap_or(found.len() - 1);
            found.remove(last);
        }
        (found, beyond)
    }

    fn column(&self, column: &'c Column) -> FoundColumn<'c> {
        let found = |strategy, review, why: &str| FoundColumn {
            column,
            strategy,
            review,
            why: why.to_owned(),
        };
        let stays = |why: &str| found(None, false, why);
        let own = self.links.from(&self.table.name);
        let over: Vec<_> = own.filter(|link| link.has(&column.name)).collect();
        let free = is_free(column) && !self.decided.is_others;
        if self.table.primary_key.contains(&column.name) {
            stays("stays: part of the key")
        } else if let Some(link) = over.first() {
            if self.lets_go(column) {
                found(Some(Strategy::Nullify), false, "lets go of the person")
            } else {
                stays(&format!("stays: leads to {}", link.to.name))
            }
        } else if column.generated || column.identity_always {
            stays("stays: the database makes it")
        } else if !self.is_personal(column) {
            if free {
                found(None, true, "guess: people may write in it what they like")
            } else {
                stays("guess: its name says nothing of a person")
            }
        } else if self.decided.is_others {
            stays("stays: it is another person's")
        } else if self.is_anothers(column) {
            found(
                None,
                free,
                "TO DO: whose it is; looks personal, and the row is shared",
            )
        } else {
            match self.strategy(column) {
                Ok(Strategy::Pseudonym) => found(
                    Some(Strategy::Pseudonym),
                    free,
                    "guess: looks personal; nothing else fits: it is unique and NOT NULL",
                ),
                Ok(strategy) => found(Some(strategy), free, "guess: looks personal"),
                Err(why) => found(
                    None,
                    free,
                    &format!("TO DO: looks personal, and stays: {why}"),
                ),
            }
        }
    }

    fn is_personal(&self, column: &Column) -> bool {
        let identifiers = self.role.iter().flat_map(|role| {
            let own = role.table.name == self.table.name;
            role.identifiers.iter().filter(move |_| own)
        });
        let ways = self.ways.iter().filter_map(|way| match way {
            FoundWay::Own(identifier) => Some(identifier),
            FoundWay::Role(_) | FoundWay::Over(..) => None,
        });
        let mut named = identifiers.chain(ways);
        named.any(|identifier| identifier.column.name == column.name)
            || looks_personal(column.name.as_str())
            || column.type_name.to_ascii_lowercase().starts_with("inet")
    }

    /// Whether nothing says that a value in a row of several persons is the one's who asks.
    fn is_anothers(&self, column: &Column) -> bool {
        let name = plain(column.name.as_str());
        let own = |role: &FoundRole<'_>| name.contains(&plain(&role.name));
        self.decided.decision == Decision::Shared && !self.role.is_some_and(own)
    }

    /// Whether a shared row can lose the column by which it hangs on the person.
    fn lets_go(&self, column: &Column) -> bool {
        let only = match self.ways {
            [FoundWay::Over(_, link)] => link.pairs.len() == 1 && link.has(&column.name),
            _ => false,
        };
        only && self.decided.decision == Decision::Shared
            && self.refused(column, &Strategy::Nullify).is_none()
    }

    /// The first strategy that the guards take, or why they take none.
    fn strategy(&self, column: &Column) -> Result<Strategy, String> {
        let mut why = None;
        for strategy in strategies(column) {
            match self.refused(column, &strategy) {
                None => return Ok(strategy),
                Some(refusal) => why = Some(refusal),
            }
        }
        Err(why
            .unwrap_or_else(|| format!("no strategy is for {} that is NOT NULL", column.type_name)))
    }

    fn refused(&self, column: &Column, strategy: &Strategy) -> Option<String> {
        let treatment = Treatment {
            column: column.name.clone(),
            strategy: strategy.clone(),
        };
        let action = Action::Anonymise(vec![treatment]);
        let policy = policy_of(&self.table.name, column, action);
        let refusal = untreatable(&policy, self.catalog).into_iter().next()?;
        let table = format!("{}: column {}: ", self.table.name, column.name);
        let message = refusal.message;
        Some(message.strip_prefix(&table).unwrap_or(&message).to_owned())
    }
}

/// The strategies that come into question, the best first.
fn strategies(column: &Column) -> Vec<Strategy> {
    let kind = column.kind;
    let dated = matches!(
        kind,
        ColumnKind::Date | ColumnKind::Instant | ColumnKind::Civil
    );
    let year = Strategy::GeneraliseDate { to: DateUnit::Year };
    let mut all = Vec::new();
    if dated && is_of_a_life(column.name.as_str()) {
        all.push(year.clone());
    }
    if column.nullable {
        all.push(Strategy::Nullify);
    }
    let constants: &[&str] = match kind {
        ColumnKind::Text => &["erased", "x"],
        ColumnKind::Int | ColumnKind::UnsignedBigInt | ColumnKind::Decimal | ColumnKind::Float => {
            &["0"]
        }
        ColumnKind::Uuid => &["00000000-0000-0000-0000-000000000000"],
        ColumnKind::Json => &["{}"],
        _ => &[],
    };
    all.extend(constants.iter().map(|value| Strategy::Constant {
        value: (*value).to_owned(),
    }));
    match kind {
        ColumnKind::Text => all.push(Strategy::Pseudonym),
        _ if dated => all.push(year),
        _ => {}
    }
    all
}

/// Whether people may write in it what they like.
fn is_free(column: &Column) -> bool {
    let words = words(column.name.as_str());
    let among = |word: &String, known: &[&str]| {
        let one = word.strip_suffix('s').unwrap_or(word);
        known.contains(&word.as_str()) || known.contains(&one)
    };
    let code = words.last().is_some_and(|word| among(word, &CODES));
    match column.kind {
        ColumnKind::Json | ColumnKind::Bytes => true,
        ColumnKind::Text => {
            let long = column.max_length.is_none_or(|length| length > SHORT);
            words.iter().any(|word| among(word, &FREE))
                || long && !code && !looks_personal(column.name.as_str())
        }
        _ => false,
    }
}
