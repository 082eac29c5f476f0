//! Windows of a TargetDatabase: from the manifest to `crate::schedule::WorkWindows`.

use std::time::Duration;

use super::target::parse_duration;
use super::{At, all};
use crate::api::target_database::{PacingSpec, WindowSpec};
use crate::schedule::{WorkWindow, WorkWindows};

/// Most windows of a database.
const MOST: usize = 16;

/// `at`: where the pacing stands.
pub(super) fn parse_windows(at: &At<'_>, pacing: Option<&PacingSpec>) -> Option<WorkWindows> {
    let Some(windows) = pacing.and_then(|pacing| pacing.windows.as_ref()) else {
        return Some(WorkWindows::default());
    };
    let at = at.field("windows");
    at.bounded(windows, MOST);
    if windows.is_empty() {
        at.invalid("is empty: write at least one window, or leave it out to work at any time");
        return None;
    }
    all(windows, |i, window| parse_window(&at.index(i), window)).map(WorkWindows::new)
}

fn parse_window(at: &At<'_>, spec: &WindowSpec) -> Option<WorkWindow> {
    let WindowSpec {
        schedule,
        duration,
        time_zone,
        unknown,
    } = spec;
    at.known::<WindowSpec>(unknown);
    let zone = at.field("timeZone").zone(time_zone.as_ref());
    let schedule_at = at.field("schedule");
    let opens = schedule_at.schedule(schedule.as_ref(), zone, "`0 22 * * *`");
    let duration_at = at.field("duration");
    let lasts = duration_at
        .text(duration.as_ref(), "`8h`")
        .and_then(|text| {
            let range = Duration::from_secs(1)..=Duration::from_hours(168);
            parse_duration(&duration_at, text, range, "1s to 168h")
        });
    Some(WorkWindow::new(opens?, lasts?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::target::Target;

    fn faults(windows: &serde_json::Value) -> Vec<String> {
        let spec = json!({
            "engine": "PostgreSQL",
            "connection": {
                "host": "db", "database": "crm",
                "credentials": {"secretRef": {"name": "crm"}},
            },
            "pacing": {"windows": windows},
        });
        let spec = serde_json::from_value(spec).unwrap();
        match Target::parse(&spec) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn what_is_wrong_with_a_window_is_said_with_what_to_write() {
        let good =
            json!([{"schedule": "0 22 * * *", "duration": "8h", "timeZone": "Europe/London"}]);
        assert_eq!(faults(&good), Vec::<String>::new());
        for (window, expected) in [
            (json!([]), "leave it out"),
            (json!([{"duration": "8h"}]), "windows[0].schedule"),
            (json!([{"schedule": "0 22 * * *"}]), "windows[0].duration"),
            (
                json!([{"schedule": "0 22 * * *", "duration": "0s"}]),
                "windows[0].duration",
            ),
            (
                json!([{"schedule": "0 22 * * *", "duration": "169h"}]),
                "write 1s to 168h",
            ),
            (
                json!([{"schedule": "22:00", "duration": "8h"}]),
                "write five",
            ),
            (
                json!([{"schedule": "0 0 30 2 *", "duration": "8h"}]),
                "never fires",
            ),
            (
                json!([{"schedule": "0 22 * * *", "duration": "8h", "timeZone": "London"}]),
                "windows[0].timeZone",
            ),
            (
                json!([{"schedule": "0 22 * * *", "duration": "8h", "zone": "Etc/UTC"}]),
                "windows[0].zone",
            ),
        ] {
            let found = faults(&window);
            assert!(
                found.len() == 1 && found[0].contains(expected),
                "{window}: {found:?}"
            );
        }
    }
}
