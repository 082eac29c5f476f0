//! Many persons' requests at once, carried out by `work::erase` without a cluster.

pub(crate) mod figures;
mod meanwhile;

use std::fmt::Write as _;
use std::future::Future;
use std::task::Poll;

use anyhow::{Context, Result, bail, ensure};
use futures::future::join_all;
use oubliette::work::erase::{Allowed, Ask, Member, Place, Turns, perform, together};
use oubliette::work::owned::derive;
use oubliette_core::erasure::Scope;
use oubliette_core::erasure::find::Known;
use oubliette_core::erasure::outcome::{PlaceRun, RequestOutcome};
use oubliette_core::ledger::Chain;
use oubliette_core::report::Progress;
use oubliette_core::value::Personal;
use tokio::sync::watch;

use crate::case::{Case, Needs, Server};
use crate::erasures::place;
use crate::holds;
use crate::rig::{Rig, series};
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let all = |name: &str, body| Case::on_each(&format!("crowds::{name}"), &Server::ENGINES, body);
    [
        all("together_each_counts_as_alone", as_alone),
        all(
            "whoever_waits_meanwhile_goes_together_after_any_number_of_kills",
            killed,
        ),
        all(
            "who_is_stopped_or_locked_or_has_many_rows_leaves_the_others_alone",
            meanwhile::few_are_out,
        ),
        all(
            "where_texts_are_searched_each_is_searched_for_alone",
            meanwhile::texts_are_searched_alone,
        ),
        all(
            "a_hold_or_another_worker_meanwhile_lets_nothing_be_counted_twice",
            meanwhile::all_are_out,
        ),
        vec![Case::new(
            "crowds::what_a_hold_keeps_that_came_between_two_databases_goes_after_its_release",
            Needs::server(Server::Postgres18).with(Server::MariaDb),
            |world| meanwhile::held_between_databases(world, Server::Postgres18),
        )],
    ]
    .into_iter()
    .flatten()
    .collect()
}

const SCHEMA: &str = "
CREATE TABLE people (id integer PRIMARY KEY, email varchar(100), number varchar(20), name varchar(100));
CREATE TABLE orders (id integer PRIMARY KEY, person integer NOT NULL, item varchar(100), sold_on date, note varchar(20));
CREATE TABLE parcels (id integer PRIMARY KEY, order_id integer NOT NULL, street varchar(100));
CREATE TABLE visits (id integer PRIMARY KEY, person integer, page varchar(100), friend integer);
CREATE TABLE newsletter (id integer PRIMARY KEY, address varchar(100));
CREATE INDEX orders_person ON orders (person);
CREATE INDEX parcels_order ON parcels (order_id);
CREATE INDEX visits_person ON visits (person);
CREATE INDEX visits_friend ON visits (friend);
ALTER TABLE orders ADD CONSTRAINT of_person FOREIGN KEY (person) REFERENCES people (id);
ALTER TABLE parcels ADD CONSTRAINT of_order FOREIGN KEY (order_id) REFERENCES orders (id);
ALTER TABLE visits ADD CONSTRAINT by_person FOREIGN KEY (person) REFERENCES people (id);
ALTER TABLE visits ADD CONSTRAINT of_friend FOREIGN KEY (friend) REFERENCES people (id);
";

/// A database of another engine, to which what the shop knows of a customer leads.
const CLUB: &str = "
CREATE TABLE members (id integer PRIMARY KEY, customer integer, name varchar(100));
";

