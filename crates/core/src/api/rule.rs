//! One rule of a RetentionPolicy as people write it. What it means is `crate::policy::Rule`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::lookup::{LookupSpec, MAX_LOOKUPS};
use super::since::{ExpireOnSpec, SinceSpec};
use super::words::{Choice, words};
use crate::period::Period;

/// Most rules of one policy.
pub const MAX_RULES: usize = 64;
/// Most entries of `related` of one rule.
pub const MAX_RELATED: usize = 32;
/// Most entries of `triggers` of one rule.
pub const MAX_TRIGGERS: usize = 32;

/// One promise about one table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.expireOn) ? !has(self.since) && !has(self.expireAfter) : has(self.since) && has(self.expireAfter)",
    "message": "write since and expireAfter, or expireOn instead of both"
}, {
    "rule": "!has(self.grace) || self.action.type == 'Delete'",
    "message": "grace is for the action Delete: Seal has seal.expireAfter"
}]))]
pub struct RuleSpec {
    /// A short name, unique within the policy; status, metrics and evidence use it.
    /// Example: `course-enquiries`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        required,
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: Option<String>,
    /// The promise in words, as the people concerned were told it: the sentence of the privacy
    /// notice, the statute or the contract. For readers; the program does not interpret it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 1024))]
    pub basis: Option<String>,
    /// The table whose rows expire. PostgreSQL: qualified, `schema.table`. MySQL and MariaDB:
    /// `table` in the connection's database, or `database.table`. Names are case-sensitive; a part
    /// that contains a dot stands in double quotes. Example: `public.enquiries`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 140))]
    pub table: Option<String>,
    /// How long a row is kept after `since`: an ISO 8601 calendar period of years, months, weeks and
    /// days, counted in the policy's time zone. Required with `since`. Examples: `P6M`, `P1Y6M`, `P90D`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 32), regex(pattern = Period::PATTERN))]
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "self.matches('[1-9]')",
        "message": "a period must be longer than nothing, such as P6M"
    }]))]
    pub expire_after: Option<String>,
    /// What starts the period. Either this with `expireAfter`, or `expireOn`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<SinceSpec>,
    /// Instead of `expireAfter` and `since`: a fixed day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expire_on: Option<ExpireOnSpec>,
    /// Which rows of the table the promise is about; all entries must hold. Left out: every row.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub conditions: Option<Vec<WhereSpec>>,
    /// Rows of other tables without which a row is not meant: of each entry there must be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_LOOKUPS), extend("x-kubernetes-list-type" = "atomic"))]
    pub only_if: Option<Vec<LookupSpec>>,
    /// Rows of other tables that keep a row: one of any entry is enough. They are looked for while
    /// the row is locked; one that the application adds later is stopped only by an enforced foreign
    /// key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_LOOKUPS), extend("x-kubernetes-list-type" = "atomic"))]
    pub unless: Option<Vec<LookupSpec>>,
    /// What happens to an expired row.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub action: Option<ActionSpec>,
    /// For Delete: rows are sealed first, as by `Seal`, and deleted so long after: until then an
    /// accident has a way back. Related entries with Delete are sealed, too. A period as in
    /// `expireAfter`. Example: `P14D`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 32), regex(pattern = Period::PATTERN))]
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "self.matches('[1-9]')",
        "message": "a period must be longer than nothing, such as P14D"
    }]))]
    pub grace: Option<String>,
    /// How the table is walked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub walk: Option<WalkSpec>,
    /// What happens to rows of other tables that reference an expired row. Every reference needs a
    /// decision: a plan with an undecided one is refused and prints the entry to add. The list is
    /// flat; an entry's `of` names the table that it hangs on. Under Anonymise they are done with the
    /// row above them: what hangs on a row whose own columns are done already, added later say, is
    /// left as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_RELATED), extend("x-kubernetes-list-type" = "atomic"))]
    pub related: Option<Vec<RelatedSpec>>,
    /// Triggers that somebody has looked at. Every other trigger that would fire on a changed row refuses
    /// the plan, which prints the entry to add. The plan's digest covers what the trigger does: when its
    /// definition changes, a run that has begun ends as `Drifted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TRIGGERS), extend("x-kubernetes-list-type" = "atomic"))]
    pub triggers: Option<Vec<TriggerSpec>>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

