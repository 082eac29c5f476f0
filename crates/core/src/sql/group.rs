//! Groups of rows that look alike once they are anonymised: which group a row is in, and how many rows
//! each has. A group leaves the database as a digest of its values only (P4).

use super::eligible::Eligible;
use super::window::Window;
use super::{Bound, CountSql, Transform, Writer, dialect};
use crate::catalog::Column;
use crate::groups::{Group, Size};
use crate::strategy::Strategy;
use crate::value::Value;

/// A quasi-identifier, as it will be.
#[derive(Clone, Debug)]
pub enum Quasi {
    /// The rule does not touch it.
    Kept(Column),
    /// The rule transforms it.
    Made(Transform),
}

impl Quasi {
    fn column(&self) -> &Column {
        match self {
            Self::Kept(column) | Self::Made(Transform { column, .. }) => column,
        }
    }

    /// Its value in a row that is done, as text without a comma; NULL is none of any value's.
    fn write(&self, w: &mut Writer<'_>) {
        let d = w.dialect();
        let transform = match self {
            Self::Kept(column) => return d.exact(w, column, None),
            Self::Made(transform) => transform,
        };
        let made = |w: &mut Writer<'_>| {
            d.exact(w, &transform.column, Some(&mut |w| transform.value(w)));
        };
        match transform.strategy {
            // The same in every row that is done.
            Strategy::Nullify | Strategy::Constant { .. } => {
                w.sql("'-'");
            }
            Strategy::GeneraliseNumber { .. } => made(w),
            // What has no first day is left as it is; a pseudonym is not made of a pseudonym.
            Strategy::GeneraliseDate { .. } | Strategy::Pseudonym => {
                w.sql("CASE WHEN ");
                transform.undone(w);
                w.sql(" THEN ");
                made(w);
                w.sql(" ELSE ");
                d.exact(w, &transform.column, None);
                w.sql(" END");
            }
        }
    }
}

/// The group that a row will be in.
pub(super) fn write_group(w: &mut Writer<'_>, quasi: &[Quasi]) {
    w.dialect().digest(w, &mut |w| {
        w.joined(quasi, ", ", |w, quasi| quasi.write(w));
    });
}

/// Which rows make the groups of a rule.
#[derive(Clone, Debug)]
pub struct GroupSql {
    /// What makes rows look alike. Never empty.
    pub quasi: Vec<Quasi>,
    /// Rows of the table that other rules of the policy delete: no cover for the others.
    pub going: Vec<Eligible>,
}

impl GroupSql {
    /// That another rule deletes the row. Never NULL.
    fn write_going(&self, w: &mut Writer<'_>) {
        w.sql("(").joined(&self.going, " OR ", |w, eligible| {
            w.sql("COALESCE((");
            eligible.write(w);
            w.sql("), false)");
        });
        w.sql(")");
    }

    fn write_and_stays(&self, w: &mut Writer<'_>) {
        if !self.going.is_empty() {
            w.sql(" AND NOT ");
            self.write_going(w);
        }
    }
}

impl CountSql {
    /// The groups of a window: each one's digest, rows that are done, that are due, and that are due and
    /// go by another rule.
    pub fn groups(&self, window: &Window, groups: &GroupSql) -> Bound {
        let d = dialect(self.window.engine);
        let mut w = Writer::new(d);
        w.sql("SELECT ");
        write_group(&mut w, &groups.quasi);
        let mut sum = |test: &mut dyn FnMut(&mut Writer<'_>)| {
            w.sql(", ");
            d.whole(&mut w, &mut |w| super::count::count_where(w, test));
        };
        sum(&mut |w| {
            w.sql("NOT ");
            self.eligible.write_any_undone(w);
            groups.write_and_stays(w);
        });
        sum(&mut |w| {
            self.write_due(w);
            groups.write_and_stays(w);
        });
        sum(&mut |w| {
            self.write_due(w);
            w.sql(" AND ");
            if groups.going.is_empty() {
                w.sql("false");
            } else {
                groups.write_going(w);
            }
        });
        self.window.write_from(&mut w);
        w.sql(" WHERE ");
        self.window.write_bounds(&mut w, window);
        self.write_meant(&mut w);
        w.sql(" GROUP BY 1");
        w.finish()
    }

    /// Reads a row that `groups` brought back.
    pub fn group(row: &[Value]) -> Option<(Group, Size)> {
        let [group, done, due, going] = row else {
            return None;
        };
        let size = Size {
            done: done.as_int()?,
            due: due.as_int()?,
            going: going.as_int()?,
        };
        Some((Group::read(group)?, size))
    }

    /// Counts the rows in groups smaller than `k` that stand in the table, by their values as they are and
    /// in one plain statement: what it finds does not hang on the expressions that the rows were changed
    /// by (P6).
    pub fn groups_found(&self, groups: &GroupSql, k: i64) -> Bound {
        let d = dialect(self.window.engine);
        let mut w = Writer::new(d);
        w.sql("SELECT ");
        d.whole(&mut w, &mut |w| {
            w.sql("SUM(found.n)");
        });
        w.sql(" FROM (SELECT count(*) AS n FROM ")
            .rows_of(&self.window.table, self.window.with_leaves)
            .sql(" WHERE ");
        self.write_meant(&mut w);
        w.sql(" AND NOT ");
        self.eligible.write_any_undone(&mut w);
        groups.write_and_stays(&mut w);
        w.sql(" GROUP BY ");
        w.joined(&groups.quasi, ", ", |w, quasi| {
            w.dialect().exact(w, quasi.column(), None);
        });
        w.sql(") AS found WHERE found.n < ")
            .number(u32::try_from(k).unwrap_or(u32::MAX));
        w.finish()
    }

