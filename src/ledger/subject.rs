//! What the ledger remembers of persons whose requests are carried out.

use oubliette_core::erasure::recorded::Recorded;
use oubliette_core::ledger::Ledger;
use oubliette_core::sql::Bound;

use super::{LedgerFault, Store, finish};

/// What is remembered for a request.
#[derive(Clone, Debug)]
pub enum Subject {
    /// Nothing: it has not begun here.
    Unknown,
    /// The person's keys.
    Open(Recorded),
    /// The request has ended here, and the person is forgotten.
    Ended,
}

impl Store {
    /// Whether the ledger can remember persons by now: it may be of an earlier version, or somebody died
    /// while creating it.
    pub(super) async fn has_subjects(&self) -> Result<bool, LedgerFault> {
        Ok(self.is_present().await? && self.ledger.has_subjects(&self.found().await?))
    }

    /// What is remembered for a request and a map.
    pub async fn subject(&self, request: &str, map: &str) -> Result<Subject, LedgerFault> {
        if !self.has_subjects().await? {
            return Ok(Subject::Unknown);
        }
        let rows = self.read(&self.ledger.subject(request, map)).await?;
        let Some(row) = rows.first() else {
            return Ok(Subject::Unknown);
        };
        let read = Ledger::read_subject(row).ok_or(LedgerFault::Malformed("subject"))?;
        Ok(read.map_or(Subject::Ended, Subject::Open))
    }

    /// Remembers a person until the request has ended. What was remembered before stays.
    pub async fn remember(
        &self,
        request: &str,
        map: &str,
        recorded: &Recorded,
    ) -> Result<(), LedgerFault> {
        self.write(&[self.ledger.insert_subject(request, map, recorded)])
            .await
    }

    /// Remembers more of a person, as long as the request has not ended.
    pub async fn remember_more(
        &self,
        request: &str,
        map: &str,
        recorded: &Recorded,
    ) -> Result<(), LedgerFault> {
        self.write(&[self.ledger.update_subject(request, map, recorded)])
            .await
    }

    /// Remembers a person whose request is carried out once more.
    pub async fn remember_again(
        &self,
        request: &str,
        map: &str,
        recorded: &Recorded,
    ) -> Result<(), LedgerFault> {
        self.write(&[
            self.ledger.insert_subject(request, map, recorded),
            self.ledger.replace_subject(request, map, recorded),
        ])
        .await
    }

    /// Forgets a person.
    pub async fn forget(&self, request: &str, map: &str) -> Result<(), LedgerFault> {
        self.write(&[self.ledger.clear_subject(request, map)]).await
    }

    /// Writes these, all of them or none.
    async fn write(&self, statements: &[Bound]) -> Result<(), LedgerFault> {
        let mut tx = self.begin().await?;
        for statement in statements {
            tx.change(statement).await?;
        }
        finish(tx).await
    }
}
