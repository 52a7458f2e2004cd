//! JSON lines as they may be shown on a terminal.

use std::io;

use serde::Serialize;
use serde_json::{Serializer, ser::Formatter};

use crate::error::is_hidden;

/// Escapes what could move a terminal's cursor or reorder what is read, as [`crate::ShownPath`]
/// does. JSON itself asks for that only below U+0020.
struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(is_hidden) {
            let (plain, from) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            let hidden = from.chars().next().unwrap_or_default();
            for unit in hidden.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &from[hidden.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

/// One line of JSON without its end. Characters that could move a terminal's cursor or reorder what
/// is read are escaped as `\uXXXX`; whatever reads JSON gets the same text.
///
/// # Errors
/// When the value can't be written as JSON.
pub fn json_line(value: &impl Serialize) -> serde_json::Result<String> {
    let mut line = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut line, Escaping))?;
    String::from_utf8(line).map_err(serde::ser::Error::custom)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::json_line;

    #[test]
    fn hidden_characters_are_escaped_and_read_back_as_they_were() {
        let text = "a\u{9b}1\u{85}\u{7f}\u{202e}ü\u{e0041}\u{61c}\u{feff}\"\n😀";
        let line = json_line(&text).unwrap();
        assert_eq!(
            line,
            "\"a\\u009b1\\u0085\\u007f\\u202eü\\udb40\\udc41\\u061c\\ufeff\\\"\\n😀\""
        );
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }
}
