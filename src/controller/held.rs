//! An object as a store holds it. As a tree an object takes several times its text, most of it room for
//! members that it does not have: of kinds of which there are many, and of which one is asked for by its
//! name, the text is held.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use kube::Resource;
use kube::core::{ApiResource, DynamicObject, ObjectMeta, TypeMeta};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::Event;
use oubliette_core::erasure::remembered::Remembered;
use serde::Deserialize;

use super::{Name, erasure_request};

/// An object that is held.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "DynamicObject")]
pub(super) struct Held {
    form: Form,
    /// Of requests: each database asks for that of all of them.
    remembered: OnceLock<Box<Remembered>>,
}

#[derive(Clone, Debug)]
enum Form {
    /// As it is used.
    Whole(Arc<DynamicObject>),
    /// To be read when it is used.
    Packed(Box<Packed>),
}

/// An object whose spec and status are text.
#[derive(Clone, Debug)]
struct Packed {
    types: Option<TypeMeta>,
    metadata: ObjectMeta,
    data: Box<str>,
}

impl From<DynamicObject> for Held {
    fn from(object: DynamicObject) -> Self {
        Self::whole(&Arc::new(object))
    }
}

impl From<Form> for Held {
    fn from(form: Form) -> Self {
        Self {
            form,
            remembered: OnceLock::new(),
        }
    }
}

impl Held {
    pub(super) fn whole(object: &Arc<DynamicObject>) -> Self {
        Form::Whole(object.clone()).into()
    }

    pub(super) fn packed(object: &Arc<DynamicObject>) -> Self {
        Form::Packed(Box::new(Packed {
            types: object.types.clone(),
            metadata: object.metadata.clone(),
            data: object.data.to_string().into(),
        }))
        .into()
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
                data: serde_json::from_str(&packed.data).expect("it was written from a tree"),
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
}

/// An event as it is shown to whoever draws conclusions of it.
pub(super) type Seen = Event<Arc<DynamicObject>>;

/// Under what a store holds an object of that name.
pub(super) fn object_ref(name: &Name, kind: &Arc<ApiResource>) -> ObjectRef<Held> {
    ObjectRef::new_with(&name.name, kind.clone()).within(&name.namespace)
}

/// An event with its object as something else.
pub(super) fn of_event<A, B>(event: Event<A>, object: impl FnOnce(A) -> B) -> Event<B> {
    match event {
        Event::Apply(of) => Event::Apply(object(of)),
        Event::Delete(of) => Event::Delete(object(of)),
        Event::InitApply(of) => Event::InitApply(object(of)),
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
    }
}

impl Resource for Held {
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
            Form::Packed(packed) => &mut packed.metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_object_is_the_same_when_it_is_read() {
        let object = serde_json::from_value(serde_json::json!({
            "apiVersion": "oubliette.dev/v1alpha1", "kind": "TargetDatabase",
            "metadata": {"name": "crm", "namespace": "a", "uid": "u", "annotations": {"b": "\u{1f600}\n"}},
            "spec": {"connection": {"port": 18_446_744_073_709_551_615_u64, "none": null}},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }));
        let object: Arc<DynamicObject> = Arc::new(object.unwrap());
        let held = Held::packed(&object);
        assert_eq!(held.object(), object);
        assert_eq!(held.meta(), &object.metadata);
    }
}
