//! What a policy would do to the tables the catalog shows: statements, and everything that stands
//! in the way before a single row is counted.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::Refusal;
use super::clock::Typed;
use super::column::{transforms, untouched};
use super::duty::{self, Duties, Ends};
use super::graph::{self, Node};
use super::groups::{self, GroupDraft};
use super::guard::{self, Touch};
use super::partition::{Parted, parted};
use super::parts::digest;
use crate::api::reason::Reason;
use crate::approval::PlanParts;
use crate::catalog::{Catalog, Column, Engine, Table, TableKind};
use crate::digest::Digest;
use crate::name::{Ident, TableName};
use crate::policy::{Action, Limits, Policy, Rule, Treatment};
use crate::report;
use crate::run::{Form, MOST_CHANGED};
use crate::sql::{
    Bound, ChangeSql, CountSql, Effect, KeyColumn, Transform, Window, WindowSql, counted,
};
use crate::strategy::Strategy;
use crate::value::{Key, Value};

/// What the plan is for: a dry run needs less than a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Only looked at: SELECT is enough.
    DryRun,
    /// Carried out: the privileges of every change are needed.
    Enforce,
}

/// What a plan depends on beside policy and catalog.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// The defaulted spec without mode, schedule and suspend; it goes into the digest.
    pub spec: &'a serde_json::Value,
    /// The ledger's schema, or on InnoDB its table prefix.
    pub ledger: &'a Ident,
    /// What the plan is for.
    pub intent: Intent,
    /// The instant from which cutoffs are counted.
    pub as_of: Timestamp,
}

/// All that is promised, the catalog, and which of its tables are the ledger's.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) policy: &'a Policy,
    pub(super) catalog: &'a Catalog,
    pub(super) ledger: &'a Ident,
}

/// What would be done.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The engine.
    pub engine: Engine,
    /// The instant from which cutoffs are counted.
    pub as_of: Timestamp,
    /// One per rule, in order.
    pub rules: Vec<RuleDraft>,
    /// Ceilings of one run.
    pub limits: Limits,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// Where rows live on, as far as the catalog shows it.
    pub survivors: Vec<String>,
    /// What is approved and compared on resume: spec, schema, statements; no statistics.
    pub digest: Digest,
    /// What the digest is made of.
    pub parts: PlanParts,
    /// Whether a strategy is keyed.
    pub keyed: bool,
    /// What the tables are: holds are typed against it, also those that come in the middle of a run.
    pub catalog: Catalog,
}

/// One rule's statements.
#[derive(Clone, Debug)]
pub struct RuleDraft {
    /// The rule's name.
    pub name: String,
    /// What is reported of the table's own rows.
    pub effect: report::Effect,
    /// The recorded cutoff.
    pub cutoff: Timestamp,
    /// The changes of the rule's own table.
    pub change: ChangeSql,
    /// What is counted.
    pub count: CountSql,
    /// How often the engine counts a change of one row of the table (see [`crate::sql::counted`]).
    pub counted: i64,
    /// The related tables; parents stand before their children.
    pub nodes: Vec<Node>,
    /// When its rows fall due.
    pub due: super::Due,
    /// How the readings of its clock are understood, in the clock's order.
    pub read_as: Vec<super::ReadAs>,
    /// The key that is walked, for people.
    pub walk: String,
    /// The table's leaves, itself where it has none, where their pages may be walked: deletes on
    /// PostgreSQL without related rows.
    pub leaves: Vec<TableName>,
    /// The clock in whose order the rows may be walked, where that may be worth more than their key's.
    pub clock: Option<Column>,
    /// Whether a walk without an index is allowed.
    pub allow_unindexed: bool,
    /// Whether declared triggers may add rows elsewhere.
    pub triggered: bool,
    /// What it promises of small groups.
    pub groups: Option<GroupDraft>,
    /// The table that its rows came from, where it ends what was sealed.
    pub sealed_from: Option<TableName>,
    /// The server's estimate of the table's rows.
    pub estimated_rows: u64,
    /// Whether partitions go as a whole, where the rule asks for it; otherwise why none does.
    pub parted: Option<Result<Parted, String>>,
    /// How the dates of the duties that keep its rows are read, in their order.
    pub(super) ends: Vec<Ends>,
    /// It is about rows that a rule before it leaves, because a duty keeps a part of them.
    pub remainder: bool,
}

