//! Transactions: what an error leaves behind, what a lost answer means, how a statement ends, and
//! that no value gets into a fault.

use std::collections::BTreeSet;
use std::future::Future;

use anyhow::{Result, bail, ensure};
use oubliette::database::{Access, CommitFault, ConnectSettings, Database, FaultClass, Tx};
use oubliette_core::api::reason::Reason;
use oubliette_core::sql::Bound;
use oubliette_core::value::Value;

use super::{
    HURRIED, PATIENT, POSTGRES, delete, fault, fault_class, login, named, plain, text, until,
    wait_until_blocked, with_rows,
};
use crate::case::{Case, Server};
use crate::proxy::Proxy;
use crate::sql;
use crate::world::World;

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = named(
        "session",
        &[
            (
                "a_reading_transaction_cannot_change",
                a_reading_transaction_cannot_change,
            ),
            (
                "after_an_error_nothing_but_rollback",
                after_an_error_nothing_but_rollback,
            ),
            (
                "a_lock_that_is_not_granted_ends_the_transaction",
                a_lock_that_is_not_granted_ends_the_transaction,
            ),
            ("a_deadlock_is_recognised", a_deadlock_is_recognised),
            (
                "a_statement_is_cancelled_in_the_server",
                a_statement_is_cancelled_in_the_server,
            ),
            (
                "a_dropped_statement_ends_in_the_server_too",
                a_dropped_statement_ends_in_the_server_too,
            ),
            (
                "a_commit_whose_answer_is_lost_is_unknown",
                a_commit_whose_answer_is_lost_is_unknown,
            ),
            (
                "values_never_get_into_a_fault",
                values_never_get_into_a_fault,
            ),
            ("a_connection_that_nobody_needs_is_closed", nobody_needs),
            (
                "a_connection_that_died_at_hand_changes_nothing",
                died_at_hand,
            ),
            (
                "one_connection_serves_one_transaction_after_the_other",
                one_after_the_other,
            ),
        ],
        &Server::ALL,
    );
    cases.extend(named(
        "session",
        &[(
            "a_deferred_constraint_fails_the_commit",
            a_deferred_constraint_fails_the_commit,
        )],
        &POSTGRES,
    ));
    cases
}

fn a_reading_transaction_cannot_change(world: &World, server: Server) -> Result<()> {
    let (own, database) = with_rows(world, server, |_| {})?;
    world.block_on(async {
        let mut tx = database.begin(Access::ReadOnly).await?;
        let fault = fault(tx.change(&delete(server)).await)?;
        ensure!(fault.class == FaultClass::ReadOnly, "{fault:?}");
        ensure!(fault.sqlstate.as_deref() == Some("25006"), "{fault:?}");
        tx.rollback().await;
        ensure!(own.admin.number("SELECT count(*) FROM t").await? == 2);
        Ok(())
    })
}

/// InnoDB undoes the statement only on many errors: what follows would commit with half the work.
fn after_an_error_nothing_but_rollback(world: &World, server: Server) -> Result<()> {
    let (own, database) = with_rows(world, server, |settings| settings.max_connections = 1)?;
    world.block_on(async {
        let mut tx = database.begin(Access::Change(PATIENT)).await?;
        ensure!(tx.change(&delete(server)).await? == 1);
        let broken = plain(text(
            server,
            "UPDATE public.t SET v = repeat('x', 41)",
            "UPDATE t SET v = repeat('x', 41)",
        ));
        ensure!(fault_class(tx.change(&broken).await)? == FaultClass::Data);
        ensure!(fault_class(tx.change(&delete(server)).await)? == FaultClass::Ended);
        match tx.commit().await {
            Err(CommitFault::RolledBack(fault)) if fault.class == FaultClass::Data => {}
            other => bail!("{other:?}"),
        }
        ensure!(own.admin.number("SELECT count(*) FROM t").await? == 2);

        // The one connection is fit for use again.
        let mut tx = database.begin(Access::Change(PATIENT)).await?;
        ensure!(tx.change(&delete(server)).await? == 1);
        drop(tx);
        let mut tx = database.begin(Access::Change(PATIENT)).await?;
        ensure!(
            tx.change(&delete(server)).await? == 1,
            "the drop rolled back"
        );
        tx.commit().await?;
        ensure!(own.admin.number("SELECT count(*) FROM t").await? == 1);
        Ok(())
    })
}

