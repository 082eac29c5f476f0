//! What others do, done and timed.

use std::time::{Duration, Instant};

use oubliette_core::bench::Run;
use oubliette_core::bench::peer::{Peer, RowSql, WalkSql};
use oubliette_core::run::{MOST_CHANGED_IN_BACKLOG, Pace, PaceSettings};
use oubliette_core::sql::{Bound, Sql};

use crate::database::{Apart, Database, Fault, FaultClass};

/// Whatever takes longer is cut.
pub const CAP: Duration = Duration::from_secs(30);

/// How long a batch of the program should take where nobody waits (docs/how-to/pace.md), and a window of its
/// walk by hand.
pub const WINDOW: Duration = Duration::from_millis(250);

/// Milliseconds since an instant.
pub fn since(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1_000.0
}

/// Does it once. `before`: what the session is told first.
pub async fn run(database: &Database, peer: &Peer<'_>, before: &[Bound]) -> Result<Run, Fault> {
    let connecting = Instant::now();
    let mut session = database.apart().await?;
    for bound in before {
        session.rows(bound).await?;
    }
    if matches!(peer, Peer::Walk(_)) && database.engine().is_innodb() {
        // As the program's sessions are.
        let level = Sql::fixed("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
        session.run(&level, CAP).await?;
    }
    let mut run = Run::default();
    run.phases.setup = since(connecting);
    let began = Instant::now();
    let mut work = Work {
        session: &mut session,
        began,
        changed: 0,
        cut: false,
    };
    let ended = match peer {
        Peer::Once(statements) => work.once(statements).await,
        Peer::UntilNothing(statement) => work.until_nothing(statement).await,
        Peer::Rows(rows) => work.rows(*rows).await,
        Peer::Walk(walk) => work.walk(*walk).await,
    };
    run.cut = work.cut;
    run.changed = i64::try_from(work.changed).unwrap_or(i64::MAX);
    match ended {
        Ok(()) => {}
        // It was we who ended it.
        Err(fault) if fault.class == FaultClass::Cancelled && began.elapsed() >= CAP => {
            run.cut = true;
        }
        Err(fault) => return Err(fault),
    }
    run.phases.run = since(began);
    Ok(run)
}

struct Work<'s> {
    session: &'s mut Apart,
    began: Instant,
    changed: u64,
    cut: bool,
}

impl Work<'_> {
    /// What is left of the time. Nothing of it is noted.
    fn left(&mut self) -> Duration {
        let left = CAP.saturating_sub(self.began.elapsed());
        self.cut |= left.is_zero();
        left
    }

    async fn change(&mut self, bound: &Bound, left: Duration) -> Result<u64, Fault> {
        let changed = self.session.run(&bound.sql, left).await?;
        self.changed += changed;
        Ok(changed)
    }

    async fn once(&mut self, statements: &[Bound]) -> Result<(), Fault> {
        self.session.run(&Sql::fixed("BEGIN"), CAP).await?;
        let mut last = 0;
        for bound in statements {
            let left = CAP.saturating_sub(self.began.elapsed());
            last = self.session.run(&bound.sql, left).await?;
        }
        self.session.run(&Sql::fixed("COMMIT"), CAP).await?;
        // It is about the rule's own table.
        self.changed = last;
        Ok(())
    }

    async fn until_nothing(&mut self, statement: &Bound) -> Result<(), Fault> {
        loop {
            let left = self.left();
            if left.is_zero() || self.change(statement, left).await? == 0 {
                return Ok(());
            }
        }
    }

    async fn rows(&mut self, rows: RowSql<'_>) -> Result<(), Fault> {
        let keys = self.session.rows(&rows.keys()).await?;
        for key in keys.iter().filter_map(|row| row.first()?.as_int()) {
            let left = self.left();
            if left.is_zero() {
                break;
            }
            let key = u32::try_from(key).unwrap_or(u32::MAX);
            self.change(&rows.one(key), left).await?;
        }
        Ok(())
    }

    async fn walk(&mut self, walk: WalkSql<'_>) -> Result<(), Fault> {
        let last = self.session.rows(&walk.last()).await?;
        let last = last.first().and_then(|row| row.first()?.as_int());
        let last = u32::try_from(last.unwrap_or(0)).unwrap_or(u32::MAX);
        let mut pace = Pace::new(PaceSettings {
            unit: walk.unit(),
            target: WINDOW,
            rate: None,
            limited: false,
            most_changed: MOST_CHANGED_IN_BACKLOG,
            part: u32::MAX,
        });
        let mut above = 0;
        while above < last {
            let left = self.left();
            if left.is_zero() {
                break;
            }
            let (width, began) = (pace.width(), Instant::now());
            let upto = above.saturating_add(width);
            let changed = self.change(&walk.window(above, upto), left).await?;
            let changed = i64::try_from(changed).unwrap_or(i64::MAX);
            pace.took(width, changed, began.elapsed(), upto < last);
            above = upto;
        }
        Ok(())
    }
}