    /// The rows that the rule means, done or not, held or kept or not.
    fn write_meant(&self, w: &mut Writer<'_>) {
        self.eligible.clock.expired(w);
        self.eligible.write_scope(w);
    }

    /// That one of them would be changed.
    fn write_due(&self, w: &mut Writer<'_>) {
        self.eligible.write_any_undone(w);
        self.eligible.write_unkept(w);
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::api::retention_policy::RetentionPolicySpec;
    use crate::catalog::{Bounds, Catalog, ColumnKind, Engine, Privileges, Table, TableKind};
    use crate::plan::{Draft, Intent, Setting};
    use crate::policy::Mandate;
    use crate::target::Target;

    fn column(name: &str, kind: ColumnKind, type_name: &str) -> Column {
        Column {
            name: name.parse().unwrap(),
            kind,
            type_name: type_name.to_owned(),
            cast: type_name.to_owned(),
            nullable: name != "id",
            max_length: None,
            bounds: Bounds::None,
            generated: false,
            identity_always: false,
            on_update_now: false,
            charset: None,
            collation: None,
            nondeterministic: false,
            folded: false,
        }
    }

    fn catalog(engine: Engine) -> Catalog {
        let name: crate::name::TableName = "crm.people".parse().unwrap();
        let table = Table {
            name: name.clone(),
            kind: TableKind::Ordinary,
            storage_engine: engine.is_innodb().then(|| "InnoDB".to_owned()),
            columns: vec![
                column("id", ColumnKind::Int, "integer"),
                column("name", ColumnKind::Text, "text"),
                column("born_on", ColumnKind::Date, "date"),
                column("income", ColumnKind::Decimal, "decimal(8,2)"),
                column("postcode", ColumnKind::Text, "text"),
                column("ended", ColumnKind::Instant, "timestamp(6) with time zone"),
            ],
            primary_key: vec!["id".parse().unwrap()],
            indexes: Vec::new(),
            triggers: Vec::new(),
            rules: Vec::new(),
            checks: Vec::new(),
            code: Vec::new(),
            row_security: false,
            publications_without_identity: Vec::new(),
            materialised_views: Vec::new(),
            unlogged: false,
            copies: Vec::new(),
            estimated_rows: 0,
        };
        Catalog {
            engine,
            version: "1".to_owned(),
            tables: [(name.clone(), table)].into(),
            references: Vec::new(),
            missing: Vec::new(),
            privileges: [(
                name,
                Privileges {
                    select: true,
                    ..Privileges::default()
                },
            )]
            .into(),
            sees_references: true,
            sees_triggers: true,
            readers: std::collections::BTreeMap::new(),
            database: "crm".to_owned(),
            user: "u".to_owned(),
        }
    }

    fn statements(engine: Engine) -> Vec<String> {
        let declared = if engine.is_innodb() {
            "MySQL"
        } else {
            "PostgreSQL"
        };
        let target = Target::parse(
            &serde_json::from_value(json!({
                "engine": declared,
                "connection": {
                    "host": "h", "database": "crm", "credentials": {"secretRef": {"name": "s"}},
                },
            }))
            .unwrap(),
        )
        .unwrap();
        let spec: RetentionPolicySpec = serde_json::from_value(json!({
            "databaseRef": {"name": "crm"},
            "schedule": "30 2 * * *",
            "rules": [{
                "name": "gone", "basis": "b", "table": "crm.people", "expireAfter": "P2Y",
                "since": {"column": "ended"}, "action": {"type": "Delete"},
            }, {
                "name": "coarse", "basis": "b", "table": "crm.people", "expireAfter": "P1Y",
                "since": {"column": "ended"},
                "action": {
                    "type": "Anonymise",
                    "columns": [
                        {"column": "name", "strategy": "Nullify"},
                        {"column": "born_on", "strategy": "GeneraliseDate", "generaliseDate": {"to": "Year"}},
                        {"column": "income", "strategy": "GeneraliseNumber", "generaliseNumber": {"width": 100}},
                    ],
                    "kAnonymity": {"quasiIdentifiers": ["born_on", "income", "postcode", "name"], "k": 5},
                },
            }],
        }))
        .unwrap();
        let mandate = Mandate::parse(&spec, &target).unwrap();
        let ledger = "oubliette".parse().unwrap();
        let setting = Setting {
            spec: &json!({}),
            ledger: &ledger,
            intent: Intent::DryRun,
            as_of: Timestamp::UNIX_EPOCH,
        };
        let draft = Draft::of(&mandate.policy, &catalog(engine), &setting).unwrap();
        let rule = &draft.rules[1];
        let groups = &rule.groups.as_ref().unwrap().sql;
        let window = Window::default();
        let all = [
            rule.count.groups(&window, groups),
            rule.count.groups_found(groups, 5),
            rule.change.choose(&window, true, 10),
        ];
        all.iter()
            .map(|bound| bound.sql.text().to_owned())
            .collect()
    }

    #[test]
    fn a_group_leaves_the_database_as_a_digest_and_each_engine_spells_it() {
        insta::assert_yaml_snapshot!("postgres", statements(Engine::Postgres));
        insta::assert_yaml_snapshot!("mysql", statements(Engine::MySql));
        insta::assert_yaml_snapshot!("mariadb", statements(Engine::MariaDb));
    }
}
