//! `--database-url`: a database without a TargetDatabase, as libpq and MySQL's clients write one.
//!
//! Owns which parameters are understood. Nothing of the URL is repeated in an error: it may hold a
//! password. What it leaves out is as strict as a manifest that leaves it out.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use oubliette_core::api::target_database::{EngineName, TlsMode};
use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use url::{Host, ParseError, Url};

/// Where a database is and as whom to connect.
#[derive(Clone)]
pub struct DatabaseUrl {
    /// The family of the server.
    pub engine: EngineName,
    /// Host name or address.
    pub host: String,
    /// Port; `None`: the engine's own.
    pub port: Option<u16>,
    /// The database.
    pub database: String,
    /// The user.
    pub username: String,
    /// The password, where the URL holds one.
    pub password: Option<SecretString>,
    /// How the connection is protected.
    pub tls: TlsMode,
    /// The file with the CA's certificates; `None`: the system's.
    pub ca: Option<PathBuf>,
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseUrl").finish_non_exhaustive()
    }
}

/// What is wrong with a URL, without a word of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    /// It does not parse, or is not of a known scheme.
    #[error(
        "is not a URL such as postgres://USER@HOST:5432/DATABASE or mysql://USER@HOST:3306/DATABASE \
         (characters such as @ / # in a name or password are written as %40 %2F %23)"
    )]
    Malformed,
    /// A port that is none.
    #[error(
        "has a port that is no number up to 65535 (characters such as @ / # in a name or password \
         are written as %40 %2F %23)"
    )]
    Port,
    /// A part that must be there.
    #[error("names no {0}: write postgres://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE")]
    Lacks(&'static str),
    /// A parameter that is not known. Only its name.
    #[error("has a parameter that is not understood; these are: {}", KNOWN.join(", "))]
    UnknownParameter,
    /// A parameter with a value that is not one of its words.
    #[error("has an {0} other than verify-full (the default), verify-ca and disable{1}")]
    Mode(&'static str, &'static str),
}

const KNOWN: [&str; 4] = ["sslmode", "sslrootcert", "ssl-mode", "ssl-ca"];

impl FromStr for DatabaseUrl {
    type Err = UrlFault;

    fn from_str(text: &str) -> Result<Self, UrlFault> {
        let url = Url::parse(text).map_err(|error| match error {
            ParseError::InvalidPort => UrlFault::Port,
            _ => UrlFault::Malformed,
        })?;
        let engine = match url.scheme() {
            "postgres" | "postgresql" => EngineName::PostgreSQL,
            "mysql" | "mariadb" => EngineName::MySQL,
            _ => return Err(UrlFault::Malformed),
        };
        if url.fragment().is_some() {
            // An unwritten %23: what stands behind it belongs to the password or the name.
            return Err(UrlFault::Malformed);
        }
        let host = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => decoded(name)?,
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            Some(Host::Domain(_)) | None => return Err(UrlFault::Lacks("host")),
        };
        let username = decoded(url.username())?;
        if username.is_empty() {
            return Err(UrlFault::Lacks("user"));
        }
        let database = decoded(url.path().trim_start_matches('/'))?;
        if database.is_empty() {
            return Err(UrlFault::Lacks("database"));
        }
        let password = url.password().map(decoded).transpose()?;
        let (mut tls, mut ca) = (TlsMode::VerifyFull, None);
        for (name, value) in url.query_pairs() {
            match name.as_ref() {
                "sslmode" => tls = mode("sslmode", &value)?,
                "ssl-mode" => tls = mode("ssl-mode", &value)?,
                // libpq's word for the system's own authorities.
                "sslrootcert" if value == "system" => ca = None,
                "sslrootcert" | "ssl-ca" => ca = Some(PathBuf::from(value.as_ref())),
                _ => return Err(UrlFault::UnknownParameter),
            }
        }
        Ok(Self {
            engine,
            host,
            port: url.port(),
            database,
            username,
            password: password.map(SecretString::from),
            tls,
            ca,
        })
    }
}

