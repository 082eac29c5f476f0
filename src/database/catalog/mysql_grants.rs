//! What `SHOW GRANTS` says the connected user may do.
//!
//! It is the one source that lists global, database, table and column privileges with those of the
//! active roles, on both engines. Rows also carry a password hash on MariaDB: nothing of a row is
//! kept but privileges and names.

use std::collections::BTreeSet;

use oubliette_core::catalog::Privileges;
use oubliette_core::name::Ident;

/// All privileges of one user.
#[derive(Default)]
pub(super) struct Grants(Vec<Grant>);

struct Grant {
    /// Upper case; `ALL PRIVILEGES` for all. With the columns it is limited to.
    privileges: Vec<(String, Option<BTreeSet<String>>)>,
    on: Scope,
    /// The user or an active role.
    to: String,
    /// MySQL's partial revokes take a database out of a global grant.
    revoked: bool,
}

enum Scope {
    Everything,
    /// A pattern: `%` and `_` are wildcards unless a backslash stands before them.
    Database(String),
    Table(String, String),
}

impl Grants {
    /// Reads the lines of `SHOW GRANTS`; what is not a privilege (roles, proxies) is left out.
    pub(super) fn read<'l>(lines: impl Iterator<Item = &'l str>) -> Self {
        Self(lines.filter_map(grant).collect())
    }

    /// Whether a privilege is held on the whole server.
    pub(super) fn everywhere(&self, privilege: &str) -> bool {
        self.0.iter().any(|grant| {
            !grant.revoked && matches!(grant.on, Scope::Everything) && grant.has(privilege)
        })
    }

    /// Whether a privilege is held on a whole table.
    pub(super) fn on(&self, privilege: &str, schema: &str, table: &str) -> bool {
        let taken_back = self.0.iter().any(|grant| {
            grant.revoked
                && matches!(&grant.on, Scope::Database(of) if of == schema)
                && grant.has(privilege)
        });
        self.0.iter().any(|grant| {
            !grant.revoked
                && grant.has(privilege)
                && match &grant.on {
                    Scope::Everything => !taken_back,
                    Scope::Database(_) => self.on_database(grant, privilege, schema),
                    Scope::Table(of, name) => of == schema && name == table,
                }
        })
    }

    /// Whether a grant on a database counts. Of several patterns that match, a server takes one
    /// alone, and which one is its own affair: a privilege counts where all of them have it.
    fn on_database(&self, grant: &Grant, privilege: &str, schema: &str) -> bool {
        let of_same = |other: &&Grant| !other.revoked && other.to == grant.to;
        let matching = |other: &&Grant| matches!(&other.on, Scope::Database(pattern) if matches(pattern, schema));
        matching(&grant)
            && self
                .0
                .iter()
                .filter(of_same)
                .filter(matching)
                .all(|other| other.has(privilege))
    }

    /// The columns a privilege is held on without being the table's.
    fn columns<'g>(
        &'g self,
        privilege: &'g str,
        schema: &'g str,
        table: &'g str,
    ) -> impl Iterator<Item = &'g str> {
        self.0
            .iter()
            .filter(move |grant| {
                matches!(&grant.on, Scope::Table(of, name) if of == schema && name == table)
            })
            .flat_map(|grant| &grant.privileges)
            .filter(move |(name, _)| name == privilege)
            .filter_map(|(_, columns)| columns.as_ref())
            .flatten()
            .map(String::as_str)
    }

    /// What a plan asks of one table.
    pub(super) fn privileges(&self, schema: &str, table: &str, columns: &[Ident]) -> Privileges {
        let update = if self.on("UPDATE", schema, table) {
            columns.iter().cloned().collect()
        } else {
            let some: BTreeSet<&str> = self.columns("UPDATE", schema, table).collect();
            let may = |column: &&Ident| some.contains(column.as_str());
            columns.iter().filter(may).cloned().collect()
        };
        Privileges {
            select: self.on("SELECT", schema, table),
            delete: self.on("DELETE", schema, table),
            insert: self.on("INSERT", schema, table),
            update,
        }
    }
}

