//! One line of boxes, which a person may have edited: what is wrong with it is said in words.

use serde_json::{Map, Value};

use crate::{face::Face, geometry::Rect};

/// What a line says.
pub(super) struct Line {
    /// The bytes of the picture's name.
    pub(super) key: Vec<u8>,
    pub(super) size: Option<(u32, u32)>,
    pub(super) orientation: Option<u8>,
    /// For a video, counted from 0.
    pub(super) frame: Option<usize>,
    /// For a picture of several pages, counted from 1.
    pub(super) page: Option<usize>,
    /// With their tracks.
    pub(super) faces: Vec<(Face, Option<u32>)>,
}

/// Reads a line.
///
/// # Errors
/// What is wrong with it.
pub(super) fn line(text: &str) -> Result<Line, String> {
    let value: Value = serde_json::from_str(text).map_err(|e| {
        let at = if e.is_eof() {
            "it ends too early".into()
        } else {
            format!("see column {}", e.column())
        };
        format!("is not JSON ({at})")
    })?;
    let Value::Object(line) = value else {
        return Err("must be an object in braces, {\"path\": ..., \"faces\": [...]}".into());
    };
    let faces = match line.get("faces") {
        Some(Value::Array(faces)) => faces,
        Some(_) => return Err("\"faces\" must be a list in brackets".into()),
        None => return Err("has no \"faces\"".into()),
    };
    let faces = faces.iter().enumerate().map(|(i, f)| face(i + 1, f));
    let size = (whole(&line, "width")?, whole(&line, "height")?);
    let orientation = whole::<u8>(&line, "orientation")?;
    if orientation.is_some_and(|o| !(1..=8).contains(&o)) {
        return Err("\"orientation\" must be 1 to 8".into());
    }
    Ok(Line {
        key: key(&line)?,
        size: size.0.zip(size.1),
        orientation,
        frame: whole(&line, "frame")?,
        page: whole(&line, "page")?,
        faces: faces.collect::<Result<_, _>>()?,
    })
}

/// The bytes of the name: `path`, unless `path_hex` gives what is not text.
fn key(line: &Map<String, Value>) -> Result<Vec<u8>, String> {
    let text = match line.get("path") {
        Some(Value::String(text)) => text,
        Some(_) => return Err("\"path\" must be a text".into()),
        None => return Err("has no \"path\"".into()),
    };
    let hex = match line.get("path_hex") {
        None | Some(Value::Null) => return Ok(text.clone().into_bytes()),
        Some(Value::String(hex)) => hex.as_bytes(),
        Some(_) => return Err("\"path_hex\" must be a text".into()),
    };
    let digit = |b: &u8| (*b as char).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let pair = |p: &[u8]| match p {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = hex.chunks(2).map(pair).collect();
    bytes.ok_or_else(|| "\"path_hex\" must be bytes in hexadecimal".into())
}

/// A whole number, where there is one.
fn whole<T: TryFrom<u64>>(line: &Map<String, Value>, name: &str) -> Result<Option<T>, String> {
    match line.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let number = value.as_u64().and_then(|n| T::try_from(n).ok());
            let number = number.ok_or_else(|| format!("\"{name}\" must be a whole number"))?;
            Ok(Some(number))
        }
    }
}

/// One box; `number`: which of the line, counted from 1.
fn face(number: usize, value: &Value) -> Result<(Face, Option<u32>), String> {
    let wrong = |what: &str| format!("number {number} of \"faces\" {what}");
    let Value::Object(face) = value else {
        return Err(wrong(
            "must be an object in braces with the numbers x1, y1, x2 and y2, in pixels",
        ));
    };
    let side = |name: &str| {
        let side = face.get(name).and_then(Value::as_f64);
        side.ok_or_else(|| wrong(&format!("needs the number {name}, in pixels")))
    };
    let (x1, y1, x2, y2) = (side("x1")?, side("y1")?, side("x2")?, side("y2")?);
    let rect = Rect {
        x1: x1 as f32,
        y1: y1 as f32,
        x2: x2 as f32,
        y2: y2 as f32,
    };
    if !rect.is_finite() || rect.is_empty() {
        return Err(format!("a box that covers nothing: {rect}"));
    }
    // A person who adds a box need not give a score.
    let score = match face.get("score") {
        None | Some(Value::Null) => 1.0,
        Some(score) => score
            .as_f64()
            .ok_or_else(|| wrong("has a score that is not a number"))?
            as f32,
    };
    let track = whole(face, "track").map_err(|what| wrong(&format!("is wrong: {what}")))?;
    Ok((Face { rect, score }, track))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::line;

    #[test]
    fn faults_are_said_in_words_of_json_alone() {
        let cases = [
            (
                r#"{"path":"a","faces":[[10,10,60,60]]}"#,
                "x1, y1, x2 and y2",
            ),
            (
                r#"{"path":"a","faces":[{"x1":1,"y1":2,"x2":3}]}"#,
                "needs the number y2",
            ),
            (
                r#"{"path":"a","faces":[{"x1":"1","y1":2,"x2":3,"y2":4}]}"#,
                "needs the number x1",
            ),
            (r#"{"path":"a","faces":{}}"#, "\"faces\" must be a list"),
            (r#"{"path":"a"}"#, "has no \"faces\""),
            (r#"{"faces":[]}"#, "has no \"path\""),
            (r#"{"path":7,"faces":[]}"#, "\"path\" must be a text"),
            (r#"{"path":"a","path_hex":"6","faces":[]}"#, "hexadecimal"),
            (r#"{"path":"a","path_hex":"+1","faces":[]}"#, "hexadecimal"),
            (
                r#"{"path":"a","frame":-1,"faces":[]}"#,
                "\"frame\" must be a whole number",
            ),
            (
                r#"{"path":"a","width":1.5,"faces":[]}"#,
                "\"width\" must be a whole number",
            ),
            (
                r#"{"path":"a","orientation":9,"faces":[]}"#,
                "must be 1 to 8",
            ),
            (r#"{"path":"a","faces":["#, "ends too early"),
            ("{path:1}", "see column"),
            ("[]", "object in braces"),
        ];
        for (text, words) in cases {
            let what = line(text).err().unwrap();
            assert!(what.contains(words), "{text}: {what}");
            for inside in ["struct", "expected", "line 1", "invalid type", "Read"] {
                assert!(!what.contains(inside), "{text}: {what}");
            }
        }
    }
}
