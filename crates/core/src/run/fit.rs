//! What a batch costs: a part that every transaction pays (round trips, planning, the commit) and a
//! part that each row it spans adds. Only the second one is bounded by narrower windows.

/// Weight of all earlier batches against the last one.
const MEMORY: f64 = 0.9;
/// A batch counts for at most this many times what was expected of it: one that a stall of the
/// machine made long says little about the next.
const BELIEVED: f64 = 2.0;
/// Below this variance of widths (relative, squared) a line through the batches is noise.
const SPREAD: f64 = 0.01;

/// `elapsed = fixed + width · cost`, fitted to the latest batches.
#[derive(Clone, Debug, Default)]
pub(super) struct Fit {
    weight: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
    /// Milliseconds of a transaction whatever it spans.
    pub(super) fixed: f64,
    /// Milliseconds of each spanned row.
    pub(super) cost: f64,
}

impl Fit {
    /// What a batch of this width is expected to take, in milliseconds; `None` before the first one.
    pub(super) fn expects(&self, width: f64) -> Option<f64> {
        (self.weight > 0.0).then_some(self.fixed + self.cost * width)
    }

    /// The mean of the latest batches, in milliseconds.
    pub(super) fn mean(&self) -> f64 {
        self.y / self.weight.max(1.0)
    }

    /// A batch of this width took so many milliseconds.
    pub(super) fn take(&mut self, width: f64, ms: f64) {
        let expected = self.expects(width).unwrap_or(ms);
        if BELIEVED * ms < expected {
            // The server has become faster: what was before tells nothing about it.
            *self = Self::default();
        }
        let ms = ms.min(BELIEVED * expected.max(1.0));
        let add = |sum: &mut f64, item: f64| *sum = MEMORY * *sum + item;
        add(&mut self.weight, 1.0);
        add(&mut self.x, width);
        add(&mut self.y, ms);
        add(&mut self.xx, width * width);
        add(&mut self.xy, width * ms);
        let (x, y) = (self.x / self.weight, self.y / self.weight);
        let variance = self.xx / self.weight - x * x;
        if variance > SPREAD * x * x {
            self.cost = (self.xy / self.weight - x * y) / variance;
        } else if self.weight <= 1.0 {
            self.cost = y / x;
        }
        self.cost = self.cost.clamp(0.0, y / x);
        self.fixed = y - self.cost * x;
    }
}
