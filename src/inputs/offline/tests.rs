//! Which policy goes with which database, what stands in the way, and that no text makes it panic.

use secrecy::SecretString;

use super::super::files::read_text;
use super::*;

const DATABASE_YAML: &str = "
apiVersion: oubliette.dev/v1alpha1
kind: TargetDatabase
metadata: {name: crm, namespace: crm}
spec:
  engine: PostgreSQL
  connection:
    host: crm-rw.crm.svc
    database: crm
    credentials: {secretRef: {name: crm-oubliette}}
    tls: {ca: {configMapRef: {name: crm-ca, key: ca.crt}}}
  guards: {maxPercent: 20}
  usableFrom: {from: Selector, selector: {matchExpressions: [{key: guest, operator: DoesNotExist}]}}
";

fn policy(namespace: &str, name: &str) -> String {
    format!(
        "---
apiVersion: oubliette.dev/v1alpha1
kind: RetentionPolicy
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  databaseRef: {{name: crm, namespace: crm}}
  schedule: 30 2 * * *
  rules:
  - name: old
    basis: the notice
    table: public.enquiries
    expireAfter: P6M
    since: {{column: created_at}}
    action: {{type: Delete}}
"
    )
}

fn url(text: &str) -> (DatabaseUrl, Login) {
    let login = Login {
        username: "retention".to_owned(),
        password: SecretString::from("hunter2"),
        ca: None,
    };
    (text.parse().unwrap(), login)
}

fn open(text: &str, given: Option<(DatabaseUrl, Login)>) -> Result<Vec<Promise>, Faults> {
    let manifests = read_text("x.yaml", text, "default")?;
    Offline::new(manifests, given).map(|(_, promises)| promises)
}

fn hindrances(promise: &Promise) -> Vec<Reason> {
    promise.hindrances.iter().map(|r| r.reason).collect()
}

#[test]
fn a_policy_finds_its_database_and_is_bound_by_its_guards() {
    let promises = open(&format!("{DATABASE_YAML}{}", policy("crm", "old")), None).unwrap();
    let [promise] = promises.as_slice() else {
        panic!("{promises:?}");
    };
    assert_eq!(promise.address(), "crm-rw.crm.svc:5432/crm");
    assert_eq!(promise.mandate.policy.limits.max_percent, Some(20));
    assert!(promise.hindrances.is_empty());
}

#[test]
fn a_database_that_is_not_among_the_manifests_is_named_with_the_field() {
    let told = open(&policy("crm", "old"), None).unwrap_err().to_string();
    assert_eq!(
        told,
        "x.yaml, document 1: RetentionPolicy old: spec.databaseRef: the TargetDatabase crm/crm is \
         not among the manifests: give its file with -f, or the database with --database-url"
    );
}

#[test]
fn a_url_stands_for_the_database_that_the_policies_name() {
    let text = policy("crm", "old");
    let given = url("postgres://retention@localhost:6432/copy?sslmode=disable");
    let promises = open(&text, Some(given)).unwrap();
    assert_eq!(promises[0].database.to_string(), "crm/crm");
    assert_eq!(promises[0].address(), "localhost:6432/copy");
    let mysql = open(&text, Some(url("mysql://r@localhost/public"))).unwrap();
    assert_eq!(mysql[0].address(), "localhost:3306/public");
}

#[test]
fn a_url_replaces_the_connection_and_nothing_else_of_a_target_database() {
    let text = format!("{DATABASE_YAML}{}", policy("crm", "old"));
    let promises = open(&text, Some(url("postgres://r@localhost/copy"))).unwrap();
    let target = &promises[0].target;
    assert_eq!(promises[0].address(), "localhost:5432/copy");
    assert_eq!(target.guards.max_percent, Some(20));
    assert_eq!(target.connection.tls.ca, None, "the URL has its own");
    let told = open(&text, Some(url("mysql://r@localhost/copy"))).unwrap_err();
    assert!(
        told.to_string()
            .starts_with("x.yaml, document 1: TargetDatabase crm: spec.engine: "),
        "{told}"
    );
}

#[test]
fn a_misspelt_database_is_refused_where_there_are_some_since_its_guards_would_be_left_out() {
    let misspelt = policy("crm", "old").replace("{name: crm, namespace: crm}", "{name: cmr}");
    let text = format!("{DATABASE_YAML}{misspelt}");
    for given in [None, Some(url("postgres://r@localhost/copy"))] {
        let told = open(&text, given).unwrap_err().to_string();
        assert_eq!(
            told,
            "x.yaml, document 2: RetentionPolicy old: spec.databaseRef: the TargetDatabase crm/cmr \
             is not among the manifests, which have crm/crm: correct name and namespace, or give its \
             file with -f"
        );
    }
}

