//! Whether two policies have rules on one table whose eligible rows may overlap (DESIGN section 1).
//!
//! Decided from the manifests alone and conservatively: the same table is an overlap unless one
//! column's `In` lists prove that no row can meet both rules. It must not look at rows.

use std::fmt;

use crate::policy::{Clause, Policy, Rule, Test};

/// Two rules of different policies that may reach the same rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The table of both.
    pub table: String,
    /// The rule of the policy that was asked about.
    pub mine: String,
    /// The rule of the other policy.
    pub theirs: String,
}

impl Overlap {
    /// As a condition says it of the other policy, by its namespace and name.
    pub fn with(&self, other: &impl fmt::Display) -> String {
        let Self {
            table,
            mine,
            theirs,
        } = self;
        format!(
            "rule {mine} and rule {theirs} of the policy {other} may reach the same rows of {table}"
        )
    }
}

/// Every pair of rules of the two policies that may reach the same rows, in the order of the rules.
pub fn overlaps(mine: &Policy, theirs: &Policy) -> Vec<Overlap> {
    let mut found = Vec::new();
    for a in &mine.rules {
        for b in &theirs.rules {
            if same_table(a, b) && !disjoint(a, b) {
                found.push(Overlap {
                    table: a.table.to_string(),
                    mine: a.name.clone(),
                    theirs: b.name.clone(),
                });
            }
        }
    }
    found
}

/// Names are compared without case: some servers fold it and some do not, and two spellings of one
/// table must not pass for two tables.
fn same_table(a: &Rule, b: &Rule) -> bool {
    a.table.to_string().to_lowercase() == b.table.to_string().to_lowercase()
}

fn disjoint(a: &Rule, b: &Rule) -> bool {
    in_lists(a).any(|(column, values)| {
        in_lists(b).any(|(other, others)| column == other && nothing_in_common(values, others))
    })
}

/// The `In` tests that every row of the rule meets (those inside `anyOf` bind only some rows).
fn in_lists(rule: &Rule) -> impl Iterator<Item = (String, &[String])> {
    rule.conditions.iter().filter_map(|clause| match clause {
        Clause::Test(condition) => match &condition.test {
            Test::In(values) => Some((
                condition.column.to_string().to_lowercase(),
                values.as_slice(),
            )),
            Test::NotIn(_)
            | Test::Lt(_)
            | Test::Gt(_)
            | Test::IsNull
            | Test::IsNotNull
            | Test::Before(_)
            | Test::After(_) => None,
        },
        Clause::AnyOf(_) => None,
    })
}

fn nothing_in_common(a: &[String], b: &[String]) -> bool {
    let folded: Option<Vec<Folded>> = a.iter().map(|v| fold(v)).collect();
    let others: Option<Vec<Folded>> = b.iter().map(|v| fold(v)).collect();
    match (folded, others) {
        (Some(a), Some(b)) => a.iter().all(|v| !b.contains(v)),
        (None, _) | (_, None) => false,
    }
}

/// A constant as the most forgiving column type or collation would see it.
#[derive(Clone, Debug, PartialEq)]
enum Folded {
    Number(f64),
    Word(String),
}

