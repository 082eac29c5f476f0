//! From figures to approval: limits refuse before anything starts, and only an approved plan has
//! statements that can run.

use jiff::{SignedDuration, Timestamp};

use super::assent::Assent;
use super::clock::Due;
use super::consent::Consent;
use super::draft::{Draft, RuleDraft};
use super::facts::{Facts, RuleFacts};
use super::groups;
use super::limits;
use super::overlap::counted_twice;
use super::refusal::Refusal;
use crate::api::reason::Reason;
use crate::digest::Digest;
use crate::ledger::HoldRow;
use crate::report::{HeldCount, Loosened, PlanReport, RulePlan, TableCount};
use crate::rows::Rows;
use crate::sql::{Bound, Counted, Window};

/// Tables below this size may be read whole: a walk by index would not be faster.
const SMALL_TABLE: i64 = 50_000;
/// So many partitions of a rule are told of that do not go as a whole.
const TOLD_PARTS: usize = 8;
/// A draft with its figures.
#[derive(Debug)]
pub struct Plan {
    draft: Draft,
    facts: Facts,
    report: PlanReport,
    refusals: Vec<Refusal>,
}

impl Plan {
    /// Puts figures to a draft. Facts of another draft are an error of the caller; their missing
    /// rules count as empty.
    pub fn of(draft: Draft, mut facts: Facts) -> Self {
        facts
            .rules
            .resize_with(draft.rules.len(), RuleFacts::default);
        for (rule, facts) in draft.rules.iter().zip(&mut facts.rules) {
            let left = rule.weigh(&facts.groups).map_or(0, |weighed| weighed.left);
            facts.left = left.min(facts.counted.eligible);
        }
        let rules = draft.rules.iter().zip(&facts.rules);
        let told: Vec<RulePlan> = rules
            .clone()
            .map(|(rule, facts)| report(rule, facts))
            .collect();
        // What duties split off a rule are other rows than its own.
        let rules_only = told
            .iter()
            .zip(&draft.rules)
            .filter(|(_, rule)| !rule.remainder);
        let mut warnings = counted_twice(rules_only.map(|(told, _)| told));
        let vague = rules.clone().filter(|(_, facts)| facts.at_most);
        warnings.extend(vague.map(|(rule, _)| {
            format!(
                "rule {}: of its related rows so many at the most: those that hang on rows far apart \
                 are counted with each of them",
                rule.name
            )
        }));
        warnings.extend(
            rules
                .clone()
                .flat_map(|(rule, facts)| {
                    [groups::warning(rule, facts), groups::at_most(rule, facts)]
                })
                .flatten(),
        );
        let kept = rules
            .clone()
            .flat_map(|(rule, facts)| part_by_part(rule, facts));
        warnings.extend(kept);
        let report = PlanReport {
            digest: draft.digest,
            parts: Some(draft.parts),
            as_of: draft.as_of,
            rules: told,
            warnings: [draft.survivors.as_slice(), &draft.warnings, &warnings].concat(),
            loosened: Vec::new(),
            survivors: draft.survivors.clone(),
        };
        let mut refusals = limits::exceeded(&draft.limits, &report);
        refusals.extend(
            rules
                .clone()
                .filter_map(|(rule, facts)| groups::refusal(rule, facts)),
        );
        refusals.extend(rules.filter_map(|(rule, facts)| unindexed(rule, facts)));
        Self {
            draft,
            facts,
            report,
            refusals,
        }
    }

    /// With the releases of holds that its approval must be younger than.
    #[must_use]
    pub fn after(mut self, loosened: Vec<Loosened>) -> Self {
        self.report.loosened = loosened;
        self
    }

    /// The figures.
    pub fn report(&self) -> &PlanReport {
        &self.report
    }

    /// Whether counting ended early, because no index leads over a rule's table.
    pub fn is_partial(&self) -> bool {
        let mut rules = self.draft.rules.iter().zip(&self.facts.rules);
        rules.any(|(rule, facts)| is_unindexed(rule, facts))
    }