#[test]
fn a_url_stands_for_one_database_only() {
    let other = policy("crm", "new").replace("{name: crm, namespace: crm}", "{name: billing}");
    let text = format!("{}{other}", policy("crm", "old"));
    let told = open(&text, Some(url("postgres://r@h/d"))).unwrap_err();
    assert!(
        told.to_string()
            .starts_with("x.yaml, document 2: RetentionPolicy new: spec.databaseRef: "),
        "{told}"
    );
}

#[test]
fn policies_that_may_reach_the_same_rows_are_both_refused() {
    let text = format!(
        "{DATABASE_YAML}{}{}",
        policy("crm", "a"),
        policy("crm", "b")
    );
    let promises = open(&text, None).unwrap();
    for promise in &promises {
        assert_eq!(hindrances(promise), [Reason::Conflict]);
    }
    assert!(promises[0].hindrances[0].message.contains("crm/b"));
}

#[test]
fn a_namespace_without_its_manifest_is_not_taken_for_one_without_labels() {
    let both = format!(
        "{DATABASE_YAML}{}{}",
        policy("crm", "a"),
        policy("web", "b")
    );
    let promises = open(&both, None).unwrap();
    // Who may not use the database stands in nobody's way.
    assert_eq!(hindrances(&promises[0]), []);
    assert_eq!(hindrances(&promises[1]), [Reason::DatabaseNotUsable]);
    let known = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: web}\n";
    let promises = open(&format!("{both}{known}"), None).unwrap();
    assert_eq!(hindrances(&promises[0]), [Reason::Conflict]);
    let guest = known.replace("name: web", "name: web, labels: {guest: 'yes'}");
    let promises = open(&format!("{both}{guest}"), None).unwrap();
    assert_eq!(hindrances(&promises[1]), [Reason::DatabaseNotUsable]);
}

#[test]
fn a_secret_that_is_missing_unreadable_or_not_for_keys_is_named_without_its_content() {
    let text = format!(
        "{DATABASE_YAML}{}  pseudonymKey: {{secretRef: {{name: key, key: key}}}}\n",
        policy("crm", "old")
    );
    let told = |more: &str| {
        let manifests = read_text("x.yaml", &format!("{text}---{more}"), "crm").unwrap();
        let (offline, promises) = Offline::new(manifests, None).unwrap();
        match offline.pseudonym_key(&promises[0]) {
            Ok(_) => "taken".to_owned(),
            Err(fault) => fault.to_string(),
        }
    };
    let secret = "\napiVersion: v1\nkind: Secret\nmetadata: {name: key}\n";
    let made = format!("{secret}type: oubliette.dev/pseudonym-key\n");
    for (more, words) in [
        (String::new(), "is not among the manifests"),
        (format!("{secret}data: {{key: hunter2!}}"), "cannot be read"),
        (
            format!("{secret}stringData: {{key: hunter2}}"),
            "is not of the type",
        ),
        (
            format!("{made}stringData: {{key: hunter2}}"),
            "less than 32",
        ),
        (
            format!("{made}data: {{key: {}}}", "aHVudGVy".repeat(6)),
            "taken",
        ),
        (
            format!(
                "{made}data: {{key: aHVudGVy}}\nstringData: {{key: {}}}",
                "hunter2".repeat(6)
            ),
            "taken",
        ),
    ] {
        let told = told(&more);
        assert!(
            told.contains(words) && !told.contains("hunter"),
            "{more}: {told}"
        );
    }
}

#[test]
fn a_secret_is_named_with_the_namespace_by_which_it_was_found() {
    let secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: crm-oubliette}\n";
    let text = format!("{DATABASE_YAML}{}{secret}", policy("crm", "old"));
    let manifests = read_text("x.yaml", &text, "crm").unwrap();
    let (offline, promises) = Offline::new(manifests, None).unwrap();
    let told = offline
        .login_of("crm", &promises[0].target)
        .map(drop)
        .unwrap_err();
    assert!(
        told.to_string().contains("Secret crm/crm-oubliette"),
        "{told}"
    );
}

mod fuzzed {
    use proptest::prelude::*;

    use super::*;

