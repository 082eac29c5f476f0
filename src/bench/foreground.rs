//! An application at a steady rate on the benchmark's table, and how quickly it is answered.
//!
//! It is an open loop: operations are due at fixed instants, whatever became of those before, and each
//! counts from when it was due. Otherwise an application that is kept waiting would ask less, and the
//! longest waits would hide behind one another. It has threads, runtimes and connections of its own: what
//! is measured must not wait for it, nor it for what is measured.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use oubliette_core::bench::load::Application;
use oubliette_core::bench::stats::Latencies;
use oubliette_core::bench::{self, Latency};

use crate::database::{ConnectSettings, Database, Fault, FaultClass};

/// Connections of the application: as many operations are under way at once.
const CONNECTIONS: usize = 8;
/// How long it runs before anything counts, and again after it has caught up.
const WARM: Duration = Duration::from_secs(1);
/// How long it may take to catch up with what waited.
const CATCH_UP: Duration = Duration::from_mins(2);
/// Behind by less, it has caught up.
const ABREAST: Duration = Duration::from_millis(20);
/// The last part of a wait, which is not the runtime's: its clock counts whole milliseconds.
const PRECISE: Duration = Duration::from_millis(2);
/// As the operator's for a run: without optimisation the driver needs room.
const STACK: usize = 8 << 20;

/// What the application is.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where it connects to.
    pub settings: ConnectSettings,
    /// What it sends.
    pub application: Application,
    /// Operations due in a second.
    pub rate: u32,
    /// How long it is measured with nothing else, before and again afterwards.
    pub idle: Duration,
}

/// What it saw.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The latencies.
    pub foreground: bench::Foreground,
    /// Milliseconds of its longest write while the work went on, from when it was sent. No wait for a lock
    /// was longer.
    pub longest_write: f64,
    /// Operations that the server refused (deadlocks, locks waited for in vain); counted as they ended.
    pub refused: u64,
}

/// A part of the time that is told by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Window {
    /// Told to nobody.
    Gap,
    Before,
    During,
    After,
}

struct Shared {
    application: Application,
    began: Instant,
    gap: Duration,
    /// The operation that nobody has taken yet.
    next: AtomicU64,
    /// From when on which window holds.
    windows: Mutex<Vec<(Instant, Window)>>,
    ended: AtomicBool,
    /// One of the connections failed; it says why when it is joined.
    failed: AtomicBool,
}

impl Shared {
    fn due(&self, operation: u64) -> Instant {
        let gap = u64::try_from(self.gap.as_nanos()).unwrap_or(u64::MAX);
        self.began + Duration::from_nanos(gap.saturating_mul(operation))
    }

    fn opens(&self, window: Window) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.push((Instant::now(), window));
    }

    /// The window in which an instant lies that has passed.
    fn window(&self, at: Instant) -> Window {
        let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let last = windows.iter().rev().find(|(from, _)| *from <= at);
        last.map_or(Window::Gap, |(_, window)| *window)
    }

    /// How far the application is behind.
    fn behind(&self) -> Duration {
        self.due(self.next.load(Ordering::SeqCst)).elapsed()
    }
}

/// Tells the threads to end when it goes, however that comes about.
struct Running(Arc<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::SeqCst);
    }
}

/// What one connection saw.
#[derive(Default)]
struct Tally {
    before: Latencies,
    during: Latencies,
    after: Latencies,
    longest_write: Duration,
    refused: u64,
}

/// Does some work while the application runs, which has the table for itself before and afterwards.
pub async fn beside<T>(load: &Load, work: impl Future<Output = T>) -> anyhow::Result<(T, Seen)> {
    let shared = Arc::new(Shared {
        application: load.application,
        began: Instant::now(),
        gap: Duration::from_secs(1) / load.rate.max(1),
        next: AtomicU64::new(0),
        windows: Mutex::new(Vec::new()),
        ended: AtomicBool::new(false),
        failed: AtomicBool::new(false),
    });
    let running = Running(Arc::clone(&shared));
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (shared, settings) = (Arc::clone(&shared), load.settings.clone());
            thread::Builder::new()
                .name("application".to_owned())
                .stack_size(STACK)
                .spawn(move || {
                    let tally = connection(&shared, &settings);
                    shared.failed.fetch_or(tally.is_err(), Ordering::SeqCst);
                    tally
                })
        })
        .collect();
    tokio::time::sleep(WARM).await;
    abreast(&shared).await?;
    shared.opens(Window::Before);
    tokio::time::sleep(load.idle).await;
    shared.opens(Window::During);
    let done = work.await;
    shared.opens(Window::Gap);
    abreast(&shared).await?;
    tokio::time::sleep(WARM).await;
    shared.opens(Window::After);
    tokio::time::sleep(load.idle).await;
    shared.opens(Window::Gap);
    drop(running);
    let mut all = Tally::default();
    for started in threads {
        let thread = started.context("failed to start a thread")?;
        let ended = tokio::task::spawn_blocking(|| thread.join()).await;
        let Ok(Ok(tally)) = ended else {
            bail!("a thread of it panicked");
        };
        all.add(tally?);
    }
    Ok((done, all.seen(load.rate)?))
}

