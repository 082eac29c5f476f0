//! The operator's settings file: what belongs to the platform, and neither to a policy nor to a
//! request. A section each in a file of its own, with its manual.
//!
//! It must not read anything: the file, and the files that it names, are read by whoever calls. The
//! operator runs without a file, by the defaults.

pub mod calendar;
pub mod letter;
pub mod maps;
pub mod records;
pub mod signing;
pub mod suppression;
pub mod targets;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::calendar::{Calendar, CalendarSpec, DUE_SOON_DAYS};
use self::letter::{Controller, ControllerSpec, LetterSpec};
use self::maps::MAX_NAMESPACES;
use self::records::{BackupsSpec, Records};
use self::signing::{Signing, SigningSpec};
use self::suppression::{Suppression, SuppressionSpec};
use self::targets::{MAX_TARGETS, Target, TargetSpec};
use crate::api::parse::{Faults, FieldError};
use crate::erasure::letter::Template;
use crate::period::Period;

/// The settings file as it is written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SettingsSpec {
    /// By which days the time to answer a person is counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calendar: Option<CalendarSpec>,
    /// Who answers, and where the person may complain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<ControllerSpec>,
    /// The letter to the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub letter: Option<LetterSpec>,
    /// Namespaces whose DataMaps belong to the requests and holds of every namespace that name none, as far as
    /// each map's `usableFrom` allows. Whoever writes a DataMap there is sent what persons are known by. Left out:
    /// what names no maps is about those of its own namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_NAMESPACES), inner(length(min = 1, max = 63)))]
    pub map_namespaces: Option<Vec<String>>,
    /// With which key certificates are signed. Left out: they are not signed, and say so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing: Option<SigningSpec>,
    /// Recipients outside the databases that the operator tells of an erasure: the places of DataMaps
    /// with `via: Webhook`, by their names.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TARGETS))]
    pub targets: Option<Vec<TargetSpec>>,
    /// Keyed digests of erased identifiers, by which erased persons are known again. Left out: none are
    /// kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppression: Option<SuppressionSpec>,
    /// How long backups of the databases last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backups: Option<BackupsSpec>,
    /// How long requests, with plans, certificates and digests, are kept once they have ended: a calendar
    /// period, such as `P3Y`. Left out: nothing ends them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = Period::PATTERN))]
    pub record_retention: Option<String>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// The settings as the program works with them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// By which days the time to answer is counted.
    pub calendar: Calendar,
    /// How many days before its end the time to answer ends soon.
    pub due_soon_days: u16,
    /// Who answers.
    pub controller: Controller,
    /// The letter to the person.
    pub letter: Template,
    /// When records end.
    pub records: Records,
    /// Namespaces whose DataMaps belong to the requests and holds of others.
    pub map_namespaces: BTreeSet<String>,
    /// With which key certificates are signed.
    pub signing: Option<Signing>,
    /// Recipients outside the databases.
    pub targets: Vec<Target>,
    /// Digests of erased identifiers.
    pub suppression: Option<Suppression>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            calendar: Calendar::default(),
            due_soon_days: DUE_SOON_DAYS,
            controller: Controller::default(),
            letter: Template::default(),
            records: Records::default(),
            map_namespaces: BTreeSet::new(),
            signing: None,
            targets: Vec::new(),
            suppression: None,
        }
    }
}

impl Settings {
    /// When the last backup from before an instant has expired, where it is known.
    pub fn backups_end(&self, from: Timestamp) -> Option<Timestamp> {
        self.records.backups_end(from, &self.calendar).ok()?
    }