impl Draft {
    /// Drafts the policy. All refusals are returned at once.
    pub fn of(
        policy: &Policy,
        catalog: &Catalog,
        setting: &Setting<'_>,
    ) -> Result<Self, Vec<Refusal>> {
        let Setting {
            spec,
            ledger,
            intent,
            as_of,
        } = *setting;
        let view = View {
            policy,
            catalog,
            ledger,
        };
        let mut refusals = Vec::new();
        let mut warnings = Vec::new();
        let mut survivors = Vec::new();
        let mut rules = Vec::new();
        let duties = Duties {
            all: duty::typed(
                &policy.maps,
                &policy.zone,
                catalog,
                as_of,
                policy.against,
                &mut refusals,
            ),
            catalog,
            against: policy.against,
            maps: &policy.maps,
        };
        if !refusals.is_empty() {
            return Err(refusals);
        }
        // With what duties make of the rules.
        let mut whole = policy.clone();
        for rule in &policy.rules {
            let before = refusals.len();
            let Some(mut drafted) = draft_rule(policy, view, rule, as_of, &mut refusals) else {
                continue;
            };
            let (parts, told) = duties.bind(rule, &mut drafted, &rules, &mut refusals);
            warnings.extend(told);
            let mut all = vec![drafted];
            for part in parts {
                whole.rules.push(part.rule.clone());
                let drafted = draft_rule(policy, view, &part.rule, as_of, &mut refusals);
                all.extend(drafted.map(|mut drafted| {
                    part.bind(catalog, &mut drafted);
                    drafted
                }));
            }
            if refusals.len() == before {
                warnings.extend(guard::stale_triggers(catalog, rule));
                for drafted in all {
                    warnings.extend(drafted.at_most());
                    warnings.extend(drafted.row_by_row());
                    guard::survivors(catalog, &drafted, &mut survivors);
                    rules.push(drafted);
                }
            }
        }
        groups::tell_of_deletes(&mut rules);
        let policy = &whole;
        guard::grants(policy, catalog, intent, &mut refusals, &mut warnings);
        if rules.len() > report::MOST_STEPS {
            refusals.push(Refusal::whole(
                Reason::DutiesUnfit,
                format!(
                    "with what duties split off its rules the policy has {} steps, {} are possible: \
                     write a part of the rules into another policy",
                    rules.len(),
                    report::MOST_STEPS
                ),
            ));
        }
        if !refusals.is_empty() {
            return Err(refusals);
        }
        let kept = duty::digest(&duties, &rules);
        let digests = kept.and_then(|kept| digest(spec, policy, catalog, &rules, kept));
        let (digest, parts) = digests.map_err(|e| {
            vec![Refusal::whole(
                Reason::InternalError,
                format!("failed to digest the plan: {e}"),
            )]
        })?;
        let keyed = policy.is_keyed();
        survivors.sort();
        survivors.dedup();
        Ok(Self {
            engine: catalog.engine,
            as_of,
            rules,
            limits: policy.limits,
            warnings,
            survivors,
            digest,
            parts,
            keyed,
            catalog: catalog.clone(),
        })
    }
}

