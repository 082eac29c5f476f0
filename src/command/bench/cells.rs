//! Which work is measured with whom, and in which order.

use anyhow::{Context, bail};
use oubliette_core::bench::layouts::layout;
use oubliette_core::bench::peer::peer;
use oubliette_core::bench::work::Layout;
use oubliette_core::bench::{Cell, Mode, Run, Sheet, Who, Work, archiver, gate};

use super::condition::{self, Around};
use super::program::Way;
use super::{Request, program, shown};
use crate::bench::archiver::Archiver;
use crate::bench::ground::Ground;
use crate::bench::{check, machine, meter, peer as others, race};
use crate::database::ConnectSettings;
use crate::inputs::secrets::Login;
use crate::inputs::url::DatabaseUrl;

/// Who may be measured, in the order in which they are told.
const MODES: [Who; 10] = [
    Who::Single,
    Who::OublietteBacklog,
    Who::OublietteBacklogOne,
    Who::OublietteSteady,
    Who::BareWalk,
    Who::LoopLimit,
    Who::InSelectLimit,
    Who::RowByRow,
    Who::PtArchiverBest,
    Who::PtArchiverDefaults,
];

/// A piece of work by its name.
pub(super) fn work(name: &str) -> Result<Work, String> {
    let known = || Work::ALL.into_iter().filter(|work| layout(*work).is_some());
    let found = known().find(|work| work.name() == name);
    found.ok_or_else(|| unknown(known().map(Work::name)))
}

/// Somebody by their name.
pub(super) fn mode(name: &str) -> Result<Who, String> {
    let found = MODES.into_iter().find(|who| who.name() == name);
    found.ok_or_else(|| unknown(MODES.into_iter().map(Who::name)))
}

fn unknown(known: impl Iterator<Item = &'static str>) -> String {
    format!("is none of {}", known.collect::<Vec<_>>().join(", "))
}

/// What everything is measured with.
pub(super) struct Bench<'b> {
    pub(super) request: &'b Request,
    pub(super) url: &'b DatabaseUrl,
    pub(super) login: &'b Login,
    pub(super) settings: ConnectSettings,
    pub(super) archiver: Option<Archiver>,
    pub(super) ground: Ground,
}

