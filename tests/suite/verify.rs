//! Forgery: what `oubliette verify` says of ledgers that somebody has edited, and of certificates with
//! keys that others have made.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail, ensure};
use oubliette::database::Database;
use oubliette::signing::{SigningKey, issue};
use oubliette::work::owned::{Derived, derive};
use oubliette_core::digest::Digest;
use oubliette_core::erasure::Certificate;
use oubliette_core::ledger::{Break, Chain};
use rcgen::{KeyPair, PKCS_ED25519};
use serde_json::{Value, json};

use crate::case::{Case, Needs, Server};
use crate::rig::{Rig, series};
use crate::world::{World, repository};

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut on = |name: &str, servers: &[Server], body: fn(&World, Server) -> Result<()>| {
        cases.extend(Case::on_each(&format!("verify::{name}"), servers, body));
    };
    on(
        "every_edit_of_the_ledger_is_noticed",
        &Server::ENGINES,
        edits,
    );
    on("a_ledger_is_read_and_left_as_it_is", &Server::ENGINES, told);
    let one = &[Server::Postgres18, Server::MariaDb];
    on("a_long_chain_takes_no_more_memory", one, long);
    cases.push(Case::new(
        "verify::keys_that_followed_each_other_are_told_apart",
        Needs::nothing(),
        keys,
    ));
    cases
}

const TABLE: &str = "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, ended ${civil} NULL)";
const RULES: &str = "- {table: '${schema}.t', since: {column: ended, timeZone: UTC}}\n\
                     - {table: '${schema}.t', expireAfter: P2Y, since: {column: ended, timeZone: UTC}}\n";

/// A ledger with entries of two runs of two rules each.
fn rig<'w>(world: &'w World, server: Server, name: &str) -> Result<Rig<'w>> {
    let rig = Rig::new(world, server, name, TABLE, RULES)?;
    rig.sql(&format!(
        "INSERT INTO t SELECT n, timestamp '2020-01-01 00:00:00' FROM {}",
        series(server, 10)
    ))?;
    for run in ["one", "two"] {
        rig.completed(run)?;
    }
    Ok(rig)
}

/// The chain as `verify` derives it.
fn chain(rig: &Rig<'_>) -> Result<Derived> {
    let database = rig.block_on(rig.connect())?;
    let derived = derived(rig, &database);
    rig.block_on(database.close());
    derived
}

fn derived(rig: &Rig<'_>, database: &Database) -> Result<Derived> {
    let place = "oubliette".parse()?;
    let derived = rig.block_on(derive(database, &place, Chain::default()));
    derived?.context("there is no ledger")
}

