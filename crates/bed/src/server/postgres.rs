//! How a PostgreSQL server is configured for the bed.

use std::path::Path;

use anyhow::Result;

use crate::scratch::write_file;

/// Writes what must be in the data folder before the first start.
pub(super) fn prepare(data: &Path) -> Result<()> {
    // Without TLS too: `mode: Disable` is a promise that is tested.
    let hba = "host all all 127.0.0.1/32 scram-sha-256\n\
               host replication all 127.0.0.1/32 scram-sha-256\n";
    write_file(&data.join("pg_hba.conf"), hba.as_bytes(), 0o600)
}

/// The arguments of the server. Tests kill the server, never the machine, so nothing need reach
/// the disk; but a page may be torn by a kill, so whole pages stay in the log.
pub(super) fn arguments(
    folder: &Path,
    port: u16,
    log_statements: bool,
    settings: &[(&str, &str)],
) -> Vec<String> {
    let inside = |name: &str| folder.join(name).display().to_string();
    let mut arguments = vec![
        "-D".to_owned(),
        inside("data"),
        "-p".into(),
        port.to_string(),
    ];
    let mut set = |name: &str, value: &str| {
        arguments.push("-c".to_owned());
        arguments.push(format!("{name}={value}"));
    };
    set("listen_addresses", "127.0.0.1");
    set("unix_socket_directories", "");
    set("ssl", "on");
    set("ssl_cert_file", &inside("server.pem"));
    set("ssl_key_file", &inside("server.key"));
    set("ssl_ca_file", &inside("ca.pem"));
    set("fsync", "off");
    // In the data folder, so that a killed server leaves none behind in the kernel.
    set("dynamic_shared_memory_type", "mmap");
    set("max_connections", "300");
    set("shared_buffers", "256MB");
    set("max_wal_size", "2GB");
    set("wal_level", "logical");
    set("jit", "off");
    set("log_line_prefix", "%m [%p] %q%u@%d ");
    set("timezone", "UTC");
    set("log_timezone", "UTC");
    if log_statements {
        set("log_min_duration_statement", "0");
    }
    for (name, value) in settings {
        set(name, value);
    }
    arguments
}
