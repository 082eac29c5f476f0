//! Unique indexes that a transformation would meet, however they read its column: the plan refuses what
//! they would.

use anyhow::{Result, ensure};
use oubliette_core::api::reason::Reason;

use crate::case::{Case, Server};
use crate::rig::Rig;
use crate::world::World;

const INNODB: [Server; 2] = [Server::MySql, Server::MariaDb];
const POSTGRES: [Server; 2] = [Server::Postgres15, Server::Postgres18];

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let on = |name: &str, servers: &[Server], body| {
        Case::on_each(&format!("indexes::{name}"), servers, body)
    };
    [
        on("of_expressions_are_seen", &POSTGRES, of_postgres),
        on("of_parts_are_seen", &INNODB, of_innodb),
    ]
    .into_iter()
    .flatten()
    .collect()
}

const CONSTANT: &str = "strategy: Constant, constant: {value: x}";
const PSEUDONYM: &str = "strategy: Pseudonym";
const NULLIFY: &str = "strategy: Nullify";

/// Tries each strategy on a table that has this beside its columns: `true` is a refusal.
fn expect<'w>(mut rig: Rig<'w>, beside: &str, refused: [(&str, bool); 3]) -> Result<Rig<'w>> {
    rig.sql(
        "DROP TABLE IF EXISTS t; CREATE TABLE t (id integer NOT NULL PRIMARY KEY, ended date, \
         email varchar(80), status varchar(40))",
    )?;
    rig.sql(beside)?;
    for (strategy, refused) in refused {
        let rules = format!(
            "- {{table: '${{schema}}.t', since: {{column: ended}}, \
             action: {{type: Anonymise, columns: [{{column: email, {strategy}}}]}}}}"
        );
        rig = rig.rules(&rules);
        if refused {
            let refusals = rig.refused()?;
            ensure!(
                refusals.len() == 1 && refusals[0].reason == Reason::ConstraintConflict,
                "{beside}, {strategy}: {refusals:?}"
            );
        } else if let Err(why) = rig.plan() {
            anyhow::bail!("{beside}, {strategy}: {why}");
        }
    }
    Ok(rig)
}

/// What may stay different, and what may not.
const WHOLE: [(&str, bool); 3] = [(CONSTANT, true), (PSEUDONYM, false), (NULLIFY, false)];
const IN_PART: [(&str, bool); 3] = [(CONSTANT, true), (PSEUDONYM, true), (NULLIFY, false)];

fn of_postgres(world: &World, server: Server) -> Result<()> {
    let mut rig = Rig::new(world, server, "indexes", "", "")?;
    for (beside, refused) in [
        ("CREATE UNIQUE INDEX ON t (email)", WHOLE),
        ("CREATE UNIQUE INDEX ON t (lower(email))", WHOLE),
        ("CREATE UNIQUE INDEX ON t (lower(status), email)", WHOLE),
        (
            "CREATE UNIQUE INDEX ON t (email) WHERE email IS NOT NULL",
            WHOLE,
        ),
        ("CREATE UNIQUE INDEX ON t (left(email, 2))", IN_PART),
        (
            "CREATE UNIQUE INDEX ON t (status) WHERE email <> 'x'",
            IN_PART,
        ),
        ("ALTER TABLE t ADD EXCLUDE (email WITH =)", IN_PART),
        (
            "ALTER TABLE t ADD COLUMN g text GENERATED ALWAYS AS (left(email, 2)) STORED UNIQUE",
            IN_PART,
        ),
        (
            "ALTER TABLE t ADD COLUMN g text GENERATED ALWAYS AS (left(email, 2)) STORED CHECK (g <> 'p_')",
            [(CONSTANT, true), (PSEUDONYM, true), (NULLIFY, true)],
        ),
        ("CREATE INDEX ON t (left(email, 2))", NOTHING),
    ] {
        rig = expect(rig, beside, refused)?;
    }
    if server == Server::Postgres18 {
        let beside = "CREATE UNIQUE INDEX ON t (email) NULLS NOT DISTINCT";
        let alike = [(CONSTANT, true), (PSEUDONYM, false), (NULLIFY, true)];
        expect(rig, beside, alike)?;
    }
    Ok(())
}

const NOTHING: [(&str, bool); 3] = [(CONSTANT, false), (PSEUDONYM, false), (NULLIFY, false)];

fn of_innodb(world: &World, server: Server) -> Result<()> {
    let mut rig = Rig::new(world, server, "indexes", "", "")?;
    for (beside, refused) in [
        ("CREATE UNIQUE INDEX u ON t (email)", WHOLE),
        ("CREATE UNIQUE INDEX u ON t (email(50))", WHOLE),
        ("CREATE UNIQUE INDEX u ON t (email(2))", IN_PART),
        ("CREATE UNIQUE INDEX u ON t (status(2), email(2))", IN_PART),
        (
            "ALTER TABLE t ADD COLUMN g varchar(40) GENERATED ALWAYS AS (left(email, 2)) STORED, \
             ADD COLUMN h varchar(40) GENERATED ALWAYS AS (upper(g)) STORED UNIQUE",
            IN_PART,
        ),
        (
            "ALTER TABLE t ADD COLUMN g varchar(40) GENERATED ALWAYS AS (left(email, 2)) STORED, \
             ADD CONSTRAINT c CHECK (g <> 'p_')",
            [(CONSTANT, true), (PSEUDONYM, true), (NULLIFY, true)],
        ),
        ("CREATE INDEX i ON t (email(2))", NOTHING),
    ] {
        rig = expect(rig, beside, refused)?;
    }
    if server == Server::MySql {
        let beside = "CREATE UNIQUE INDEX u ON t ((left(email, 2)))";
        expect(rig, beside, IN_PART)?;
    }
    Ok(())
}
