//! WebM: the elements that a player needs, and no others. No titles, dates, tags but the lengths
//! that muxers write, chapters, attachments; unused room is filled with zeros.

use super::{
    Findings, LeakKind, frames,
    mp4::{self, Film, SourceObject, bytes_at, range},
};

pub(super) const SIGNATURE: [u8; 4] = [0x1A, 0x45, 0xDF, 0xA3];

/// Elements that hold elements.
const HOLDERS: [u32; 20] = [
    0x1A45_DFA3,
    0x1853_8067,
    0x114D_9B74,
    0x4DBB,
    0x1549_A966,
    0x1654_AE6B,
    0xAE,
    0xE0,
    0xE1,
    0x55B0,
    0x1F43_B675,
    0xA0,
    0x1C53_BB6B,
    0xBB,
    0xB7,
    0x1254_C367,
    0x7373,
    0x63C0,
    0x67C8,
    0x55D0,
];
/// Elements that are numbers or the coder's own parameters.
const PLAIN: [u32; 59] = [
    // Header, places, times.
    0x4286, 0x42F7, 0x42F2, 0x42F3, 0x4287, 0x4285, 0x53AB, 0x53AC, 0x2A_D7B1, 0x4489,
    // Tracks.
    0xD7, 0x73C5, 0x83, 0x9C, 0xB9, 0x88, 0x55AA, 0x86, 0x63A2, 0x56AA, 0x56BB, 0x23_E383, 0x6DE7,
    0x55EE, // Pictures and their colours, sound.
    0xB0, 0xBA, 0x54B0, 0x54BA, 0x54B2, 0x9A, 0x9D, 0x53B8, 0x55B1, 0x55B2, 0x55B3, 0x55B4, 0x55B5,
    0x55B6, 0x55B7, 0x55B8, 0x55B9, 0x55BA, 0x55BB, 0x55BC, 0x55BD, 0xB5, 0x9F, 0x6264,
    // Clusters and the index.
    0xE7, 0xA7, 0xAB, 0x9B, 0xFB, 0x75A2, 0xB3, 0xF7, 0xF1, 0xF0, 0xB2,
];
/// Largest body of a plain element, in bytes: numbers have eight, names of codecs and types are
/// short, a coder's own parameters hold its tables.
const fn most(id: u32) -> u64 {
    match id {
        0x53AB => 16,
        _ => 8,
    }
}

/// Largest element but for those that are read through, in bytes.
const MOST: u64 = 64 << 20;

struct Element {
    id: u32,
    start: u64,
    body: u64,
    end: u64,
}

fn number(file: &mut dyn SourceObject, at: u64, keep: bool) -> Option<(u64, u64)> {
    let first = bytes_at(file, at, 1)?[0];
    let length = first.leading_zeros() as u64 + 1;
    if length > 8 {
        return None;
    }
    let bytes = bytes_at(file, at, length as usize)?;
    let mut value = u64::from(if keep {
        bytes[0]
    } else {
        first & (0xFF >> length) as u8
    });
    if length == 8 && !keep {
        value = 0;
    }
    for b in &bytes[1..] {
        value = value << 8 | u64::from(*b);
    }
    Some((value, length))
}

fn element(file: &mut dyn SourceObject, at: u64, limit: u64) -> Option<Element> {
    let (id, a) = number(file, at, true)?;
    let (size, b) = number(file, at + a, false)?;
    let body = at + a + b;
    let end = body.checked_add(size).filter(|&e| e <= limit)?;
    Some(Element {
        id: u32::try_from(id).ok()?,
        start: at,
        body,
        end,
    })
}

struct Walk<'a> {
    file: &'a mut dyn SourceObject,
    findings: &'a mut Findings,
    film: Film,
    cluster: u64,
    kind: u64,
    track: u64,
    /// Numbers of all tracks.
    tracks: Vec<u64>,
    /// Number of the track of pictures.
    video: Option<u64>,
    /// Name of the last track's coder, and its own parameters.
    coder: Vec<u8>,
    own: Vec<u8>,
    /// Name of the coder of the pictures.
    pictured: Vec<u8>,
    pictures: u32,
    tag: Vec<u8>,
}

