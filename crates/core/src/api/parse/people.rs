//! The half of a DataMap about persons: from the manifest to `crate::people`.

use std::collections::BTreeSet;

use super::data_map::twice;
use super::rule::parse_table;
use super::{At, Names, all};
use crate::api::data_map::DataMapSpec;
use crate::api::lookup::NormaliseName;
use crate::api::people::{
    DecisionName, DecisionSpec, ElsewhereSpec, IdentifierSpec, LeadSpec, MAX_ELSEWHERE,
    MAX_IDENTIFIERS, MAX_ROLES, MAX_WAYS, MapKeySpec, ReachMatchSpec, ReachSpec, ReappearedName,
    SubjectRoleSpec, UnclassifiedName, ViaName,
};
use crate::duty::MappedTable;
use crate::people::{Decision, Elsewhere, Identifier, People, Reached, Role, Way};
use crate::policy::Normalise;
use crate::target::KeyOf;

/// The roles, places and settings of a map.
pub(super) fn parse_people(at: &At<'_>, spec: &DataMapSpec, names: &Names) -> Option<People> {
    let roles_at = at.field("subjects");
    let roles = spec.subjects.as_deref().unwrap_or_default();
    roles_at.bounded(roles, MAX_ROLES);
    let roles = all(roles, |i, role| parse_role(&roles_at.index(i), role, names));
    if let Some(roles) = &roles {
        twice(&roles_at, "role", roles.iter().map(|r| r.name.clone()));
    }
    let places_at = at.field("elsewhere");
    let places = spec.elsewhere.as_deref().unwrap_or_default();
    places_at.bounded(places, MAX_ELSEWHERE);
    let places = all(places, |i, place| parse_place(&places_at.index(i), place));
    if let Some(places) = &places {
        twice(&places_at, "name", places.iter().map(|p| p.name.clone()));
    }
    let unclassified = at
        .field("unclassified")
        .word_or(spec.unclassified.as_ref(), UnclassifiedName::Refuse);
    let reappeared = at
        .field("reappeared")
        .word_or(spec.reappeared.as_ref(), ReappearedName::Report);
    let key = match &spec.pseudonym_key {
        None => Some(None),
        Some(key) => parse_key(&at.field("pseudonymKey"), key).map(Some),
    };
    Some(People {
        roles: roles?,
        elsewhere: places?,
        reports_unclassified: unclassified? == UnclassifiedName::Report,
        scans_residue: spec.residue_scan.unwrap_or_default(),
        erases_again: reappeared? == ReappearedName::EraseAgain,
        pseudonym_key: key?,
    })
}

fn parse_key(at: &At<'_>, spec: &MapKeySpec) -> Option<KeyOf> {
    let MapKeySpec {
        secret_ref,
        unknown,
    } = spec;
    at.known::<MapKeySpec>(unknown);
    let at = at.field("secretRef");
    at.required(secret_ref.as_ref(), "`{name: crm-pseudonyms, key: key}`")
        .and_then(|reference| at.key_ref(reference, "`key`"))
}

fn parse_role(at: &At<'_>, spec: &SubjectRoleSpec, names: &Names) -> Option<Role> {
    let SubjectRoleSpec {
        role,
        table,
        identifiers,
        leads_to,
        in_rows_of_others,
        unknown,
    } = spec;
    at.known::<SubjectRoleSpec>(unknown);
    let name = parse_word(&at.field("role"), role.as_ref(), "`learner`");
    let table = parse_table(&at.field("table"), table.as_ref(), names);
    let list_at = at.field("identifiers");
    let identifiers = list_at
        .required(
            identifiers.as_deref(),
            "`[{name: email, column: email, normalise: LowercaseTrim}]`",
        )
        .and_then(|list| {
            list_at.bounded(list, MAX_IDENTIFIERS);
            if list.is_empty() {
                list_at.invalid("is empty: nobody could be found in this role");
            }
            let parsed = all(list, |i, one| {
                parse_identifier(&list_at.index(i), one, names)
            })?;
            twice(&list_at, "name", parsed.iter().map(|i| i.name.clone()));
            Some(parsed)
        });
    let leads_at = at.field("leadsTo");
    let leads = leads_to.as_deref().unwrap_or_default();
    leads_at.bounded(leads, MAX_IDENTIFIERS);
    let leads = all(leads, |i, lead| {
        let at = leads_at.index(i);
        let LeadSpec {
            identifier,
            column,
            unknown,
        } = lead;
        at.known::<LeadSpec>(unknown);
        let name = parse_word(
            &at.field("identifier"),
            identifier.as_ref(),
            "`learnerNumber`",
        );
        let column = at
            .field("column")
            .column(column.as_ref(), names, "`learner_no`");
        Some((name?, column?))
    });
    if *in_rows_of_others == Some(true) && leads_to.as_ref().is_some_and(|leads| !leads.is_empty())
    {
        leads_at.invalid(
            "is for rows of the person: what else stands in a row of somebody else is theirs, and \
             would lead to them. Remove it, or `inRowsOfOthers`",
        );
    }
    Some(Role {
        name: name?,
        table: table?,
        identifiers: identifiers?,
        leads_to: leads?,
        in_rows_of_others: in_rows_of_others.unwrap_or(false),
    })
}

