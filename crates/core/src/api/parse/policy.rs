//! RetentionPolicy: from the manifest to `crate::policy`.

use std::collections::BTreeMap;

use super::approval::parse_policy_guards;
use super::rule::parse_rule;
use super::seal::add_endings;
use super::target::parse_limits;
use super::{At, Faults, FieldError, Names};
use crate::api::retention_policy::{PseudonymKeySpec, RetentionPolicySpec};
use crate::api::rule::MAX_RULES;
use crate::duty::Against;
use crate::policy::{
    Action, Guarded, Limits, Mandate, Mode, Policy, RelatedAction, Rule, Treatment,
};
use crate::schedule::WorkWindows;
use crate::strategy::Strategy;
use crate::target::Target;

impl Mandate {
    /// Parses a RetentionPolicy's spec for its database, or names every fault of it. The database's
    /// guards are folded into the limits.
    pub fn parse(spec: &RetentionPolicySpec, target: &Target) -> Result<Self, Vec<FieldError>> {
        let faults = Faults::default();
        let names = Names::of(target);
        let at = faults.root();
        let mandate = parse_mandate(&at, spec, &names).map(|mut mandate| {
            add_endings(&at.field("rules"), &mut mandate.policy.rules, target.engine);
            mandate.policy.limits = tighter(mandate.policy.limits, target.guards);
            mandate.asks = mandate.asks.stricter(target.asks);
            mandate.windows.clone_from(&target.windows);
            mandate
        });
        faults.conclude(mandate)
    }

    /// Parses a spec whose database is not known: without the guards, and without what only the
    /// engine can refuse. Good for its schedule, not for a plan.
    pub fn alone(spec: &RetentionPolicySpec) -> Result<Self, Vec<FieldError>> {
        let faults = Faults::default();
        let mandate = parse_mandate(
            &faults.root(),
            spec,
            &Names {
                engine: None,
                database: None,
                seal: None,
            },
        );
        faults.conclude(mandate)
    }

    /// Every fault of a spec that can be seen before its database is known.
    pub fn faults(spec: &RetentionPolicySpec) -> Vec<FieldError> {
        Self::alone(spec).err().unwrap_or_default()
    }
}

impl Policy {
    /// What is promised, without when and how; see [`Mandate::parse`].
    pub fn parse(spec: &RetentionPolicySpec, target: &Target) -> Result<Self, Vec<FieldError>> {
        Mandate::parse(spec, target).map(|mandate| mandate.policy)
    }
}

/// Of each ceiling the lower one.
fn tighter(own: Limits, guards: Limits) -> Limits {
    fn lower<T: Ord>(own: Option<T>, guard: Option<T>) -> (Option<T>, bool) {
        match (own, guard) {
            (Some(own), Some(guard)) if own <= guard => (Some(own), false),
            (own, None) => (own, false),
            (_, guard) => (guard, true),
        }
    }
    let (max_rows, rows) = lower(own.max_rows, guards.max_rows);
    let (max_percent, percent) = lower(own.max_percent, guards.max_percent);
    Limits {
        max_rows,
        max_percent,
        guarded: Guarded { rows, percent },
    }
}

fn parse_mandate(at: &At<'_>, spec: &RetentionPolicySpec, names: &Names) -> Option<Mandate> {
    let RetentionPolicySpec {
        database_ref,
        schedule,
        time_zone,
        mode,
        suspend,
        limits,
        guards,
        rules,
        pseudonym_key,
        unknown,
    } = spec;
    at.known::<RetentionPolicySpec>(unknown);
    let database = at.field("databaseRef").database(database_ref.as_ref());
    let zone = at.field("timeZone").zone(time_zone.as_ref());
    let schedule_at = at.field("schedule");
    let schedule = schedule_at.schedule(schedule.as_ref(), zone.clone(), "`30 2 * * *`");
    let mode = at.field("mode").word_or(mode.as_ref(), Mode::DryRun);
    let limits = parse_limits(&at.field("limits"), limits.as_ref());
    let asks = parse_policy_guards(&at.field("guards"), guards.as_ref());
    let rules_at = at.field("rules");
    let rules = rules_at
        .required(
            rules.as_ref(),
            "`[{name: …, table: …, expireAfter: P6M, …}]`",
        )
        .and_then(|rules| {
            rules_at.bounded(rules, MAX_RULES);
            if rules.is_empty() {
                rules_at.invalid("is empty: write at least one rule");
            }
            let mut seen = BTreeMap::new();
            let parsed: Vec<Option<Rule>> = rules
                .iter()
                .enumerate()
                .map(|(i, rule)| {
                    if let Some(name) = &rule.name
                        && let Some(first) = seen.insert(name, i)
                    {
                        rules_at.index(i).field("name").invalid(format!(
                            "rule names must be unique, and rules[{first}] has this one too"
                        ));
                    }
                    parse_rule(&rules_at.index(i), rule, names)
                })
                .collect();
            parsed.into_iter().collect::<Option<Vec<Rule>>>()
        });
    let key_at = at.field("pseudonymKey");
    let pseudonym_key = match pseudonym_key {
        None => Some(None),
        Some(PseudonymKeySpec {
            secret_ref,
            unknown,
        }) => {
            key_at.known::<PseudonymKeySpec>(unknown);
            let secret_at = key_at.field("secretRef");
            secret_at
                .required(secret_ref.as_ref(), "`{name: crm-pseudonyms, key: key}`")
                .and_then(|reference| secret_at.key_ref(reference, "`key`"))
                .map(Some)
        }
    };
    if let (Some(rules), Some(None)) = (&rules, &pseudonym_key)
        && let Some(rule) = rules.iter().find(|rule| is_keyed(rule))
    {
        key_at.invalid(format!(
            "is required, because rule {} uses the strategy Pseudonym: write `{{secretRef: {{name: …, key: …}}}}`",
            rule.name
        ));
    }
    let (database, database_namespace) = database?;
    Some(Mandate {
        database,
        database_namespace,
        schedule: schedule?,
        mode: mode?,
        suspend: suspend.unwrap_or(false),
        asks: asks?,
        windows: WorkWindows::default(),
        pseudonym_key: pseudonym_key?,
        policy: Policy {
            zone: zone?,
            limits: limits?,
            rules: rules?,
            maps: Vec::new(),
            against: Against::Expiry,
        },
    })
}

fn is_keyed(rule: &Rule) -> bool {
    let keyed = |treatments: &[Treatment]| {
        treatments
            .iter()
            .any(|treatment| treatment.strategy == Strategy::Pseudonym)
    };
    let own = match &rule.action {
        Action::Anonymise(treatments) => keyed(treatments),
        Action::Delete => false,
    };
    own || rule.related.iter().any(|related| match &related.action {
        RelatedAction::Anonymise(treatments) => keyed(treatments),
        RelatedAction::Delete | RelatedAction::Detach | RelatedAction::Seal => false,
    })
}
