//! An object as a store has it. As a tree an object takes several times its text, most of it room for
//! members that it does not have: of kinds of which there are many, and of which one is asked for by its
//! name, the text is kept.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use kube::Resource;
use kube::core::{ApiResource, DynamicObject, ObjectMeta, TypeMeta};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::Event;
use oubliette_core::erasure::remembered::Remembered;
use oubliette_core::target::Place;
use serde::Deserialize;
use serde_json::Value;

use super::{Name, erasure_request, target_database};
use crate::metrics::Kind;

/// An object in a store.
///
/// Only because kube asks for it of whatever is reconciled can it be read from JSON: what comes from a watch
/// is read by `Watched`, which knows what to do about depth.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "DynamicObject")]
pub(super) struct Stored {
    form: Form,
    /// Of a request: what others ask of it.
    remembered: OnceLock<Box<Remembered>>,
    /// Of a database: the same.
    standing: OnceLock<Box<Standing>>,
}

#[derive(Clone, Debug)]
enum Form {
    /// As it is used.
    Whole(Arc<DynamicObject>),
    /// To be read when it is used.
    Packed(Arc<Packed>),
}

/// An object whose spec and status are text.
#[derive(Clone, Debug)]
struct Packed {
    types: Option<TypeMeta>,
    metadata: ObjectMeta,
    data: Box<str>,
}

/// What others ask of a database, and of many at once: it is read once.
#[derive(Clone, Debug)]
struct Standing {
    place: Option<Place>,
    is_restored: bool,
}

impl From<DynamicObject> for Stored {
    fn from(object: DynamicObject) -> Self {
        Self::whole(&Arc::new(object))
    }
}

impl From<Form> for Stored {
    fn from(form: Form) -> Self {
        Self {
            form,
            remembered: OnceLock::new(),
            standing: OnceLock::new(),
        }
    }
}

/// How objects of a kind are stored.
pub(super) fn form_of(kind: Kind) -> fn(&Arc<DynamicObject>) -> Stored {
    match kind {
        Kind::TargetDatabase | Kind::ErasureRequest => Stored::packed,
        // All of them are gone through again and again.
        Kind::RetentionPolicy | Kind::LegalHold | Kind::DataMap => Stored::whole,
    }
}

impl Stored {
    pub(super) fn whole(object: &Arc<DynamicObject>) -> Self {
        Form::Whole(object.clone()).into()
    }

    fn packed(object: &Arc<DynamicObject>) -> Self {
        let data = object.data.to_string();
        // One that was nested as deep as can be read is one level deeper now.
        let is_read = serde_json::from_str::<Value>(&data).is_ok_and(|read| read == object.data);
        if !is_read {
            return Self::whole(object);
        }
        let packed = Packed {
            types: object.types.clone(),
            metadata: object.metadata.clone(),
            data: data.into(),
        };
        Form::Packed(Arc::new(packed)).into()
    }

    pub(super) fn name(&self) -> Name {
        Name::of_metadata(self.meta())
    }

    /// The object. One that is packed is read anew each time.
    pub(super) fn object(&self) -> Arc<DynamicObject> {
        match &self.form {
            Form::Whole(object) => object.clone(),
            Form::Packed(packed) => Arc::new(DynamicObject {
                types: packed.types.clone(),
                metadata: packed.metadata.clone(),
                data: serde_json::from_str(&packed.data).expect("it was read when it was packed"),
            }),
        }
    }

    /// What others ask of a request.
    pub(super) fn remembered(&self) -> &Remembered {
        self.remembered.get_or_init(|| {
            let status = erasure_request::read_status(&self.object());
            Box::new(Remembered::of(&status, |text| Arc::from(text)))
        })
    }

    fn standing(&self) -> &Standing {
        self.standing.get_or_init(|| {
            let object = self.object();
            let target = target_database::parse(&object).ok();
            Box::new(Standing {
                place: target.map(|target| target.place()),
                is_restored: object.data.pointer("/status/restored").is_some(),
            })
        })
    }

    /// Where a database is; `None`: it has faults.
    pub(super) fn place(&self) -> Option<&Place> {
        self.standing().place.as_ref()
    }

    /// Whether a database was restored to an instant before erasures that are not applied again yet.
    pub(super) fn is_restored(&self) -> bool {
        self.standing().is_restored
    }
}

/// An event as it is shown to whoever draws conclusions of it.
pub(super) type Shown = Event<Arc<DynamicObject>>;

/// An event with its object as something else.
pub(super) fn map_event<A, B>(event: Event<A>, map: impl FnOnce(A) -> B) -> Event<B> {
    match event {
        Event::Apply(object) => Event::Apply(map(object)),
        Event::Delete(object) => Event::Delete(map(object)),
        Event::InitApply(object) => Event::InitApply(map(object)),
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
    }
}

/// Stores what an event brings, and shows it then: whoever sees it finds it in the store.
pub(super) fn store(
    event: Event<DynamicObject>,
    form: fn(&Arc<DynamicObject>) -> Stored,
    writer: &mut Writer<Stored>,
    saw: impl Fn(&Shown),
) -> Event<Stored> {
    let shown = map_event(event, Arc::new);
    let form = if matches!(shown, Event::Delete(_)) {
        Stored::whole
    } else {
        form
    };
    let stored = map_event(shown.clone(), |object| form(&object));
    writer.apply_watcher_event(&stored);
    saw(&shown);
    stored
}

/// Under what a store has an object of that name.
pub(super) fn object_ref(name: &Name, kind: &Arc<ApiResource>) -> ObjectRef<Stored> {
    ObjectRef::new_with(&name.name, kind.clone()).within(&name.namespace)
}