impl RuleSpec {
    /// What a plan's digest covers of the rule, defaults filled in. Left out on purpose: `basis`, which
    /// is for readers. A date in `notBefore` is read in the policy's zone, the default is an instant:
    /// these two are not the same, so `since` stands as it was written.
    pub(super) fn digest_input(&self) -> Value {
        let Self {
            name,
            basis: _,
            table,
            expire_after,
            since,
            expire_on,
            conditions,
            only_if,
            unless,
            action,
            grace,
            walk,
            related,
            triggers,
            unknown,
        } = self;
        let default = WalkSpec::default();
        let WalkSpec {
            allow_unindexed,
            unknown: unknown_of_walk,
        } = walk.as_ref().unwrap_or(&default);
        json!({
            "name": name,
            "table": table,
            "expireAfter": expire_after,
            "since": since,
            "expireOn": expire_on,
            "where": conditions.as_deref().unwrap_or_default(),
            "onlyIf": only_if.as_deref().unwrap_or_default(),
            "unless": unless.as_deref().unwrap_or_default(),
            "action": action,
            "grace": grace,
            "walk": {
                "allowUnindexed": allow_unindexed.unwrap_or(false),
                "unknown": unknown_of_walk,
            },
            "related": related.as_deref().unwrap_or_default(),
            // Left out where there are none, so that digests of older versions stay.
            "triggers": triggers.as_ref().filter(|triggers| !triggers.is_empty()),
            "unknown": unknown,
        })
    }
}

fn test_rules() -> Value {
    json!([
        {
            "rule": "!has(self.operator) || (self.operator in ['IsNull', 'IsNotNull'] ? !has(self.values) : has(self.values))",
            "message": "IsNull and IsNotNull take no values; every other operator needs values"
        },
        {
            "rule": "!has(self.operator) || !has(self.values) || self.operator in ['In', 'NotIn'] || size(self.values) == 1",
            "message": "Lt, Gt, Before and After take exactly one value"
        }
    ])
}

fn where_rules() -> Value {
    let mut rules = test_rules();
    if let Value::Array(rules) = &mut rules {
        rules.push(json!({
            "rule": "has(self.anyOf) ? !has(self.column) && !has(self.operator) && !has(self.values) : has(self.column) && has(self.operator)",
            "message": "write either column and operator, or anyOf"
        }));
    }
    rules
}

