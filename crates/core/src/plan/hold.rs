//! Legal holds against a draft: each hold is typed against the catalog and put into the predicate of
//! every rule whose rows, or rows below them, it keeps (P5).
//!
//! It fails closed: a hold whose table or column is not there any more, or whose values do not fit,
//! refuses the whole plan, whichever tables its rules are about. Holds are no part of the digest: one
//! that is placed in the middle of a run must not make it another run.

mod person;

pub use self::person::{PersonHold, held_person, maps_of};
use super::clock::listable;
use super::constant;
use super::draft::{Draft, RuleDraft};
use super::graph::{self, Above};
use super::refusal::Refusal;
use crate::api::reason::Reason;
use crate::catalog::{Catalog, Column, Table, TableKind};
use crate::hold::{Hold, HoldOperator, HoldTest, MOST_BOUND};
use crate::name::TableName;
use crate::sql::{Bound, Down, Effect, Held, HeldAt, HeldTest, TypedTest, Way};
use crate::value::Key;

/// The holds under which a plan is made.
#[derive(Clone, Debug, Default)]
pub struct InForce {
    /// Those on rows.
    pub rows: Vec<Hold>,
    /// Those on persons.
    pub persons: Vec<PersonHold>,
}

/// A hold on one table, typed.
#[derive(Clone, Debug)]
struct Typed<'a> {
    name: &'a str,
    table: &'a Table,
    test: HeldTest,
}

/// Why a hold cannot be put in force in a database whose catalog has its table; `None`: it can.
pub fn unfit(hold: &Hold, catalog: &Catalog) -> Option<Refusal> {
    typed(hold, catalog).err()
}

/// Counts the rows that a hold fits; `None`: it does not fit its table.
pub fn fitting(hold: &Hold, catalog: &Catalog) -> Option<Bound> {
    Some(count(&typed(hold, catalog).ok()?, catalog))
}

/// Counts the rows of a person who is held, one statement for each table; `None`: the maps do not fit.
pub fn fitting_person(hold: &PersonHold, catalog: &Catalog) -> Option<Vec<Bound>> {
    let typed = hold.typed(catalog).ok()?;
    let counts = typed.into_iter().map(|(table, test)| {
        let name = &hold.name;
        count(&Typed { name, table, test }, catalog)
    });
    Some(counts.collect())
}

/// Why a hold on a person cannot be put in force in a database whose catalog has the tables of its maps.
pub fn unfit_person(hold: &PersonHold, catalog: &Catalog) -> Vec<Refusal> {
    hold.typed(catalog).err().unwrap_or_default()
}

fn count(hold: &Typed<'_>, catalog: &Catalog) -> Bound {
    let Typed { table, test, .. } = hold;
    let at = HeldAt {
        path: Vec::new(),
        node: None,
        test: test.clone(),
    };
    // A hold is on the rows that inherit from the table, too.
    let inherited = matches!(table.kind, TableKind::InheritanceParent { .. });
    let with_leaves = table.has_leaves() || inherited;
    at.count(catalog.engine, &table.name, with_leaves)
}

impl RuleDraft {
    /// Whether what holds keep is told of it: of rows of which a part is left, the rule before tells.
    pub fn tells_holds(&self) -> bool {
        !self.remainder && !self.count.eligible.held.is_empty()
    }

    /// Locks the rows of a node that hang on these parents, and counts the held or kept ones; `None`: no hold
    /// and no duty is about it. Asked once the parents are locked: what was not there when they were chosen must
    /// not go with them. `parents` is not empty.
    pub fn held_below(&self, node: usize, way: &Way, parents: &[Key]) -> Option<Bound> {
        let depth = &self.nodes.get(node)?.depth;
        depth.held(way, parents, self.change.eligible.keepers(), node)
    }
}

impl Draft {
    /// The rules as they are under these holds and no others. All refusals at once. `catalog`: where
    /// it is another one than that of the draft.
    pub fn rules_under(
        &self,
        holds: &InForce,
        catalog: Option<&Catalog>,
    ) -> Result<Vec<RuleDraft>, Vec<Refusal>> {
        under(&self.rules, holds, catalog.unwrap_or(&self.catalog))
    }
}

