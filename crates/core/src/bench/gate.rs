//! The gate of foreground figures: whether the machine was quiet enough for a run to say anything.
//!
//! Decided before anything is measured, and by the idle windows alone: it must not look at what the
//! run itself showed.

use std::collections::BTreeMap;

use super::{Run, Sheet, Who, stats};

/// How far the idle p99 of a run may be from each other and from the session's median, as a factor.
pub const MOST: f64 = 1.5;

/// How often everybody does it again at the most whose runs were discarded.
pub const AGAIN: u32 = 3;

/// The p99 of the foreground while nothing else was done, before and after the measured window of one
/// run, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Idle {
    /// Before it.
    pub before: f64,
    /// After it.
    pub after: f64,
}

/// Why a run says nothing.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Noise {
    /// The machine changed while the run was under way.
    #[error("idle p99 went from {:.1} to {:.1} ms within the run", .0.before, .0.after)]
    Within(Idle),
    /// The machine was not as it was for most of the session.
    #[error("idle p99 of {:.1} and {:.1} ms, where the session's median is {session:.1} ms", .idle.before, .idle.after)]
    Session {
        /// That of the run.
        idle: Idle,
        /// The median of all idle windows.
        session: f64,
    },
}

/// The median of all idle windows of a session.
pub fn session(all: &[Idle]) -> Option<f64> {
    stats::median(all.iter().flat_map(|idle| [idle.before, idle.after]))
}

/// Judges one run of a session.
pub fn judge(idle: Idle, session: f64) -> Result<(), Noise> {
    if apart(idle.before, idle.after) {
        return Err(Noise::Within(idle));
    }
    if apart(idle.before, session) || apart(idle.after, session) {
        return Err(Noise::Session { idle, session });
    }
    Ok(())
}

/// Who has fewer runs in the last cell that would count than were asked for, as the session is now.
pub fn lacking(sheet: &Sheet, repeat: u32) -> Vec<Who> {
    let mut judged = sheet.clone();
    apply(&mut judged);
    let modes = judged.cells.last().map_or(&[][..], |cell| &cell.modes);
    let repeat = usize::try_from(repeat).unwrap_or(usize::MAX);
    let lacking = modes.iter().filter(|mode| mode.counting().count() < repeat);
    lacking.map(|mode| mode.name).collect()
}

/// Discards every run of a sheet that has a foreground and does not pass. The session is all of them
/// on one server.
pub fn apply(sheet: &mut Sheet) {
    let idle = |run: &Run| {
        let seen = run.foreground.as_ref()?;
        Some(Idle {
            before: seen.idle_before.p99,
            after: seen.idle_after.p99,
        })
    };
    let mut sessions: BTreeMap<_, Vec<Idle>> = BTreeMap::new();
    for cell in &sheet.cells {
        let runs = cell.modes.iter().flat_map(|mode| &mode.runs);
        let of = sessions.entry((cell.engine, cell.version.clone()));
        of.or_default().extend(runs.filter_map(idle));
    }
    for cell in &mut sheet.cells {
        let all = sessions.get(&(cell.engine, cell.version.clone()));
        let Some(session) = all.and_then(|all| session(all)) else {
            continue;
        };
        for run in cell.modes.iter_mut().flat_map(|mode| &mut mode.runs) {
            if run.discarded.is_none()
                && let Some(idle) = idle(run)
                && let Err(noise) = judge(idle, session)
            {
                run.discarded = Some(noise.to_string());
            }
        }
    }
}

/// Whether one is more than the factor above the other. What is no number is apart from everything.
fn apart(one: f64, other: f64) -> bool {
    let (low, high) = if one < other {
        (one, other)
    } else {
        (other, one)
    };
    // Written so that it holds for what cannot be compared, too.
    !matches!(
        high.partial_cmp(&(low * MOST)),
        Some(std::cmp::Ordering::Less | std::cmp::Ordering::Equal)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{Foreground, Latency, Mode, Server, Work, example};

    const QUIET: Idle = Idle {
        before: 2.0,
        after: 2.4,
    };

    #[test]
    fn a_quiet_run_is_kept() {
        assert_eq!(judge(QUIET, 2.2), Ok(()));
        assert_eq!(
            judge(
                Idle {
                    before: 2.0,
                    after: 3.0
                },
                2.5
            ),
            Ok(())
        );
    }

    #[test]
    fn a_run_in_which_the_machine_changed_is_not() {
        for (before, after) in [(2.0, 3.1), (3.1, 2.0), (2.0, f64::NAN), (0.0, 1.0)] {
            let noise = judge(Idle { before, after }, 2.0).unwrap_err();
            assert!(matches!(noise, Noise::Within(_)), "{noise}");
        }
    }

    #[test]
    fn a_run_in_a_bad_minute_is_not() {
        let bad = Idle {
            before: 41.5,
            after: 40.0,
        };
        let all = [QUIET, bad, QUIET, QUIET];
        let session = session(&all).unwrap();
        let kept = all.iter().filter(|idle| judge(**idle, session).is_ok());
        assert_eq!(kept.count(), 3);
        insta::assert_snapshot!(
            judge(bad, session).unwrap_err(),
            @"idle p99 of 41.5 and 40.0 ms, where the session's median is 2.4 ms"
        );
    }

    #[test]
    fn the_runs_of_a_sheet_are_judged_by_their_servers_session() {
        let run = |p99: f64| {
            let latency = Latency {
                p99,
                ..Latency::default()
            };
            Run {
                foreground: Some(Foreground {
                    rate: 1.0,
                    during: Latency::default(),
                    idle_before: latency,
                    idle_after: latency,
                }),
                ..Run::default()
            }
        };
        let cell = |server, idle: &[f64]| {
            let mode = Mode {
                name: Who::Single,
                statements: Vec::new(),
                runs: idle
                    .iter()
                    .map(|p99| run(*p99))
                    .chain([Run::default()])
                    .collect(),
            };
            example::cell(server, Work::DeleteWide, vec![mode])
        };
        let mut sheet = example::sheet(vec![
            cell(Server::Postgresql, &[9.0]),
            cell(Server::Mariadb, &[2.0, 9.0, 2.2]),
        ]);
        // Of four runs one is to be made again.
        assert_eq!(lacking(&sheet, 3), []);
        assert_eq!(lacking(&sheet, 4), [Who::Single]);
        apply(&mut sheet);
        let kept: Vec<Vec<bool>> = sheet
            .cells
            .iter()
            .map(|cell| cell.modes[0].runs.iter().map(Run::counts).collect())
            .collect();
        assert_eq!(kept, [vec![true, true], vec![true, false, true, true]]);
    }
}
