//! Single words of YAML that the program prints for people to copy, and the comments around them.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Columns of a terminal that everything fits.
pub const WIDTH: usize = 100;

/// A text as a YAML scalar that every reader takes for this text, also between braces: plain where it
/// can be, in double quotes otherwise. A column may be called `no`.
pub fn scalar(text: &str) -> Cow<'_, str> {
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/');
    if begins && text.chars().all(plain) && !is_word(text) {
        Cow::Borrowed(text)
    } else {
        // A JSON string is a YAML one, but for what YAML does not take for printable.
        let json = serde_json::Value::from(text).to_string();
        let mut escaped = String::with_capacity(json.len());
        for character in json.chars() {
            if is_printed(character) {
                escaped.push(character);
            } else {
                // Into a String it cannot fail.
                let _ = write!(escaped, "\\u{:04x}", u32::from(character));
            }
        }
        Cow::Owned(escaped)
    }
}

/// Whether a character can stand in a line as it is: no end of a line, and nothing that YAML refuses
/// or takes for a mark of the encoding.
fn is_printed(character: char) -> bool {
    let odd = ['\u{2028}', '\u{2029}', '\u{feff}', '\u{fffe}', '\u{ffff}'];
    !character.is_control() && !odd.contains(&character)
}

/// Adds lines that nobody but a person reads, each behind a mark such as `# `. Nothing in a name ends
/// them.
pub fn comment(lines: &mut Vec<String>, mark: &str, text: &str) {
    wrap(lines, mark, &one_line(text));
}

/// A text in which nothing ends a comment.
pub fn one_line(text: &str) -> String {
    let shown = |c: char| if is_printed(c) { c } else { ' ' };
    text.chars().map(shown).collect()
}

/// Adds a text as lines of at most [`WIDTH`] columns, broken between words; its own line feeds stay.
pub fn wrap(lines: &mut Vec<String>, indent: &str, text: &str) {
    let mut before = indent.to_owned();
    for paragraph in text.lines() {
        let mut line = before.clone();
        for word in paragraph.split(' ') {
            let begun = line.len() > before.len();
            if begun && line.chars().count() + 1 + word.chars().count() > WIDTH {
                before = format!("{indent}  ");
                lines.push(std::mem::replace(&mut line, before.clone()));
            } else if begun {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
        before = format!("{indent}  ");
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
            ("a\u{2028}b\u{7f}", "\"a\\u2028b\\u007f\""),
        ] {
            assert_eq!(scalar(text), quoted);
        }
    }

    #[test]
    fn nothing_in_a_name_ends_a_comment() {
        let mut lines = Vec::new();
        comment(&mut lines, "# ", "a\nb\u{2028}c\u{85}d");
        assert_eq!(lines, ["# a b c d"]);
    }
}