fn edits(world: &World, server: Server) -> Result<()> {
    let rig = rig(world, server, "edits")?;
    let (evidence, head) = (rig.ledger("evidence"), rig.ledger("chain_head"));
    let whole = chain(&rig)?;
    let length = whole.chain.length();
    ensure!(whole.fault.is_none() && length == 4, "{whole:?}");
    for (table, kept) in [(&evidence, "kept_evidence"), (&head, "kept_head")] {
        rig.sql(&format!("CREATE TABLE {kept} AS SELECT * FROM {table}"))?;
    }
    let restore = format!(
        "DELETE FROM {evidence}; DELETE FROM {head}; INSERT INTO {evidence} SELECT * FROM \
         kept_evidence; INSERT INTO {head} SELECT * FROM kept_head"
    );
    let database = rig.block_on(rig.connect())?;
    let noticed = |edit: &str| -> Result<Break> {
        rig.sql(edit)?;
        let derived = derived(&rig, &database)?;
        for sql in restore.split("; ") {
            rig.sql(sql)?;
        }
        derived
            .fault
            .with_context(|| format!("nobody noticed {edit}"))
    };
    let other = Digest::of_bytes("another");
    for seq in 1..=length {
        let at = format!("WHERE seq = {seq}");
        let set = |set: &str| format!("UPDATE {evidence} SET {set} {at}");
        let found = noticed(&set("body = concat(body, ' ')"))?;
        ensure!(
            matches!(found, Break::Body { seq: s, .. } if s == seq),
            "{found:?}"
        );
        let found = noticed(&set("body = replace(body, '\"rule\":\"r', '\"rule\":\"R')"))?;
        ensure!(
            matches!(found, Break::Body { seq: s, .. } if s == seq),
            "{found:?}"
        );
        ensure!(
            noticed(&set("body = ''"))?
                .to_string()
                .contains("another body")
        );
        for (edit, expected) in [
            (format!("hash = '{other}'"), Break::Hash { seq }),
            ("hash = upper(hash)".to_owned(), Break::Hash { seq }),
            ("hash = concat(hash, ' ')".to_owned(), Break::Hash { seq }),
            (format!("previous = '{other}'"), Break::Previous { seq }),
            (
                "previous = concat(previous, ' ')".to_owned(),
                Break::Previous { seq },
            ),
            ("run = 'three'".to_owned(), Break::Run { seq }),
            ("run = 'accepted'".to_owned(), Break::Run { seq }),
            ("run = concat(run, ' ')".to_owned(), Break::Run { seq }),
            ("seq = 100".to_owned(), Break::Missing { seq }),
            ("seq = -seq".to_owned(), Break::BeforeTheFirst { seq: -seq }),
        ] {
            let found = noticed(&set(&edit))?;
            ensure!(found == expected, "{edit}: {found:?}");
        }
        let found = noticed(&format!("DELETE FROM {evidence} {at}"))?;
        let expected = match seq {
            last if last == length => Break::Tail {
                length,
                entries: length - 1,
            },
            _ => Break::Missing { seq },
        };
        ensure!(found == expected, "{found:?}");
    }
    // The places of two entries exchanged, a tail and an entry of one's own.
    for (edit, expected) in [
        (
            format!(
                "UPDATE {evidence} SET seq = 9 WHERE seq = 2; UPDATE {evidence} SET seq = 2 \
                     WHERE seq = 3; UPDATE {evidence} SET seq = 3 WHERE seq = 9"
            ),
            Break::Moved { seq: 2 },
        ),
        (
            format!("DELETE FROM {evidence} WHERE seq > 2"),
            Break::Tail { length, entries: 2 },
        ),
        (
            format!(
                "INSERT INTO {evidence} VALUES (5, 'x', '{{\"run\":\"x\"}}', (SELECT hash FROM \
                     {head}), '{other}')"
            ),
            Break::Altered { seq: 5 },
        ),
        (format!("DELETE FROM {head}"), Break::NoHead),
        (
            format!("UPDATE {head} SET hash = ''"),
            Break::Hash { seq: length },
        ),
        (
            format!("UPDATE {head} SET length = 3"),
            Break::Length {
                length: 3,
                entries: length,
            },
        ),
        (
            format!("UPDATE {head} SET length = 5"),
            Break::Tail {
                length: 5,
                entries: length,
            },
        ),
        (
            format!("UPDATE {head} SET length = -4"),
            Break::Length {
                length: -4,
                entries: length,
            },
        ),
    ] {
        let found = noticed(&edit)?;
        // A head that differs is as likely as a last hash that does.
        let expected = match expected {
            Break::Hash { .. } => Break::Head { entries: length },
            other => other,
        };
        ensure!(found == expected, "{edit}: {found:?}");
    }
    // The only id is the one that the table allows.
    ensure!(rig.sql(&format!("UPDATE {head} SET id = 2")).is_err());
    let whole = chain(&rig)?;
    ensure!(
        whole.fault.is_none(),
        "the ledger was not put back: {whole:?}"
    );
    Ok(())
}

/// `oubliette verify` with these arguments and the ledger of the rig; its exit code and output.
fn verify(rig: &Rig<'_>, prefix: &[&str], arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let at = &rig.database.endpoint;
    let url = rig.database.url(&at.user);
    let program = [env!("CARGO_BIN_EXE_oubliette"), "verify"];
    let mut line: Vec<&str> = prefix
        .iter()
        .chain(&program)
        .chain(arguments)
        .copied()
        .collect();
    line.extend(["--ledger", "--database-url", &url]);
    let output = Command::new(line[0])
        .args(&line[1..])
        .env("OUBLIETTE_DATABASE_PASSWORD", &at.password)
        .stdin(Stdio::null())
        .output()
        .context("failed to run oubliette")?;
    Ok(answer(&output))
}

