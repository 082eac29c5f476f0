//! All servers of a test run together.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    thread,
    time::Instant,
};

use anyhow::{Context, Result, anyhow, bail};

use crate::{Cluster, Kind, Options, Server, cache::TOOLS};

/// What to start.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Which database servers.
    pub servers: BTreeSet<Kind>,
    /// Whether a control plane.
    pub cluster: bool,
    /// Whether helm and the other programs that look at the chart, which are only installed, not started.
    pub tools: bool,
    /// Whether pt-archiver, with which the benchmark compares; it is not part of everything.
    pub archiver: bool,
    /// How the database servers are to differ from the usual ones.
    pub options: Options,
}

impl Wanted {
    /// Everything.
    pub fn everything() -> Self {
        Self {
            servers: Kind::ALL.into_iter().collect(),
            cluster: true,
            tools: true,
            archiver: false,
            options: Options::default(),
        }
    }

    /// The parts named in a list like `postgres15,mariadb,cluster`.
    pub fn parse(list: &str) -> Result<Self> {
        let mut wanted = Self::default();
        for name in list.split(',').map(str::trim).filter(|it| !it.is_empty()) {
            match (name, Kind::named(name)) {
                (_, Some(kind)) => drop(wanted.servers.insert(kind)),
                ("cluster", None) => wanted.cluster = true,
                ("tools", None) => wanted.tools = true,
                ("archiver", None) => wanted.archiver = true,
                _ => bail!(
                    "there is no {name}; the bed has archiver, cluster, tools, {}",
                    Kind::ALL.map(Kind::name).join(", ")
                ),
            }
        }
        Ok(wanted)
    }
}

/// The servers of a test run; they end with it.
#[derive(Debug)]
pub struct Bed {
    servers: BTreeMap<Kind, Arc<Server>>,
    cluster: Option<Arc<Cluster>>,
}

impl Bed {
    /// Starts all that is wanted, side by side, and waits until each answers.
    pub fn start(wanted: &Wanted) -> Result<Self> {
        Self::start_saying(wanted, &|_| {})
    }

    /// As `start`, telling somebody of each server that is up.
    pub fn start_saying(wanted: &Wanted, say: &(dyn Fn(&str) + Sync)) -> Result<Self> {
        let began = Instant::now();
        let seconds = || began.elapsed().as_secs_f32();
        thread::scope(|scope| {
            let cluster = wanted.cluster.then(|| {
                scope.spawn(|| -> Result<Cluster> {
                    let cluster = Cluster::start()?;
                    let (version, url) = (&cluster.version, &cluster.url);
                    say(&format!(
                        "Kubernetes {version} at {url} ({:.1} s)",
                        seconds()
                    ));
                    Ok(cluster)
                })
            });
            let servers: Vec<_> = wanted
                .servers
                .iter()
                .map(|&kind| {
                    scope.spawn(move || -> Result<Server> {
                        let server = Server::start(kind, &wanted.options)?;
                        say(&format!(
                            "{} {} at {}:{} ({:.1} s)",
                            kind.name(),
                            server.version,
                            server.host,
                            server.port,
                            began.elapsed().as_secs_f32()
                        ));
                        Ok(server)
                    })
                })
                .collect();
            let mut started = BTreeMap::new();
            for server in servers {
                let server = server.join().map_err(|_| anyhow!("a start panicked"))??;
                started.insert(server.kind, Arc::new(server));
            }
            let cluster = match cluster {
                Some(cluster) => Some(Arc::new(
                    cluster.join().map_err(|_| anyhow!("a start panicked"))??,
                )),
                None => None,
            };
            Ok(Self {
                servers: started,
                cluster,
            })
        })
    }

    /// A database server that was asked for.
    pub fn server(&self, kind: Kind) -> Result<&Arc<Server>> {
        self.servers
            .get(&kind)
            .with_context(|| format!("{} was not asked for", kind.name()))
    }

    /// The database servers.
    pub fn servers(&self) -> impl Iterator<Item = &Arc<Server>> {
        self.servers.values()
    }

    /// The control plane.
    pub fn cluster(&self) -> Result<&Arc<Cluster>> {
        self.cluster.as_ref().context("no cluster was asked for")
    }

    /// The environment that tells a command where everything is. `path` is its search path so far.
    pub fn environment(&self, path: &str) -> Result<Vec<(String, String)>> {
        let mut all = Vec::new();
        for server in self.servers.values() {
            let mut set = |what: &str, value: String| {
                let name = server.kind.name().to_uppercase();
                all.push((format!("OUBLIETTE_BED_{name}_{what}"), value));
            };
            set("HOST", server.host.clone());
            set("PORT", server.port.to_string());
            set("USER", server.user.clone());
            set("PASSWORD", server.password.clone());
            set("URL", server.admin_url());
            set("VERSION", server.version.clone());
            if let Some(ca) = &server.ca {
                set("CA", ca.display().to_string());
            }
            if server.is_own() {
                set("PID", server.id()?.to_string());
                set("LOG", server.log_path()?.display().to_string());
            }
        }
        // All servers of one bed have one authority.
        let mut authorities = self.servers.values().filter(|server| server.is_own());
        if let Some(ca) = authorities.find_map(|server| server.ca.as_ref()) {
            all.push(("OUBLIETTE_BED_CA".to_owned(), ca.display().to_string()));
        }
        if let Some(cluster) = &self.cluster {
            // helm and its like, where setup has built them.
            let tools = TOOLS.folder()?;
            let path = if tools.exists() {
                format!("{}:{path}", tools.display())
            } else {
                path.to_owned()
            };
            all.extend(cluster.environment(&path));
        }
        Ok(all)
    }
}
