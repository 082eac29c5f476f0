//! A network between a client and a server that loses an answer or lies: what no real server can be
//! made to show at a chosen instant.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const WELL: u8 = 0;
const DEAF: u8 = 1;
const CUT: u8 = 2;

/// Forwards connections to one port of this machine. Ends when it is dropped.
pub(crate) struct Proxy {
    port: u16,
    mood: Arc<AtomicU8>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// Starts one in front of `target`.
    pub(crate) async fn start(target: u16) -> Result<Self> {
        Self::listen(target, Lie::None).await
    }

    /// Starts one that tells clients the server has no TLS.
    pub(crate) async fn stripping_tls(target: u16, postgres: bool) -> Result<Self> {
        let lie = if postgres { Lie::Postgres } else { Lie::MySql };
        Self::listen(target, lie).await
    }

    async fn listen(target: u16, lie: Lie) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("no free port")?;
        let port = listener.local_addr()?.port();
        let mood = Arc::new(AtomicU8::new(WELL));
        let shared = Arc::clone(&mood);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, target, lie, Arc::clone(&shared)));
            }
        });
        Ok(Self { port, mood, task })
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// From now on questions reach the server; at its answer the connection ends.
    pub(crate) fn lose_answers(&self) {
        self.mood.store(DEAF, Ordering::SeqCst);
    }

    /// From now on nothing reaches the server: at the next question the connection ends.
    pub(crate) fn cut(&self) {
        self.mood.store(CUT, Ordering::SeqCst);
    }

    /// Forwards again.
    pub(crate) fn restore(&self) {
        self.mood.store(WELL, Ordering::SeqCst);
    }
}

/// What a client is told of the server's TLS.
#[derive(Clone, Copy)]
enum Lie {
    None,
    Postgres,
    MySql,
}

impl Lie {
    async fn tell(self, client: &mut TcpStream, server: &mut TcpStream) -> Result<()> {
        match self {
            Self::None => {}
            Self::Postgres => {
                // SSLRequest, answered with "no".
                client.read_exact(&mut [0; 8]).await?;
                client.write_all(b"N").await?;
            }
            Self::MySql => {
                // The greeting: header, protocol, version, thread, salt, filler, then capabilities.
                let mut greeting = vec![0; 4];
                server.read_exact(&mut greeting).await?;
                let length = u32::from_le_bytes([greeting[0], greeting[1], greeting[2], 0]);
                let mut body = vec![0; usize::try_from(length)?];
                server.read_exact(&mut body).await?;
                let version = body.iter().skip(1).position(|b| *b == 0);
                let capabilities = version.context("no version in the greeting")? + 2 + 4 + 8 + 1;
                // CLIENT_SSL is 0x0800.
                body[capabilities + 1] &= !0x08;
                greeting.extend(body);
                client.write_all(&greeting).await?;
            }
        }
        Ok(())
    }
}

async fn forward(mut client: TcpStream, target: u16, lie: Lie, mood: Arc<AtomicU8>) -> Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", target)).await?;
    lie.tell(&mut client, &mut server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let questions = async {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let n = from_client.read(&mut buffer).await?;
            if n == 0 || mood.load(Ordering::SeqCst) == CUT {
                return anyhow::Ok(());
            }
            to_server.write_all(&buffer[..n]).await?;
        }
    };
    let answers = async {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let n = from_server.read(&mut buffer).await?;
            if n == 0 || mood.load(Ordering::SeqCst) != WELL {
                return anyhow::Ok(());
            }
            to_client.write_all(&buffer[..n]).await?;
        }
    };
    tokio::select! {
        end = questions => end,
        end = answers => end,
    }
}
