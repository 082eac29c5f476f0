//! One rule: from the manifest to `crate::policy::Rule`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;

use super::{At, Names};
use crate::api::reason::Reason;
use crate::api::rule::{
    ActionSpec, ActionType, ColumnSpec, ConstantSpec, DateUnit as DateUnitWord,
    EpochUnit as EpochUnitWord, GeneraliseDateSpec, GeneraliseNumberSpec, GroupSpec, MatchSpec,
    Operator, RelatedActionSpec, RelatedActionType, RelatedSpec, RuleSpec, SinceSpec, StrategyName,
    TestSpec, WalkSpec, WhereSpec,
};
use crate::api::words::Choice;
use crate::name::{Ident, TableName};
use crate::period::Period;
use crate::policy::{
    Action, Clause, Clock, Condition, EpochUnit, Moment, Related, RelatedAction, Rule, Test,
    Treatment,
};
use crate::strategy::{DateUnit, Strategy};
use crate::zone;

/// Readings before this are implausible unless `notBefore` says otherwise: 1970-01-02, so that a
/// zero in an integer column is not a date.
const PLAUSIBLE_FROM: i64 = 86_400;

pub(super) fn parse_rule(at: &At<'_>, spec: &RuleSpec, names: &Names) -> Option<Rule> {
    let RuleSpec {
        name,
        basis,
        table,
        expire_after,
        since,
        conditions,
        action,
        walk,
        related,
        unknown,
    } = spec;
    at.known::<RuleSpec>(unknown);
    let name = parse_rule_name(&at.field("name"), name.as_ref());
    let basis = at.field("basis").text(
        basis.as_ref(),
        "`Privacy notice: enquiries are kept for six months`",
    );
    let table = parse_table(&at.field("table"), table.as_ref(), names);
    let expire_after = {
        let at = at.field("expireAfter");
        at.text(expire_after.as_ref(), "`P6M`")
            .and_then(|text| at.parsed::<Period>(text))
    };
    let clock = {
        let at = at.field("since");
        at.required(since.as_ref(), "`{column: created_at}`")
            .and_then(|since| parse_since(&at, since, names))
    };
    let conditions_at = at.field("where");
    let clauses = conditions.as_deref().unwrap_or_default();
    conditions_at.bounded(clauses, 16);
    let conditions = all(clauses, |i, clause| {
        parse_clause(&conditions_at.index(i), clause, names)
    });
    let action = {
        let at = at.field("action");
        at.required(action.as_ref(), "`{type: Delete}`")
            .and_then(|action| parse_action(&at, action, names))
    };
    let allow_unindexed = match walk {
        None => false,
        Some(WalkSpec {
            allow_unindexed,
            unknown,
        }) => {
            at.field("walk").known::<WalkSpec>(unknown);
            allow_unindexed.unwrap_or(false)
        }
    };
    let related_at = at.field("related");
    let entries = related.as_deref().unwrap_or_default();
    related_at.bounded(entries, 32);
    let related = all(entries, |i, entry| {
        parse_related(&related_at.index(i), entry, names)
    });
    if let (Some(table), Some(related)) = (&table, &related) {
        check_related(&related_at, table, related);
    }
    basis?;
    Some(Rule {
        name: name?,
        table: table?,
        expire_after: expire_after?,
        clock: clock?,
        conditions: conditions?,
        action: action?,
        related: related?,
        allow_unindexed,
    })
}

/// Parses every entry, so that every fault is noted, and gives the list if all are good.
fn all<S, T>(entries: &[S], mut parse: impl FnMut(usize, &S) -> Option<T>) -> Option<Vec<T>> {
    let parsed: Vec<_> = entries
        .iter()
        .enumerate()
        .map(|(i, entry)| parse(i, entry))
        .collect();
    parsed.into_iter().collect()
}

