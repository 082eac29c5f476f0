//! The bed's promises: verified TLS, loopback only, servers that come back, and nothing left behind.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use bed::{Authority, Bed, Bench, Kind, Options, Server, Wanted, wait_until};

const PATIENCE: Duration = Duration::from_mins(2);

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_bed"))
}

/// `bed up` as a process of its own, with what it printed.
struct Up {
    child: Child,
    environment: String,
}

impl Up {
    fn start(arguments: &[&str]) -> Result<Self> {
        let mut child = program()
            .arg("up")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().context("the output is a pipe")?;
        let mut up = Self {
            child,
            environment: String::new(),
        };
        let mut out = BufReader::new(out);
        while !up.environment.ends_with("# ready\n") {
            let read = out.read_line(&mut up.environment)?;
            ensure!(read > 0, "the bed ended early");
        }
        Ok(up)
    }

    /// The bed's own folders: each begins with its process id.
    fn folders(&self) -> Vec<PathBuf> {
        let start = format!("{}-", self.child.id());
        let paths = self.environment.split(['\'', '=', '&']).map(Path::new);
        let of_bed = paths.filter_map(|path| {
            path.ancestors().find(|it| {
                it.file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with(&start))
            })
        });
        let folders: BTreeSet<PathBuf> = of_bed.map(Path::to_owned).collect();
        folders.into_iter().collect()
    }

    /// The processes that work in the bed's folders.
    fn servers(&self) -> Vec<u32> {
        let start = format!("/{}-", self.child.id());
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|id| id.parse().ok()) else {
                continue;
            };
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            if line.contains("oubliette-bed-") && line.contains(&start) {
                found.push(id);
            }
        }
        found
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_killed_bed_leaves_no_server_and_the_next_one_removes_its_folders() {
    let mut up = Up::start(&[]).unwrap();
    // Four databases, etcd, the API server and the controller manager.
    assert_eq!(up.servers().len(), 7, "{}", up.environment);
    up.child.kill().unwrap();
    up.child.wait().unwrap();
    wait_until(PATIENCE, "the servers to end with their bed", || {
        Ok(up.servers().is_empty().then_some(()))
    })
    .unwrap();
    let folders = up.folders();
    assert_eq!(folders.len(), 2, "{folders:?}");
    assert!(folders.iter().all(|folder| folder.exists()));
    // One server in each place where beds keep their folders.
    drop(Up::start(&["--only", "postgres15,postgres18"]).unwrap());
    assert!(!folders.iter().any(|folder| folder.exists()), "{folders:?}");
}

#[test]
fn a_bed_whose_input_ends_stops_and_cleans_up() {
    let mut up = Up::start(&["--only", "mariadb,postgres15"]).unwrap();
    let folders = up.folders();
    drop(up.child.stdin.take());
    assert!(up.child.wait().unwrap().success());
    assert_eq!(up.servers(), Vec::<u32>::new());
    for folder in folders {
        let left: Vec<_> = fs::read_dir(folder).into_iter().flatten().collect();
        assert!(
            left.iter().flatten().all(|it| it.file_name() == "alive"),
            "{left:?}"
        );
    }
}

#[test]
fn every_server_listens_on_loopback_only() {
    let up = Up::start(&[]).unwrap();
    let servers = up.servers();
    assert_eq!(servers.len(), 7);
    let mut listening = 0;
    for id in servers {
        let sockets: BTreeSet<String> = fs::read_dir(format!("/proc/{id}/fd"))
            .unwrap()
            .flatten()
            .filter_map(|entry| fs::read_link(entry.path()).ok())
            .filter_map(|link| {
                let name = link.to_str()?.strip_prefix("socket:[")?;
                Some(name.trim_end_matches(']').to_owned())
            })
            .collect();
        for table in ["tcp", "tcp6"] {
            let text = fs::read_to_string(format!("/proc/{id}/net/{table}")).unwrap();
            for line in text.lines().skip(1) {
                let fields: Vec<&str> = line.split_whitespace().collect();
                let (local, state, inode) = (fields[1], fields[3], fields[9]);
                if state == "0A" && sockets.contains(inode) {
                    // 127.0.0.1 as the kernel prints it.
                    assert!(local.starts_with("0100007F:"), "{id} listens on {local}");
                    listening += 1;
                }
            }
        }
    }
    // etcd has two, the controller manager none.
    assert!(listening >= 7, "found only {listening} listening sockets");
}

