//! An object as a watch reads it. One that cannot be read must not stop the watch of all others: the
//! API server stores what is nested deeper than a JSON reader follows, and gives it to everybody who
//! lists the kind.

use std::collections::BTreeMap;

use kube::core::{ApiResource, DynamicObject, ObjectMeta, TypeMeta};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// What stands for a spec that cannot be read. It is no spec, so the resource is refused.
const UNREADABLE: &str = "what is nested deeper than this program reads";

/// An object as it came. It is read when its turn comes: a list brings many at once, and as trees they take
/// several times their text.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    /// Without managed fields: nobody reads them, and they are half of an object.
    metadata: ObjectMeta,
    text: Box<RawValue>,
}

impl Watched {
    /// The object, or what can be read of it.
    pub(super) fn read(self) -> DynamicObject {
        let mut types = TypeMeta::default();
        let mut data = Map::new();
        // It was one before.
        for (name, part) in parts(&self.text).unwrap_or_default() {
            let read = serde_json::from_str(part.get());
            match (name.as_str(), read) {
                ("metadata", _) => {}
                ("apiVersion", Ok(Value::String(version))) => types.api_version = version,
                ("kind", Ok(Value::String(kind))) => types.kind = kind,
                ("spec", read) => {
                    data.insert(name, read.unwrap_or_else(|_| UNREADABLE.into()));
                }
                (_, read) => data.extend(read.ok().map(|read| (name, read))),
            }
        }
        DynamicObject {
            types: Some(types).filter(|types| *types != TypeMeta::default()),
            metadata: self.metadata,
            data: Value::Object(data),
        }
    }
}

impl<'de> Deserialize<'de> for Watched {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As text: passing over it needs no depth.
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let metadata = metadata(&text).map_err(D::Error::custom)?;
        Ok(Self { metadata, text })
    }
}

fn parts(text: &RawValue) -> serde_json::Result<BTreeMap<String, &RawValue>> {
    serde_json::from_str(text.get())
}

/// The members of the metadata that can be read, without the managed fields, which repeat the depth of what
/// was written.
fn metadata(object: &RawValue) -> serde_json::Result<ObjectMeta> {
    let Some(metadata) = parts(object)?.remove("metadata") else {
        return Ok(ObjectMeta::default());
    };
    let members = parts(metadata)?.into_iter();
    let members = members.filter(|(name, _)| name != "managedFields");
    let read =
        members.filter_map(|(name, part)| Some((name, serde_json::from_str(part.get()).ok()?)));
    serde_json::from_value(Value::Object(read.collect()))
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
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
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
        let read = list.items.into_iter().map(Watched::read);
        let [deep, good] = &read.collect::<Vec<_>>()[..] else {
            panic!("two were listed");
        };
        assert_eq!(deep.name_any(), "deep");
        assert_eq!(deep.uid().as_deref(), Some("u-deep"));
        assert_eq!(deep.metadata.generation, Some(2));
        assert!(deep.metadata.deletion_timestamp.is_some());
        assert_eq!(deep.data["status"]["observedGeneration"], 1);
        let faults = read_spec(deep).unwrap_err();
        assert!(faults[0].message.contains(UNREADABLE), "{faults:?}");
        let mut known: DynamicObject = serde_json::from_str(&self::good()).unwrap();
        known.metadata.managed_fields = None;
        assert_eq!(*good, known);
        assert!(read_spec(good).is_ok());
    }

    #[test]
    fn an_event_of_a_watch_is_read_in_the_same_way() {
        let deep = policy("deep", &nested(), "{}");
        let event = format!(r#"{{"type":"MODIFIED","object":{deep}}}"#);
        match serde_json::from_str(&event).unwrap() {
            WatchEvent::<Watched>::Modified(object) => {
                assert_eq!(object.read().data["spec"], UNREADABLE);
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
