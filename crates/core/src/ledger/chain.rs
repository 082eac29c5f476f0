//! The evidence chain, derived anew: which entry is the first that does not fit.
//!
//! Owns what an entry must be like and in which words it is told that one is not. Whoever may write to
//! the database can make a whole other chain: against that there are heads that are remembered elsewhere.

use std::collections::BTreeSet;

use serde::Deserialize;
use thiserror::Error;

use super::rewound::ACCEPTED;
use super::schema::Ledger;
use crate::digest::Digest;
use crate::sql::Bound;
use crate::value::Value;

/// An entry of the chain as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place, from 1.
    pub seq: i64,
    /// The run.
    pub run: String,
    /// Canonical JSON.
    pub body: String,
    /// Hash of the entry before.
    pub previous: String,
    /// Its own hash.
    pub hash: String,
}

/// The first entry that does not fit, and how.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Break {
    /// A place is empty.
    #[error("entry {seq} is missing: it was taken out, or has another number")]
    Missing {
        /// The place.
        seq: i64,
    },
    /// A place that no entry has.
    #[error("entry {seq} stands before the first, which is 1")]
    BeforeTheFirst {
        /// The place.
        seq: i64,
    },
    /// The body was edited.
    #[error("entry {seq} (run {run}) has another body than was hashed: it was edited")]
    Body {
        /// The place.
        seq: i64,
        /// The run.
        run: String,
    },
    /// The hash was edited.
    #[error("entry {seq} has another hash than what follows it names: it was edited")]
    Hash {
        /// The place.
        seq: i64,
    },
    /// Body or hash was edited.
    #[error(
        "the hash of entry {seq} is not the one of its body, and nothing that follows has either"
    )]
    Altered {
        /// The place.
        seq: i64,
    },
    /// The hash of the entry before was edited in this one.
    #[error("entry {seq} names another hash before it than it was hashed with: it was edited")]
    Previous {
        /// The place.
        seq: i64,
    },
    /// It follows another entry.
    #[error(
        "entry {seq} does not follow the one before it: it was moved, or what stood before it was taken \
         out or exchanged"
    )]
    Moved {
        /// The place.
        seq: i64,
    },
    /// The run was edited.
    #[error("entry {seq} is stored for another run than its body names: it was edited")]
    Run {
        /// The place.
        seq: i64,
    },
    /// The chain's head is gone.
    #[error("the chain has no head: its row is gone from chain_head")]
    NoHead,
    /// The tail is gone.
    #[error("the head counts {length} entries, and {entries} are there: the last were taken out")]
    Tail {
        /// Entries by the head.
        length: i64,
        /// Entries that are there.
        entries: i64,
    },
    /// The head is behind.
    #[error(
        "the head counts {length} entries, and {entries} are there: it was edited, or entries added"
    )]
    Length {
        /// Entries by the head.
        length: i64,
        /// Entries that are there.
        entries: i64,
    },
    /// The head is another entry's.
    #[error("the head is not the hash of the last entry, {entries}: one of the two was edited")]
    Head {
        /// Entries that are there.
        entries: i64,
    },
}

/// A chain as far as it was read. It remembers one entry, however long it is.
#[derive(Debug, Default)]
pub struct Chain {
    /// Entries so far.
    length: i64,
    /// Hash of the last of them.
    head: String,
    /// The last one, where its hash is not the one of its body: what follows tells which was edited.
    open: Option<Open>,
    /// Heads that are looked for and were not met.
    sought: BTreeSet<Digest>,
}

#[derive(Debug)]
struct Open {
    run: String,
    computed: String,
}

/// The part of a body that is stored beside it, too. An acceptance has none.
#[derive(Deserialize)]
struct OfRun {
    run: Option<String>,
}

