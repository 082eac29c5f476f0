//! Connections that were in use a moment ago, for whoever begins next.
//!
//! A connection that goes back to the pool is not there at once: in a task of its own the pool first asks the server
//! whether it still answers. Whoever begins meanwhile would be given another one, which takes a handshake, 40 ms of
//! it by a known fault of the driver (transact-rs/sqlx#4335), and has prepared none of the statements.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::session::Link;

/// One that lay here longer goes to the pool, which tests it.
pub(super) const TRUSTED: Duration = Duration::from_secs(1);
/// One that is in use for longer does so, too: the pool knows how old a connection may grow.
const LENT: Duration = Duration::from_mins(1);

/// A connection of the pool.
pub(super) struct Lent {
    pub(super) link: Link,
    /// When the pool gave it.
    since: Instant,
}

impl Lent {
    pub(super) fn now(link: Link) -> Self {
        let since = Instant::now();
        Self { link, since }
    }
}

/// Those that lie at hand, each with the instant since which it does, the latest last. `None`: the pool is closed, or
/// will be.
pub(super) struct AtHand(Mutex<Option<Vec<(Lent, Instant)>>>);

impl Drop for AtHand {
    /// Nobody is left who would begin, nor perhaps a runtime for the pool to take them back.
    fn drop(&mut self) {
        let lying = self.lock().take();
        lying
            .into_iter()
            .flatten()
            .for_each(|(lent, _)| lent.link.cut());
    }
}

impl Default for AtHand {
    fn default() -> Self {
        Self(Mutex::new(Some(Vec::new())))
    }
}

impl AtHand {
    /// The one that was in use last. Those that lie too long go to the pool.
    pub(super) fn take(&self) -> Option<Lent> {
        let mut lying = self.lock();
        let lying = lying.as_mut()?;
        lying.retain(|(_, at)| at.elapsed() < TRUSTED);
        lying.pop().map(|(lent, _)| lent)
    }

    /// Puts one there on which nothing is open.
    pub(super) fn put(&self, lent: Lent) {
        if lent.since.elapsed() < LENT
            && let Some(lying) = self.lock().as_mut()
        {
            lying.push((lent, Instant::now()));
        }
    }

    /// Gives all to the pool.
    pub(super) fn clear(&self) {
        if let Some(lying) = self.lock().as_mut() {
            lying.clear();
        }
    }

    /// The same for good: the pool waits for all of its connections when it is closed.
    pub(super) fn close(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<(Lent, Instant)>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
