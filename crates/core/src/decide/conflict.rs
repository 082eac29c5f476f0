//! Whether two policies have rules on one table whose eligible rows may overlap (DESIGN section 1).
//!
//! Decided from the manifests alone and conservatively: the same table is an overlap unless one
//! column's `In` lists prove that no row can meet both rules. It must not look at rows, and must stay
//! cheap whatever people write: everybody's policies are compared with everybody's.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::api::retention_policy::RetentionPolicyStatus;
use crate::policy::{Clause, Policy, Rule, Test};

/// How many conflicts are told each by itself.
const NAMED: usize = 8;

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
    /// As a condition says it of another policy of the same namespace, by its namespace and name.
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

    /// The same of a policy of another namespace: what its rules are called is not ours to tell.
    pub fn with_foreign(&self, other: &impl fmt::Display) -> String {
        let Self {
            table,
            mine,
            theirs: _,
        } = self;
        format!("rule {mine} and the policy {other} may reach the same rows of {table}")
    }
}

/// What stands in a policy's way, in few enough words for a condition.
#[derive(Debug, Default)]
pub struct Conflicts {
    named: Vec<String>,
    more: usize,
}

impl Conflicts {
    /// Adds one. The sentence is only made where it is told.
    pub fn add(&mut self, sentence: impl FnOnce() -> String) {
        if self.named.len() < NAMED {
            self.named.push(sentence());
        } else {
            self.more += 1;
        }
    }

    /// The sentences, the last of which counts what is not named.
    pub fn told(self) -> Vec<String> {
        let Self { mut named, more } = self;
        if more > 0 {
            named.push(format!("so may policies that are not named here: {more}"));
        }
        named
    }
}

/// Whether a policy that reaches the database by another TargetDatabase stands in others' way: once
/// the database has shown that it can be carried out there, or while it may be under way. Else who
/// has no right to any table could stop everybody's policies with an address.
pub fn stands(generation: Option<i64>, status: &RetentionPolicyStatus) -> bool {
    let planned = status.plan_generation.is_some() && status.plan_generation == generation;
    planned || status.open_run.is_some()
}

/// The rules of a policy by their tables, to be compared with many other policies.
pub struct Rules<'p>(BTreeMap<String, Vec<Reach<'p>>>);

/// A rule, with the `In` tests that every row of it meets, by column. `None`: equality is not decided
/// here.
struct Reach<'p> {
    rule: &'p Rule,
    lists: Vec<(String, Option<BTreeSet<Folded>>)>,
}

impl<'p> Rules<'p> {
    /// Those of a policy.
    pub fn of(policy: &'p Policy) -> Self {
        Self::among(policy, |_| true)
    }

    fn among(policy: &'p Policy, wanted: impl Fn(&str) -> bool) -> Self {
        let mut tables: BTreeMap<String, Vec<Reach<'p>>> = BTreeMap::new();
        for rule in &policy.rules {
            let table = folded_table(rule);
            if wanted(&table) {
                tables.entry(table).or_default().push(Reach::of(rule));
            }
        }
        Self(tables)
    }

    /// Two rules, the first of those that may reach the same rows. One is enough for a conflict, and
    /// all of them may be thousands.
    pub fn overlap(&self, theirs: &Policy) -> Option<Overlap> {
        let theirs = Rules::among(theirs, |table| self.0.contains_key(table));
        let both = theirs
            .0
            .iter()
            .filter_map(|(table, theirs)| Some((self.0.get(table)?, theirs)));
        both.flat_map(|(mine, theirs)| {
            mine.iter()
                .flat_map(move |a| theirs.iter().map(move |b| (a, b)))
        })
        .find(|(a, b)| !a.is_disjoint(b))
        .map(|(a, b)| Overlap {
            table: a.rule.table.to_string(),
            mine: a.rule.name.clone(),
            theirs: b.rule.name.clone(),
        })
    }
}

/// Names are compared without case: some servers fold it and some do not, and two spellings of one
/// table must not pass for two tables.
fn folded_table(rule: &Rule) -> String {
    rule.table.to_string().to_lowercase()
}

impl<'p> Reach<'p> {
    fn of(rule: &'p Rule) -> Self {
        let lists = in_lists(rule).map(|(column, values)| {
            let folded = values.iter().map(|value| fold(value)).collect();
            (column, folded)
        });
        Self {
            rule,
            lists: lists.collect(),
        }
    }

