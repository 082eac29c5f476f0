//! The table of values in the chart's README, from the comments `# --` of its `values.yaml`.
//!
//! It knows how that file is written (one key a line, comments above it) and must not grow into a
//! parser of YAML: the values themselves are read by one.

use std::fmt::Write as _;

use anyhow::Context;
use serde_json::Value;

use crate::command::reference::cell;

/// What stands before and behind the table.
const BEGIN: &str = "<!-- values: `make generate` writes this table from values.yaml -->\n";
const END: &str = "<!-- end of values -->\n";

/// The README with the table as it should be.
pub(super) fn readme(readme: &str, values: &str) -> anyhow::Result<String> {
    let (before, rest) = readme
        .split_once(BEGIN)
        .context("failed to find where the values begin")?;
    let (_, after) = rest
        .split_once(END)
        .context("failed to find where the values end")?;
    Ok([before, BEGIN, &table(values)?, END, after].concat())
}

/// One row for each value that has a comment, in the order of the file.
fn table(yaml: &str) -> anyhow::Result<String> {
    let values: Value = serde_saphyr::from_str(yaml).context("failed to read the values")?;
    let mut text = String::from("| value | default | meaning |\n|---|---|---|\n");
    let mut path: Vec<(usize, &str)> = Vec::new();
    let mut comment: Option<String> = None;
    for line in yaml.lines() {
        let trimmed = line.trim_start();
        if let Some(first) = trimmed.strip_prefix("# -- ") {
            comment = Some(first.to_owned());
        } else if let Some(more) = trimmed.strip_prefix('#') {
            if let Some(comment) = &mut comment {
                comment.push_str(more);
            }
        } else if let Some((key, _)) = trimmed.split_once(':') {
            let depth = line.len() - trimmed.len();
            path.retain(|(above, _)| *above < depth);
            path.push((depth, key));
            let Some(meaning) = comment.take() else {
                continue;
            };
            let keys: Vec<&str> = path.iter().map(|(_, key)| *key).collect();
            let default = values
                .pointer(&format!("/{}", keys.join("/")))
                .with_context(|| format!("failed to find the value of {}", keys.join(".")))?;
            let row = format!("| `{}` | `{default}` | {}", keys.join("."), cell(&meaning));
            writeln!(text, "{row} |").context("failed to write the table")?;
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: &str = "\
# A heading of the file.

# -- How many.
replicas: 1

metrics:
  service:
    # -- Whether there is one,
    # or a|b.
    enabled: true
# -- What it may use.
resources:
  limits: {memory: 256Mi}
";

    #[test]
    fn each_commented_value_has_a_row_with_its_path_default_and_meaning() {
        insta::assert_snapshot!(table(VALUES).unwrap(), @r#"
        | value | default | meaning |
        |---|---|---|
        | `replicas` | `1` | How many. |
        | `metrics.service.enabled` | `true` | Whether there is one, or a\|b. |
        | `resources` | `{"limits":{"memory":"256Mi"}}` | What it may use. |
        "#);
    }

    #[test]
    fn only_what_stands_between_the_marks_is_written() {
        let written = format!("# Before\n{BEGIN}out of date\n{END}# After\n");
        let renewed = readme(&written, VALUES).unwrap();
        assert!(!renewed.contains("out of date"), "{renewed}");
        assert!(renewed.starts_with("# Before\n") && renewed.ends_with("# After\n"));
        assert_eq!(readme(&renewed, VALUES).unwrap(), renewed);
    }

    #[test]
    fn a_readme_without_the_marks_is_not_written_over() {
        assert!(readme("# Nothing here\n", VALUES).is_err());
    }
}
