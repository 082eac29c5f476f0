//! A recipient that a test starts, and what it has received.

use std::sync::{Arc, Mutex};

use bed::Issued;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What a recipient does with one connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Does {
    /// Answers with a head, and with a body that nobody is to repeat.
    Answers(&'static str),
    /// Redirects to a port.
    Redirects(u16),
    /// Reads and never answers.
    Hangs,
    /// Reads and goes.
    Closes,
    /// Answers without an end.
    Babbles,
}

pub(super) const ACCEPTS: Does = Does::Answers("204 No Content");

/// A request as it was received.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Received {
    pub(super) fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found
            .next()
            .unwrap_or_else(|| panic!("no {name}: {}", self.head))
            .1
    }

    pub(super) fn event(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A recipient, and what it has received.
pub(super) struct Recipient {
    pub(super) port: u16,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Recipient {
    pub(super) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Does one thing after the other, for a connection each; over TLS where there is a certificate.
    pub(super) async fn starts(certificate: Option<&Issued>, does: Vec<Does>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let acceptor = certificate.map(acceptor);
        let log = Arc::clone(&received);
        tokio::spawn(async move {
            for does in does {
                let (stream, _) = listener.accept().await.unwrap();
                match &acceptor {
                    None => serve(stream, does, &log).await,
                    Some(acceptor) => {
                        // A client that does not believe the certificate goes.
                        if let Ok(stream) = acceptor.accept(stream).await {
                            serve(stream, does, &log).await;
                        }
                    }
                }
            }
        });
        Self { port, received }
    }
}

fn acceptor(issued: &Issued) -> TlsAcceptor {
    let certificates = CertificateDer::pem_slice_iter(issued.certificate.as_bytes());
    let certificates = certificates.collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    does: Does,
    received: &Mutex<Vec<Received>>,
) {
    let mut bytes = Vec::new();
    let request = loop {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
        if let Some(request) = whole(&bytes) {
            break request;
        }
    };
    received.lock().unwrap().push(request);
    // The client may be gone by the time of an answer.
    match does {
        Does::Answers(status) => {
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: 4\r\nx-hush: hush\r\n\r\nhush");
            let answer = match status {
                "204 No Content" => "HTTP/1.1 204 No Content\r\n\r\n",
                _ => &answer,
            };
            let _ = stream.write_all(answer.as_bytes()).await;
        }
        Does::Redirects(port) => {
            let location = format!("location: http://127.0.0.1:{port}/hush");
            let answer = format!("HTTP/1.1 307 Moved\r\n{location}\r\ncontent-length: 0\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
        Does::Hangs => {
            let _ = stream.read_to_end(&mut bytes).await;
        }
        Does::Closes => {}
        Does::Babbles => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nx-hush: ").await;
            while stream.write_all(b"hush hush hush hush ").await.is_ok() {}
        }
    }
    let _ = stream.shutdown().await;
}

/// The request, once all of it is there.
fn whole(bytes: &[u8]) -> Option<Received> {
    let end = bytes.windows(4).position(|part| part == b"\r\n\r\n")? + 4;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let received = Received {
        head,
        body: bytes[end..].to_vec(),
    };
    let length: usize = received.header("content-length").parse().unwrap();
    (received.body.len() == length).then_some(received)
}