fn parse_rule_name(at: &At<'_>, name: Option<&String>) -> Option<String> {
    let name = at.text(name, "`course-enquiries`")?;
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let plain = name.len() <= 63
        && name.chars().all(|c| inner(c) || c == '-')
        && name.starts_with(inner)
        && name.ends_with(inner);
    if !plain {
        at.invalid(
            "write at most 63 lower-case letters, digits and hyphens, such as `course-enquiries`",
        );
        return None;
    }
    Some(name.to_owned())
}

fn parse_table(at: &At<'_>, table: Option<&String>, names: &Names) -> Option<TableName> {
    let text = at.text(table, "`public.enquiries`")?;
    let name: TableName = at.parsed(text)?;
    if names.is_postgres() && name.schema.is_none() {
        at.invalid(format!("write the schema too, such as `public.{name}`"));
        return None;
    }
    let TableName { schema, table } = name;
    let schema = match schema {
        None => None,
        Some(schema) => Some(names.fits(at, schema)?),
    };
    Some(TableName {
        schema,
        table: names.fits(at, table)?,
    })
}

fn parse_since(at: &At<'_>, spec: &SinceSpec, names: &Names) -> Option<Clock> {
    let SinceSpec {
        column,
        unit,
        time_zone,
        not_before,
        unknown,
    } = spec;
    at.known::<SinceSpec>(unknown);
    let column = at
        .field("column")
        .column(column.as_ref(), names, "`created_at`");
    let epoch = match unit {
        None => Some(None),
        Some(_) => at.field("unit").word(unit.as_ref()).map(|unit| {
            Some(match unit {
                EpochUnitWord::Seconds => EpochUnit::Seconds,
                EpochUnitWord::Milliseconds => EpochUnit::Milliseconds,
                EpochUnitWord::Microseconds => EpochUnit::Microseconds,
                EpochUnitWord::Days => EpochUnit::Days,
            })
        }),
    };
    let zone_at = at.field("timeZone");
    let zone = match time_zone {
        None => Some(None),
        Some(name) => zone::zone(name)
            .inspect_err(|error| zone_at.invalid(error.to_string()))
            .ok()
            .map(Some),
    };
    if unit.is_some() && time_zone.is_some() {
        at.invalid("unit is for integer columns and timeZone for columns without a zone: write one of them");
    }
    let floor_at = at.field("notBefore");
    let not_before = match not_before {
        None => Timestamp::from_second(PLAUSIBLE_FROM).ok(),
        Some(text) => parse_moment(&floor_at, text).and_then(|moment| match moment {
            Moment::Instant(instant) => Some(instant),
            Moment::Date(date) => {
                let zone = zone.clone().flatten().unwrap_or(jiff::tz::TimeZone::UTC);
                date.to_zoned(zone)
                    .inspect_err(|_| floor_at.invalid("is outside the calendar"))
                    .ok()
                    .map(|start| start.timestamp())
            }
        }),
    };
    Some(Clock {
        column: column?,
        epoch: epoch?,
        zone: zone?,
        not_before: not_before?,
    })
}

/// An instant with its offset, or a date; never a local time, which would need a zone.
fn parse_moment(at: &At<'_>, text: &str) -> Option<Moment> {
    let is_date = text.len() == 10;
    let moment = if is_date {
        text.parse::<Date>().ok().map(Moment::Date)
    } else {
        text.parse::<Timestamp>().ok().map(Moment::Instant)
    };
    if moment.is_none() {
        at.invalid(format!(
            "{text:?} is neither a date such as `2018-05-25` nor an instant such as `2018-05-25T00:00:00Z`"
        ));
    }
    moment
}

