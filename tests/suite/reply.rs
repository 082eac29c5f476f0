//! `kubectl oubliette reply`: the letter to a person, and the record that ends the time to answer, against
//! the real API server and with the rights of a data protection officer.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::case::{Case, Needs};
use crate::chart::RELEASE;
use crate::cluster::{API_VERSION, Namespace};
use crate::plugin::Person;
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let case = |name: &str, body: fn(&World) -> Result<()>| {
        Case::new(format!("reply::{name}"), Needs::cluster(), body)
    };
    vec![
        case("an_extension_is_told_by_the_template_of_the_settings", told),
        case(
            "only_one_answer_is_recorded_and_none_that_cannot_be",
            recorded,
        ),
    ]
}

/// Files a request whose Secret does not exist: nobody is found by it.
fn file(namespace: &Namespace<'_>, name: &str, more: &Value) -> Result<()> {
    let mut spec = json!({
        "subject": {"secretRef": {"name": "none"}},
        "caseRef": "SR-0042",
        "requestedBy": namespace.whoami()?,
        "receivedAt": "2020-11-02T09:00:00Z",
    });
    if let (Some(spec), Some(more)) = (spec.as_object_mut(), more.as_object()) {
        spec.extend(more.clone());
    }
    namespace.apply_value(&json!({
        "apiVersion": API_VERSION, "kind": "ErasureRequest",
        "metadata": {"name": name, "namespace": namespace.name},
        "spec": spec,
    }))?;
    Ok(())
}

fn told(world: &World) -> Result<()> {
    let namespace = world.namespace("reply_told")?;
    let officer = Person::new(world, &namespace, Some(&format!("{RELEASE}-dpo")))?;
    file(&namespace, "plain", &json!({}))?;
    officer.may_not(&["reply", "plain"], &["plain", "nothing to answer yet"])?;
    let extension = json!({"extension": {
        "months": 2, "reason": "NumberOfRequests", "notifiedAt": "2020-11-20T12:00:00Z",
    }});
    file(&namespace, "longer", &extension)?;
    let letter = officer.may(&["reply", "longer"])?;
    for words in [
        "Our reference: SR-0042",
        "Your request of 2 November 2020",
        "several requests",
        "by 2 February 2021",
        "complain to",
    ] {
        ensure!(letter.contains(words), "{words:?} is not in {letter}");
    }

    let folder = tempfile::tempdir()?;
    let settings = folder.path().join("settings.yaml");
    let named = settings.display().to_string();
    std::fs::write(&settings, "letter: {templateFile: letter.txt}\n")?;
    std::fs::write(folder.path().join("letter.txt"), "Fall {{ case }}\n")?;
    let own = officer.may(&["reply", "longer", "--settings", &named])?;
    ensure!(own == "Fall SR-0042\n", "{own}");
    std::fs::write(folder.path().join("letter.txt"), "{{ nobody }}")?;
    officer.may_not(
        &["reply", "longer", "--settings", &named],
        &["letter.templateFile", "`nobody`"],
    )?;
    officer.may_not(&["reply", "nobody"], &["ErasureRequest", "not found"])?;
    namespace.finish()
}

fn recorded(world: &World) -> Result<()> {
    let namespace = world.namespace("reply_recorded")?;
    let person = |role: &str| Person::new(world, &namespace, Some(&format!("{RELEASE}-{role}")));
    let (officer, viewer) = (person("dpo")?, person("view")?);
    file(&namespace, "request", &json!({}))?;
    let sent = |at: &str| format!("--sent={at}");
    let (early, future) = (sent("2020-11-02T08:59:59Z"), sent("2999-01-01T00:00:00Z"));
    let good = sent("2020-11-02T09:00:00Z");
    officer.may_not(&["reply", "request", &good], &["--yes", "no terminal"])?;
    officer.may_not(&["reply", "request", &early, "--yes"], &["received at"])?;
    officer.may_not(&["reply", "request", &future, "--yes"], &["in the future"])?;
    viewer.may_not(
        &["reply", "request", &good, "--yes"],
        &["forbidden", "cannot patch"],
    )?;
    let at = |object: &Value| object.pointer("/spec/reply/sentAt").cloned();
    let object = namespace.get("ErasureRequest", "request")?;
    ensure!(at(&object).is_none(), "{object}");

    let said = officer.may(&["reply", "request", &good, "--yes"])?;
    ensure!(said.contains("answered at 2020-11-02T09:00:00Z"), "{said}");
    let object = namespace.get("ErasureRequest", "request")?;
    ensure!(
        at(&object) == Some(json!("2020-11-02T09:00:00Z")),
        "{object}"
    );
    officer.may_not(
        &["reply", "request", "--sent", "--yes"],
        &["recorded already"],
    )?;

    file(&namespace, "second", &json!({}))?;
    officer.may(&["reply", "second", "--sent", "--yes"])?;
    let object = namespace.get("ErasureRequest", "second")?;
    ensure!(at(&object).is_some(), "{object}");
    namespace.finish()
}