const CLUB_MAP: &str = "
databaseRef: {name: club}
subjects:
- {role: member, table: \"${schema}.members\", identifiers: [{name: customer, column: customer}]}
tables:
- {name: members, table: \"${schema}.members\", reachedBy: [{from: member}], decision: {type: Delete}}
";

const MAP: &str = "
databaseRef: {name: shop}
subjects:
- role: customer
  table: ${schema}.people
  identifiers: [{name: email, column: email, normalise: LowercaseTrim}, {name: number, column: number, normalise: DigitsOnly}]
  leadsTo: [{identifier: customer, column: id}]
tables:
- name: people
  table: ${schema}.people
  reachedBy: [{from: customer}]
  decision: {type: Delete}
- name: orders
  table: ${schema}.orders
  reachedBy: [{from: customer, match: [{column: person, equals: id}]}]
  decision: {type: Delete}
- name: parcels
  table: ${schema}.parcels
  reachedBy: [{from: orders, match: [{column: order_id, equals: id}]}]
  decision: {type: Delete}
- name: visits
  table: ${schema}.visits
  reachedBy: [{from: customer, match: [{column: person, equals: id}]}]
  decision: {type: Shared}
  columns: [{column: person, strategy: Nullify}, {column: page, strategy: Nullify}, {column: friend}]
- name: newsletter
  table: ${schema}.newsletter
  reachedBy: [{identifier: {name: email, column: address, normalise: LowercaseTrim}}]
  decision: {type: Delete}
";

/// What must be kept of an order, and what becomes of the rest.
const KEEPS: [(&str, &str); 2] = [
    (
        "- name: people\n",
        "- name: people
  columns: [{column: email, strategy: Nullify}, {column: number, strategy: Nullify},
    {column: name, strategy: Constant, constant: {value: erased}}]
",
    ),
    (
        "- name: orders\n",
        "- name: orders
  columns: [{column: note, strategy: Nullify}]
  mustKeep:
  - columns: [person, item, sold_on]
    until: {latestOf: [{column: sold_on, plus: P50Y}]}
    against: [Erasure]
    ground: Art17_3_b
    law: an Act
",
    ),
];

/// Rows of each person.
const ROWS: i64 = 10;

/// A shop with this many customers of ten rows each: one, three orders with a parcel each, two visits and
/// an address.
struct Shop<'w> {
    rig: Rig<'w>,
    map: String,
    club: Option<Rig<'w>>,
}

/// A progress that nobody watches.
fn unwatched() -> watch::Sender<Progress> {
    watch::Sender::new(Progress::BEGUN)
}

impl<'w> Shop<'w> {
    fn new(world: &'w World, server: Server, people: u32) -> Result<Self> {
        let rig = Rig::new(world, server, "shop", SCHEMA, "")?;
        let [one, two, three] = [1, 2, 3].map(|times| series(server, people * times));
        let email = if rig.server.is_postgres() {
            |n: &str| format!("'P' || {n} || '@example.org'")
        } else {
            |n: &str| format!("CONCAT('P', {n}, '@example.org')")
        };
        let of = |each: u32| {
            if rig.server.is_postgres() {
                format!("(n + {}) / {each}", each - 1)
            } else {
                format!("(n + {}) DIV {each}", each - 1)
            }
        };
        rig.sql(&format!(
            "INSERT INTO people SELECT n, {email}, NULL, 'somebody' FROM {one};
             INSERT INTO orders SELECT n, {of_three}, 'something', '1971-01-31', 'n' FROM {three};
             INSERT INTO parcels SELECT n, n, 'a street' FROM {three};
             INSERT INTO visits SELECT n, {of_two}, 'a page', NULL FROM {two};
             INSERT INTO newsletter SELECT n, {email} FROM {one};",
            email = email("n"),
            of_three = of(3),
            of_two = of(2),
        ))?;
        for table in ["people", "orders", "parcels", "visits", "newsletter"] {
            rig.sql(&if server.is_postgres() {
                format!("VACUUM ANALYZE {table}")
            } else {
                format!("ANALYZE TABLE {table}")
            })?;
        }
        let map = MAP.to_owned();
        Ok(Self {
            rig,
            map,
            club: None,
        })
    }

    async fn places(&self) -> Result<Vec<Place>> {
        let mut places = vec![place(&self.rig, &self.map).await?];
        if let Some(club) = &self.club {
            places.push(place(club, CLUB_MAP).await?);
        }
        Ok(places)
    }

    /// With a club on another server, in which every customer is.
    fn with_club(mut self, world: &'w World, people: u32) -> Result<Self> {
        let other = if self.rig.server.is_postgres() {
            Server::MariaDb
        } else {
            Server::Postgres18
        };
        let club = Rig::new(world, other, "club", CLUB, "")?;
        let all = series(other, people);
        club.sql(&format!(
            "INSERT INTO members SELECT n + 1000, n, 'somebody' FROM {all}"
        ))?;
        self.club = Some(club);
        Ok(self)
    }

    /// What a customer asks.
    fn ask(&self, number: u32, allowed: Option<Allowed>) -> Ask {
        let mut known = Known::default();
        match number {
            5 | 6 => {
                known.add("email", Personal::new("Family@Example.org"));
                known.add("number", Personal::new(format!("{number}0")));
            }
            _ => {
                known.add("email", Personal::new(format!("p{number}@example.org")));
            }
        }
        Ask {
            uid: format!("{}-{number}", self.rig.uid),
            namespace: "suite".to_owned(),
            name: format!("request-{number}"),
            generation: 1,
            scope: Scope::default(),
            known,
            subject_uid: "a Secret".to_owned(),
            allowed,
            round: String::new(),
            metrics: self.rig.metrics.clone(),
            now: self.rig.now,
        }
    }

    /// The plan of one, approved.
    async fn approved(&self, number: u32, places: &[Place]) -> Result<Ask> {
        let (_stop, stopped) = watch::channel(None);
        let ask = self.ask(number, None);
        match Box::pin(perform(&ask, places, &unwatched(), stopped)).await {
            RequestOutcome::Planned(report) => Ok(Ask {
                allowed: Some(Allowed {
                    digest: report.digest,
                    max_rows: report.totals().rows(),
                    approved_at: None,
                }),
                ..ask
            }),
            other => bail!("expected a plan, got {other:?}"),
        }
    }
}

/// Rows that a request has changed.
fn rows(runs: &[PlaceRun]) -> i64 {
    let rules = runs.iter().flat_map(|place| &place.run.rules);
    rules
        .flat_map(|rule| &rule.changed)
        .map(|count| count.rows)
        .sum()
}

/// What came of a request, as far as it must be the same alone and together.
fn told(outcome: &RequestOutcome) -> String {
    match outcome {
        RequestOutcome::Erased(runs) => {
            let mut text = "erased".to_owned();
            for rule in runs.iter().flat_map(|place| &place.run.rules) {
                let rows: Vec<i64> = rule.changed.iter().map(|count| count.rows).collect();
                let held: Vec<i64> = rule.held_by.iter().map(|count| count.rows).collect();
                let _ = write!(
                    text,
                    "; {} {rows:?} {:?} held {held:?} kept {}",
                    rule.rule, rule.residual, rule.kept.rows
                );
            }
            text
        }
        RequestOutcome::Doubtful { doubt, .. } => format!("{doubt:?}"),
        RequestOutcome::Refused { refusals, .. } => {
            let reasons: Vec<_> = refusals.iter().map(|(_, refusal)| refusal.reason).collect();
            format!("{reasons:?}")
        }
        other => format!("{other:?}"),
    }
}

/// A member that nobody watches or stops.
fn member(ask: Ask) -> (Member, watch::Sender<Option<oubliette::work::job::StopWhy>>) {
    let (never, stop) = watch::channel(None);
    let progress = unwatched();
    let member = Member {
        ask,
        progress,
        stop,
    };
    (member, never)
}

/// Customers of every kind, approved: what is special of each is in [`as_alone`].
async fn of_every_kind(shop: &Shop<'_>, places: &[Place]) -> Result<Vec<Ask>> {
    let mut asks = Vec::new();
    for number in 1..=8 {
        let ask = shop.approved(number, places).await;
        asks.push(ask.with_context(|| format!("customer {number}"))?);
    }
    asks[7].allowed = asks[7].allowed.map(|allowed| Allowed {
        max_rows: allowed.max_rows - 1,
        ..allowed
    });
    Ok(asks)
}

/// A shop whose customers are somebody's friend (1), ambiguous since they were approved (2), held (3), kept in part
/// (4), two of one household (5 and 6), nobody any more (7) and of more rows than were approved (8).
fn of_kinds(world: &World, server: Server) -> Result<Shop<'_>> {
    let mut shop = Shop::new(world, server, 12)?.with_club(world, 12)?;
    for (from, to) in KEEPS {
        ensure!(shop.map.contains(from), "the map has no {from}");
        shop.map = shop.map.replace(from, to);
    }
    shop.rig.sql(
        "UPDATE people SET email = 'family@example.org', number = '50 ' WHERE id = 5;
         UPDATE people SET email = 'family@example.org', number = '6-0' WHERE id = 6;
         UPDATE newsletter SET address = ' Family@example.org' WHERE id = 5;
         DELETE FROM newsletter WHERE id IN (6, 7);
         DELETE FROM visits WHERE person = 7;
         DELETE FROM parcels WHERE order_id IN (19, 20, 21);
         DELETE FROM orders WHERE person = 7;
         DELETE FROM people WHERE id = 7;
         UPDATE orders SET sold_on = '2020-01-31' WHERE id IN (10, 11);
         UPDATE visits SET friend = 1 WHERE id IN (23, 24)",
    )?;
    let hold = holds::hold(&shop.rig, "hold", "orders", "id", &["8"])?;
    holds::placed(&shop.rig, &hold)?;
    Ok(shop)
}

