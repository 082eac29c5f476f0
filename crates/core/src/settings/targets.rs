//! `targets`: where places outside the databases are told of an erasure. Requests and DataMaps name a
//! target; where it is, and what it is told, is said here only.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::{Position, Url};

use crate::api::parse::{At, Faults, FieldError, all, parse_duration, parse_word, twice};
use crate::api::people::{MAX_IDENTIFIERS, WORD_PATTERN};
use crate::period::MachineDuration;

/// Targets at the most.
pub const MAX_TARGETS: usize = 128;
/// Longest address.
const MAX_URL: usize = 2048;
/// Longest path of a file.
const MAX_PATH: usize = 1024;
/// How long an attempt may take, where nothing else is set.
const DEFAULT_TIMEOUT: &str = "10s";

/// Where a place is told over HTTPS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetSpec {
    /// Its name: that of a place in `elsewhere` of a DataMap, with `via: Webhook`. Example:
    /// `mailing-list`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 63), regex(pattern = WORD_PATTERN))]
    pub name: Option<String>,
    /// Where events are sent to by POST, without user, password and fragment. A redirect is not
    /// followed. Example: `https://mailing.example.org/erasures`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = MAX_URL))]
    pub url: Option<String>,
    /// The identifiers that the recipient needs to find the person. Left out: none is sent. Example:
    /// `[email]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_IDENTIFIERS), inner(length(min = 1, max = 63), regex(pattern = WORD_PATTERN)))]
    pub identifiers: Option<Vec<String>>,
    /// The file with the key by which events are signed: `whsec_` and 24 to 64 bytes in base64. Two
    /// lines are two keys, of which each signs, while the key is being changed. It is read for each
    /// event. Example: `/etc/oubliette-keys/mailing-list`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = MAX_PATH), regex(pattern = "^/"))]
    pub secret_file: Option<String>,
    /// The file with the authorities (PEM) of which the recipient's certificate must come. Left out:
    /// the public ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_PATH), regex(pattern = "^/"))]
    pub ca_file: Option<String>,
    /// Lets `url` begin with `http://`: everybody on the way reads what is sent. Certificates are
    /// verified always. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub insecure: Option<bool>,
    /// How long an attempt may take: 1s to 1m. Default: 10s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = MachineDuration::PATTERN), extend("default" = DEFAULT_TIMEOUT))]
    pub timeout: Option<String>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// A parsed target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name, and that of the place.
    pub name: String,
    /// Where it is.
    pub address: Address,
    /// Names of the identifiers that it is sent.
    pub identifiers: Vec<String>,
    /// The file with the keys.
    pub secret_file: String,
    /// The file with the authorities.
    pub ca_file: Option<String>,
    /// How long an attempt may take.
    pub timeout: Duration,
}

impl Target {
    /// Reads targets by themselves, without the rest of the settings.
    pub fn parse_all(specs: &[TargetSpec]) -> Result<Vec<Self>, Vec<FieldError>> {
        let faults = Faults::default();
        let targets = parse(&faults.at("settings.targets"), Some(specs));
        faults.conclude(targets)
    }
}

/// An address of HTTP. Path and query may be a secret of the recipient's: Debug shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Url);

impl Address {
    /// Whether it is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The name or address of the host; IPv6 without brackets.
    pub fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        host.trim_matches(['[', ']']).to_owned()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(443)
    }

    /// What `Host` says: the port only where it is another one than usual.
    pub fn authority(&self) -> &str {
        &self.0[Position::BeforeHost..Position::AfterPort]
    }

    /// Path and query.
    pub fn path_and_query(&self) -> &str {
        &self.0[Position::BeforePath..Position::AfterQuery]
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({}://{})", self.0.scheme(), self.authority())
    }
}

/// The targets; `at` is the list.
pub(crate) fn parse(at: &At<'_>, specs: Option<&[TargetSpec]>) -> Option<Vec<Target>> {
    let specs = specs.unwrap_or_default();
    at.bounded(specs, MAX_TARGETS);
    let targets = all(specs, |i, spec| parse_target(&at.index(i), spec))?;
    twice(at, "name", targets.iter().map(|t| t.name.clone()));
    Some(targets)
}