fn parse_identifier(at: &At<'_>, spec: &IdentifierSpec, names: &Names) -> Option<Identifier> {
    let IdentifierSpec {
        name,
        column,
        normalise,
        unknown,
    } = spec;
    at.known::<IdentifierSpec>(unknown);
    let name = parse_word(&at.field("name"), name.as_ref(), "`email`");
    let column = at.field("column").column(column.as_ref(), names, "`email`");
    let normalise = match normalise {
        None => Some(None),
        Some(_) => at
            .field("normalise")
            .word(normalise.as_ref())
            .map(|word| match word {
                NormaliseName::LowercaseTrim => Some(Normalise::LowercaseTrim),
                NormaliseName::DigitsOnly => Some(Normalise::DigitsOnly),
            }),
    };
    Some(Identifier {
        name: name?,
        column: column?,
        normalise: normalise?,
    })
}

fn parse_place(at: &At<'_>, spec: &ElsewhereSpec) -> Option<Elsewhere> {
    let ElsewhereSpec {
        name,
        via,
        owner,
        unknown,
    } = spec;
    at.known::<ElsewhereSpec>(unknown);
    let name = parse_word(&at.field("name"), name.as_ref(), "`mailing-list`");
    let via = at.field("via").word(via.as_ref());
    let owner_at = at.field("owner");
    let owner = match (via?, owner) {
        (ViaName::Webhook, None) => None,
        (ViaName::Webhook, Some(_)) => {
            owner_at.invalid("is for via: Manual: remove it");
            return None;
        }
        (ViaName::Manual, owner) => Some(parse_word(&owner_at, owner.as_ref(), "`reception`")?),
    };
    Some(Elsewhere { name: name?, owner })
}

/// A name of the map's own: letters, digits and dashes.
pub(crate) fn parse_word(at: &At<'_>, text: Option<&String>, example: &str) -> Option<String> {
    let text = at.text(text, example)?;
    let plain = |c: char| c.is_ascii_alphanumeric();
    let good = text.len() <= 63
        && text.starts_with(plain)
        && text.ends_with(plain)
        && text.chars().all(|c| plain(c) || c == '-');
    if !good {
        at.invalid(format!(
            "is no name: write at most 63 letters and digits, with '-' between, such as {example}"
        ));
    }
    good.then(|| text.to_owned())
}

/// How an entry's rows are reached; a decision belongs to it.
#[expect(
    clippy::option_option,
    reason = "a fault, nothing written, or what was written"
)]
pub(super) fn parse_reached(
    at: &At<'_>,
    ways: Option<&[ReachSpec]>,
    decision: Option<&DecisionSpec>,
    purposes: Option<&[String]>,
    names: &Names,
) -> Option<Option<Reached>> {
    let decision_at = at.field("decision");
    let Some(ways) = ways else {
        if decision.is_some() {
            decision_at.invalid("is for rows that a person is reached by: add reachedBy");
        }
        return Some(None);
    };
    let ways_at = at.field("reachedBy");
    ways_at.bounded(ways, MAX_WAYS);
    if ways.is_empty() {
        ways_at.invalid("is empty: leave it out where no way leads to the rows");
    }
    let ways = all(ways, |i, way| parse_way(&ways_at.index(i), way, names));
    let decision = decision_at
        .required(decision, "`{type: Delete}`")
        .and_then(|decision| {
            let DecisionSpec { kind, unknown } = decision;
            decision_at.known::<DecisionSpec>(unknown);
            decision_at.field("type").word(kind.as_ref())
        });
    Some(Some(Reached {
        ways: ways?,
        decision: match decision? {
            DecisionName::Delete => Decision::Delete,
            DecisionName::Anonymise => Decision::Anonymise,
            DecisionName::Shared => Decision::Shared,
        },
        purposes: purposes.unwrap_or_default().to_vec(),
    }))
}

