//! The run machine: one `Lane` per worker and step decides what the next transaction is and what
//! its answer means. Pure: no clock, no randomness; asking twice gives the same answer.

mod fit;
mod lane;
mod pace;
mod rate;
mod residual;
mod share;

pub use lane::{BATCHES_PER_PART, Directive, Form, Halt, Lane, Order, Outcome, Saved, Style};
pub use pace::{MOST_CHANGED, MOST_CHANGED_IN_BACKLOG, Pace, PaceSettings, Unit};
pub use residual::Left;
pub use share::shares;