    /// The statements of each rule, in order: how a window is bounded, what is counted in it, and what
    /// changes it. Text with the engine's placeholders; what is bound is not in it.
    pub fn statements(&self) -> Vec<(String, Vec<String>)> {
        let all = self.draft.rules.iter().zip(&self.facts.rules);
        all.map(|(rule, facts)| {
            let mut shown = rule.shown();
            if let Some(Ok(parted)) = &rule.parted {
                let whole = facts.whole();
                shown.extend(whole.flat_map(|part| parted.shown(part, &rule.count.eligible)));
            }
            (rule.name.clone(), shown)
        })
        .collect()
    }

    /// Its figures, where another draft would come to them by the same statements with the same values,
    /// under the same holds and by the same keys; `None`: that one is to be counted.
    pub fn figures_for(self, draft: &Draft) -> Option<Facts> {
        let counts = |draft: &Draft| -> Vec<(Bound, String)> {
            let rules = draft.rules.iter();
            let counts = |rule: &RuleDraft| rule.count.counts(&Window::default());
            rules
                .map(|rule| (counts(rule), rule.walk.clone()))
                .collect()
        };
        (self.draft.digest == draft.digest && counts(&self.draft) == counts(draft))
            .then_some(self.facts)
    }

    /// What stands in the way.
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }

    /// What whoever is shown this plan and says yes agrees to.
    pub fn consent(&self) -> Consent {
        Consent {
            digest: self.draft.digest,
            most: limits::ceilings(&self.draft, &self.report),
        }
    }

    /// The plan under what people allowed: another one is refused, and so are more rows, in the plan
    /// and where rows are changed.
    #[must_use]
    pub fn under(mut self, assent: Option<&Assent>) -> Self {
        if let Some(assent) = assent {
            self.refusals.extend(assent.refusals(&self.report));
            let most = assent.max_rows.and_then(|rows| u64::try_from(rows).ok());
            let limit = &mut self.draft.limits.max_rows;
            *limit = most.into_iter().chain(*limit).min();
        }
        self
    }

    /// The plan of a run that was approved and recorded before, made again with its instant and
    /// found to have the same digest. Limits were asked then; what is left is less.
    pub fn resume(self) -> ApprovedPlan {
        let Self {
            draft,
            facts,
            report,
            refusals: _,
        } = self;
        ApprovedPlan {
            draft,
            facts,
            report,
            consent: None,
        }
    }

    /// The one type whose statements can run. `consent`: what somebody agreed to, where the plan was
    /// shown to anybody.
    pub fn approve(
        self,
        consent: Option<Consent>,
    ) -> Result<ApprovedPlan, (PlanReport, Vec<Refusal>)> {
        let Self {
            draft,
            facts,
            report,
            mut refusals,
        } = self;
        if let Some(consent) = &consent {
            refusals.extend(consent.refusals(&report));
        }
        if refusals.is_empty() {
            Ok(ApprovedPlan {
                draft,
                facts,
                report,
                consent,
            })
        } else {
            Err((report, refusals))
        }
    }
}

/// A plan that mode, guards and limits allow. Neither Clone nor Deserialize: it is made anew, never
/// stored.
#[derive(Debug)]
pub struct ApprovedPlan {
    draft: Draft,
    facts: Facts,
    report: PlanReport,
    consent: Option<Consent>,
}

impl ApprovedPlan {
    /// The digest that a resumed run is compared with.
    pub fn digest(&self) -> &Digest {
        &self.draft.digest
    }

    /// The instant from which cutoffs are counted.
    pub fn as_of(&self) -> Timestamp {
        self.draft.as_of
    }

    /// The rules and their statements.
    pub fn rules(&self) -> &[RuleDraft] {
        &self.draft.rules
    }

    /// See [`Draft::loosened`].
    pub fn loosened(&self, holds: &[HoldRow], ahead: SignedDuration) -> Vec<Loosened> {
        self.draft.loosened(holds, ahead)
    }

    /// What the rules are made from under the holds of a moment.
    pub fn draft(&self) -> &Draft {
        &self.draft
    }

