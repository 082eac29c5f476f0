//! How a command line names what it is about: a policy by its name, a person's request as `oer/NAME`.

use std::convert::Infallible;
use std::str::FromStr;

use oubliette_core::api::approval::TargetKind;

/// A policy or a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What it is.
    pub kind: TargetKind,
    /// Its name.
    pub name: String,
}

/// The names of the kind, as kubectl takes them.
const REQUESTS: [&str; 3] = ["oer", "erasurerequest", "erasurerequests"];
const POLICIES: [&str; 3] = ["orp", "retentionpolicy", "retentionpolicies"];

impl FromStr for Target {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let (kind, name) = match text.split_once('/') {
            Some((kind, name)) if REQUESTS.contains(&kind) => (TargetKind::ErasureRequest, name),
            Some((kind, name)) if POLICIES.contains(&kind) => (TargetKind::RetentionPolicy, name),
            // What is no name the API server does not find.
            Some(_) | None => (TargetKind::RetentionPolicy, text),
        };
        Ok(Self {
            kind,
            name: name.to_owned(),
        })
    }
}

/// The name of a request, with or without `oer/`.
pub fn request_name(text: &str) -> Result<String, Infallible> {
    let target: Target = text.parse()?;
    Ok(target.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_policy_s_unless_it_says_otherwise() {
        let read = |text: &str| text.parse::<Target>().unwrap();
        for text in ["x", "orp/x", "retentionpolicies/x"] {
            assert_eq!(read(text).kind, TargetKind::RetentionPolicy, "{text}");
            assert_eq!(read(text).name, "x");
        }
        for text in ["oer/x", "erasurerequest/x"] {
            assert_eq!(read(text).kind, TargetKind::ErasureRequest, "{text}");
            assert_eq!(request_name(text).unwrap(), "x");
        }
        assert_eq!(request_name("x").unwrap(), "x");
        assert_eq!(read("pod/x").name, "pod/x");
    }
}
