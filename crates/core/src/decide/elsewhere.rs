//! What a run cannot reach and therefore tells (P9): as far as it is known from the engine and
//! from what the plan found.

use crate::api::condition::cut;
use crate::catalog::Engine;

/// Most places that status names.
const MOST: usize = 32;
/// Longest of them.
const LONGEST: usize = 512;

/// The places, one sentence each, in a fixed order. `survivors`: those that the plan found.
pub fn places(engine: Option<Engine>, survivors: &[String]) -> Vec<String> {
    let log = match engine {
        Some(Engine::Postgres) => {
            "write-ahead log and its archive: old rows stay readable until the segments are recycled"
        }
        Some(Engine::MySql | Engine::MariaDb) => {
            "binary log and undo log: old rows stay readable until they are purged"
        }
        None => "the database's logs: old rows stay readable until they are recycled",
    };
    let mut places = vec![
        "backups and snapshots: until their own retention ends".to_owned(),
        log.to_owned(),
        "replicas and change streams: they follow, consumers may have kept what they read"
            .to_owned(),
    ];
    if engine == Some(Engine::Postgres) {
        places.push("dead row versions in the table files: until VACUUM".to_owned());
    }
    places.extend(survivors.iter().map(|place| cut(place, LONGEST).to_owned()));
    places.truncate(MOST);
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backups_logs_and_replicas_are_told_for_every_engine() {
        for engine in [
            None,
            Some(Engine::Postgres),
            Some(Engine::MySql),
            Some(Engine::MariaDb),
        ] {
            let places = places(engine, &[]).join("; ");
            for word in ["backups", "log", "replicas"] {
                assert!(places.contains(word), "{word} for {engine:?}");
            }
        }
    }

    #[test]
    fn what_the_plan_found_is_told_last() {
        let found =
            ["the materialised view crm.active keeps rows until it is refreshed".to_owned()];
        let places = places(Some(Engine::Postgres), &found);
        assert_eq!(places.last(), Some(&found[0]));
        assert_eq!(places.len(), 5);
    }
}
