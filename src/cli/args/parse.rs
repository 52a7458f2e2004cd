//! The text of single options → their values.

use unface::Rect;

/// `1:05-1:20.5` → seconds.
pub(super) fn stretch(text: &str) -> Result<(f64, f64), String> {
    let time = |t: &str| {
        t.split(':').try_fold(0.0, |sum, part| {
            let n: f64 = part
                .trim()
                .parse()
                .ok()
                .filter(|n: &f64| n.is_finite() && *n >= 0.0)?;
            Some(sum * 60.0 + n)
        })
    };
    text.split_once('-')
        .and_then(|(from, to)| Some((time(from)?, time(to)?)))
        .filter(|(from, to)| from < to)
        .ok_or_else(|| "use FROM-TO in seconds or minutes, such as 12.5-20 or 1:05-1:20".into())
}

pub(super) fn preset(text: &str) -> Result<String, String> {
    let plain =
        !text.is_empty() && text.len() <= 16 && text.bytes().all(|b| b.is_ascii_alphanumeric());
    plain
        .then(|| text.to_owned())
        .ok_or_else(|| "use a name such as veryfast, medium or slow".into())
}

pub(super) fn color(text: &str) -> Result<[u8; 3], String> {
    let digits = text.strip_prefix('#').unwrap_or(text);
    let value = (digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
        .then(|| u32::from_str_radix(digits, 16).ok())
        .flatten();
    value
        .map(|v| [(v >> 16) as u8, (v >> 8) as u8, v as u8])
        .ok_or_else(|| "use six hexadecimal digits, such as 00ff00".into())
}

pub(super) fn rate(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|v| (0.1..=1000.0).contains(v))
        .ok_or_else(|| "use a number from 0.1 to 1000".into())
}

pub(super) fn score(text: &str) -> Result<f32, String> {
    text.parse()
        .ok()
        .filter(|v| (0.0..=1.0).contains(v))
        .ok_or_else(|| "use a number from 0 to 1".into())
}

pub(super) fn pixels(text: &str) -> Result<f32, String> {
    text.parse()
        .ok()
        .filter(|v| (0.0..=1e5).contains(v))
        .ok_or_else(|| "use a number of pixels".into())
}

pub(super) fn place(text: &str) -> Result<Rect, String> {
    let wrong = || "use X,Y,W,H in pixels, such as 10,20,300,200".to_string();
    let numbers: Vec<f32> = text
        .split(',')
        .map(|n| n.trim().parse())
        .collect::<Result<_, _>>()
        .map_err(|_| wrong())?;
    match numbers[..] {
        [x, y, w, h] if numbers.iter().all(|n| n.is_finite()) && w > 0.0 && h > 0.0 => {
            Ok(Rect::new(x, y, x + w, y + h))
        }
        _ => Err(wrong()),
    }
}
