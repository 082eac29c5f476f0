//! What `plan` and `apply` tell of a person's request. Names of tables and counts; who the person is stands
//! nowhere in it.

use std::fmt::Write as _;

use oubliette_core::api::erasure_plan::ErasurePlanSpec;
use oubliette_core::api::erasure_request::{DatabaseErasure, KeptStatus, RequestOutcome};
use oubliette_core::api::words::Choice;
use oubliette_core::digest::Digest;
use oubliette_core::plan::Refusal;
use serde::Serialize;

use super::super::columns::wrap;
use super::super::plugin::show;
use super::words::{number, rows};
use super::{FAILED, NOTHING, PENDING, RefusalTold, markdown, table};
use crate::inputs::requests::Petition;

/// What is told of one request.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PersonTold {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What stands for its UID without a cluster; an Approval names it.
    pub uid: String,
    /// The case's number elsewhere.
    pub case: String,
    /// The TargetDatabases, by namespace and name.
    pub databases: Vec<String>,
    /// Whether it or one of its databases is suspended.
    pub suspended: bool,
    /// Rows that would change, those that hang on others counted once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<i64>,
    /// The plan, as an ErasurePlan has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<ErasurePlanSpec>,
    /// What stands in the way; empty where nothing does.
    pub refusals: Vec<RefusalTold>,
    /// What else a person should know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// How it came out, where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Choice<RequestOutcome>>,
    /// What was done in each database, by all calls of this round together.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub erased: Vec<DatabaseErasure>,
    /// What duties and holds keep.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<KeptStatus>,
    /// What somebody has still to do and to confirm.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub to_confirm: Vec<String>,
    /// The certificate, where it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateTold>,
    /// Whether it was stopped before its end: the same command goes on with it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// Where changed rows may still be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_elsewhere: Vec<String>,
}

/// A certificate that was written.
#[derive(Debug, Serialize)]
pub struct CertificateTold {
    /// The file.
    pub file: String,
    /// Its digest.
    pub digest: Digest,
    /// Digest of the public key; none: it is not signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl PersonTold {
    /// A request of which nothing but its manifest is known.
    pub fn of(petition: &Petition) -> Self {
        let mut databases: Vec<String> = petition
            .maps
            .iter()
            .map(|chosen| chosen.database.to_string())
            .collect();
        databases.sort();
        databases.dedup();
        Self {
            namespace: petition.name.namespace.clone(),
            name: petition.name.name.clone(),
            uid: petition.uid.clone(),
            case: petition.request.case.clone(),
            databases,
            suspended: petition.is_suspended(),
            rows: None,
            plan: None,
            refusals: Vec::new(),
            notes: Vec::new(),
            outcome: None,
            erased: Vec::new(),
            kept: None,
            to_confirm: Vec::new(),
            certificate: None,
            stopped: false,
            left_elsewhere: Vec::new(),
        }
    }

    /// Enters what stands in the way. `map`: the DataMap that it is about.
    pub fn refuse(&mut self, map: Option<&str>, refusal: &Refusal) {
        let mut told = RefusalTold::from(refusal);
        if let Some(map) = map.filter(|map| !map.is_empty()) {
            told.message = format!("{map}: {}", told.message);
        }
        self.refusals.push(told);
    }

    /// Enters what else a person should know.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Rows that are changed where a run is over, or were to be.
    pub(super) fn changed(&self) -> Option<i64> {
        let of = |erased: &DatabaseErasure| erased.deleted + erased.transformed;
        (!self.erased.is_empty()).then(|| self.erased.iter().map(of).sum())
    }

    pub(super) fn code(&self) -> u8 {
        match self.outcome {
            _ if !self.refusals.is_empty() => FAILED,
            None if self.plan.is_some() => PENDING,
            Some(_) | None => NOTHING,
        }
    }

    fn outlook(&self) -> String {
        let outcome = self.outcome.as_ref().map(Choice::text);
        match (outcome, self.changed(), self.rows) {
            (Some(outcome), Some(changed), _) => format!("{outcome}, {} changed", rows(changed)),
            (Some(outcome), None, _) => outcome.to_owned(),
            (None, _, _) if self.stopped => "stopped, and not at its end".to_owned(),
            (None, _, Some(due)) if !self.refusals.is_empty() => {
                format!("refused, nothing would change; {} would", rows(due))
            }
            (None, _, Some(due)) => format!("{} would change", rows(due)),
            (None, _, None) => "not planned".to_owned(),
        }
    }

    fn about(&self) -> String {
        let suspended = if self.suspended { ", suspended" } else { "" };
        let databases = self.databases.join(", ");
        format!(
            "case {}{suspended}; TargetDatabases: {databases}",
            self.case
        )
    }

    fn plan_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(plan) = &self.plan {
            show::planned(&mut lines, plan, false);
        }
        lines
    }

    /// What was done and what else is to be known, a line each.
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for one in &self.erased {
            let mut line = format!(
                "{}: {} deleted, {} transformed, {} kept by duties, {} by legal holds; searched again \
                 and verified {}",
                one.database,
                rows(one.deleted),
                number(one.transformed),
                number(one.kept),
                number(one.held),
                one.verified_at
            );
            if let Some(evidence) = &one.evidence {
                // Writing to a string does not fail.
                let _ = write!(line, "; evidence {evidence}");
            }
            lines.push(line);
        }
        for one in &self.erased {
            lines.extend(show::residue(one));
        }
        if let Some(certificate) = &self.certificate {
            let signed = certificate
                .key
                .as_ref()
                .map_or("not signed".to_owned(), |key| {
                    format!("signed with the key {key}")
                });
            lines.push(format!(
                "certificate {}, {}, {signed}",
                certificate.file, certificate.digest
            ));
        }
        let confirm = self.to_confirm.iter();
        lines.extend(confirm.map(|item| format!("to be confirmed: {item}")));
        lines.extend(self.notes.iter().map(|note| format!("note: {note}")));
        let places = self.left_elsewhere.iter();
        lines.extend(places.map(|place| format!("left elsewhere: {place}")));
        lines
    }
}

/// A request for people.
pub(in crate::command) fn block(told: &PersonTold) -> String {
    let mut lines = vec![format!(
        "{}/{}: {}",
        told.namespace,
        told.name,
        told.outlook()
    )];
    wrap(&mut lines, "  ", &told.about());
    let plan = told.plan_lines();
    if !plan.is_empty() {
        lines.push(String::new());
        lines.extend(plan);
        lines.push(String::new());
    }
    for refusal in &told.refusals {
        table::refused(&mut lines, refusal);
    }
    for line in told.lines() {
        wrap(&mut lines, "  ", &line);
    }
    lines.join("\n") + "\n"
}

/// A request in a comment.
pub(super) fn in_markdown(text: &mut String, told: &PersonTold) {
    let name = markdown::plain(&format!("{}/{}", told.namespace, told.name));
    let (outlook, about) = (told.outlook(), markdown::plain(&told.about()));
    let _ = writeln!(text, "\n### {name}\n\n**{outlook}**. {about}");
    let plan = told.plan_lines();
    if !plan.is_empty() {
        let _ = write!(text, "\n{}", markdown::fenced("", &plan.join("\n")));
    }
    for refusal in &told.refusals {
        text.push_str(&markdown::refused(refusal));
    }
    let lines = told.lines();
    if !lines.is_empty() {
        text.push('\n');
    }
    for line in lines {
        let _ = writeln!(text, "- {}", markdown::plain(&line));
    }
}
