//! All requests of the scopes: those that have not ended as objects, the others as notes.

use std::sync::Arc;

use futures::future::join_all;
use kube::ResourceExt;
use kube::core::DynamicObject;

use super::Scopes;
use crate::controller::erasure_request::{self, Known};
use crate::controller::memory::Memory;
use crate::controller::stored::{Stored, object_ref};
use crate::controller::{Context, Name};

impl Scopes {
    /// Shows every request that was seen. Whoever is shown one must not ask for others meanwhile.
    pub(in crate::controller) fn each_request(&self, mut show: impl FnMut(&Known<'_>)) {
        for scope in &self.scopes {
            let open = scope.ended.each(|| scope.requests.state(), &mut show);
            for request in open {
                let Name { namespace, name } = request.name();
                show(&Known {
                    namespace: &namespace,
                    name: &name,
                    uid: &request.uid().unwrap_or_default(),
                    of: request.remembered(),
                });
            }
        }
    }

    /// The requests that have not ended.
    fn open_requests(&self) -> impl Iterator<Item = Arc<Stored>> {
        self.scopes.iter().flat_map(|scope| scope.requests.state())
    }

    /// Whether there is a request of that UID.
    pub(in crate::controller) fn has_request(&self, uid: &str) -> bool {
        self.scopes.iter().any(|scope| {
            let mut found = false;
            let ended = |request: &Known<'_>| found |= request.uid == uid;
            let open = scope.ended.each(|| scope.requests.state(), ended);
            found
                || open
                    .iter()
                    .any(|request| request.uid().as_deref() == Some(uid))
        })
    }

    /// Whether there is a request of that name.
    pub(in crate::controller) fn has_request_of(&self, name: &Name) -> bool {
        let reference = object_ref(name, &self.kinds.request);
        self.scope(&name.namespace)
            .is_some_and(|scope| scope.ended.has(name) || scope.requests.get(&reference).is_some())
    }

    /// Whether there is one of that name, and it has ended.
    pub(in crate::controller) fn has_ended(&self, name: &Name) -> bool {
        let scope = self.scope(&name.namespace);
        scope.is_some_and(|scope| scope.ended.has(name))
    }

    /// Looks at requests that have ended, where that is due, for as long as it is polled.
    pub(in crate::controller) async fn run_ended(&self, context: &Arc<Context>) {
        let all = self.scopes.iter().map(|scope| scope.ended.run(context));
        join_all(all).await;
    }

    /// Brings the controller to look at a request.
    pub(in crate::controller) fn nudge_request(&self, name: &Name) {
        if let Some(scope) = self.scope(&name.namespace)
            && !scope.ended.nudge(name)
        {
            let request = object_ref(name, &self.kinds.request);
            let _ = scope.to_requests.unbounded_send(request);
        }
    }

    /// The same for those of which this holds.
    pub(in crate::controller) fn nudge_requests_if(&self, wanted: impl Fn(&Known<'_>) -> bool) {
        let mut names = Vec::new();
        self.each_request(|request| {
            if wanted(request) {
                names.push(request.name());
            }
        });
        for name in &names {
            self.nudge_request(name);
        }
    }

    /// Has all requests that have not ended looked at as soon as possible: what they are about may have
    /// changed.
    pub(in crate::controller) fn look_again_at_requests(&self, memory: &Memory) {
        for request in self.open_requests() {
            if let Some(uid) = request.uid() {
                memory.try_again(&uid);
            }
            self.nudge_request(&request.name());
        }
    }

    /// Has restored databases of a request looked at: it may be applied again there by now.
    pub(in crate::controller) fn look_again_at_restored(
        &self,
        request: &DynamicObject,
        context: &Context,
    ) {
        for place in erasure_request::read_status(request).databases {
            let Some((namespace, name)) = place.database.split_once('/') else {
                continue;
            };
            let name = Name::new(namespace, name);
            if self.is_restored(&place.database)
                && let Some(uid) = self.database_uid(&name)
            {
                context.look_again_at(&uid, &name);
            }
        }
    }
}