impl Chain {
    /// A chain of which nothing was read, in which these heads are looked for.
    pub fn seeking(sought: impl IntoIterator<Item = Digest>) -> Self {
        Self {
            sought: sought.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Entries so far.
    pub fn length(&self) -> i64 {
        self.length
    }

    /// Hash of the last of them; empty where there is none.
    pub fn head(&self) -> &str {
        &self.head
    }

    /// Heads that were looked for and are not in it.
    pub fn missed(&self) -> &BTreeSet<Digest> {
        &self.sought
    }

    /// Takes the next entry, by its place.
    pub fn take(&mut self, entry: Entry) -> Result<(), Break> {
        let Entry {
            seq,
            run,
            body,
            previous,
            hash,
        } = entry;
        self.settle(&previous)?;
        let expected = self.length + 1;
        if seq < 1 {
            return Err(Break::BeforeTheFirst { seq });
        }
        if seq != expected {
            return Err(Break::Missing { seq: expected });
        }
        let hashed = |previous: &str| Digest::of_bytes(format!("{previous}\n{body}"));
        let computed = hashed(&previous).to_string();
        if previous != self.head {
            let edited = hashed(&self.head).to_string() == hash;
            return Err(if edited {
                Break::Previous { seq }
            } else {
                Break::Moved { seq }
            });
        }
        if computed == hash {
            let named = serde_json::from_str::<OfRun>(&body).map(|body| body.run);
            let named = named.map_err(|_| Break::Run { seq })?;
            if named.as_deref().unwrap_or(ACCEPTED) != run {
                return Err(Break::Run { seq });
            }
            if let Ok(hash) = hash.parse() {
                self.sought.remove(&hash);
            }
        } else {
            self.open = Some(Open { run, computed });
        }
        self.length = seq;
        self.head = hash;
        Ok(())
    }

    /// Compares what was read with the chain's head: hash and length. `None`: it has none.
    pub fn end(&mut self, head: Option<(String, i64)>) -> Result<(), Break> {
        let Some((hash, length)) = head else {
            self.settle("")?;
            return Err(Break::NoHead);
        };
        self.settle(&hash)?;
        let entries = self.length;
        match length {
            _ if length > entries => Err(Break::Tail { length, entries }),
            _ if length < entries => Err(Break::Length { length, entries }),
            _ if hash != self.head => Err(Break::Head { entries }),
            _ => Ok(()),
        }
    }

    /// Says which was edited of an entry whose hash is not the one of its body. `named`: the hash that
    /// what follows has of it.
    fn settle(&mut self, named: &str) -> Result<(), Break> {
        let Some(Open { run, computed }) = self.open.take() else {
            return Ok(());
        };
        let seq = self.length;
        Err(if named == self.head {
            Break::Body { seq, run }
        } else if named == computed {
            Break::Hash { seq }
        } else {
            Break::Altered { seq }
        })
    }
}

impl Ledger {
    /// The entries after this place, in their order, at the most so many.
    pub fn entries(&self, after: Option<i64>, most: i64) -> Bound {
        let mut w = self.writer();
        w.sql("SELECT seq, run, body, previous, hash FROM ");
        self.table(&mut w, "evidence");
        if let Some(after) = after {
            self.and_int(&mut w, " WHERE seq > ", after);
        }
        w.sql(" ORDER BY seq LIMIT ");
        self.cast_int(&mut w, most);
        w.finish()
    }

    /// Reads an entry; `None` where the row has another shape.
    pub fn read_entry(row: &[Value]) -> Option<Entry> {
        let [seq, run, body, previous, hash] = row else {
            return None;
        };
        Some(Entry {
            seq: seq.as_int()?,
            run: run.as_text()?.to_owned(),
            body: body.as_text()?.to_owned(),
            previous: previous.as_text()?.to_owned(),
            hash: hash.as_text()?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::ledger::Link;

    /// Of so many steps, the third of which is an acceptance.
    fn chain(length: i64) -> (Vec<Entry>, (String, i64)) {
        let mut head = String::new();
        let mut entries = Vec::new();
        for seq in 1..=length {
            let (run, body) = match seq {
                3 => (ACCEPTED.to_owned(), json!({"token": "x"})),
                _ => (
                    format!("run-{seq}"),
                    json!({"run": format!("run-{seq}"), "n": seq}),
                ),
            };
            let link = Link::of(&body, &head).unwrap();
            head.clone_from(&link.hash);
            let Link {
                body,
                previous,
                hash,
            } = link;
            entries.push(Entry {
                seq,
                run,
                body,
                previous,
                hash,
            });
        }
        (entries, (head, length))
    }

    fn read(entries: Vec<Entry>, head: Option<(String, i64)>) -> Result<Chain, Break> {
        let mut chain = Chain::default();
        for entry in entries {
            chain.take(entry)?;
        }
        chain.end(head)?;
        Ok(chain)
    }

    /// What is told of a chain of five after an edit.
    fn told(edit: impl FnOnce(&mut Vec<Entry>, &mut (String, i64))) -> Break {
        let (mut entries, mut head) = chain(5);
        edit(&mut entries, &mut head);
        // As the database gives them.
        entries.sort_by_key(|entry| entry.seq);
        read(entries, Some(head)).unwrap_err()
    }

    #[test]
    fn a_chain_that_nobody_touched_holds_whatever_its_length() {
        for length in [0, 1, 5] {
            let (entries, head) = chain(length);
            let read = read(entries, Some(head.clone())).unwrap();
            assert_eq!((read.head().to_owned(), read.length()), head);
        }
    }

    #[test]
    fn the_first_entry_that_does_not_fit_is_named_with_what_was_done_to_it() {
        let run = "run-2".to_owned();
        let other = || Digest::of_bytes("x").to_string();
        let body = |entry: &mut Entry| entry.body = entry.body.replace("\"n\":", "\"n\":1");
        assert_eq!(told(|e, _| body(&mut e[1])), Break::Body { seq: 2, run });
        let run = "run-5".to_owned();
        assert_eq!(told(|e, _| body(&mut e[4])), Break::Body { seq: 5, run });
        assert_eq!(told(|e, _| e[1].hash = other()), Break::Hash { seq: 2 });
        assert_eq!(told(|e, _| e[4].hash = other()), Break::Hash { seq: 5 });
        assert_eq!(
            told(|e, _| {
                body(&mut e[1]);
                e[1].hash = other();
            }),
            Break::Altered { seq: 2 }
        );
        assert_eq!(
            told(|e, _| e[2].previous = other()),
            Break::Previous { seq: 3 }
        );
        assert_eq!(
            told(|e, _| e[3].run = "run-5".into()),
            Break::Run { seq: 4 }
        );
        assert_eq!(
            told(|e, _| e[3].run = ACCEPTED.into()),
            Break::Run { seq: 4 }
        );
        assert_eq!(
            told(|e, _| e[2].run = "run-3".into()),
            Break::Run { seq: 3 }
        );
    }

    #[test]
    fn entries_that_are_gone_moved_or_added_are_named() {
        let entries = 3;
        assert_eq!(told(|e, _| drop(e.remove(0))), Break::Missing { seq: 1 });
        assert_eq!(told(|e, _| drop(e.remove(2))), Break::Missing { seq: 3 });
        assert_eq!(
            told(|e, _| e.truncate(3)),
            Break::Tail { length: 5, entries }
        );
        // With the numbers after it put right.
        assert_eq!(
            told(|e, h| {
                e.remove(2);
                e[2].seq = 3;
                e[3].seq = 4;
                h.1 = 4;
            }),
            Break::Moved { seq: 3 }
        );
        assert_eq!(
            told(|e, _| {
                e[1].seq = 3;
                e[2].seq = 2;
            }),
            Break::Moved { seq: 2 }
        );
        assert_eq!(told(|e, _| e[1].seq = 9), Break::Missing { seq: 2 });
        assert_eq!(told(|e, _| e[0].seq = 0), Break::BeforeTheFirst { seq: 0 });
        assert_eq!(told(|e, _| e[4].seq = 6), Break::Missing { seq: 5 },);
    }

    #[test]
    fn a_head_that_does_not_fit_is_told() {
        let entries = 5;
        assert_eq!(told(|_, h| h.1 = 4), Break::Length { length: 4, entries });
        assert_eq!(told(|_, h| h.1 = 6), Break::Tail { length: 6, entries });
        assert_eq!(told(|_, h| h.0 = String::new()), Break::Head { entries });
        let (entries, _) = chain(5);
        assert_eq!(read(entries, None).unwrap_err(), Break::NoHead);
    }

    #[test]
    fn heads_are_found_wherever_they_are_and_only_there() {
        let (entries, head) = chain(5);
        let digest = |text: &str| text.parse::<Digest>().unwrap();
        let (third, none) = (digest(&entries[2].hash), Digest::of_bytes("none"));
        let mut chain = Chain::seeking([third, none, digest(&head.0)]);
        for entry in entries {
            chain.take(entry).unwrap();
        }
        assert_eq!(chain.missed().iter().collect::<Vec<_>>(), [&none]);
    }

    proptest! {
        #[test]
        fn no_edit_of_any_field_passes(at in 0_usize..5, field in 0_u8..5, by in 1_i64..1000) {
            let (mut entries, head) = chain(5);
            let entry = &mut entries[at];
            let text = by.to_string();
            match field {
                0 => entry.seq += by,
                1 => entry.run.push_str(&text),
                2 => entry.body.insert_str(entry.body.len() - 1, &format!(",\"x\":{text}")),
                3 => entry.previous.push_str(&text),
                _ => entry.hash.push_str(&text),
            }
            entries.sort_by_key(|entry| entry.seq);
            prop_assert!(read(entries, Some(head)).is_err());
        }
    }
}
