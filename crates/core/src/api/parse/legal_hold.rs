//! LegalHold: from the manifest to `crate::hold`.

use super::erasure_request::{parse_maps, parse_secret};
use super::{At, Faults, FieldError, Names, all};
use crate::api::legal_hold::{
    HeldRowsSpec, HeldSubjectSpec, HoldConditionSpec, HoldOperatorName, HoldType, LegalHoldSpec,
    MAX_REASON, MAX_TESTS, MAX_USER, ReleaseSpec, ValuesFromSpec,
};
use crate::hold::{
    HoldOperator, Release, WantedHold, WantedOn, WantedRows, WantedSubject, WantedTest,
};

impl WantedHold {
    /// Parses a LegalHold's spec, or names every fault of it.
    pub fn parse(spec: &LegalHoldSpec) -> Result<Self, Vec<FieldError>> {
        let faults = Faults::default();
        let hold = parse_hold(&faults.root(), spec);
        faults.conclude(hold)
    }
}

fn parse_hold(at: &At<'_>, spec: &LegalHoldSpec) -> Option<WantedHold> {
    let LegalHoldSpec {
        kind,
        rows,
        subject,
        reason,
        placed_by,
        review_at,
        release,
        unknown,
    } = spec;
    at.known::<LegalHoldSpec>(unknown);
    let kind = at.field("type").word(kind.as_ref());
    let (rows_at, subject_at) = (at.field("rows"), at.field("subject"));
    let on = match kind {
        Some(HoldType::Rows) => {
            if subject.is_some() {
                subject_at.invalid("is for type Subject: leave it out");
            }
            rows_at
                .required(rows.as_ref(), "`{databaseRef: …, table: …, where: […]}`")
                .and_then(|rows| parse_rows(&rows_at, rows))
                .map(WantedOn::Rows)
        }
        Some(HoldType::Subject) => {
            if rows.is_some() {
                rows_at.invalid("is for type Rows: leave it out");
            }
            subject_at
                .required(subject.as_ref(), "`{secretRef: {name: …}}`")
                .and_then(|subject| parse_subject(&subject_at, subject))
                .map(WantedOn::Subject)
        }
        None => None,
    };
    let reason = reference(&at.field("reason"), reason.as_ref());
    let placed_by = user(&at.field("placedBy"), placed_by.as_ref());
    let review_at = at
        .field("reviewAt")
        .required(review_at.as_ref(), "`2027-06-30T00:00:00Z`")
        .copied();
    let release = match release {
        None => Some(None),
        Some(release) => parse_release(&at.field("release"), release).map(Some),
    };
    Some(WantedHold {
        on: on?,
        reason: reason?,
        placed_by: placed_by?,
        review_at: review_at?,
        release: release?,
    })
}

fn parse_subject(at: &At<'_>, subject: &HeldSubjectSpec) -> Option<WantedSubject> {
    let HeldSubjectSpec {
        secret_ref,
        data_map_refs,
        unknown,
    } = subject;
    at.known::<HeldSubjectSpec>(unknown);
    let secret = parse_secret(&at.field("secretRef"), secret_ref.as_ref(), "`matter-15`");
    let maps = parse_maps(&at.field("dataMapRefs"), data_map_refs.as_deref());
    Some(WantedSubject {
        secret: secret?,
        maps: maps?,
    })
}

fn parse_rows(at: &At<'_>, rows: &HeldRowsSpec) -> Option<WantedRows> {
    let HeldRowsSpec {
        database_ref,
        table,
        conditions,
        unknown,
    } = rows;
    at.known::<HeldRowsSpec>(unknown);
    let database = at.field("databaseRef").database(database_ref.as_ref());
    let table_at = at.field("table");
    let table = table_at
        .text(table.as_ref(), "`public.learners`")
        .and_then(|text| table_at.parsed(text));
    let where_at = at.field("where");
    let tests = where_at
        .required(
            conditions.as_ref(),
            "`[{column: …, operator: In, valuesFrom: …}]`",
        )
        .and_then(|conditions| {
            where_at.bounded(conditions, MAX_TESTS);
            if conditions.is_empty() {
                where_at.invalid("is empty: a hold says which rows it is about");
            }
            all(conditions, |i, condition| {
                parse_condition(&where_at.index(i), condition)
            })
        });
    let (database, database_namespace) = database?;
    Some(WantedRows {
        database,
        database_namespace,
        table: table?,
        tests: tests?,
    })
}