fn as_alone(world: &World, server: Server) -> Result<()> {
    let shops = [of_kinds(world, server)?, of_kinds(world, server)?];
    let mut came = Vec::new();
    for (shop, together_with_others) in shops.iter().zip([false, true]) {
        let (places, asks) = shop.rig.block_on(async {
            let places = shop.places().await?;
            let asks = of_every_kind(shop, &places).await?;
            anyhow::Ok((places, asks))
        })?;
        shop.rig
            .sql("INSERT INTO people VALUES (92, 'P2@example.org', NULL, 'another one')")?;
        let outcomes = shop.rig.block_on(async {
            let (members, _never): (Vec<_>, Vec<_>) = asks.into_iter().map(member).unzip();
            let mut outcomes = if together_with_others {
                Box::pin(together(&members, &places)).await
            } else {
                members.iter().map(|_| None).collect()
            };
            let grouped: Vec<usize> = (1..)
                .zip(&outcomes)
                .filter_map(|(number, outcome)| outcome.is_some().then_some(number))
                .collect();
            ensure!(
                !together_with_others || grouped == [1, 3, 4, 5, 6, 7],
                "together: {grouped:?}"
            );
            for (member, outcome) in members.iter().zip(&mut outcomes) {
                if outcome.is_none() {
                    let Member {
                        ask,
                        progress,
                        stop,
                    } = member;
                    let alone = perform(ask, &places, progress, stop.clone());
                    *outcome = Some(Box::pin(alone).await);
                }
            }
            Ok(outcomes)
        })?;
        let outcomes: Vec<String> = outcomes.iter().flatten().map(told).collect();
        let mut left = Vec::new();
        for table in ["people", "orders", "parcels", "visits", "newsletter"] {
            left.push(
                shop.rig
                    .rows(&format!("SELECT * FROM {table} ORDER BY id"))?,
            );
        }
        if let Some(club) = &shop.club {
            left.push(club.rows("SELECT * FROM members ORDER BY id")?);
        }
        let derived = shop.rig.block_on(derive(
            &places[0].database,
            &places[0].target.ledger,
            Chain::default(),
        ))?;
        let derived = derived.context("no ledger")?;
        ensure!(derived.fault.is_none(), "{:?}", derived.fault);
        came.push((outcomes, left));
    }
    let [(one, left), (all, left_of_all)] = came.as_slice() else {
        bail!("two shops")
    };
    for (number, (one, all)) in (1..).zip(one.iter().zip(all)) {
        ensure!(
            one == all,
            "customer {number}\nalone    {one}\ntogether {all}"
        );
    }
    ensure!(left == left_of_all, "{left:?}\n{left_of_all:?}");
    ensure!(
        one[0].contains("people [1") && one[0].contains("members [1]"),
        "{}",
        one[0]
    );
    let friends = "SELECT count(*) FROM visits WHERE friend IS NULL AND id IN (23, 24)";
    ensure!(shops[0].rig.number(friends)? == 2);
    ensure!(one[1] == "Several(2)", "{}", one[1]);
    ensure!(one[2].contains("held [1]"), "{}", one[2]);
    ensure!(one[3].contains("kept 2"), "{}", one[3]);
    ensure!(one[4].contains("newsletter [1]") && one[5].contains("newsletter [0]"));
    ensure!(one[7].contains("ApprovalVoid"), "{}", one[7]);
    Ok(())
}

