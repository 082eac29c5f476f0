//! How servers are configured for a benchmark: as on a machine of their own, where a commit must reach the
//! disk. Tests need none of that, and have it the other way round.

use crate::Kind;

/// The cache that a server has in a benchmark, and one that the benchmark's data does not fit into.
const CACHE: &str = "2GB";
const SMALL_CACHE: &str = "16MB";

/// Settings of a server; they come after the usual ones, and the last one holds.
pub(super) fn settings(kind: Kind, small_cache: bool) -> Vec<(&'static str, &'static str)> {
    let cache = if small_cache { SMALL_CACHE } else { CACHE };
    match kind {
        Kind::Postgres15 | Kind::Postgres18 => vec![
            ("fsync", "on"),
            ("shared_buffers", cache),
            ("max_wal_size", "8GB"),
            ("checkpoint_timeout", "15min"),
            ("wal_level", "replica"),
        ],
        Kind::MariaDb | Kind::MySql => vec![
            ("innodb-buffer-pool-size", cache.trim_end_matches('B')),
            ("innodb-flush-log-at-trx-commit", "1"),
            ("innodb-flush-method", "O_DIRECT"),
            ("sync-binlog", "1"),
            if kind == Kind::MariaDb {
                ("innodb-log-file-size", "2G")
            } else {
                ("innodb-redo-log-capacity", "2G")
            },
        ],
    }
}
