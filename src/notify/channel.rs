//! One connection for one POST: TCP, TLS where the address says so, HTTP/1.1. Verifying the server is
//! rustls'.

use std::io;
use std::pin::pin;
use std::sync::Arc;

use http::Request;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use oubliette_core::settings::targets::Target;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::DeliveryFault;
use crate::database::PUBLIC_AUTHORITIES;

/// What is kept of an answer's head at the most; of its body nothing is.
const MOST_HEAD: usize = 16 << 10;

/// Sends the request and gives the status of the answer.
pub(super) async fn post(
    target: &Target,
    request: Request<Full<Bytes>>,
) -> Result<u16, DeliveryFault> {
    let address = &target.address;
    let host = address.host();
    // What is wrong at home comes first.
    let tls = if address.is_encrypted() {
        Some(verifying(target.ca_file.clone()).await?)
    } else {
        None
    };
    let stream = TcpStream::connect((host.as_str(), address.port()))
        .await
        .map_err(|error| DeliveryFault::Unreachable(error.kind()))?;
    let Some(tls) = tls else {
        return exchange(stream, request).await;
    };
    let name = ServerName::try_from(host).map_err(|_| {
        DeliveryFault::Tls("the host of the url is no name that a certificate holds")
    })?;
    let stream = TlsConnector::from(tls)
        .connect(name, stream)
        .await
        .map_err(|error| DeliveryFault::Tls(tls_hint(&error)))?;
    exchange(stream, request).await
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<u16, DeliveryFault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MOST_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| DeliveryFault::Closed)?;
    let mut answer = pin!(sender.send_request(request));
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer,
        // Whatever came last has been handed over.
        _ = connection => answer.await,
    };
    // The library's own error may quote what it could not read.
    let answer = answer.map_err(|_| DeliveryFault::Closed)?;
    Ok(answer.status().as_u16())
}

/// TLS that believes the target's own authorities, or else the public ones.
async fn verifying(ca_file: Option<String>) -> Result<Arc<ClientConfig>, DeliveryFault> {
    // Files are read, of which the system's are many.
    let roots = tokio::task::spawn_blocking(move || match ca_file {
        Some(path) => authorities_of(&path),
        None => public_authorities(),
    });
    let roots = roots
        .await
        .map_err(|_| DeliveryFault::Authorities("the authorities could not be read"))??;
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .expect("ring speaks the versions that rustls does")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn authorities_of(path: &str) -> Result<RootCertStore, DeliveryFault> {
    let pem = std::fs::read(path).map_err(|error| DeliveryFault::File {
        setting: "caFile",
        kind: error.kind(),
    })?;
    let roots = parsed(&pem);
    if roots.is_empty() {
        return Err(DeliveryFault::Authorities(
            "the target's caFile holds no PEM certificate of an authority",
        ));
    }
    Ok(roots)
}

/// Those that the image brings; outside of it, the system's.
fn public_authorities() -> Result<RootCertStore, DeliveryFault> {
    let mut roots = std::fs::read(PUBLIC_AUTHORITIES)
        .map_or_else(|_| RootCertStore::empty(), |pem| parsed(&pem));
    if roots.is_empty() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if roots.is_empty() {
        return Err(DeliveryFault::Authorities(
            "no public authorities are installed here: give the target a caFile",
        ));
    }
    Ok(roots)
}

fn parsed(pem: &[u8]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).filter_map(Result::ok));
    roots
}

fn tls_hint(error: &io::Error) -> &'static str {
    let inner = error.get_ref();
    match inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(error)) => match error {
            // A bad signature: another authority of the same name.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "the recipient's certificate is not issued by a trusted authority: give the \
                 authority's certificate with the target's caFile"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "the recipient's certificate is not valid for the host of the url"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the recipient's certificate has expired"
            }
            _ => {
                "the recipient's certificate is not acceptable: look at it with `openssl s_client`"
            }
        },
        _ => {
            "the TLS handshake with the recipient failed: check that it speaks TLS 1.2 or 1.3 there"
        }
    }
}
