//! The proposal as YAML that is valid as it is printed, with what people need to decide as comments.

use oubliette_core::catalog::{Catalog, Column, ColumnKind, Index, Table};
use oubliette_core::name::Ident;
use oubliette_core::plan::entry;
use oubliette_core::propose::{PERIOD, Proposal, Proposed, name_of};
use oubliette_core::sql::Counted;
use oubliette_core::target::{EngineName, Target, TlsMode};
use oubliette_core::yaml::{comment, scalar};

use super::super::told::words::rows;

/// Characters of `2026-02`: a day could be one person's.
const MONTH: usize = 7;

/// Most tables of one sort that are named in a comment.
const LISTED: usize = 30;

/// How large a table is.
pub(super) enum Extent {
    /// Nobody has counted: as the server estimates it.
    About(u64),
    /// Counted.
    Counted {
        rows: i64,
        /// Rows without a plausible date.
        undated: i64,
        /// The month of the oldest plausible date.
        since: Option<String>,
    },
}

impl Extent {
    pub(super) fn counted(counted: &Counted) -> Self {
        let oldest = counted.oldest.first().and_then(|value| value.as_text());
        Self::Counted {
            rows: counted.total,
            undated: counted.total - counted.eligible,
            since: oldest.and_then(|text| text.get(..MONTH)).map(str::to_owned),
        }
    }

    fn words(&self) -> String {
        match self {
            Self::About(count) => {
                format!("about {}", rows(i64::try_from(*count).unwrap_or(i64::MAX)))
            }
            Self::Counted {
                rows: count,
                undated,
                since,
            } => {
                let since = since
                    .as_ref()
                    .map(|month| format!(", the oldest of {month}"));
                let undated = (*undated > 0)
                    .then(|| format!("; {} without a date that can be meant", rows(*undated)));
                [Some(rows(*count)), since, undated]
                    .into_iter()
                    .flatten()
                    .collect()
            }
        }
    }
}

/// What is printed.
pub(super) struct Page<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) target: &'a Target,
    pub(super) name: Option<&'a str>,
    pub(super) namespace: &'a str,
    pub(super) proposal: &'a Proposal<'a>,
    /// One per rule.
    pub(super) extents: &'a [Extent],
}

impl Page<'_> {
    pub(super) fn text(&self) -> String {
        let name = self
            .name
            .map_or_else(|| name_of(&self.catalog.database), str::to_owned);
        let mut lines = Vec::new();
        self.head(&mut lines);
        self.database(&mut lines, &name);
        if !self.proposal.rules.is_empty() {
            lines.push("---".to_owned());
            self.policy(&mut lines, &name);
        }
        self.rest(&mut lines);
        lines.join("\n") + "\n"
    }

    fn head(&self, lines: &mut Vec<String>) {
        let Catalog {
            engine,
            version,
            database,
            ..
        } = self.catalog;
        comment(
            lines,
            "# ",
            &format!(
                "Proposed by `oubliette init` from the catalog of database {database} ({} {version}). \
                 Nothing here is decided, and in DryRun nothing is changed: take out what you do not \
                 mean, and write for each rule how long was promised, and where. Then look: \
                 `oubliette plan -f FILE`.",
                engine.name()
            ),
        );
    }

    fn database(&self, lines: &mut Vec<String>, name: &str) {
        let connection = &self.target.connection;
        let (engine, mode) = (
            match self.target.engine {
                EngineName::PostgreSQL => "PostgreSQL",
                EngineName::MySQL => "MySQL",
            },
            match connection.tls.mode {
                TlsMode::VerifyFull => "VerifyFull",
                TlsMode::VerifyCa => "VerifyCa",
                TlsMode::Disable => "Disable",
            },
        );
        let ca = if connection.tls.mode == TlsMode::Disable {
            "nothing protects the password"
        } else {
            "private authority: ca: {configMapRef: {name: NAME, key: ca.crt}}"
        };
        self.object(lines, "TargetDatabase", name);
        lines.extend([
            format!("  engine: {engine}"),
            "  connection:".to_owned(),
            format!("    host: {}", scalar(&connection.host)),
            format!("    port: {}", connection.port),
            format!("    database: {}", scalar(&connection.database)),
            format!(
                "    credentials: {{secretRef: {{name: {}}}}}   # keys username and password",
                scalar(&format!("{name}-oubliette"))
            ),
            format!("    tls: {{mode: {mode}}}   # {ca}"),
        ]);
    }

    fn policy(&self, lines: &mut Vec<String>, name: &str) {
        self.object(lines, "RetentionPolicy", name);
        lines.extend([
            format!("  databaseRef: {{name: {}}}", scalar(name)),
            "  schedule: \"30 2 * * *\"".to_owned(),
            "  timeZone: Etc/UTC   # yours, such as Europe/London".to_owned(),
            "  mode: DryRun   # later Enforce".to_owned(),
            "  # limits: {maxRows: 10000}   # near the counts of the dry run, before mode: Enforce"
                .to_owned(),
            "  rules:".to_owned(),
        ]);
        for (proposed, extent) in self.proposal.rules.iter().zip(self.extents) {
            rule(lines, proposed, extent);
        }
    }

    fn object(&self, lines: &mut Vec<String>, kind: &str, name: &str) {
        lines.extend([
            "apiVersion: oubliette.dev/v1alpha1".to_owned(),
            format!("kind: {kind}"),
            format!(
                "metadata: {{name: {}, namespace: {}}}",
                scalar(name),
                scalar(self.namespace)
            ),
            "spec:".to_owned(),
        ]);
    }

    /// What is not proposed, and why.
    fn rest(&self, lines: &mut Vec<String>) {
        let Proposal {
            refused,
            beyond,
            undated,
            ..
        } = self.proposal;
        if !refused.is_empty() {
            comment(
                lines,
                "# ",
                "Not proposed, because a plan would be refused:",
            );
        }
        for (table, refusal) in refused.iter().take(LISTED) {
            let table = format!("{}: ", table.name);
            let message = refusal.message.lines().next().unwrap_or_default();
            let message = message.strip_prefix(&table).unwrap_or(message);
            let reason = refusal.reason;
            comment(lines, "#   ", &format!("{table}{message} ({reason})"));
            if let Some(remedy) = refusal.remedy.as_ref().filter(|text| !text.contains('\n')) {
                comment(lines, "#     ", remedy);
            }
        }
        if let Some(more) = refused.len().checked_sub(LISTED).filter(|more| *more > 0) {
            comment(
                lines,
                "#   ",
                &format!("and {more} more; --table asks about one"),
            );
        }
        if !beyond.is_empty() {
            let names = names(beyond);
            let count = beyond.len();
            comment(
                lines,
                "# ",
                &format!("{count} more with a date, for --most or --table: {names}"),
            );
        }
        if !undated.is_empty() {
            let names = names(undated);
            comment(lines, "# ", &format!("Without a date: {names}"));
        }
    }
}