fn a_lock_that_is_not_granted_ends_the_transaction(world: &World, server: Server) -> Result<()> {
    let (own, database) = with_rows(world, server, |_| {})?;
    world.block_on(async {
        let mut holder = database.begin(Access::Change(PATIENT)).await?;
        ensure!(holder.change(&delete(server)).await? == 1);
        let mut tx = database.begin(HURRIED).await?;
        let other = plain(text(
            server,
            "UPDATE public.t SET v = 'drei' WHERE id = 2",
            "UPDATE t SET v = 'drei' WHERE id = 2",
        ));
        ensure!(tx.change(&other).await? == 1);
        let fault = fault(tx.change(&delete(server)).await)?;
        ensure!(fault.class == FaultClass::Lock, "{fault:?}");
        ensure!(fault.is_retryable() && fault.reason() == Reason::RowsLocked);
        ensure!(fault_class(tx.change(&delete(server)).await)? == FaultClass::Ended);
        tx.rollback().await;
        holder.rollback().await;
        let left = own
            .admin
            .number("SELECT count(*) FROM t WHERE v = 'drei'")
            .await?;
        ensure!(left == 0, "a statement before the failed one was committed");
        Ok(())
    })
}

fn a_deadlock_is_recognised(world: &World, server: Server) -> Result<()> {
    let (_own, database) = with_rows(world, server, |_| {})?;
    let one = text(
        server,
        "UPDATE public.t SET v = v WHERE id = 1",
        "UPDATE t SET v = v WHERE id = 1",
    );
    let two = text(
        server,
        "UPDATE public.t SET v = v WHERE id = 2",
        "UPDATE t SET v = v WHERE id = 2",
    );
    world.block_on(async {
        let mut first = database.begin(Access::Change(PATIENT)).await?;
        let mut second = database.begin(Access::Change(PATIENT)).await?;
        first.change(&plain(one)).await?;
        second.change(&plain(two)).await?;
        // Each waits for the other until the server ends one of them.
        let crossed = async |tx: &mut Tx, text| {
            let answer = tx.change(&plain(text)).await;
            answer.map(|_| ())
        };
        let lost = {
            let a = crossed(&mut first, two);
            let b = crossed(&mut second, one);
            tokio::pin!(a, b);
            tokio::select! {
                answer = &mut a => match answer {
                    Err(fault) => fault,
                    // The other one was the victim.
                    Ok(()) => fault(b.await)?,
                },
                answer = &mut b => match answer {
                    Err(fault) => fault,
                    Ok(()) => fault(a.await)?,
                },
            }
        };
        ensure!(
            lost.class == FaultClass::Deadlock && lost.is_retryable(),
            "{lost:?}"
        );
        Ok(())
    })
}

fn a_statement_is_cancelled_in_the_server(world: &World, server: Server) -> Result<()> {
    let (own, database) = with_rows(world, server, |settings| settings.max_connections = 1)?;
    world.block_on(async {
        // The administrator holds a row; the statement waits for it, as a batch would.
        let holder = Database::connect(&login(&own)?).await?;
        let mut holding = holder.begin(Access::Change(PATIENT)).await?;
        ensure!(holding.change(&delete(server)).await? == 1);

        let mut tx = database.begin(Access::Change(PATIENT)).await?;
        let canceller = tx.canceller();
        let waiting = tokio::spawn(async move {
            let answer = tx.change(&delete(server)).await;
            tx.rollback().await;
            answer
        });
        wait_until_blocked(&own).await?;
        ensure!(canceller.cancel().await?);
        let fault = fault(waiting.await?)?;
        ensure!(fault.class == FaultClass::Cancelled, "{fault:?}");
        ensure!(!canceller.cancel().await?, "it has ended already");

        // A late cancellation cannot hit whoever comes next.
        let mut next = database.begin(Access::Change(PATIENT)).await?;
        ensure!(!canceller.cancel().await?);
        next.rows(&plain(text(
            server,
            "SELECT pg_catalog.now()::text",
            "SELECT 1",
        )))
        .await?;
        next.commit().await?;
        holding.rollback().await;
        Ok(())
    })
}