impl Grant {
    /// Whether the privilege is granted without a limit to columns.
    fn has(&self, privilege: &str) -> bool {
        self.privileges.iter().any(|(name, columns)| {
            columns.is_none() && (name == privilege || name == "ALL PRIVILEGES")
        })
    }
}

/// `GRANT SELECT, UPDATE (`a`, `b`) ON `crm`.`people` TO …`.
fn grant(line: &str) -> Option<Grant> {
    let (revoked, rest) = match line.strip_prefix("GRANT ") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("REVOKE ")?),
    };
    let mut reader = Reader(rest);
    let mut privileges = Vec::new();
    loop {
        let name = reader.words();
        if name.is_empty() {
            return None;
        }
        reader.blanks();
        let columns = if reader.take("(") {
            Some(reader.columns()?)
        } else {
            None
        };
        privileges.push((name.to_ascii_uppercase(), columns));
        reader.blanks();
        if !reader.take(",") {
            break;
        }
        reader.blanks();
    }
    if !reader.take("ON ") {
        return None;
    }
    let on = reader.scope()?;
    let to = reader.grantee();
    Some(Grant {
        privileges,
        on,
        to,
        revoked,
    })
}

struct Reader<'t>(&'t str);

impl<'t> Reader<'t> {
    fn take(&mut self, what: &str) -> bool {
        let rest = self.0.strip_prefix(what);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn blanks(&mut self) {
        self.0 = self.0.trim_start();
    }

    /// A privilege's name: words up to a comma, a bracket or ` ON `.
    fn words(&mut self) -> &'t str {
        let until = |what: &str| self.0.find(what).unwrap_or(self.0.len());
        let end = until(",").min(until("(")).min(until(" ON "));
        let (name, rest) = self.0.split_at(end);
        self.0 = rest;
        name.trim()
    }

    /// A list of columns up to the closing bracket.
    fn columns(&mut self) -> Option<BTreeSet<String>> {
        let mut columns = BTreeSet::new();
        loop {
            self.blanks();
            columns.insert(self.name()?);
            self.blanks();
            if self.take(")") {
                return Some(columns);
            }
            if !self.take(",") {
                return None;
            }
        }
    }

    /// A name in backticks (doubled inside), or a bare word.
    fn name(&mut self) -> Option<String> {
        if !self.take("`") {
            let end = self
                .0
                .find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$')
                .unwrap_or(self.0.len());
            let (name, rest) = self.0.split_at(end);
            self.0 = rest;
            return (!name.is_empty()).then(|| name.to_owned());
        }
        let mut name = String::new();
        loop {
            let end = self.0.find('`')?;
            name.push_str(&self.0[..end]);
            self.0 = &self.0[end + 1..];
            if !self.take("`") {
                return Some(name);
            }
            name.push('`');
        }
    }

    /// Who has it; nothing of what follows (a password's hash, options) is kept.
    fn grantee(&mut self) -> String {
        let rest = self.0.trim_start();
        let rest = rest.strip_prefix("TO ").unwrap_or(rest);
        let until = |what: &str| rest.find(what).unwrap_or(rest.len());
        let end = until(" IDENTIFIED ")
            .min(until(" REQUIRE "))
            .min(until(" WITH "));
        rest[..end].to_owned()
    }

    fn scope(&mut self) -> Option<Scope> {
        if self.take("*.*") {
            return Some(Scope::Everything);
        }
        // Routines and proxies are no tables.
        for other in ["PROCEDURE ", "FUNCTION ", "PACKAGE ", "''@", "'"] {
            if self.0.starts_with(other) {
                return None;
            }
        }
        let database = self.name()?;
        if !self.take(".") {
            return None;
        }
        if self.take("*") {
            return Some(Scope::Database(database));
        }
        Some(Scope::Table(database, self.name()?))
    }
}