impl Bench<'_> {
    /// Measures everything that is asked for.
    pub(super) async fn all(&mut self, sheet: &mut Sheet) -> anyhow::Result<()> {
        let asked = &self.request.work;
        let condition = self.request.condition;
        let wanted = |work: &Work| match asked.as_slice() {
            [] => condition::is_measured(condition, *work),
            asked => asked.contains(work),
        };
        let all = Work::ALL.into_iter().filter(wanted);
        let all: Vec<_> = all.filter_map(|work| Some((work, layout(work)?))).collect();
        for who in &self.request.mode {
            if !all
                .iter()
                .any(|(work, layout)| self.is_able(*work, layout, *who))
            {
                bail!(
                    "{} is not measured at this work, or needs --archiver: docs/how-to/bench.md says at which",
                    who.name()
                );
            }
        }
        let engine = self.ground.database.engine();
        for (work, _) in &all {
            if !condition::is_possible(condition, *work, engine) {
                bail!(
                    "{} is not measured beside an application: with --condition {} only {} is",
                    work.name(),
                    condition.name(),
                    Work::DeleteWide.name()
                );
            }
        }
        for (work, layout) in all {
            Box::pin(self.cell(work, layout, sheet))
                .await
                .with_context(|| format!("{} was not measured to its end", work.name()))?;
        }
        Ok(())
    }

    async fn cell(
        &mut self,
        work: Work,
        layout: &'static Layout,
        sheet: &mut Sheet,
    ) -> anyhow::Result<()> {
        let rows = self.request.rows_of(layout);
        eprintln!("{}: making {rows} rows", work.name());
        let expired = self.ground.originals(layout, rows).await?;
        let database = &self.ground.database;
        let engine = database.engine();
        sheet.cells.push(Cell {
            engine: Some(engine.into()),
            version: database.version().text.clone(),
            settings: self.ground.settings().await?,
            commit: machine::commit(),
            work,
            rows,
            expired,
            condition: self.request.condition,
            modes: Vec::new(),
        });
        let takes_part = |who: &Who| match self.request.mode.as_slice() {
            [] => condition::takes_part(self.request.condition, *who),
            asked => asked.contains(who),
        };
        let around = Around::at(self.request, work, database, &self.settings, rows)?;
        let mut modes: Vec<Who> = MODES
            .into_iter()
            .filter(takes_part)
            .filter(|who| self.is_able(work, layout, *who))
            .collect();
        let repeat = self.request.repeat();
        for turn in 1..=repeat + gate::AGAIN {
            if turn > repeat {
                let lacking = gate::lacking(sheet, repeat);
                modes.retain(|who| lacking.contains(who));
            }
            let mut cut = Vec::new();
            for who in &modes {
                let (statements, run) =
                    Box::pin(self.once(&around, (work, layout), *who, turn)).await?;
                eprintln!("{}", shown::line(work, *who, turn, &run));
                if run.cut {
                    cut.push(*who);
                }
                enter(sheet, *who, statements, run);
            }
            // What passes the cap once is told by that one run.
            modes.retain(|who| !cut.contains(who));
            // Everybody comes first in some turn.
            let by = 1.min(modes.len());
            modes.rotate_left(by);
        }
        self.ground.forget(layout).await?;
        Ok(())
    }

    /// One run on fresh rows; the first time a race for a row on a few others before it.
    async fn once(
        &self,
        around: &Around,
        (work, layout): (Work, &'static Layout),
        who: Who,
        turn: u32,
    ) -> anyhow::Result<(Vec<String>, Run)> {
        let ground = &self.ground;
        let raced = if turn == 1 {
            let rival = Box::pin(async {
                self.work((work, layout), who, program::RACE)
                    .await
                    .map(drop)
            });
            Box::pin(race::race(ground, layout, rival)).await?
        } else {
            None
        };
        ground.fresh(layout, true).await?;
        let before = meter::before(ground).await?;
        let turn = turn.to_string();
        let working = self.work((work, layout), who, &turn);
        let (statements, mut run) = Box::pin(around.run(&ground.database, working)).await?;
        if !around.writes() {
            meter::after(ground, layout, &before, &mut run).await?;
        }
        Box::pin(check::check(ground, layout, &mut run)).await?;
        run.checks
            .extend(raced.map(|spared| (race::NAME.to_owned(), spared)));
        Ok((statements, run))
    }

    async fn work(
        &self,
        (work, layout): (Work, &'static Layout),
        who: Who,
        turn: &str,
    ) -> anyhow::Result<(Vec<String>, Run)> {
        let database = &self.ground.database;
        if let Some((archiver, arguments)) = self.archiving(work, layout, who) {
            let version = format!("# {}", archiver.version().await?);
            let rows = self.ground.rows(layout).await?;
            let mut run = archiver.run(&arguments).await?;
            run.changed = rows - self.ground.rows(layout).await?;
            return Ok((vec![version, archiver::called(&arguments)], run));
        }
        if let Some(peer) = peer(who, database.engine(), layout) {
            let before = layout.session(database.engine());
            let run = Box::pin(others::run(database, &peer, &before)).await?;
            return Ok((peer.statements(), run));
        }
        let way = Way {
            url: self.url,
            login: self.login,
            layout,
            who,
            turn,
        };
        Box::pin(program::run(&way)).await
    }
}

impl Bench<'_> {
    /// Whether somebody does a piece of work, and can do it here.
    fn is_able(&self, work: Work, layout: &Layout, who: Who) -> bool {
        who.is_ours()
            || peer(who, self.ground.database.engine(), layout).is_some()
            || self.archiving(work, layout, who).is_some()
    }

    /// pt-archiver and its arguments, where it is there and measured.
    fn archiving(&self, work: Work, layout: &Layout, who: Who) -> Option<(&Archiver, Vec<String>)> {
        let archiver = self.archiver.as_ref()?;
        let engine = self.ground.database.engine();
        // It is another loop.
        let measured = layout.others.contains(&Who::LoopLimit);
        let arguments = archiver::arguments(who, engine, work).filter(|_| measured)?;
        Some((archiver, arguments))
    }
}

/// Enters a run in the last cell, beside those of the same mode.
fn enter(sheet: &mut Sheet, name: Who, statements: Vec<String>, run: Run) {
    let Some(cell) = sheet.cells.last_mut() else {
        return;
    };
    if let Some(mode) = cell.modes.iter_mut().find(|mode| mode.name == name) {
        mode.runs.push(run);
        return;
    }
    cell.modes.push(Mode {
        name,
        statements,
        runs: vec![run],
    });
}
