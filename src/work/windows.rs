//! Reads a table in windows of its key, each in a READ ONLY transaction of its own, so that no snapshot is
//! held while a large table is read.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::stream::{self, Stream, TryStreamExt};
use oubliette_core::plan::RuleFacts;
use oubliette_core::sql::{Numbers, Window, WindowSql};
use oubliette_core::value::Key;

use super::batch::end_of;
use crate::database::{Access, Database, Fault, Tx};

/// Rows one statement spans at first and at the most.
const FIRST: u32 = 20_000;
const MOST: u32 = 200_000;
/// The same at the least, once it has been too long at more.
const LEAST: u32 = 1_000;
/// How long one window should take.
const TARGET: Duration = Duration::from_millis(200);

/// A table of fewer rows is counted sooner than another session has connected.
pub(super) const SMALL: i64 = 100_000;

/// How tables are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// By one session, which rests as long as it reads.
    Gently,
    /// By so many sessions at once.
    AtOnce(usize),
}

impl Reading {
    /// By so many sessions, unless gently.
    pub(super) fn of(gentle: bool, sessions: u32) -> Self {
        if gentle {
            Self::Gently
        } else {
            Self::AtOnce(usize::try_from(sessions).unwrap_or(1))
        }
    }

    /// The same, of a table that was counted: where a window reads all of it, several at once would read it as often.
    pub(super) fn of_table(self, facts: Option<&RuleFacts>) -> Self {
        let alone = facts.is_none_or(|facts| facts.unindexed || facts.counted.total < SMALL);
        match self {
            Self::AtOnce(_) if alone => Self::AtOnce(1),
            other => other,
        }
    }

    /// Windows that are read at once.
    pub(super) fn sessions(self) -> usize {
        match self {
            Self::Gently => 1,
            Self::AtOnce(sessions) => sessions.max(1),
        }
    }
}

/// A window that is read.
pub(super) struct Look {
    pub(super) window: Window,
    /// Rows that it spans at the most.
    pub(super) width: u32,
    /// To be ended by whoever looks.
    pub(super) tx: Tx,
}

/// The windows of a table, from the first key to the last.
pub(super) struct Windows<'a> {
    database: &'a Database,
    sql: &'a WindowSql,
    numbers: Numbers,
    reading: Reading,
    next: Mutex<Next>,
}

impl<'a> Windows<'a> {
    /// Those of the whole table. `numbers`: what is known of its key.
    pub(super) fn new(
        database: &'a Database,
        sql: &'a WindowSql,
        numbers: Numbers,
        reading: Reading,
    ) -> Self {
        let next = Mutex::new(Next {
            window: Some(Window::default()),
            width: FIRST,
        });
        Self {
            database,
            sql,
            numbers,
            reading,
            next,
        }
    }

    /// Where the next window begins; `None` at the end.
    pub(super) fn next(&self) -> Option<Window> {
        self.lock().window.clone()
    }

    /// What is seen in the windows, in the order of the key.
    pub(super) fn seen<T, F>(
        &self,
        look: impl Fn(Look) -> F,
    ) -> impl Stream<Item = Result<T, Fault>>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        self.seen_by(self.reading.sessions(), look)
    }

    /// What so many sessions see at once in the windows from here on, in the order of the key. Their ends are found one
    /// after the other.
    pub(super) fn seen_by<T, F>(
        &self,
        sessions: usize,
        look: impl Fn(Look) -> F,
    ) -> impl Stream<Item = Result<T, Fault>>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        stream::try_unfold((), async |()| {
            Ok(self.begin().await?.map(|look| (look, ())))
        })
        .map_ok(move |(began, begun)| {
            let width = begun.width;
            let seen = look(begun);
            async move {
                let seen = seen.await?;
                let rest = self.lock().took(width, began.elapsed(), self.reading);
                if !rest.is_zero() {
                    tokio::time::sleep(rest).await;
                }
                Ok(seen)
            }
        })
        .try_buffered(sessions)
    }

    async fn begin(&self) -> Result<Option<(Instant, Look)>, Fault> {
        let Next { window, width } = self.lock().clone();
        let Some(mut window) = window else {
            return Ok(None);
        };
        let began = Instant::now();
        let mut tx = self.database.begin(Access::ReadOnly).await?;
        let end = end_of(self.sql, self.numbers, &window, width, &mut tx).await?;
        self.lock().window = end.as_ref().map(behind);
        window.upto = end;
        Ok(Some((began, Look { window, width, tx })))
    }

    fn lock(&self) -> MutexGuard<'_, Next> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn behind(end: &Key) -> Window {
    Window {
        after: Some(end.clone()),
        upto: None,
    }
}

/// The window that nobody has begun.
#[derive(Clone)]
struct Next {
    window: Option<Window>,
    width: u32,
}

impl Next {
    /// Follows how long a window of `width` rows took. Returns how long to rest before the next one.
    fn took(&mut self, width: u32, elapsed: Duration, reading: Reading) -> Duration {
        // From its own width: of several at once none knows what the others have learnt meanwhile.
        self.width = if elapsed > TARGET {
            (width / 2).max(LEAST)
        } else {
            (width * 2).min(MOST)
        };
        let rests = reading == Reading::Gently && self.window.is_some();
        if rests { elapsed } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(window: Option<Window>) -> Next {
        Next {
            window,
            width: FIRST,
        }
    }

    #[test]
    fn a_gentle_count_rests_as_long_as_it_reads() {
        for read in [Duration::from_millis(50), Duration::from_secs(7)] {
            let rest = |window, reading| next(window).took(FIRST, read, reading);
            let more = Some(Window::default());
            assert_eq!(rest(more.clone(), Reading::Gently), read);
            assert_eq!(rest(more, Reading::AtOnce(2)), Duration::ZERO);
            // Nothing comes after the last window.
            assert_eq!(rest(None, Reading::Gently), Duration::ZERO);
        }
    }

    #[test]
    fn widths_follow_the_time_that_windows_take() {
        let mut next = next(Some(Window::default()));
        let mut took = |width, elapsed| {
            next.took(width, elapsed, Reading::AtOnce(4));
            next.width
        };
        let (quick, slow) = (TARGET / 4, TARGET * 2);
        // Four at once that were quick say no more than one.
        assert_eq!([(); 4].map(|()| took(FIRST, quick)), [2 * FIRST; 4]);
        assert_eq!(took(MOST, quick), MOST);
        assert_eq!(took(MOST, slow), MOST / 2);
        assert_eq!(took(LEAST, slow), LEAST);
    }
}
