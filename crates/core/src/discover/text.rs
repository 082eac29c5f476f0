//! The proposal as YAML that is valid as it is printed, each guess with its reason as a comment.

use std::collections::BTreeSet;

use super::columns::FoundColumn;
use super::identifiers::FoundIdentifier;
use super::{Discovery, Entry, FoundRole, FoundWay};
use crate::name::TableName;
use crate::people::Decision;
use crate::policy::Normalise;
use crate::propose::name_of;
use crate::strategy::{DateUnit, Strategy};
use crate::yaml::{WIDTH, comment, one_line, scalar};

/// Most tables of one sort that are named in a comment.
const LISTED: usize = 50;

impl Discovery<'_> {
    /// The map as a manifest. `name`: the map's and its TargetDatabase's; left out, made of the
    /// database's.
    pub fn text(&self, name: Option<&str>, namespace: &str) -> String {
        let name = name.map_or_else(|| name_of(&self.catalog.database), str::to_owned);
        let mut lines = Vec::new();
        self.head(&mut lines);
        lines.extend([
            "apiVersion: oubliette.dev/v1alpha1".to_owned(),
            "kind: DataMap".to_owned(),
            format!(
                "metadata: {{name: {}, namespace: {}}}",
                scalar(&name),
                scalar(namespace)
            ),
            "spec:".to_owned(),
            format!("  databaseRef: {{name: {}}}", scalar(&name)),
            "  unclassified: Refuse   # or Report: the plan only names what has no decision"
                .to_owned(),
        ]);
        if self.needs_key() {
            lines.push(format!(
                "  pseudonymKey: {{secretRef: {{name: {}, key: key}}}}   # TO DO: for Pseudonym below",
                scalar(&format!("{name}-pseudonyms"))
            ));
        }
        lines.push("  subjects:".to_owned());
        for role in &self.roles {
            subject(&mut lines, role);
        }
        lines.push("  tables:".to_owned());
        for found in &self.entries {
            entry(&mut lines, found);
        }
        self.rest(&mut lines);
        lines.join("\n") + "\n"
    }

    fn head(&self, lines: &mut Vec<String>) {
        let catalog = self.catalog;
        comment(
            lines,
            "# ",
            &format!(
                "Proposed by `oubliette discover` from the catalog of database {} ({} {}); no row was \
                 read. Whose a row is, a catalog does not say: read every line, and above all each \
                 that says guess or TO DO.",
                catalog.database,
                catalog.engine.name(),
                catalog.version
            ),
        );
        if !catalog.sees_references {
            comment(
                lines,
                "# ",
                &format!(
                    "User {} does not see all foreign keys: GRANT PROCESS ON *.* shows the rest.",
                    catalog.user
                ),
            );
        }
    }

    fn needs_key(&self) -> bool {
        let columns = self.entries.iter().flat_map(|entry| &entry.columns);
        let mut strategies = columns.filter_map(|found| found.strategy.as_ref());
        strategies.any(|strategy| *strategy == Strategy::Pseudonym)
    }

    /// What is not in the map, and why.
    fn rest(&self, lines: &mut Vec<String>) {
        let mut list = |what: &str, mut items: Vec<String>| {
            if items.is_empty() {
                return;
            }
            comment(lines, "# ", what);
            let more = items.len().saturating_sub(LISTED);
            items.truncate(LISTED);
            if more > 0 {
                items.push(format!("and {more} more"));
            }
            for item in items {
                comment(lines, "#   ", &item);
            }
        };
        let names = |tables: &BTreeSet<&TableName>| -> Vec<String> {
            tables.iter().map(ToString::to_string).collect()
        };
        list(
            "TO DO: reached, but a map has no room for more tables; write a second map:",
            names(&self.beyond),
        );
        list(
            "TO DO: refer to tables of the map by columns, or from a place, that a map cannot name:",
            names(&self.unnamed),
        );
        list(
            "Look personal, and no way leads there from a person:",
            self.unreached
                .iter()
                .map(|gap| format!("{}: {}", gap.table, gap.personal.join(", ")))
                .collect(),
        );
        comment(
            lines,
            "# ",
            "TO DO: places outside of this database, such as a mailing list or paper files, under \
             `elsewhere`; what must be kept, and until when, under `mustKeep` of its table.",
        );
    }
}

