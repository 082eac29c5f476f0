//! `where`: tests of columns and their constants.

use jiff::Timestamp;
use jiff::civil::Date;

use super::{At, Names, all};
use crate::api::rule::{GroupSpec, Operator, TestSpec, WhereSpec};
use crate::api::words::Choice;
use crate::policy::{Clause, Condition, Moment, Test};

/// An instant with its offset, or a date; never a local time, which would need a zone.
pub(super) fn parse_moment(at: &At<'_>, text: &str) -> Option<Moment> {
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

pub(super) fn parse_clause(at: &At<'_>, spec: &WhereSpec, names: &Names) -> Option<Clause> {
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
        all(tests, |i, test| {
            parse_test_spec(&tests_at.index(i), test, names)
        })
    })
    .map(Clause::AnyOf)
}

pub(super) fn parse_test_spec(at: &At<'_>, spec: &TestSpec, names: &Names) -> Option<Condition> {
    let TestSpec {
        column,
        operator,
        values,
        unknown,
    } = spec;
    at.known::<TestSpec>(unknown);
    parse_test(
        at,
        column.as_ref(),
        operator.as_ref(),
        values.as_deref(),
        names,
    )
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