fn parse_condition(at: &At<'_>, condition: &HoldConditionSpec) -> Option<WantedTest> {
    let HoldConditionSpec {
        column,
        operator,
        values_from,
        unknown,
    } = condition;
    at.known::<HoldConditionSpec>(unknown);
    let names = Names {
        engine: None,
        database: None,
        seal: None,
    };
    let column = at
        .field("column")
        .column(column.as_ref(), &names, "`email`");
    let operator = at.field("operator").word(operator.as_ref());
    let values_at = at.field("valuesFrom");
    let values = match (operator, values_from) {
        (Some(HoldOperatorName::In) | None, Some(values)) => {
            let ValuesFromSpec {
                secret_ref,
                unknown,
            } = values;
            values_at.known::<ValuesFromSpec>(unknown);
            let secret_at = values_at.field("secretRef");
            secret_at
                .required(secret_ref.as_ref(), "`{name: matter-14, key: emails}`")
                .and_then(|reference| secret_at.key_ref(reference, "`emails`"))
                .map(Some)
        }
        (Some(HoldOperatorName::In), None) => {
            values_at.invalid("is required by In, such as `{secretRef: {name: …, key: …}}`");
            None
        }
        (Some(_), Some(_)) => {
            values_at.invalid("is for In only: leave it out");
            None
        }
        (_, None) => Some(None),
    };
    Some(WantedTest {
        column: column?,
        operator: match operator? {
            HoldOperatorName::In => HoldOperator::In,
            HoldOperatorName::IsNull => HoldOperator::IsNull,
            HoldOperatorName::IsNotNull => HoldOperator::IsNotNull,
        },
        values: values?,
    })
}

fn parse_release(at: &At<'_>, release: &ReleaseSpec) -> Option<Release> {
    let ReleaseSpec {
        reason,
        by,
        unknown,
    } = release;
    at.known::<ReleaseSpec>(unknown);
    let reason = reference(&at.field("reason"), reason.as_ref());
    let by = user(&at.field("by"), by.as_ref());
    Some(Release {
        reason: reason?,
        by: by?,
    })
}

/// The reference of a matter: see `REASON_PATTERN`.
fn reference(at: &At<'_>, value: Option<&String>) -> Option<String> {
    let text = at.text(value, "`LIT-2026-014`")?;
    if !is_reference(text) {
        at.invalid(format!(
            "is a reference, not a text: write at most {MAX_REASON} letters, digits and '.', '_', \
             '/', '-', such as `LIT-2026-014`"
        ));
        return None;
    }
    Some(text.to_owned())
}

/// Whether a text may be the reference of a matter: it stands in specs and in the ledger, and says
/// nothing about a person.
pub fn is_reference(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._/-".contains(c);
    text.len() <= MAX_REASON
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(plain)
}

