//! Text for a terminal: columns and paragraphs of which no line is longer than [`WIDTH`], but where a
//! name or a line to copy is.

use console::{Style, Term};
use oubliette_core::api::reason::Standing;
pub(super) use oubliette_core::yaml::{WIDTH, wrap};

/// A name gives way down to this many characters.
const LEAST: usize = 8;

/// Whether what is written to standard output may be coloured: a terminal, and no `NO_COLOR`.
pub(super) fn coloured() -> bool {
    Term::stdout().features().colors_supported()
}

/// One cell, and how things stand with what it tells.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    text: String,
    standing: Option<Standing>,
}

impl Cell {
    /// A cell that colour may tell from others.
    pub(super) fn standing(text: impl Into<String>, standing: Option<Standing>) -> Self {
        Self {
            text: text.into(),
            standing,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::standing(text, None)
    }
}

/// Lines of columns. `right`: which stand to the right, as numbers do. `yielding`: which give way,
/// the first first, where all of it would be too wide.
pub(super) fn grid<const N: usize>(
    rows: &[[Cell; N]],
    right: [bool; N],
    yielding: &[usize],
    coloured: bool,
) -> Vec<String> {
    let width_of = |column: usize| {
        let cells = rows.iter().map(|row| row[column].text.chars().count());
        cells.max().unwrap_or(0)
    };
    let mut widths: [usize; N] = std::array::from_fn(width_of);
    let gaps = 2 * widths.len();
    for column in yielding {
        let all: usize = widths.iter().sum::<usize>() + gaps;
        let width = &mut widths[*column];
        let room = width.saturating_sub(all.saturating_sub(WIDTH));
        *width = room.max((*width).min(LEAST));
    }
    let line = |row: &[Cell; N]| {
        let mut text = String::new();
        // Blanks that nothing follows are left out; a colour's end must not keep them.
        let mut pending = String::new();
        for ((cell, width), right) in row.iter().zip(widths).zip(right) {
            let shown = shorten(&cell.text, width);
            let pad = " ".repeat(width.saturating_sub(shown.chars().count()));
            pending.push_str("  ");
            if right {
                pending.push_str(&pad);
            }
            if !shown.is_empty() {
                text.push_str(&std::mem::take(&mut pending));
                text.push_str(&painted(&shown, cell.standing, coloured));
            }
            if !right {
                pending.push_str(&pad);
            }
        }
        text
    };
    rows.iter().map(line).collect()
}

/// A text in the colour of how things stand.
pub(super) fn painted(text: &str, standing: Option<Standing>, coloured: bool) -> String {
    let style = match standing {
        None => return text.to_owned(),
        Some(Standing::Well) => Style::new().green(),
        Some(Standing::Waiting) => Style::new().magenta(),
        Some(Standing::Working) => Style::new().cyan(),
        Some(Standing::Retrying) => Style::new().yellow(),
        Some(Standing::Stalled) => Style::new().red(),
    };
    style.force_styling(coloured).apply_to(text).to_string()
}

/// A name that is too long loses its middle: its ends tell it from others.
pub(super) fn shorten(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most {
        return text.to_owned();
    }
    let head = most.saturating_sub(1) / 2;
    let tail = most.saturating_sub(1) - head;
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{start}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_give_way_in_their_order_and_colours_take_no_room() {
        let rows = [
            ["NAME", "PLACE", "ROWS"].map(Cell::from),
            [
                Cell::from("n".repeat(70)),
                Cell::standing("p".repeat(60), Some(Standing::Stalled)),
                Cell::from("12"),
            ],
        ];
        let plain = grid(&rows, [false, false, true], &[1, 0], false);
        assert_eq!(plain[1].chars().count(), WIDTH);
        assert!(plain[1].contains(&"n".repeat(70)), "{plain:?}");
        let coloured = grid(&rows, [false, false, true], &[1, 0], true);
        assert_ne!(plain, coloured);
        assert_eq!(plain[1], console::strip_ansi_codes(&coloured[1]));
    }
}