fn draft_rule(
    policy: &Policy,
    view: View<'_>,
    rule: &Rule,
    as_of: Timestamp,
    refusals: &mut Vec<Refusal>,
) -> Option<RuleDraft> {
    let catalog = view.catalog;
    let Some(table) = catalog.table(&rule.table) else {
        if rule.sealed_from.is_some() {
            // The rule that seals is refused for it.
            return None;
        }
        refusals.push(Refusal::of(
            &rule.name,
            Reason::TableMissing,
            format!(
                "table {} does not exist in database {}, or user {} may not see it",
                rule.table, catalog.database, catalog.user
            ),
        ));
        return None;
    };
    let touch = match &rule.action {
        Action::Delete => Touch::Delete,
        Action::Anonymise(treatments) => Touch::Update(transforms(
            rule,
            catalog.engine,
            table,
            treatments,
            refusals,
        )),
    };
    guard::table(view, rule, table, &touch, false, refusals);
    let key = guard::usable_key(rule, table)
        .map_err(|r| refusals.push(r))
        .ok();
    let eligible = super::clock::eligible(policy, view, rule, table, as_of)
        .map_err(|r| refusals.extend(r))
        .ok();
    let seal = super::seal::sealed(view, rule, table, refusals);
    let mut nodes = graph::nodes(view, rule, table, refusals);
    let groups = {
        let walked = key.as_ref().map_or(&[][..], |(key, _)| key);
        groups::draft(rule, table, walked, touch.transforms(), refusals)
    };
    let (typed, (key, index)) = (eligible?, key?);
    let Typed {
        mut eligible,
        cutoff,
        due,
        read_as,
    } = typed;
    let effect = match &touch {
        Touch::Delete => Effect::Delete,
        Touch::Update(transforms) => {
            eligible.undone.clone_from(transforms);
            Effect::Update(transforms.clone(), untouched(table))
        }
    };
    let walk = key
        .iter()
        .map(|c: &KeyColumn| c.0.name.to_string())
        .collect::<Vec<_>>()
        .join(", ");
    let window = WindowSql {
        engine: catalog.engine,
        table: table.name.clone(),
        with_leaves: table.has_leaves(),
        key,
        index,
        among: eligible.clock.among(table),
    };
    let mut referenced = graph::refer(&mut nodes);
    for node in nodes.iter_mut().filter(|node| node.goes()) {
        let depth = &mut node.depth;
        depth.grips = graph::grip(catalog, &depth.table, &mut depth.referenced);
    }
    let mut grips = Vec::new();
    if !nodes.is_empty() || eligible.looks_elsewhere() {
        grips = graph::grip(catalog, &table.name, &mut referenced);
    }
    let by_pages = catalog.engine == Engine::Postgres
        && matches!(effect, Effect::Delete)
        && nodes.is_empty()
        && seal.is_none()
        && window.among.is_none()
        && !eligible.looks_elsewhere();
    let has_related = !nodes.is_empty();
    let change = ChangeSql {
        window,
        eligible,
        effect,
        referenced,
        grips,
        grouped: groups
            .as_ref()
            .map_or_else(Vec::new, |groups| groups.sql.quasi.clone()),
        seal,
    };
    let alone = nodes.is_empty() && groups.is_none();
    let clock = alone.then(|| change.clock_to_walk(table)).flatten();
    let parted = parted(
        rule,
        table,
        catalog,
        view.ledger,
        &change.eligible,
        has_related,
    );
    Some(RuleDraft {
        name: rule.name.clone(),
        effect: if change.seal.is_some() {
            report::Effect::Sealed
        } else {
            touch.reported()
        },
        cutoff,
        count: CountSql {
            window: change.window.clone(),
            eligible: change.eligible.clone(),
        },
        change,
        counted: counted(catalog.engine, table),
        nodes,
        due,
        read_as,
        walk,
        clock,
        leaves: if by_pages { leaves(table) } else { Vec::new() },
        allow_unindexed: rule.allow_unindexed,
        triggered: !rule.triggers.is_empty(),
        groups,
        sealed_from: rule.sealed_from.clone(),
        estimated_rows: table.estimated_rows,
        parted,
        ends: Vec::new(),
        remainder: false,
    })
}

impl RuleDraft {
    /// Says which of the plan's counts are upper bounds: rows that let go in one batch may go in a
    /// later one, or have gone in an earlier one.
    fn at_most(&self) -> Option<String> {
        let beside = self.nodes.iter().filter(|node| node.beside.is_some());
        let tables: Vec<String> = beside.map(|node| node.depth.table.to_string()).collect();
        (!tables.is_empty()).then(|| {
            format!(
                "rule {}: so many rows of {} at the most let go of others or are transformed: those \
                 that go themselves are among them",
                self.name,
                tables.join(", ")
            )
        })
    }