/// The rules as they are under these holds.
fn under(
    rules: &[RuleDraft],
    holds: &InForce,
    catalog: &Catalog,
) -> Result<Vec<RuleDraft>, Vec<Refusal>> {
    let mut refusals = Vec::new();
    // Each hold with the tables that it is on.
    let mut all_typed: Vec<Vec<Typed<'_>>> = Vec::new();
    for hold in &holds.rows {
        match typed(hold, catalog) {
            Ok(typed) => all_typed.push(vec![typed]),
            Err(refusal) => refusals.push(refusal),
        }
    }
    for hold in &holds.persons {
        let name = &hold.name;
        match hold.typed(catalog) {
            Ok(tables) => {
                let typed = tables.into_iter();
                all_typed.push(
                    typed
                        .map(|(table, test)| Typed { name, table, test })
                        .collect(),
                );
            }
            Err(found) => refusals.extend(found),
        }
    }
    let rules: Vec<RuleDraft> = rules
        .iter()
        .map(|rule| {
            let mut rule = rule.clone();
            let mut all = Vec::new();
            for hold in &all_typed {
                match held(&rule, rules, hold, catalog) {
                    Ok(held) => all.extend(held),
                    Err(refusal) => refusals.push(refusal),
                }
            }
            let before = rule.change.eligible.looks_elsewhere();
            rule.change.eligible.held.clone_from(&all);
            rule.count.eligible.held = all;
            if rule.remainder && !before && rule.change.eligible.looks_elsewhere() {
                let change = &mut rule.change;
                change.grips = graph::grip(catalog, &change.window.table, &mut change.referenced);
            }
            if rule.parted.as_ref().is_some_and(Result::is_ok)
                && rule.change.eligible.looks_elsewhere()
            {
                let why = "a legal hold on a person decides by rows of other tables";
                rule.parted = Some(Err(why.to_owned()));
            }
            rule
        })
        .collect();
    for rule in &rules {
        let bound = bound(&rule.change.eligible.held);
        if bound > MOST_BOUND {
            refusals.push(Refusal::of(
                &rule.name,
                Reason::HoldsUnreadable,
                format!(
                    "the holds that concern it have {bound} values, {MOST_BOUND} can be given to \
                     one statement: hold rows by fewer values, such as one of a parent row"
                ),
            ));
        }
    }
    if refusals.is_empty() {
        Ok(rules)
    } else {
        Err(refusals)
    }
}

fn bound(held: &[Held]) -> usize {
    held.iter()
        .flat_map(|hold| &hold.places)
        .map(|place| place.test.bound())
        .sum()
}