fn subject(lines: &mut Vec<String>, role: &FoundRole<'_>) {
    lines.extend([
        format!("  - role: {}", scalar(&role.name)),
        format!("    table: {}", scalar(&role.table.name.to_string())),
        "    identifiers:".to_owned(),
    ]);
    for found in &role.identifiers {
        noted(lines, &format!("    - {}", identifier(found)), found.why);
    }
    if !role.leads_to.is_empty() {
        lines.push("    leadsTo:".to_owned());
    }
    for found in &role.leads_to {
        let (name, column) = (scalar(&found.name), scalar(found.column.name.as_str()));
        noted(
            lines,
            &format!("    - {{identifier: {name}, column: {column}}}"),
            "guess: other tables have such a column, and no foreign key",
        );
    }
}

fn entry(lines: &mut Vec<String>, found: &Entry<'_>) {
    let Entry {
        name,
        table,
        ways,
        decided,
        columns,
        notes,
    } = found;
    let (decision, otherwise) = match decided.decision {
        Decision::Delete => ("Delete", ""),
        Decision::Anonymise => ("Anonymise", ""),
        Decision::Shared => (
            "Shared",
            "; if the rows are the person's alone: Delete, or Anonymise",
        ),
    };
    comment(
        lines,
        "  # ",
        &format!("{decision}, a guess: {}{otherwise}.", decided.why),
    );
    for note in notes {
        comment(lines, "  # ", note);
    }
    lines.extend([
        format!("  - name: {}", scalar(name)),
        format!("    table: {}", scalar(&table.name.to_string())),
        "    reachedBy:".to_owned(),
    ]);
    for found in ways {
        way(lines, found);
    }
    lines.push(format!("    decision: {{type: {decision}}}"));
    if !columns.is_empty() {
        let why = match decided.decision {
            Decision::Delete => "where a duty keeps a part of the row",
            Decision::Anonymise | Decision::Shared => "of the row that stays",
        };
        noted(lines, "    columns:", why);
    }
    for found in columns {
        column(lines, found);
    }
}

fn way(lines: &mut Vec<String>, way: &FoundWay<'_>) {
    match way {
        FoundWay::Role(role) => lines.push(format!("    - {{from: {}}}", scalar(role))),
        FoundWay::Own(found) => noted(
            lines,
            &format!("    - {{identifier: {}}}", identifier(found)),
            found.why,
        ),
        FoundWay::Over(from, link) => {
            let pairs = link.pairs.iter().map(|(own, other)| {
                let (own, other) = (scalar(own.name.as_str()), scalar(other.name.as_str()));
                format!("{{column: {own}, equals: {other}}}")
            });
            let pairs: Vec<String> = pairs.collect();
            let line = format!(
                "    - {{from: {}, match: [{}]}}",
                scalar(from),
                pairs.join(", ")
            );
            if link.declared {
                lines.push(line);
            } else {
                let why = "guess: by name and type; no foreign key says so";
                noted(lines, &line, why);
            }
        }
    }
}

fn identifier(found: &FoundIdentifier<'_>) -> String {
    let normalise = match found.normalise {
        None => "",
        Some(Normalise::LowercaseTrim) => ", normalise: LowercaseTrim",
        Some(Normalise::DigitsOnly) => ", normalise: DigitsOnly",
    };
    let (name, column) = (scalar(&found.name), scalar(found.column.name.as_str()));
    format!("{{name: {name}, column: {column}{normalise}}}")
}

fn column(lines: &mut Vec<String>, found: &FoundColumn<'_>) {
    let mut members = vec![format!("column: {}", scalar(found.column.name.as_str()))];
    if found.review {
        members.push("review: Human".to_owned());
    }
    if let Some(strategy) = &found.strategy {
        members.push(format!("strategy: {}", strategy.name()));
        match strategy {
            Strategy::Nullify | Strategy::Pseudonym => {}
            Strategy::Constant { value } => {
                members.push(format!("constant: {{value: {}}}", scalar(value)));
            }
            Strategy::GeneraliseDate { to } => {
                let to = match to {
                    DateUnit::Month => "Month",
                    DateUnit::Quarter => "Quarter",
                    DateUnit::Year => "Year",
                    DateUnit::Decade => "Decade",
                };
                members.push(format!("generaliseDate: {{to: {to}}}"));
            }
            Strategy::GeneraliseNumber { width } => {
                members.push(format!("generaliseNumber: {{width: {width}}}"));
            }
        }
    }
    let line = format!("    - {{{}}}", members.join(", "));
    noted(lines, &line, &found.why);
}

/// Adds a line with its reason: behind it, or above it where there is no room.
fn noted(lines: &mut Vec<String>, line: &str, why: &str) {
    let whole = format!("{line}   # {}", one_line(why));
    if whole.chars().count() <= WIDTH {
        lines.push(whole);
    } else {
        comment(lines, "    # ", why);
        lines.push(line.to_owned());
    }
}