/// Matches a database name with a grant's pattern.
fn matches(pattern: &str, name: &str) -> bool {
    fn go(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            (['\\', escaped, rest @ ..], [first, tail @ ..]) if escaped == first => go(rest, tail),
            (['\\', _, ..], _) => false,
            (['%', rest @ ..], _) => (0..=name.len()).any(|skipped| go(rest, &name[skipped..])),
            (['_', rest @ ..], [_, tail @ ..]) => go(rest, tail),
            ([c, rest @ ..], [first, tail @ ..]) if c == first => go(rest, tail),
            _ => false,
        }
    }
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    go(&pattern, &name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(lines: &[&str]) -> Grants {
        Grants::read(lines.iter().copied())
    }

    fn names(list: &[&str]) -> Vec<Ident> {
        list.iter().map(|name| Ident::new(*name).unwrap()).collect()
    }

    #[test]
    fn table_and_column_privileges_are_kept_apart() {
        let grants = grants(&[
            "GRANT USAGE ON *.* TO `least`@`%` IDENTIFIED BY PASSWORD '*B69'",
            "GRANT SELECT, UPDATE (`n`, `o,(d`), DELETE ON `crm`.`parent` TO `least`@`%`",
        ]);
        let of = grants.privileges("crm", "parent", &names(&["id", "n", "o,(d"]));
        assert!(of.select && of.delete);
        assert_eq!(of.update.len(), 2);
        assert!(!grants.on("SELECT", "crm", "child"));
        assert!(!grants.everywhere("PROCESS"));
    }

    #[test]
    fn wildcards_in_database_names_match_as_the_server_does() {
        let grants = grants(&[
            "GRANT ALL PRIVILEGES ON `crm\\_%`.* TO `u`@`%`",
            "GRANT TRIGGER ON `a_c`.* TO `u`@`%`",
        ]);
        assert!(grants.on("DELETE", "crm_test", "t"));
        assert!(!grants.on("DELETE", "crmxtest", "t"));
        assert!(grants.on("TRIGGER", "abc", "t"));
    }

    #[test]
    fn a_privilege_whose_name_begins_with_all_is_not_all_of_them() {
        let grants = grants(&[
            "GRANT USAGE ON *.* TO `u`@`%`",
            "GRANT ALLOW_NONEXISTENT_DEFINER,SET_ANY_DEFINER ON *.* TO `u`@`%`",
        ]);
        assert!(!grants.everywhere("PROCESS"));
        assert!(!grants.on("DELETE", "crm", "t"));
        assert!(grants.everywhere("ALLOW_NONEXISTENT_DEFINER"));
    }

    #[test]
    fn of_two_patterns_only_what_both_grant_counts() {
        let mut lines = vec![
            "GRANT SELECT, TRIGGER ON `crm%`.* TO `u`@`%` IDENTIFIED BY PASSWORD '*B69'",
            "GRANT SELECT, DELETE ON `crm\\_a`.* TO `u`@`%` WITH GRANT OPTION",
        ];
        let both = grants(&lines);
        assert!(both.on("SELECT", "crm_a", "t") && both.on("TRIGGER", "crm_b", "t"));
        assert!(!both.on("TRIGGER", "crm_a", "t") && !both.on("DELETE", "crm_b", "t"));
        // What a role adds is added.
        lines.push("GRANT TRIGGER ON `crm\\_a`.* TO `rr`");
        assert!(grants(&lines).on("TRIGGER", "crm_a", "t"));
    }

    #[test]
    fn a_partial_revoke_takes_a_database_out_of_a_global_grant() {
        let grants = grants(&[
            "GRANT SELECT, PROCESS ON *.* TO `u`@`%`",
            "REVOKE SELECT ON `crm`.* FROM `u`@`%`",
        ]);
        assert!(grants.everywhere("PROCESS"));
        assert!(!grants.on("SELECT", "crm", "t"));
        assert!(grants.on("SELECT", "other", "t"));
    }

    #[test]
    fn roles_and_routines_are_no_table_privileges() {
        let grants = grants(&[
            "GRANT `rr`@`%` TO `viar`@`%`",
            "GRANT EXECUTE ON PROCEDURE `crm`.`p` TO `u`@`%`",
            "GRANT PROXY ON ''@'' TO `u`@`%` WITH GRANT OPTION",
            "SET DEFAULT ROLE `rr` FOR `viar`@`%`",
        ]);
        assert!(grants.0.is_empty());
    }
}