#[test]
fn every_server_is_reached_by_verified_tls_and_another_authority_is_refused() {
    let other = Authority::new().unwrap().pem();
    for kind in Kind::ALL {
        let mut server = Server::start(kind, &Options::default()).unwrap();
        let (database, question) = if kind.is_postgres() {
            (
                "postgres",
                "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
            )
        } else {
            ("mysql", "SHOW STATUS LIKE 'Ssl_version'")
        };
        for host in ["127.0.0.1", "localhost"] {
            server.host = host.to_owned();
            let answer = server.sql(database, question).unwrap();
            assert!(answer.contains("TLSv1.3"), "{kind:?} at {host}: {answer}");
        }
        let wrong = server.folder().unwrap().join("other.pem");
        fs::write(&wrong, &other).unwrap();
        server.ca = Some(wrong);
        let refused = server.sql(database, question).unwrap_err().to_string();
        assert!(
            refused.to_lowercase().contains("certificate"),
            "{kind:?}: {refused}"
        );
    }
}

#[test]
fn a_killed_server_comes_back_on_its_port_with_what_was_committed() {
    for kind in Kind::ALL {
        let server = Server::start(kind, &Options::default()).unwrap();
        server.create_database("crm").unwrap();
        server
            .sql(
                "crm",
                "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (7);",
            )
            .unwrap();
        let before = server.id().unwrap();
        server.kill9().unwrap();
        assert!(server.sql("crm", "SELECT 1").is_err());
        server.restart().unwrap();
        assert_ne!(server.id().unwrap(), before);
        assert_eq!(server.sql("crm", "SELECT id FROM t").unwrap().trim(), "7");
        // One that runs is ended first.
        server.restart().unwrap();
        assert_eq!(server.sql("crm", "SELECT id FROM t").unwrap().trim(), "7");
    }
}

#[test]
fn statements_are_logged_only_where_that_is_asked_for() {
    for (kind, log_statements) in [
        (Kind::Postgres15, true),
        (Kind::Postgres15, false),
        (Kind::MariaDb, true),
    ] {
        let options = Options {
            log_statements,
            ..Options::default()
        };
        let server = Server::start(kind, &options).unwrap();
        server.create_database("crm").unwrap();
        server.sql("crm", "SELECT 'planted@example.test'").unwrap();
        let logged = fs::read_dir(server.folder().unwrap())
            .unwrap()
            .flatten()
            .filter(|entry| entry.path().extension().is_some_and(|it| it == "log"))
            .any(|entry| {
                fs::read_to_string(entry.path())
                    .unwrap()
                    .contains("planted@")
            });
        assert_eq!(logged, log_statements, "{kind:?}");
    }
}

#[test]
fn a_script_may_change_its_delimiter_and_stops_at_the_first_error() {
    let server = Server::start(Kind::MariaDb, &Options::default()).unwrap();
    server.create_database("crm").unwrap();
    server.create_user("clerk", "secret").unwrap();
    let script = "CREATE TABLE t (id int);\n\
                  DELIMITER //\n\
                  CREATE TRIGGER b BEFORE INSERT ON t FOR EACH ROW BEGIN SET NEW.id = NEW.id + 1; END//\n\
                  DELIMITER ;\n\
                  INSERT INTO t VALUES (1);\n\
                  GRANT SELECT ON crm.* TO clerk;\n\
                  SELECT id FROM t;\n";
    assert_eq!(server.sql("crm", script).unwrap(), "2\n");
    let clerk = bed::Login {
        user: "clerk",
        password: "secret",
        database: "crm",
    };
    assert_eq!(server.sql_as(clerk, "SELECT id FROM t").unwrap(), "2\n");
    assert!(
        server
            .sql_as(clerk, "DELETE FROM t; SELECT 'went on';")
            .is_err()
    );
    assert!(server.sql("crm", "SELECT nothing; DELETE FROM t;").is_err());
    assert_eq!(server.sql("crm", "SELECT count(*) FROM t").unwrap(), "1\n");
    server.drop_database("crm").unwrap();
}