/// The exit code, and what was said with its lines joined.
fn answer(output: &Output) -> (Option<i32>, String) {
    let said = [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said));
    let words: Vec<&str> = said
        .iter()
        .flat_map(|said| said.split_whitespace())
        .collect();
    (output.status.code(), words.join(" "))
}

fn example() -> Result<Value> {
    let file = repository().join("tests/certificates/erased.json");
    Ok(serde_json::from_str(&std::fs::read_to_string(file)?)?)
}

/// An unsigned certificate, as a file.
fn written(folder: &Path, name: &str, certificate: &Value) -> Result<String> {
    let certificate: Certificate = serde_json::from_value(certificate.clone())?;
    let file = folder.join(name);
    std::fs::write(&file, issue(&certificate, None).to_canonical())?;
    Ok(file.display().to_string())
}

fn told(world: &World, server: Server) -> Result<()> {
    let rig = rig(world, server, "told")?;
    let folder = tempfile::tempdir()?;
    let head = chain(&rig)?.chain.head().to_owned();
    let (code, said) = verify(&rig, &[], &["--head", &head])?;
    ensure!(
        code == Some(0) && said.contains("4 entries"),
        "{code:?}: {said}"
    );
    let none = Digest::of_bytes("none").to_string();
    let (code, said) = verify(&rig, &[], &["--head", &none])?;
    ensure!(
        code == Some(1) && said.contains("is not in the chain"),
        "{code:?}: {said}"
    );

    let mut certificate = example()?;
    let unsigned = |certificate: &Value| -> Result<(Option<i32>, String)> {
        let file = written(folder.path(), "certificate.json", certificate)?;
        verify(&rig, &[], &[&file, "--unsigned"])
    };
    let (code, said) = unsigned(&certificate)?;
    ensure!(
        code == Some(1) && said.contains("none of its heads"),
        "{code:?}: {said}"
    );
    certificate["databases"][0]["evidence"] = json!(head);
    let (code, said) = unsigned(&certificate)?;
    ensure!(
        code == Some(0) && said.contains("of crm/crm is in the chain"),
        "{code:?}: {said}"
    );
    // The ledger is the second one's, whose head is another one.
    certificate["databases"][1]["uid"] = json!(rig.owner.database);
    let (code, said) = unsigned(&certificate)?;
    ensure!(
        code == Some(1) && said.contains("is not in the chain"),
        "{code:?}: {said}"
    );

    let evidence = rig.ledger("evidence");
    rig.sql(&format!(
        "UPDATE {evidence} SET body = '{{}}' WHERE seq = 2"
    ))?;
    let (code, said) = verify(&rig, &[], &["-o", "json"])?;
    let report: Value = serde_json::from_str(&said).with_context(|| said.clone())?;
    let check = &report["checked"][0]["checks"][0];
    let detail = check["detail"].as_str().unwrap_or_default();
    ensure!(
        code == Some(1) && report["verified"] == false && detail.starts_with("entry 2 (run one)"),
        "{code:?}: {said}"
    );
    for table in ["evidence", "chain_head"] {
        rig.sql(&format!("DELETE FROM {}", rig.ledger(table)))?;
    }
    let (code, said) = verify(&rig, &[], &[])?;
    ensure!(
        code == Some(1) && said.contains("no head"),
        "{code:?}: {said}"
    );
    Ok(())
}

/// Entries of the long chain, and how long the text in each is.
const ENTRIES: i64 = 100_000;
const PAD: usize = 1200;
/// What `verify` may have of writable memory, in KiB: less than the long chain's texts.
const ROOM_KIB: usize = 96 * 1024;

