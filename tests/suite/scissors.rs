//! A network that ends one connection at a chosen question: the n-th after the connection has said a
//! certain thing, before it reaches the server or instead of its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Where the connection ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Before the question reaches the server.
    Before,
    /// Before its answer reaches the client.
    After,
    /// The same, and from then on every other connection, too.
    Dead,
}

/// From which question to which other one a connection's questions count.
pub(crate) type Marks = (&'static [u8], &'static [u8]);

struct Plan {
    marks: Marks,
    at: u32,
    cut: Cut,
    seen: AtomicU32,
    done: AtomicBool,
}

impl Plan {
    /// Whether this question of a marked connection is the one.
    fn is_now(&self) -> bool {
        self.seen.fetch_add(1, Ordering::SeqCst) == self.at
            && !self.done.swap(true, Ordering::SeqCst)
    }
}

/// Forwards connections to one port of this machine. Ends when it is dropped.
pub(crate) struct Scissors {
    port: u16,
    plan: Arc<Plan>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Scissors {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Scissors {
    /// Cuts the question that comes `at` questions after the first one with the first mark in it (0: that
    /// one), up to that with the other one.
    pub(crate) async fn start(target: u16, marks: Marks, at: u32, cut: Cut) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("no free port")?;
        let port = listener.local_addr()?.port();
        let plan = Arc::new(Plan {
            marks,
            at,
            cut,
            seen: AtomicU32::new(0),
            done: AtomicBool::new(false),
        });
        let shared = Arc::clone(&plan);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let plan = Arc::clone(&shared);
                tokio::spawn(async move {
                    let _ended = forward(client, target, &plan).await;
                });
            }
        });
        Ok(Self { port, plan, task })
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Whether it has cut.
    pub(crate) fn has_cut(&self) -> bool {
        self.plan.done.load(Ordering::SeqCst)
    }
}

async fn forward(client: TcpStream, target: u16, plan: &Plan) -> Result<()> {
    let server = TcpStream::connect(("127.0.0.1", target)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let answers = tokio::spawn(async move {
        tokio::io::copy(&mut from_server, &mut to_client).await?;
        anyhow::Ok(())
    });
    let mut buffer = vec![0; 64 * 1024];
    let mut marked = false;
    loop {
        let n = from_client.read(&mut buffer).await?;
        let question = &buffer[..n];
        let has = |mark: &[u8]| question.windows(mark.len()).any(|part| part == mark);
        marked |= has(plan.marks.0);
        let last = has(plan.marks.1);
        let dead = plan.cut == Cut::Dead && plan.done.load(Ordering::SeqCst);
        let cut = marked && plan.is_now();
        if n == 0 || dead || cut && plan.cut == Cut::Before {
            answers.abort();
            return Ok(());
        }
        if cut {
            // The answer goes nowhere; the server does what it was asked before it sees the end.
            answers.abort();
            let _ended = answers.await;
            to_server.write_all(question).await?;
            return Ok(());
        }
        to_server.write_all(question).await?;
        marked &= !last;
    }
}
