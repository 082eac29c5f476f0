//! Requests that wait for their turn. So many jobs work at once; what is about the same places and waits
//! meanwhile is carried out together by whichever of them comes first. Nothing waits in order to be
//! joined: a request that finds a free place and nobody waiting goes at once, and alone.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oubliette_core::digest::Digest;
use oubliette_core::erasure::outcome::RequestOutcome;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::together::{MOST_TOGETHER, Member, together};
use super::{Ask, Place, perform};
use crate::work::job::{ProgressSender, StopSignal, StopWhy};
use crate::work::walk::stopped;

/// What becomes of a request that waits.
enum Turn {
    /// It was carried out with others.
    Ended(Box<RequestOutcome>),
    /// It goes by itself.
    Alone,
    /// It is the first, and takes the others along.
    First,
}

struct Waiting {
    member: Member,
    /// As it was seen when the request came.
    places: Vec<Place>,
    /// `None`: it is the first.
    turn: Option<oneshot::Sender<Turn>>,
}

type Queues = BTreeMap<String, VecDeque<Waiting>>;

/// The turns of requests. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Turns {
    slots: Arc<Semaphore>,
    /// The requests that wait, by what they are about. A list is there while somebody is the first.
    queues: Arc<Mutex<Queues>>,
}

impl std::fmt::Debug for Turns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Turns").finish_non_exhaustive()
    }
}

impl Turns {
    /// Turns of which so many are taken at once.
    pub fn new(at_once: usize) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(at_once.max(1))),
            queues: Arc::default(),
        }
    }

    /// Plans a request or carries it out, when it is its turn, by itself or with others.
    pub async fn perform(
        &self,
        ask: Ask,
        places: Vec<Place>,
        progress: ProgressSender,
        mut stop: StopSignal,
    ) -> RequestOutcome {
        if ask.allowed.is_none() || !ask.round.is_empty() || places.is_empty() {
            return self.alone(&ask, &places, &progress, stop).await;
        }
        let key = about(&ask, &places);
        let uid = ask.uid.clone();
        let member = Member {
            ask: ask.clone(),
            progress: progress.clone(),
            stop: stop.clone(),
        };
        let (turn, mut waits) = oneshot::channel();
        let mut waiting = Waiting {
            member,
            places: places.clone(),
            turn: Some(turn),
        };
        let first = {
            let mut queues = self.lock();
            let first = !queues.contains_key(&key);
            if first {
                waiting.turn = None;
            }
            queues.entry(key.clone()).or_default().push_back(waiting);
            first
        };
        if !first {
            let turn = tokio::select! {
                biased;
                turn = &mut waits => turn,
                why = told(&mut stop) => {
                    if self.leave(&key, &uid) {
                        return RequestOutcome::Stopped(why);
                    }
                    // Whoever has taken it along hears of the stop, too.
                    waits.await
                }
            };
            match turn {
                Ok(Turn::Ended(outcome)) => return *outcome,
                Ok(Turn::First) => {}
                Ok(Turn::Alone) | Err(_) => {
                    return self.alone(&ask, &places, &progress, stop).await;
                }
            }
        }
        match Box::pin(self.lead(&key, stop.clone())).await {
            Some(outcome) => outcome,
            None => self.alone(&ask, &places, &progress, stop).await,
        }
    }

    async fn alone(
        &self,
        ask: &Ask,
        places: &[Place],
        progress: &ProgressSender,
        mut stop: StopSignal,
    ) -> RequestOutcome {
        match self.slot(&mut stop).await {
            Ok(_slot) => Box::pin(perform(ask, places, progress, stop)).await,
            Err(why) => RequestOutcome::Stopped(why),
        }
    }

    /// A free place; whoever is told to stop does not wait for one.
    async fn slot(&self, stop: &mut StopSignal) -> Result<OwnedSemaphorePermit, StopWhy> {
        tokio::select! {
            biased;
            why = told(stop) => Err(why),
            slot = self.slots.clone().acquire_owned() => slot.map_err(|_| StopWhy::Shutdown),
        }
    }

    /// Takes along who waits. The outcome of the first, who has called it; `None`: it goes alone.
    async fn lead(&self, key: &str, mut stop: StopSignal) -> Option<RequestOutcome> {
        let mut lead = Lead {
            turns: self,
            key,
            first_waits: true,
        };
        let _slot = match self.slot(&mut stop).await {
            Ok(slot) => slot,
            Err(why) => return Some(RequestOutcome::Stopped(why)),
        };
        let taken: Vec<Waiting> = {
            let mut queues = self.lock();
            let queue = queues.get_mut(key)?;
            let most = queue.len().min(MOST_TOGETHER);
            queue.drain(..most).collect()
        };
        lead.first_waits = false;
        if taken.len() < 2 {
            return None;
        }
        let (mut members, mut turns, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for waiting in taken {
            members.push(waiting.member);
            turns.push(waiting.turn);
            // The last that came has seen the most.
            places = waiting.places;
        }
        let outcomes = Box::pin(together(&members, &places)).await;
        let mut first = None;
        for (turn, outcome) in turns.into_iter().zip(outcomes) {
            match turn {
                None => first = outcome,
                // Nobody waits any more: the job was cut off.
                Some(turn) => drop(turn.send(match outcome {
                    Some(outcome) => Turn::Ended(Box::new(outcome)),
                    None => Turn::Alone,
                })),
            }
        }
        first
    }

    /// Takes a request out that waits; whether it did.
    fn leave(&self, key: &str, uid: &str) -> bool {
        let mut queues = self.lock();
        let Some(queue) = queues.get_mut(key) else {
            return false;
        };
        let before = queue.len();
        queue.retain(|waiting| waiting.turn.is_none() || waiting.member.ask.uid != uid);
        queue.len() < before
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        // Each change is one insert, removal or assignment: a panicked holder left nothing half done.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever is the first. However it ends, the next one takes its place.
struct Lead<'t> {
    turns: &'t Turns,
    key: &'t str,
    /// Whether its own request is still the first of the list.
    first_waits: bool,
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let mut queues = self.turns.lock();
        let Some(queue) = queues.get_mut(self.key) else {
            return;
        };
        if self.first_waits {
            queue.pop_front();
        }
        while let Some(next) = queue.front_mut() {
            let turn = next.turn.take();
            if turn.is_some_and(|turn| turn.send(Turn::First).is_ok()) {
                return;
            }
            // Nobody waits for it any more.
            queue.pop_front();
        }
        queues.remove(self.key);
    }
}

/// What a request is about, beside the person: requests with the same can be carried out together.
fn about(ask: &Ask, places: &[Place]) -> String {
    let mut text = format!("{:?}", ask.scope);
    for place in places {
        // Writing to a text cannot fail.
        let _ = write!(
            text,
            "\n{} {} {} {:?}",
            place.map_uid, place.spec, place.owner, place.maps
        );
    }
    Digest::of_bytes(&text).to_string()
}

async fn told(stop: &mut StopSignal) -> StopWhy {
    stopped(stop).await;
    let why = *stop.borrow();
    why.unwrap_or(StopWhy::Shutdown)
}