fn parse_clause(at: &At<'_>, spec: &WhereSpec, names: &Names) -> Option<Clause> {
    let WhereSpec {
        column,
        operator,
        values,
        any_of,
        unknown,
    } = spec;
    at.known::<WhereSpec>(unknown);
    let Some(groups) = any_of else {
        return parse_test(
            at,
            column.as_ref(),
            operator.as_ref(),
            values.as_deref(),
            names,
        )
        .map(Clause::Test);
    };
    if column.is_some() || operator.is_some() || values.is_some() {
        at.invalid("write either column, operator and values, or anyOf");
        return None;
    }
    let groups_at = at.field("anyOf");
    groups_at.bounded(groups, 8);
    if groups.is_empty() {
        groups_at.invalid("is empty, so nothing could hold: write at least one group");
        return None;
    }
    all(groups, |i, GroupSpec { all_of, unknown }| {
        let at = groups_at.index(i);
        at.known::<GroupSpec>(unknown);
        let tests_at = at.field("allOf");
        let tests = tests_at.required(all_of.as_ref(), "`[{column: owner, operator: IsNull}]`")?;
        tests_at.bounded(tests, 8);
        if tests.is_empty() {
            tests_at.invalid("is empty, so every row would pass: write at least one test");
            return None;
        }
        all(
            tests,
            |i,
             TestSpec {
                 column,
                 operator,
                 values,
                 unknown,
             }| {
                let at = tests_at.index(i);
                at.known::<TestSpec>(unknown);
                parse_test(
                    &at,
                    column.as_ref(),
                    operator.as_ref(),
                    values.as_deref(),
                    names,
                )
            },
        )
    })
    .map(Clause::AnyOf)
}

fn parse_test(
    at: &At<'_>,
    column: Option<&String>,
    operator: Option<&Choice<Operator>>,
    values: Option<&[String]>,
    names: &Names,
) -> Option<Condition> {
    let column = at.field("column").column(column, names, "`status`");
    let operator = at.field("operator").word(operator)?;
    let values_at = at.field("values");
    let wanted = match operator {
        Operator::IsNull | Operator::IsNotNull => 0..=0,
        Operator::In | Operator::NotIn => 1..=64,
        Operator::Lt | Operator::Gt | Operator::Before | Operator::After => 1..=1,
    };
    let values = values.unwrap_or_default();
    if !wanted.contains(&values.len()) {
        values_at.invalid(match operator {
            Operator::IsNull | Operator::IsNotNull => "takes no values: remove them",
            Operator::In | Operator::NotIn => "needs 1 to 64 values, such as `[closed, withdrawn]`",
            Operator::Lt | Operator::Gt => "needs exactly one number, such as `[\"100\"]`",
            Operator::Before | Operator::After => {
                "needs exactly one date or instant, such as `[\"2018-05-25\"]`"
            }
        });
        return None;
    }
    for (i, value) in values.iter().enumerate() {
        if value.contains('\0') {
            values_at
                .index(i)
                .invalid("contains a NUL character, which no text column can hold");
            return None;
        }
    }
    let first_at = values_at.index(0);
    let test = match (operator, values.first()) {
        (Operator::In, _) => Some(Test::In(values.to_vec())),
        (Operator::NotIn, _) => Some(Test::NotIn(values.to_vec())),
        (Operator::IsNull, _) => Some(Test::IsNull),
        (Operator::IsNotNull, _) => Some(Test::IsNotNull),
        (Operator::Lt, Some(value)) => parse_number(&first_at, value).map(Test::Lt),
        (Operator::Gt, Some(value)) => parse_number(&first_at, value).map(Test::Gt),
        (Operator::Before, Some(value)) => parse_moment(&first_at, value).map(Test::Before),
        (Operator::After, Some(value)) => parse_moment(&first_at, value).map(Test::After),
        (Operator::Lt | Operator::Gt | Operator::Before | Operator::After, None) => None,
    };
    Some(Condition {
        column: column?,
        test: test?,
    })
}

/// A plain decimal number, in the spelling that every engine reads alike.
fn parse_number(at: &At<'_>, text: &str) -> Option<String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (digits, None),
    };
    let is_digits = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    if is_digits(whole) && fraction.is_none_or(is_digits) && text.len() <= 40 {
        return Some(text.to_owned());
    }
    at.invalid(format!(
        "{text:?} is not a number: write digits such as `\"100\"` or `\"-2.5\"`"
    ));
    None
}