fn decoded(part: &str) -> Result<String, UrlFault> {
    let text = percent_decode_str(part).decode_utf8();
    text.map(Cow::into_owned).map_err(|_| UrlFault::Malformed)
}

/// libpq's and MySQL's words. Modes that encrypt without knowing for whom are not offered: they
/// would hand the password to whoever answers.
fn mode(parameter: &'static str, word: &str) -> Result<TlsMode, UrlFault> {
    match word.to_ascii_lowercase().replace('_', "-").as_str() {
        "verify-full" | "verify-identity" => Ok(TlsMode::VerifyFull),
        "verify-ca" => Ok(TlsMode::VerifyCa),
        "disable" | "disabled" => Ok(TlsMode::Disable),
        "require" | "required" | "prefer" | "preferred" | "allow" => Err(UrlFault::Mode(
            parameter,
            ": such modes would hand the password to whoever answers; give the CA's certificates \
             with sslrootcert=FILE or ssl-ca=FILE",
        )),
        _ => Err(UrlFault::Mode(parameter, "")),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn parsed(text: &str) -> DatabaseUrl {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_left_out_is_verified_in_full_on_the_engines_port() {
        let url = parsed("postgres://retention@db.example/crm");
        assert_eq!(
            (url.engine, url.host.as_str(), url.port, url.tls, url.ca),
            (
                EngineName::PostgreSQL,
                "db.example",
                None,
                TlsMode::VerifyFull,
                None
            )
        );
        assert_eq!(
            (url.username.as_str(), url.database.as_str()),
            ("retention", "crm")
        );
        assert!(url.password.is_none());
    }

    #[test]
    fn every_part_may_be_percent_encoded() {
        let url = parsed(
            "mariadb://re%40t:p%2F%40%23w@[::1]:3307/a%20b?ssl-ca=/a%20b/ca.pem&ssl-mode=VERIFY_CA",
        );
        assert_eq!(
            (url.engine, url.host.as_str(), url.port, url.tls),
            (EngineName::MySQL, "::1", Some(3307), TlsMode::VerifyCa)
        );
        assert_eq!(
            (url.username.as_str(), url.database.as_str()),
            ("re@t", "a b")
        );
        assert_eq!(url.password.unwrap().expose_secret(), "p/@#w");
        assert_eq!(url.ca, Some(PathBuf::from("/a b/ca.pem")));
    }

    #[test]
    fn what_is_wrong_is_told_without_a_word_of_the_url() {
        for (text, words) in [
            ("", "is not a URL"),
            ("hunter2", "is not a URL"),
            ("http://u:hunter2@h/d", "is not a URL"),
            ("postgres://u:hunter2#x@h/d", "%23"),
            ("postgres://u:%ffhunter2@h/d", "is not a URL"),
            ("postgres://u:hunter2@h:99999/d", "port"),
            ("postgres:///d?password=hunter2", "names no host"),
            ("postgres://:hunter2@h/d", "names no user"),
            ("postgres://u:hunter2@h", "names no database"),
            ("postgres://u@h/d?password=hunter2", "not understood"),
            (
                "postgres://u@h/d?sslmode=hunter2",
                "has an sslmode other than verify-full",
            ),
            (
                "postgres://u:hunter2@h/d?sslmode=require",
                "whoever answers",
            ),
            (
                "mysql://u:hunter2@h/d?ssl-mode=PREFERRED",
                "whoever answers",
            ),
        ] {
            let told = text.parse::<DatabaseUrl>().unwrap_err().to_string();
            assert!(told.contains(words), "{text}: {told}");
            assert!(!told.contains("hunter2") && !told.contains('\n'), "{told}");
        }
    }

    #[test]
    fn debug_says_nothing() {
        let shown = format!("{:?}", parsed("postgres://u:hunter2@h/d"));
        assert_eq!(shown, "DatabaseUrl { .. }");
    }
}
