//! How strictly manifests are read, and how faults are told.

use super::*;

const CRM: &str = "
apiVersion: oubliette.dev/v1alpha1
kind: TargetDatabase
metadata: {name: crm}
spec:
  engine: PostgreSQL
  connection:
    host: crm-rw.crm.svc
    database: crm
    credentials: {secretRef: {name: crm-oubliette}}
";

fn faults(text: &str) -> String {
    read_text("x.yaml", text, "default")
        .unwrap_err()
        .to_string()
}

#[test]
fn a_resource_without_a_namespace_gets_the_one_asked_for() {
    let found = read_text("x.yaml", CRM, "crm").unwrap();
    let [database] = found.databases.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(
        (database.namespace.as_str(), database.name.as_str()),
        ("crm", "crm")
    );
    assert_eq!(database.origin.to_string(), "x.yaml, document 1");
}

#[test]
fn other_peoples_objects_are_passed_over_and_ours_in_a_list_are_found() {
    let text = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\n---\n\
         apiVersion: v1\nkind: List\nitems:\n-{}",
        CRM.replace('\n', "\n  ")
            .trim_start_matches('\n')
            .get(1..)
            .unwrap()
    );
    let found = read_text("x.yaml", &text, "default").unwrap();
    assert_eq!(
        found.databases[0].origin.to_string(),
        "x.yaml, document 2, item 1"
    );
}

#[test]
fn all_faults_are_told_at_once_with_document_and_field() {
    let text = format!(
        "{}---\n{}",
        CRM.replace(
            "metadata: {name: crm}",
            "metadata: {name: crm, namspace: crm}"
        ),
        CRM.replace("crm}", "billing}")
            .replace("  engine: PostgreSQL", "  engin: PostgreSQL")
    );
    let told = faults(&text);
    assert!(
        told.contains("x.yaml, document 1: TargetDatabase crm: metadata.namspace: "),
        "{told}"
    );
    assert!(
        told.contains("x.yaml, document 2: TargetDatabase billing: spec.engin: "),
        "{told}"
    );
    assert!(told.contains("did you mean `engine`?"), "{told}");
}

#[test]
fn a_value_of_the_wrong_type_is_told_with_its_path() {
    let told = faults(&CRM.replace("    database: crm", "    database: crm\n    port: many"));
    assert!(
        told.contains("TargetDatabase crm: spec.connection.port: "),
        "{told}"
    );
}

#[test]
fn a_name_that_kubernetes_does_not_take_is_no_name_in_a_file() {
    let line = r#""crm\nALTER ROLE mallory SUPERUSER; --\e[2J""#;
    for (from, to) in [
        ("{name: crm}\nspec", format!("{{name: {line}}}\nspec")),
        (
            "{name: crm}\nspec",
            format!("{{name: crm, namespace: {line}}}\nspec"),
        ),
        ("{name: crm-oubliette}", format!("{{name: {line}}}")),
    ] {
        let text = CRM.replace(from, &to);
        let told = faults(&text);
        assert!(told.contains("is no name that Kubernetes takes"), "{told}");
        assert!(!told.contains(char::is_control), "{told:?}");
        // Nor where it is told twice.
        let told = faults(&format!("{text}---\n{text}"));
        assert!(
            told.lines()
                .all(|line| line.starts_with("x.yaml, document "))
        );
    }
}

#[test]
fn an_unquoted_no_is_false_as_in_kubectl() {
    let told = faults(&CRM.replace("database: crm", "database: no"));
    assert!(
        told.contains("spec.connection.database: ") && told.contains("boolean"),
        "{told}"
    );
}

#[test]
fn a_key_written_twice_is_an_error() {
    let told = faults(&CRM.replace(
        "  engine: PostgreSQL",
        "  engine: PostgreSQL\n  engine: MySQL",
    ));
    assert!(
        told.starts_with("x.yaml, document 1: ") && told.contains("duplicate"),
        "{told}"
    );
}

#[test]
fn an_unknown_kind_or_version_of_our_group_is_an_error() {
    let told = faults(&CRM.replace("kind: TargetDatabase", "kind: TargetDatabse"));
    assert!(
        told.contains("not TargetDatabse of oubliette.dev/v1alpha1"),
        "{told}"
    );
    let told = faults(&CRM.replace("v1alpha1", "v1"));
    assert!(
        told.contains("not TargetDatabase of oubliette.dev/v1"),
        "{told}"
    );
}

#[test]
fn the_same_resource_twice_is_an_error() {
    let told = faults(&format!("{CRM}---{CRM}"));
    assert!(
        told.contains("document 2: TargetDatabase default/crm is written twice"),
        "{told}"
    );
}

#[test]
fn what_is_no_manifest_is_an_error() {
    assert!(faults("- a").contains("is not an object"));
    assert!(faults("a: b").contains("has no apiVersion and kind"));
    assert!(faults("a: [").starts_with("x.yaml, document 1: "));
}

#[test]
fn a_folder_is_read_in_order_and_an_empty_one_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let error = read(&[folder.path().to_owned()], "default").unwrap_err();
    assert!(error.to_string().contains("holds no file"), "{error}");
    fs::write(
        folder.path().join("b.yaml"),
        CRM.replace("name: crm}", "name: b}"),
    )
    .unwrap();
    fs::write(
        folder.path().join("a.yml"),
        CRM.replace("name: crm}", "name: a}"),
    )
    .unwrap();
    fs::write(folder.path().join("notes.txt"), "- not a manifest").unwrap();
    let found = read(&[folder.path().to_owned()], "default").unwrap();
    let names: Vec<&str> = found
        .databases
        .iter()
        .map(|found| found.name.as_str())
        .collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn what_is_written_twice_is_told_with_both_places_and_what_has_no_name_as_such() {
    let told = faults(&format!("{CRM}---{CRM}"));
    assert!(
        told.contains("x.yaml, document 2: ") && told.ends_with("first in x.yaml, document 1"),
        "{told}"
    );
    let told = faults(&CRM.replace("{name: crm}", "{}"));
    assert!(
        told.contains("TargetDatabase without a name: metadata.name: is required"),
        "{told}"
    );
}

#[test]
fn a_missing_file_is_named() {
    let error = read(&[PathBuf::from("/nowhere/x.yaml")], "default").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("failed to read /nowhere/x.yaml: "),
        "{error}"
    );
}

#[test]
fn a_field_writes_no_lines_of_its_own() {
    let line = r#""na\nme\e[2J""#;
    for (from, to) in [
        (
            "metadata: {name: crm}",
            format!("metadata: {{name: crm, {line}: x}}"),
        ),
        (
            "  engine: PostgreSQL",
            format!("  engine: PostgreSQL\n  {line}: x"),
        ),
    ] {
        let told = faults(&CRM.replace(from, &to));
        assert!(told.contains("na\\nme"), "{told}");
        assert!(!told.contains(char::is_control), "{told:?}");
    }
}
