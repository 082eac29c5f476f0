//! Free loopback ports.
//!
//! They lie below the range from which the kernel takes the ports of outgoing connections: while a
//! killed server is down, a client that tries again would otherwise be given that very port
//! itself and keep the server from coming back.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Result, bail};

use crate::scratch::random_hex;

const LOWEST: u32 = 11_000;

/// A port that nobody listened on a moment ago. Whoever uses it must still expect a bind error.
pub(crate) fn free() -> Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(u32::MAX);
    let first_outgoing = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse().ok())
        .unwrap_or(32_768_u32);
    if first_outgoing < LOWEST + 1000 {
        return Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port());
    }
    let start = u32::from_str_radix(&random_hex(3)?, 16)?;
    let _ = NEXT.compare_exchange(u32::MAX, start, Ordering::Relaxed, Ordering::Relaxed);
    for _ in 0..2000 {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(LOWEST + step % (first_outgoing - LOWEST))?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("found no free loopback port between {LOWEST} and {first_outgoing}")
}
