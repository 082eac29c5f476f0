//! How a MariaDB or MySQL server is configured for the bed.

use std::path::Path;

use anyhow::Result;

use crate::{kind::Kind, scratch::write_file};

/// Writes the statements of the first start, which leave one administrator, with a password.
pub(super) fn prepare(kind: Kind, folder: &Path, data: &Path, password: &str) -> Result<()> {
    // The template's identity would make all copies one server.
    let _ = std::fs::remove_file(data.join("auto.cnf"));
    let others = if kind == Kind::MariaDb {
        // There are several, for each name of this machine, and none has a password.
        "DELETE FROM mysql.global_priv WHERE User <> 'mariadb.sys';\nFLUSH PRIVILEGES;"
    } else {
        "DROP USER 'root'@'localhost';"
    };
    let script = format!(
        "{others}\n\
         CREATE USER 'root'@'%' IDENTIFIED BY '{password}';\n\
         GRANT ALL PRIVILEGES ON *.* TO 'root'@'%' WITH GRANT OPTION;\n"
    );
    write_file(&folder.join("first.sql"), script.as_bytes(), 0o600)
}

/// The arguments of the server. Tests kill the server, never the machine: a commit need only
/// have left the process.
pub(super) fn arguments(
    kind: Kind,
    folder: &Path,
    port: u16,
    log_statements: bool,
    settings: &[(&str, &str)],
) -> Vec<String> {
    let inside = |name: &str| folder.join(name).display().to_string();
    let mut arguments = vec!["--no-defaults".to_owned()];
    let mut set = |name: &str, value: &str| arguments.push(format!("--{name}={value}"));
    set("datadir", &inside("data"));
    set("init-file", &inside("first.sql"));
    set("socket", &inside("s"));
    set("pid-file", &inside("pid"));
    set("port", &port.to_string());
    set("bind-address", "127.0.0.1");
    set("skip-name-resolve", "ON");
    set("ssl-ca", &inside("ca.pem"));
    set("ssl-cert", &inside("server.pem"));
    set("ssl-key", &inside("server.key"));
    set("max-connections", "300");
    set("innodb-buffer-pool-size", "256M");
    set("innodb-flush-log-at-trx-commit", "2");
    set("sync-binlog", "0");
    set("server-id", "1");
    set("log-bin", "binlog");
    set("character-set-server", "utf8mb4");
    set("secure-file-priv", "");
    set("local-infile", "OFF");
    if kind == Kind::MySql {
        set("mysqlx", "OFF");
    } else {
        set("binlog-format", "ROW");
    }
    if log_statements {
        set("general-log", "ON");
        set("general-log-file", &inside("statements.log"));
    }
    for (name, value) in settings {
        set(name, value);
    }
    arguments
}
