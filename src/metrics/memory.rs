//! The process's memory, read at each scrape where the system tells it.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;

use super::described::{Described, RESIDENT_MEMORY};

/// Reads the process's memory at each scrape, where the system tells it.
#[derive(Debug)]
pub(super) struct Memory;

impl Collector for Memory {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(bytes) = std::fs::read_to_string("/proc/self/status")
            .ok()
            .and_then(|status| resident_bytes(&status))
        else {
            return Ok(());
        };
        let gauge = ConstGauge::new(bytes);
        let Described { name, help, .. } = RESIDENT_MEMORY;
        gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
    }
}

/// `VmRSS` of `/proc/PID/status`, which is in KiB.
fn resident_bytes(status: &str) -> Option<i64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_status_of_the_process() {
        assert_eq!(
            resident_bytes("VmPeak:\t 9 kB\nVmRSS:\t   20 kB\n"),
            Some(20480)
        );
        assert_eq!(resident_bytes("Name:\tx\n"), None);
    }
}
