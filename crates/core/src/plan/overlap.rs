//! Rules of one policy that meet in a table: each is counted by itself.

use std::collections::BTreeMap;

use crate::report::RulePlan;

/// A sentence for each table of which several rules would change rows.
pub(super) fn counted_twice<'a>(rules: impl Iterator<Item = &'a RulePlan>) -> Vec<String> {
    let mut tables: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for rule in rules.filter(|rule| rule.eligible > 0) {
        tables.entry(&rule.table).or_default().push(&rule.rule);
    }
    tables.retain(|_, rules| rules.len() > 1);
    let told = tables.into_iter().map(|(table, rules)| {
        format!(
            "the rules {} change rows of {table}: a row that several of them reach is counted for \
             each, here and by the limits, though whichever comes first may take it from the others",
            rules.join(", ")
        )
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Effect;

    #[test]
    fn only_rules_that_change_rows_of_one_table_are_told() {
        let rule = |name: &str, table: &str, eligible| RulePlan {
            rule: name.to_owned(),
            table: table.to_owned(),
            effect: Effect::Deleted,
            cutoff: jiff::Timestamp::UNIX_EPOCH,
            eligible,
            total: 10,
            clock_null: 0,
            held: 0,
            held_by: Vec::new(),
            small_groups: None,
            kept: crate::report::KeptRows::default(),
            implausible: 0,
            overdue_since: None,
            related: Vec::new(),
            partitions: 0,
            walk: "id".to_owned(),
        };
        let told = |rules: &[RulePlan]| counted_twice(rules.iter());
        let apart = [rule("a", "t", 3), rule("b", "u", 3), rule("c", "t", 0)];
        assert!(told(&apart).is_empty());
        let [one] = told(&[rule("a", "t", 3), rule("b", "u", 3), rule("c", "t", 1)])
            .try_into()
            .unwrap();
        assert!(
            one.starts_with("the rules a, c change rows of t: "),
            "{one}"
        );
    }
}
