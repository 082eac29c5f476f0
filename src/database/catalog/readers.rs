//! Who else may read tables that must be locked down, and what acts on rows that come there.
//!
//! PostgreSQL shows everybody's privileges to everybody. MySQL and MariaDB show them to whoever may
//! read the tables of grants; `information_schema` shows an ordinary user its own only.

use std::collections::BTreeMap;

use oubliette_core::catalog::{Engine, Reader, Readers};
use oubliette_core::grants::account;
use oubliette_core::name::{Ident, TableName};
use oubliette_core::sql::{Bound, dialect};
use oubliette_core::value::Value;

use super::answer::Answer;
use super::ident;
use crate::database::fault::{Fault, FaultClass};
use crate::database::session::Tx;

/// Roles that may read or change a table or a partition of it, or hang a trigger on it, which sees each row. Left out: superusers, the owners of table and schema, who can
/// give themselves what they like, our own user, and the server's own roles, which nobody is.
const POSTGRES: &str = r"
SELECT DISTINCT reader.name
FROM pg_catalog.pg_class t
JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
CROSS JOIN LATERAL (
    SELECT t.oid AS oid
    UNION SELECT part.relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree(t.oid) part
) parts
JOIN pg_catalog.pg_class c ON c.oid = parts.oid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT 'PUBLIC' AS name
    WHERE pg_catalog.has_schema_privilege('public', n.oid, 'USAGE')
        AND (pg_catalog.has_table_privilege('public', c.oid, 'SELECT, UPDATE, DELETE, TRUNCATE, TRIGGER')
            OR pg_catalog.has_any_column_privilege('public', c.oid, 'SELECT, UPDATE'))
    UNION ALL
    SELECT r.rolname::pg_catalog.text
    FROM pg_catalog.pg_roles r
    WHERE NOT r.rolsuper AND r.rolname !~ '^pg_' AND r.oid <> c.relowner AND r.oid <> n.nspowner
        AND r.rolname <> current_user
        AND pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE')
        AND (pg_catalog.has_table_privilege(r.oid, c.oid, 'SELECT, UPDATE, DELETE, TRUNCATE, TRIGGER')
            OR pg_catalog.has_any_column_privilege(r.oid, c.oid, 'SELECT, UPDATE'))
) reader
WHERE tn.nspname = $1 AND t.relname = $2
ORDER BY reader.name
";

/// What acts on rows that are added to a table, as its partitions do. Functions that come with the server
/// leave no dependency.
const POSTGRES_ACTING: &str = r"
SELECT acting.name
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT pg_catalog.concat('trigger ', t.tgname) AS name
    FROM pg_catalog.pg_trigger t
    WHERE (t.tgrelid = c.oid
            OR t.tgrelid IN (SELECT leaf.relid FROM pg_catalog.pg_partition_tree(c.oid) leaf))
        AND (NOT t.tgisinternal OR t.tgparentid <> 0 AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_constraint k WHERE k.oid = t.tgconstraint AND k.contype <> 't'))
        AND t.tgenabled IN ('O', 'A') AND (t.tgtype & 4) <> 0
    UNION
    SELECT pg_catalog.concat('rule ', r.rulename)
    FROM pg_catalog.pg_rewrite r
    WHERE r.ev_class = c.oid AND r.ev_type = '3' AND r.ev_enabled IN ('O', 'A')
    UNION
    SELECT pg_catalog.concat('the default of ', a.attname)
    FROM pg_catalog.pg_attrdef d
    JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum AND a.attgenerated = ''
    JOIN pg_catalog.pg_depend f ON f.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
        AND f.objid = d.oid AND f.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
    JOIN pg_catalog.pg_proc p ON p.oid = f.refobjid
    JOIN pg_catalog.pg_roles o ON o.oid = p.proowner
    WHERE d.adrelid = c.oid AND NOT (o.rolsuper OR o.rolname = current_user)
) acting
WHERE n.nspname = $1 AND c.relname = $2
ORDER BY acting.name
";

