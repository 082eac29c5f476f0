//! The settings file: read for the operator at its start, and for the commands that write what it would
//! write.
//!
//! As strict as manifests are: what is not known is refused by its path, and all faults are told at
//! once. What may stand in it, and what it means, is in `oubliette_core::settings`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use oubliette_core::api::parse::{message_of, one_line};
use oubliette_core::settings::letter::LetterSpec;
use oubliette_core::settings::{Settings, SettingsSpec};
use serde_json::{Map, Value};

use crate::inputs::files::{bounded, yaml_as_kubectl_reads_it};
use crate::inputs::words;

/// Which settings file.
#[derive(Clone, Debug, Default, Args)]
#[group(id = "settings_file")]
pub struct Given {
    /// The settings file: calendar, letter, controller, backups, retention of records, namespaces of maps,
    /// signing, suppression, targets. Without it the defaults hold.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub settings: Option<PathBuf>,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("failed to read {file}: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What it holds is wrong.
    #[error("{file}: {message}")]
    Wrong {
        /// The file.
        file: String,
        /// What is wrong with it, and what to write.
        message: String,
    },
}

impl Given {
    /// The settings of the file, or the defaults.
    pub fn read(&self) -> Result<Settings, Error> {
        self.settings
            .as_deref()
            .map_or_else(|| Ok(Settings::default()), read)
    }
}

fn read(path: &Path) -> Result<Settings, Error> {
    let wrong = |message: String| Error::Wrong {
        file: path.display().to_string(),
        message,
    };
    let text = text_of(path)?;
    let document = serde_saphyr::from_str_with_options(&text, yaml_as_kubectl_reads_it())
        .map_err(|error| wrong(words::of_yaml(&error)))?;
    let document = match document {
        Value::Null => Value::Object(Map::new()),
        document => document,
    };
    let spec: SettingsSpec = serde_path_to_error::deserialize(document).map_err(|error| {
        let words = words::of_type(&error.inner().to_string());
        wrong(one_line(&format!("settings.{}: {words}", error.path())))
    })?;
    let template = template_file(&spec)
        .map(|named| text_of(&path.with_file_name(named)))
        .transpose()?;
    Settings::parse(&spec, template.as_deref()).map_err(|faults| wrong(message_of(&faults)))
}

/// The file of the template. Where there are two templates the parser says so.
fn template_file(spec: &SettingsSpec) -> Option<&str> {
    let letter: &LetterSpec = spec.letter.as_ref()?;
    let file = letter.template_file.as_deref()?;
    letter.template.is_none().then_some(file)
}

fn text_of(path: &Path) -> Result<String, Error> {
    let read = fs::File::open(path).and_then(bounded);
    let text = read.and_then(|text| {
        String::from_utf8(text).map_err(|_| io::Error::other("it is not UTF-8 text"))
    });
    text.map_err(|source| Error::Unreadable {
        file: path.display().to_string(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn told(files: &[(&str, &str)]) -> Result<Settings, String> {
        let folder = written(files);
        let given = Given {
            settings: Some(folder.path().join("settings.yaml")),
        };
        let place = format!("{}/", folder.path().display());
        given
            .read()
            .map_err(|error| error.to_string().replace(&place, ""))
    }

    fn fault(text: &str) -> String {
        told(&[("settings.yaml", text)]).unwrap_err()
    }

    #[test]
    fn a_file_is_read_and_none_is_the_defaults() {
        let settings = told(&[
            (
                "settings.yaml",
                "calendar: {timeZone: Europe/London, holidays: [2026-12-25]}\n\
                 letter: {templateFile: letter.txt}\n",
            ),
            ("letter.txt", "Case {{ case }}\n"),
        ])
        .unwrap();
        assert_eq!(settings.calendar.holidays.len(), 1);
        assert_eq!(settings.letter.text(), "Case {{ case }}\n");
        for nothing in ["", "# nothing\n", "{}", "calendar:\n"] {
            let settings = told(&[("settings.yaml", nothing)]).unwrap();
            assert_eq!(settings.calendar, Settings::default().calendar);
        }
        assert!(Given::default().read().is_ok());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        assert_eq!(
            fault("backups: {keptFor: P1D}\nletters: {}\n"),
            "settings.yaml: settings.letters: this version does not know the field; did you mean \
             `letter`?"
        );
        for (text, words) in [
            (
                "calendar: weekend",
                "settings.calendar: an object is expected here, not string",
            ),
            ("- calendar", "an object is expected here, not a list"),
            ("calendar: {}\ncalendar: {}\n", "duplicate"),
            (
                "calendar: {dueSoonDays: soon}",
                "settings.calendar.dueSoonDays: a whole number",
            ),
            ("a: [", "settings.yaml: "),
            (
                "recordRetention: 3 years",
                "settings.recordRetention: \"3 years\" is not",
            ),
            (
                "letter: {templateFile: nowhere.txt}",
                "failed to read nowhere.txt: ",
            ),
        ] {
            let told = fault(text);
            assert!(told.contains(words), "{text}: {told}");
        }
        assert!(fault("calendar: {}\n---\ncalendar: {}\n").starts_with("settings.yaml: "));
        let told = told(&[]).err().unwrap();
        assert!(told.starts_with("failed to read settings.yaml: "), "{told}");
    }

    #[test]
    fn what_the_docs_show_is_taken() {
        let page = include_str!("../docs/how-to/answer.md");
        let block = |begin: &str| {
            let (_, rest) = page.split_once(&format!("```{begin}\n")).unwrap();
            rest.split_once("```").unwrap().0.to_owned()
        };
        let settings = block("yaml settings.yaml");
        let with_letter = format!("{settings}letter: {{templateFile: letter.txt}}\n");
        for settings in [settings, with_letter] {
            let letter = block("text letter.txt");
            let read = told(&[("settings.yaml", &settings), ("letter.txt", &letter)]);
            assert_eq!(read.unwrap().calendar.holidays.len(), 3);
        }
    }

    #[test]
    fn a_template_that_would_fail_is_told_with_its_line() {
        let told = told(&[
            ("settings.yaml", "letter: {templateFile: letter.txt}\n"),
            ("letter.txt", "one\n{{ case | shout }}\n"),
        ]);
        let told = told.err().unwrap();
        assert!(
            told.starts_with("settings.yaml: settings.letter.templateFile: line 2: "),
            "{told}"
        );
    }
}