    /// Reads the settings, or names every fault. `template`: what the file `letter.templateFile` holds.
    pub fn parse(spec: &SettingsSpec, template: Option<&str>) -> Result<Self, Vec<FieldError>> {
        let faults = Faults::default();
        let at = faults.at("settings");
        let SettingsSpec {
            calendar,
            controller,
            letter,
            backups,
            record_retention,
            map_namespaces,
            signing,
            targets,
            suppression,
            unknown,
        } = spec;
        at.known::<SettingsSpec>(unknown);
        let calendar = calendar::parse(&at.field("calendar"), calendar.as_ref());
        let controller = letter::parse_controller(&at.field("controller"), controller.as_ref());
        let letter = letter::parse(&at.field("letter"), letter.as_ref(), template);
        let records = records::parse(&at, record_retention.as_ref(), backups.as_ref());
        let namespaces = maps::parse(&at.field("mapNamespaces"), map_namespaces.as_deref());
        let signing = signing::parse(&at.field("signing"), signing.as_ref());
        let targets = targets::parse(&at.field("targets"), targets.as_deref());
        let suppression = match &suppression {
            None => Some(None),
            Some(section) => suppression::parse(&at.field("suppression"), section).map(Some),
        };
        let settings = || {
            let (calendar, due_soon_days) = calendar?;
            Some(Self {
                calendar,
                due_soon_days,
                controller: controller?,
                letter: letter?,
                records: records?,
                map_namespaces: namespaces?,
                signing: signing?,
                targets: targets?,
                suppression: suppression?,
            })
        };
        let settings = settings();
        faults.conclude(settings)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::reason::Reason;

    fn read(spec: &Value) -> SettingsSpec {
        serde_json::from_value(spec.clone()).unwrap()
    }

    fn parse(spec: &Value) -> Result<Settings, Vec<FieldError>> {
        Settings::parse(&read(spec), None)
    }

    #[test]
    fn a_file_with_nothing_in_it_is_as_none() {
        let (empty, none) = (parse(&json!({})).unwrap(), Settings::default());
        assert_eq!(empty.calendar, none.calendar);
        assert_eq!(empty.due_soon_days, none.due_soon_days);
        assert_eq!(empty.controller, none.controller);
        assert_eq!(empty.letter.text(), none.letter.text());
        assert_eq!(empty.records, none.records);
    }

    #[test]
    fn what_is_written_is_what_is_meant() {
        let settings = parse(&json!({
            "calendar": {"timeZone": "Europe/London", "weekend": ["Friday"],
                         "holidays": ["2026-12-25"], "dueSoonDays": 3},
            "controller": {"name": "Example Ltd", "contact": "dpo@example.org",
                           "complaints": "the regulator"},
            "letter": {"template": "Case {{ case }}\n"},
            "backups": {"keptFor": "P35D"},
            "recordRetention": "P3Y",
            "mapNamespaces": ["crm", "hr"],
        }))
        .unwrap();
        assert_eq!(settings.calendar.zone.iana_name(), Some("Europe/London"));
        assert_eq!(settings.due_soon_days, 3);
        assert_eq!(settings.controller.name.as_deref(), Some("Example Ltd"));
        assert_eq!(settings.letter.text(), "Case {{ case }}\n");
        assert_eq!(settings.records.backups.unwrap().to_string(), "P35D");
        assert_eq!(settings.records.retention.unwrap().to_string(), "P3Y");
        let namespaces: Vec<_> = settings.map_namespaces.iter().collect();
        assert_eq!(namespaces, ["crm", "hr"]);
    }

    #[test]
    fn every_fault_names_its_field_and_says_what_to_write() {
        let week = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"];
        let all: Vec<_> = week.into_iter().chain(["Saturday", "Sunday"]).collect();
        for (spec, path, words) in [
            (json!({"calender": {}}), "settings.calender", "`calendar`"),
            (
                json!({"calendar": {"zone": "Etc/UTC"}}),
                "settings.calendar.zone",
                "does not know",
            ),
            (
                json!({"calendar": {"timeZone": "London"}}),
                "settings.calendar.timeZone",
                "Europe/London",
            ),
            (
                json!({"calendar": {"weekend": ["Sonntag"]}}),
                "settings.calendar.weekend[0]",
                "Sunday",
            ),
            (
                json!({"calendar": {"weekend": all}}),
                "settings.calendar.weekend",
                "working day",
            ),
            (
                json!({"calendar": {"holidays": ["2026-12-25", "25.12.2026"]}}),
                "settings.calendar.holidays[1]",
                "2026-12-25",
            ),
            (
                json!({"calendar": {"holidays": ["2026-12-25T00:00:00Z"]}}),
                "settings.calendar.holidays[0]",
                "2026-12-25",
            ),
            (
                json!({"calendar": {"dueSoonDays": 32}}),
                "settings.calendar.dueSoonDays",
                "0 to 31",
            ),
            (
                json!({"controller": {"name": " "}}),
                "settings.controller.name",
                "is empty",
            ),
            (
                json!({"controller": {"email": "a@b"}}),
                "settings.controller.email",
                "does not know",
            ),
            (
                json!({"letter": {"template": "Case {{ caze }}\n"}}),
                "settings.letter.template",
                "`caze`",
            ),
            (
                json!({"letter": {"template": "", "templateFile": "x"}}),
                "settings.letter",
                "one of them",
            ),
            (
                json!({"backups": {"keptFor": "35 days"}}),
                "settings.backups.keptFor",
                "P90D",
            ),
            (
                json!({"backups": {}}),
                "settings.backups.keptFor",
                "is required",
            ),
            (
                json!({"recordRetention": "P0D"}),
                "settings.recordRetention",
                "at least one day",
            ),
            (
                json!({"mapNamespaces": ["crm", "crm/learning"]}),
                "settings.mapNamespaces[1]",
                "such as `crm`",
            ),
        ] {
            let faults = parse(&spec).unwrap_err();
            assert!(
                faults.len() == 1 && faults[0].path == path && faults[0].message.contains(words),
                "{spec}: {faults:?}"
            );
            let unknown = words == "does not know" || path == "settings.calender";
            assert_eq!(faults[0].reason == Reason::UnknownField, unknown, "{spec}");
        }
    }
}
