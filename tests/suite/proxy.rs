//! A network between a client and a server that can lose an answer: what no real server can be made
//! to show at a chosen instant.

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
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("no free port")?;
        let port = listener.local_addr()?.port();
        let mood = Arc::new(AtomicU8::new(WELL));
        let shared = Arc::clone(&mood);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, target, Arc::clone(&shared)));
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

async fn forward(client: TcpStream, target: u16, mood: Arc<AtomicU8>) -> Result<()> {
    let server = TcpStream::connect(("127.0.0.1", target)).await?;
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