impl Resource for Stored {
    // Each key of a store has one.
    type DynamicType = Arc<ApiResource>;
    type Scope = <DynamicObject as Resource>::Scope;

    fn kind(kind: &Arc<ApiResource>) -> Cow<'_, str> {
        DynamicObject::kind(kind)
    }

    fn group(kind: &Arc<ApiResource>) -> Cow<'_, str> {
        DynamicObject::group(kind)
    }

    fn version(kind: &Arc<ApiResource>) -> Cow<'_, str> {
        DynamicObject::version(kind)
    }

    fn plural(kind: &Arc<ApiResource>) -> Cow<'_, str> {
        DynamicObject::plural(kind)
    }

    fn meta(&self) -> &ObjectMeta {
        match &self.form {
            Form::Whole(object) => &object.metadata,
            Form::Packed(packed) => &packed.metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match &mut self.form {
            Form::Whole(object) => &mut Arc::make_mut(object).metadata,
            Form::Packed(packed) => &mut Arc::make_mut(packed).metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use kube::ResourceExt;
    use serde_json::json;

    use super::super::watched::Watched;
    use super::super::{Kinds, read};
    use super::*;

    fn object(data: &Value) -> Arc<DynamicObject> {
        let mut object = json!({
            "apiVersion": "oubliette.dev/v1alpha1", "kind": "TargetDatabase",
            "metadata": {"name": "crm", "namespace": "a", "uid": "u", "annotations": {"b": "\u{1f600}\n"}},
        });
        object
            .as_object_mut()
            .unwrap()
            .extend(data.as_object().unwrap().clone());
        Arc::new(serde_json::from_value(object).unwrap())
    }

    #[test]
    fn a_packed_object_is_the_same_when_it_is_read() {
        let object = object(&json!({
            "spec": {"connection": {"port": 18_446_744_073_709_551_615_u64, "none": null}},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }));
        for kind in [Kind::TargetDatabase, Kind::ErasureRequest] {
            let stored = form_of(kind)(&object);
            assert!(matches!(stored.form, Form::Packed(_)), "{kind:?}");
            assert_eq!(stored.object(), object);
            assert_eq!(stored.meta(), &object.metadata);
        }
    }

    #[test]
    fn what_could_not_be_read_again_is_not_packed() {
        let nested = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        let specs = [125, 126, 127, 128, 1000].map(nested);
        let raw = json!({"$serde_json::private::RawValue": nested(120)});
        let deep = json!({"a": {"b": {"c": {"d": {"e": {"f": {"g": raw}}}}}}});
        for spec in specs.into_iter().chain([raw.to_string(), deep.to_string()]) {
            let text = format!(
                r#"{{"metadata":{{"name":"crm"}},"spec":{spec},"status":{{"dueOn":"d"}}}}"#
            );
            let object = Arc::new(serde_json::from_str::<Watched>(&text).unwrap().read());
            let stored = Stored::packed(&object);
            assert_eq!(stored.object(), object);
            assert_eq!(stored.place(), None);
            assert_eq!(stored.object().data["status"], json!({"dueOn": "d"}));
        }
    }

    #[test]
    fn what_others_ask_of_an_object_is_what_it_says_now() {
        let of = |outcome: &str| {
            object(&json!({"status": {"outcome": outcome, "finishedAt": "2026-11-03T10:00:05Z"}}))
        };
        for outcome in ["Erased", "Refused"] {
            let object = of(outcome);
            let stored = Stored::packed(&object);
            let known = Remembered::of(&read::status(&object), |text| Arc::from(text));
            assert_eq!(*stored.remembered(), known);
            assert!(known.is_finished && known.outcome.is_some());
            assert!(!stored.is_restored());
        }
        let database = |host: &str, status: Value| {
            let credentials = json!({"secretRef": {"name": "crm"}});
            let connection =
                json!({"host": host, "port": 5432, "database": "crm", "credentials": credentials});
            let spec = json!({"engine": "PostgreSQL", "connection": connection});
            Stored::packed(&object(&json!({"spec": spec, "status": status})))
        };
        let here = database("DB.crm.svc", json!({"restored": {}}));
        assert!(here.is_restored() && here.place().is_some());
        // Written otherwise, and moved.
        assert_eq!(database("db.crm.svc", json!({})).place(), here.place());
        let there = database("db.old.svc", json!({}));
        assert!(there.place().is_some() && there.place() != here.place());
    }

    #[test]
    fn whoever_is_shown_an_event_finds_it_in_the_store() {
        let kinds = Kinds::new();
        let mut writer = Writer::<Stored>::new(kinds.database.clone());
        let reader = writer.as_reader();
        let object = |name: &str| {
            let object = json!({"metadata": {"name": name, "namespace": "a"}, "spec": {}});
            serde_json::from_value::<DynamicObject>(object).unwrap()
        };
        let names = || {
            let mut names: Vec<_> = reader
                .state()
                .iter()
                .map(|stored| stored.name_any())
                .collect();
            names.sort();
            names
        };
        let mut expect = |event, expected: &[&str]| {
            let shown = Cell::new(false);
            store(event, Stored::packed, &mut writer, |_| {
                assert_eq!(names(), expected);
                shown.set(true);
            });
            assert!(shown.get());
        };
        expect(Event::Apply(object("one")), &["one"]);
        expect(Event::Init, &["one"]);
        expect(Event::InitApply(object("two")), &["one"]);
        expect(Event::InitApply(object("three")), &["one"]);
        expect(Event::InitDone, &["three", "two"]);
        expect(Event::Delete(object("two")), &["three"]);
    }
}