    /// Whether a strategy is keyed.
    pub fn keyed(&self) -> bool {
        self.draft.keyed
    }

    /// The figures of each rule.
    pub fn facts(&self) -> &[RuleFacts] {
        &self.facts.rules
    }

    /// The figures.
    pub fn report(&self) -> &PlanReport {
        &self.report
    }

    /// Most rows that each rule may change, whatever becomes eligible meanwhile: never much more than
    /// was planned, all of them together no more than the limits allow, and no more than was agreed to.
    pub fn ceilings(&self) -> Vec<Rows> {
        let mut ceilings = limits::ceilings(&self.draft, &self.report);
        if let Some(consent) = &self.consent {
            for (index, ceiling) in ceilings.iter_mut().enumerate() {
                *ceiling = ceiling.min(consent.most(index));
            }
        }
        ceilings
    }
}

fn report(rule: &RuleDraft, facts: &RuleFacts) -> RulePlan {
    let related = rule
        .nodes
        .iter()
        .enumerate()
        .map(|(i, node)| TableCount {
            table: node.depth.table.to_string(),
            effect: node.effect,
            rows: facts.related.get(i).copied().unwrap_or(0),
        })
        .collect();
    let small_groups = rule.small_groups(facts);
    RulePlan {
        rule: rule.name.clone(),
        table: rule.change.window.table.to_string(),
        effect: rule.effect.assessed(small_groups.as_ref()),
        cutoff: rule.cutoff,
        eligible: facts.counted.eligible - facts.left,
        total: facts.counted.total,
        clock_null: facts.counted.clock_null,
        implausible: facts.counted.implausible,
        overdue_since: rule.overdue_since(&facts.counted),
        held: facts.held,
        held_by: HeldCount::of(&rule.count.eligible.held, &facts.held_by),
        small_groups,
        kept: rule.kept(facts),
        related,
        partitions: i64::try_from(facts.whole().count()).unwrap_or(i64::MAX),
        walk: match (facts.paying_pages(), &facts.clock, &rule.clock) {
            (Some(_), _, _) => format!("pages (ctid), then {}", rule.walk),
            (None, Some(_), Some(clock)) => format!("{} (clock), then {}", clock.name, rule.walk),
            (None, _, _) => rule.walk.clone(),
        },
    }
}

/// Says why partitions behind the cutoff do not go as a whole.
fn part_by_part(rule: &RuleDraft, facts: &RuleFacts) -> Vec<String> {
    let told = facts.parts.iter().filter_map(|(part, _)| {
        let why = part.obstacle.as_ref()?;
        Some(format!(
            "rule {}: rows of partition {} of {} go one by one: {why}",
            rule.name, part.name, rule.change.window.table
        ))
    });
    told.take(TOLD_PARTS).collect()
}

impl RuleDraft {
    /// When the row with the oldest clock reading fell due.
    pub fn overdue_since(&self, counted: &Counted) -> Option<Timestamp> {
        let began = self
            .read_as
            .iter()
            .zip(&counted.oldest)
            .filter_map(|(read_as, reading)| read_as.instant(reading))
            .min()?;
        match &self.due {
            Due::After(period, zone) => period.due(began, zone).ok(),
            Due::At(instant) => Some(*instant),
        }
    }
}

/// Whether the walk is refused: no index leads to the next window of a table that is not small. The
/// counts so far are enough to say so.
pub fn is_unindexed(rule: &RuleDraft, facts: &RuleFacts) -> bool {
    facts.unindexed && !rule.allow_unindexed && facts.counted.total >= SMALL_TABLE
}

fn unindexed(rule: &RuleDraft, facts: &RuleFacts) -> Option<Refusal> {
    if !is_unindexed(rule, facts) {
        return None;
    }
    Some(
        Refusal::of(
            &rule.name,
            Reason::WalkUnindexed,
            format!(
                "{}: the database would read the whole table for every window of its key ({})",
                rule.change.window.table, rule.walk
            ),
        )
        .remedy("walk: {allowUnindexed: true}   # if the load is acceptable"),
    )
}
