//! The documents: links lead somewhere, manifests are accepted, and who follows the first policy's page
//! arrives, with and without a cluster.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use oubliette::inputs::files;
use oubliette::signing::{SigningKey, issue};
use oubliette_core::erasure::Certificate;

use crate::case::{Case, Needs, Server};
use crate::pages::{self, Block, Page};
use crate::sql::{Database, next_number};
use crate::world::{World, repository};

/// The cases of this file.
pub(crate) fn cases() -> Vec<Case> {
    let pure = |name: &str, body: fn(&World) -> Result<()>| {
        Case::new(format!("docs::{name}"), Needs::nothing(), body)
    };
    let server = Server::Postgres18;
    vec![
        pure("every_link_leads_somewhere", links),
        pure("every_page_is_in_the_book", summary),
        pure("every_manifest_is_accepted", manifests),
        Case::new(
            "docs::the_first_policy_is_kept_from_here::postgres18",
            Needs::server(server),
            move |world| from_here(world, server),
        ),
        Case::new(
            "docs::what_was_done_is_verified::postgres18",
            Needs::server(server),
            move |world| verified(world, server),
        ),
        Case::new(
            "docs::the_first_policy_is_kept_in_a_cluster::postgres18",
            Needs::operator().with(server),
            move |world| in_a_cluster(world, server),
        ),
    ]
}

/// Where the repository is published: what the book links to outside of itself.
const PUBLISHED: &str = "https://github.com/oubliette-dev/oubliette/blob/main/";

fn links(_world: &World) -> Result<()> {
    let mut found = 0;
    let mut faults = Vec::new();
    for page in pages::all()? {
        for link in &page.links {
            found += 1;
            if let Err(fault) = leads_somewhere(&page, link) {
                faults.push(format!("{}: {link}: {fault:#}", page.path.display()));
            }
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    ensure!(found > 60, "only {found} links were found");
    Ok(())
}

/// Other people's pages are not asked for.
fn leads_somewhere(page: &Page, link: &str) -> Result<()> {
    let published = link.strip_prefix(PUBLISHED);
    let path = published.unwrap_or(link);
    if path.contains("://") {
        return Ok(());
    }
    let (file, anchor) = match path.split_once('#') {
        Some((file, anchor)) => (file, Some(anchor)),
        None => (path, None),
    };
    let folder = page.path.parent().unwrap_or(Path::new(""));
    let target = match (published, file) {
        (Some(_), file) => PathBuf::from(file),
        (None, "") => page.path.clone(),
        (None, file) => inside(&folder.join(file))?,
    };
    ensure!(repository().join(&target).exists(), "nothing is there");
    // mdBook knows nothing outside of its folder.
    ensure!(
        published.is_some() || !page.path.starts_with("docs") || target.starts_with("docs"),
        "it leaves the book: write {PUBLISHED}{}",
        target.display()
    );
    if let Some(anchor) = anchor {
        let anchors = Page::read(&target)?.anchors;
        ensure!(anchors.contains(anchor), "its headings are {anchors:?}");
    }
    Ok(())
}

/// The path without its `..`, which must not lead out of the repository.
fn inside(path: &Path) -> Result<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => ensure!(clean.pop(), "it leads out of the repository"),
            Component::CurDir => {}
            other => clean.push(other),
        }
    }
    Ok(clean)
}

fn summary(_world: &World) -> Result<()> {
    let summary = Page::read(Path::new("docs/SUMMARY.md"))?;
    let listed: BTreeSet<PathBuf> = summary
        .links
        .iter()
        .map(|l| Path::new("docs").join(l))
        .collect();
    ensure!(
        listed.len() == summary.links.len(),
        "a page is listed twice"
    );
    let mut written: BTreeSet<PathBuf> = pages::book()?.into_iter().collect();
    ensure!(written.remove(&summary.path), "there is no summary");
    let missing: Vec<_> = written.symmetric_difference(&listed).collect();
    ensure!(
        missing.is_empty(),
        "only in docs/ or only in docs/SUMMARY.md: {missing:?}"
    );
    Ok(())
}

