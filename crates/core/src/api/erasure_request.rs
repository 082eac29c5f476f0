//! ErasureRequest (`oer`): one person asks for erasure, objects or withdraws consent. Fields, their
//! manual, and the status. Who the person is stands in a Secret only.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::people::WORD_PATTERN;
use super::refs::SecretRef;
use super::residue::ResidueStatus;
use super::retention_policy::ApprovalStatus;
use super::status::{conditions_schema, lenient};
use super::words::{Choice, Word, words};
use crate::digest::Digest;

/// Longest reference of a case.
pub const MAX_CASE: usize = 48;
/// What a reference of a case looks like: no free text, which could name somebody.
pub const CASE_PATTERN: &str = r"^[A-Z]{1,10}(-[0-9]{1,12}){1,3}$";
/// Longest name of a user.
pub const MAX_USER: usize = 256;
/// Maps of one request at the most.
pub const MAX_MAPS: usize = 32;
/// Other requests about the same person that are told at the most.
pub const MAX_DUPLICATES: usize = 16;
/// Confirmations of one request at the most.
pub const MAX_CONFIRMATIONS: usize = 64;
/// The type of the Secret with a person's identifiers.
pub const SUBJECT_SECRET: &str = "oubliette.dev/subject";

/// Fields that stay as they were written, and those that are written once.
fn transitions() -> Value {
    let mut rules = Vec::new();
    for field in ["requester", "grounds", "scope"] {
        rules.push(json!({
            "rule": format!(
                "has(self.{field}) == has(oldSelf.{field}) && \
                 (!has(self.{field}) || self.{field} == oldSelf.{field})"
            ),
            "message": format!("{field} is immutable: withdraw this request and file another one"),
        }));
    }
    for field in ["extension", "reply", "close"] {
        rules.push(json!({
            "rule": format!(
                "!has(oldSelf.{field}) || (has(self.{field}) && self.{field} == oldSelf.{field})"
            ),
            "message": format!("{field} is written once"),
        }));
    }
    rules.push(json!({
        "rule": "!has(oldSelf.confirmations) || (has(self.confirmations) && \
                 oldSelf.confirmations.all(x, x in self.confirmations))",
        "message": "a confirmation stays: add another one",
    }));
    json!(rules)
}

fn immutable(field: &str) -> Value {
    json!([{"rule": "self == oldSelf", "message": format!("{field} is immutable")}])
}

/// One person's request. Who the person is stands in a Secret; nothing in the spec is free text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = transitions()))]
pub struct ErasureRequestSpec {
    /// Where the person's identifiers are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, extend("x-kubernetes-validations" = immutable("subject")))]
    pub subject: Option<SubjectSpec>,
    /// The case's number elsewhere: capital letters, then numbers. Example: `SR-0042`. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        required,
        length(min = 3, max = MAX_CASE),
        regex(pattern = CASE_PATTERN),
        extend("x-kubernetes-validations" = immutable("caseRef"))
    )]
    pub case_ref: Option<String>,
    /// Who files it: the name under which they are known to the cluster, which the admission policy of
    /// the chart checks. Example: `jane`. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        required,
        length(min = 1, max = MAX_USER),
        extend("x-kubernetes-validations" = immutable("requestedBy"))
    )]
    pub requested_by: Option<String>,
    /// When the request reached the organisation. The time to answer runs from then, or from the proof
    /// of identity where that comes later. Example: `2026-11-02T09:00:00Z`. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, extend("x-kubernetes-validations" = immutable("receivedAt")))]
    pub received_at: Option<Timestamp>,
    /// Who speaks for the person. Default: the person. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requester: Option<RequesterSpec>,
    /// Whether the person has to prove who they are, and when they did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentitySpec>,
    /// More time to answer, by Art. 12(3). Written once, inside the first month.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extension: Option<ExtensionSpec>,
    /// On which grounds, for the record. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub grounds: Option<Vec<Choice<RequestGround>>>,
    /// What it is about. Default: every map of the namespace, in every role. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<ScopeSpec>,
    /// What somebody has confirmed: that a place outside the databases has done its part, or that a
    /// column was looked at. Entries stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_CONFIRMATIONS), extend("x-kubernetes-list-type" = "atomic"))]
    pub confirmations: Option<Vec<ConfirmationSpec>>,
    /// Ends the request without erasing anything more: a decision with its ground. Written once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub close: Option<CloseSpec>,
    /// That the person was answered: only this ends the time to answer. Written once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<ReplySpec>,
    /// Stops the work within one batch. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub suspend: Option<bool>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// Where the person's identifiers are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubjectSpec {
    /// A Secret of type `oubliette.dev/subject`, immutable, in the request's namespace. Its keys are
    /// names of identifiers in DataMaps. It is deleted when the request has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub secret_ref: Option<SecretRef>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// Who speaks for the person.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequesterSpec {
    /// Self, Parent or Representative. Default: Self.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "Self"))]
    pub relation: Option<Choice<Relation>>,
    /// When their authority to speak for the person was verified. Nothing is planned for a Parent or
    /// Representative before that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority_verified_at: Option<Timestamp>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// The person.
    Oneself,
    /// Somebody with parental responsibility.
    Parent,
    /// Somebody else with authority.
    Representative,
}

