//! Which certificate authorities the driver is given. Verifying a server by them is the driver's.

use std::path::Path;

use super::connect::Tls;
use super::fault::{Fault, FaultClass};

/// The public authorities that the image brings, where no library looks by itself. The driver adds
/// to `tls.ca` whatever the system trusts; with VerifyCa, which looks at no name, anybody with a
/// public certificate could then pose as the database. In the image the system trusts nobody.
pub const PUBLIC_AUTHORITIES: &str = "/usr/share/oubliette/authorities.pem";

/// What a server's certificate has to come from.
pub(super) enum Authorities {
    /// What is in this PEM. The driver adds what the system trusts.
    Pem(Vec<u8>),
    /// The same of a file, which is read for each connection: hundreds of databases would each hold a
    /// quarter of a megabyte.
    File(&'static str),
}

/// What a server's certificate has to come from.
///
/// The driver takes a CA file without a certificate in it for "no further authorities", and without
/// a CA of its own VerifyCa would accept any public certificate: both are refused.
pub(super) fn authorities(tls: Tls, ca: Option<&[u8]>) -> Result<Authorities, Fault> {
    let hint = match (ca, tls) {
        (_, Tls::Disable) => return Ok(Authorities::Pem(Vec::new())),
        // Outside the image the file is not there, and the driver takes the system's authorities.
        (None, Tls::VerifyFull) => {
            return Ok(if Path::new(PUBLIC_AUTHORITIES).is_file() {
                Authorities::File(PUBLIC_AUTHORITIES)
            } else {
                Authorities::Pem(Vec::new())
            });
        }
        (None, Tls::VerifyCa) => {
            "tls.mode VerifyCa needs tls.ca: without it every public certificate would do"
        }
        (Some(pem), Tls::VerifyFull | Tls::VerifyCa) => {
            let marker = b"-----BEGIN CERTIFICATE-----";
            if pem.windows(marker.len()).any(|part| part == marker) {
                return Ok(Authorities::Pem(pem.to_vec()));
            }
            "tls.ca holds no PEM certificate"
        }
    };
    Err(Fault::own(FaultClass::Certificate, hint))
}
