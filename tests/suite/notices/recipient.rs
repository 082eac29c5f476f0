//! A recipient elsewhere: takes what the operator sends it, once it has been away.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::world::World;

/// Listens on a port of this machine until it is dropped.
pub(super) struct Recipient {
    pub(super) port: u16,
    events: Arc<Mutex<Vec<Value>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Recipient {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Recipient {
    /// One that refuses the first event that it is sent.
    pub(super) fn open(world: &World) -> Result<Self> {
        let bound = world.block_on(TcpListener::bind("127.0.0.1:0"));
        let listener = bound.context("no free port")?;
        let port = listener.local_addr()?.port();
        let events = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&events);
        let task = world.handle().spawn(async move {
            let mut away = true;
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(event) = hear(stream, away).await
                    && !std::mem::take(&mut away)
                {
                    let mut all = heard.lock().unwrap_or_else(PoisonError::into_inner);
                    all.push(event);
                }
            }
        });
        Ok(Self { port, events, task })
    }

    /// What it has accepted.
    pub(super) fn accepted(&self) -> Vec<Value> {
        let all = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        all.clone()
    }
}

/// One request with a length: its body. The connection ends with the answer.
async fn hear(mut stream: TcpStream, away: bool) -> Result<Value> {
    let mut request = Vec::new();
    let (head, length) = loop {
        let n = stream.read_buf(&mut request).await?;
        anyhow::ensure!(n > 0, "it ended early");
        let Some(head) = request.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let text = String::from_utf8_lossy(&request[..head]).to_ascii_lowercase();
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"));
        break (
            head + 4,
            length.context("no length")?.trim().parse::<usize>()?,
        );
    };
    while request.len() < head + length {
        anyhow::ensure!(stream.read_buf(&mut request).await? > 0, "it ended early");
    }
    let status = if away {
        "503 Service Unavailable"
    } else {
        "204 No Content"
    };
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await?;
    Ok(serde_json::from_slice(&request[head..head + length])?)
}
