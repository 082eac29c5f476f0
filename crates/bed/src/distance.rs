//! A network between a client and a server that takes a while: what a server on the same machine never has.
//!
//! It forwards bytes as they are, so that TLS stays between client and server.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result};

/// Forwards connections to a port of this machine; ends when it is dropped. Connections that are open
/// then end with either side of them.
#[derive(Debug)]
pub(crate) struct Distance {
    port: u16,
    ended: Arc<AtomicBool>,
    listening: Option<JoinHandle<()>>,
}

impl Distance {
    /// Puts a distance before a port: so long takes the way there and back.
    pub(crate) fn before(target: u16, round_trip: Duration) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
        let port = listener.local_addr()?.port();
        let ended = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&ended);
        let listening = thread::spawn(move || {
            for client in listener.incoming() {
                if seen.load(Ordering::SeqCst) {
                    return;
                }
                // One that is lost is the client's to try again.
                if let Ok(client) = client {
                    let _ = forward(client, target, round_trip / 2);
                }
            }
        });
        Ok(Self {
            port,
            ended,
            listening: Some(listening),
        })
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Distance {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // A last connection, which wakes it up.
        let woken = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok();
        if let Some(listening) = self.listening.take()
            && woken
        {
            let _ = listening.join();
        }
    }
}

fn forward(client: TcpStream, target: u16, one_way: Duration) -> Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, target))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || carry(from_client, to_server, one_way));
    thread::spawn(move || carry(server, client, one_way));
    Ok(())
}

/// Carries bytes one way until there are no more. What arrives while some are on their way goes with the
/// next: an answer of many parts is not late by as many ways.
fn carry(mut from: TcpStream, mut to: TcpStream, one_way: Duration) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read) = from.read(&mut buffer)
        && read > 0
    {
        thread::sleep(one_way);
        let Some(bytes) = buffer.get(..read) else {
            break;
        };
        if to.write_all(bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn bytes_arrive_as_they_were_and_not_before_their_time() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = server.local_addr().unwrap().port();
        let echo = thread::spawn(move || {
            let (mut client, _) = server.accept().unwrap();
            let mut buffer = [0; 4];
            while client.read_exact(&mut buffer).is_ok() {
                client.write_all(&buffer).unwrap();
            }
        });
        let round_trip = Duration::from_millis(20);
        let distance = Distance::before(port, round_trip).unwrap();
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, distance.port())).unwrap();
        for word in [b"ping", b"pong"] {
            let began = Instant::now();
            client.write_all(word).unwrap();
            let mut answer = [0; 4];
            client.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, word);
            assert!(began.elapsed() >= round_trip);
        }
        // The end arrives, too.
        drop(client);
        echo.join().unwrap();
    }
}
