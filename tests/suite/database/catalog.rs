//! What the catalogs tell of schemas with everything odd in them, and of what a user cannot see.

use anyhow::{Context, Result, ensure};
use oubliette::database::{Access, Database, inspect};
use oubliette_core::catalog::{
    Bounds, Catalog, Column, ColumnKind as K, Engine, OnDelete, Reference, Table, TableKind,
};
use oubliette_core::grants;
use oubliette_core::name::{Ident, TableName};

use super::{INNODB, POSTGRES, as_user, login, named};
use crate::case::{Case, Server};
use crate::sql;
use crate::world::World;

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = named(
        "catalog",
        &[
            ("postgres_tables", postgres_tables),
            ("postgres_references", postgres_references),
            (
                "a_leafs_share_of_a_trigger_is_a_trigger",
                a_leafs_share_of_a_trigger_is_a_trigger,
            ),
            (
                "a_postgres_user_sees_references_of_tables_it_may_not_read",
                a_postgres_user_sees_references_of_tables_it_may_not_read,
            ),
        ],
        &POSTGRES,
    );
    cases.extend(named(
        "catalog",
        &[(
            "names_of_other_people_stop_nobody_and_write_no_lines",
            names_of_other_people_stop_nobody_and_write_no_lines,
        )],
        &Server::ALL,
    ));
    cases.extend(named(
        "catalog",
        &[
            ("innodb_tables", innodb_tables),
            ("innodb_references", innodb_references),
            (
                "the_narrower_of_two_grants_on_databases_counts_alone",
                the_narrower_of_two_grants_on_databases_counts_alone,
            ),
            (
                "an_innodb_user_knows_what_it_does_not_see",
                an_innodb_user_knows_what_it_does_not_see,
            ),
        ],
        &INNODB,
    ));
    cases
}

async fn look(database: &Database, wanted: &[&str]) -> Result<Catalog> {
    let wanted: Result<Vec<TableName>, _> = wanted.iter().map(|name| name.parse()).collect();
    let mut tx = database.begin(Access::ReadOnly).await?;
    let catalog = inspect(&mut tx, &wanted?).await?;
    tx.rollback().await;
    Ok(catalog)
}

fn table<'c>(catalog: &'c Catalog, name: &str) -> Result<&'c Table> {
    let of = |table: &&Table| table.name.table.as_str() == name;
    catalog
        .tables
        .values()
        .find(of)
        .with_context(|| format!("{name} is not in the catalog"))
}

fn column<'t>(table: &'t Table, name: &str) -> Result<&'t Column> {
    let name = Ident::new(name)?;
    table
        .column(&name)
        .with_context(|| format!("no column {name}"))
}

fn names(idents: &[Ident]) -> Vec<&str> {
    idents.iter().map(Ident::as_str).collect()
}

fn tables(names: &[TableName]) -> Vec<&str> {
    names.iter().map(|name| name.table.as_str()).collect()
}

fn reference<'c>(catalog: &'c Catalog, name: &str) -> Result<&'c Reference> {
    catalog
        .references
        .iter()
        .find(|reference| reference.name == name)
        .with_context(|| format!("{name} is not among {:?}", catalog.references))
}

const POSTGRES_TABLES: &str = r#"
CREATE TYPE mood AS ENUM ('a', 'b');
CREATE DOMAIN address AS varchar(40) NOT NULL CONSTRAINT address_at CHECK (value ~ '@');
CREATE DOMAIN contact AS address;
CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE odd (
    id int PRIMARY KEY, "Na ""me" text COLLATE ci, mail contact, m mood,
    g int GENERATED ALWAYS AS (1) STORED, i bigint GENERATED ALWAYS AS IDENTITY, u uuid, b bytea,
    d date, ts timestamp, tz timestamptz, n numeric(4,2), j jsonb, f real, bo bool, vc varchar(7),
    x point, CONSTRAINT positive CHECK (id > 0 AND vc <> 'x'));
