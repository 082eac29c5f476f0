//! Keys of certificates, and what they sign: Ed25519, by the TLS provider's own implementation.
//!
//! Owns private keys in memory, wiped when dropped, and which public key a signature is by. What is
//! signed is core's to say.

use std::fmt;
use std::path::Path;

use oubliette_core::digest::Digest;
use oubliette_core::erasure::{Certificate, Document, Signature};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use secrecy::{ExposeSecret, SecretSlice};
use zeroize::{Zeroize, Zeroizing};

/// What stands before the 32 bytes of an Ed25519 key in DER, as RFC 8410 has it.
const SPKI: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFault {
    /// The file cannot be read.
    #[error("the key {file} cannot be read")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file holds no such key.
    #[error(
        "{file} holds no private key of Ed25519 in PEM form (PKCS#8, not encrypted): make one with \
         `openssl genpkey -algorithm ed25519`"
    )]
    NoPrivateKey {
        /// The file.
        file: String,
    },
    /// The file holds no such key.
    #[error(
        "{file} holds no public key of Ed25519 in PEM form: `openssl pkey -in PRIVATE -pubout` writes it"
    )]
    NoPublicKey {
        /// The file.
        file: String,
    },
}

/// A private key. Shown nowhere, and wiped when dropped.
pub struct SigningKey {
    /// PKCS#8: the pair that is made of it is not wiped by `ring`, so it lives while it signs only.
    der: SecretSlice<u8>,
    public: PublicKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public.digest())
    }
}

impl SigningKey {
    /// Reads a PEM file.
    pub fn read(file: &Path) -> Result<Self, KeyFault> {
        let pem = std::fs::read(file).map_err(|source| unreadable(file, source))?;
        let pem = Zeroizing::new(pem);
        Self::of_pem(&pem).ok_or_else(|| KeyFault::NoPrivateKey { file: shown(file) })
    }

    /// The only private key of a PEM text; `None`: there is none of Ed25519, or there are several.
    pub fn of_pem(pem: &[u8]) -> Option<Self> {
        let mut keys = PrivatePkcs8KeyDer::pem_slice_iter(pem);
        let (Some(Ok(mut key)), None) = (keys.next(), keys.next()) else {
            return None;
        };
        let der = SecretSlice::from(key.secret_pkcs8_der().to_vec());
        key.zeroize();
        let pair = pair(&der)?;
        let public = PublicKey(pair.public_key().as_ref().try_into().ok()?);
        Some(Self { der, public })
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Signature {
        let pair = pair(&self.der).expect("it was a key when it was read");
        let signature = pair.sign(message);
        let bytes = signature.as_ref().try_into();
        Signature(bytes.expect("a signature of Ed25519 has 64 bytes"))
    }
}

/// Version 1, as OpenSSL writes it, has no public key in it; of version 2 it is compared.
fn pair(der: &SecretSlice<u8>) -> Option<Ed25519KeyPair> {
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.expose_secret()).ok()
}

/// A public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Reads the keys of a PEM file: one, or several that followed each other.
    pub fn read(file: &Path) -> Result<Vec<Self>, KeyFault> {
        let pem = std::fs::read(file).map_err(|source| unreadable(file, source))?;
        let keys = Self::of_pem(&pem).filter(|keys| !keys.is_empty());
        keys.ok_or_else(|| KeyFault::NoPublicKey { file: shown(file) })
    }

    /// The keys of a PEM text; `None`: one of them is none of Ed25519.
    pub fn of_pem(pem: &[u8]) -> Option<Vec<Self>> {
        SubjectPublicKeyInfoDer::pem_slice_iter(pem)
            .map(|der| {
                let key = der.ok()?;
                Some(Self(key.strip_prefix(&SPKI)?.try_into().ok()?))
            })
            .collect()
    }

    /// By what certificates name it: the digest of its DER form, SubjectPublicKeyInfo.
    pub fn digest(&self) -> Digest {
        Digest::of_bytes([SPKI.as_slice(), &self.0].concat())
    }

    /// Whether the signature is by this key.
    pub fn has_signed(&self, message: &[u8], signature: &Signature) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, self.0);
        key.verify(message, &signature.0).is_ok()
    }
}

/// The certificate as it is handed out: signed where there is a key.
pub fn issue(certificate: &Certificate, key: Option<&SigningKey>) -> Document {
    let mut document = Document::unsigned(certificate);
    if let Some(key) = key {
        document.signature = Some(key.sign(certificate.to_canonical().as_bytes()));
        document.key = Some(key.public().digest());
    }
    document
}

fn unreadable(file: &Path, source: std::io::Error) -> KeyFault {
    KeyFault::Unreadable {
        file: shown(file),
        source,
    }
}

fn shown(file: &Path) -> String {
    file.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `openssl genpkey -algorithm ed25519` writes it: version 1. The key of RFC 8410, section 10.3.
    const V1: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";
    /// The same with its public key, and an attribute: version 2, from the same section.
    const V2: &str = "-----BEGIN PRIVATE KEY-----
MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
oB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB
Z9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PRIVATE KEY-----
";
    /// Its public key, from section 10.1.
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
";

    #[test]
    fn both_versions_of_a_private_key_are_the_public_one() {
        let public = PublicKey::of_pem(PUBLIC.as_bytes()).unwrap();
        for pem in [V1, V2] {
            let key = SigningKey::of_pem(pem.as_bytes()).unwrap();
            assert_eq!(public, [*key.public()]);
            let signature = key.sign(b"what was done");
            assert!(public[0].has_signed(b"what was done", &signature));
            assert!(!public[0].has_signed(b"what was not", &signature));
            let shown = format!("{key:?}");
            assert_eq!(shown, format!("SigningKey({})", public[0].digest()));
        }
    }

    #[test]
    fn a_signature_is_the_one_of_rfc_8032() {
        // Section 7.1, test 3.
        let seed = "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7";
        let signed = "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
                      18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a";
        let der = hex::decode(format!("302e020100300506032b657004220420{seed}")).unwrap();
        let pair = pair(&SecretSlice::from(der)).unwrap();
        assert_eq!(hex::encode(pair.sign(&[0xaf, 0x82]).as_ref()), signed);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let two = format!("{V1}{V2}");
        let short = PUBLIC.replace("ZuE=", "Zg==");
        for pem in ["", PUBLIC, &two, "-----BEGIN PRIVATE KEY-----\nMA==\n"] {
            assert!(SigningKey::of_pem(pem.as_bytes()).is_none(), "{pem}");
        }
        assert_eq!(PublicKey::of_pem(V1.as_bytes()).unwrap(), []);
        assert_eq!(PublicKey::of_pem(short.as_bytes()), None);
        let both = format!("{PUBLIC}{PUBLIC}");
        assert_eq!(PublicKey::of_pem(both.as_bytes()).unwrap().len(), 2);
    }
}
