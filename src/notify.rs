//! Telling places outside the databases of an erasure (Art. 19): one CloudEvent, by one POST, signed.
//!
//! Owns the channel: no redirect is followed, no proxy is taken from the environment, a certificate is
//! always verified, and of an answer nothing but its status is read. When a place is told, and what
//! an answer means for the request, is `oubliette_core::erasure::elsewhere`. An error must not
//! repeat the address, an identifier or what the recipient answered.

mod channel;
mod event;
mod key;
#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

use http::{Request, header};
use http_body_util::Full;
use hyper::body::Bytes;
use jiff::Timestamp;
use oubliette_core::settings::targets::Target;
use zeroize::Zeroizing;

pub use self::event::{Event, Snapshot};
use self::key::Keys;

/// Why an event was not accepted, in words for the status of a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryFault {
    /// A file of the settings cannot be read.
    #[error("the target's {setting} cannot be read ({kind}): mount it where the settings say")]
    File {
        /// secretFile or caFile.
        setting: &'static str,
        /// Why not.
        kind: io::ErrorKind,
    },
    /// The file with the keys does not hold keys.
    #[error(
        "the target's secretFile holds no key: each line is whsec_ and 24 to 64 bytes in base64, as \
         `echo whsec_$(openssl rand -base64 32)` prints it"
    )]
    Key,
    /// There is no authority by which a certificate could be verified.
    #[error("{0}")]
    Authorities(&'static str),
    /// The recipient could not find the person.
    #[error(
        "none of the identifiers that the target asks for is known of the person: tell the recipient \
         another way and confirm that, or have the target's identifiers changed"
    )]
    NoIdentifier,
    /// There is no connection.
    #[error(
        "the recipient cannot be reached ({0}): check its address, and what may leave the cluster"
    )]
    Unreachable(io::ErrorKind),
    /// The recipient is not who it should be, or does not speak TLS.
    #[error("{0}")]
    Tls(&'static str),
    /// It took too long.
    #[error("the recipient did not answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// The connection ended without an answer, or with one that is not HTTP.
    #[error("the recipient closed the connection, or did not answer in HTTP")]
    Closed,
    /// It wants the event elsewhere.
    #[error(
        "the recipient answered {0}, a redirect, which is not followed: have the address where it \
         leads declared as the target's url"
    )]
    Redirect(u16),
    /// It does not want the event.
    #[error("the recipient answered {0}: it does not accept the event as it is")]
    Refused(u16),
    /// It could not take the event.
    #[error("the recipient answered {0}")]
    Answered(u16),
}

/// Sends the event to the target, once. `Ok`: the recipient has accepted it.
pub async fn deliver(target: &Target, event: &Event<'_>) -> Result<(), DeliveryFault> {
    let attempt = Box::pin(attempt(target, event));
    match tokio::time::timeout(target.timeout, attempt).await {
        Ok(outcome) => judge(outcome?),
        Err(_) => Err(DeliveryFault::Timeout(target.timeout)),
    }
}

async fn attempt(target: &Target, event: &Event<'_>) -> Result<u16, DeliveryFault> {
    let keys = Keys::read(&target.secret_file).await?;
    let body = event.body(target)?;
    channel::post(target, signed(target, &event.id(target), body, &keys)).await
}

fn signed(
    target: &Target,
    id: &str,
    body: Zeroizing<Vec<u8>>,
    keys: &Keys,
) -> Request<Full<Bytes>> {
    let sent_at = Timestamp::now().as_second();
    Request::post(target.address.path_and_query())
        .header(header::HOST, target.address.authority())
        .header(header::CONTENT_TYPE, event::CONTENT_TYPE)
        .header(header::USER_AGENT, USER_AGENT)
        .header("webhook-id", id)
        .header("webhook-timestamp", sent_at)
        .header("webhook-signature", keys.sign(id, sent_at, &body))
        .body(Full::new(Bytes::from_owner(body)))
        .expect("a parsed address, base64 and names of letters and digits are headers")
}

/// Who asks.
const USER_AGENT: &str = concat!("oubliette/", env!("CARGO_PKG_VERSION"));

fn judge(status: u16) -> Result<(), DeliveryFault> {
    match status {
        200..=299 => Ok(()),
        300..=399 => Err(DeliveryFault::Redirect(status)),
        400..=499 => Err(DeliveryFault::Refused(status)),
        _ => Err(DeliveryFault::Answered(status)),
    }
}