    /// Says why no partition goes as a whole, though the rule asks for it.
    fn row_by_row(&self) -> Option<String> {
        let why = self.parted.as_ref()?.as_ref().err()?;
        Some(format!(
            "rule {}: rows of {} go one by one, not with their partitions: {why}",
            self.name, self.change.window.table
        ))
    }

    /// The statements of one window between two keys, in the order in which they run: the count of
    /// the plan; then the change, where rows hang on the rule's own or keep them: their lock, whether
    /// they are still eligible, what hangs on them from the bottom up, and the rows themselves.
    pub(super) fn shown(&self) -> Vec<String> {
        let key = vec![Value::Null; self.change.window.key.len()];
        let window = Window {
            after: Some(key.clone()),
            upto: Some(key.clone()),
        };
        let mut bounds = vec![self.count.counts(&window)];
        let groups = self.groups.iter();
        bounds.extend(groups.map(|groups| self.count.groups(&window, &groups.sql)));
        if self.is_one_statement() {
            bounds.push(self.change.by_window(&window));
        } else if self.goes_by_lock() {
            bounds.push(self.lock(&window));
            let below = self.below_by_lock(&window);
            let (counts, changes): (Vec<_>, Vec<_>) =
                below.into_iter().map(|one| (one.count, one.change)).unzip();
            bounds.extend(counts.into_iter().chain(changes));
            bounds.push(self.change.by_lock(&window));
        } else {
            bounds.push(self.change.choose(&window, true, SHOWN_ROWS));
            if self.change.eligible.looks_elsewhere() && !self.asks_again() {
                bounds.push(self.change.still(&window, std::slice::from_ref(&key)));
            }
            bounds.extend(self.change.copy(&window, std::slice::from_ref(&key), ""));
            let related = self.nodes.iter().rev();
            bounds.extend(related.flat_map(Node::statements));
            bounds.push(self.by_keys(&window, &[key]));
        }
        let texts = bounds.into_iter().map(|bound| bound.sql.text().to_owned());
        texts.collect()
    }

    /// Whether one statement may change the rows of a window: its engine looks at each of them again
    /// after a wait, and nothing hangs on them.
    pub fn is_one_statement(&self) -> bool {
        self.nodes.is_empty()
            && !self.change.eligible.looks_elsewhere()
            && self.groups.is_none()
            && self.change.seal.is_none()
    }

    /// Whether the statement that changes locked rows is also the one that looks at other tables again.
    pub fn asks_again(&self) -> bool {
        let elsewhere = self.change.eligible.looks_elsewhere();
        elsewhere && self.nodes.is_empty() && self.change.asks_again()
    }

    /// Whether the rows of a window are locked by one statement and changed by another, with what hangs on
    /// them between, without their keys. On PostgreSQL, where their own columns alone tell which they are
    /// or nothing hangs on them: what hangs on a row that gets its keeper meanwhile must not go.
    pub fn goes_by_lock(&self) -> bool {
        if self.nodes.is_empty() {
            return self.asks_again() && self.groups.is_none();
        }
        let tables: BTreeSet<&TableName> =
            self.nodes.iter().map(|node| &node.depth.table).collect();
        self.change.window.engine == Engine::Postgres
            && !self.change.eligible.looks_elsewhere()
            && self.groups.is_none()
            && self.change.seal.is_none()
            // One that writes to a locked row would hide it.
            && !self.triggered
            // A second change of a row checks all that it refers to, and locks it, which looks like a lock of ours.
            && tables.len() == self.nodes.len()
            && self.nodes.iter().all(|node| node.direct().is_some())
    }

    /// Whether a batch of that form goes by lock.
    pub fn locks_in(&self, form: Form) -> bool {
        let passes_over = match form {
            Form::Window => true,
            // Else a statement that has waited would be repeated as it is.
            Form::SkipLocked => !self.nodes.is_empty(),
            Form::Keys => false,
        };
        passes_over && self.goes_by_lock()
    }

    /// Locks the rows of a window, see [`Self::goes_by_lock`]; where others hang on them, one more than a batch
    /// may have at the most.
    pub fn lock(&self, window: &Window) -> Bound {
        let most = (!self.nodes.is_empty()).then_some(MOST_CHANGED + 1);
        self.change.lock(window, most)
    }

