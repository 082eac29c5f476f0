//! The machine on which the benchmark runs.

use std::fs;
use std::thread::available_parallelism;

use oubliette_core::bench::Machine;

/// The commit that this program was built from, as `tests/bench/run` tells its build.
pub fn commit() -> Option<String> {
    let told = option_env!("OUBLIETTE_COMMIT").filter(|commit| !commit.is_empty());
    told.map(str::to_owned)
}

/// As the system tells it. What it does not tell is left out.
pub fn machine() -> Machine {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let value = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(':'));
        value.map_or_else(String::new, |(_, value)| value.trim().to_owned())
    };
    let memory = value(&read("/proc/meminfo"), "MemTotal");
    let kilobytes: u64 = memory
        .split(' ')
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    Machine {
        processor: value(&read("/proc/cpuinfo"), "model name"),
        cores: available_parallelism().map_or(1, usize::from),
        memory: kilobytes * 1024,
        system: format!(
            "{} {}",
            std::env::consts::OS,
            read("/proc/sys/kernel/osrelease").trim()
        ),
        program: env!("CARGO_PKG_VERSION").to_owned(),
    }
}