/// Waits until the application is not behind. Where it never is, its rate is too high for the server.
async fn abreast(shared: &Shared) -> anyhow::Result<()> {
    let began = Instant::now();
    while shared.behind() > ABREAST && !shared.failed.load(Ordering::SeqCst) {
        if began.elapsed() > CATCH_UP {
            bail!("it does not keep up with its rate");
        }
        tokio::time::sleep(ABREAST).await;
    }
    Ok(())
}

/// One connection's share of the operations, until it is told to end.
fn connection(shared: &Shared, settings: &ConnectSettings) -> anyhow::Result<Tally> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start a runtime")?;
    runtime.block_on(async {
        let database = Database::connect(settings).await?;
        let tally = Box::pin(operations(shared, &database)).await;
        database.close().await;
        Ok(tally?)
    })
}

async fn operations(shared: &Shared, database: &Database) -> Result<Tally, Fault> {
    let mut session = database.apart().await?;
    let mut tally = Tally::default();
    loop {
        let index = shared.next.fetch_add(1, Ordering::SeqCst);
        let due = shared.due(index);
        until(due).await;
        if shared.ended.load(Ordering::SeqCst) {
            return Ok(tally);
        }
        let operation = shared.application.operation(index);
        let sent = Instant::now();
        let written = session.change(&operation.update).await;
        let mut wrote = sent.elapsed();
        let mut answers = vec![written.map(drop)];
        answers.push(session.rows(&operation.read).await.map(drop));
        if let Some(insert) = &operation.insert {
            let sent = Instant::now();
            answers.push(session.change(insert).await.map(drop));
            wrote = wrote.max(sent.elapsed());
        }
        for answer in answers {
            match answer {
                Ok(()) => {}
                Err(fault) if is_refusal(&fault) => tally.refused += 1,
                Err(fault) => return Err(fault),
            }
        }
        let milliseconds = due.elapsed().as_secs_f64() * 1_000.0;
        match shared.window(due) {
            Window::Gap => {}
            Window::Before => tally.before.add(milliseconds),
            Window::During => {
                tally.during.add(milliseconds);
                tally.longest_write = tally.longest_write.max(wrote);
            }
            Window::After => tally.after.add(milliseconds),
        }
    }
}

async fn until(due: Instant) {
    let left = |margin: Duration| due.saturating_duration_since(Instant::now() + margin);
    let coarse = left(PRECISE);
    if !coarse.is_zero() {
        tokio::time::sleep(coarse).await;
    }
    // Nothing else runs on this thread.
    thread::sleep(left(Duration::ZERO));
}

/// Whether an application goes on after it.
fn is_refusal(fault: &Fault) -> bool {
    matches!(
        fault.class,
        FaultClass::Lock | FaultClass::Deadlock | FaultClass::Serialization
    )
}

impl Tally {
    fn add(&mut self, other: Self) {
        let Self {
            before,
            during,
            after,
            longest_write,
            refused,
        } = other;
        self.before.append(before);
        self.during.append(during);
        self.after.append(after);
        self.longest_write = self.longest_write.max(longest_write);
        self.refused += refused;
    }

    fn seen(self, rate: u32) -> anyhow::Result<Seen> {
        let told = |latencies: Latencies| -> anyhow::Result<Latency> {
            let told = latencies.told();
            told.context("it had no operation in a window: its rate is too low")
        };
        Ok(Seen {
            foreground: bench::Foreground {
                rate: f64::from(rate),
                during: told(self.during)?,
                idle_before: told(self.before)?,
                idle_after: told(self.after)?,
            },
            longest_write: self.longest_write.as_secs_f64() * 1_000.0,
            refused: self.refused,
        })
    }
}

#[cfg(test)]
mod tests {
    use oubliette_core::bench::Work;
    use oubliette_core::catalog::Engine;

    use super::*;

    fn shared(began: Instant) -> Shared {
        Shared {
            application: Application::at(Work::DeleteWide, Engine::Postgres, 1_000).unwrap(),
            began,
            gap: Duration::from_millis(5),
            next: AtomicU64::new(0),
            windows: Mutex::new(Vec::new()),
            ended: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        }
    }

    #[test]
    fn an_operation_belongs_to_the_window_in_which_it_was_due() {
        let began = Instant::now();
        let shared = shared(began);
        let at = |n| began + Duration::from_millis(n);
        *shared.windows.lock().unwrap() = vec![
            (at(10), Window::Before),
            (at(20), Window::During),
            (at(30), Window::Gap),
        ];
        for (operation, window) in [
            (0, Window::Gap),
            (2, Window::Before),
            (3, Window::Before),
            (4, Window::During),
            (5, Window::During),
            (6, Window::Gap),
        ] {
            assert!(
                shared.window(shared.due(operation)) == window,
                "{operation}"
            );
        }
    }

    #[test]
    fn threads_are_told_to_end_however_it_ends() {
        let shared = Arc::new(shared(Instant::now()));
        drop(Running(Arc::clone(&shared)));
        assert!(shared.ended.load(Ordering::SeqCst));
    }
}
