//! The list of metrics: every name, its labels and what it means. The registry and
//! `docs/metrics.md` are made from it.

/// One metric as a reader of the docs knows it.
#[derive(Clone, Copy, Debug)]
pub struct Described {
    /// Its full name as it is queried.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub sort: &'static str,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it tells, one sentence.
    pub help: &'static str,
}

macro_rules! described {
    ($($constant:ident = $name:literal $sort:ident [$($label:literal),*] $help:literal;)*) => {
        $(pub(super) const $constant: Described = Described {
            name: $name,
            sort: stringify!($sort),
            labels: &[$($label),*],
            help: $help,
        };)*
        /// Every metric, in the order of the docs.
        pub const ALL: &[Described] = &[$($constant),*];
    };
}

described! {
    RECONCILES = "oubliette_reconciles_total" counter ["kind"]
        "Reconciles finished, whatever their outcome";
    FAILURES = "oubliette_reconcile_failures_total" counter ["kind", "reason"]
        "Reconciles that ended in a reason a person has to act on, or in an error";
    NOT_READY = "oubliette_not_ready" gauge ["kind", "namespace", "name", "reason"]
        "1 while the resource's Ready condition is False, with its reason; no series while it is not";
    RUNS = "oubliette_runs_total" counter ["namespace", "policy", "outcome"]
        "Runs ended: completed, stopped on purpose, or failed";
    RUN_DURATION = "oubliette_run_duration_seconds" histogram ["outcome"]
        "How long runs took from their first worker's start to their end";
    ROWS_CHANGED = "oubliette_rows_changed_total" counter ["namespace", "policy", "effect"]
        "Rows changed, counted once, when the run that changed them ends";
    OVERDUE_ROWS = "oubliette_overdue_rows" gauge ["namespace", "policy"]
        "Rows that were eligible and still there when the policy was last planned or run";
    LAST_SUCCESS = "oubliette_last_successful_run_timestamp_seconds" gauge ["namespace", "policy"]
        "When the policy's last completed run ended";
    NEXT_RUN = "oubliette_next_run_timestamp_seconds" gauge ["namespace", "policy"]
        "When the policy's next run is due";
    BATCHES = "oubliette_batches_total" counter ["engine", "result"]
        "Batch transactions by how they ended: committed, locked (it met a lock or took too long), or failed";
    BATCH_DURATION = "oubliette_batch_duration_seconds" histogram ["engine"]
        "How long committed batch transactions took";
    LOCK_WAITS = "oubliette_lock_waits_total" counter ["engine"]
        "Batches that gave way to a lock of the application, or took too long";
    IS_LEADER = "oubliette_is_leader" gauge []
        "1 while this replica holds the lease, else 0";
    BUILD_INFO = "oubliette_build_info" gauge ["version"]
        "Always 1; its label tells the program's version";
    RESIDENT_MEMORY = "process_resident_memory_bytes" gauge []
        "Memory of the process that is in RAM; does not grow with the rows of a run";
}

/// The table of `docs/metrics.md`.
pub fn table() -> String {
    let mut text = String::from("| metric | type | labels | meaning |\n|---|---|---|---|\n");
    for Described {
        name,
        sort,
        labels,
        help,
    } in ALL
    {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let line = format!("| `{name}` | {sort} | {} | {help} |\n", labels.join(", "));
        text.push_str(&line);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metrics_page_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
        let page = std::fs::read_to_string(path).unwrap();
        let table = table();
        assert!(
            page.contains(&table),
            "put this table into docs/metrics.md:\n\n{table}"
        );
    }
}