CREATE INDEX partial ON odd (vc) WHERE id > 1;
CREATE INDEX expression ON odd (d, lower(vc), ts);
CREATE INDEX including ON odd (tz) INCLUDE (ts);
CREATE INDEX hashed ON odd USING hash (u);
CREATE INDEX pattern ON odd (vc text_pattern_ops);
CREATE UNIQUE INDEX two ON odd (ts, d);
CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER gone AFTER DELETE OR INSERT ON odd FOR EACH ROW EXECUTE FUNCTION act();
CREATE TRIGGER switched_off AFTER UPDATE ON odd FOR EACH ROW EXECUTE FUNCTION act();
ALTER TABLE odd DISABLE TRIGGER switched_off;
CREATE TABLE ruled (id int PRIMARY KEY);
CREATE RULE kept AS ON DELETE TO ruled DO INSTEAD NOTHING;
ALTER TABLE ruled ENABLE ROW LEVEL SECURITY;
CREATE VIEW v AS SELECT id FROM ruled;
CREATE MATERIALIZED VIEW mv AS SELECT id FROM v;
CREATE TABLE keyless (id int);
CREATE PUBLICATION told FOR TABLE keyless, ruled;
CREATE TABLE _odd_old (id int); CREATE TABLE odd_20260102030405_del (id int); CREATE TABLE oddly_old (id int);
CREATE TABLE part (id int, at date, PRIMARY KEY (at, id)) PARTITION BY RANGE (at);
CREATE TABLE part_a PARTITION OF part FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE part_b PARTITION OF part FOR VALUES FROM ('2021-01-01') TO ('2022-01-01') PARTITION BY LIST (id);
CREATE TABLE part_ba PARTITION OF part_b DEFAULT;
CREATE TABLE family (id int PRIMARY KEY); CREATE TABLE offspring () INHERITS (family);
INSERT INTO part SELECT x, '2020-02-02' FROM generate_series(1, 500) x;
"#;