fn a_dropped_statement_ends_in_the_server_too(world: &World, server: Server) -> Result<()> {
    let (own, database) = with_rows(world, server, |settings| settings.max_connections = 1)?;
    world.block_on(async {
        let holder = Database::connect(&login(&own)?).await?;
        let mut holding = holder.begin(Access::Change(PATIENT)).await?;
        ensure!(holding.change(&delete(server)).await? == 1);

        let mut tx = database.begin(Access::Change(PATIENT)).await?;
        let waiting = tokio::spawn(async move { tx.change(&delete(server)).await });
        wait_until_blocked(&own).await?;
        waiting.abort();
        ensure!(waiting.await.is_err_and(|end| end.is_cancelled()));

        let text = match server {
            Server::Postgres15 | Server::Postgres18 => format!(
                "SELECT count(*)::text FROM pg_stat_activity \
                 WHERE datname = '{}' AND wait_event_type = 'Lock'",
                own.name
            ),
            Server::MySql | Server::MariaDb => format!(
                "SELECT CAST(count(*) AS CHAR) FROM information_schema.processlist \
                 WHERE db = '{}' AND info LIKE 'DELETE%'",
                own.name
            ),
        };
        until(&own, "the server has given up the statement", &text, |n| {
            n == 0
        })
        .await?;
        // Not because the lock was free: the holder is still there.
        ensure!(holding.change(&delete(server)).await? == 0);
        holding.rollback().await;
        // The pool has a fresh connection, not one in the middle of an answer.
        let mut tx = database.begin(Access::Change(PATIENT)).await?;
        ensure!(tx.change(&delete(server)).await? == 1);
        tx.commit().await?;
        Ok(())
    })
}

fn a_commit_whose_answer_is_lost_is_unknown(world: &World, server: Server) -> Result<()> {
    let own = world.database(server, "lost")?;
    world.block_on(async {
        own.admin
            .execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)")
            .await?;
        let direct = login(&own)?;
        let proxy = Proxy::start(direct.port).await?;
        let through = ConnectSettings {
            host: "127.0.0.1".to_owned(),
            port: proxy.port(),
            ..direct
        };
        let database = Database::connect(&through).await?;
        let mut tx = database.begin(Access::Change(PATIENT)).await?;
        ensure!(tx.change(&delete(server)).await? == 1);
        proxy.lose_answers();
        match tx.commit().await {
            Err(CommitFault::Unknown(fault)) => {
                ensure!(
                    fault.class == FaultClass::Lost && fault.is_retryable(),
                    "{fault:?}"
                );
            }
            other => bail!("{other:?}"),
        }
        let count = "SELECT count(*) FROM t WHERE id = 1";
        until(&own, "the commit took place all the same", count, |n| {
            n == 0
        })
        .await?;

        // Lost before the commit is sent: unknown to us too, and nothing happened.
        proxy.restore();
        let mut tx = database.begin(Access::Change(PATIENT)).await?;
        let second = text(
            server,
            "DELETE FROM public.t WHERE id = 2",
            "DELETE FROM t WHERE id = 2",
        );
        ensure!(tx.change(&plain(second)).await? == 1);
        proxy.cut();
        match tx.commit().await {
            Err(CommitFault::Unknown(fault)) => ensure!(fault.class == FaultClass::Lost),
            other => bail!("{other:?}"),
        }
        ensure!(
            own.admin
                .number("SELECT count(*) FROM t WHERE id = 2")
                .await?
                == 1
        );
        // And the next transaction is well again.
        proxy.restore();
        let mut tx = database.begin(Access::Change(PATIENT)).await?;
        ensure!(tx.change(&plain(second)).await? == 1);
        tx.commit().await?;
        Ok(())
    })
}

