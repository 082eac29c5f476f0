//! Why a database or its ledger refuses a command, with what helps whoever sits in front of it: a reason's
//! own remedy is for a cluster.

use oubliette_core::api::reason::Reason;
use oubliette_core::plan::Refusal;

use crate::inputs::offline::Offline;
use crate::inputs::secrets::GatherFault;
use crate::ledger::LedgerFault;

/// Why a database or key was not got.
pub(super) fn not_gathered(fault: &GatherFault, offline: &Offline) -> Refusal {
    let refusal = Refusal::whole(fault.reason(), fault.to_string());
    match (refusal.reason, offline.is_given()) {
        (Reason::Unreachable, _) => {
            refusal.remedy("check host, port, firewalls and whether the database runs")
        }
        (Reason::AuthenticationFailed, true) => refusal.remedy(
            "correct the user in --database-url, or the password: OUBLIETTE_DATABASE_PASSWORD, \
             --password-file or the URL",
        ),
        (Reason::CertificateInvalid, true) => refusal.remedy(
            "give the right CA in --database-url (sslrootcert=FILE, ssl-ca=FILE), and a host name \
             that the certificate carries",
        ),
        (Reason::NoSuchDatabase, true) => {
            refusal.remedy("correct the database in --database-url, or create it")
        }
        _ => refusal,
    }
}

/// Why a ledger was not read or written.
pub(super) fn of_ledger(fault: &LedgerFault) -> Refusal {
    let refusal = Refusal::whole(fault.reason(), fault.to_string());
    if fault.reason() == Reason::LedgerOwned {
        return refusal.remedy(
            "when nobody carries policies out there any more, take the ledger over with \
             `oubliette ledger adopt -f FILE`, with the same manifests as here",
        );
    }
    refusal
}