fn parse_target(at: &At<'_>, spec: &TargetSpec) -> Option<Target> {
    let TargetSpec {
        name,
        url,
        identifiers,
        secret_file,
        ca_file,
        insecure,
        timeout,
        unknown,
    } = spec;
    at.known::<TargetSpec>(unknown);
    let name = parse_word(&at.field("name"), name.as_ref(), "`mailing-list`");
    let address = parse_address(at, url.as_ref(), insecure.unwrap_or(false));
    let identifiers_at = at.field("identifiers");
    let identifiers = identifiers.as_deref().unwrap_or_default();
    identifiers_at.bounded(identifiers, MAX_IDENTIFIERS);
    let identifiers = all(identifiers, |i, name| {
        parse_word(&identifiers_at.index(i), Some(name), "`email`")
    });
    let secret_at = at.field("secretFile");
    let secret_file = secret_at
        .text(secret_file.as_ref(), "`/etc/oubliette-keys/mailing-list`")
        .and_then(|path| parse_path(&secret_at, path));
    let ca_file = match ca_file {
        None => Some(None),
        Some(path) => parse_path(&at.field("caFile"), path).map(Some),
    };
    if let (Some(address), Some(Some(_))) = (&address, &ca_file)
        && !address.is_encrypted()
    {
        at.field("caFile")
            .invalid("has nothing to verify: the url begins with http://");
    }
    let timeout = parse_duration(
        &at.field("timeout"),
        timeout.as_deref().unwrap_or(DEFAULT_TIMEOUT),
        Duration::from_secs(1)..=Duration::from_mins(1),
        "1s to 1m",
    );
    Some(Target {
        name: name?,
        address: address?,
        identifiers: identifiers?,
        secret_file: secret_file?,
        ca_file: ca_file?,
        timeout: timeout?,
    })
}

/// No message repeats what was written: it may hold a password.
fn parse_address(at: &At<'_>, url: Option<&String>, insecure: bool) -> Option<Address> {
    const EXAMPLE: &str = "`https://mailing.example.org/erasures`";
    let insecure_at = at.field("insecure");
    let at = at.field("url");
    let text = at.text(url, EXAMPLE)?;
    let parsed = Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "https" | "http") && text.len() <= MAX_URL);
    let Some(url) = parsed else {
        at.invalid(format!(
            "is no address of at most {MAX_URL} characters, such as {EXAMPLE}"
        ));
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() {
        at.invalid(
            "holds a user or password, which the settings file must not: events are signed instead",
        );
        return None;
    }
    if url.fragment().is_some() {
        at.invalid("has a part behind #, which is sent to nobody: remove it");
        return None;
    }
    match (url.scheme() == "https", insecure) {
        (false, false) => {
            at.invalid(
                "begins with http://, by which everybody on the way reads what is sent: write \
                 https://, or insecure: true",
            );
            None
        }
        (true, true) => {
            insecure_at.invalid(
                "is for http:// only, and certificates are verified always: remove it; for an \
                 authority of your own give caFile",
            );
            None
        }
        (true, false) | (false, true) => Some(Address(url)),
    }
}

