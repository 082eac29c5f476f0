//! A certificate as it is handed out: with its digest and, where there is a key, a signature.
//!
//! Owns the form of the file and what is looked at without a key. It must not verify signatures: that is
//! `signing`'s, outside of core.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::certificate::Certificate;
use crate::digest::{Digest, canonical_json};

/// A certificate, its digest and signature: the file that people keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document {
    /// What was done.
    pub certificate: Certificate,
    /// Digest of its canonical JSON.
    pub digest: Digest,
    /// Ed25519 over its canonical JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
    /// Digest of the public key: of its DER form, SubjectPublicKeyInfo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Digest>,
}

/// The 64 bytes of an Ed25519 signature, written as base64.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signature(pub [u8; 64]);

impl From<Signature> for String {
    fn from(signature: Signature) -> Self {
        STANDARD.encode(signature.0)
    }
}

impl TryFrom<String> for Signature {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = STANDARD.decode(text).unwrap_or_default();
        let bytes = bytes.try_into();
        bytes.map(Self).map_err(|_| "is not 64 bytes in base64")
    }
}

/// Why a file is not a certificate's, to the letter.
#[derive(Debug, Error)]
pub enum FormFault {
    /// It does not read as one.
    #[error("it does not read as a certificate of this form: {0}")]
    NotADocument(#[source] serde_json::Error),
    /// Its bytes are others than those that were written.
    #[error(
        "it is not in its canonical form (RFC 8785): it was edited or formatted anew; take the file as \
         it was handed out"
    )]
    NotCanonical,
    /// Only one of two.
    #[error("it has a signature or a key, and not both")]
    HalfSigned,
}

impl Document {
    /// A certificate without a signature.
    pub fn unsigned(certificate: &Certificate) -> Self {
        Self {
            certificate: certificate.clone(),
            digest: Digest::of_bytes(certificate.to_canonical()),
            signature: None,
            key: None,
        }
    }

    /// The bytes of the file.
    pub fn to_canonical(&self) -> String {
        canonical_json(self).expect("a certificate is made of texts and whole numbers")
    }

    /// Reads a file to the letter: no unknown field, no key twice, no other form. Digest and signature
    /// are not compared.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormFault> {
        let document: Self = serde_json::from_slice(bytes).map_err(FormFault::NotADocument)?;
        if document.signature.is_some() != document.key.is_some() {
            return Err(FormFault::HalfSigned);
        }
        // What was read is written as it has to be: whatever differs was written by somebody else.
        if document.to_canonical().as_bytes() != bytes {
            return Err(FormFault::NotCanonical);
        }
        Ok(document)
    }
}

/// What a file claims, whether or not it has the right form: each claim is looked at by itself, so that
/// all that differs is told.
#[derive(Debug, Default)]
pub struct Claims {
    /// The canonical JSON of what stands for the certificate.
    pub certificate: Option<String>,
    /// The digest that it names.
    pub digest: Option<Digest>,
    /// The signature, where it reads as one.
    pub signature: Option<Signature>,
    /// The key that it names.
    pub key: Option<Digest>,
}

impl Claims {
    /// Reads what can be read.
    pub fn of(bytes: &[u8]) -> Self {
        let read: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let certificate = read.get("certificate");
        Self {
            certificate: certificate.and_then(|certificate| canonical_json(certificate).ok()),
            digest: field(&read, "digest"),
            signature: field(&read, "signature"),
            key: field(&read, "key"),
        }
    }

    /// The digest of what stands for the certificate.
    pub fn computed(&self) -> Option<Digest> {
        self.certificate.as_ref().map(Digest::of_bytes)
    }
}

fn field<T: for<'de> Deserialize<'de>>(read: &Value, name: &str) -> Option<T> {
    T::deserialize(read.get(name)?).ok()
}
