//! Single words of YAML that the program prints for people to copy.

use std::borrow::Cow;

/// A text as a YAML scalar that every reader takes for this text, also between braces: plain where it
/// can be, in double quotes otherwise. A column may be called `no`.
pub fn scalar(text: &str) -> Cow<'_, str> {
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/');
    if begins && text.chars().all(plain) && !is_word(text) {
        Cow::Borrowed(text)
    } else {
        // A JSON string is a YAML one.
        Cow::Owned(serde_json::Value::from(text).to_string())
    }
}

/// Whether a YAML 1.1 reader takes it for something else than text.
fn is_word(text: &str) -> bool {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    WORDS.iter().any(|word| word.eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nothing_takes_for_anything_else_stands_without_quotes() {
        for plain in ["public.enquiries", "_a-1", "Etc/UTC"] {
            assert_eq!(scalar(plain), plain);
        }
        for (text, quoted) in [
            ("no", "\"no\""),
            ("Null", "\"Null\""),
            ("1e3", "\"1e3\""),
            ("", "\"\""),
            ("a, b}", "\"a, b}\""),
            ("a: #b", "\"a: #b\""),
            ("\"odd.schema\".t", "\"\\\"odd.schema\\\".t\""),
            ("-", "\"-\""),
            ("größe", "\"größe\""),
        ] {
            assert_eq!(scalar(text), quoted);
        }
    }
}
