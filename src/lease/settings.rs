//! Which lease, and how patiently: the times of an election and what they must satisfy.

use std::time::Duration;

/// Which lease, who asks for it, and how patiently.
#[derive(Clone, Debug)]
pub struct LeaseSettings {
    /// The namespace of the Lease object: the operator's own.
    pub namespace: String,
    /// The name of the Lease object.
    pub name: String,
    /// Who this is: must differ between any two processes, also after a restart.
    pub identity: String,
    /// How long others wait after the last renewal that they saw.
    pub lease_duration: Duration,
    /// How long after the last renewal that succeeded the work is stopped.
    pub renew_deadline: Duration,
    /// How long to pause between two attempts.
    pub retry_period: Duration,
}

impl LeaseSettings {
    /// client-go's times (15 s, 10 s, 2 s), and an identity made of the pod's name and a number
    /// that no other process has.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>, pod: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            identity: format!("{pod}_{:016x}", rand::random::<u64>()),
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }

    /// What is wrong with the times, if they cannot work together.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.identity.is_empty() {
            return Err("the identity is empty");
        }
        if self.retry_period.is_zero() {
            return Err("the retry period must be longer than nothing");
        }
        if self.renew_deadline < self.retry_period * 2 {
            return Err("the renew deadline must leave time for two retry periods");
        }
        if self.lease_duration <= self.renew_deadline {
            return Err("the lease duration must be longer than the renew deadline");
        }
        Ok(())
    }

    /// How long one call to the API server may take: more than two fit into the deadline.
    pub(super) fn call_timeout(&self) -> Duration {
        self.renew_deadline / 3
    }

    /// What remains for the work to wind down between its cancellation and a takeover.
    pub(super) fn grace(&self) -> Duration {
        self.lease_duration.saturating_sub(self.renew_deadline)
    }

    /// The duration in whole seconds, as the Lease states it. Rounded up: that others wait too
    /// long is harmless.
    pub(super) fn stated_seconds(&self) -> i32 {
        let whole = self.lease_duration.as_secs();
        let seconds = whole + u64::from(self.lease_duration.subsec_nanos() > 0);
        i32::try_from(seconds).unwrap_or(i32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_never_used_twice_even_by_the_same_pod() {
        let of = || LeaseSettings::new("ns", "lease", "oubliette-0").identity;
        assert_ne!(of(), of());
        assert!(of().starts_with("oubliette-0_"));
    }

    #[test]
    fn the_stated_duration_is_rounded_up() {
        let mut settings = LeaseSettings::new("ns", "lease", "pod");
        assert_eq!(settings.stated_seconds(), 15);
        settings.lease_duration = Duration::from_millis(1_001);
        assert_eq!(settings.stated_seconds(), 2);
    }
}
