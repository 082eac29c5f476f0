//! Whose a ledger is: a TargetDatabase of a cluster, or `oubliette apply` without one.

use std::fmt;

use crate::digest::Digest;

/// Whose a ledger is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The cluster: the UID of its `kube-system` namespace, or a UUID of its own without a cluster.
    pub cluster: String,
    /// The UID of the TargetDatabase.
    pub database: String,
}

/// What stands in a ledger for the cluster where there is none. No UID of a namespace reads like it.
const NO_CLUSTER: &str = "none";

impl Owner {
    /// An owner without a cluster: `oubliette apply`. The ledger itself is where its UUID is kept, so
    /// that whoever comes with the database's own credentials goes on as the same owner.
    pub fn without_cluster(uuid: impl Into<String>) -> Self {
        Self {
            cluster: NO_CLUSTER.to_owned(),
            database: uuid.into(),
        }
    }

    /// Whether it is one without a cluster.
    pub fn is_without_cluster(&self) -> bool {
        self.cluster == NO_CLUSTER
    }

    /// What stands for a resource's UID without a cluster: the same for the same kind, namespace and
    /// name under this owner, so that a later process finds the runs of an earlier one.
    pub fn uid_of(&self, kind: &str, namespace: &str, name: &str) -> String {
        let text = format!("{}\n{kind}\n{namespace}/{name}", self.database);
        let digest = Digest::of_bytes(text);
        let number = digest
            .as_bytes()
            .iter()
            .take(16)
            .fold(0_u128, |number, byte| (number << 8) | u128::from(*byte));
        uuid(number)
    }
}

/// A number in the form of a UUID of version 8 (RFC 9562: its bits are the maker's own).
pub fn uuid(number: u128) -> String {
    let bits = (number & !(0xf << 76) & !(0x3 << 62)) | (0x8 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    [
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32),
    ]
    .join("-")
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_without_cluster() {
            write!(f, "`oubliette apply` without a cluster ({})", self.database)
        } else {
            write!(
                f,
                "the TargetDatabase with UID {} of the cluster {}",
                self.database, self.cluster
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_without_a_cluster_is_known_by_its_words_and_gives_stable_uids() {
        let ours = Owner::without_cluster(uuid(7));
        let cluster = Owner {
            cluster: uuid(7),
            database: uuid(7),
        };
        assert!(ours.is_without_cluster() && !cluster.is_without_cluster());
        let uid = ours.uid_of("RetentionPolicy", "crm", "old");
        assert_eq!(uid, ours.uid_of("RetentionPolicy", "crm", "old"));
        let others = [
            ours.uid_of("RetentionPolicy", "crm", "ol"),
            ours.uid_of("RetentionPolicy", "web", "old"),
            Owner::without_cluster(uuid(8)).uid_of("RetentionPolicy", "crm", "old"),
        ];
        assert!(!others.contains(&uid));
        assert_eq!(uid.len(), 36, "the ledger has room for 64: {uid}");
    }

    #[test]
    fn a_number_reads_as_a_uuid_of_version_8() {
        assert_eq!(uuid(0), "00000000-0000-8000-8000-000000000000");
        assert_eq!(uuid(u128::MAX), "ffffffff-ffff-8fff-bfff-ffffffffffff");
    }
}