    /// What becomes of the rows that hang on those that a batch has locked, see [`Self::goes_by_lock`], in its
    /// order: what stays lets go first.
    pub fn below_by_lock(&self, window: &Window) -> Vec<BelowLocked> {
        let nodes = || self.nodes.iter().enumerate().rev();
        let stay = nodes().filter(|(_, node)| !node.goes());
        let all = stay.chain(nodes().filter(|(_, node)| node.goes()));
        all.filter_map(|(at, node)| {
            let (depth, way) = node.direct()?;
            Some(BelowLocked {
                node: at,
                count: depth.count_by_lock(way, &self.change, window, MOST_HANGING + 1),
                change: depth.change_by_lock(way, &self.change, window),
            })
        })
        .collect()
    }

    /// What the transaction of a batch is told first. PostgreSQL would rather read all of another table
    /// and join it than follow its index a thousand times: for every batch anew.
    pub fn settings(&self) -> Option<Bound> {
        let change = &self.change;
        let led = change.window.engine == Engine::Postgres && change.eligible.is_led_elsewhere();
        let joined = !self.nodes.is_empty() && self.goes_by_lock();
        let joins = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off";
        (led || joined).then(|| Bound::fixed(joins, Vec::new()))
    }

    /// Whether a window is changed without anybody fetching the keys of its rows, however many these are: nothing
    /// hangs on them.
    pub fn needs_no_keys(&self) -> bool {
        self.is_one_statement() || (self.nodes.is_empty() && self.goes_by_lock())
    }

    /// The same rule, walked in the order of its clock.
    pub fn by_clock(&self) -> Option<Self> {
        let change = self.change.by_clock(self.clock.as_ref()?);
        Some(Self {
            change,
            ..self.clone()
        })
    }

    /// Changes locked rows by their keys. `keys` is not empty.
    pub fn by_keys(&self, window: &Window, keys: &[Key]) -> Bound {
        if self.asks_again() {
            self.change.by_keys_again(window, keys)
        } else {
            self.change.by_keys(window, keys)
        }
    }
}

/// Rows that may hang on the chosen ones in one transaction, unless a single row has more.
pub const MOST_HANGING: u32 = 10_000;

/// What becomes of the rows of a node that hang on locked ones.
pub struct BelowLocked {
    /// The node.
    pub node: usize,
    /// Counts them, as far as one more than [`MOST_HANGING`].
    pub count: Bound,
    /// Changes them.
    pub change: Bound,
}

/// Rows that a statement is shown for, where its text has their number.
const SHOWN_ROWS: u32 = 5_000;

/// The tables whose pages hold the rows.
fn leaves(table: &Table) -> Vec<TableName> {
    match &table.kind {
        TableKind::Ordinary | TableKind::Partition { .. } => vec![table.name.clone()],
        TableKind::Partitioned { leaves } => leaves.clone(),
        _ => Vec::new(),
    }
}

impl Touch {
    /// What becomes of columns.
    fn transforms(&self) -> &[Transform] {
        match self {
            Self::Delete => &[],
            Self::Update(transforms) => transforms,
        }
    }

    /// What is reported of the rows.
    pub(super) fn reported(&self) -> report::Effect {
        match self {
            Self::Delete => report::Effect::Deleted,
            Self::Update(transforms) => {
                if transforms.iter().any(|t| t.strategy == Strategy::Pseudonym) {
                    report::Effect::Pseudonymised
                } else {
                    report::Effect::Masked
                }
            }
        }
    }
}

impl Policy {
    /// Whether a strategy needs the pseudonym key.
    pub fn is_keyed(&self) -> bool {
        let keyed = |ts: &[Treatment]| ts.iter().any(|t| t.strategy == Strategy::Pseudonym);
        self.rules.iter().any(|rule| {
            matches!(&rule.action, Action::Anonymise(ts) if keyed(ts))
                || rule.related.iter().any(|r| {
                    matches!(&r.action, crate::policy::RelatedAction::Anonymise(ts) if keyed(ts))
                })
        })
    }
}
