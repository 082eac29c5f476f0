//! What a recipient is told: a CloudEvent 1.0 in JSON, without more of the person than the target
//! asks for.

use std::collections::BTreeMap;

use jiff::Timestamp;
use oubliette_core::api::erasure_request::RequestGround;
use oubliette_core::api::words::Word;
use oubliette_core::erasure::elsewhere::event_id;
use oubliette_core::settings::targets::Target;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use zeroize::Zeroizing;

use super::DeliveryFault;

/// Structured mode: the attributes stand in the body, which is signed.
pub(super) const CONTENT_TYPE: &str = "application/cloudevents+json";
/// The type. Its data may get more fields; another meaning would be another type.
const TYPE: &str = "dev.oubliette.erasure.v1";
/// The source. The id holds the request's UID and is unique by itself; names of namespaces and objects
/// are nobody's business elsewhere.
const SOURCE: &str = "/oubliette.dev/erasurerequests";

/// The identifiers of one person as they were before anything was deleted, wiped when dropped.
///
/// To be taken before the first change, and dropped when every place has ended. It is memory: after a
/// restart it has to be made again, and from two sources. What the request gave stands in the Secret
/// until the request ends. What `leadsTo` found does not: the rows in which it was found are gone, so
/// it has to be kept in a ledger from Find until the request ends. Nothing may be delivered with a
/// snapshot of the Secret alone where `leadsTo` had found something: the recipient would accept, and
/// look for less than the person.
#[derive(Default)]
pub struct Snapshot {
    identifiers: BTreeMap<String, Vec<SecretString>>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}

impl Snapshot {
    /// Adds a value of an identifier, of which there may be several.
    pub fn add(&mut self, name: &str, value: SecretString) {
        let values = self.identifiers.entry(name.to_owned()).or_default();
        let known = values
            .iter()
            .any(|one| one.expose_secret() == value.expose_secret());
        if !known {
            values.push(value);
        }
    }

    /// What the target asks for, and nothing else. `None`: it asks, and nothing of it is known.
    fn asked_for<'a>(&'a self, target: &'a Target) -> Option<BTreeMap<&'a str, Vec<&'a str>>> {
        let mut asked = BTreeMap::new();
        for name in &target.identifiers {
            if let Some(values) = self.identifiers.get(name) {
                let values = values.iter().map(ExposeSecret::expose_secret).collect();
                asked.insert(name.as_str(), values);
            }
        }
        (target.identifiers.is_empty() || !asked.is_empty()).then_some(asked)
    }
}

/// One request's erasure, to be told to places; the same at every attempt.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// UID of the request.
    pub request_uid: &'a str,
    /// The case's number elsewhere.
    pub case: &'a str,
    /// On which grounds.
    pub grounds: &'a [RequestGround],
    /// Only these purposes; none: all.
    pub purposes: &'a [String],
    /// When telling began, as it is recorded in the place's `at`; not the attempt's time.
    pub at: Timestamp,
    /// Who is meant.
    pub person: &'a Snapshot,
}

#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: &'a str,
    source: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    subject: &'a str,
    time: Timestamp,
    datacontenttype: &'static str,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    request: &'a str,
    case: &'a str,
    grounds: Vec<&'static str>,
    purposes: &'a [String],
    outcome: &'static str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    identifiers: BTreeMap<&'a str, Vec<&'a str>>,
}

impl Event<'_> {
    /// The event's id for a target.
    pub fn id(&self, target: &Target) -> String {
        event_id(self.request_uid, &target.name)
    }

    /// The body, wiped when dropped. The copies that HTTP and TLS make of it on its way are theirs.
    pub(super) fn body(&self, target: &Target) -> Result<Zeroizing<Vec<u8>>, DeliveryFault> {
        let id = self.id(target);
        let event = CloudEvent {
            specversion: "1.0",
            id: &id,
            source: SOURCE,
            kind: TYPE,
            subject: self.case,
            time: self.at,
            datacontenttype: "application/json",
            data: Data {
                request: self.request_uid,
                case: self.case,
                grounds: self.grounds.iter().map(|ground| ground.as_str()).collect(),
                purposes: self.purposes,
                outcome: "Pending",
                identifiers: self
                    .person
                    .asked_for(target)
                    .ok_or(DeliveryFault::NoIdentifier)?,
            },
        };
        Ok(written(&event))
    }
}

/// In one allocation: its length is found first, so that no copy stays behind in a smaller one.
fn written(event: &CloudEvent<'_>) -> Zeroizing<Vec<u8>> {
    let mut length = Length(0);
    serde_json::to_writer(&mut length, event).expect(INFALLIBLE);
    let mut body = Zeroizing::new(Vec::with_capacity(length.0));
    serde_json::to_writer(&mut *body, event).expect(INFALLIBLE);
    body
}

const INFALLIBLE: &str = "texts and lists of texts are JSON, and memory takes what is written";

/// Counts what is written.
struct Length(usize);

impl std::io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