#[test]
fn the_control_plane_knows_administrators_strangers_and_service_accounts() {
    let bed = Bed::start(&Wanted::parse("cluster").unwrap()).unwrap();
    let cluster = bed.cluster().unwrap();
    cluster
        .kubectl(&["create", "namespace", "crm"], "")
        .unwrap();
    let stranger = cluster.stranger().unwrap();
    let refused = cluster
        .kubectl_as(stranger, &["get", "pods", "-n", "crm"], "")
        .unwrap_err();
    assert!(
        refused.to_string().contains("cannot list resource"),
        "{refused}"
    );
    let account =
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: operator, namespace: crm}\n";
    cluster.kubectl(&["apply", "-f", "-"], account).unwrap();
    let token = cluster.service_account_token("crm", "operator").unwrap();
    let kubeconfig = cluster.kubeconfig_for_token(&token).unwrap();
    let who = cluster
        .kubectl_as(&kubeconfig, &["auth", "whoami"], "")
        .unwrap();
    assert!(who.contains("system:serviceaccount:crm:operator"), "{who}");
    // The namespace controller is at work.
    cluster
        .kubectl(&["delete", "namespace", "crm", "--timeout=60s"], "")
        .unwrap();
    let audit = fs::read_to_string(cluster.audit_log().unwrap()).unwrap();
    assert!(audit.contains("\"name\":\"operator\""));
    assert!(audit.contains("\"username\":\"stranger\""));

    // The same cluster, as somebody has it who runs their own.
    let path = format!(
        "{}:{}",
        cluster.assets().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let output = program()
        .args([
            "run", "--only", "cluster", "--", "kubectl", "get", "--raw", "/version",
        ])
        .env("USE_EXISTING_CLUSTER", "true")
        .env("KUBECONFIG", &cluster.kubeconfig)
        .env("PATH", path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(&cluster.version), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains(&cluster.url), "{told}");
}

#[test]
fn the_second_setup_does_nothing() {
    let cache = bed::cache_folder().unwrap();
    let listed = || -> BTreeSet<PathBuf> {
        let entries = fs::read_dir(&cache).unwrap().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let before = listed();
    let output = program().arg("setup").output().unwrap();
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "bed: all servers are installed\n"
    );
    assert_eq!(listed(), before);
}

#[test]
fn setup_names_what_is_missing_where_it_cannot_install_it() {
    let empty = tempfile::tempdir().unwrap();
    let output = program()
        .args(["setup", "--only", "cluster"])
        .env("OUBLIETTE_BED_CACHE", empty.path())
        .env("PATH", "/usr/bin:/bin")
        .env_remove("KUBEBUILDER_ASSETS")
        .env_remove("USE_EXISTING_CLUSTER")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("this is going to be installed"), "{said}");
    assert!(said.contains("go is missing"), "{said}");
}

#[test]
fn a_server_named_in_the_environment_is_used_instead() {
    let server = Server::start(Kind::MariaDb, &Options::default()).unwrap();
    let output = program()
        .args(["run", "--only", "mariadb", "--", "env"])
        .env("OUBLIETTE_TEST_MARIADB_URL", server.admin_url())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let expected = format!("OUBLIETTE_BED_MARIADB_PORT={}\n", server.port);
    assert!(said.contains(&expected), "{said}");
    assert!(!said.contains("OUBLIETTE_BED_MARIADB_PID"), "{said}");
    assert!(server.sql("mysql", "SELECT 1").is_ok(), "it still runs");
}

#[test]
fn the_exit_code_of_a_command_is_the_beds() {
    let status = program()
        .args(["run", "--only", "postgres15", "--", "sh", "-c", "exit 7"])
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(7));
}

#[test]
fn a_server_of_a_benchmark_commits_to_the_disk_and_is_as_far_away_as_asked_for() {
    for kind in [Kind::Postgres18, Kind::MariaDb, Kind::MySql] {
        let bench = Bench {
            small_cache: true,
            distant: true,
        };
        let options = Options {
            bench: Some(bench),
            ..Options::default()
        };
        let server = Server::start(kind, &options).unwrap();
        let (question, answer) = if kind.is_postgres() {
            (
                "SELECT current_setting('fsync'), current_setting('shared_buffers'), inet_server_port()",
                "on\t16MB\t",
            )
        } else {
            (
                "SELECT @@innodb_flush_log_at_trx_commit, @@sync_binlog, @@innodb_buffer_pool_size, @@port",
                "1\t1\t16777216\t",
            )
        };
        let said = server
            .sql(
                if kind.is_postgres() {
                    "postgres"
                } else {
                    "mysql"
                },
                question,
            )
            .unwrap();
        let port = said.trim().strip_prefix(answer).unwrap();
        assert_ne!(port, server.port.to_string(), "something stands before it");
        let maps = fs::read_to_string(format!("/proc/{}/maps", server.id().unwrap())).unwrap();
        assert!(maps.contains("slow_disk.so"), "{maps}");
    }
}