/// One entry of `where`: a test of a column, or `anyOf`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = where_rules()))]
pub struct WhereSpec {
    /// The column that is tested, of the rule's table.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub column: Option<String>,
    /// In, NotIn: equal to one or none of `values`. Lt, Gt: less or greater than a number. IsNull,
    /// IsNotNull. Before, After: earlier or later than a date or an RFC 3339 instant. A column that
    /// is NULL passes IsNull only, never NotIn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<Choice<Operator>>,
    /// What the column is compared with, as text; it is cast to the column's type. Quote numbers and
    /// words such as no and off. Example: `[closed, withdrawn]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(max = 256)), extend("x-kubernetes-list-type" = "atomic"))]
    pub values: Option<Vec<String>>,
    /// Instead of the three fields above: at least one of the groups must hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub any_of: Option<Vec<GroupSpec>>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// A group of tests that must all hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupSpec {
    /// The tests; all must hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub all_of: Option<Vec<TestSpec>>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// A test of one column.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = test_rules()))]
pub struct TestSpec {
    /// The column that is tested, of the rule's table.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 64))]
    pub column: Option<String>,
    /// In, NotIn, Lt, Gt, IsNull, IsNotNull, Before or After, as in `where`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub operator: Option<Choice<Operator>>,
    /// What the column is compared with, as in `where`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(max = 256)), extend("x-kubernetes-list-type" = "atomic"))]
    pub values: Option<Vec<String>>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

words! {
    /// How a column is tested.
    pub enum Operator {
        /// Equal to one of the values.
        In,
        /// Equal to none of the values, and not NULL.
        NotIn,
        /// Less than a number.
        Lt,
        /// Greater than a number.
        Gt,
        /// NULL.
        IsNull,
        /// Not NULL.
        IsNotNull,
        /// Earlier than a date or instant.
        Before,
        /// Later than a date or instant.
        After,
    }
}

/// How the table is walked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WalkSpec {
    /// Whether a large table may be read in full where no index serves the walk. Default: false,
    /// and such a plan is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_unindexed: Option<bool>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// What happens to an expired row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "self.type == 'Anonymise' ? has(self.columns) : !has(self.columns)",
    "message": "Anonymise needs columns, and only Anonymise takes them"
}, {
    "rule": "(self.type == 'Seal') == has(self.seal)",
    "message": "Seal needs seal, and only Seal takes it"
}]))]
pub struct ActionSpec {
    /// Delete: the row goes. Anonymise: the listed columns are transformed and the row stays. Seal: the
    /// row is moved into the TargetDatabase's `seal.schema`, with the rows of related entries that say
    /// Seal, and deleted there when `seal.expireAfter` is over.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub kind: Option<Choice<ActionType>>,
    /// For Anonymise: how each column is transformed. Columns that are not listed stay as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub columns: Option<Vec<ColumnSpec>>,
    /// For Seal: how long rows are kept where they were moved to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seal: Option<SealedSpec>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

words! {
    /// What happens to an expired row.
    pub enum ActionType {
        /// The row goes.
        Delete,
        /// Columns are transformed.
        Anonymise,
        /// The row is moved to where others cannot read it.
        Seal,
    }
}

/// How long sealed rows are kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SealedSpec {
    /// How long a sealed row is kept, counted from the instant at which it was sealed (its column
    /// `sealed_at`), not from the rule's clock; then the same policy deletes it, in a step of its own. A
    /// period as in the rule's `expireAfter`. Example: `P6Y`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 3, max = 32), regex(pattern = Period::PATTERN))]
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "self.matches('[1-9]')",
        "message": "a period must be longer than nothing, such as P6Y"
    }]))]
    pub expire_after: Option<String>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// How one column is transformed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "(self.strategy == 'Constant') == has(self.constant)",
        "message": "Constant needs constant, and only Constant takes it"
    },
    {
        "rule": "(self.strategy == 'GeneraliseDate') == has(self.generaliseDate)",
        "message": "GeneraliseDate needs generaliseDate, and only GeneraliseDate takes it"
    },
    {
        "rule": "(self.strategy == 'GeneraliseNumber') == has(self.generaliseNumber)",
        "message": "GeneraliseNumber needs generaliseNumber, and only GeneraliseNumber takes it"
    }
]))]
pub struct ColumnSpec {
    /// The column.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 64))]
    pub column: Option<String>,
    /// Nullify: NULL. Constant: the same value in every row. Pseudonym: `p_` and 32 hexadecimal
    /// digits, computed in the database from the value and the policy's `pseudonymKey`; equal values
    /// stay equal, in every engine. GeneraliseDate: the first day of the month, quarter, year or
    /// decade (a MySQL TIMESTAMP begins at 1970-01-01T00:00:01Z: that instead of an earlier one). GeneraliseNumber: rounded down to a multiple. A transformed value is not transformed
    /// again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub strategy: Option<Choice<StrategyName>>,
    /// For Constant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constant: Option<ConstantSpec>,
    /// For GeneraliseDate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generalise_date: Option<GeneraliseDateSpec>,
    /// For GeneraliseNumber.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generalise_number: Option<GeneraliseNumberSpec>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

words! {
    /// The strategies.
    pub enum StrategyName {
        /// NULL.
        Nullify,
        /// The same value in every row.
        Constant,
        /// A keyed digest.
        Pseudonym,
        /// The first day of a unit.
        GeneraliseDate,
        /// A multiple of a width.
        GeneraliseNumber,
    }
}

/// The parameters of Constant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConstantSpec {
    /// The value, as text; it is cast to the column's type. Example: `erased`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(max = 1024))]
    pub value: Option<String>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// The parameters of GeneraliseDate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GeneraliseDateSpec {
    /// Month, Quarter, Year or Decade: the date becomes the first day of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub to: Option<Choice<DateUnit>>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

words! {
    /// The unit a date is coarsened to.
    pub enum DateUnit {
        /// The month.
        Month,
        /// The quarter.
        Quarter,
        /// The year.
        Year,
        /// The decade.
        Decade,
    }
}

/// The parameters of GeneraliseNumber.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GeneraliseNumberSpec {
    /// The number becomes the greatest multiple of this that is not above it. Example: with 10000,
    /// 27500 becomes 20000 and -1 becomes -10000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, range(min = 2, max = 2_000_000_000))]
    pub width: Option<i64>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// A trigger that somebody has looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TriggerSpec {
    /// The table that it fires on, named as in the rule's `table`: the rule's own, a related one, or a
    /// partition of either. Example: `public.enquiries`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 140))]
    pub table: Option<String>,
    /// Its name. Example: `set_updated_at`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 64))]
    pub name: Option<String>,
    /// Harmless: what it does is nothing that this promise is about: it sets `updated_at`, or adds a row
    /// elsewhere that is allowed to be there. It may only add rows: one that changes or deletes rows of
    /// any table makes the batch fail (`RowsUnaccounted`). Functions that it calls in turn are not
    /// covered by the plan's digest. It runs with the privileges of the operator's user unless it says
    /// otherwise (`SECURITY DEFINER`, `DEFINER`), which then needs to be given what it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub effect: Option<Choice<TriggerEffect>>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

words! {
    /// What a trigger does, as far as a promise is concerned.
    pub enum TriggerEffect {
        /// Nothing that it is about.
        Harmless,
    }
}

/// What happens to the rows of one table that reference an expired row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RelatedSpec {
    /// The referencing table, named as in the rule's `table`. Example: `public.enquiry_notes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 140))]
    pub table: Option<String>,
    /// The referenced table: the rule's own, or that of another entry. Example: `public.enquiries`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 140))]
    pub of: Option<String>,
    /// The columns that make the reference.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub matches: Option<Vec<MatchSpec>>,
    /// What happens to those rows, in the same transaction as the row they reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub action: Option<RelatedActionSpec>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// One pair of columns of a reference.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MatchSpec {
    /// The column of the referencing table. Example: `enquiry_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 64))]
    pub column: Option<String>,
    /// The column of the referenced table that it equals. Example: `id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 64))]
    pub equals: Option<String>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// What happens to a related row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "self.type == 'Anonymise' ? has(self.columns) : !has(self.columns)",
    "message": "Anonymise needs columns, and only Anonymise takes them"
}]))]
pub struct RelatedActionSpec {
    /// Delete: the row goes too. Anonymise: the listed columns are transformed. Detach: the reference
    /// becomes NULL and the row stays. Seal, under a rule with Seal: the row is moved, too.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub kind: Option<Choice<RelatedActionType>>,
    /// For Anonymise: how each column is transformed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub columns: Option<Vec<ColumnSpec>>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

words! {
    /// What happens to a related row.
    pub enum RelatedActionType {
        /// It goes too.
        Delete,
        /// Columns are transformed.
        Anonymise,
        /// Its reference becomes NULL.
        Detach,
        /// It is moved, too.
        Seal,
    }
}