/// A way as it is written; whether `from` is a role or an entry, the whole map says.
fn parse_way(at: &At<'_>, spec: &ReachSpec, names: &Names) -> Option<Way> {
    let ReachSpec {
        from,
        matches,
        identifier,
        unknown,
    } = spec;
    at.known::<ReachSpec>(unknown);
    if let Some(identifier) = identifier {
        if from.is_some() || matches.is_some() {
            at.invalid("identifier stands alone: remove from and match, or write another way");
            return None;
        }
        return parse_identifier(&at.field("identifier"), identifier, names).map(Way::Own);
    }
    let from = parse_word(&at.field("from"), from.as_ref(), "`learner`")?;
    let Some(matches) = matches else {
        return Some(Way::Role(from));
    };
    let matches_at = at.field("match");
    if matches.is_empty() || matches.len() > 8 {
        matches_at.invalid("write one to eight pairs of columns, or leave it out");
        return None;
    }
    let pairs = all(matches, |i, pair| {
        let at = matches_at.index(i);
        let ReachMatchSpec {
            column,
            equals,
            unknown,
        } = pair;
        at.known::<ReachMatchSpec>(unknown);
        let column = at
            .field("column")
            .column(column.as_ref(), names, "`learner_id`");
        let equals = at.field("equals").column(equals.as_ref(), names, "`id`");
        Some((column?, equals?))
    })?;
    Some(Way::OfRole(from, pairs))
}

/// Finds out what each `from` means, and refuses what leads nowhere.
pub(super) fn resolve(at: &At<'_>, people: &People, tables: &mut [MappedTable]) {
    let tables_at = at.field("tables");
    let entries: Vec<(String, bool, BTreeSet<String>)> = tables
        .iter()
        .map(|entry| {
            let from = |way: &Way| match way {
                Way::OfRole(from, _) => Some(from.clone()),
                Way::Role(_) | Way::OfEntry(..) | Way::Own(_) => None,
            };
            let reached = entry.reached.as_ref();
            let above = reached
                .into_iter()
                .flat_map(|r| r.ways.iter().filter_map(from));
            (entry.name.clone(), reached.is_some(), above.collect())
        })
        .collect();
    for (i, entry) in tables.iter_mut().enumerate() {
        let Some(reached) = &mut entry.reached else {
            continue;
        };
        let at = tables_at.index(i);
        for (place, way) in reached.ways.iter_mut().enumerate() {
            let at = at.field("reachedBy").index(place);
            let of_others = |role: &str| people.role(role).is_some_and(|r| r.in_rows_of_others);
            match way {
                Way::Role(from) => match people.role(from) {
                    Some(role) if role.table == entry.table => {
                        if role.in_rows_of_others && reached.decision != Decision::Shared {
                            at.invalid(format!(
                                "the rows of role `{from}` are other persons': write \
                                 `decision: {{type: Shared}}`"
                            ));
                        }
                    }
                    Some(role) => at.invalid(format!(
                        "role `{from}` has its rows in {}: write match, or name that table",
                        role.table
                    )),
                    None => at.field("from").invalid(no_such(from)),
                },
                Way::OfRole(from, pairs) => {
                    if of_others(from) && reached.decision != Decision::Shared {
                        at.invalid(format!(
                            "role `{from}` is in rows of others: what hangs on them is others', too; \
                             write `decision: {{type: Shared}}`"
                        ));
                    }
                    if people.role(from).is_some() {
                        continue;
                    }
                    match entries.iter().find(|(name, ..)| name == from) {
                        Some((_, true, _)) if leads_back(&entries, from, &entry.name) => {
                            at.field("from").invalid(format!(
                                "the ways of `{from}` lead back to this entry: rows in a ring are \
                                 reached from the role itself"
                            ));
                        }
                        Some((_, true, _)) => *way = Way::OfEntry(from.clone(), pairs.clone()),
                        Some((_, false, _)) => at.field("from").invalid(format!(
                            "entry `{from}` has no reachedBy of its own: nobody's rows are reached by it"
                        )),
                        None => at.field("from").invalid(no_such(from)),
                    }
                }
                Way::OfEntry(..) | Way::Own(_) => {}
            }
        }
    }
}

fn no_such(from: &str) -> String {
    format!("`{from}` is neither a role in subjects nor the name of another entry")
}

/// Whether the ways of one entry lead to another.
fn leads_back(entries: &[(String, bool, BTreeSet<String>)], from: &str, to: &str) -> bool {
    let mut open = vec![from];
    let mut seen = BTreeSet::new();
    while let Some(at) = open.pop() {
        if at == to {
            return true;
        }
        if seen.insert(at)
            && let Some((.., above)) = entries.iter().find(|(name, ..)| name == at)
        {
            open.extend(above.iter().map(String::as_str));
        }
    }
    false
}
