//! A network between a client and a server that can lose an answer: what no real server can be made
//! to show at a chosen instant.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const WELL: u8 = 0;
const DEAF: u8 = 1;

/// Forwards connections to one port of this machine. Ends when it is dropped.
pub(crate) struct Proxy {
    port: u16,
    mood: Arc<AtomicU8>,
    cut: watch::Sender<u64>,
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
        let (cut, cuts) = watch::channel(0);
        let shared = Arc::clone(&mood);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mood = Arc::clone(&shared);
                let mut cuts = cuts.clone();
                cuts.mark_unchanged();
                tokio::spawn(async move {
                    tokio::select! {
                        _ended = forward(client, target, mood) => {}
                        _cut = cuts.changed() => {}
                    }
                });
            }
        });
        Ok(Self {
            port,
            mood,
            cut,
            task,
        })
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// From now on questions reach the server; at its answer the connection ends.
    pub(crate) fn lose_answers(&self) {
        self.mood.store(DEAF, Ordering::SeqCst);
    }

    /// Ends all connections.
    pub(crate) fn cut(&self) {
        self.cut.send_modify(|n| *n += 1);
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
        tokio::io::copy(&mut from_client, &mut to_server).await?;
        anyhow::Ok(())
    };
    let answers = async {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let n = from_server.read(&mut buffer).await?;
            if n == 0 || mood.load(Ordering::SeqCst) == DEAF {
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