pub(super) fn inspect(file: &mut dyn SourceObject, length: u64, findings: &mut Findings) -> Film {
    let mut walk = Walk {
        file,
        findings,
        film: Film::default(),
        cluster: 0,
        kind: 0,
        track: 0,
        tracks: Vec::new(),
        video: None,
        coder: Vec::new(),
        own: Vec::new(),
        pictured: Vec::new(),
        pictures: 0,
        tag: Vec::new(),
    };
    walk.level(0, length, 0);
    let Walk {
        mut film, pictures, ..
    } = walk;
    if pictures != 1 {
        findings.add(
            LeakKind::SecondPicture,
            format!("{pictures} tracks of pictures"),
            range(0, length),
        );
    }
    film.times.sort_by(f64::total_cmp);
    film
}

impl Walk<'_> {
    fn level(&mut self, from: u64, to: u64, depth: u32) {
        let mut at = from;
        while at < to {
            let Some(e) = element(self.file, at, to).filter(|_| depth < 8) else {
                self.findings.add(
                    LeakKind::Trailing,
                    "bytes that are no element",
                    range(at, to),
                );
                return;
            };
            if HOLDERS.contains(&e.id) {
                self.level(e.body, e.end, depth + 1);
                if e.id == 0xAE {
                    self.entry();
                }
            } else {
                self.leaf(&e);
            }
            at = e.end;
        }
    }

    /// A whole track was read.
    fn entry(&mut self) {
        self.tracks.push(self.track);
        let (coder, own) = (
            std::mem::take(&mut self.coder),
            std::mem::take(&mut self.own),
        );
        let right = match (self.kind, &coder[..]) {
            // Numbers of features: kind, length, value, four of them.
            (1, b"V_VP9") => {
                own.len() <= 12
                    && own
                        .chunks(3)
                        .enumerate()
                        .all(|(i, f)| matches!(f, [id, 1, _] if usize::from(*id) == i + 1))
            }
            (1, b"V_AV1") => mp4::av1c(&own),
            (2, b"A_OPUS") => own.starts_with(b"OpusHead\x01") && mp4::opus(&own, 9),
            _ => false,
        };
        if !right {
            let what = "a coder that is not looked into, or more than its parameters";
            self.findings.add(LeakKind::Unknown, what, 0..0);
        }
        self.findings.unchecked(if self.kind == 1 {
            mp4::CODED
        } else {
            mp4::SOUND
        });
        match self.kind {
            1 => {
                self.pictured = coder;
                self.pictures += 1;
                self.video = Some(self.track);
            }
            2 => self.film.sound += 1,
            _ => self.findings.add(
                LeakKind::Unknown,
                "a track that is neither picture nor sound",
                0..0,
            ),
        }
    }

    fn bytes(&mut self, e: &Element) -> Vec<u8> {
        bytes_at(self.file, e.body, (e.end - e.body).min(MOST) as usize).unwrap_or_default()
    }

    fn value(&mut self, e: &Element) -> u64 {
        self.bytes(e)
            .iter()
            .take(8)
            .fold(0, |n, b| n << 8 | u64::from(*b))
    }

    fn leaf(&mut self, e: &Element) {
        let whole = range(e.start, e.end);
        match e.id {
            0xE7 => self.cluster = self.value(e),
            0xD7 => self.track = self.value(e),
            0x83 => self.kind = self.value(e),
            0x86 if e.end - e.body <= 16 => self.coder = self.bytes(e),
            0x63A2 if e.end - e.body <= 512 => self.own = self.bytes(e),
            0xB0 => {
                self.film.size = Some((self.value(e) as u32, self.film.size.map_or(0, |s| s.1)))
            }
            0xBA => {
                self.film.size = Some((self.film.size.map_or(0, |s| s.0), self.value(e) as u32))
            }
            0x4489 => {
                let b = self.bytes(e);
                self.film.end = match b[..] {
                    [a, b, c, d, e, f, g, h] => {
                        f64::from_be_bytes([a, b, c, d, e, f, g, h]) / 1000.0
                    }
                    _ => 0.0,
                };
            }
            0x2A_D7B1 if self.value(e) != 1_000_000 => {
                self.findings
                    .add(LeakKind::Malformed, "an unusual unit of time", whole)
            }
            0xA3 | 0xA1 => self.block(e),
            0xEC => {
                if self.bytes(e).iter().any(|&b| b != 0) {
                    self.findings
                        .add(LeakKind::Slack, "unused room with something in it", whole);
                }
            }
            0x4282 if self.bytes(e) != b"webm" => {
                self.findings
                    .add(LeakKind::Unknown, "another type of document", whole)
            }
            0x4D80 | 0x5741 if self.bytes(e) != b"none" => {
                self.findings
                    .add(LeakKind::Comment, "a program's name", whole)
            }
            0x22_B59C if self.bytes(e) != b"und" => {
                self.findings.add(LeakKind::Comment, "a language", whole)
            }
            0x63C5 if e.end - e.body <= 8 => {}
            0x45A3 => self.tag = self.bytes(e),
            0x4487 => {
                let text = self.bytes(e);
                let length = self.tag == b"DURATION"
                    && text.len() <= 32
                    && text
                        .iter()
                        .all(|b| b.is_ascii_digit() || b".:\0".contains(b));
                if !length {
                    self.findings.add(LeakKind::Comment, "a tag", whole);
                }
            }
            0x4282 | 0x4D80 | 0x5741 | 0x22_B59C => {}
            id if PLAIN.contains(&id) => {
                if e.end - e.body > most(id) {
                    self.findings.add(
                        LeakKind::Slack,
                        format!("element {id:x} with more than belongs into it"),
                        whole,
                    );
                }
            }
            0x4461 => self.findings.add(LeakKind::Comment, "a date", whole),
            0x7BA9 => self.findings.add(LeakKind::Comment, "a title", whole),
            0x73A4 => self.findings.add(LeakKind::Unknown, "an identifier", whole),
            0x1941_A469 => self
                .findings
                .add(LeakKind::SecondPicture, "attachments", whole),
            0x1043_A770 => self.findings.add(LeakKind::Comment, "chapters", whole),
            id => self
                .findings
                .add(LeakKind::Unknown, format!("element {id:x}"), whole),
        }
    }

    fn block(&mut self, e: &Element) {
        let head = number(self.file, e.body, false).and_then(|(track, length)| {
            let head = bytes_at(self.file, e.body + length, 3)?;
            (e.body + length + 3 <= e.end).then_some((track, length, head))
        });
        let Some((track, length, head)) = head else {
            self.findings.add(
                LeakKind::Malformed,
                "a frame without a head",
                range(e.start, e.end),
            );
            return;
        };
        if !self.tracks.contains(&track) {
            self.findings.add(
                LeakKind::HiddenPixels,
                "a frame of a track that is not there",
                range(e.start, e.end),
            );
        }
        let time = self.cluster as i64 + i64::from(i16::from_be_bytes([head[0], head[1]]));
        // Lacing puts several frames into one block.
        if head[2] & 0x06 != 0 {
            self.findings.add(
                LeakKind::Malformed,
                "frames laced together",
                range(e.start, e.end),
            );
        }
        // Not shown at all.
        if head[2] & 0x08 != 0 {
            self.findings.add(
                LeakKind::HiddenPixels,
                "a frame that is not shown",
                range(e.start, e.end),
            );
        }
        if Some(track) == self.video {
            self.film.times.push(time as f64 / 1000.0);
            self.coded(e, e.body + length + 3);
        }
    }

    /// The frame of a block: its units to the last byte, as far as that goes without decoding.
    fn coded(&mut self, e: &Element, from: u64) {
        let size = e.end - from;
        let bytes = (size <= MOST).then(|| bytes_at(self.file, from, size as usize));
        let fault = match bytes.flatten() {
            Some(bytes) if self.pictured == b"V_AV1" => frames::av1(&bytes, self.film.size),
            Some(bytes) => frames::vp9(&bytes),
            None => Some(frames::BROKEN),
        };
        if let Some((kind, what)) = fault {
            self.findings.add(kind, what, range(e.start, e.end));
        }
    }
}
