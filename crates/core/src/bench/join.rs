//! Many results of one machine as one.

use super::{Machine, Sheet};

/// Why results do not go on one page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Apart {
    /// There are none.
    #[error("there are no results")]
    None,
    /// They are not of one machine and one program.
    #[error(
        "results of two machines or programs do not stand on one page: {one:?} and {other:?}; remove those that are not meant"
    )]
    Machines {
        /// The one.
        one: Box<Machine>,
        /// The other.
        other: Box<Machine>,
    },
}

/// Puts the cells of results together, in the order of works, servers and conditions. Quick is what
/// holds one quick result.
pub fn joined(sheets: impl IntoIterator<Item = Sheet>) -> Result<Sheet, Apart> {
    let mut sheets = sheets.into_iter();
    let mut all = sheets.next().ok_or(Apart::None)?;
    for mut sheet in sheets {
        if !alike(&sheet.machine, &all.machine) {
            return Err(Apart::Machines {
                one: Box::new(all.machine),
                other: Box::new(sheet.machine),
            });
        }
        all.quick |= sheet.quick;
        let last = |sheet: &Sheet| sheet.last_begun.unwrap_or(sheet.begun);
        all.last_begun = Some(last(&all).max(last(&sheet)));
        all.begun = all.begun.min(sheet.begun);
        all.cells.append(&mut sheet.cells);
    }
    all.cells.sort_by(|a, b| {
        let key = |cell: &super::Cell| (cell.work, cell.engine, cell.condition);
        key(a).cmp(&key(b)).then_with(|| a.version.cmp(&b.version))
    });
    Ok(all)
}

/// Whether it is one machine with one program. A system is updated now and then.
fn alike(one: &Machine, other: &Machine) -> bool {
    let of = |machine: &Machine| {
        let Machine {
            processor,
            cores,
            memory,
            system: _,
            program,
        } = machine;
        (processor.clone(), *cores, *memory, program.clone())
    };
    of(one) == of(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{Server, Work, example};

    #[test]
    fn results_of_one_machine_are_one_whatever_their_order() {
        let one = example::sheet(vec![
            example::cell(Server::Mysql, Work::DeleteWide, Vec::new()),
            example::cell(Server::Mysql, Work::DeleteNarrow, Vec::new()),
        ]);
        let mut other = example::sheet(vec![example::cell(
            Server::Postgresql,
            Work::DeleteWide,
            Vec::new(),
        )]);
        other.quick = true;
        other.begun = "2026-11-26T05:00:00Z".parse().unwrap();
        let all = joined([one.clone(), other.clone()]).unwrap();
        assert_eq!(Ok(all.clone()), joined([other.clone(), one]));
        let works: Vec<_> = all
            .cells
            .iter()
            .map(|cell| (cell.work, cell.engine))
            .collect();
        assert_eq!(
            works,
            [
                (Work::DeleteNarrow, Some(Server::Mysql)),
                (Work::DeleteWide, Some(Server::Postgresql)),
                (Work::DeleteWide, Some(Server::Mysql)),
            ]
        );
        assert!(all.quick);
        assert_eq!(all.begun, other.begun);
        assert!(all.last_begun > Some(other.begun));
    }

    #[test]
    fn results_of_two_machines_are_not_mixed() {
        let one = example::sheet(Vec::new());
        let mut other = one.clone();
        other.machine.cores = 4;
        assert!(matches!(joined([one, other]), Err(Apart::Machines { .. })));
        assert_eq!(joined([]), Err(Apart::None));
    }
}