/// The same: everything that is granted on the server, on databases whose pattern fits, and on the
/// table. Left out: accounts with SUPER, our own and the server's own.
const INNODB: &str = r"
SELECT CONVERT(g.name USING utf8mb4), CONVERT(g.host USING utf8mb4), g.scope, CONVERT(g.db USING utf8mb4)
FROM (
    SELECT u.User AS name, u.Host AS host, 'server' AS scope, '' AS db FROM mysql.user u
    WHERE 'Y' IN (u.Select_priv, u.Update_priv, u.Delete_priv)
    UNION ALL
    SELECT d.User, d.Host, 'database', d.Db FROM mysql.db d
    WHERE ? LIKE d.Db AND 'Y' IN (d.Select_priv, d.Update_priv, d.Delete_priv)
    UNION ALL
    SELECT t.User, t.Host, 'table', t.Db FROM mysql.tables_priv t
    WHERE t.Db = ? AND t.Table_name = ?
        AND (t.Table_priv REGEXP 'Select|Update|Delete' OR t.Column_priv REGEXP 'Select|Update')
) g
WHERE NOT EXISTS (SELECT 1 FROM mysql.user s
        WHERE s.User = g.name AND s.Host = g.host AND s.Super_priv = 'Y')
    AND CONCAT(CONVERT(g.name USING utf8mb4), '@', CONVERT(g.host USING utf8mb4)) <> CURRENT_USER()
    AND NOT (g.host = 'localhost' AND g.name IN
        ('mysql.sys', 'mysql.session', 'mysql.infoschema', 'mariadb.sys'))
ORDER BY 1, 2, 3, 4
";

/// Who may read or change each of these tables. The last question of a transaction: where the answer
/// is refused, nothing more is asked in it.
pub async fn readers(
    tx: &mut Tx,
    tables: &[TableName],
) -> Result<BTreeMap<TableName, Readers>, Fault> {
    let mut all = BTreeMap::new();
    for table in tables {
        match of(tx, table).await {
            Ok(known) => {
                all.insert(table.clone(), known);
            }
            Err(fault) if fault.class == FaultClass::Privilege => {
                for table in tables {
                    all.insert(table.clone(), Readers::Hidden);
                }
                break;
            }
            Err(fault) => return Err(fault),
        }
    }
    Ok(all)
}

async fn of(tx: &mut Tx, table: &TableName) -> Result<Readers, Fault> {
    let schema = table.schema.as_ref().map_or("", Ident::as_str);
    let value = |text: &str| Value::Text(text.to_owned());
    let engine = tx.engine();
    let (schema, name) = (value(schema), value(table.table.as_str()));
    let mut readers = Vec::new();
    if engine == Engine::Postgres {
        let values = vec![schema, name];
        for row in tx.rows(&Bound::fixed(POSTGRES, values.clone())).await? {
            let name = Answer::new(row).shown()?;
            let everybody = name == "PUBLIC";
            readers.push(Reader {
                name,
                on: String::new(),
            });
            if everybody {
                readers.retain(|reader| reader.name == "PUBLIC");
                break;
            }
        }
        let mut acting = Vec::new();
        for row in tx.rows(&Bound::fixed(POSTGRES_ACTING, values)).await? {
            acting.push(Answer::new(row).shown()?);
        }
        return Ok(Readers::Known {
            others: readers,
            acting,
        });
    }
    let values = vec![schema.clone(), schema, name];
    for row in tx.rows(&Bound::fixed(INNODB, values)).await? {
        let mut a = Answer::new(row);
        let (user, host, scope, database) = (a.shown()?, a.shown()?, a.text()?, a.shown()?);
        let quoted = |name: &str| {
            let mut text = String::new();
            dialect(engine).quote(&mut text, name);
            text
        };
        let on = match scope.as_str() {
            "server" => "*.*".to_owned(),
            "database" => format!("{}.*", quoted(&database)),
            _ => format!(
                "{}.{}",
                quoted(&database),
                quoted(ident(table.table.as_str())?.as_str())
            ),
        };
        let name = if host.is_empty() {
            // MariaDB: a role.
            quoted(&user)
        } else {
            account(engine, &format!("{user}@{host}"))
        };
        readers.push(Reader { name, on });
    }
    // A trigger has the privileges of whoever made it.
    Ok(Readers::Known {
        others: readers,
        acting: Vec::new(),
    })
}
