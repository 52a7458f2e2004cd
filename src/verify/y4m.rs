//! YUV4MPEG2: a first line of what the pictures are, each picture as long as that asks for, and
//! nothing behind the last one.

use std::io::BufRead;

use super::{Findings, LeakKind, mp4::Film};

pub(super) const SIGNATURE: &[u8] = b"YUV4MPEG2 ";
/// Longest line of text in bytes: more would hold more than parameters.
const LONGEST: u64 = 200;

/// What the first line says.
struct Said {
    size: (u64, u64),
    rate: (f64, f64),
    /// Pixels that a sample of colour stands for, 0 for none; bytes a sample.
    colour: (u64, u64, u64),
}

pub(super) fn inspect(file: &mut dyn BufRead, length: u64, findings: &mut Findings) -> Film {
    let mut film = Film::default();
    let mut line = Vec::new();
    let _ = std::io::Read::take(&mut *file, LONGEST).read_until(b'\n', &mut line);
    let mut at = line.len() as u64;
    let Some(said) = std::str::from_utf8(&line)
        .ok()
        .and_then(|l| l.strip_suffix('\n'))
        .and_then(|l| said(l, findings))
    else {
        findings.add(
            LeakKind::Malformed,
            "a first line that can't be followed",
            0..line.len(),
        );
        return film;
    };
    film.size = Some((said.size.0 as u32, said.size.1 as u32));
    let ((w, h), (across, down, bytes)) = (said.size, said.colour);
    let colour = if across == 0 {
        0
    } else {
        2 * w.div_ceil(across) * h.div_ceil(down)
    };
    let picture = (w * h + colour) * bytes;
    const HEAD: &[u8] = b"FRAME\n";
    let mut head = [0; HEAD.len()];
    while at < length {
        findings.worked(picture);
        let whole = HEAD.len() as u64 + picture;
        let begins = file.read_exact(&mut head).is_ok() && head == HEAD;
        let mut samples = Samples {
            deep: bytes == 2,
            odd: false,
            high: false,
        };
        let skipped = std::io::copy(&mut std::io::Read::take(&mut *file, picture), &mut samples);
        if samples.high {
            findings.add(
                LeakKind::Slack,
                "samples with more than their 10 bits",
                at as usize..(at + whole) as usize,
            );
        }
        if !begins || !skipped.is_ok_and(|n| n == picture) {
            findings.add(
                LeakKind::Malformed,
                "bytes that are no picture",
                at as usize..length as usize,
            );
            break;
        }
        film.times
            .push(film.times.len() as f64 * said.rate.1 / said.rate.0);
        at += whole;
    }
    film.end = film.times.len() as f64 * said.rate.1 / said.rate.0;
    film
}

/// Looks at samples on their way: of two bytes, the higher one has two bits.
struct Samples {
    deep: bool,
    /// An odd number of bytes came so far.
    odd: bool,
    high: bool,
}

impl std::io::Write for Samples {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.deep {
            let mut high = bytes.iter().skip(usize::from(!self.odd)).step_by(2);
            self.high |= high.any(|b| *b > 3);
            self.odd ^= bytes.len() % 2 == 1;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn said(line: &str, findings: &mut Findings) -> Option<Said> {
    let mut said = Said {
        size: (0, 0),
        rate: (0.0, 1.0),
        colour: (2, 2, 1),
    };
    // Digits without a sign or leading zeros.
    let number = |text: &str| {
        let plain =
            text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        plain.then(|| text.parse::<u32>().ok()).flatten()
    };
    // In lowest terms.
    let ratio = |text: &str| {
        let (a, b) = text.split_once(':')?;
        let (a, b) = (number(a)?, number(b)?);
        let (mut x, mut y) = (a, b);
        while y > 0 {
            (x, y) = (y, x % y);
        }
        (x <= 1).then_some((a, b))
    };
    // Each parameter once, in the order in which all writers have them.
    let mut order = "WHFIACX".chars();
    for word in line.strip_prefix("YUV4MPEG2 ")?.split(' ') {
        let place = order.any(|c| word.starts_with(c));
        let right = match (word.get(..1)?, word.get(1..)?) {
            ("W", rest) => number(rest).is_some_and(|v| {
                said.size.0 = v.into();
                (1..1 << 16).contains(&v)
            }),
            ("H", rest) => number(rest).is_some_and(|v| {
                said.size.1 = v.into();
                (1..1 << 16).contains(&v)
            }),
            ("F", rest) => ratio(rest).is_some_and(|(a, b)| {
                said.rate = (a.into(), b.into());
                a > 0 && b > 0
            }),
            ("A", rest) => ratio(rest).is_some_and(|(a, b)| a < 1 << 16 && b < 1 << 16),
            ("I", rest) => matches!(rest, "p" | "t" | "b"),
            ("X", rest) => matches!(rest, "COLORRANGE=FULL" | "COLORRANGE=LIMITED"),
            ("C", rest) => {
                let known = match rest {
                    "420" | "420jpeg" | "420mpeg2" | "420paldv" => Some((2, 2, 1)),
                    "420p10" => Some((2, 2, 2)),
                    "422" => Some((2, 1, 1)),
                    "422p10" => Some((2, 1, 2)),
                    "444" => Some((1, 1, 1)),
                    "444p10" => Some((1, 1, 2)),
                    "mono" => Some((0, 0, 1)),
                    "mono10" => Some((0, 0, 2)),
                    _ => None,
                };
                said.colour = known.unwrap_or(said.colour);
                known.is_some()
            }
            _ => false,
        };
        if !right || !place {
            findings.add(
                LeakKind::Comment,
                "a parameter that is not on the list",
                0..line.len(),
            );
        }
    }
    let sides = 1..1 << 16;
    (sides.contains(&said.size.0) && sides.contains(&said.size.1) && said.rate.0 > 0.0)
        .then_some(said)
}
