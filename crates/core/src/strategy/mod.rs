//! How a column's values are transformed. One file per strategy; this enum is the list.

/// A parsed transformation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// NULL.
    Nullify,
    /// The same constant for every row, as text; cast to the column's type.
    Constant {
        /// The constant.
        value: String,
    },
    /// `p_` and the first 32 hexadecimal digits of HMAC-SHA256(key, value as UTF-8): equal on all engines.
    Pseudonym,
    /// A date or time becomes the first day of its unit.
    GeneraliseDate {
        /// The unit.
        to: DateUnit,
    },
    /// A number becomes the greatest multiple of `width` that is not above it.
    GeneraliseNumber {
        /// Positive.
        width: u32,
    },
}

/// Characters of a pseudonym: `p_` and 32 hexadecimal digits.
pub const PSEUDONYM_LENGTH: u64 = 34;

impl Strategy {
    /// The name people write.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Nullify => "Nullify",
            Self::Constant { .. } => "Constant",
            Self::Pseudonym => "Pseudonym",
            Self::GeneraliseDate { .. } => "GeneraliseDate",
            Self::GeneraliseNumber { .. } => "GeneraliseNumber",
        }
    }
}

/// The unit a date is coarsened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateUnit {
    /// The first day of the month.
    Month,
    /// The first day of the quarter.
    Quarter,
    /// 1 January of the year.
    Year,
    /// 1 January of the year ending in 0.
    Decade,
}
