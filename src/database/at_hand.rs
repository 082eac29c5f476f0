//! Connections that were in use a moment ago, for whoever begins next.
//!
//! A connection that goes back to the pool is not there at once: in a task of its own the pool first asks the server
//! whether it still answers. Whoever begins meanwhile would be given another one, which takes a handshake, 40 ms of
//! it by a known fault of the driver (transact-rs/sqlx#4335), and has prepared none of the statements.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::session::Link;

/// One that lay here longer goes to the pool, which tests it and ends it in time.
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

/// Those that lie at hand.
#[derive(Default)]
pub(super) struct AtHand(Arc<Mutex<Lying>>);

#[derive(Default)]
struct Lying {
    /// Each with the instant since which it lies, the latest last.
    links: Vec<(Lent, Instant)>,
    /// The pool is closed, or will be.
    closed: bool,
    /// Somebody looks after those that nobody takes.
    swept: bool,
}

impl Lying {
    fn sweep(&mut self) {
        self.links.retain(|(_, at)| at.elapsed() < TRUSTED);
    }
}

impl AtHand {
    /// The one that was in use last.
    pub(super) fn take(&self) -> Option<Lent> {
        let mut lying = lock(&self.0);
        lying.sweep();
        lying.links.pop().map(|(lent, _)| lent)
    }

    /// Puts one there on which nothing is open. Where nobody takes it, the pool is given it.
    pub(super) fn put(&self, lent: Lent) {
        let mut lying = lock(&self.0);
        if lying.closed || lent.since.elapsed() >= LENT {
            return;
        }
        lying.links.push((lent, Instant::now()));
        if !std::mem::replace(&mut lying.swept, true) {
            tokio::spawn(swept(Arc::downgrade(&self.0)));
        }
    }

    /// Gives all to the pool.
    pub(super) fn clear(&self) {
        lock(&self.0).links.clear();
    }

    /// The same for good: the pool waits for all of its connections when it is closed.
    pub(super) fn close(&self) {
        let mut lying = lock(&self.0);
        lying.closed = true;
        lying.links.clear();
    }
}

impl Drop for AtHand {
    /// Nobody is left who would begin, nor perhaps a runtime for the pool to take them back.
    fn drop(&mut self) {
        for (lent, _) in std::mem::take(&mut lock(&self.0).links) {
            lent.link.cut();
        }
    }
}

/// Gives to the pool what nobody takes, until nothing lies there.
async fn swept(lying: Weak<Mutex<Lying>>) {
    loop {
        tokio::time::sleep(TRUSTED).await;
        let Some(lying) = lying.upgrade() else {
            return;
        };
        let mut lying = lock(&lying);
        lying.sweep();
        if lying.links.is_empty() {
            lying.swept = false;
            return;
        }
    }
}

fn lock(lying: &Mutex<Lying>) -> MutexGuard<'_, Lying> {
    lying.lock().unwrap_or_else(PoisonError::into_inner)
}