fn parse_action(at: &At<'_>, spec: &ActionSpec, names: &Names) -> Option<Action> {
    let ActionSpec {
        kind,
        columns,
        unknown,
    } = spec;
    at.known::<ActionSpec>(unknown);
    let kind = at.field("type").word(kind.as_ref());
    match kind? {
        ActionType::Delete => no_columns(at, columns.as_deref()).map(|()| Action::Delete),
        ActionType::Anonymise => {
            parse_columns(&at.field("columns"), columns.as_deref(), names).map(Action::Anonymise)
        }
    }
}

fn no_columns(at: &At<'_>, columns: Option<&[ColumnSpec]>) -> Option<()> {
    if columns.is_some() {
        at.field("columns")
            .invalid("only the type Anonymise takes columns: remove them, or change the type");
        return None;
    }
    Some(())
}

fn parse_columns(
    at: &At<'_>,
    columns: Option<&[ColumnSpec]>,
    names: &Names,
) -> Option<Vec<Treatment>> {
    let columns = columns.unwrap_or_default();
    at.bounded(columns, 64);
    if columns.is_empty() {
        at.invalid("is required, such as `[{column: full_name, strategy: Nullify}]`");
        return None;
    }
    let mut seen: BTreeSet<Ident> = BTreeSet::new();
    all(columns, |i, column| {
        let at = at.index(i);
        let treatment = parse_column(&at, column, names)?;
        if !seen.insert(treatment.column.clone()) {
            at.field("column")
                .invalid("this column is treated twice: keep one entry");
        }
        Some(treatment)
    })
}

fn parse_column(at: &At<'_>, spec: &ColumnSpec, names: &Names) -> Option<Treatment> {
    let ColumnSpec {
        column,
        strategy,
        constant,
        generalise_date,
        generalise_number,
        unknown,
    } = spec;
    at.known::<ColumnSpec>(unknown);
    let column = at
        .field("column")
        .column(column.as_ref(), names, "`full_name`");
    let strategy = at.field("strategy").word(strategy.as_ref())?;
    let members = [
        (StrategyName::Constant, "constant", constant.is_some()),
        (
            StrategyName::GeneraliseDate,
            "generaliseDate",
            generalise_date.is_some(),
        ),
        (
            StrategyName::GeneraliseNumber,
            "generaliseNumber",
            generalise_number.is_some(),
        ),
    ];
    for (owner, member, present) in members {
        if present && strategy != owner {
            at.field(member).invalid(format!(
                "has no effect with strategy {strategy:?}: remove it, or change the strategy"
            ));
        }
    }
    let parsed = match strategy {
        StrategyName::Nullify => Some(Strategy::Nullify),
        StrategyName::Pseudonym => Some(Strategy::Pseudonym),
        StrategyName::Constant => {
            let at = at.field("constant");
            at.required(constant.as_ref(), "`{value: erased}`")
                .and_then(|ConstantSpec { value, unknown }| {
                    at.known::<ConstantSpec>(unknown);
                    let at = at.field("value");
                    let value = at.required(value.as_ref(), "`erased`")?;
                    if value.contains('\0') {
                        at.invalid("contains a NUL character, which no text column can hold");
                        return None;
                    }
                    Some(Strategy::Constant {
                        value: value.clone(),
                    })
                })
        }
        StrategyName::GeneraliseDate => {
            let at = at.field("generaliseDate");
            at.required(generalise_date.as_ref(), "`{to: Year}`")
                .and_then(|GeneraliseDateSpec { to, unknown }| {
                    at.known::<GeneraliseDateSpec>(unknown);
                    Some(Strategy::GeneraliseDate {
                        to: match at.field("to").word(to.as_ref())? {
                            DateUnitWord::Month => DateUnit::Month,
                            DateUnitWord::Quarter => DateUnit::Quarter,
                            DateUnitWord::Year => DateUnit::Year,
                            DateUnitWord::Decade => DateUnit::Decade,
                        },
                    })
                })
        }
        StrategyName::GeneraliseNumber => {
            let at = at.field("generaliseNumber");
            at.required(generalise_number.as_ref(), "`{width: 1000}`")
                .and_then(|GeneraliseNumberSpec { width, unknown }| {
                    at.known::<GeneraliseNumberSpec>(unknown);
                    let at = at.field("width");
                    let width = at.required(width.as_ref(), "`1000`")?;
                    Some(Strategy::GeneraliseNumber {
                        width: at.within(*width, 2, 2_000_000_000)?,
                    })
                })
        }
    };
    Some(Treatment {
        column: column?,
        strategy: parsed?,
    })
}