fn killed(world: &World, server: Server) -> Result<()> {
    let shop = Shop::new(world, server, 20)?.with_club(world, 20)?;
    let asks = shop.rig.block_on(async {
        let places = shop.places().await?;
        let mut asks = Vec::new();
        for number in 15..=20 {
            asks.push(shop.approved(number, &places).await?);
        }
        anyhow::Ok(asks)
    })?;
    // What is dropped leaves everything where it is, as a kill would. Each attempt gets half as far
    // again as the one before.
    let mut polls_until_kill = 64_u64;
    for kills in 0..40 {
        polls_until_kill += polls_until_kill / 2;
        let ended = shop.rig.block_on(async {
            let places = shop.places().await?;
            let turns = Turns::new(1);
            let work = join_all(asks.iter().map(|ask| {
                let (member, never) = member(ask.clone());
                let (turns, places) = (turns.clone(), places.clone());
                async move {
                    let _never = never;
                    let Member {
                        ask,
                        progress,
                        stop,
                    } = member;
                    turns.perform(ask, places, progress, stop).await
                }
            }));
            tokio::pin!(work);
            let mut polls = 0;
            anyhow::Ok(
                std::future::poll_fn(|context| {
                    polls += 1;
                    match work.as_mut().poll(context) {
                        Poll::Ready(ended) => Poll::Ready(Some(ended)),
                        Poll::Pending if polls > polls_until_kill => Poll::Ready(None),
                        Poll::Pending => Poll::Pending,
                    }
                })
                .await,
            )
        })?;
        let Some(outcomes) = ended else { continue };
        for (ask, outcome) in asks.iter().zip(&outcomes) {
            let RequestOutcome::Erased(runs) = outcome else {
                bail!("after {kills} kills: {outcome:?}")
            };
            // With the member of the club.
            ensure!(rows(runs) == ROWS + 1, "{}: {runs:?}", ask.name);
        }
        let left = shop
            .rig
            .number("SELECT count(*) FROM people WHERE id > 14")?;
        ensure!(left == 0, "{left}");
        return Ok(());
    }
    bail!("it did not come to its end")
}
