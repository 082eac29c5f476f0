//! The repository's Markdown as the cases look at it: blocks of code, code in sentences, links and the
//! anchors that links can name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use crate::world::repository;

/// Pages beside those of `docs/`.
const OTHERS: [&str; 14] = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "charts/oubliette/README.md",
    "crates/bed/README.md",
    "examples/notices/README.md",
    "examples/notices/clp/README.md",
    "examples/notices/cli/README.md",
    "examples/notices/kent/README.md",
    "examples/notices/lals/README.md",
    "examples/notices/learnon/README.md",
    "examples/quickstart/README.md",
    "tests/scenarios/README.md",
];

/// A block of code.
#[derive(Debug)]
pub(crate) struct Block {
    /// The words behind the fence: the language, and what the cases do with it.
    pub(crate) words: Vec<String>,
    pub(crate) text: String,
}

impl Block {
    /// The language.
    pub(crate) fn language(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// Its lines as a shell reads them: what a backslash ends goes on.
    pub(crate) fn lines(&self) -> Vec<String> {
        let joined = self.text.replace("\\\n", " ");
        joined.lines().map(str::to_owned).collect()
    }
}

/// A page.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Below the repository's root.
    pub(crate) path: PathBuf,
    pub(crate) blocks: Vec<Block>,
    /// Code in sentences.
    pub(crate) codes: Vec<String>,
    /// Where its links lead.
    pub(crate) links: Vec<String>,
    /// What a link can name behind `#`.
    pub(crate) anchors: BTreeSet<String>,
}

/// Every page that people read.
pub(crate) fn all() -> Result<Vec<Page>> {
    let mut paths: Vec<PathBuf> = OTHERS.iter().map(PathBuf::from).collect();
    paths.extend(book()?);
    paths.iter().map(|path| Page::read(path)).collect()
}

/// The pages in `docs/`.
pub(crate) fn book() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(repository().join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

impl Page {
    /// Reads one.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(repository().join(path))
            .with_context(|| format!("failed to read {}", path.display()))?;
        let mut page = Self {
            path: path.to_owned(),
            ..Self::default()
        };
        page.take(&text);
        Ok(page)
    }

    fn take(&mut self, text: &str) {
        let mut block: Option<Block> = None;
        let mut heading: Option<String> = None;
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::CodeBlock(kind)) => {
                    let words = match kind {
                        CodeBlockKind::Fenced(words) => words.into_string(),
                        CodeBlockKind::Indented => String::new(),
                    };
                    block = Some(Block {
                        words: words.split_whitespace().map(str::to_owned).collect(),
                        text: String::new(),
                    });
                }
                Event::End(TagEnd::CodeBlock) => self.blocks.extend(block.take()),
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let anchor = anchor(&heading.take().unwrap_or_default());
                    let times = seen.entry(anchor.clone()).or_default();
                    self.anchors.insert(match *times {
                        0 => anchor,
                        again => format!("{anchor}-{again}"),
                    });
                    *times += 1;
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    self.links.push(dest_url.into_string());
                }
                Event::Code(code) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&code);
                    }
                    self.codes.push(code.into_string());
                }
                Event::Text(text) => {
                    if let Some(block) = &mut block {
                        block.text.push_str(&text);
                    } else if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                _ => {}
            }
        }
    }
}

/// A heading's anchor, as GitHub and mdBook make it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        c if c.is_alphanumeric() => Some(c.to_ascii_lowercase()),
        _ => None,
    });
    kept.collect()
}