    fn is_disjoint(&self, other: &Reach<'_>) -> bool {
        self.lists.iter().any(|(column, values)| {
            other.lists.iter().any(|(theirs, others)| {
                let nothing_in_common = match (values, others) {
                    (Some(values), Some(others)) => values.is_disjoint(others),
                    (None, _) | (_, None) => false,
                };
                column == theirs && nothing_in_common
            })
        })
    }
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

/// A constant as the most forgiving column type or collation would see it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Folded {
    /// Its bits: the order matters to nobody.
    Number(u64),
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
        // Plus 0 makes -0 the same zero; numbers too long for f64 fold together, which only errs
        // towards a conflict.
        return Some(number_of(number));
    }
    let word: String = value
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    match word.as_str() {
        // The spellings of one boolean.
        "t" | "true" | "y" | "yes" | "on" => Some(number_of(1.0)),
        "f" | "false" | "n" | "no" | "off" => Some(number_of(0.0)),
        _ if value.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+') => None,
        _ => Some(Folded::Word(word)),
    }
}

fn number_of(number: f64) -> Folded {
    Folded::Number((number + 0.0).to_bits())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    use super::*;
    use crate::api::retention_policy::OpenRun;
    use crate::name::Ident;
    use crate::policy::{Action, Clock, Condition, Expiry, Limits, Partitions, Since};

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
            expiry: Expiry::After {
                period: "P6M".parse().unwrap(),
                since: Since::Own(Clock {
                    column: Ident::new("created_at").unwrap(),
                    epoch: None,
                    zone: None,
                    not_before: Timestamp::UNIX_EPOCH,
                }),
            },
            conditions: conditions.clone(),
            only_if: vec![],
            unless: vec![],
            action: Action::Delete,
            groups: None,
            related: vec![],
            allow_unindexed: false,
            triggers: Vec::new(),
            partitions: Partitions::Rows,
            seal: None,
            sealed_from: None,
        };
        Policy {
            zone: TimeZone::UTC,
            limits: Limits::default(),
            rules: rules.iter().map(rule).collect(),
            maps: Vec::new(),
            against: crate::duty::Against::Expiry,
        }
    }

    fn overlap(a: Vec<Clause>, b: Vec<Clause>) -> bool {
        let a = policy(&[("a", "public.t", a)]);
        let b = policy(&[("b", "public.t", b)]);
        let found = Rules::of(&a).overlap(&b).is_some();
        let other = Rules::of(&b).overlap(&a).is_some();
        assert_eq!(found, other, "both see it or none");
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
        assert_eq!(Rules::of(&a).overlap(&b), Some(expected));
    }

    #[test]
    fn another_namespaces_rules_are_not_named() {
        let a = policy(&[("a", "public.t", vec![])]);
        let b = policy(&[("secret-project", "public.t", vec![])]);
        let overlap = Rules::of(&a).overlap(&b).unwrap();
        assert_eq!(
            overlap.with_foreign(&"web/b"),
            "rule a and the policy web/b may reach the same rows of public.t"
        );
        assert!(overlap.with(&"crm/b").contains("rule secret-project"));
    }

    #[test]
    fn many_conflicts_are_few_sentences() {
        let mut conflicts = Conflicts::default();
        for i in 0..1_000 {
            let made = || {
                assert!(i < NAMED, "a sentence that nobody reads");
                format!("{i}")
            };
            conflicts.add(made);
        }
        let told = conflicts.told();
        assert_eq!(told.len(), NAMED + 1);
        assert!(told[NAMED].ends_with(": 992"), "{told:?}");
        assert!(Conflicts::default().told().is_empty());
    }

    #[test]
    fn who_comes_another_way_counts_once_the_database_has_shown_that_he_may() {
        let mut status = RetentionPolicyStatus::default();
        assert!(!stands(Some(1), &status) && !stands(None, &status));
        status.plan_generation = Some(1);
        assert!(stands(Some(1), &status));
        // Of another spec nothing is known.
        assert!(!stands(Some(2), &status));
        status.open_run = Some(OpenRun {
            run: "r".to_owned(),
            since: Timestamp::UNIX_EPOCH,
            spec: None,
        });
        assert!(stands(Some(2), &status));
    }

    #[test]
    fn a_table_is_the_same_in_any_spelling_of_its_case() {
        let a = policy(&[("a", "crm.Learners", vec![])]);
        let b = policy(&[("b", "crm.learners", vec![])]);
        assert!(Rules::of(&a).overlap(&b).is_some());
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
            ("0", "-0"),
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
