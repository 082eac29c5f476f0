//! What the libraries that read manifests say, in the words of whoever writes them.

use serde_saphyr::{Error, UserMessageFormatter};

/// What is wrong with a text as YAML, and at which line.
pub(crate) fn of_yaml(error: &Error) -> String {
    let text = error
        .without_snippet()
        .render_with_formatter(&UserMessageFormatter);
    // What was counted, and to where, is the library's own business.
    let beyond = [" too large or too complex", "recursion limit exceeded"];
    if !beyond.iter().any(|words| text.contains(words)) {
        return of_type(&text);
    }
    let place = text.rfind(" at line ").and_then(|at| text.get(at..));
    let place = place.unwrap_or_default();
    format!("is nested too deeply, or holds more than is read at once{place}")
}

/// What Rust calls a type, and what YAML has instead.
const TYPES: [(&str, &str); 14] = [
    ("a map", "an object"),
    ("map", "an object"),
    ("a sequence", "a list"),
    ("sequence", "a list"),
    ("a string", "text"),
    ("string", "text"),
    ("a boolean", "true or false"),
    ("boolean", "true or false"),
    ("i32", "a whole number"),
    ("i64", "a whole number"),
    ("u32", "a whole number"),
    ("u64", "a whole number"),
    ("unit", "nothing"),
    ("null", "nothing"),
];

/// `invalid type: map, expected a string` without the names that the types have in the program.
pub(crate) fn of_type(message: &str) -> String {
    let Some((found, expected)) = message
        .strip_prefix("invalid type: ")
        .and_then(|rest| rest.rsplit_once(", expected "))
    else {
        return message.to_owned();
    };
    let plain = |word: &str| {
        let known = TYPES.into_iter().find(|(name, _)| *name == word);
        known.map(|(_, plain)| plain.to_owned())
    };
    let expected = if expected.starts_with("struct ") {
        "an object".to_owned()
    } else {
        plain(expected).unwrap_or_else(|| expected.to_owned())
    };
    let found = plain(found).unwrap_or_else(|| found.to_owned());
    format!("{expected} is expected here, not {found}")
}

#[cfg(test)]
mod tests {
    use crate::inputs::files::read_text;

    fn told(spec: &str) -> String {
        let text = format!(
            "apiVersion: oubliette.dev/v1alpha1\nkind: RetentionPolicy\nmetadata: {{name: p}}\nspec: {spec}\n"
        );
        read_text("x.yaml", &text, "default")
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn types_have_the_names_of_those_who_write_them() {
        for (spec, words) in [
            (
                "{databaseRef: crm}",
                "spec.databaseRef: an object is expected here, not string \"crm\"",
            ),
            (
                "{rules: 5}",
                "spec.rules: a list is expected here, not integer `5`",
            ),
            (
                "{limits: {maxRows: many}}",
                "spec.limits.maxRows: a whole number is expected here, not string \"many\"",
            ),
            (
                "{schedule: {}}",
                "spec.schedule: text is expected here, not an object",
            ),
            (
                "{suspend: maybe}",
                "spec.suspend: true or false is expected here, not string \"maybe\"",
            ),
        ] {
            let told = told(spec);
            assert!(told.contains(words), "{told}");
        }
    }

    #[test]
    fn yaml_that_is_not_read_is_told_without_a_word_of_the_library() {
        let deep = "[".repeat(5_000);
        for (spec, words) in [
            ("{mode: DryRun, mode: Enforce}", "duplicate mapping key"),
            (deep.as_str(), "is nested too deeply"),
        ] {
            let told = told(spec);
            assert!(told.contains(words) && told.contains(" line "), "{told}");
            for word in ["Options", "Policy in", "breached", "Depth"] {
                assert!(!told.contains(word), "{told}");
            }
        }
    }
}