fn manifests(_world: &World) -> Result<()> {
    let mut found = 0;
    for page in pages::all()? {
        for block in &page.blocks {
            if block.language() == "yaml" && block.text.contains("apiVersion: oubliette.dev/") {
                found += 1;
                let file = tempfile::Builder::new().suffix(".yaml").tempfile()?;
                std::fs::write(file.path(), &block.text)?;
                let read = files::read(&[file.path().to_owned()], "default");
                let read = read.with_context(|| {
                    format!("{} has a manifest: {}", page.path.display(), block.text)
                })?;
                ensure!(
                    read.databases.len()
                        + read.policies.len()
                        + read.holds.len()
                        + read.maps.len()
                        + read.requests.len()
                        + read.approvals.len()
                        > 0,
                    "{read:?}"
                );
            }
        }
    }
    ensure!(found >= 3, "only {found} manifests were found");
    Ok(())
}

const FIRST_POLICY: &str = "docs/how-to/first-policy.md";

fn from_here(world: &World, server: Server) -> Result<()> {
    let reader = Reader::new(world, server, "from_here")?;
    reader.follow(FIRST_POLICY, "test=here", 6)?;
    reader.has_arrived()?;
    reader.follow("docs/how-to/map.md", "test=here", 1)?;
    let map = reader.desk.path().join("map.yaml");
    let read = files::read(&[map], "crm")?;
    ensure!(read.maps.len() == 1, "{read:?}");
    Ok(())
}

/// After the first policy's run: a key is made, a certificate is issued with it, and both are verified.
fn verified(world: &World, server: Server) -> Result<()> {
    const PAGE: &str = "docs/how-to/verify.md";
    let reader = Reader::new(world, server, "verified")?;
    reader.follow(FIRST_POLICY, "test=here", 6)?;
    reader.follow(PAGE, "test=key", 1)?;
    let file = repository().join("tests/certificates/erased.json");
    let mut certificate: Certificate = serde_json::from_str(&std::fs::read_to_string(file)?)?;
    let head = reader
        .database
        .admin
        .value("SELECT hash FROM oubliette.chain_head");
    let head = world.block_on(head)?.context("there is no head")?;
    certificate.databases[0].evidence = Some(head.parse()?);
    let key = SigningKey::read(&reader.desk.path().join("key.pem"))?;
    let document = issue(&certificate, Some(&key)).to_canonical();
    std::fs::write(reader.desk.path().join("certificate.json"), document)?;
    reader.follow(PAGE, "test=verify", 3)
}

fn in_a_cluster(world: &World, server: Server) -> Result<()> {
    let namespace = world.namespace("first_policy")?;
    let cluster = &world.control_plane()?.cluster;
    let mut reader = Reader::new(world, server, "in_a_cluster")?;
    let kubeconfig = cluster.kubeconfig.display().to_string();
    reader.variables.push(("KUBECONFIG", kubeconfig));
    if let Some(folder) = cluster.assets() {
        symlink(folder.join("kubectl"), reader.desk.path().join("kubectl"))?;
    }
    for (is, before, after) in [(" -n crm", " -n ", ""), (" crm/", " ", "/")] {
        let here = format!("{before}{}{after}", namespace.name);
        reader.instead.push((is, here));
    }
    for (page, least) in [(FIRST_POLICY, 6), ("docs/how-to/approval.md", 2)] {
        reader.follow(page, "test=cluster", least)?;
    }
    reader.has_arrived()?;
    namespace.finish()
}