impl Word for Relation {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Oneself, "Self"),
        (Self::Parent, "Parent"),
        (Self::Representative, "Representative"),
    ];
}

/// The proof of identity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(oldSelf.satisfiedAt) || (has(self.satisfiedAt) && self.satisfiedAt == oldSelf.satisfiedAt)",
    "message": "satisfiedAt is written once"
}]))]
pub struct IdentitySpec {
    /// Whether it is asked for; only where there is reasonable doubt (Art. 12(6)). Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub required: Option<bool>,
    /// When the person gave it. Written once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub satisfied_at: Option<Timestamp>,
    /// How: Session, Document, InPerson, Callback or Other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<Choice<IdentityMethod>>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

words! {
    /// How somebody proved who they are.
    pub enum IdentityMethod {
        /// They were logged in.
        Session,
        /// By a document.
        Document,
        /// They came.
        InPerson,
        /// They were called or written to at an address that was known.
        Callback,
        /// Otherwise.
        Other,
    }
}

/// More time to answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExtensionSpec {
    /// By how many months: 1 or 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, range(min = 1, max = 2))]
    pub months: Option<i64>,
    /// Why: Complexity or NumberOfRequests.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub reason: Option<Choice<ExtensionReason>>,
    /// When the person was told of it: inside the first month, or it does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub notified_at: Option<Timestamp>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

words! {
    /// Why an answer takes longer (Art. 12(3)).
    pub enum ExtensionReason {
        /// The request is complex.
        Complexity,
        /// The person has made several.
        NumberOfRequests,
    }
}

/// On which ground somebody asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestGround {
    /// No longer necessary.
    Unnecessary,
    /// Consent is withdrawn.
    Withdrawn,
    /// The person objects.
    Objection,
    /// Processed unlawfully.
    Unlawful,
    /// A law asks for erasure.
    Obligation,
    /// Collected from a child.
    Child,
    /// Objection to direct marketing.
    Marketing,
}

impl Word for RequestGround {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Unnecessary, "Art17_1_a"),
        (Self::Withdrawn, "Art17_1_b"),
        (Self::Objection, "Art17_1_c"),
        (Self::Unlawful, "Art17_1_d"),
        (Self::Obligation, "Art17_1_e"),
        (Self::Child, "Art17_1_f"),
        (Self::Marketing, "Art21_2"),
    ];
}

