//! What becomes of a person's rows in each table that is reached: a guess, on the side of keeping.

use std::collections::BTreeSet;

use super::identifiers::{FoundIdentifier, is_person};
use super::links::Link;
use super::reach::Reach;
use super::{FoundRole, Ground};
use crate::catalog::Table;
use crate::name::TableName;
use crate::people::Decision;

/// A proposed decision.
#[derive(Clone, Debug)]
pub(super) struct Decided {
    pub(super) decision: Decision,
    pub(super) why: String,
    /// The rows are other persons' own.
    pub(super) is_others: bool,
}

/// The tables in which persons are: the roles', and such as look like it.
pub(super) fn persons<'c>(
    ground: &Ground<'c>,
    roles: impl Iterator<Item = &'c Table>,
) -> BTreeSet<&'c TableName> {
    let looking = ground.tables.values().copied().filter(|t| is_person(t));
    roles.chain(looking).map(|table| &table.name).collect()
}

/// A decision for each table that is reached.
pub(super) fn decided<'c>(
    ground: &'c Ground<'c>,
    reach: &Reach<'c>,
    role: Option<&FoundRole<'c>>,
    persons: &BTreeSet<&'c TableName>,
    own: &dyn Fn(&'c Table) -> Vec<FoundIdentifier<'c>>,
) -> Vec<Decided> {
    let mut all: Vec<Decided> = (0..reach.nodes.len())
        .map(|place| {
            let own = own(reach.nodes[place].table);
            first(ground, reach, place, role, persons, &own)
        })
        .collect();
    loop {
        let mut changed = false;
        for place in 0..all.len() {
            if let Some(decided) = otherwise(ground, reach, place, &all) {
                all[place] = decided;
                changed = true;
            }
        }
        if !changed {
            return all;
        }
    }
}

/// What the table alone says.
fn first<'c>(
    ground: &'c Ground<'c>,
    reach: &Reach<'c>,
    place: usize,
    role: Option<&FoundRole<'c>>,
    persons: &BTreeSet<&'c TableName>,
    own: &[FoundIdentifier<'c>],
) -> Decided {
    let table = reach.nodes[place].table;
    let shared = |why: String, is_others: bool| Decided {
        decision: Decision::Shared,
        why,
        is_others,
    };
    if role.is_some() && reach.is_root(place) {
        return alone("it is the person's own row".to_owned());
    }
    if !reach.is_root(place) && persons.contains(&table.name) {
        let why = "its rows look like other persons' own, and only hang on the person's";
        return shared(why.to_owned(), true);
    }
    let to_persons: Vec<&Link<'c>> = ground
        .links
        .from(&table.name)
        .filter(|link| link.to.name != table.name && persons.contains(&link.to.name))
        .collect();
    let second = to_persons
        .iter()
        .find(|link| role.is_none_or(|role| role.table.name != link.to.name));
    if let Some(link) = second {
        let why = format!(
            "{} leads to {}, where another person may be",
            link.columns(),
            link.to.name
        );
        return shared(why, false);
    }
    if let [one, other, ..] = to_persons.as_slice() {
        let why = format!(
            "{} and {} may lead to two persons",
            one.columns(),
            other.columns()
        );
        return shared(why, false);
    }
    for (place, one) in own.iter().enumerate().filter(|_| role.is_none()) {
        if let Some(other) = own[..place].iter().find(|other| other.name == one.name) {
            let (one, other) = (&one.column.name, &other.column.name);
            return shared(format!("{other} and {one} may be two persons'"), false);
        }
    }
    alone("its rows hang on the person only".to_owned())
}

fn alone(why: String) -> Decided {
    Decided {
        decision: Decision::Delete,
        why,
        is_others: false,
    }
}

/// What has to become of a table's rows instead, for what hangs on them or on what they hang.
fn otherwise<'c>(
    ground: &'c Ground<'c>,
    reach: &Reach<'c>,
    place: usize,
    all: &[Decided],
) -> Option<Decided> {
    let node = &reach.nodes[place];
    let own = all[place].decision;
    let mut above = node.ways.iter().map(|(above, _)| *above);
    let shared = above.find(|above| all[*above].decision == Decision::Shared);
    if let Some(above) = shared.filter(|_| own != Decision::Shared) {
        let above = &reach.nodes[above].table.name;
        return Some(Decided {
            decision: Decision::Shared,
            why: format!("its rows hang on those of {above}, which are others', too"),
            is_others: false,
        });
    }
    if own != Decision::Delete {
        return None;
    }
    let closes = |link: &Link<'c>| node.closes.iter().any(|closed| std::ptr::eq(*closed, link));
    let stays = |link: &&Link<'c>| {
        let mut others = reach.nodes.iter().zip(all);
        let other = others.find(|(other, _)| other.table.name == link.from.name);
        closes(link) || other.is_none_or(|(_, decided)| decided.decision != Decision::Delete)
    };
    let link = ground.links.to(&node.table.name).find(stays)?;
    let rows = if link.from.name == node.table.name {
        "other rows of the table refer".to_owned()
    } else if closes(link) {
        format!(
            "rows of {} that are not the person's may refer",
            link.from.name
        )
    } else {
        format!("rows of {} that stay refer", link.from.name)
    };
    Some(Decided {
        decision: Decision::Anonymise,
        why: format!("{rows} to it ({})", link.columns()),
        is_others: false,
    })
}