fn long(world: &World, server: Server) -> Result<()> {
    let rig = rig(world, server, "long")?;
    let (evidence, chain_head) = (rig.ledger("evidence"), rig.ledger("chain_head"));
    let limit = format!("ulimit -d {ROOM_KIB}; exec \"$@\"");
    let within = ["sh", "-c", limit.as_str(), "sh"];
    let (code, said) = verify(&rig, &within, &[])?;
    ensure!(code == Some(0), "{code:?}: {said}");

    let derived = chain(&rig)?.chain;
    let (mut head, mut seq) = (derived.head().to_owned(), derived.length());
    let pad = "x".repeat(PAD);
    while seq < ENTRIES {
        let mut sql = format!("INSERT INTO {evidence} (seq, run, body, previous, hash) VALUES ");
        for i in 0..500 {
            seq += 1;
            let body = format!("{{\"pad\":\"{pad}\",\"run\":\"r{seq}\"}}");
            let hash = Digest::of_bytes(format!("{head}\n{body}")).to_string();
            let comma = if i == 0 { "" } else { ", " };
            write!(
                sql,
                "{comma}({seq}, 'r{seq}', '{body}', '{head}', '{hash}')"
            )?;
            head = hash;
        }
        rig.sql(&sql)?;
    }
    rig.sql(&format!(
        "UPDATE {chain_head} SET hash = '{head}', length = {seq}"
    ))?;
    let texts = usize::try_from(ENTRIES)? * PAD / 1024;
    ensure!(texts > ROOM_KIB, "the chain would fit as a whole");
    let (code, said) = verify(&rig, &within, &["--head", &head])?;
    ensure!(
        code == Some(0) && said.contains(&format!("{seq} entries")),
        "{code:?}: {said}"
    );
    rig.sql(&format!(
        "UPDATE {evidence} SET body = replace(body, 'xr', 'xs') WHERE seq = {seq}"
    ))?;
    rig.sql(&format!(
        "UPDATE {evidence} SET run = 'other' WHERE seq = {}",
        seq - 1
    ))?;
    let (code, said) = verify(&rig, &within, &[])?;
    let named = format!("entry {} ", seq - 1);
    ensure!(code == Some(1) && said.contains(&named), "{code:?}: {said}");
    Ok(())
}

/// A pair of keys in two files, named after `name`.
fn pair(folder: &Path, name: &str) -> Result<(SigningKey, String)> {
    let pair = KeyPair::generate_for(&PKCS_ED25519)?;
    let private = folder.join(format!("{name}.key"));
    std::fs::write(&private, pair.serialize_pem())?;
    let public = folder.join(format!("{name}.pem"));
    std::fs::write(&public, pair.public_key_pem())?;
    Ok((SigningKey::read(&private)?, public.display().to_string()))
}

fn keys(_world: &World) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (old, old_file) = pair(folder.path(), "old")?;
    let (new, new_file) = pair(folder.path(), "new")?;
    let certificate: Certificate = serde_json::from_value(example()?)?;
    let file = folder.path().join("certificate.json");
    let call = |arguments: &[&str]| -> Result<(Option<i32>, String)> {
        let output = Command::new(env!("CARGO_BIN_EXE_oubliette"))
            .arg("verify")
            .arg(&file)
            .args(arguments)
            .output()?;
        Ok(answer(&output))
    };
    for key in [&old, &new] {
        std::fs::write(&file, issue(&certificate, Some(key)).to_canonical())?;
        let (code, said) = call(&["--key", &old_file, "--key", &new_file])?;
        let digest = key.public().digest().to_string();
        ensure!(
            code == Some(0) && said.contains(&digest),
            "{code:?}: {said}"
        );
    }
    for (arguments, expected, words) in [
        (vec!["--key", &*new_file], 0, "new.pem"),
        (vec!["--key", &old_file], 1, "differs"),
        (vec![], 1, "give the public key with --key"),
        (vec!["--unsigned"], 0, "left out"),
        (vec!["--key", "/dev/null"], 1, "holds no public key"),
        (vec!["--key", "nowhere.pem"], 1, "cannot be read"),
        (
            vec!["--unsigned", "--key", &new_file],
            1,
            "cannot be used with",
        ),
    ] {
        let (code, said) = call(&arguments)?;
        ensure!(
            code == Some(expected) && said.contains(words),
            "{arguments:?}: {code:?}: {said}"
        );
    }
    let Err(fault) = SigningKey::read(Path::new(&old_file)) else {
        bail!("a public key was taken for a private one");
    };
    ensure!(fault.to_string().contains("openssl genpkey"), "{fault}");
    Ok(())
}