/// What a request is about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScopeSpec {
    /// Only this role of the maps. Left out: every role.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = WORD_PATTERN))]
    pub role: Option<String>,
    /// Only these DataMaps. Left out: every one of the request's namespace, and those of the namespaces that the
    /// operator's settings name (`mapNamespaces`), as far as their owners let it use them (`usableFrom`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_MAPS), extend("x-kubernetes-list-type" = "atomic"))]
    pub data_map_refs: Option<Vec<MapRef>>,
    /// Only these purposes: columns and rows whose last purpose ends with them. Left out: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 63), regex(pattern = WORD_PATTERN)), extend("x-kubernetes-list-type" = "atomic"))]
    pub purposes: Option<Vec<String>>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// A DataMap.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MapRef {
    /// Its namespace. Default: the request's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 253))]
    pub name: Option<String>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// What somebody has confirmed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfirmationSpec {
    /// What, as `status.toConfirm` names it. Example: `elsewhere/paper-files`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        required,
        length(min = 1, max = 256),
        regex(pattern = "^[A-Za-z0-9][A-Za-z0-9._/-]*$")
    )]
    pub item: Option<String>,
    /// Done; or for a recipient Impossible or Disproportionate (Art. 19).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub outcome: Option<Choice<ConfirmedName>>,
    /// Who says so: the name under which they are known to the cluster, which the admission policy of
    /// the chart checks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = MAX_USER))]
    pub by: Option<String>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub at: Option<Timestamp>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

words! {
    /// What somebody has confirmed of a place.
    pub enum ConfirmedName {
        /// It is done.
        Done,
        /// Nobody can tell the recipient.
        Impossible,
        /// It would take disproportionate effort.
        Disproportionate,
    }
}

/// The end of a request that erases nothing more.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.outcome) || (self.outcome == 'Refused') == has(self.ground)",
    "message": "Refused needs a ground, and only it takes one"
}]))]
pub struct CloseSpec {
    /// Refused, NotIdentified, NotOurs (another controller's, forwarded) or Withdrawn by the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub outcome: Option<Choice<CloseName>>,
    /// For Refused: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ground: Option<Choice<RefusalGround>>,
    /// Who decides: the name under which they are known to the cluster, which the admission policy of
    /// the chart checks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = MAX_USER))]
    pub by: Option<String>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

words! {
    /// How somebody ends a request.
    pub enum CloseName {
        /// It is refused.
        Refused,
        /// The person did not prove who they are.
        NotIdentified,
        /// Another body is the controller; the request was forwarded.
        NotOurs,
        /// The person takes it back.
        Withdrawn,
    }
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalGround {
    /// Manifestly unfounded (Art. 12(5)).
    Unfounded,
    /// Excessive (Art. 12(5)).
    Excessive,
    /// Freedom of expression and information.
    Expression,
    /// A legal obligation, or a task in the public interest.
    Obligation,
    /// Public health.
    Health,
    /// Archiving, research, statistics.
    Research,
    /// Legal claims.
    Claims,
}

impl Word for RefusalGround {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Unfounded, "ManifestlyUnfounded"),
        (Self::Excessive, "Excessive"),
        (Self::Expression, "Art17_3_a"),
        (Self::Obligation, "Art17_3_b"),
        (Self::Health, "Art17_3_c"),
        (Self::Research, "Art17_3_d"),
        (Self::Claims, "Art17_3_e"),
    ];
}

/// That the person was answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplySpec {
    /// When the answer was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub sent_at: Option<Timestamp>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

words! {
    /// How far a request is.
    pub enum RequestState {
        /// It waits for the proof of identity, or of authority.
        AwaitingIdentity,
        /// The person is looked for.
        Finding,
        /// The plan waits for people.
        AwaitingApproval,
        /// Rows are being changed.
        Erasing,
        /// Places elsewhere are told, or people are waited for.
        Telling,
        /// All is done that can be; the answer is due.
        AwaitingReply,
        /// All is done, and what a duty kept goes when it ends.
        KeptInPart,
        /// It has ended.
        Finished,
    }
}

words! {
    /// How a request came out.
    pub enum RequestOutcome {
        /// Everything is gone.
        Erased,
        /// A part must be kept.
        ErasedInPart,
        /// Nobody was found.
        NothingFound,
        /// It was refused.
        Refused,
        /// The person did not prove who they are.
        NotIdentified,
        /// Another body is the controller.
        NotOurs,
        /// The person took it back.
        Withdrawn,
    }
}