fn postgres_tables(world: &World, server: Server) -> Result<()> {
    let own = world.database(server, "catalog")?;
    world.block_on(async {
        own.admin.execute(POSTGRES_TABLES).await?;
        let database = as_user(&own, &["GRANT SELECT, UPDATE (vc) ON odd TO ${user}"]).await?;
        let wanted = [
            "public.odd",
            "public.ruled",
            "public.keyless",
            "public.part",
            "public.family",
            "public.v",
            "public.absent",
            "odd",
        ];
        let catalog = look(&database, &wanted).await?;
        ensure!(catalog.engine == Engine::Postgres && catalog.database == own.name);
        ensure!(catalog.sees_references && catalog.sees_triggers);
        // Without a schema nothing is guessed.
        ensure!(tables(&catalog.missing) == ["absent", "odd"], "{:?}", catalog.missing);

        let odd = table(&catalog, "odd")?;
        let kinds: Vec<K> = odd.columns.iter().map(|c| c.kind).collect();
        ensure!(
            kinds
                == [
                    K::Int, K::Text, K::Text, K::Enum, K::Int, K::Int, K::Uuid, K::Bytes, K::Date,
                    K::Civil, K::Instant, K::Decimal, K::Json, K::Float, K::Bool, K::Text, K::Other
                ],
            "{kinds:?}"
        );
        ensure!(column(odd, "Na \"me")?.nondeterministic);
        let mail = column(odd, "mail")?;
        ensure!(mail.type_name == "public.contact" && mail.max_length == Some(40), "{mail:?}");
        ensure!(!mail.nullable, "a domain's NOT NULL counts");
        let labels = Bounds::OneOf(vec!["a".to_owned(), "b".to_owned()]);
        ensure!(column(odd, "m")?.bounds == labels);
        let digits = Bounds::Digits { precision: 4, scale: 2 };
        ensure!(column(odd, "n")?.bounds == digits && column(odd, "id")?.bounds == Bounds::signed(4));
        ensure!(column(odd, "g")?.generated && !column(odd, "g")?.identity_always);
        ensure!(column(odd, "i")?.identity_always);
        ensure!(column(odd, "vc")?.max_length == Some(7));
        ensure!(names(&odd.primary_key) == ["id"]);
        let usable: Vec<_> = odd
            .indexes
            .iter()
            .filter(|index| !index.partial_or_invalid)
            .map(|index| (index.name.as_str(), names(&index.columns), index.unique))
            .collect();
        ensure!(
            usable
                == [
                    ("including", vec!["tz"], false),
                    ("odd_pkey", vec!["id"], true),
                    ("two", vec!["ts", "d"], true),
                ],
            "{usable:?}"
        );
        ensure!(odd.triggers.len() == 1 && odd.triggers[0].name == "gone");
        ensure!(odd.triggers[0].on_delete && !odd.triggers[0].on_update);
        let checks: Vec<_> = odd.checks.iter().map(|c| (c.name.as_str(), names(&c.columns))).collect();
        ensure!(
            checks == [("address_at", vec!["mail"]), ("positive", vec!["id", "vc"])],
            "{checks:?}"
        );
        ensure!(tables(&odd.copies) == ["_odd_old", "odd_20260102030405_del"], "{:?}", odd.copies);
        let rights = &catalog.privileges[&odd.name];
        ensure!(rights.select && !rights.delete);
        let may: Vec<_> = rights.update.iter().map(Ident::as_str).collect();
        ensure!(may == ["vc"], "{may:?}");

        let ruled = table(&catalog, "ruled")?;
        ensure!(ruled.rules == ["kept"] && ruled.row_security);
        ensure!(tables(&ruled.materialised_views) == ["mv"], "through a view");
        ensure!(ruled.publications_without_identity.is_empty());
        ensure!(!catalog.privileges[&ruled.name].select);
        let keyless = table(&catalog, "keyless")?;
        ensure!(keyless.publications_without_identity == ["told"]);
        ensure!(keyless.primary_key.is_empty());
        let part = table(&catalog, "part")?;
        let TableKind::Partitioned { leaves } = &part.kind else {
            anyhow::bail!("{:?}", part.kind);
        };
        ensure!(tables(leaves) == ["part_a", "part_ba"]);
        ensure!(names(&part.primary_key) == ["at", "id"]);
        ensure!(part.estimated_rows > 0, "never analysed, but there are pages");
        ensure!(matches!(&table(&catalog, "part_a")?.kind, TableKind::Partition { of } if of == &part.name));
        ensure!(matches!(table(&catalog, "family")?.kind, TableKind::InheritanceParent { .. }));
        ensure!(table(&catalog, "v")?.kind == TableKind::View);

        // Row-level security does not apply to who bypasses it.
        let admin = Database::connect(&login(&own)?).await?;
        let catalog = look(&admin, &["public.ruled"]).await?;
        ensure!(!table(&catalog, "ruled")?.row_security);
        Ok(())
    })
}

const POSTGRES_REFERENCES: &str = "
CREATE TABLE top (id int PRIMARY KEY); CREATE TABLE parent (id int PRIMARY KEY, top int CONSTRAINT up REFERENCES top);
CREATE TABLE child (id int PRIMARY KEY, p int CONSTRAINT cascades REFERENCES parent ON DELETE CASCADE);
CREATE TABLE grandchild (id int PRIMARY KEY, c int NOT NULL UNIQUE CONSTRAINT nulls REFERENCES child ON DELETE SET NULL);
CREATE TABLE loop (id int PRIMARY KEY, before int CONSTRAINT own REFERENCES loop, p int CONSTRAINT looped REFERENCES parent ON DELETE SET DEFAULT);
CREATE TABLE late (id int PRIMARY KEY, p int);
ALTER TABLE late ADD CONSTRAINT not_valid FOREIGN KEY (p) REFERENCES parent NOT VALID;
CREATE TABLE idle (id int PRIMARY KEY, p int CONSTRAINT switched_off REFERENCES parent);
ALTER TABLE idle DISABLE TRIGGER ALL;
CREATE TABLE pair (a int, b int, PRIMARY KEY (b, a));
CREATE TABLE pair_child (x int, y int, CONSTRAINT composite FOREIGN KEY (x, y) REFERENCES pair (b, a)
    ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED);
