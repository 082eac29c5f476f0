//! Why a plan is refused, and what would resolve it.

use std::fmt;

use crate::api::reason::Reason;

/// One thing that stands in the way of a plan. Names objects, tables and columns, never a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The rule it is about; `None`: the whole policy.
    pub rule: Option<String>,
    /// The class.
    pub reason: Reason,
    /// What is in the way.
    pub message: String,
    /// The YAML or the grant that resolves it.
    pub remedy: Option<String>,
}

impl Refusal {
    /// A refusal of one rule.
    pub fn of(rule: &str, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            rule: Some(rule.to_owned()),
            reason,
            message: message.into(),
            remedy: None,
        }
    }

    /// A refusal of the whole policy.
    pub fn whole(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            rule: None,
            reason,
            message: message.into(),
            remedy: None,
        }
    }

    /// With the YAML or grant that resolves it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rule,
            reason: _,
            message,
            remedy,
        } = self;
        if let Some(rule) = rule {
            write!(f, "rule {rule}: ")?;
        }
        f.write_str(message)?;
        if let Some(remedy) = remedy {
            write!(f, "\n{remedy}")?;
        }
        Ok(())
    }
}
