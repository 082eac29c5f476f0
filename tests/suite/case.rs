//! What a case is: a name, the servers it needs, and a plain function. Nothing here starts a server.

use crate::world::World;

/// The database servers of the bed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Server {
    /// The oldest PostgreSQL of the bed.
    Postgres15,
    /// The newest PostgreSQL of the bed.
    Postgres18,
    /// Oracle's MySQL.
    MySql,
    /// MariaDB.
    MariaDb,
}

impl Server {
    /// Every server a promise has to hold on.
    pub(crate) const ALL: [Self; 4] = [
        Self::Postgres15,
        Self::Postgres18,
        Self::MySql,
        Self::MariaDb,
    ];

    /// One server of each engine.
    pub(crate) const ENGINES: [Self; 3] = [Self::Postgres18, Self::MySql, Self::MariaDb];

    /// The last part of a case's name.
    pub(crate) fn slug(self) -> &'static str {
        match self {
            Self::Postgres15 => "postgres15",
            Self::Postgres18 => "postgres18",
            Self::MySql => "mysql",
            Self::MariaDb => "mariadb",
        }
    }

    /// Which spelling of a scenario's schema it reads: `schema.FAMILY.sql`.
    pub(crate) fn family(self) -> &'static str {
        if self.is_postgres() {
            "postgres"
        } else {
            "mysql"
        }
    }

    /// The `engine` of a TargetDatabase.
    pub(crate) fn engine(self) -> &'static str {
        if self.is_postgres() {
            "PostgreSQL"
        } else {
            "MySQL"
        }
    }

    /// Whether it is a PostgreSQL.
    pub(crate) fn is_postgres(self) -> bool {
        matches!(self, Self::Postgres15 | Self::Postgres18)
    }
}

/// What has to run before a case can.
#[derive(Clone, Debug, Default)]
pub(crate) struct Needs {
    /// The control plane.
    pub(crate) cluster: bool,
    /// The suite's operator (which needs the control plane).
    pub(crate) operator: bool,
    /// Database servers.
    pub(crate) servers: Vec<Server>,
}

impl Needs {
    /// Nothing at all.
    pub(crate) fn nothing() -> Self {
        Self::default()
    }

    /// One database server and nothing else.
    pub(crate) fn server(server: Server) -> Self {
        Self {
            servers: vec![server],
            ..Self::default()
        }
    }

    /// The control plane and nothing else.
    pub(crate) fn cluster() -> Self {
        Self {
            cluster: true,
            ..Self::default()
        }
    }

    /// The control plane and the suite's operator.
    pub(crate) fn operator() -> Self {
        Self {
            cluster: true,
            operator: true,
            servers: Vec::new(),
        }
    }

    /// … and this server too.
    pub(crate) fn with(mut self, server: Server) -> Self {
        self.servers.push(server);
        self
    }

    /// What both need.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.cluster |= other.cluster || other.operator;
        self.operator |= other.operator;
        self.servers.extend(&other.servers);
        self.servers.sort_unstable();
        self.servers.dedup();
    }
}

/// The body of a case.
pub(crate) type Body = Box<dyn FnOnce(&World) -> anyhow::Result<()> + Send>;

/// One named case.
pub(crate) struct Case {
    /// `file::what_holds::server`.
    pub(crate) name: String,
    /// What has to run.
    pub(crate) needs: Needs,
    /// What is tried.
    pub(crate) body: Body,
}

impl Case {
    /// A case.
    pub(crate) fn new(
        name: impl Into<String>,
        needs: Needs,
        body: impl FnOnce(&World) -> anyhow::Result<()> + Send + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            needs,
            body: Box::new(body),
        }
    }

    /// The same case on each of these servers, named `NAME::SERVER`; it needs no control plane.
    pub(crate) fn on_each(
        name: &str,
        servers: &[Server],
        body: fn(&World, Server) -> anyhow::Result<()>,
    ) -> Vec<Self> {
        servers
            .iter()
            .map(|&server| {
                Self::new(
                    format!("{name}::{}", server.slug()),
                    Needs::server(server),
                    move |world| body(world, server),
                )
            })
            .collect()
    }

    /// The same case on each of these servers, with the suite's operator.
    pub(crate) fn on_each_with_operator(
        name: &str,
        servers: &[Server],
        body: fn(&World, Server) -> anyhow::Result<()>,
    ) -> Vec<Self> {
        servers
            .iter()
            .map(|&server| {
                Self::new(
                    format!("{name}::{}", server.slug()),
                    Needs::operator().with(server),
                    move |world| body(world, server),
                )
            })
            .collect()
    }
}
