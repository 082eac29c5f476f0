//! Fields that take one word of a fixed list.
//!
//! A word that this version does not know is kept instead of failing the whole object: one newer
//! resource must not stop the watch of all others. The parser refuses it with a reason.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A fixed list of words; made by the macro `words!`.
pub trait Word: Copy + PartialEq + 'static {
    /// Every word with its spelling, in the order in which the manual names them.
    const ALL: &'static [(Self, &'static str)];

    /// The spelling in manifests.
    fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(word, _)| *word == self)
            .map_or("", |(_, text)| text)
    }

    /// The spellings, joined for a message.
    fn list() -> String {
        let texts: Vec<_> = Self::ALL.iter().map(|(_, text)| *text).collect();
        texts.join(", ")
    }
}

/// A word of `T`'s list, or what was written instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice<T> {
    /// A word of the list.
    Known(T),
    /// Something else, kept for the refusal.
    Unknown(String),
}

impl<T: Word> Choice<T> {
    /// The word, where it is one of the list.
    pub fn known(&self) -> Option<T> {
        match self {
            Self::Known(word) => Some(*word),
            Self::Unknown(_) => None,
        }
    }

    /// As written.
    pub fn text(&self) -> &str {
        match self {
            Self::Known(word) => word.as_str(),
            Self::Unknown(text) => text,
        }
    }
}

impl<T: Word> From<T> for Choice<T> {
    fn from(word: T) -> Self {
        Self::Known(word)
    }
}

impl<T: Word> Serialize for Choice<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text())
    }
}

impl<'de, T: Word> Deserialize<'de> for Choice<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(T::ALL
            .iter()
            .find(|(_, spelling)| *spelling == text)
            .map_or_else(
                || Self::Unknown(text.clone()),
                |(word, _)| Self::Known(*word),
            ))
    }
}

impl<T: Word> JsonSchema for Choice<T> {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed(std::any::type_name::<T>())
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let texts: Vec<_> = T::ALL.iter().map(|(_, text)| *text).collect();
        json_schema!({ "type": "string", "enum": texts })
    }
}

/// Defines an enum whose variants are spelt in manifests as in the program.
macro_rules! words {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$variant_meta:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        $vis enum $name { $($(#[$variant_meta])* $variant),+ }

        impl $crate::api::words::Word for $name {
            const ALL: &'static [(Self, &'static str)] =
                &[$((Self::$variant, stringify!($variant))),+];
        }
    };
}
pub(crate) use words;

#[cfg(test)]
mod tests {
    use super::*;

    words! {
        /// For the test.
        enum Light {
            /// Go.
            Green,
            /// Stop.
            Red,
        }
    }

    #[test]
    fn a_word_of_the_list_is_read_and_written_as_spelt() {
        let light: Choice<Light> = serde_json::from_str("\"Green\"").unwrap();
        assert_eq!(light.known(), Some(Light::Green));
        assert_eq!(serde_json::to_string(&light).unwrap(), "\"Green\"");
    }

    #[test]
    fn a_word_of_a_newer_version_is_kept_as_written() {
        let light: Choice<Light> = serde_json::from_str("\"Amber\"").unwrap();
        assert_eq!(light, Choice::Unknown("Amber".into()));
        assert_eq!(serde_json::to_string(&light).unwrap(), "\"Amber\"");
    }
}