fn values_never_get_into_a_fault(world: &World, server: Server) -> Result<()> {
    const PLANTED: &str = "ada.planted@example.org";
    let own = world.database(server, "values")?;
    let check = "CHECK (age > 0)";
    let schema = format!(
        "CREATE TABLE parent (id int PRIMARY KEY); \
         CREATE TABLE people (id int PRIMARY KEY, email varchar(40) NOT NULL, age int, parent int, \
             CONSTRAINT people_email UNIQUE (email), CONSTRAINT people_age {check}, \
             CONSTRAINT people_parent FOREIGN KEY (parent) REFERENCES parent (id)); \
         INSERT INTO people VALUES (1, '{PLANTED}', 1, NULL)"
    );
    let insert = text(
        server,
        "INSERT INTO public.people VALUES ($1::int4, $2, $3::int4, $4::int4)",
        "INSERT INTO people VALUES (?, ?, ?, ?)",
    );
    let number = text(
        server,
        "SELECT $1::text::int8 FROM public.people",
        "INSERT INTO people SELECT ?, email, age, parent FROM people",
    );
    let trigger = text(
        server,
        "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION USING \
         ERRCODE = '23514', CONSTRAINT = OLD.email, TABLE = OLD.email; END $$; \
         CREATE TRIGGER tell BEFORE DELETE ON people FOR EACH ROW EXECUTE FUNCTION tell()",
        "CREATE TRIGGER tell BEFORE DELETE ON people FOR EACH ROW BEGIN \
         DECLARE m varchar(128) DEFAULT CONCAT('x'' for key ''', OLD.email, ''''); \
         SIGNAL SQLSTATE '23000' SET MYSQL_ERRNO = 1062, MESSAGE_TEXT = m; END",
    );
    let told = text(server, "DELETE FROM public.people", "DELETE FROM people");
    let email = || Value::Text(PLANTED.to_owned());
    let other = || Value::Text(format!("x{PLANTED}"));
    let statements = [
        (
            insert,
            vec![Value::Int(2), email(), Value::Int(1), Value::Null],
            "people_email",
        ),
        (
            insert,
            vec![Value::Int(2), other(), Value::Int(0), Value::Null],
            "people_age",
        ),
        (
            insert,
            vec![Value::Int(2), other(), Value::Int(1), Value::Int(77_777)],
            "people_parent",
        ),
        (
            insert,
            vec![
                Value::Int(2),
                Value::Text(PLANTED.repeat(9)),
                Value::Int(1),
                Value::Null,
            ],
            "",
        ),
        (number, vec![email()], ""),
    ];
    world.block_on(async {
        own.admin.execute(&schema).await?;
        let database = Database::connect(&login(&own)?).await?;
        for (text, values, constraint) in statements {
            let mut tx = database.begin(Access::Change(PATIENT)).await?;
            let bound = Bound::fixed(text, values);
            ensure!(!format!("{bound:?}").contains(PLANTED));
            let fault = fault(tx.rows(&bound).await)?;
            let shown = format!("{fault} {fault:?} {tx:?}");
            ensure!(
                !shown.contains("planted") && !shown.contains("77777"),
                "{shown}"
            );
            if constraint.is_empty() {
                ensure!(fault.class == FaultClass::Data, "{fault:?}");
            } else {
                ensure!(fault.class == FaultClass::Constraint, "{fault:?}");
                ensure!(fault.constraint.as_deref() == Some(constraint), "{fault:?}");
                ensure!(fault.reason() == Reason::ConstraintConflict);
            }
            let commit = tx.commit().await;
            ensure!(!format!("{commit:?}").contains("planted"));
        }
        // Nor what a trigger has put where names of constraints and tables stand.
        own.admin.execute(trigger).await?;
        let mut tx = database.begin(Access::Change(PATIENT)).await?;
        let fault = fault(tx.change(&plain(told)).await)?;
        let shown = format!("{fault} {fault:?} {tx:?}");
        ensure!(
            fault.class == FaultClass::Constraint && !shown.contains("planted"),
            "{shown}"
        );
        Ok(())
    })
}

fn a_deferred_constraint_fails_the_commit(world: &World, server: Server) -> Result<()> {
    let own = world.database(server, "deferred")?;
    world.block_on(async {
        own.admin
            .execute(
                "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int \
                 CONSTRAINT c_p REFERENCES p DEFERRABLE INITIALLY DEFERRED); \
                 INSERT INTO p VALUES (1); INSERT INTO c VALUES (1, 1)",
            )
            .await?;
        let database = Database::connect(&login(&own)?).await?;
        let mut tx = database.begin(Access::Change(PATIENT)).await?;
        ensure!(tx.change(&plain("DELETE FROM public.p")).await? == 1);
        match tx.commit().await {
            Err(CommitFault::RolledBack(fault)) => {
                ensure!(fault.constraint.as_deref() == Some("c_p"), "{fault:?}");
                ensure!(fault.table.as_deref() == Some("c"), "{fault:?}");
            }
            other => bail!("{other:?}"),
        }
        ensure!(own.admin.number("SELECT count(*)::text FROM p").await? == 1);
        Ok(())
    })
}

