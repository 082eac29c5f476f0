//! Erased persons who come back, on real servers: found by keyed digests that each database computes as
//! the program does, and by nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use jiff::{Timestamp, ToSpan};
use oubliette::database::{Access, Database, Timeouts};
use oubliette::ledger::{LedgerFault, Store, Subject};
use oubliette::work::suppression::{Looked, are_suppressed, known_again, reappeared};
use oubliette_core::api::reason::Reason;
use oubliette_core::duty::{DataMap, NamedMap};
use oubliette_core::erasure::find::Known;
use oubliette_core::erasure::{SuppressionKey, SuppressionKeys, comparable};
use oubliette_core::ledger::{ErasedAt, ErasedRow, Ledger, second};
use oubliette_core::policy::Normalise;
use oubliette_core::settings::suppression::{Erasure, Suppression};
use oubliette_core::sql::Bound;
use oubliette_core::value::Personal;
use serde_json::json;
use zeroize::Zeroizing;

use crate::case::{Case, Server};
use crate::init::oubliette;
use crate::owners::{expect_no_pads, log_slow_ones};
use crate::races::{RULE, TABLE, fill};
use crate::rig::{Rig, series};
use crate::servers;
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let on = |name: &str, servers: &[Server], body| {
        Case::on_each(&format!("suppression::{name}"), servers, body)
    };
    [
        on(
            "databases_and_program_hash_identifiers_alike",
            &Server::ALL,
            alike,
        ),
        on(
            "persons_of_a_restored_table_are_found_with_their_keys",
            &Server::ALL,
            restored,
        ),
        on(
            "a_hundred_thousand_rows_are_looked_through_in_one_statement",
            &Server::ENGINES,
            many,
        ),
        on(
            "digests_under_an_earlier_key_are_found_until_they_end",
            &Server::ENGINES,
            rotated,
        ),
        on(
            "what_cannot_be_looked_at_is_told",
            &Server::ENGINES,
            unlooked,
        ),
        on(
            "a_ledger_of_an_earlier_version_is_no_lost_one_and_gets_the_table",
            &Server::ALL,
            earlier,
        ),
        on(
            "mailers_ask_with_the_right_to_read_one_table",
            &Server::ENGINES,
            mailers,
        ),
        on(
            "nothing_is_hashed_while_the_server_logs_values",
            &Server::ENGINES,
            logged,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

const LOWER: Option<Normalise> = Some(Normalise::LowercaseTrim);
const DIGITS: Option<Normalise> = Some(Normalise::DigitsOnly);
const MAP: &str = "suite/map";

fn key(letter: u8) -> SuppressionKey {
    SuppressionKey::of(&[letter; 32]).expect("long enough")
}

fn only(letter: u8) -> SuppressionKeys {
    SuppressionKeys::new(key(letter), Vec::new())
}

/// A map of these roles and entries, as YAML would have them.
fn map(
    rig: &Rig<'_>,
    subjects: &serde_json::Value,
    tables: &serde_json::Value,
) -> Result<NamedMap> {
    let spec = json!({"databaseRef": {"name": "target"}, "subjects": subjects, "tables": tables});
    let spec = rig.database.fill(&spec.to_string());
    let map = DataMap::alone(&serde_json::from_str(&spec)?)
        .map_err(|faults| anyhow!("the map's spec: {faults:?}"))?;
    Ok(NamedMap {
        name: MAP.to_owned(),
        map,
    })
}

/// A map of one role with the identifier `email` in the table `t`.
fn people(rig: &Rig<'_>) -> Result<NamedMap> {
    let subjects = json!([{"role": "person", "table": "${schema}.t", "identifiers": [
        {"name": "email", "column": "email", "normalise": "LowercaseTrim"}]}]);
    let tables = json!([{"name": "t", "table": "${schema}.t", "reachedBy": [{"from": "person"}],
                         "decision": {"type": "Delete"}}]);
    map(rig, &subjects, &tables)
}

const PEOPLE: &str = "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, email varchar(100))";

/// The program's connection, and the ledger, which is created.
async fn opened(rig: &Rig<'_>) -> Result<(Database, Store)> {
    let database = rig.connect().await?;
    let ledger = Ledger {
        engine: database.engine(),
        place: "oubliette".parse()?,
    };
    let store = Store::open(&database, ledger, &rig.owner).await?;
    Ok((database, store))
}

/// A digest of an e-mail address in the role `person`.
fn row(key: &SuppressionKey, request: &str, email: &str, ends_at: Timestamp) -> Result<ErasedRow> {
    let digest = key.of_identifier("email", LOWER).digest(email);
    Ok(ErasedRow {
        digest: digest.context("nobody's")?,
        key_id: key.id().to_owned(),
        request: request.to_owned(),
        at: ErasedAt::role(MAP, "person", "email", LOWER),
        purpose: "not to be contacted again".to_owned(),
        erased_at: second(Timestamp::now()),
        ends_at: second(ends_at),
    })
}

fn later() -> Result<Timestamp> {
    Ok(Timestamp::now().checked_add(1000.hours())?)
}

/// Rows by request and place.
fn counts(looked: &Looked) -> BTreeMap<(String, String), i64> {
    let found = looked.reappeared.iter();
    found
        .map(|found| ((found.request.clone(), found.at.place.clone()), found.rows))
        .collect()
}

fn found(of: &[(&str, &str, i64)]) -> BTreeMap<(String, String), i64> {
    let found = of.iter();
    found
        .map(|(request, place, rows)| (((*request).to_owned(), (*place).to_owned()), *rows))
        .collect()
}

/// Written alike and not, by case, accents, blanks and what Unicode has.
const VALUES: [&str; 26] = [
    "jose@x.org",
    "JOSE@X.ORG",
    "  Jose@x.org ",
    "jose@x.org\t",
    "\u{a0}jose@x.org",
    "jos\u{e9}@x.org",
    "JOS\u{c9}@X.ORG",
    "jos\u{e9}@x.org   ",
    "jose\u{301}@x.org",
    "stra\u{df}e@x.org",
    "strasse@x.org",
    "STRA\u{1e9e}E@x.org",
    "\u{130}stanbul@x.org",
    "istanbul@x.org",
    "\u{131}stanbul@x.org",
    "\u{ff21}@x.org",
    "A@x.org",
    "\u{1f600}@x.org",
    "o'hara\"\\@x.org",
    "%_@x.org",
    "",
    "   ",
    "020 7946-0958",
    "(020) 79460958",
    "\u{660}\u{661}\u{662}",
    "7",
];

fn literal(server: Server, value: &str) -> String {
    let hex = hex::encode(value);
    if server.is_postgres() {
        format!("convert_from('\\x{hex}'::bytea, 'UTF8')")
    } else {
        format!("CONVERT(x'{hex}' USING utf8mb4)")
    }
}

fn alike(world: &World, server: Server) -> Result<()> {
    // Collations under which many of the values are equal.
    let collated = if server.is_postgres() {
        "text"
    } else {
        "varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"
    };
    let schema = format!(
        "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, plain {collated}, padded char(100), \
         num bigint)"
    );
    let rig = Rig::new(world, server, "hashed_alike", &schema, RULE)?;
    let mut rows = String::new();
    for (i, value) in VALUES.iter().enumerate() {
        let value = literal(server, value);
        write!(rows, "({i}, {value}, {value}, {i}), ")?;
    }
    rig.sql(&format!(
        "INSERT INTO t VALUES {rows}(1000, NULL, NULL, NULL)"
    ))?;
    // A role for each column and way to make it comparable.
    let roles = [
        ("lower", "plain", LOWER),
        ("digits", "plain", DIGITS),
        ("raw", "plain", None),
        ("padded", "padded", LOWER),
        ("num", "num", None),
        ("numdigits", "num", DIGITS),
    ];
    let subjects: Vec<_> = roles
        .iter()
        .map(|(role, column, how)| {
            let mut one = json!({"name": "id", "column": column});
            if let Some(how) = how {
                one["normalise"] = json!(format!("{how:?}"));
            }
            json!({"role": role, "table": "${schema}.t", "identifiers": [one]})
        })
        .collect();
    let tables = json!([{"name": "t", "table": "${schema}.t", "reachedBy": [{"from": "lower"}],
                         "decision": {"type": "Delete"}}]);
    let map = map(&rig, &json!(subjects), &tables)?;
    let mut erased = Vec::new();
    let mut expected = BTreeMap::new();
    for (role, column, how) in roles {
        let values: Vec<String> = if column == "num" {
            (0..VALUES.len()).map(|i| i.to_string()).collect()
        } else {
            VALUES.iter().map(|value| (*value).to_owned()).collect()
        };
        let key = key(1);
        let of_identifier = key.of_identifier("id", how);
        let at = ErasedAt::role(MAP, role, "id", how);
        for (i, value) in values.iter().enumerate() {
            let text = comparable(value, how);
            let Some(digest) = of_identifier.digest(value) else {
                ensure!(text.is_empty(), "{value:?} has no digest");
                continue;
            };
            let same = values.iter().filter(|v| *comparable(v, how) == *text);
            let request = format!("r{i}");
            expected.insert(
                (request.clone(), at.place.clone()),
                i64::try_from(same.count())?,
            );
            erased.push(ErasedRow {
                digest,
                at: at.clone(),
                ..row(&key, &request, "x", later()?)?
            });
        }
    }
    let looked = rig.block_on(async {
        let (database, store) = opened(&rig).await?;
        store.remember_erased(&erased).await?;
        // Once more is as good as once.
        store.remember_erased(&erased).await?;
        let kept = store.erased(None).await?;
        let now = Timestamp::now();
        let looked = reappeared(&database, &store, &[map], &only(1), now).await?;
        Ok::<_, anyhow::Error>((kept, looked))
    });
    let (mut kept, looked) = looked?;
    kept.sort();
    erased.sort();
    ensure!(kept == erased, "what was recorded is not what is read");
    ensure!(looked.unlooked.is_empty(), "{:?}", looked.unlooked);
    let counts = counts(&looked);
    for (place, rows) in &expected {
        ensure!(
            counts.get(place) == Some(rows),
            "{place:?}: {rows}, found {:?}",
            counts.get(place)
        );
    }
    ensure!(counts.len() == expected.len(), "others were found");
    Ok(())
}

/// What the settings' section makes of a person.
fn suppression() -> Result<Suppression> {
    let spec = json!({"keyFile": "/key", "keptFor": "P6Y"});
    Suppression::parse(&serde_json::from_value(spec)?).map_err(|faults| anyhow!("{faults:?}"))
}

const CHANGING: Access = Access::Change(Timeouts {
    lock: Duration::from_secs(5),
    statement: Duration::from_secs(30),
});

fn restored(world: &World, server: Server) -> Result<()> {
    let schema = "CREATE TABLE t (id integer NOT NULL, part integer NOT NULL, email varchar(100), \
        PRIMARY KEY (id, part)); \
        CREATE TABLE news (address varchar(100) NOT NULL PRIMARY KEY); \
        CREATE TABLE kept (id integer NOT NULL PRIMARY KEY, email varchar(100)); \
        INSERT INTO t VALUES (1, 1, 'Jose@example.org '), (1, 2, 'jos\u{e9}@example.org'), \
        (2, 1, 'JOSE@EXAMPLE.ORG'), (3, 1, 'ada@example.org'), (4, 1, NULL), (5, 1, ''); \
        INSERT INTO news VALUES ('jose@example.org'), ('jos@example.org'); \
        INSERT INTO kept VALUES (1, 'jose@example.org'); \
        CREATE TABLE backup AS SELECT * FROM t; CREATE TABLE backup_news AS SELECT * FROM news";
    let rig = Rig::new(world, server, "restored_table", schema, RULE)?;
    let email =
        |column: &str| json!([{"name": "email", "column": column, "normalise": "LowercaseTrim"}]);
    let subjects = json!([
        {"role": "person", "table": "${schema}.t", "identifiers": email("email")},
        {"role": "payer", "table": "${schema}.kept", "identifiers": email("email")},
    ]);
    let own = json!({"name": "email", "column": "address", "normalise": "LowercaseTrim"});
    let tables = json!([
        {"name": "news", "table": "${schema}.news", "reachedBy": [{"identifier": own}],
         "decision": {"type": "Delete"}},
    ]);
    let maps = [map(&rig, &subjects, &tables)?];
    let person = [(
        "email".to_owned(),
        Zeroizing::new("jose@Example.org".to_owned()),
    )];
    let kept = BTreeSet::from([ErasedAt::role(MAP, "payer", "email", LOWER)]);
    let now = Timestamp::now();
    let of = Erasure {
        request: "uid-1",
        role: None,
        identifiers: &person,
        kept: &kept,
        at: now,
        until: None,
    };
    let digests = suppression()?.digests(&key(1), &maps[0], &of)?;
    ensure!(digests.len() == 3, "{digests:?}");
    rig.block_on(async {
        let (database, store) = opened(&rig).await?;
        // The program's sessions look in no schema but the server's own.
        let (delete, delete_news) = if server.is_postgres() {
            (
                "DELETE FROM public.t WHERE id IN (1, 2) AND part = 1",
                "DELETE FROM public.news WHERE address = 'jose@example.org'",
            )
        } else {
            (
                "DELETE FROM t WHERE id IN (1, 2) AND part = 1",
                "DELETE FROM news WHERE address = 'jose@example.org'",
            )
        };
        let delete = Bound::fixed(delete, Vec::new());
        // What rolls back leaves no digest, what commits does.
        for commits in [false, true] {
            let mut tx = database.begin(CHANGING).await?;
            ensure!(tx.change(&delete).await? == 2, "rows to delete");
            store.record_erased(&mut tx, &digests).await?;
            if commits {
                tx.commit().await?;
            } else {
                tx.rollback().await;
            }
            let recorded = store.erased(Some("uid-1")).await?.len();
            ensure!(
                recorded == if commits { 3 } else { 0 },
                "{recorded} digests"
            );
        }
        let mut tx = database.begin(CHANGING).await?;
        tx.change(&Bound::fixed(delete_news, Vec::new())).await?;
        tx.commit().await?;
        let looked = reappeared(&database, &store, &maps, &only(1), now).await?;
        ensure!(
            looked.reappeared.is_empty() && looked.unlooked.is_empty(),
            "{looked:?}"
        );
        Ok(())
    })?;
    rig.sql("DELETE FROM t; INSERT INTO t SELECT * FROM backup")?;
    rig.sql("DELETE FROM news; INSERT INTO news SELECT * FROM backup_news")?;
    let (looked, known) = rig.block_on(async {
        let (database, store) = opened(&rig).await?;
        let looked = reappeared(&database, &store, &maps, &only(1), now).await?;
        let known = known_again(&database, &store, &maps, &only(1), ("uid-1", false), now).await?;
        let other = known_again(&database, &store, &maps, &only(1), ("uid-2", false), now).await?;
        ensure!(
            other.names().next().is_none(),
            "a request that erased nothing"
        );
        Ok::<_, anyhow::Error>((looked, known))
    })?;
    ensure!(
        counts(&looked) == found(&[("uid-1", "role/person", 2), ("uid-1", "table/news", 1)]),
        "{looked:?}"
    );
    // Made comparable by the database: both rows and the address are one text.
    let texts: Vec<&str> = known.texts("email").iter().map(Personal::expose).collect();
    ensure!(texts == ["jose@example.org"], "other rows were read");
    // What stayed with the person when they were erased leads to them only after a restore.
    rig.sql("DELETE FROM t; DELETE FROM news")?;
    for with_kept in [false, true] {
        let known = rig.block_on(async {
            let (database, store) = opened(&rig).await?;
            let of = ("uid-1", with_kept);
            Ok(known_again(&database, &store, &maps, &only(1), of, now).await?)
        });
        let known: Known = known.map_err(|error: anyhow::Error| error)?;
        ensure!(known.texts("email").is_empty() != with_kept, "{with_kept}");
    }
    Ok(())
}

fn many(world: &World, server: Server) -> Result<()> {
    const ROWS: u32 = 100_000;
    let rig = Rig::new(world, server, "many_hashed", PEOPLE, RULE)?;
    rig.sql(&format!(
        "INSERT INTO t SELECT n, concat('p', n, '@Example.org') FROM {}",
        series(server, ROWS)
    ))?;
    let maps = [people(&rig)?];
    let mut erased: Vec<ErasedRow> = (0..2_000)
        .map(|n| row(&key(1), "gone", &format!("gone-{n}@example.org"), later()?))
        .collect::<Result<_>>()?;
    for n in [1, 500, 99_999, 100_000] {
        erased.push(row(
            &key(1),
            "back",
            &format!("P{n}@example.org"),
            later()?,
        )?);
    }
    let looked = rig.block_on(async {
        let (database, store) = opened(&rig).await?;
        store.remember_erased(&erased).await?;
        let now = Timestamp::now();
        Ok::<_, anyhow::Error>(reappeared(&database, &store, &maps, &only(1), now).await?)
    })?;
    ensure!(
        counts(&looked) == found(&[("back", "role/person", 4)]),
        "{looked:?}"
    );
    Ok(())
}

fn rotated(world: &World, server: Server) -> Result<()> {
    let rig = Rig::new(world, server, "rotated", PEOPLE, RULE)?;
    rig.sql("INSERT INTO t VALUES (1, 'one@example.org'), (2, 'two@example.org'), (3, 'three@example.org')")?;
    let maps = [people(&rig)?];
    let soon = Timestamp::now().checked_add(24.hours())?;
    let erased = [
        row(&key(1), "first", "one@example.org", soon)?,
        row(&key(2), "second", "two@example.org", later()?)?,
        // The same person once more, after the rotation.
        row(&key(2), "third", "one@example.org", later()?)?,
    ];
    let both = SuppressionKeys::new(key(2), vec![key(1)]);
    let values: Vec<_> = [
        "one@example.org",
        "THREE@example.org",
        "Two@example.org",
        " ",
    ]
    .map(|value| Zeroizing::new(value.to_owned()))
    .into();
    rig.block_on(async {
        let (database, store) = opened(&rig).await?;
        store.remember_erased(&erased[..2]).await?;
        let now = Timestamp::now();
        let looked = reappeared(&database, &store, &maps, &both, now).await?;
        ensure!(
            counts(&looked) == found(&[("first", "role/person", 1), ("second", "role/person", 1)]),
            "{looked:?}"
        );
        let suppressed = are_suppressed(&store, &both, "email", &values, now).await?;
        ensure!(suppressed == [true, false, true, false], "{suppressed:?}");
        let other = are_suppressed(&store, &both, "phone", &values, now).await?;
        ensure!(other == [false; 4], "another identifier: {other:?}");

        // Without the earlier key nobody may believe that nobody is there.
        let looked = reappeared(&database, &store, &maps, &only(2), now).await?;
        let reasons: Vec<Reason> = looked.unlooked.iter().map(|r| r.reason).collect();
        ensure!(reasons == [Reason::SuppressionKeyMissing], "{looked:?}");
        for refused in [
            are_suppressed(&store, &only(2), "email", &values, now)
                .await
                .err(),
            known_again(&database, &store, &maps, &only(2), ("first", false), now)
                .await
                .err(),
        ] {
            let reason = refused.map(|fault| fault.reason());
            ensure!(reason == Some(Reason::SuppressionKeyMissing), "{reason:?}");
        }

        store.remember_erased(&erased[2..]).await?;
        let of_third = known_again(&database, &store, &maps, &both, ("third", false), now).await?;
        let texts = of_third.texts("email").iter().map(Personal::expose);
        ensure!(texts.eq(["one@example.org"]), "another person");

        // When the last digest of the earlier key has ended, the key is not needed any more.
        ensure!(
            store.erased_under(now).await?.len() == 2,
            "both keys are in use"
        );
        ensure!(
            store.prune_erased(now).await? == 0,
            "something went before its end"
        );
        ensure!(
            store.erased_under(soon).await?.len() == 1,
            "an ended digest is in use"
        );
        let looked = reappeared(&database, &store, &maps, &only(2), soon).await?;
        ensure!(
            counts(&looked) == found(&[("second", "role/person", 1), ("third", "role/person", 1)])
                && looked.unlooked.is_empty(),
            "{looked:?}"
        );
        ensure!(store.prune_erased(soon).await? == 1, "the first has ended");
        let left = store.erased(None).await?;
        ensure!(
            left.iter().all(|row| row.key_id == key(2).id()) && left.len() == 2,
            "{left:?}"
        );
        Ok(())
    })
}

fn unlooked(world: &World, server: Server) -> Result<()> {
    let schema = format!("{PEOPLE}; CREATE TABLE u (id integer NOT NULL PRIMARY KEY, email date)");
    let rig = Rig::new(world, server, "unlooked", &schema, RULE)?;
    rig.sql("INSERT INTO t VALUES (1, 'one@example.org')")?;
    let subjects = json!([
        {"role": "person", "table": "${schema}.t", "identifiers": [
            {"name": "email", "column": "email", "normalise": "LowercaseTrim"}]},
        {"role": "other", "table": "${schema}.u", "identifiers": [{"name": "email", "column": "email"}]},
        {"role": "gone", "table": "${schema}.v", "identifiers": [{"name": "email", "column": "email"}]},
        {"role": "unused", "table": "${schema}.w", "identifiers": [{"name": "email", "column": "email"}]},
    ]);
    let tables = json!([{"name": "t", "table": "${schema}.t", "reachedBy": [{"from": "person"}],
                         "decision": {"type": "Delete"}}]);
    let maps = [map(&rig, &subjects, &tables)?];
    let one = row(&key(1), "uid", "one@example.org", later()?)?;
    let at = |place: ErasedAt| ErasedRow {
        at: place,
        ..one.clone()
    };
    let erased = [
        one.clone(),
        at(ErasedAt::role(MAP, "other", "email", None)),
        at(ErasedAt::role(MAP, "gone", "email", None)),
        // The map normalises in another way by now, or there is no such map.
        at(ErasedAt::role(MAP, "person", "email", None)),
        at(ErasedAt::role("suite/other", "person", "email", LOWER)),
    ];
    let looked = rig.block_on(async {
        let (database, store) = opened(&rig).await?;
        store.remember_erased(&erased).await?;
        let now = Timestamp::now();
        Ok::<_, anyhow::Error>(reappeared(&database, &store, &maps, &only(1), now).await?)
    })?;
    ensure!(
        counts(&looked) == found(&[("uid", "role/person", 1)]),
        "{looked:?}"
    );
    ensure!(
        looked.unlooked.len() == 4
            && looked
                .unlooked
                .iter()
                .all(|r| r.reason == Reason::IdentifierUnfit),
        "{looked:?}"
    );
    for (words, place) in [("date", "role/other"), ("does not exist", "role/gone")] {
        let mut told = looked.unlooked.iter().map(|refusal| &refusal.message);
        ensure!(
            told.any(|message| message.contains(words) && message.contains(place)),
            "{words}: {looked:?}"
        );
    }
    Ok(())
}

fn earlier(world: &World, server: Server) -> Result<()> {
    let mut rig = Rig::new(world, server, "earlier_ledger", TABLE, RULE)?;
    fill(&rig, 10)?;
    let head = rig.run("one")?.evidence.context("no evidence")?;
    for table in ["erased", "subject"] {
        rig.sql(&format!("DROP TABLE {}", rig.ledger(table)))?;
    }
    rig.remembered = vec![head.to_string()];
    rig.block_on(async {
        let database = rig.connect().await?;
        let ledger = Ledger {
            engine: database.engine(),
            place: "oubliette".parse()?,
        };
        let store = Store::unchecked(&database, ledger);
        ensure!(store.is_present().await?, "it is taken for none");
        ensure!(
            store.rewound(&rig.remembered).await?.is_none(),
            "it is taken for a lost one"
        );
        ensure!(store.erased(None).await?.is_empty(), "it has digests");
        let subject = store.subject("r-1", "m-1").await?;
        ensure!(matches!(subject, Subject::Unknown), "it knows a person");
        ensure!(
            store.remembered("m-1", &["r-1"]).await?.is_empty(),
            "it knows a request"
        );
        ensure!(
            store.erased_under(Timestamp::now()).await?.is_empty(),
            "it has digests"
        );
        Ok(())
    })?;
    fill(&rig, 10)?;
    ensure!(rig.completed("two")? == [[10]]);
    for table in ["erased", "subject"] {
        let count = format!("SELECT count(*) FROM {}", rig.ledger(table));
        ensure!(rig.number(&count)? == 0);
    }
    rig.expect_a_whole_chain()
}

fn mailers(world: &World, server: Server) -> Result<()> {
    let rig = Rig::new(world, server, "mailers", PEOPLE, RULE)?;
    let erased = [row(&key(65), "uid", "ada@example.org", later()?)?];
    rig.block_on(async {
        let (_, store) = opened(&rig).await?;
        Ok::<_, anyhow::Error>(store.remember_erased(&erased).await?)
    })?;
    let user = format!("mailer_{}", rig.database.name);
    let user = user.get(..user.len().min(31)).unwrap_or(&user).to_owned();
    let password = "mailer-password-1";
    rig.block_on(rig.database.create_user(&user, password))?;
    let table = rig.ledger("erased");
    let grants = if server.is_postgres() {
        format!("GRANT USAGE ON SCHEMA oubliette TO {user}; GRANT SELECT ON {table} TO {user}")
    } else {
        format!(
            "GRANT SELECT ON {}.{table} TO '{user}'@'%'",
            rig.database.name
        )
    };
    rig.sql(&grants)?;
    let folder = tempfile::tempdir()?;
    let (file, other) = (folder.path().join("key"), folder.path().join("other"));
    std::fs::write(&file, format!("{}\n", "A".repeat(32)))?;
    std::fs::write(&other, "B".repeat(32))?;
    let url = rig.database.url(&user);
    let ask = |more: &[&str], file: &std::path::Path, input: &str| {
        let file = file.to_str().context("a path that is text")?;
        let arguments = [
            &["suppressed", "--identifier", "email", "--key-file", file],
            more,
        ];
        oubliette(&arguments.concat(), &url, password, input)
    };
    let input = "bob@example.org\n ADA@example.org\n\nada@example.org\n\u{e1}da@example.org\n";
    let said = ask(&[], &file, input)?;
    ensure!(said.code == Some(2) && said.out == "2\n4\n", "{said:?}");
    let said = ask(&["--values"], &file, input)?;
    ensure!(
        said.code == Some(2) && said.out == " ADA@example.org\nada@example.org\n",
        "{said:?}"
    );
    let said = ask(&[], &file, "bob@example.org\n")?;
    ensure!(said.code == Some(0) && said.out.is_empty(), "{said:?}");
    // The wrong key is an error, and not an answer.
    let said = ask(&[], &other, input)?;
    ensure!(
        said.code == Some(1) && said.out.is_empty() && said.err.contains(key(65).id()),
        "{said:?}"
    );
    ensure!(!said.err.contains("example.org"), "{said:?}");
    let file = file.to_str().context("a path that is text")?;
    let said = ask(&["--previous-key-file", file], &other, input)?;
    ensure!(said.code == Some(2) && said.out == "2\n4\n", "{said:?}");
    Ok(())
}

fn logged(world: &World, server: Server) -> Result<()> {
    let options = bed::Options {
        log_statements: true,
        ..bed::Options::default()
    };
    let own = servers::start_one(server, &options)?;
    let mut rig = Rig::new(world, server, "hashed_logged", "", RULE)?;
    let endpoint = servers::endpoint(&own)?;
    rig.database = rig.block_on(crate::sql::Database::create(
        &endpoint,
        server,
        "hashed_logged",
    ))?;
    rig.sql(PEOPLE)?;
    rig.sql("INSERT INTO t VALUES (1, 'one@example.org')")?;
    let maps = [people(&rig)?];
    let erased = [row(&key(1), "uid", "one@example.org", later()?)?];
    let look = || {
        rig.block_on(async {
            let (database, store) = opened(&rig).await?;
            store.remember_erased(&erased).await?;
            let now = Timestamp::now();
            let looked = reappeared(&database, &store, &maps, &only(1), now).await;
            Ok::<_, anyhow::Error>(looked)
        })
    };
    let Err(LedgerFault::Refused {
        reason: Reason::UnsafeSetting,
        message,
    }) = look()?
    else {
        bail!("it was hashed");
    };
    let (_, cure) = message.split_once('\n').context("a remedy")?;
    rig.sql(cure)?;
    log_slow_ones(&rig)?;
    ensure!(counts(&look()??) == found(&[("uid", "role/person", 1)]));
    expect_no_pads(&rig, &own, &key(1).of_identifier("email", LOWER).pads())
}
