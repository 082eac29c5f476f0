//! `kAnonymity` and `assessment`: from the manifest to `crate::groups::Promise`.

use std::collections::BTreeSet;

use jiff::civil::Date;

use super::{At, Names, all};
use crate::api::rule::{ActionSpec, ActionType};
use crate::api::small_groups::{
    AssessmentSpec, BelowWord, KAnonymitySpec, MAX_QUASI_IDENTIFIERS, SIZES,
};
use crate::api::words::Choice;
use crate::groups::{Assessment, Below, Promise};
use crate::name::Ident;
use crate::policy::Action;
use crate::strategy::Strategy;

/// What an action promises of small groups; the outer `None`: it has faults.
#[expect(
    clippy::option_option,
    reason = "a fault, nothing promised, and a promise are three answers"
)]
pub(super) fn parse_promise(
    at: &At<'_>,
    spec: &ActionSpec,
    action: Option<&Action>,
    names: &Names,
) -> Option<Option<Promise>> {
    let (groups, assessment) = (spec.k_anonymity.as_ref(), spec.assessment.as_ref());
    let kind = spec.kind.as_ref().and_then(Choice::known);
    let anonymises = kind == Some(ActionType::Anonymise);
    let assessed = assessment.map(|spec| parse_assessment(&at.field("assessment"), spec));
    let Some(groups) = groups else {
        if assessment.is_some() {
            at.field("assessment").invalid(
                "needs kAnonymity beside it: rows are called Anonymised only where small groups were \
                 looked for",
            );
            return None;
        }
        return Some(None);
    };
    let groups_at = at.field("kAnonymity");
    if !anonymises {
        groups_at.invalid(
            "only the type Anonymise takes kAnonymity and assessment: remove them, or change the type",
        );
        return None;
    }
    let promise = parse_groups(&groups_at, groups, names);
    let mut promise = promise?;
    promise.assessment = match assessed {
        None => None,
        Some(assessed) => Some(assessed?),
    };
    let Action::Anonymise(treatments) = action? else {
        return None;
    };
    let mut pseudonyms = treatments
        .iter()
        .filter(|treatment| treatment.strategy == Strategy::Pseudonym)
        .map(|treatment| &treatment.column);
    if let Some(column) = pseudonyms.clone().find(|c| promise.columns.contains(c)) {
        groups_at.field("quasiIdentifiers").invalid(format!(
            "{column} gets a pseudonym, which tells people apart by itself: leave it out, or choose \
             another strategy for it"
        ));
        return None;
    }
    if let (Some(_), Some(column)) = (&promise.assessment, pseudonyms.next()) {
        at.field("assessment").invalid(format!(
            "{column} gets a pseudonym, and pseudonymised rows are still personal data: remove the \
             assessment, or choose another strategy"
        ));
        return None;
    }
    Some(Some(promise))
}

fn parse_groups(at: &At<'_>, spec: &KAnonymitySpec, names: &Names) -> Option<Promise> {
    let KAnonymitySpec {
        quasi_identifiers,
        k,
        below,
        unknown,
    } = spec;
    at.known::<KAnonymitySpec>(unknown);
    let columns = parse_columns(
        &at.field("quasiIdentifiers"),
        quasi_identifiers.as_deref(),
        names,
    );
    let k = {
        let at = at.field("k");
        at.required(k.as_ref(), "`5`")
            .and_then(|k| at.within(*k, SIZES.0, SIZES.1))
    };
    let below = at.field("below").word_or(below.as_ref(), BelowWord::Refuse);
    Some(Promise {
        columns: columns?,
        k: k?,
        below: match below? {
            BelowWord::Refuse => Below::Refuse,
            BelowWord::Leave => Below::Leave,
        },
        assessment: None,
    })
}

fn parse_columns(at: &At<'_>, columns: Option<&[String]>, names: &Names) -> Option<Vec<Ident>> {
    let columns = columns.unwrap_or_default();
    at.bounded(columns, MAX_QUASI_IDENTIFIERS);
    if columns.is_empty() {
        at.invalid("is required, such as `[born_on, postcode]`");
        return None;
    }
    let mut seen: BTreeSet<Ident> = BTreeSet::new();
    all(columns, |i, column| {
        let at = at.index(i);
        let column = at.column(Some(column), names, "`postcode`")?;
        if !seen.insert(column.clone()) {
            at.invalid("this column stands here twice: keep one of them");
        }
        Some(column)
    })
}

fn parse_assessment(at: &At<'_>, spec: &AssessmentSpec) -> Option<Assessment> {
    let AssessmentSpec {
        reference,
        by,
        date,
        unknown,
    } = spec;
    at.known::<AssessmentSpec>(unknown);
    let reference = {
        let at = at.field("ref");
        at.text(reference.as_ref(), "`DPIA-2026-007`")
            .and_then(|text| {
                let fits = is_reference(text);
                if !fits {
                    at.invalid(
                        "write at most 128 letters, digits and . _ / -, such as `DPIA-2026-007`",
                    );
                }
                fits.then(|| text.to_owned())
            })
    };
    let by = {
        let at = at.field("by");
        at.text(by.as_ref(), "`dpo`").filter(|text| {
            let fits = text.chars().count() <= 128 && !text.chars().any(char::is_control);
            if !fits {
                at.invalid("write at most 128 characters, without line breaks");
            }
            fits
        })
    };
    let date = {
        let at = at.field("date");
        at.text(date.as_ref(), "`\"2026-03-01\"`").and_then(|text| {
            let day: Option<Date> = text.parse().ok().filter(|_| text.len() == 10);
            if day.is_none() {
                at.invalid(format!("{text:?} is no day: write it as \"2026-03-01\""));
            }
            day
        })
    };
    Some(Assessment {
        reference: reference?,
        by: by?.to_owned(),
        date: date?.to_string(),
    })
}

/// What the schema's pattern says, for manifests that no API server has looked at.
fn is_reference(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 128
        && ends(text.chars().next())
        && ends(text.chars().next_back())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._/-".contains(c))
}
