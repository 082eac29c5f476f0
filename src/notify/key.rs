//! The keys of a target, and the signature of Standard Webhooks
//! (<https://www.standardwebhooks.com>): HMAC-SHA256 of id, time and body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oubliette_core::hmac::hmac_of;
use zeroize::Zeroizing;

use super::DeliveryFault;

/// What begins a key, so that it is known for one.
const PREFIX: &str = "whsec_";
/// Keys at once: one, and the one that follows it.
const MOST_KEYS: usize = 2;

/// The keys of a target, wiped when dropped.
pub(super) struct Keys(Vec<Zeroizing<Vec<u8>>>);

impl Keys {
    /// Reads the file anew: a key may have been changed.
    pub(super) async fn read(path: &str) -> Result<Self, DeliveryFault> {
        let text = tokio::fs::read(path)
            .await
            .map_err(|error| DeliveryFault::File {
                setting: "secretFile",
                kind: error.kind(),
            })?;
        let text = Zeroizing::new(text);
        let text = str::from_utf8(&text).map_err(|_| DeliveryFault::Key)?;
        Self::parse(text).ok_or(DeliveryFault::Key)
    }

    /// A key in each line.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys: Option<Vec<_>> = lines.map(key).collect();
        keys.filter(|keys| (1..=MOST_KEYS).contains(&keys.len()))
            .map(Self)
    }

    /// The signature of each key.
    pub(super) fn sign(&self, id: &str, at: i64, body: &[u8]) -> String {
        let head = format!("{id}.{at}.");
        let sign = |key: &Zeroizing<Vec<u8>>| {
            let mac = hmac_of(key, &[head.as_bytes(), body]);
            format!("v1,{}", STANDARD.encode(mac))
        };
        self.0.iter().map(sign).collect::<Vec<_>>().join(" ")
    }
}

fn key(line: &str) -> Option<Zeroizing<Vec<u8>>> {
    let key = STANDARD.decode(line.strip_prefix(PREFIX)?).ok()?;
    let key = Zeroizing::new(key);
    (24..=64).contains(&key.len()).then_some(key)
}