/// Where a hold keeps rows of a rule; `None`: nowhere. `tables`: those that it is on.
fn held(
    rule: &RuleDraft,
    rules: &[RuleDraft],
    tables: &[Typed<'_>],
    catalog: &Catalog,
) -> Result<Option<Held>, Refusal> {
    let mut all = Vec::new();
    for hold in tables {
        let found = places(rule, hold.table, &hold.test, catalog, |_| true);
        all.extend(found.ok_or_else(|| unknown_below(rule, hold))?);
        all.extend(sealed(rule, rules, hold.table, &hold.test, catalog));
        for whole in rules.iter().filter(|whole| rule.is_rest_of(&whole.name)) {
            let found = places(whole, hold.table, &hold.test, catalog, |_| true);
            let found = found.ok_or_else(|| unknown_below(rule, hold))?;
            let below = found.into_iter().filter(|place| !place.path.is_empty());
            // What is left of a row has no related rows of its own, and so no nodes.
            all.extend(below.map(|place| HeldAt {
                node: None,
                ..place
            }));
        }
    }
    let first = tables.first().filter(|_| !all.is_empty());
    Ok(first.map(|hold| Held {
        hold: hold.name.to_owned(),
        places: all,
    }))
}

/// Where rows of a table keep rows of a rule, among the tables that the rule changes so that it
/// matters; `None`: that cannot be told.
pub(super) fn places(
    rule: &RuleDraft,
    table: &Table,
    test: &HeldTest,
    catalog: &Catalog,
    matters: impl Fn(&Effect) -> bool,
) -> Option<Vec<HeldAt>> {
    let test = test.of(&rule.change.window.table);
    let mut places = Vec::new();
    if concerns(catalog, &table.name, &rule.change.window.table) && matters(&rule.change.effect) {
        places.push(HeldAt {
            path: Vec::new(),
            node: None,
            test: test.clone(),
        });
    }
    for (i, node) in rule.nodes.iter().enumerate() {
        if concerns(catalog, &table.name, &node.depth.table) && matters(&node.depth.effect) {
            let paths = paths(rule, i)?;
            places.extend(paths.into_iter().map(|path| HeldAt {
                path,
                node: Some(i),
                test: test.clone(),
            }));
        }
    }
    Some(places)
}

/// Where rows that were sealed out of a table, or hang on such, keep those of a rule that ends what was
/// sealed. `rules`: those that seal.
pub(super) fn sealed(
    rule: &RuleDraft,
    rules: &[RuleDraft],
    table: &Table,
    test: &HeldTest,
    catalog: &Catalog,
) -> Vec<HeldAt> {
    let Some(from) = &rule.sealed_from else {
        return Vec::new();
    };
    // Its columns are those of the table that the rows came from, or the plan is refused.
    let was_in = |from: &TableName| was_in(catalog, table, test, from);
    let test = match test {
        // What it hung on may be sealed, too, or gone.
        HeldTest::Person(_, reach) if reach.looks_elsewhere() => HeldTest::Every,
        test => test.of(&rule.change.window.table),
    };
    let own = was_in(from).then(Vec::new);
    let below = rules.iter().flat_map(|seals| below(seals, rule, was_in));
    own.into_iter()
        .chain(below)
        .map(|path| HeldAt {
            path,
            node: None,
            test: test.clone(),
        })
        .collect()
}

/// Whether rows of a held table may lie where those of `from` are sealed. Tables of one name and several
/// schemas have one place for what is sealed of them, and what came from where nobody can tell.
fn was_in(catalog: &Catalog, held: &Table, test: &HeldTest, from: &TableName) -> bool {
    let alike = |from: &Table| {
        let column = |column: &Column| from.column(&column.name).map(|known| &known.type_name);
        let like = |tested: &Column| column(tested) == Some(&tested.type_name);
        test.columns().into_iter().all(like)
    };
    concerns(catalog, &held.name, from)
        || held.name.table == from.table && catalog.tables.get(from).is_some_and(alike)
}

/// The ways from a sealed table down to sealed rows that may be held, as they led when a rule sealed
/// them: what leads to a held row is kept there as it would have been here.
fn below(
    seals: &RuleDraft,
    ending: &RuleDraft,
    was_in: impl Fn(&TableName) -> bool,
) -> Vec<Vec<Down>> {
    let Some(own) = &seals.change.seal else {
        return Vec::new();
    };
    let place = |table: &TableName| {
        let mut nodes = seals.nodes.iter().filter(|node| node.depth.table == *table);
        let own = (*table == seals.change.window.table).then_some(own);
        let sealed = own.or(nodes.find_map(|node| node.depth.seal.as_ref()))?;
        Some(&sealed.window)
    };
    let mut all = Vec::new();
    for (i, node) in seals.nodes.iter().enumerate() {
        if !was_in(&node.depth.table) {
            continue;
        }
        // Those of a circle are refused where they are sealed.
        for path in paths(seals, i).unwrap_or_default() {
            let step = |step: &Down| {
                let (to, parent) = (place(&step.table)?, place(&step.parent)?);
                Some(Down {
                    table: to.table.clone(),
                    with_leaves: to.with_leaves,
                    parent: parent.table.clone(),
                    pairs: step.pairs.clone(),
                })
            };
            let sealed: Vec<Option<Down>> = path.iter().map(step).collect();
            let is_start = |step: &Option<Down>| {
                step.as_ref()
                    .is_some_and(|step| step.parent == ending.change.window.table)
            };
            if let Some(start) = sealed.iter().position(is_start) {
                all.extend(
                    sealed
                        .into_iter()
                        .skip(start)
                        .collect::<Option<Vec<Down>>>(),
                );
            }
        }
    }
    all
}

/// Rows that hang on each other in a circle: how deep a held one may lie is not known, and so not
/// which rows it keeps.
fn unknown_below(rule: &RuleDraft, hold: &Typed<'_>) -> Refusal {
    Refusal::of(
        &rule.name,
        Reason::HoldsUnreadable,
        format!(
            "the hold {} is about {}, whose rows hang on the rule's over references that lead in a \
             circle or in too many ways: which rows it keeps cannot be told, and so the rule rests \
             until the hold is released",
            hold.name, hold.table.name
        ),
    )
}

/// Ways from the rule's table down to a node, at the most.
const WAYS: usize = 64;

/// Every way from the rule's table down to a node; `None`: they do not end, or are too many.
fn paths(rule: &RuleDraft, node: usize) -> Option<Vec<Vec<Down>>> {
    let below = rule.nodes.get(node)?;
    if below.ring.is_some() {
        return None;
    }
    let mut all = Vec::new();
    for link in &below.links {
        for above in &link.above {
            let (table, above) = match above {
                Above::Own => (&rule.change.window.table, vec![Vec::new()]),
                Above::Node(above) => (&rule.nodes.get(*above)?.depth.table, paths(rule, *above)?),
            };
            let step = Down::to(&below.depth, &link.way, table);
            all.extend(above.into_iter().map(|mut path| {
                path.push(step.clone());
                path
            }));
        }
    }
    (all.len() <= WAYS).then_some(all)
}

/// Whether rows of `table` may be held by a hold on `held`: it is the same, a part of it, or what it
/// is a part of. A hold on one partition is taken for one on all rows of the table that fit it:
/// rather too many than one too few.
pub(super) fn concerns(catalog: &Catalog, held: &TableName, table: &TableName) -> bool {
    let related = |one: &Table, other: &TableName| match &one.kind {
        TableKind::Partitioned { leaves } => leaves.contains(other),
        TableKind::Partition { of } => of == other,
        TableKind::InheritanceParent { .. } => catalog.inherits(other, &one.name),
        _ => false,
    };
    let of = |name: &TableName| catalog.tables.get(name);
    held == table
        || of(held).is_some_and(|held| related(held, table))
        || of(table).is_some_and(|table| related(table, held))
}

fn typed<'a>(hold: &'a Hold, catalog: &'a Catalog) -> Result<Typed<'a>, Refusal> {
    let refuse = |message: String| {
        Refusal::whole(
            Reason::HoldsUnreadable,
            format!("the hold {} cannot be kept: {message}", hold.name),
        )
    };
    let table = catalog.table(&hold.table).ok_or_else(|| {
        refuse(format!(
            "table {} does not exist in database {}, or user {} may not see it",
            hold.table, catalog.database, catalog.user
        ))
    })?;
    let mut tests = Vec::with_capacity(hold.tests.len());
    for HoldTest {
        column: name,
        operator,
        values,
    } in &hold.tests
    {
        let column = table
            .column(name)
            .ok_or_else(|| refuse(format!("{} has no column {name}", table.name)))?;
        let test = match operator {
            HoldOperator::IsNull => TypedTest::IsNull,
            HoldOperator::IsNotNull => TypedTest::IsNotNull,
            HoldOperator::In if !listable(column.kind) => {
                return Err(refuse(format!(
                    "{}.{name} is {}: In compares text, whole numbers, decimals, uuids, booleans \
                     and enums",
                    table.name, column.type_name
                )));
            }
            HoldOperator::In => TypedTest::In(
                values
                    .iter()
                    .map(|value| constant::typed(column, catalog.engine, value))
                    .collect::<Option<_>>()
                    .ok_or_else(|| {
                        refuse(format!(
                            "a value for {}.{name} does not fit {}{}",
                            table.name,
                            column.type_name,
                            constant::what_fits(column)
                        ))
                    })?,
            ),
        };
        tests.push((column.clone(), test));
    }
    Ok(Typed {
        name: &hold.name,
        table,
        test: HeldTest::All(tests),
    })
}
