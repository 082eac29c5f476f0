//! Recipients that this test starts: what reaches them, and what is said when it does not.

mod recipient;

use bed::{Authority, authority};
use oubliette_core::api::erasure_request::RequestGround;
use oubliette_core::hmac::hmac_hex;
use oubliette_core::settings::targets::TargetSpec;
use secrecy::SecretString;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use self::recipient::{ACCEPTS, Does, Received, Recipient};
use super::*;

const UID: &str = "7c0a6f2e-1111-4222-8333-944445555666";
const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// As KEY, decoded.
const KEY_HEX: &str = "31f290f6bf06298aab4f08d43c3f082cf648a362da2da4b0";

/// The files of a target and its settings.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        desk.file("key", KEY);
        desk
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A target at a port, with what is different from the usual.
    fn target(&self, url: &str, other: &Value) -> Target {
        let mut spec = json!({
            "name": "mailing-list",
            "url": url,
            "secretFile": self.folder.path().join("key"),
        });
        for (field, value) in other.as_object().unwrap() {
            spec[field] = value.clone();
        }
        let spec: TargetSpec = serde_json::from_value(spec).unwrap();
        Target::parse_all(&[spec]).unwrap().remove(0)
    }

    fn plain(&self, port: u16, other: Value) -> Target {
        let mut other = other;
        other["insecure"] = json!(true);
        self.target(&format!("http://127.0.0.1:{port}/hush?key=hush"), &other)
    }

    /// Over TLS, believing the bed's authority.
    fn encrypted(&self, host: &str, port: u16) -> Target {
        let ca = self.file("ca.pem", &authority().unwrap().pem());
        let url = format!("https://{host}:{port}/hush?key=hush");
        self.target(&url, &json!({"caFile": ca}))
    }
}

fn person() -> Snapshot {
    let mut person = Snapshot::default();
    for (name, value) in [
        ("email", "ada@example.org"),
        ("email", "ada@example.org"),
        ("email", "a.bennett@example.org"),
        ("learnerNumber", "planted-1"),
    ] {
        person.add(name, SecretString::from(value));
    }
    person
}

fn event(person: &Snapshot) -> Event<'_> {
    Event {
        request_uid: UID,
        case: "SR-0042",
        grounds: &[RequestGround::Withdrawn],
        purposes: &[],
        at: "2026-11-20T12:00:00Z".parse().unwrap(),
        person,
    }
}

async fn sent(target: &Target) -> Result<(), DeliveryFault> {
    Box::pin(deliver(target, &event(&person()))).await
}

#[tokio::test]
async fn an_event_reaches_the_recipient_over_tls_and_bears_its_signature() {
    let desk = Desk::new();
    let certificate = authority()
        .unwrap()
        .issue(&["localhost", "127.0.0.1"])
        .unwrap();
    for host in ["localhost", "127.0.0.1"] {
        let recipient = Recipient::starts(Some(&certificate), vec![ACCEPTS]).await;
        assert_eq!(sent(&desk.encrypted(host, recipient.port)).await, Ok(()));
        let received = recipient.received();
        let [received] = received.as_slice() else {
            panic!("{received:?}");
        };
        assert!(
            received
                .head
                .starts_with("POST /hush?key=hush HTTP/1.1\r\n")
        );
        assert_eq!(
            received.header("host"),
            format!("{host}:{}", recipient.port)
        );
        assert_eq!(
            received.header("content-type"),
            "application/cloudevents+json"
        );
        assert_eq!(
            received.event(),
            json!({
                "specversion": "1.0",
                "id": format!("{UID}_mailing-list"),
                "source": "/oubliette.dev/erasurerequests",
                "type": "dev.oubliette.erasure.v1",
                "subject": "SR-0042",
                "time": "2026-11-20T12:00:00Z",
                "datacontenttype": "application/json",
                "data": {
                    "request": UID,
                    "case": "SR-0042",
                    "grounds": ["Art17_1_b"],
                    "purposes": [],
                    "outcome": "Pending",
                },
            })
        );
        assert_eq!(received.header("webhook-id"), format!("{UID}_mailing-list"));
        is_signed(received, KEY_HEX, 1);
    }
}

/// What a recipient computes.
fn is_signed(received: &Received, key: &str, signatures: usize) {
    let (id, time) = (
        received.header("webhook-id"),
        received.header("webhook-timestamp"),
    );
    let mut text = format!("{id}.{time}.").into_bytes();
    text.extend(&received.body);
    let expected = hmac_hex(&hex::decode(key).unwrap(), &text);
    let given: Vec<_> = received
        .header("webhook-signature")
        .split(' ')
        .map(|one| hex::encode(base64_of(one.strip_prefix("v1,").unwrap())))
        .collect();
    assert_eq!(given.len(), signatures);
    assert!(given.contains(&expected), "{given:?} {expected}");
}

