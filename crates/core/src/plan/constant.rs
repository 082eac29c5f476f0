//! Constants of a policy in their columns' own terms: what a column could not hold, or would give
//! back changed, is refused before a run finds it out.

use jiff::civil::{Date, DateTime};
use jiff::fmt::temporal::Pieces;

use super::clock::{civil_text, date_text};
use crate::catalog::{Bounds, Column, ColumnKind, Engine};
use crate::value::Value;

/// The instants that InnoDB's TIMESTAMP holds in every version.
const TIMESTAMPS: (DateTime, DateTime) = (
    jiff::civil::datetime(1970, 1, 1, 0, 0, 1, 0),
    jiff::civil::datetime(2038, 1, 19, 3, 14, 7, 0),
);

/// A value of a condition; `None` where it does not fit the column.
pub(super) fn typed(column: &Column, engine: Engine, text: &str) -> Option<Value> {
    let as_text = |fits: bool| fits.then(|| Value::Text(text.to_owned()));
    match column.kind {
        ColumnKind::Int => {
            let number = match text {
                // MySQL's boolean is tinyint(1).
                "true" if engine.is_innodb() => 1,
                "false" if engine.is_innodb() => 0,
                _ => text.parse().ok()?,
            };
            let fits = match column.bounds {
                Bounds::Integer { least, greatest } => (least..=greatest).contains(&number),
                _ => true,
            };
            fits.then_some(Value::Int(number))
        }
        ColumnKind::UnsignedBigInt => as_text(digits(text) && text.parse::<u64>().is_ok()),
        ColumnKind::Decimal => as_text(is_decimal(column, text)),
        ColumnKind::Float => as_text(is_decimal(column, text) && is_finite(column, text)),
        ColumnKind::Bool => as_text(matches!(text, "true" | "false")),
        ColumnKind::Uuid => as_text(is_uuid(text)),
        ColumnKind::Enum => as_text(match &column.bounds {
            Bounds::OneOf(labels) => labels.iter().any(|label| label == text),
            Bounds::SomeOf(labels) => is_set_of(labels, text),
            _ => true,
        }),
        ColumnKind::Text => as_text(true),
        _ => None,
    }
}

/// What is written for the strategy Constant: as the column gives it back, so that it is known again
/// when it is read. `None` where there is no such value.
pub(super) fn kept(column: &Column, engine: Engine, text: &str) -> Option<String> {
    let own = |fits: bool| fits.then(|| text.to_owned());
    match column.kind {
        ColumnKind::Int => match typed(column, engine, text)? {
            Value::Int(number) => Some(number.to_string()),
            _ => None,
        },
        ColumnKind::Float => {
            typed(column, engine, text)?;
            // Four bytes give back another number than was written, unless it has few digits.
            let same = text.parse::<f32>().ok().map(f64::from) == text.parse().ok();
            // PostgreSQL compares as the column rounds.
            let single = engine.is_innodb() && is_single(column);
            let rounded = match column.bounds {
                Bounds::Digits { scale, .. } => {
                    let places = text.split_once('.').map_or(0, |(_, f)| f.len());
                    i32::try_from(places).is_ok_and(|places| places > scale)
                }
                _ => false,
            };
            own((!single || same) && !rounded)
        }
        ColumnKind::UnsignedBigInt
        | ColumnKind::Decimal
        | ColumnKind::Bool
        | ColumnKind::Uuid
        | ColumnKind::Enum => typed(column, engine, text).and_then(|_| own(true)),
        ColumnKind::Date => {
            let date = text.parse::<Date>().ok().filter(|d| d.year() > 0)?;
            shown(&date_text(date))
        }
        ColumnKind::Instant | ColumnKind::Civil => {
            let time = civil(text)?;
            let (first, last) = TIMESTAMPS;
            let narrow = engine.is_innodb() && column.kind == ColumnKind::Instant;
            let fits = !narrow || (first..=last).contains(&time);
            shown(&civil_text(time)).filter(|_| fits)
        }
        // PostgreSQL's jsonb has no NUL.
        ColumnKind::Json => own(serde_json::from_str::<serde_json::Value>(text).is_ok()
            && (engine.is_innodb() || !text.contains("\\u0000"))),
        ColumnKind::Text => {
            let charset = column.charset.as_deref().unwrap_or_default();
            own(text.chars().all(|c| can_spell(charset, c)))
        }
        ColumnKind::Bytes | ColumnKind::Other => own(true),
    }
}

/// What would fit, for messages.
pub(super) fn what_fits(column: &Column) -> String {
    match &column.bounds {
        Bounds::None => String::new(),
        Bounds::Integer { least, greatest } => format!(" ({least} to {greatest})"),
        Bounds::Digits { precision, scale } => {
            format!(" ({precision} digits, {scale} of them behind the point)")
        }
        Bounds::OneOf(labels) => format!(" (one of: {})", labels.join(", ")),
        Bounds::SomeOf(labels) => {
            format!(
                " (some of these, in this order and with commas: {})",
                labels.join(",")
            )
        }
    }
}

