//! Tells places outside the databases of a request.

use oubliette_core::api::erasure_request::ErasureRequestStatus;
use oubliette_core::erasure::Request;
use oubliette_core::erasure::find::Known;
use secrecy::SecretString;

use super::super::{Context, Name};
use super::places::Chosen;
use crate::notify::{Event, Snapshot, deliver};
use crate::work::erase;

/// Tells each of the targets once. What each has answered: nothing, or why it has not accepted.
pub(super) async fn tell(
    name: &Name,
    uid: &str,
    request: &Request,
    status: &ErasureRequestStatus,
    chosen: &Chosen,
    targets: &[String],
    context: &Context,
) -> Vec<(String, Result<(), String>)> {
    let person = match person(name, uid, request, status, chosen, context).await {
        Ok(person) => person,
        Err(why) => {
            let all = targets.iter();
            return all
                .map(|target| (target.clone(), Err(why.clone())))
                .collect();
        }
    };
    let mut told = Vec::new();
    for target in context
        .platform
        .targets
        .iter()
        .filter(|t| targets.contains(&t.name))
    {
        let place = status
            .elsewhere
            .iter()
            .find(|place| place.name == target.name);
        let Some(at) = place.and_then(|place| place.at) else {
            continue;
        };
        let event = Event {
            request_uid: uid,
            case: &request.case,
            grounds: &request.grounds,
            purposes: &request.scope.purposes,
            at,
            person: &person,
        };
        let answer = deliver(target, &event).await;
        told.push((
            target.name.clone(),
            answer.map_err(|fault| fault.to_string()),
        ));
    }
    told
}

/// What the person is known by: what the request gives, and what was found to lead on.
async fn person(
    name: &Name,
    uid: &str,
    request: &Request,
    status: &ErasureRequestStatus,
    chosen: &Chosen,
    context: &Context,
) -> Result<Snapshot, String> {
    let mut person = Snapshot::default();
    let mut add = |known: &Known| {
        for name in known.names() {
            for text in known.texts(name) {
                person.add(name, SecretString::from(text.expose()));
            }
        }
    };
    let asks = context
        .platform
        .targets
        .iter()
        .any(|t| !t.identifiers.is_empty());
    if asks {
        let secret = context
            .cluster
            .subject(
                &name.namespace,
                &request.secret,
                &chosen.identifiers,
                status.begun_at,
            )
            .await;
        match secret {
            Ok(secret) => add(&secret.0),
            // The ledgers remember what was searched by.
            Err(_) if status.begun_at.is_some() => {}
            Err(fault) => return Err(fault.to_string()),
        }
        let places = chosen
            .places(context)
            .await
            .map_err(|verdict| verdict.message)?;
        add(&erase::known(uid, &places)
            .await
            .map_err(|fault| fault.to_string())?);
    }
    Ok(person)
}
