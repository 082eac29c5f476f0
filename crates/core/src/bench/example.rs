//! Made-up results for the tests of this folder.

use std::collections::BTreeMap;

use super::{Cell, Condition, Machine, Mode, Server, Sheet, Work};

pub(super) fn sheet(cells: Vec<Cell>) -> Sheet {
    Sheet {
        machine: Machine {
            processor: "Made up 3000".to_owned(),
            cores: 2,
            memory: 8 << 30,
            system: "Linux 6.1".to_owned(),
            program: "0.1.0".to_owned(),
        },
        quick: false,
        begun: "2026-11-26T06:00:00Z".parse().unwrap(),
        last_begun: None,
        cells,
    }
}

pub(super) fn cell(server: Server, work: Work, modes: Vec<Mode>) -> Cell {
    Cell {
        engine: Some(server),
        version: "1.2.3".to_owned(),
        settings: BTreeMap::from([("cache".to_owned(), "2 GB".to_owned())]),
        commit: Some("c0ffee".to_owned()),
        work,
        rows: 2_000_000,
        expired: 800_000,
        condition: Condition::Alone,
        modes,
    }
}
