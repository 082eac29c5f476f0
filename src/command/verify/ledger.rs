//! The evidence chains of databases, and whether heads that are remembered elsewhere are in them.

use anyhow::{Context, bail};
use oubliette_core::digest::Digest;
use oubliette_core::erasure::Document;
use oubliette_core::ledger::{Chain, Owner};
use oubliette_core::name::Ident;

use super::{Check, Checked, Outcome, Request};
use crate::database::Database;
use crate::inputs::files;
use crate::inputs::offline::Offline;
use crate::work::owned::{self, Derived};

/// What is looked for in chains.
pub(super) struct Sought<'s> {
    /// Heads that were given.
    pub(super) heads: &'s [Digest],
    /// Whether a certificate was given.
    pub(super) given: bool,
    /// It, where it has the right form.
    pub(super) document: Option<&'s Document>,
}

/// Looks at the ledgers that are asked for. `place`: where it is in a database that is given by its URL.
pub(super) async fn look(
    request: &Request,
    place: &Ident,
    sought: &Sought<'_>,
) -> anyhow::Result<Vec<Checked>> {
    if request.files.is_empty() {
        let Some((target, database)) = request.given.connect().await? else {
            bail!("no database: give manifests with -f, or a database with --database-url");
        };
        let ledger = Looked {
            name: None,
            only: true,
        };
        let checked = ledger.checks(&database, place, sought).await;
        database.close().await;
        return Ok(vec![Checked::new(target.address(), None, checked?)]);
    }
    let manifests = files::read(&request.files, &request.namespace)?;
    let url = request.given.database()?;
    if manifests.policies.is_empty() && url.is_some() {
        bail!(
            "--database-url needs a RetentionPolicy among the manifests: leave out one of the two"
        );
    }
    let (mut offline, _) = Offline::new(manifests, url)?;
    let checked = all(&mut offline, sought).await;
    offline.close().await;
    checked
}

async fn all(offline: &mut Offline, sought: &Sought<'_>) -> anyhow::Result<Vec<Checked>> {
    let targets = offline.targets();
    if targets.is_empty() {
        bail!("no TargetDatabase among the manifests: its file says where the ledger is");
    }
    let only = targets.len() == 1;
    let mut all = Vec::new();
    for (name, target) in targets {
        let failed = || format!("TargetDatabase {name}");
        let database = offline
            .connect_to(&name, &target)
            .await
            .with_context(failed)?;
        let ledger = Looked {
            name: Some(name.to_string()),
            only,
        };
        let checks = ledger.checks(&database, &target.ledger, sought).await;
        let named = format!("{name} at {}", target.address());
        all.push(Checked::new(named, None, checks.with_context(failed)?));
    }
    Ok(all)
}

/// One ledger.
struct Looked {
    /// The TargetDatabase, where it is known.
    name: Option<String>,
    /// Whether no other one is looked at.
    only: bool,
}

impl Looked {
    async fn checks(
        &self,
        database: &Database,
        place: &Ident,
        sought: &Sought<'_>,
    ) -> anyhow::Result<Vec<Check>> {
        let named = sought.document.iter();
        let named = named.flat_map(|document| document.certificate.heads());
        let all = named.map(|(_, head)| head).chain(sought.heads.to_vec());
        let Some(derived) = owned::derive(database, place, Chain::seeking(all)).await? else {
            return Ok(vec![Check::differs(
                "chain",
                "there is no ledger in this database",
            )]);
        };
        let Derived {
            chain,
            fault,
            owner,
        } = derived;
        let length = chain.length();
        let mut checks = vec![match fault {
            Some(fault) => Check::differs("chain", fault.to_string()),
            None if length == 0 => Check::fits("chain", "it is empty"),
            None => {
                let head = chain.head();
                Check::fits("chain", format!("{length} entries, the last is {head}"))
            }
        }];
        for head in sought.heads {
            checks.push(if chain.missed().contains(head) {
                Check::differs("head", format!("{head} {MISSED}"))
            } else {
                Check::fits("head", format!("{head} is in the chain"))
            });
        }
        if let Some(document) = sought.document {
            checks.push(self.heads(document, &chain, owner.as_ref()));
        } else if sought.given {
            checks.push(Check::new(
                "certificate",
                Outcome::NotChecked,
                "its form is not the right one: nobody can tell its heads",
            ));
        }
        Ok(checks)
    }

    /// Whether the heads that the certificate has of this ledger are in its chain.
    fn heads(&self, document: &Document, chain: &Chain, owner: Option<&Owner>) -> Check {
        let check = "certificate";
        let is_ours = |uid: &str, name: &str| {
            owner.is_some_and(|owner| owner.database == uid) || self.name.as_deref() == Some(name)
        };
        let (ours, others): (Vec<_>, Vec<_>) = document
            .certificate
            .heads()
            .partition(|(erased, _)| is_ours(&erased.uid, &erased.database));
        let missed = |head: &Digest| chain.missed().contains(head);
        if let Some((_, head)) = ours.iter().find(|(_, head)| missed(head)) {
            return Check::differs(check, format!("its head {head} {MISSED}"));
        }
        // A ledger that was handed over belongs to a TargetDatabase of another UID.
        let found = ours.iter().chain(&others).find(|(_, head)| !missed(head));
        match found {
            Some((erased, head)) => Check::fits(
                check,
                format!("its head {head} of {} is in the chain", erased.database),
            ),
            None if self.only => Check::differs(check, format!("none of its heads {FEW}")),
            None => Check::new(
                check,
                Outcome::LeftOut,
                "it has no head of this database's ledger",
            ),
        }
    }
}

const MISSED: &str = "is not in the chain: it was written anew, its database was restored from a \
                      backup, or it is another one's";
const FEW: &str = "is in the chain: it was written anew, its database was restored from a backup, or \
                   the certificate is about other databases";