fn parse_related(at: &At<'_>, spec: &RelatedSpec, names: &Names) -> Option<Related> {
    let RelatedSpec {
        table,
        of,
        matches,
        action,
        unknown,
    } = spec;
    at.known::<RelatedSpec>(unknown);
    let table = parse_table(&at.field("table"), table.as_ref(), names);
    let of = parse_table(&at.field("of"), of.as_ref(), names);
    let matches_at = at.field("match");
    let matches = matches_at
        .required(matches.as_ref(), "`[{column: enquiry_id, equals: id}]`")
        .and_then(|matches| {
            matches_at.bounded(matches, 8);
            if matches.is_empty() {
                matches_at.invalid("is empty: write `[{column: enquiry_id, equals: id}]`");
                return None;
            }
            all(
                matches,
                |i,
                 MatchSpec {
                     column,
                     equals,
                     unknown,
                 }| {
                    let at = matches_at.index(i);
                    at.known::<MatchSpec>(unknown);
                    let column = at
                        .field("column")
                        .column(column.as_ref(), names, "`enquiry_id`");
                    let equals = at.field("equals").column(equals.as_ref(), names, "`id`");
                    Some((column?, equals?))
                },
            )
        });
    let action_at = at.field("action");
    let action =
        action_at
            .required(action.as_ref(), "`{type: Delete}`")
            .and_then(
                |RelatedActionSpec {
                     kind,
                     columns,
                     unknown,
                 }| {
                    action_at.known::<RelatedActionSpec>(unknown);
                    let kind = action_at.field("type").word(kind.as_ref());
                    match kind? {
                        RelatedActionType::Delete => no_columns(&action_at, columns.as_deref())
                            .map(|()| RelatedAction::Delete),
                        RelatedActionType::Detach => no_columns(&action_at, columns.as_deref())
                            .map(|()| RelatedAction::Detach),
                        RelatedActionType::Anonymise => {
                            parse_columns(&action_at.field("columns"), columns.as_deref(), names)
                                .map(RelatedAction::Anonymise)
                        }
                    }
                },
            );
    Some(Related {
        table: table?,
        of: of?,
        matches: matches?,
        action: action?,
    })
}

/// What can be seen of the graph in the manifest alone; the rest needs the catalog.
fn check_related(at: &At<'_>, root: &TableName, related: &[Related]) {
    let declared: BTreeSet<_> = related
        .iter()
        .map(|entry| &entry.table)
        .chain([root])
        .collect();
    for (i, entry) in related.iter().enumerate() {
        let at = at.index(i);
        if !declared.contains(&entry.of) {
            at.field("of").invalid(format!(
                "`{}` is neither the rule's table nor the table of a related entry",
                entry.of
            ));
        }
        if entry.table == *root || entry.table == entry.of {
            at.field("table").fault(
                Reason::ReferenceUnsupported,
                format!("`{}` references itself or the rule's table is related to itself; that is not supported", entry.table),
            );
        }
        let twin = related[..i].iter().position(|other| {
            other.table == entry.table && other.of == entry.of && other.matches == entry.matches
        });
        if let Some(twin) = twin {
            at.invalid(format!(
                "decides the same reference as related[{twin}]: keep one of them"
            ));
        }
    }
}