CREATE INDEX ON pair_child (y, x);
CREATE TABLE part (id int PRIMARY KEY) PARTITION BY HASH (id);
CREATE TABLE part_0 PARTITION OF part FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE TABLE to_part (id int PRIMARY KEY, p int CONSTRAINT whole REFERENCES part);
CREATE TABLE to_leaf (id int PRIMARY KEY, p int CONSTRAINT leaf REFERENCES part_0);
";

fn postgres_references(world: &World, server: Server) -> Result<()> {
    let own = world.database(server, "references")?;
    world.block_on(async {
        own.admin.execute(POSTGRES_REFERENCES).await?;
        if server == Server::Postgres18 {
            own.admin
                .execute(
                    "CREATE TABLE lax (id int PRIMARY KEY, p int \
                     CONSTRAINT not_enforced REFERENCES parent NOT ENFORCED)",
                )
                .await?;
        }
        let database = Database::connect(&login(&own)?).await?;
        let catalog = look(&database, &["public.parent", "public.pair", "public.part"]).await?;
        for name in [
            "top",
            "child",
            "grandchild",
            "loop",
            "late",
            "idle",
            "to_leaf",
            "to_part",
        ] {
            table(&catalog, name)?;
        }
        let cascades = reference(&catalog, "cascades")?;
        ensure!(cascades.on_delete == OnDelete::Cascade && cascades.enforced);
        ensure!(cascades.nullable && !cascades.indexed && !cascades.deferrable);
        let nulls = reference(&catalog, "nulls")?;
        ensure!(nulls.on_delete == OnDelete::SetNull && !nulls.nullable && nulls.indexed);
        let own_reference = reference(&catalog, "own")?;
        ensure!(own_reference.from == own_reference.to && own_reference.enforced);
        ensure!(reference(&catalog, "looped")?.on_delete == OnDelete::SetDefault);
        ensure!(reference(&catalog, "up")?.on_delete == OnDelete::Refuse);
        ensure!(!reference(&catalog, "not_valid")?.enforced);
        ensure!(!reference(&catalog, "switched_off")?.enforced);
        if server == Server::Postgres18 {
            ensure!(!reference(&catalog, "not_enforced")?.enforced);
        }
        let composite = reference(&catalog, "composite")?;
        ensure!(names(&composite.from_columns) == ["x", "y"]);
        ensure!(names(&composite.to_columns) == ["b", "a"]);
        ensure!(composite.deferrable && composite.on_update_acts && composite.indexed);
        ensure!(reference(&catalog, "whole")?.to.table.as_str() == "part");
        ensure!(reference(&catalog, "leaf")?.to.table.as_str() == "part_0");
        let clones = catalog
            .references
            .iter()
            .filter(|r| r.from.table.as_str() == "to_part");
        ensure!(
            clones.count() == 1,
            "a partition's share of a key is not another key"
        );
        Ok(())
    })
}

