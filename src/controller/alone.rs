//! One look at an object at a time, wherever it is asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Who is being looked at, by UID.
#[derive(Default)]
pub(super) struct Alone(Mutex<BTreeMap<String, Weak<AsyncMutex<()>>>>);

impl Alone {
    /// Waits until nobody else looks at it. Others wait until what is returned is dropped.
    pub(super) async fn with(&self, uid: &str) -> OwnedMutexGuard<()> {
        let turn = {
            // Inserts and removals of what nobody holds: a panicked holder left nothing half done.
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let known = all.get(uid).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                all.retain(|_, turn| turn.strong_count() > 0);
                let turn = Arc::default();
                all.insert(uid.to_owned(), Arc::downgrade(&turn));
                turn
            })
        };
        turn.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn who_looks_at_the_same_object_waits_and_others_do_not() {
        let alone = Alone::default();
        let first = alone.with("a").await;
        assert!(alone.with("b").now_or_never().is_some());
        assert!(alone.with("a").now_or_never().is_none());
        drop(first);
        assert!(alone.with("a").now_or_never().is_some());
        let _other = alone.with("c").await;
        assert_eq!(alone.0.lock().unwrap().len(), 1);
    }
}
