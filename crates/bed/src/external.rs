//! Servers that somebody else runs, named by addresses in the environment and honoured before any of the bed's own.

use std::{env, path::PathBuf};

use anyhow::{Context, Result, ensure};

use crate::{Kind, Server};

/// The server that the environment names instead of one of the bed's.
pub(crate) fn server(kind: Kind) -> Result<Option<Server>> {
    let variable = kind.url_variable();
    let Some(url) = named(kind) else {
        return Ok(None);
    };
    let address = Address::parse(&url).with_context(|| {
        format!("{variable} is not an address like scheme://user:password@host")
    })?;
    let schemes: &[&str] = if kind.is_postgres() {
        &["postgres", "postgresql"]
    } else {
        &["mysql", "mariadb"]
    };
    ensure!(
        schemes.contains(&address.scheme.as_str()),
        "{variable} must begin with {}://",
        schemes[0]
    );
    let port = address
        .port
        .unwrap_or(if kind.is_postgres() { 5432 } else { 3306 });
    Server::external(
        kind,
        address.host,
        port,
        address.user,
        address.password,
        address.ca,
    )
    .map(Some)
}

/// The address in the environment, if there is one.
pub(crate) fn named(kind: Kind) -> Option<String> {
    env::var(kind.url_variable())
        .ok()
        .filter(|url| !url.is_empty())
}

/// The parts of an address.
#[derive(Debug, PartialEq, Eq)]
struct Address {
    scheme: String,
    user: String,
    password: String,
    host: String,
    port: Option<u16>,
    ca: Option<PathBuf>,
}

impl Address {
    fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let authority = rest.split('/').next()?;
        let (login, place) = authority.rsplit_once('@')?;
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (place, None),
        };
        let ca = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(name, _)| matches!(*name, "sslrootcert" | "ssl-ca"))
            .map(|(_, value)| PathBuf::from(percent_decode(value)));
        Some(Self {
            scheme: scheme.to_owned(),
            user: percent_decode(user),
            password: percent_decode(password),
            host: host.to_owned(),
            port,
            ca,
        })
    }
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = text
            .get(at + 1..at + 3)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], code) {
            (b'%', Some(code)) => {
                plain.push(code);
                at += 3;
            }
            (byte, _) => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// Encodes what would end a part of an address.
pub(crate) fn percent_encode(text: &str) -> String {
    let one = |byte: u8| match byte {
        _ if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        let address = Address::parse(
            "postgres://me:p%40ss@db.test:6000/x?sslmode=verify-full&sslrootcert=/a%20b",
        )
        .unwrap();
        assert_eq!(
            address,
            Address {
                scheme: "postgres".into(),
                user: "me".into(),
                password: "p@ss".into(),
                host: "db.test".into(),
                port: Some(6000),
                ca: Some("/a b".into()),
            }
        );
        assert_eq!(Address::parse("postgres://no-login"), None);
        assert_eq!(Address::parse("mysql://root@h").unwrap().port, None);
    }

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        for text in ["", "plain", "p@ss:w/rd?&%", "ünïcode"] {
            assert_eq!(percent_decode(&percent_encode(text)), text);
        }
    }
}