/// Somebody who does what the first policy's page says, and the one on approvals after it, on the
/// quickstart's tables.
struct Reader<'w> {
    world: &'w World,
    database: Database,
    /// The folder with the files and programs.
    desk: tempfile::TempDir,
    /// What stands in the page, and what it is here.
    instead: Vec<(&'static str, String)>,
    variables: Vec<(&'static str, String)>,
}

impl<'w> Reader<'w> {
    fn new(world: &'w World, server: Server, case: &str) -> Result<Self> {
        let database = world.database(server, case)?;
        for file in ["schema.postgres.sql", "rows.postgres.sql"] {
            let sql = std::fs::read_to_string(repository().join("examples/quickstart").join(file))?;
            world.block_on(database.admin.execute(&sql))?;
        }
        let desk = tempfile::tempdir()?;
        for name in ["oubliette", "kubectl-oubliette"] {
            symlink(env!("CARGO_BIN_EXE_oubliette"), desk.path().join(name))?;
        }
        let endpoint = &database.endpoint;
        std::fs::copy(&endpoint.ca, desk.path().join("crm-ca.pem"))?;
        let user = format!("crm_retention_{}", next_number());
        let url = |user: &str| {
            format!(
                "postgres://{user}@{}:{}/{}?sslmode=verify-full&sslrootcert=crm-ca.pem",
                endpoint.host, endpoint.port, database.name
            )
        };
        let variables = vec![
            ("ADMINISTRATOR", url(&endpoint.user)),
            ("PGPASSWORD", endpoint.password.clone()),
            ("RETENTION", url(&user)),
            (
                "OUBLIETTE_DATABASE_PASSWORD",
                format!("pw-{}", next_number()),
            ),
        ];
        let instead = vec![
            ("crm_retention", user),
            ("crm.example.org", endpoint.host.clone()),
            ("port: 5432", format!("port: {}", endpoint.port)),
            ("database: crm", format!("database: {}", database.name)),
        ];
        Ok(Self {
            world,
            database,
            desk,
            instead,
            variables,
        })
    }

    fn here(&self, text: &str) -> String {
        let places = self.instead.iter();
        places.fold(text.to_owned(), |text, (is, here)| text.replace(is, here))
    }

    /// Writes the files and runs the commands of everybody and of those who go this way.
    fn follow(&self, page: &str, way: &str, least: usize) -> Result<()> {
        let page = Page::read(Path::new(page))?;
        let mut said: Option<String> = None;
        let mut runs = 0;
        for block in &page.blocks {
            let words: Vec<&str> = block.words.iter().map(String::as_str).collect();
            said = match (words.as_slice(), said) {
                (["yaml", file], _) => {
                    std::fs::write(self.desk.path().join(file), self.here(&block.text))?;
                    None
                }
                (["sh", when, rest @ ..], _) if *when == "test" || *when == way => {
                    runs += 1;
                    let code = rest.first().and_then(|word| word.strip_prefix("exit="));
                    Some(self.run(block, code.unwrap_or("0").parse()?)?)
                }
                (["text", "output"], Some(said)) => {
                    says(&said, &self.here(&block.text))?;
                    None
                }
                _ => None,
            };
        }
        ensure!(runs >= least, "only {runs} blocks were run");
        Ok(())
    }

    /// Runs a block, which must end with this code, and returns what it printed.
    fn run(&self, block: &Block, code: i32) -> Result<String> {
        let script = self.here(&block.text);
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new("sh")
            .args(["-euc", &script])
            .current_dir(self.desk.path())
            .env("PATH", format!("{}:{path}", self.desk.path().display()))
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .env_remove("OUBLIETTE_DATABASE_URL")
            .stdin(Stdio::null())
            .output()
            .context("failed to run sh")?;
        let out = String::from_utf8(output.stdout)?;
        let err = String::from_utf8_lossy(&output.stderr);
        let file = format!("docs-{}-{}.txt", self.database.name, next_number());
        self.world.keep(&file, &format!("{out}\n{err}"))?;
        ensure!(
            output.status.code() == Some(code),
            "expected {code}, got {:?} from\n{script}\n{out}{err}",
            output.status
        );
        Ok(out)
    }

    /// The expired enquiries are gone with their notes, and nothing else.
    fn has_arrived(&self) -> Result<()> {
        let admin = &self.database.admin;
        for (table, rows) in [
            ("enquiries", 10_000),
            ("enquiry_notes", 6_667),
            ("messages", 30_000),
            ("learners", 20_000),
        ] {
            let query = format!("SELECT count(*) FROM {table}");
            let left = self.world.block_on(admin.number(&query))?;
            ensure!(left == rows, "{table} has {left} rows, not {rows}");
        }
        Ok(())
    }
}

/// What was printed has what the page shows, but for numbers, dates and line breaks; the page may
/// leave lines out where `…` stands.
fn says(printed: &str, shown: &str) -> Result<()> {
    let words = |text: &str| -> Vec<String> {
        let words = text.split_whitespace();
        words
            .map(|word| {
                let varies = word.contains(|c: char| c.is_ascii_digit());
                if varies { "#" } else { word }.to_owned()
            })
            .collect()
    };
    let all = words(printed);
    let mut rest = all.as_slice();
    for part in shown.split("…\n") {
        let part = words(part);
        let Some(at) = rest
            .windows(part.len().max(1))
            .position(|seen| part.is_empty() || seen == part)
        else {
            bail!("the page shows\n{shown}\nand this was printed:\n{printed}");
        };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    Ok(())
}