fn user(at: &At<'_>, value: Option<&String>) -> Option<String> {
    let text = at.text(value, "`jane`")?;
    if text.chars().count() > MAX_USER || text.chars().any(char::is_control) {
        at.invalid(format!(
            "is no name of a user: write at most {MAX_USER} characters, without line breaks"
        ));
        return None;
    }
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::reason::Reason;

    fn good() -> Value {
        json!({
            "type": "Rows",
            "rows": {
                "databaseRef": {"name": "crm"},
                "table": "public.learners",
                "where": [
                    {"column": "email", "operator": "In",
                     "valuesFrom": {"secretRef": {"name": "matter-14", "key": "emails"}}},
                    {"column": "left_at", "operator": "IsNull"},
                ],
            },
            "reason": "LIT-2026-014",
            "placedBy": "jane",
            "reviewAt": "2027-06-30T00:00:00Z",
        })
    }

    fn read(spec: Value) -> LegalHoldSpec {
        serde_json::from_value(spec).unwrap()
    }

    fn parse(spec: Value) -> Result<WantedHold, Vec<FieldError>> {
        WantedHold::parse(&read(spec))
    }

    #[test]
    fn a_hold_is_read_as_it_is_written() {
        let hold = parse(good()).unwrap();
        let WantedOn::Rows(rows) = &hold.on else {
            panic!("{hold:?}");
        };
        assert_eq!(rows.table.to_string(), "public.learners");
        assert_eq!(rows.tests.len(), 2);
        assert_eq!(rows.tests[0].values.as_ref().unwrap().key, "emails");
        assert_eq!(hold.release, None);
        let mut released = good();
        released["release"] = json!({"reason": "LIT-2026-014/closed", "by": "joe"});
        let release = parse(released).unwrap().release.unwrap();
        assert_eq!(
            (release.reason.as_str(), release.by.as_str()),
            ("LIT-2026-014/closed", "joe")
        );
    }

    fn of_person() -> Value {
        let mut spec = good();
        spec.as_object_mut().unwrap().remove("rows");
        spec["type"] = json!("Subject");
        spec["subject"] = json!({
            "secretRef": {"name": "matter-15"},
            "dataMapRefs": [{"name": "people", "namespace": "crm"}],
        });
        spec
    }

    #[test]
    fn a_hold_is_on_rows_or_on_a_person() {
        let WantedOn::Subject(subject) = parse(of_person()).unwrap().on else {
            panic!("a person was meant");
        };
        assert_eq!(subject.secret, "matter-15");
        assert_eq!(subject.maps[0].name, "people");
        let mut all = of_person();
        all["subject"] = json!({"secretRef": {"name": "matter-15"}});
        assert!(parse(all).is_ok());
        for (path, value, fault) in [
            ("/subject", json!(null), "spec.subject: "),
            ("/type", json!("Rows"), "spec.subject: "),
            (
                "/subject/secretRef/name",
                json!("Ada"),
                "spec.subject.secretRef.name: ",
            ),
            (
                "/subject/dataMapRefs/0/name",
                json!(""),
                "spec.subject.dataMapRefs[0].name: ",
            ),
        ] {
            let mut spec = of_person();
            *spec.pointer_mut(path).unwrap() = value;
            let faults = parse(spec).unwrap_err();
            assert!(faults[0].to_string().starts_with(fault), "{faults:?}");
        }
        let mut both = of_person();
        both["rows"] = good()["rows"].clone();
        let faults = parse(both).unwrap_err();
        assert_eq!(faults[0].path, "spec.rows");
        for path in ["/subject", "/subject/secretRef", "/subject/dataMapRefs/0"] {
            let mut spec = of_person();
            spec.pointer_mut(path).unwrap()["maps"] = json!(1);
            let faults = parse(spec).unwrap_err();
            assert_eq!(faults[0].reason, Reason::UnknownField, "{path}: {faults:?}");
        }
    }

    #[test]
    fn every_fault_is_named_with_its_field() {
        for (path, value, fault) in [
            ("/type", json!("Person"), "spec.type: "),
            ("/rows/table", json!(""), "spec.rows.table: "),
            ("/rows/where", json!([]), "spec.rows.where: "),
            (
                "/rows/where/0/operator",
                json!("Like"),
                "spec.rows.where[0].operator: ",
            ),
            (
                "/rows/where/0/operator",
                json!("IsNull"),
                "spec.rows.where[0].valuesFrom: ",
            ),
            (
                "/rows/where/0/valuesFrom/secretRef/key",
                json!("a/b"),
                "spec.rows.where[0].valuesFrom.secretRef.key: ",
            ),
            (
                "/rows/where/1/operator",
                json!("In"),
                "spec.rows.where[1].valuesFrom: ",
            ),
            ("/reason", json!("Jane v. us"), "spec.reason: "),
            ("/placedBy", json!("a\nb"), "spec.placedBy: "),
        ] {
            let mut spec = good();
            *spec.pointer_mut(path).unwrap() = value;
            let faults = parse(spec).unwrap_err();
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert!(faults[0].to_string().starts_with(fault), "{faults:?}");
            assert_eq!(faults[0].reason, Reason::InvalidSpec);
        }
        for field in ["type", "rows", "reason", "placedBy", "reviewAt"] {
            let mut spec = good();
            spec.as_object_mut().unwrap().remove(field);
            let faults = parse(spec).unwrap_err();
            assert_eq!(faults[0].path, format!("spec.{field}"));
        }
    }

    #[test]
    fn a_misspelt_field_is_refused_wherever_it_stands() {
        for path in [
            "",
            "/rows",
            "/rows/databaseRef",
            "/rows/where/0",
            "/rows/where/0/valuesFrom",
            "/rows/where/0/valuesFrom/secretRef",
            "/release",
        ] {
            let mut spec = good();
            spec["release"] = json!({"reason": "a", "by": "b"});
            spec.pointer_mut(path).unwrap()["tabel"] = json!(1);
            let faults = parse(spec).unwrap_err();
            assert_eq!(faults[0].reason, Reason::UnknownField, "{path}: {faults:?}");
        }
    }
}