/// PostgreSQL 13 and 14 mark a row trigger that a leaf has from its parent as internal.
fn a_leafs_share_of_a_trigger_is_a_trigger(world: &World, server: Server) -> Result<()> {
    let own = world.database(server, "leaf_trigger")?;
    world.block_on(async {
        own.admin
            .execute(
                "CREATE TABLE other (id int PRIMARY KEY); \
                 CREATE TABLE part (id int PRIMARY KEY REFERENCES other DEFERRABLE) \
                 PARTITION BY HASH (id); \
                 CREATE TABLE part_0 PARTITION OF part FOR VALUES WITH (MODULUS 1, REMAINDER 0); \
                 CREATE TABLE to_part (id int PRIMARY KEY REFERENCES part); \
                 CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
            )
            .await?;
        let database = Database::connect(&login(&own)?).await?;
        let triggers = async || -> Result<Vec<String>> {
            let catalog = look(&database, &["public.part"]).await?;
            let leaf = table(&catalog, "part_0")?;
            Ok(leaf.triggers.iter().map(|t| t.name.clone()).collect())
        };
        ensure!(triggers().await?.is_empty(), "those of a foreign key are none");
        own.admin
            .execute(
                "CREATE TRIGGER plain AFTER DELETE ON part FOR EACH ROW EXECUTE FUNCTION act(); \
                 CREATE CONSTRAINT TRIGGER late AFTER DELETE ON part DEFERRABLE INITIALLY DEFERRED \
                 FOR EACH ROW EXECUTE FUNCTION act(); \
                 UPDATE pg_trigger SET tgisinternal = true WHERE tgrelid = 'part_0'::regclass",
            )
            .await?;
        let found = triggers().await?;
        ensure!(found == ["late", "plain"], "{found:?}");
        Ok(())
    })
}

/// Tables that belong to somebody else are called anything; so are triggers and the like of a table's
/// owner, and they are shown.
fn names_of_other_people_stop_nobody_and_write_no_lines(
    world: &World,
    server: Server,
) -> Result<()> {
    let own = world.database(server, "called_anything")?;
    let other = world.database(server, "somebody_elses")?;
    world.block_on(async {
        let (home, elsewhere) = if server.is_postgres() {
            (
                r#"CREATE TABLE people (id int PRIMARY KEY); CREATE TABLE U&"x\000A_old" (id int);
                CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
                CREATE TRIGGER U&"t\000A\001B[2J" AFTER DELETE ON people
                    FOR EACH ROW EXECUTE FUNCTION act()"#,
                "SELECT 1",
            )
        } else {
            (
                "CREATE TABLE people (id int PRIMARY KEY); CREATE TABLE `x\n_old` (id int); \
                 CREATE TRIGGER `t\n\u{1b}[2J` AFTER DELETE ON people FOR EACH ROW SET @a = 1",
                "CREATE TABLE `a/b` (id int PRIMARY KEY); \
                 CREATE TABLE `c\nd` (id int PRIMARY KEY, CONSTRAINT `k\n/` \
                 FOREIGN KEY (id) REFERENCES `a/b` (id)); \
                 CREATE TABLE plain (id int PRIMARY KEY, FOREIGN KEY (id) REFERENCES `c\nd` (id))",
            )
        };
        own.admin.execute(home).await?;
        other.admin.execute(elsewhere).await?;
        let name = if server.is_postgres() {
            "public.people"
        } else {
            "people"
        };
        let database = Database::connect(&login(&own)?).await?;
        let catalog = look(&database, &[name]).await?;
        ensure!(catalog.sees_references && catalog.references.is_empty());
        let people = table(&catalog, "people")?;
        ensure!(people.copies.is_empty(), "{:?}", people.copies);
        let triggers: Vec<_> = people.triggers.iter().map(|t| t.name.as_str()).collect();
        ensure!(triggers == ["t\u{fffd}\u{fffd}[2J"], "{triggers:?}");
        Ok(())
    })
}

fn a_postgres_user_sees_references_of_tables_it_may_not_read(
    world: &World,
    server: Server,
) -> Result<()> {
    let own = world.database(server, "hidden")?;
    world.block_on(async {
        own.admin.execute(POSTGRES_REFERENCES).await?;
        own.admin
            .execute(
                "CREATE SCHEMA secret; CREATE TABLE secret.child (id int PRIMARY KEY, p int \
                 CONSTRAINT hidden REFERENCES parent ON DELETE CASCADE)",
            )
            .await?;
        let database = as_user(&own, &["GRANT SELECT, DELETE ON parent TO ${user}"]).await?;
        let catalog = look(&database, &["public.parent"]).await?;
        let hidden = reference(&catalog, "hidden")?;
        ensure!(hidden.on_delete == OnDelete::Cascade);
        ensure!(!catalog.privileges[&hidden.from].select);
        ensure!(catalog.privileges[&hidden.to].delete);
        Ok(())
    })
}