    /// Whole and plain pieces that manifests are made of, right and wrong.
    fn piece() -> impl Strategy<Value = String> {
        let words = prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ":",
            "- ",
            "\n",
            "\n  ",
            "\n---\n",
            "&a ",
            "*a",
            "!!binary ",
            "|\n",
            "null",
            "~",
            "no",
            "010",
            "1e400",
            "-9223372036854775808",
            "99999999999999999999",
            "P6M",
            "P0D",
            "P99999999999Y",
            "30 2 * * *",
            "* * * * * *",
            "public.t",
            "\"a.b\".c",
            "é\u{202e}",
            "\u{0}",
            "spec",
            "rules",
            "kind",
            "metadata",
            "name",
            "expireAfter",
            "since",
            "where",
            "anyOf",
            "related",
            "match",
            "guards",
            "usableFrom",
            "selector",
            "mode",
            "Enforce",
            "tls",
            "VerifyCa",
            "pacing",
            "windows",
            "1h",
            "timeZone",
            "data",
        ]);
        prop_oneof![4 => words.prop_map(str::to_owned), 1 => ".{0,12}"]
    }

    /// One change of a text: something is put in, taken out, doubled or moved.
    fn change() -> impl Strategy<Value = (usize, usize, usize, String)> {
        (0..4_usize, any::<usize>(), 0..40_usize, piece())
    }

    fn changed(text: &str, (how, at, length, piece): &(usize, usize, usize, String)) -> String {
        let characters: Vec<char> = text.chars().collect();
        let start = at % (characters.len() + 1);
        let end = (start + length).min(characters.len());
        let part = |from: usize, to: usize| characters[from..to].iter().collect::<String>();
        let (head, middle, tail) = (
            part(0, start),
            part(start, end),
            part(end, characters.len()),
        );
        match how {
            0 => format!("{head}{piece}{middle}{tail}"),
            1 => format!("{head}{tail}"),
            2 => format!("{head}{middle}{middle}{tail}"),
            _ => format!("{head}{piece}{tail}"),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn no_manifest_makes_it_panic_and_every_fault_is_one_line_that_says_where(
            changes in prop::collection::vec(change(), 1..6),
            with_url in any::<bool>(),
        ) {
            let mut text = format!(
                "{DATABASE_YAML}{}---\napiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\ndata: {{a: YQ==}}\n",
                policy("crm", "old")
            );
            for change in &changes {
                text = changed(&text, change);
            }
            let given = with_url.then(|| url("postgres://r@h/d"));
            if let Err(Faults(faults)) = open(&text, given) {
                prop_assert!(!faults.is_empty());
                for fault in faults {
                    let told = fault.to_string();
                    prop_assert!(!told.contains('\n'), "{}", told);
                    prop_assert!(told.starts_with("x.yaml, document ") || told.starts_with("--database-url, document "), "{}", told);
                }
            }
        }
    }
}

const APPROVAL: &str = "---
apiVersion: oubliette.dev/v1alpha1
kind: Approval
metadata: {name: mine, namespace: crm}
spec:
  targetRef: {kind: RetentionPolicy, name: enquiries, uid: u-1}
  decision: Approve
  planDigest: sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
  maxRows: 12
  by: jane
";

#[test]
fn an_approval_among_the_manifests_is_read_and_named_with_its_policy_alone() {
    let all = [
        DATABASE_YAML,
        &policy("crm", "enquiries"),
        &policy("crm", "notes"),
        APPROVAL,
    ];
    let promises = open(&all.concat(), None).unwrap();
    let named: Vec<_> = promises.iter().map(|p| p.approvals.clone()).collect();
    assert_eq!(named, [vec!["mine".to_owned()], vec![]]);
    // Nothing that somebody wrote there counts as an answer.
    for (is, written, words) in [
        ("maxRows", "maxRow", "spec.maxRow"),
        ("Approve", "Aprove", "Aprove"),
        ("uid: u-1", "id: u-1", "spec.targetRef.uid"),
        ("  by: jane\n", "", "spec.by"),
        ("sha256:e3", "sha256:g3", "spec.planDigest"),
    ] {
        let faulty = APPROVAL.replace(is, written);
        let faults = open(&[DATABASE_YAML, &faulty].concat(), None).unwrap_err();
        assert!(faults.to_string().contains(words), "{faults}");
    }
}

#[test]
fn of_two_guards_the_stricter_one_counts_and_a_dry_run_comes_first_unless_the_owner_says_so() {
    use oubliette_core::approval::{ApprovalGuard as A, Asks, DryRunGuard as D};
    let asks = |owner: &str, policys: &str| {
        let database = DATABASE_YAML.replace("guards: {maxPercent: 20}", owner);
        let policy = policy("crm", "enquiries") + policys;
        let promises = open(&[database, policy].concat(), None).unwrap();
        let Asks { approval, dry_run } = promises[0].mandate.asks;
        (approval, dry_run)
    };
    for (owner, policys, expected) in [
        ("", "", (A::None, D::Required)),
        ("guards: {maxPercent: 20}", "", (A::None, D::Required)),
        ("guards: {dryRun: None}", "", (A::None, D::None)),
        (
            "guards: {dryRun: None}",
            "  guards: {dryRun: Required}\n",
            (A::None, D::Required),
        ),
        ("", "  guards: {dryRun: None}\n", (A::None, D::Required)),
        (
            "guards: {approval: Required}",
            "  guards: {approval: None}\n",
            (A::Required, D::Required),
        ),
        (
            "guards: {approval: Required}",
            "  guards: {approval: FourEyes}\n",
            (A::FourEyes, D::Required),
        ),
    ] {
        assert_eq!(asks(owner, policys), expected, "{owner} {policys}");
    }
    let misspelt = policy("crm", "enquiries") + "  guards: {aproval: Required}\n";
    let faults = open(&[DATABASE_YAML, &misspelt].concat(), None).unwrap_err();
    assert!(
        faults.to_string().contains("did you mean `approval`?"),
        "{faults}"
    );
}