/// What is known of a request. Counts, names and instants only; never a value. What is planned for each
/// table stands in the ErasurePlan of the same name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ErasureRequestStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready; Identified, Found, Approved, Erased, Complete; Residue where a DataMap asks for it; Reappeared, DueSoon and Overdue while they
    /// hold; and while they hold Reconciling and Stalled. docs/reasons.md explains every reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// AwaitingIdentity, Finding, AwaitingApproval, Erasing, Telling, AwaitingReply, KeptInPart or
    /// Finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(max = 32))]
    pub state: Option<Choice<RequestState>>,
    /// Erased, ErasedInPart, NothingFound, Refused, NotIdentified, NotOurs or Withdrawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(max = 32))]
    pub outcome: Option<Choice<RequestOutcome>>,
    /// The last day on which the person may be answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10))]
    pub due_on: Option<String>,
    /// The plan in figures.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub plan: Option<RequestPlan>,
    /// What was approved.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub approval: Option<ApprovalStatus>,
    /// Whether rows were changed: from then on the request is carried to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begun_at: Option<Timestamp>,
    /// What was done in each database.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    #[schemars(length(max = MAX_MAPS), extend("x-kubernetes-list-type" = "atomic"))]
    pub databases: Vec<DatabaseErasure>,
    /// Rows that must be kept, and until when the first of them.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub kept: Option<KeptStatus>,
    /// Places outside the databases.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    #[schemars(length(max = 128), extend("x-kubernetes-list-type" = "atomic"))]
    pub elsewhere: Vec<PlaceStatus>,
    /// What somebody has still to confirm.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_CONFIRMATIONS), inner(length(max = 256)), extend("x-kubernetes-list-type" = "atomic"))]
    pub to_confirm: Vec<String>,
    /// The certificate of what was done.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub certificate: Option<CertificateStatus>,
    /// Where the keyed digests of the erased identifiers are kept, by which a person who is back is known.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub digests: Option<DigestsStatus>,
    /// Databases in which rows hold an erased identifier again, as they were last looked through.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    #[schemars(length(max = MAX_MAPS), extend("x-kubernetes-list-type" = "atomic"))]
    pub reappeared: Vec<ReappearedStatus>,
    /// That the request was carried out once more, the last time.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub again: Option<AgainStatus>,
    /// Other requests that give one of the same identifiers, as they were known before this one was begun.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    #[schemars(length(max = MAX_DUPLICATES), extend("x-kubernetes-list-type" = "atomic"))]
    pub duplicates: Vec<DuplicateStatus>,
    /// When everything was erased, told and confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// When the request ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
}

/// A plan in figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestPlan {
    /// What is approved.
    #[schemars(with = "String", length(max = 128))]
    pub digest: Digest,
    /// Digest of the maps that it was made by: with others it is made anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(max = 128))]
    pub maps: Option<Digest>,
    /// UIDs of these maps: what was begun is carried to its end in them, and in no others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_MAPS), inner(length(max = 64)), extend("x-kubernetes-list-type" = "atomic"))]
    pub map_uids: Vec<String>,
    /// When it was made.
    pub as_of: Timestamp,
    /// Databases in which the person was found.
    pub databases: i64,
    /// Rows that go.
    pub deletes: i64,
    /// Rows that are transformed.
    pub transforms: i64,
    /// Rows that a duty keeps, in part or whole.
    pub keeps: i64,
    /// Rows that a legal hold keeps.
    pub held: i64,
}

impl RequestPlan {
    /// Rows that would change.
    pub fn rows(&self) -> i64 {
        self.deletes + self.transforms
    }
}