/// `None` where equality depends on the column's type in ways that are not decided here: letters
/// beyond ASCII (collations equate them), and readings such as dates (several spellings of one).
fn fold(value: &str) -> Option<Folded> {
    let value = value.trim();
    if !value.is_ascii() {
        return None;
    }
    if let Ok(number) = value.parse::<f64>()
        && number.is_finite()
    {
        // -0 and 0 are equal in f64; numbers too long for f64 fold together, which only errs
        // towards a conflict.
        return Some(Folded::Number(number));
    }
    let word: String = value
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    match word.as_str() {
        // The spellings of one boolean.
        "t" | "true" | "y" | "yes" | "on" => Some(Folded::Number(1.0)),
        "f" | "false" | "n" | "no" | "off" => Some(Folded::Number(0.0)),
        _ if value.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+') => None,
        _ => Some(Folded::Word(word)),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    use super::*;
    use crate::name::Ident;
    use crate::policy::{Action, Clock, Condition, Limits};

    fn condition(column: &str, test: Test) -> Condition {
        Condition {
            column: column.parse().unwrap(),
            test,
        }
    }

    fn within(column: &str, values: &[&str]) -> Clause {
        let values = values.iter().map(|v| (*v).to_owned()).collect();
        Clause::Test(condition(column, Test::In(values)))
    }

    fn policy(rules: &[(&str, &str, Vec<Clause>)]) -> Policy {
        let rule = |(name, table, conditions): &(&str, &str, Vec<Clause>)| Rule {
            name: (*name).to_owned(),
            table: table.parse().unwrap(),
            expire_after: "P6M".parse().unwrap(),
            clock: Clock {
                column: Ident::new("created_at").unwrap(),
                epoch: None,
                zone: None,
                not_before: Timestamp::UNIX_EPOCH,
            },
            conditions: conditions.clone(),
            action: Action::Delete,
            related: vec![],
            allow_unindexed: false,
        };
        Policy {
            zone: TimeZone::UTC,
            limits: Limits::default(),
            rules: rules.iter().map(rule).collect(),
        }
    }

    fn overlap(a: Vec<Clause>, b: Vec<Clause>) -> bool {
        let a = policy(&[("a", "public.t", a)]);
        let b = policy(&[("b", "public.t", b)]);
        let found = !overlaps(&a, &b).is_empty();
        assert_eq!(found, !overlaps(&b, &a).is_empty(), "both see it or none");
        found
    }

    #[test]
    fn rules_on_one_table_overlap_and_are_named() {
        let a = policy(&[("x", "public.u", vec![]), ("a", "public.t", vec![])]);
        let b = policy(&[("b", "public.t", vec![]), ("y", "public.v", vec![])]);
        let expected = Overlap {
            table: "public.t".to_owned(),
            mine: "a".to_owned(),
            theirs: "b".to_owned(),
        };
        assert_eq!(overlaps(&a, &b), [expected]);
    }

    #[test]
    fn a_table_is_the_same_in_any_spelling_of_its_case() {
        let a = policy(&[("a", "crm.Learners", vec![])]);
        let b = policy(&[("b", "crm.learners", vec![])]);
        assert_eq!(overlaps(&a, &b).len(), 1);
    }

    #[test]
    fn disjoint_lists_of_one_column_prove_that_no_row_meets_both() {
        let closed = || vec![within("status", &["closed", "withdrawn"])];
        assert!(!overlap(closed(), vec![within("status", &["open"])]));
        assert!(overlap(
            closed(),
            vec![within("status", &["open", "closed"])]
        ));
        assert!(overlap(closed(), vec![within("kind", &["open"])]));
        assert!(overlap(closed(), vec![]));
        assert!(!overlap(
            vec![within("a", &["1"]), within("b", &["2"])],
            vec![within("b", &["3"])]
        ));
    }

    #[test]
    fn only_in_lists_that_bind_every_row_are_a_proof() {
        let open = || vec![within("status", &["open"])];
        let any = Clause::AnyOf(vec![vec![condition(
            "status",
            Test::In(vec!["closed".into()]),
        )]]);
        assert!(overlap(open(), vec![any]));
        let not = Clause::Test(condition("status", Test::NotIn(vec!["open".into()])));
        assert!(overlap(open(), vec![not]));
        let null = Clause::Test(condition("status", Test::IsNull));
        assert!(overlap(open(), vec![null]));
    }

    #[test]
    fn values_that_some_column_type_or_collation_equates_are_no_proof() {
        for (a, b) in [
            ("Closed", "closed "),
            ("1", "01"),
            ("1", "1.0"),
            ("true", "t"),
            ("1", "true"),
            ("co-op", "coop"),
            ("jose", "josé"),
            ("2024-01-01", "2024-1-1"),
            ("9007199254740993", "9007199254740992"),
        ] {
            assert!(
                overlap(vec![within("c", &[a])], vec![within("c", &[b])]),
                "{a} {b}"
            );
        }
        for (a, b) in [("closed", "open"), ("1", "2"), ("a1", "a2"), ("yes", "no")] {
            assert!(
                !overlap(vec![within("c", &[a])], vec![within("c", &[b])]),
                "{a} {b}"
            );
        }
    }
}