fn base64_of(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap()
}

#[test]
fn the_signature_is_the_one_of_standard_webhooks() {
    let keys = key::Keys::parse(KEY).unwrap();
    let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    let signature = keys.sign(id, 1_614_265_330, br#"{"test": 2432232314}"#);
    assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[tokio::test]
async fn while_a_key_is_changed_both_sign() {
    let desk = Desk::new();
    let recipient = Recipient::starts(None, vec![ACCEPTS, ACCEPTS]).await;
    let target = desk.plain(recipient.port, json!({}));
    sent(&target).await.unwrap();
    let new = [7_u8; 32];
    desk.file(
        "key",
        &format!("whsec_{}\n{KEY}\n", {
            use base64::Engine as _;
            base64::engine::general_purpose::STANDARD.encode(new)
        }),
    );
    sent(&target).await.unwrap();
    let received = recipient.received();
    is_signed(&received[0], KEY_HEX, 1);
    is_signed(&received[1], KEY_HEX, 2);
    is_signed(&received[1], &hex::encode(new), 2);
}

#[tokio::test]
async fn identifiers_go_only_to_who_asks_for_them_and_only_those() {
    let desk = Desk::new();
    let emails = json!(["ada@example.org", "a.bennett@example.org"]);
    for (asks, gets) in [
        (json!([]), Value::Null),
        (json!(["email"]), json!({"email": emails})),
        (json!(["phone", "email"]), json!({"email": emails})),
        (
            json!(["learnerNumber"]),
            json!({"learnerNumber": ["planted-1"]}),
        ),
    ] {
        let recipient = Recipient::starts(None, vec![ACCEPTS]).await;
        let target = desk.plain(recipient.port, json!({"identifiers": asks}));
        sent(&target).await.unwrap();
        let received = recipient.received().remove(0);
        assert_eq!(received.event()["data"]["identifiers"], gets, "{asks}");
    }
    // Who could not find the person is not told as if they could.
    let recipient = Recipient::starts(None, vec![ACCEPTS]).await;
    let target = desk.plain(recipient.port, json!({"identifiers": ["phone"]}));
    assert_eq!(sent(&target).await, Err(DeliveryFault::NoIdentifier));
    assert!(recipient.received().is_empty());
}

#[tokio::test]
async fn a_repetition_is_the_same_event() {
    let desk = Desk::new();
    let does = vec![Does::Answers("500 Oh no"), Does::Closes, ACCEPTS];
    let recipient = Recipient::starts(None, does).await;
    let target = desk.plain(recipient.port, json!({"identifiers": ["email"]}));
    assert_eq!(sent(&target).await, Err(DeliveryFault::Answered(500)));
    assert_eq!(sent(&target).await, Err(DeliveryFault::Closed));
    assert_eq!(sent(&target).await, Ok(()));
    let received = recipient.received();
    for repetition in &received[1..] {
        assert_eq!(repetition.body, received[0].body);
        assert_eq!(
            repetition.header("webhook-id"),
            received[0].header("webhook-id")
        );
    }
    assert_eq!(received.len(), 3);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let desk = Desk::new();
    let other = Recipient::starts(None, vec![ACCEPTS]).await;
    let recipient = Recipient::starts(None, vec![Does::Redirects(other.port)]).await;
    let fault = sent(&desk.plain(recipient.port, json!({})))
        .await
        .unwrap_err();
    assert_eq!(fault, DeliveryFault::Redirect(307));
    assert!(fault.to_string().contains("not followed"));
    assert_eq!(recipient.received().len(), 1);
    assert!(other.received().is_empty());
}

#[tokio::test]
async fn a_certificate_that_is_not_the_recipients_is_not_believed() {
    let desk = Desk::new();
    let bed = authority().unwrap();
    let right = bed.issue(&["localhost"]).unwrap();
    let (stranger, elsewhere) = (
        Authority::new().unwrap(),
        bed.issue(&["elsewhere"]).unwrap(),
    );
    let untrusted = stranger.issue(&["localhost"]).unwrap();
    for (certificate, own, words) in [
        (Some(&untrusted), true, "not issued by a trusted authority"),
        (Some(&right), false, "not issued by a trusted authority"),
        (Some(&elsewhere), true, "not valid for the host"),
        (None, true, "speaks TLS 1.2 or 1.3"),
    ] {
        let recipient = Recipient::starts(certificate, vec![Does::Closes]).await;
        let mut target = desk.encrypted("localhost", recipient.port);
        if !own {
            target.ca_file = None;
        }
        if certificate.is_none() {
            // Whoever speaks no TLS answers what is no TLS.
            target = desk.encrypted("localhost", speaks_no_tls().await);
        }
        let fault = sent(&target).await.unwrap_err();
        assert!(fault.to_string().contains(words), "{fault}");
        assert!(recipient.received().is_empty());
    }
}

async fn speaks_no_tls() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\nhush")
            .await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    port
}

#[tokio::test]
async fn whatever_goes_wrong_is_told_without_address_identifier_or_answer() {
    let desk = Desk::new();
    let short = Duration::from_millis(200);
    for (does, fault) in [
        (Does::Answers("400 hush"), DeliveryFault::Refused(400)),
        (Does::Answers("410 hush"), DeliveryFault::Refused(410)),
        (Does::Answers("503 hush"), DeliveryFault::Answered(503)),
        (Does::Answers("hush"), DeliveryFault::Closed),
        (Does::Redirects(1), DeliveryFault::Redirect(307)),
        (Does::Hangs, DeliveryFault::Timeout(short)),
        (Does::Closes, DeliveryFault::Closed),
        (Does::Babbles, DeliveryFault::Closed),
    ] {
        let recipient = Recipient::starts(None, vec![does]).await;
        let mut target = desk.plain(recipient.port, json!({"identifiers": ["email"]}));
        if matches!(does, Does::Hangs) {
            target.timeout = short;
        }
        let seen = sent(&target).await.unwrap_err();
        assert_eq!(seen, fault, "{does:?}");
        assert_eq!(recipient.received().len(), 1);
        let person = person();
        let shown = format!("{seen} {seen:?} {target:?} {:?}", event(&person));
        for secret in ["hush", "ada@", "a.bennett", "planted"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[tokio::test]
async fn what_is_wrong_at_home_is_told_before_anything_is_sent() {
    let desk = Desk::new();
    let recipient = Recipient::starts(None, vec![ACCEPTS]).await;
    let mut target = desk.plain(recipient.port, json!({}));
    let short = "whsec_c2hvcnQ=";
    for keys in ["", "hush", short, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
        desk.file("key", keys);
        assert_eq!(sent(&target).await, Err(DeliveryFault::Key), "{keys}");
    }
    desk.file("key", &format!("{KEY}\n{KEY}\n{KEY}\n"));
    assert_eq!(sent(&target).await, Err(DeliveryFault::Key));
    target.secret_file = "/nowhere".to_owned();
    let fault = sent(&target).await.unwrap_err();
    assert!(fault.to_string().contains("secretFile"), "{fault}");
    assert!(recipient.received().is_empty());
    desk.file("key", KEY);
    let mut target = desk.encrypted("localhost", recipient.port);
    desk.file("ca.pem", "no certificate");
    let fault = sent(&target).await.unwrap_err();
    assert!(fault.to_string().contains("no PEM certificate"), "{fault}");
    target.ca_file = Some("/nowhere".to_owned());
    let fault = sent(&target).await.unwrap_err();
    assert!(fault.to_string().contains("caFile"), "{fault}");
    // Nobody listens where somebody has.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = gone.local_addr().unwrap().port();
    drop(gone);
    let fault = sent(&desk.plain(port, json!({}))).await.unwrap_err();
    assert_eq!(
        fault,
        DeliveryFault::Unreachable(io::ErrorKind::ConnectionRefused)
    );
}

#[test]
fn a_body_is_written_into_one_allocation() {
    let desk = Desk::new();
    let mut person = person();
    person.add("email", SecretString::from("\"\\\u{1}\n".repeat(1_000)));
    let target = desk.plain(1, json!({"identifiers": ["email"]}));
    let body = event(&person).body(&target).unwrap();
    assert_eq!(body.capacity(), body.len());
}

#[test]
fn the_manuals_example_is_right() {
    let manual = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/how-to/elsewhere.md");
    let manual = std::fs::read_to_string(manual).unwrap();
    let (_, rest) = manual.split_once("```sh\nsecret=").unwrap();
    let (script, rest) = rest.split_once("```").unwrap();
    let script = format!("secret={script}");
    let (_, rest) = rest.split_once("```text\n").unwrap();
    let (printed, _) = rest.split_once("```").unwrap();
    let value = |name: &str| {
        let (_, rest) = script.split_once(&format!("{name}='")).unwrap();
        rest.split_once('\'').unwrap().0
    };
    let keys = key::Keys::parse(value("secret")).unwrap();
    let at = value("timestamp").parse().unwrap();
    let signature = keys.sign(value("id"), at, value("body").as_bytes());
    assert_eq!(printed.trim(), signature);
    // And what recipients are told to do comes to the same.
    let run = std::process::Command::new("sh")
        .arg("-c")
        .arg(&script)
        .output();
    let run = run.unwrap();
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    assert_eq!(String::from_utf8(run.stdout).unwrap().trim(), signature);
}