fn rule(lines: &mut Vec<String>, proposed: &Proposed<'_>, extent: &Extent) {
    let Proposed {
        name,
        table,
        clock,
        others,
        related,
        extent: _,
    } = proposed;
    let indexes: Vec<String> = table.indexes.iter().map(index).collect();
    let indexes = if indexes.is_empty() {
        "none".to_owned()
    } else {
        indexes.join(", ")
    };
    comment(
        lines,
        "  # ",
        &format!("{}; indexes: {indexes}", extent.words()),
    );
    let zone = if clock.kind == ColumnKind::Civil {
        ", timeZone: Etc/UTC"
    } else {
        ""
    };
    let mut notes = Vec::new();
    if clock.kind == ColumnKind::Civil {
        notes.push("the zone in which it is written".to_owned());
    }
    if !others.is_empty() {
        notes.push(format!("or {}", columns(others)));
    }
    lines.extend([
        format!("  - name: {}", scalar(name)),
        "    basis: \"TO DO: where it is promised how long these rows are kept\"".to_owned(),
        format!("    table: {}", scalar(&table.name.to_string())),
        format!("    expireAfter: {PERIOD}   # TO DO: how long"),
    ]);
    let since = format!(
        "    since: {{column: {}{zone}}}",
        scalar(clock.name.as_str())
    );
    if notes.is_empty() {
        lines.push(since);
    } else {
        lines.push(format!("{since}   # {}", notes.join("; ")));
    }
    lines.push("    action: {type: Delete}".to_owned());
    if !related.is_empty() {
        lines.push("    related:".to_owned());
    }
    for (reference, closes) in related {
        lines.extend(
            entry(reference, *closes)
                .lines()
                .map(|line| format!("    {line}")),
        );
    }
}

fn index(index: &Index) -> String {
    let columns: Vec<&str> = index.columns.iter().map(Ident::as_str).collect();
    format!("{} ({})", index.name, columns.join(", "))
}

fn columns(columns: &[&Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    names.join(", ")
}

fn names(tables: &[&Table]) -> String {
    let listed = tables.iter().take(LISTED);
    let mut names: Vec<String> = listed.map(|table| table.name.to_string()).collect();
    if let Some(more) = tables.len().checked_sub(LISTED).filter(|more| *more > 0) {
        names.push(format!("and {more} more"));
    }
    names.join(", ")
}

#[cfg(test)]
mod tests;