const INNODB_TABLES: &str = "
CREATE TABLE odd (
    id bigint unsigned AUTO_INCREMENT PRIMARY KEY, vc varchar(7) CHARACTER SET latin1,
    touched timestamp DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
    g int GENERATED ALWAYS AS (1) STORED, e enum('a'), d date, dt datetime, b varbinary(3), ti tinyint(1),
    de decimal(3,1), iu int unsigned, tt text, y year,
    CONSTRAINT positive CHECK (vc <> 'x'), KEY prefix (vc(3)), KEY two (d, dt), FULLTEXT KEY words (tt));
CREATE TRIGGER touched BEFORE UPDATE ON odd FOR EACH ROW SET @a = 1;
CREATE TRIGGER added BEFORE INSERT ON odd FOR EACH ROW SET @a = 1;
CREATE TABLE part (id int PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 2;
CREATE TABLE flat (id int PRIMARY KEY) ENGINE = MyISAM;
CREATE TABLE prefixed (k varchar(20), PRIMARY KEY (k(4)));
CREATE TABLE _odd_gho (id int);
CREATE VIEW v AS SELECT 1 AS x;
";

fn innodb_tables(world: &World, server: Server) -> Result<()> {
    let own = world.database(server, "catalog")?;
    world.block_on(async {
        own.admin.execute(INNODB_TABLES).await?;
        if server == Server::MariaDb {
            own.admin
                .execute(
                    "CREATE TABLE kept (id int PRIMARY KEY) WITH SYSTEM VERSIONING; \
                     CREATE TABLE uu (id uuid PRIMARY KEY); \
                     ALTER TABLE odd ALTER INDEX two IGNORED",
                )
                .await?;
        } else {
            own.admin
                .execute("ALTER TABLE odd ALTER INDEX two INVISIBLE")
                .await?;
        }
        let database = Database::connect(&login(&own)?).await?;
        let wanted = ["odd", "part", "flat", "prefixed", "v", "kept", "uu", "Odd"];
        let catalog = look(&database, &wanted).await?;
        ensure!(catalog.sees_references && catalog.sees_triggers);
        let missing = tables(&catalog.missing);
        let expected: &[&str] = if server == Server::MariaDb {
            &["Odd"]
        } else {
            &["kept", "uu", "Odd"]
        };
        ensure!(missing == expected, "{missing:?}");

        let odd = table(&catalog, "odd")?;
        ensure!(odd.storage_engine.as_deref() == Some("InnoDB"));
        let kinds: Vec<K> = odd.columns.iter().map(|c| c.kind).collect();
        ensure!(
            kinds
                == [
                    K::UnsignedBigInt,
                    K::Text,
                    K::Instant,
                    K::Int,
                    K::Enum,
                    K::Date,
                    K::Civil,
                    K::Bytes,
                    K::Int,
                    K::Decimal,
                    K::Int,
                    K::Text,
                    K::Other
                ],
            "{kinds:?}"
        );
        let vc = column(odd, "vc")?;
        ensure!(vc.charset.as_deref() == Some("latin1") && vc.max_length == Some(7));
        ensure!(column(odd, "touched")?.on_update_now && column(odd, "g")?.generated);
        ensure!(names(&odd.primary_key) == ["id"]);
        for (name, columns, unusable) in [
            ("PRIMARY", vec!["id"], false),
            ("prefix", vec![], true),
            ("two", vec!["d", "dt"], true),
            ("words", vec!["tt"], true),
        ] {
            let index = odd
                .indexes
                .iter()
                .find(|i| i.name == name)
                .context("an index")?;
            let as_expected =
                names(&index.columns) == columns && index.partial_or_invalid == unusable;
            ensure!(as_expected, "{index:?}");
        }
        ensure!(odd.triggers.len() == 1 && odd.triggers[0].on_update);
        let positive = odd
            .checks
            .iter()
            .find(|c| c.name == "positive")
            .context("a check")?;
        ensure!(names(&positive.columns) == ["vc"]);
        ensure!(tables(&odd.copies) == ["_odd_gho"]);
        ensure!(catalog.privileges[&odd.name].update.len() == odd.columns.len());
        ensure!(matches!(
            table(&catalog, "part")?.kind,
            TableKind::Partitioned { .. }
        ));
        ensure!(table(&catalog, "flat")?.storage_engine.as_deref() == Some("MyISAM"));
        ensure!(
            table(&catalog, "prefixed")?.primary_key.is_empty(),
            "a prefix is no key"
        );
        ensure!(table(&catalog, "v")?.kind == TableKind::View);
        if server == Server::MariaDb {
            ensure!(table(&catalog, "kept")?.kind == TableKind::SystemVersioned);
            ensure!(column(table(&catalog, "uu")?, "id")?.kind == K::Uuid);
        }
        Ok(())
    })
}

const INNODB_REFERENCES: &str = "
CREATE TABLE top (id int PRIMARY KEY);
CREATE TABLE parent (id int PRIMARY KEY, top int, CONSTRAINT up FOREIGN KEY (top) REFERENCES top (id));
CREATE TABLE child (id int PRIMARY KEY, p int, CONSTRAINT cascades FOREIGN KEY (p) REFERENCES parent (id)
    ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE `grand-chïld x` (id int PRIMARY KEY, c int NOT NULL, CONSTRAINT `odd-näme` FOREIGN KEY (c) REFERENCES child (id));
CREATE TABLE selfish (id int PRIMARY KEY, p int, CONSTRAINT nulls FOREIGN KEY (p) REFERENCES parent (id) ON DELETE SET NULL,
    own int, CONSTRAINT own FOREIGN KEY (own) REFERENCES selfish (id));
CREATE TABLE pair (a int, b int, PRIMARY KEY (b, a));
CREATE TABLE pair_child (x int, y int, CONSTRAINT composite FOREIGN KEY (x, y) REFERENCES pair (b, a));
";

fn innodb_references(world: &World, server: Server) -> Result<()> {
    let own = world.database(server, "references")?;
    world.block_on(async {
        own.admin.execute(INNODB_REFERENCES).await?;
        let database = Database::connect(&login(&own)?).await?;
        let catalog = look(&database, &["parent", "pair"]).await?;
        for name in ["top", "child", "grand-chïld x", "selfish", "pair_child"] {
            table(&catalog, name)?;
        }
        ensure!(catalog.references.len() == 6, "{:?}", catalog.references);
        let cascades = reference(&catalog, "cascades")?;
        ensure!(cascades.on_delete == OnDelete::Cascade && cascades.on_update_acts);
        ensure!(cascades.nullable && cascades.enforced && cascades.indexed);
        let odd = reference(&catalog, "odd-näme")?;
        ensure!(odd.from.table.as_str() == "grand-chïld x" && !odd.nullable);
        ensure!(odd.on_delete == OnDelete::Refuse && !odd.on_update_acts);
        ensure!(reference(&catalog, "nulls")?.on_delete == OnDelete::SetNull);
        ensure!(reference(&catalog, "up")?.to.table.as_str() == "top");
        let own_reference = reference(&catalog, "own")?;
        ensure!(own_reference.from == own_reference.to);
        let composite = reference(&catalog, "composite")?;
        ensure!(names(&composite.from_columns) == ["x", "y"]);
        ensure!(names(&composite.to_columns) == ["b", "a"]);
        Ok(())
    })
}

fn the_narrower_of_two_grants_on_databases_counts_alone(
    world: &World,
    server: Server,
) -> Result<()> {
    let own = world.database(server, "patterns")?;
    world.block_on(async {
        own.admin
            .execute(
                "CREATE TABLE t (id int PRIMARY KEY); \
                 CREATE TRIGGER act BEFORE DELETE ON t FOR EACH ROW SET @a = 1",
            )
            .await?;
        let exact = own.name.replace('_', "\\_");
        let database = as_user(
            &own,
            &[
                &format!("GRANT SELECT, TRIGGER ON `{}%`.* TO ${{user}}", own.name),
                &format!("GRANT SELECT, DELETE ON `{exact}`.* TO ${{user}}"),
                "GRANT PROCESS ON *.* TO ${user}",
            ],
        )
        .await?;
        let catalog = look(&database, &["t"]).await?;
        let t = table(&catalog, "t")?;
        // MySQL hides it; MariaDB takes the wider grant for the narrower one here.
        ensure!(t.triggers.is_empty() || server == Server::MariaDb);
        ensure!(!catalog.sees_triggers, "and the catalog knows that it may");
        Ok(())
    })
}

/// With SELECT and DELETE on the parent only, the server shows no reference and cascades all the
/// same: the catalog has to say that it cannot know.
fn an_innodb_user_knows_what_it_does_not_see(world: &World, server: Server) -> Result<()> {
    let own = world.database(server, "least")?;
    world.block_on(async {
        own.admin.execute(INNODB_REFERENCES).await?;
        own.admin
            .execute("CREATE TRIGGER act BEFORE DELETE ON parent FOR EACH ROW SET @a = 1")
            .await?;
        let least = as_user(
            &own,
            &["GRANT SELECT, DELETE, UPDATE (top) ON ${schema}.parent TO ${user}"],
        )
        .await?;
        let catalog = look(&least, &["parent"]).await?;
        ensure!(!catalog.sees_references && !catalog.sees_triggers);
        ensure!(catalog.references.iter().all(|r| r.name != "cascades"), "it is hidden");
        let rights = &catalog.privileges[&table(&catalog, "parent")?.name];
        ensure!(rights.select && rights.delete);
        let may: Vec<_> = rights.update.iter().map(Ident::as_str).collect();
        ensure!(may == ["top"], "{may:?}");

        // PROCESS shows the reference of a table the user has no right on, to any depth.
        own.admin.execute(&own.fill(&format!(
            "GRANT PROCESS ON *.* TO {user}; {}",
            grants::seeing_triggers(&catalog, &table(&catalog, "parent")?.name),
            user = catalog.user
        ))).await?;
        least.close().await;
        let again = again(&own).await?;
        let catalog = look(&again, &["parent"]).await?;
        ensure!(catalog.sees_references);
        ensure!(reference(&catalog, "cascades")?.on_delete == OnDelete::Cascade);
        reference(&catalog, "odd-näme")?;
        ensure!(table(&catalog, "child").is_err(), "the table itself stays hidden");
        ensure!(table(&catalog, "parent")?.triggers.len() == 1);
        ensure!(catalog.sees_triggers, "those of tables that no rule names hide nothing");
        again.close().await;

        // Rights through a role and a pattern count.
        let role = format!("r_{}", own.name.split('_').next().unwrap_or("t"));
        let pattern = own.name.replace('_', "\\_");
        let default = if server == Server::MariaDb {
            format!("SET DEFAULT ROLE {role} FOR {}", catalog.user)
        } else {
            format!("SET DEFAULT ROLE {role} TO {}", catalog.user)
        };
        own.admin
            .execute(&format!(
                "CREATE ROLE {role}; GRANT SELECT, UPDATE, DELETE, TRIGGER ON `{pattern}`.* TO {role}; \
                 GRANT {role} TO {user}; {default}",
                user = catalog.user
            ))
            .await?;
        let again = self::again(&own).await?;
        let catalog = look(&again, &["parent"]).await?;
        ensure!(catalog.sees_references && catalog.sees_triggers);
        let child = table(&catalog, "child")?;
        ensure!(catalog.privileges[&child.name].update.len() == 2);
        Ok(())
    })
}

/// The case's user once more, on new connections: rights are read when a session begins.
async fn again(own: &sql::Database) -> Result<Database> {
    Ok(Database::connect(&super::user_login(own)?).await?)
}
