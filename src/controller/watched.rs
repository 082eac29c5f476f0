//! An object as a watch reads it. One that cannot be read must not stop the watch of all others: the
//! API server stores what is nested deeper than a JSON reader follows, and gives it to everybody who
//! lists the kind.

use std::collections::BTreeMap;

use kube::core::{ApiResource, DynamicObject, ObjectMeta};
use kube::runtime::watcher;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// What stands for a spec that cannot be read. It is no spec, so the resource is refused.
const UNREADABLE: &str = "what is nested deeper than this program reads";

/// An object, or what could be read of it.
#[derive(Clone, Debug)]
pub(super) struct Watched(DynamicObject);

impl Watched {
    /// The event with the object as all others know it.
    pub(super) fn plain(event: watcher::Event<Self>) -> watcher::Event<DynamicObject> {
        match event {
            watcher::Event::Apply(Self(object)) => watcher::Event::Apply(object),
            watcher::Event::Delete(Self(object)) => watcher::Event::Delete(object),
            watcher::Event::Init => watcher::Event::Init,
            watcher::Event::InitApply(Self(object)) => watcher::Event::InitApply(object),
            watcher::Event::InitDone => watcher::Event::InitDone,
        }
    }
}

impl<'de> Deserialize<'de> for Watched {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As text first: passing over a text needs no depth.
        let text = Box::<RawValue>::deserialize(deserializer)?;
        read(text.get()).map(Self).map_err(D::Error::custom)
    }
}

/// An object, without what cannot be read of it.
fn read(text: &str) -> serde_json::Result<DynamicObject> {
    serde_json::from_str(text).or_else(|_| {
        let mut object = Map::new();
        for (name, part) in parts(text)? {
            let part = part.get();
            let read = match name.as_str() {
                "metadata" => Some(Value::Object(readable(part)?)),
                "spec" => Some(serde_json::from_str(part).unwrap_or_else(|_| UNREADABLE.into())),
                _ => serde_json::from_str(part).ok(),
            };
            object.extend(read.map(|read| (name, read)));
        }
        serde_json::from_value(Value::Object(object))
    })
}

fn parts(text: &str) -> serde_json::Result<BTreeMap<String, &RawValue>> {
    serde_json::from_str(text)
}

/// The members of an object that can be read: not its managed fields, which repeat the depth of what
/// was written.
fn readable(text: &str) -> serde_json::Result<Map<String, Value>> {
    let members = parts(text)?.into_iter();
    Ok(members
        .filter_map(|(name, part)| Some((name, serde_json::from_str(part.get()).ok()?)))
        .collect())
}

impl kube::Resource for Watched {
    type DynamicType = ApiResource;
    type Scope = <DynamicObject as kube::Resource>::Scope;

    fn kind(kind: &ApiResource) -> std::borrow::Cow<'_, str> {
        DynamicObject::kind(kind)
    }

    fn group(kind: &ApiResource) -> std::borrow::Cow<'_, str> {
        DynamicObject::group(kind)
    }

    fn version(kind: &ApiResource) -> std::borrow::Cow<'_, str> {
        DynamicObject::version(kind)
    }

    fn plural(kind: &ApiResource) -> std::borrow::Cow<'_, str> {
        DynamicObject::plural(kind)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.0.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.0.metadata
    }
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt;
    use kube::core::{ObjectList, WatchEvent};

    use super::super::retention_policy::read_spec;
    use super::*;

    const DEPTH: usize = 1_000;

    fn nested() -> String {
        format!("{}1{}", r#"{"a":"#.repeat(DEPTH), "}".repeat(DEPTH))
    }

    fn policy(name: &str, spec: &str, managed: &str) -> String {
        format!(
            r#"{{"apiVersion":"oubliette.dev/v1alpha1","kind":"RetentionPolicy","metadata":{{
            "name":"{name}","namespace":"crm","uid":"u-{name}","resourceVersion":"7","generation":2,
            "deletionTimestamp":"2026-01-10T12:00:00Z","finalizers":["example.com/x"],
            "managedFields":[{{"manager":"m","operation":"Update","fieldsV1":{managed}}}]}},
            "spec":{spec},"status":{{"observedGeneration":1}}}}"#
        )
    }

    fn good() -> String {
        policy(
            "good",
            r#"{"databaseRef":{"name":"crm"},"schedule":"@daily"}"#,
            "{}",
        )
    }

    #[test]
    fn one_object_that_is_nested_too_deep_is_read_as_far_as_possible_and_the_others_wholly() {
        let deep = policy("deep", &format!(r#"{{"zzz":{}}}"#, nested()), &nested());
        assert!(serde_json::from_str::<DynamicObject>(&deep).is_err());
        let list = format!(
            r#"{{"apiVersion":"oubliette.dev/v1alpha1","kind":"RetentionPolicyList",
            "metadata":{{"resourceVersion":"9"}},"items":[{deep},{}]}}"#,
            good()
        );
        let list: ObjectList<Watched> = serde_json::from_str(&list).unwrap();
        let [Watched(deep), Watched(good)] = list.items.as_slice() else {
            panic!("{list:?}");
        };
        assert_eq!(deep.name_any(), "deep");
        assert_eq!(deep.uid().as_deref(), Some("u-deep"));
        assert_eq!(deep.metadata.generation, Some(2));
        assert!(deep.metadata.deletion_timestamp.is_some());
        assert_eq!(deep.data["status"]["observedGeneration"], 1);
        let faults = read_spec(deep).unwrap_err();
        assert!(faults[0].message.contains(UNREADABLE), "{faults:?}");
        assert_eq!(*good, serde_json::from_str(&self::good()).unwrap());
        assert!(read_spec(good).is_ok());
    }

    #[test]
    fn an_event_of_a_watch_is_read_in_the_same_way() {
        let deep = policy("deep", &nested(), "{}");
        let event = format!(r#"{{"type":"MODIFIED","object":{deep}}}"#);
        match serde_json::from_str(&event).unwrap() {
            WatchEvent::<Watched>::Modified(Watched(object)) => {
                assert_eq!(object.data["spec"], UNREADABLE);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_no_object_is_still_an_error() {
        assert!(serde_json::from_str::<Watched>("[]").is_err());
        assert!(serde_json::from_str::<Watched>(r#"{"metadata":7}"#).is_err());
    }
}