/// What a run spawns must be able to move between threads.
#[expect(dead_code, reason = "compiling it is the test")]
fn futures_can_be_spawned(database: &Database, tx: &'static mut Tx, bound: &'static Bound) {
    fn send<T: Future + Send>(_: T) {}
    send(database.begin(Access::ReadOnly));
    send(database.probe());
    send(tx.rows(bound));
}

/// Each connection costs a handshake, and nothing of one transaction may be left for the next one. A closed database
/// keeps none, not even that of a transaction that ends afterwards.
fn one_after_the_other(world: &World, server: Server) -> Result<()> {
    let (own, database) = with_rows(world, server, |_| {})?;
    world.block_on(async {
        let mut seen = BTreeSet::new();
        for round in 0..6 {
            let mut tx = database.begin(Access::Change(PATIENT)).await?;
            let row = tx.rows(&session(server)).await?.pop();
            seen.insert(row.and_then(|row| row.first()?.as_int()));
            ensure!(tx.change(&delete(server)).await? == 1, "round {round}");
            tx.rollback().await;
        }
        ensure!(seen.len() == 1, "{seen:?}");
        let late = database.begin(Access::ReadOnly).await?;
        let closing = tokio::spawn({
            let database = database.clone();
            async move { database.close().await }
        });
        tokio::task::yield_now().await;
        late.rollback().await;
        closing.await?;
        let theirs = theirs(&own, &seen);
        until(&own, "nobody is connected", &theirs, |n| n == 0).await
    })
}

/// Nobody begins again, and nobody says that it is to rest.
fn nobody_needs(world: &World, server: Server) -> Result<()> {
    let (own, database) = with_rows(world, server, |_| {})?;
    world.block_on(async {
        let mut tx = database.begin(Access::ReadOnly).await?;
        let row = tx.rows(&session(server)).await?.pop();
        tx.rollback().await;
        let seen = BTreeSet::from([row.and_then(|row| row.first()?.as_int())]);
        until(&own, "nobody is connected", &theirs(&own, &seen), |n| {
            n == 0
        })
        .await?;
        database.begin(Access::ReadOnly).await?.rollback().await;
        Ok(())
    })
}

/// Whoever is given it finds out before anything is done, and whoever begins next has another one.
fn died_at_hand(world: &World, server: Server) -> Result<()> {
    let (own, database) = with_rows(world, server, |settings| settings.max_connections = 1)?;
    world.block_on(async {
        let mut tx = database.begin(Access::Change(PATIENT)).await?;
        let row = tx.rows(&session(server)).await?.pop();
        let id = row.and_then(|row| row.first()?.as_int()).unwrap_or(0);
        tx.rollback().await;
        own.admin
            .execute(&if server.is_postgres() {
                format!("SELECT pg_terminate_backend({id})")
            } else {
                format!("KILL {id}")
            })
            .await?;
        let seen = BTreeSet::from([Some(id)]);
        until(&own, "it is gone", &theirs(&own, &seen), |n| n == 0).await?;
        if let Err(fault) = database.begin(Access::Change(PATIENT)).await {
            ensure!(fault.is_retryable(), "{fault:?}");
        }
        let mut tx = database.begin(Access::Change(PATIENT)).await?;
        ensure!(tx.change(&delete(server)).await? == 1);
        tx.commit().await?;
        ensure!(own.admin.number("SELECT count(*) FROM t").await? == 1);
        Ok(())
    })
}

/// Which session it is.
fn session(server: Server) -> Bound {
    plain(text(
        server,
        "SELECT pg_catalog.pg_backend_pid()",
        "SELECT CAST(CONNECTION_ID() AS SIGNED)",
    ))
}

/// How many of these sessions are there; on PostgreSQL all of ours.
fn theirs(own: &sql::Database, seen: &BTreeSet<Option<i64>>) -> String {
    match own.server {
        Server::Postgres15 | Server::Postgres18 => format!(
            "SELECT count(*)::text FROM pg_stat_activity \
             WHERE datname = '{}' AND application_name = 'oubliette'",
            own.name
        ),
        Server::MySql | Server::MariaDb => {
            let ids: Vec<String> = seen.iter().flatten().map(ToString::to_string).collect();
            format!(
                "SELECT CAST(count(*) AS CHAR) FROM information_schema.processlist WHERE id IN ({})",
                ids.join(", ")
            )
        }
    }
}