fn parse_path(at: &At<'_>, path: &str) -> Option<String> {
    let good = path.starts_with('/') && path.len() <= MAX_PATH && !path.contains('\0');
    if !good {
        at.invalid(format!(
            "is no absolute path of at most {MAX_PATH} characters, such as \
             `/etc/oubliette-keys/mailing-list`"
        ));
    }
    good.then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::reason::Reason;

    fn specs(targets: &Value) -> Vec<TargetSpec> {
        serde_json::from_value(targets.clone()).unwrap()
    }

    fn read(targets: &Value) -> Result<Vec<Target>, Vec<FieldError>> {
        Target::parse_all(&specs(targets))
    }

    fn with(field: &str, value: Value) -> Value {
        let mut target = json!({
            "name": "mailing-list",
            "url": "https://mailing.example.org/erasures?list=7",
            "secretFile": "/etc/oubliette-keys/mailing-list",
        });
        target[field] = value;
        json!([target])
    }

    #[test]
    fn what_is_left_out_is_strict() {
        let target = read(&with("identifiers", json!(["email"])))
            .unwrap()
            .remove(0);
        assert_eq!(target.name, "mailing-list");
        assert_eq!(target.identifiers, ["email"]);
        assert_eq!(target.timeout, Duration::from_secs(10));
        assert_eq!(target.ca_file, None);
        let address = &target.address;
        assert!(address.is_encrypted());
        assert_eq!(
            (address.host().as_str(), address.port()),
            ("mailing.example.org", 443)
        );
        assert_eq!(address.path_and_query(), "/erasures?list=7");
        assert!(
            read(&with("identifiers", Value::Null)).unwrap()[0]
                .identifiers
                .is_empty()
        );
    }

    #[test]
    fn hosts_are_taken_as_they_are_written() {
        for (url, host, port, authority) in [
            ("https://[::1]:8443/x", "::1", 8443, "[::1]:8443"),
            ("https://127.0.0.1/x", "127.0.0.1", 443, "127.0.0.1"),
            ("https://hooks.svc:444", "hooks.svc", 444, "hooks.svc:444"),
        ] {
            let address = read(&with("url", json!(url))).unwrap().remove(0).address;
            let found = (
                address.host(),
                address.port(),
                address.authority().to_owned(),
            );
            assert_eq!(
                found,
                (host.to_owned(), port, authority.to_owned()),
                "{url}"
            );
        }
    }

    #[test]
    fn http_needs_insecure_and_only_http_takes_it() {
        let mut targets = with("url", json!("http://mailing.svc/erasures"));
        assert!(
            read(&targets).unwrap_err()[0]
                .message
                .contains("insecure: true")
        );
        targets[0]["insecure"] = json!(true);
        let address = &read(&targets).unwrap()[0].address;
        assert_eq!((address.is_encrypted(), address.port()), (false, 80));
        targets[0]["caFile"] = json!("/ca.pem");
        assert_eq!(
            read(&targets).unwrap_err()[0].path,
            "settings.targets[0].caFile"
        );
    }

    #[test]
    fn every_fault_names_its_field_and_repeats_no_address() {
        for (field, value, words) in [
            ("name", Value::Null, "is required"),
            ("name", json!("mailing list"), "is no name"),
            ("url", Value::Null, "is required"),
            ("url", json!("mailing.example.org/hush"), "is no address"),
            ("url", json!("ftp://example.org/hush"), "is no address"),
            ("url", json!("https:///"), "is no address"),
            (
                "url",
                json!("https://hush:hush@example.org/"),
                "user or password",
            ),
            (
                "url",
                json!("https://hush@example.org/"),
                "user or password",
            ),
            ("url", json!("https://example.org/#hush"), "behind #"),
            ("insecure", json!(true), "verified always"),
            ("secretFile", Value::Null, "is required"),
            ("secretFile", json!("key"), "absolute path"),
            ("caFile", json!("ca.pem"), "absolute path"),
            ("timeout", json!("0.5s"), "not a duration"),
            ("timeout", json!("2m"), "1s to 1m"),
            ("unsecure", json!(true), "did you mean `insecure`?"),
        ] {
            let faults = read(&with(field, value)).unwrap_err();
            let [fault] = faults.as_slice() else {
                panic!("{field}: {faults:?}");
            };
            assert_eq!(fault.path, format!("settings.targets[0].{field}"));
            assert!(fault.message.contains(words), "{fault}");
            assert!(!fault.to_string().contains("hush"), "{fault}");
            let unknown = field == "unsecure";
            assert_eq!(fault.reason == Reason::UnknownField, unknown);
        }
    }

    #[test]
    fn a_name_stands_for_one_target() {
        let mut targets = with("insecure", json!(false));
        let again = targets[0].clone();
        targets.as_array_mut().unwrap().push(again);
        let faults = read(&targets).unwrap_err();
        assert_eq!(faults[0].path, "settings.targets[1].name");
    }

    #[test]
    fn debug_output_shows_neither_path_nor_query() {
        let targets = read(&with("url", json!("https://example.org/hush?key=hush"))).unwrap();
        let shown = format!("{targets:?}");
        assert!(
            shown.contains("https://example.org") && !shown.contains("hush"),
            "{shown}"
        );
    }
}
