//! The bed's own certificate authority: every server gets a certificate of it, valid for
//! `localhost` and `127.0.0.1`. It must not be used for anything that outlives the bed.

use std::{path::Path, sync::OnceLock};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};

use crate::scratch::write_file;

/// A certificate authority that lives in memory.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its private key, both in PEM form.
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// The private key (PKCS 8).
    pub key: String,
}

impl Authority {
    /// Makes a new authority; tests use a second one to show that its certificates are refused.
    pub fn new() -> Result<Self> {
        let mut params = dated(CertificateParams::new(Vec::new())?);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
            .distinguished_name
            .push(DnType::CommonName, "oubliette test bed");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Self { issuer })
    }

    /// The certificate of the authority, in PEM form.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Issues a server certificate for host names and addresses.
    pub fn issue(&self, names: &[&str]) -> Result<Issued> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = dated(CertificateParams::new(names)?);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params
            .distinguished_name
            .push(DnType::CommonName, "oubliette test server");
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }

    /// Writes `ca.pem`, `server.pem` and `server.key` into a folder, the key readable by its owner only.
    pub(crate) fn write_into(&self, folder: &Path) -> Result<()> {
        let issued = self.issue(&["localhost", "127.0.0.1"])?;
        write_file(&folder.join("ca.pem"), self.pem().as_bytes(), 0o644)?;
        write_file(
            &folder.join("server.pem"),
            issued.certificate.as_bytes(),
            0o644,
        )?;
        write_file(&folder.join("server.key"), issued.key.as_bytes(), 0o600)
    }
}

/// The one authority of this process.
pub fn authority() -> Result<&'static Authority> {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    if let Some(authority) = AUTHORITY.get() {
        return Ok(authority);
    }
    let fresh = Authority::new().context("failed to make the bed's certificate authority")?;
    Ok(AUTHORITY.get_or_init(|| fresh))
}

/// Writes a new key pair, for signing service account tokens.
pub(crate) fn write_key_pair(private: &Path, public: &Path) -> Result<()> {
    let pair = KeyPair::generate()?;
    write_file(private, pair.serialize_pem().as_bytes(), 0o600)?;
    write_file(public, pair.public_key_pem().as_bytes(), 0o644)
}

fn dated(mut params: CertificateParams) -> CertificateParams {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 1, 1);
    params
}