fn shown(value: &Value) -> Option<String> {
    value.as_text().map(str::to_owned)
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// A plain decimal number within the column's digits, once it is rounded to them.
fn is_decimal(column: &Column, text: &str) -> bool {
    let unsigned = text.strip_prefix('-');
    let (whole, fraction) = {
        let number = unsigned.unwrap_or(text);
        number.split_once('.').unwrap_or((number, "0"))
    };
    if !digits(whole) || !digits(fraction) {
        return false;
    }
    if unsigned.is_some() && column.type_name.contains("unsigned") {
        return false;
    }
    match column.bounds {
        Bounds::Digits { precision, scale } => rounded_digits(whole, fraction, scale) <= precision,
        _ => true,
    }
}

/// How many digits are left of a number that is rounded to `scale` places.
fn rounded_digits(whole: &str, fraction: &str, scale: i32) -> u32 {
    let all = [whole, fraction].concat();
    let places = i64::try_from(whole.len())
        .unwrap_or(i64::MAX)
        .saturating_add(i64::from(scale));
    let Ok(places) = usize::try_from(places) else {
        return 0;
    };
    let cut = all.len().min(places);
    let (kept, rest) = all.split_at(cut);
    let padding = places - cut;
    let kept = kept.trim_start_matches('0');
    let up = rest.bytes().next().is_some_and(|b| b >= b'5');
    let carried = up && kept.bytes().all(|b| b == b'9');
    let padding = if kept.is_empty() { 0 } else { padding };
    u32::try_from(kept.len() + padding + usize::from(carried)).unwrap_or(u32::MAX)
}

/// A float of four bytes.
fn is_single(column: &Column) -> bool {
    column.type_name.starts_with("float") || column.type_name == "real"
}

fn is_finite(column: &Column, text: &str) -> bool {
    if is_single(column) {
        text.parse::<f32>().is_ok_and(f32::is_finite)
    } else {
        text.parse::<f64>().is_ok_and(f64::is_finite)
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

/// Labels in the order of the type, each once, with commas between: as a SET is given back.
fn is_set_of(labels: &[String], text: &str) -> bool {
    let mut rest = labels.iter();
    text.is_empty()
        || text
            .split(',')
            .all(|member| rest.any(|label| label == member))
}

/// A wall-clock time. One with an offset or zone would mean something else in each type.
fn civil(text: &str) -> Option<DateTime> {
    let pieces = Pieces::parse(text).ok()?;
    let plain = pieces.offset().is_none() && pieces.time_zone_annotation().is_none();
    let time = pieces.date().to_datetime(pieces.time().unwrap_or_default());
    (plain && time.year() > 0).then_some(time)
}

/// Whether a character set of MySQL has a character; those that are not known here are believed to.
fn can_spell(charset: &str, c: char) -> bool {
    match charset {
        "ascii" => c.is_ascii(),
        // Windows-1252.
        "latin1" => c <= 'ÿ' || "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ".contains(c),
        "utf8" | "utf8mb3" => c <= '\u{ffff}',
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Ident;

    fn column(kind: ColumnKind, type_name: &str, bounds: Bounds) -> Column {
        Column {
            name: Ident::new("c").unwrap(),
            kind,
            type_name: type_name.to_owned(),
            cast: type_name.to_owned(),
            nullable: true,
            max_length: None,
            bounds,
            generated: false,
            identity_always: false,
            on_update_now: false,
            charset: None,
            collation: None,
            nondeterministic: false,
            folded: false,
        }
    }

    fn fits(column: &Column, engine: Engine, texts: &[&str]) -> Vec<bool> {
        texts
            .iter()
            .map(|text| kept(column, engine, text).is_some())
            .collect()
    }

    #[test]
    fn integers_lie_within_their_width() {
        let tiny = Bounds::Integer {
            least: -128,
            greatest: 127,
        };
        let tiny = column(ColumnKind::Int, "tinyint", tiny);
        let texts = ["127", "128", "-128", "-129", "300", "true", "x"];
        let innodb = [true, false, true, false, false, true, false];
        assert_eq!(fits(&tiny, Engine::MySql, &texts), innodb);
        assert!(typed(&tiny, Engine::MySql, "300").is_none());
        assert!(typed(&tiny, Engine::Postgres, "true").is_none());
        let big = column(ColumnKind::UnsignedBigInt, "bigint unsigned", Bounds::None);
        let texts = ["18446744073709551615", "18446744073709551616", "-1", "+1"];
        assert_eq!(
            fits(&big, Engine::MySql, &texts),
            [true, false, false, false]
        );
    }

    #[test]
    fn decimals_have_no_more_digits_than_their_column_once_they_are_rounded() {
        let of = |precision, scale| {
            column(
                ColumnKind::Decimal,
                "numeric",
                Bounds::Digits { precision, scale },
            )
        };
        for (precision, scale, text, wanted) in [
            (5, 2, "999.99", true),
            (5, 2, "12345", false),
            (5, 2, "1000", false),
            (5, 2, "00999", true),
            (5, 2, "1.005", true),
            (5, 2, "999.994", true),
            (5, 2, "999.995", false),
            (5, 2, "-999.99", true),
            (2, 0, "99.5", false),
            (2, 0, "0.9", true),
            (2, -3, "99000", true),
            (2, -3, "99500", false),
            (2, -3, "400", true),
            (2, 5, "0.00099", true),
            (2, 5, "0.001", false),
            (2, 5, "0", true),
            (5, 2, "1e2", false),
            (5, 2, ".5", false),
        ] {
            let fits = kept(&of(precision, scale), Engine::Postgres, text).is_some();
            assert_eq!(fits, wanted, "{text} in ({precision}, {scale})");
        }
        let digits = Bounds::Digits {
            precision: 5,
            scale: 2,
        };
        let unsigned = column(ColumnKind::Decimal, "decimal(5,2) unsigned", digits.clone());
        assert_eq!(fits(&unsigned, Engine::MySql, &["1", "-1"]), [true, false]);
        let float = column(ColumnKind::Float, "double(5,2)", digits);
        assert_eq!(
            fits(&float, Engine::MySql, &["1.25", "1.255"]),
            [true, false]
        );
        let real = column(ColumnKind::Float, "real", Bounds::None);
        let long = format!("1{}", "0".repeat(39));
        assert_eq!(
            fits(&real, Engine::Postgres, &["0.1", &long]),
            [true, false]
        );
    }

    #[test]
    fn labels_are_spelt_as_the_type_spells_them() {
        let labels = vec!["open".to_owned(), "it's, closed".to_owned()];
        let mood = column(ColumnKind::Enum, "mood", Bounds::OneOf(labels));
        let texts = ["open", "Open", "opne", "", "it's, closed"];
        for engine in [Engine::Postgres, Engine::MySql] {
            assert_eq!(
                fits(&mood, engine, &texts),
                [true, false, false, false, true]
            );
            assert!(typed(&mood, engine, "opne").is_none());
        }
        assert_eq!(what_fits(&mood), " (one of: open, it's, closed)");
        let labels = ["a", "b", "c"].map(str::to_owned).to_vec();
        let set = column(ColumnKind::Enum, "set('a','b','c')", Bounds::SomeOf(labels));
        // In another order it would be given back in the type's.
        let texts = ["a,c", "", "c,a", "a,a", "a, c", "d"];
        let wanted = [true, true, false, false, false, false];
        assert_eq!(fits(&set, Engine::MySql, &texts), wanted);
    }

    #[test]
    fn times_lie_within_their_type_and_name_no_offset() {
        let instant = column(ColumnKind::Instant, "timestamp", Bounds::None);
        let texts = [
            "1970-01-01 00:00:00",
            "1970-01-01 00:00:01",
            "2038-01-19 03:14:07",
            "2038-01-19 03:14:08",
        ];
        assert_eq!(
            fits(&instant, Engine::MySql, &texts),
            [false, true, true, false]
        );
        assert_eq!(fits(&instant, Engine::Postgres, &texts), [true; 4]);
        let civil = column(ColumnKind::Civil, "datetime", Bounds::None);
        assert_eq!(fits(&civil, Engine::MySql, &texts), [true; 4]);
        let texts = [
            "2020-01-01T00:00:00+01:00",
            "2020-01-01T00:00:00Z",
            "0000-01-01",
            "x",
        ];
        assert_eq!(fits(&civil, Engine::Postgres, &texts), [false; 4]);
        assert_eq!(
            kept(&civil, Engine::MySql, "2000-01-01").as_deref(),
            Some("2000-01-01 00:00:00.000000")
        );
        let date = column(ColumnKind::Date, "date", Bounds::None);
        let texts = ["2000-01-01", "2000-02-30", "0000-01-01"];
        assert_eq!(fits(&date, Engine::MySql, &texts), [true, false, false]);
    }

    #[test]
    fn texts_are_of_the_columns_character_set() {
        let text = |charset: &str| Column {
            charset: Some(charset.to_owned()),
            ..column(ColumnKind::Text, "text", Bounds::None)
        };
        let texts = ["erased", "gelöscht", "€", "削除", "🗑"];
        for (charset, wanted) in [
            ("ascii", [true, false, false, false, false]),
            ("latin1", [true, true, true, false, false]),
            ("utf8mb3", [true, true, true, true, false]),
            ("utf8mb4", [true; 5]),
        ] {
            assert_eq!(
                fits(&text(charset), Engine::MySql, &texts),
                wanted,
                "{charset}"
            );
        }
    }

    #[test]
    fn uuids_and_json_are_written_in_full() {
        let uuid = column(ColumnKind::Uuid, "uuid", Bounds::None);
        let texts = [
            "00000000-0000-0000-0000-000000000000",
            "0000000-00000-0000-0000-000000000000",
        ];
        assert_eq!(fits(&uuid, Engine::Postgres, &texts), [true, false]);
        let json = column(ColumnKind::Json, "jsonb", Bounds::None);
        let texts = ["{}", "{", "\"\\u0000\""];
        assert_eq!(fits(&json, Engine::Postgres, &texts), [true, false, false]);
        assert_eq!(fits(&json, Engine::MySql, &texts), [true, false, true]);
    }
}