/// What was done in one database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseErasure {
    /// Namespace and name of the DataMap.
    #[schemars(length(max = 320))]
    pub map: String,
    /// Namespace and name of the TargetDatabase.
    #[schemars(length(max = 320))]
    pub database: String,
    /// Primary key of the run in its ledger.
    #[schemars(length(max = 256))]
    pub run: String,
    /// Rows that went.
    pub deleted: i64,
    /// Rows that were transformed.
    pub transformed: i64,
    /// Rows that a duty kept.
    pub kept: i64,
    /// Rows that a legal hold kept.
    pub held: i64,
    /// When it was done, and a search found nothing else.
    pub verified_at: Timestamp,
    /// The head of the ledger's evidence chain after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(max = 128))]
    pub evidence: Option<Digest>,
    /// Where what the person is known by is still found in texts, where the DataMap asks for that search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residue: Option<ResidueStatus>,
}

/// What must be kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeptStatus {
    /// Rows.
    pub rows: i64,
    /// When the first of the duties ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_ends_at: Option<Timestamp>,
}

/// A place outside the databases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlaceStatus {
    /// Its name in the map.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Webhook or Manual.
    #[schemars(length(max = 32))]
    pub via: String,
    /// Who does it, where that is a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub owner: Option<String>,
    /// Pending, Told, Done, Impossible or Disproportionate.
    #[schemars(length(max = 32))]
    pub state: String,
    /// Since when it is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Attempts that failed so far, of a Webhook.
    #[serde(default)]
    pub attempts: i64,
    /// When it is tried again, of a Webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
    /// Why the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub failure: Option<String>,
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateStatus {
    /// Digest of its canonical JSON.
    #[schemars(with = "String", length(max = 128))]
    pub digest: Digest,
    /// The ConfigMap in the request's namespace that holds it.
    #[schemars(length(max = 253))]
    pub config_map: String,
    /// Digest of the public key that it is signed with; left out where the operator has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub key: Option<String>,
}

/// Digests of erased identifiers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DigestsStatus {
    /// The ConfigMap in the request's namespace that holds them beside the ledgers: a ledger that is
    /// restored from a backup lacks them.
    #[schemars(length(max = 253))]
    pub config_map: String,
    /// Digest of the file in it. Whoever may write ConfigMaps there could put other persons' in their place:
    /// what has another digest is not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(max = 128))]
    pub digest: Option<Digest>,
    /// When the last of them ends.
    pub ends_at: Timestamp,
}

impl DigestsStatus {
    /// Whether a file is the one that was kept.
    pub fn is_of(&self, file: &str) -> bool {
        self.digest == Some(Digest::of_bytes(file))
    }
}

/// Rows of one database that hold an erased identifier again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReappearedStatus {
    /// Namespace and name of the DataMap.
    #[schemars(length(max = 320))]
    pub map: String,
    /// Namespace and name of the TargetDatabase.
    #[schemars(length(max = 320))]
    pub database: String,
    /// How many rows.
    pub rows: i64,
    /// How many the request could not take away when it was carried out once more: they are somebody
    /// else's, or a duty keeps them.
    #[serde(default)]
    pub left: i64,
    /// When the database was looked through.
    pub seen_at: Timestamp,
}

words! {
    /// How far another request about the same person is.
    pub enum DuplicateState {
        /// It has no outcome yet.
        Open,
        /// It has one.
        Completed,
    }
}

/// Another request that gives one of the same identifiers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DuplicateStatus {
    /// Its UID.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// Its name; left out where it is in another namespace, or is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub name: Option<String>,
    /// Open or Completed.
    #[schemars(with = "String", length(max = 32))]
    pub state: Choice<DuplicateState>,
}

words! {
    /// Why a request is carried out once more.
    pub enum AgainReason {
        /// The person is in a database again whose map says so.
        Reappeared,
        /// A database was restored to an instant before the erasure.
        Restored,
    }
}

/// That a request was carried out once more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgainStatus {
    /// Tells its runs from all others.
    #[schemars(length(max = 64))]
    pub round: String,
    /// Reappeared or Restored.
    #[schemars(with = "String", length(max = 32))]
    pub reason: Choice<AgainReason>,
    /// Since when.
    pub begun_at: Timestamp,
    /// When it was done and verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}
