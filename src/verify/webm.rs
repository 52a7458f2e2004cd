//! WebM: the elements that a player needs, and no others. No titles, dates, tags but the lengths
//! that muxers write, chapters, attachments; unused room is filled with zeros.

use std::collections::HashSet;

use super::{
    Findings, LeakKind, frames,
    mp4::{self, Film, SourceObject, bytes_at, range},
};

pub(super) const SIGNATURE: [u8; 4] = [0x1A, 0x45, 0xDF, 0xA3];

/// What an element holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Elements.
    Holder,
    /// A number without leading zeros.
    Number,
    /// The number of a track, which may have eight bytes.
    Identifier,
    /// A number with a sign.
    Signed,
    /// A number in floating point, of eight bytes.
    Float,
    /// Text or a coder's parameters.
    Bytes,
}
use Kind::{Bytes, Float, Holder, Identifier, Number, Signed};

/// The outermost level.
const FILE: u32 = 0;
const SEGMENT: u32 = 0x1853_8067;
const CLUSTER: u32 = 0x1F43_B675;
const TRACK: u32 = 0xAE;
const PICTURES: u32 = 0xE0;
const COLOURS: u32 = 0x55B0;
const GROUP: u32 = 0xA0;
const VOID: u32 = 0xEC;

/// Elements: what holds them, what they hold, whether there may be several of them in one holder.
#[rustfmt::skip]
const ELEMENTS: [(u32, u32, Kind, bool); 76] = [
    (0x1A45_DFA3, FILE, Holder, false), (SEGMENT, FILE, Holder, false),
    (0x4286, 0x1A45_DFA3, Number, false), (0x42F7, 0x1A45_DFA3, Number, false),
    (0x42F2, 0x1A45_DFA3, Number, false), (0x42F3, 0x1A45_DFA3, Number, false),
    (0x4282, 0x1A45_DFA3, Bytes, false), (0x4287, 0x1A45_DFA3, Number, false),
    (0x4285, 0x1A45_DFA3, Number, false),
    // Where the parts lie.
    (0x114D_9B74, SEGMENT, Holder, false), (0x4DBB, 0x114D_9B74, Holder, true),
    (0x53AB, 0x4DBB, Bytes, false), (0x53AC, 0x4DBB, Number, false),
    (VOID, SEGMENT, Bytes, true), (VOID, 0x7373, Bytes, false),
    // The whole.
    (0x1549_A966, SEGMENT, Holder, false), (0x2A_D7B1, 0x1549_A966, Number, false),
    (0x4D80, 0x1549_A966, Bytes, false), (0x5741, 0x1549_A966, Bytes, false),
    (0x4489, 0x1549_A966, Float, false),
    // Tracks.
    (0x1654_AE6B, SEGMENT, Holder, false), (TRACK, 0x1654_AE6B, Holder, true),
    (0xD7, TRACK, Number, false), (0x73C5, TRACK, Identifier, false), (0x83, TRACK, Number, false),
    (0x9C, TRACK, Number, false), (0xB9, TRACK, Number, false), (0x88, TRACK, Number, false),
    (0x55AA, TRACK, Number, false), (0x86, TRACK, Bytes, false), (0x63A2, TRACK, Bytes, false),
    (0x56AA, TRACK, Number, false), (0x56BB, TRACK, Number, false),
    (0x23_E383, TRACK, Number, false), (0x6DE7, TRACK, Number, false),
    (0x55EE, TRACK, Number, false), (0x22_B59C, TRACK, Bytes, false),
    // Pictures and their colours, sound.
    (PICTURES, TRACK, Holder, false), (0xB0, PICTURES, Number, false),
    (0xBA, PICTURES, Number, false), (0x54B0, PICTURES, Number, false),
    (0x54BA, PICTURES, Number, false), (0x54B2, PICTURES, Number, false),
    (0x9A, PICTURES, Number, false), (0x9D, PICTURES, Number, false),
    (0x53B8, PICTURES, Number, false), (COLOURS, PICTURES, Holder, false),
    (0x55B1, COLOURS, Number, false), (0x55B2, COLOURS, Number, false),
    (0x55B3, COLOURS, Number, false), (0x55B4, COLOURS, Number, false),
    (0x55B7, COLOURS, Number, false), (0x55B8, COLOURS, Number, false),
    (0x55B9, COLOURS, Number, false), (0x55BA, COLOURS, Number, false),
    (0x55BB, COLOURS, Number, false), (0x55BC, COLOURS, Number, false),
    (0x55BD, COLOURS, Number, false),
    (0xE1, TRACK, Holder, false), (0x9F, 0xE1, Number, false), (0xB5, 0xE1, Float, false),
    (0x6264, 0xE1, Number, false),
    // Lengths of tracks.
    (0x1254_C367, SEGMENT, Holder, false), (0x7373, 0x1254_C367, Holder, true),
    (0x63C0, 0x7373, Holder, false), (0x63C5, 0x63C0, Identifier, false),
    (0x67C8, 0x7373, Holder, false), (0x45A3, 0x67C8, Bytes, false),
    (0x4487, 0x67C8, Bytes, false),
    // Frames.
    (CLUSTER, SEGMENT, Holder, true), (0xE7, CLUSTER, Number, false), (0xA3, CLUSTER, Bytes, true),
    (GROUP, CLUSTER, Holder, true), (0xA1, GROUP, Bytes, false), (0xFB, GROUP, Signed, false),
    (0x75A2, GROUP, Signed, false),
];
/// The index by time.
#[rustfmt::skip]
const CUES: [(u32, u32, Kind, bool); 7] = [
    (0x1C53_BB6B, SEGMENT, Holder, false), (0xBB, 0x1C53_BB6B, Holder, true),
    (0xB3, 0xBB, Number, false), (0xB7, 0xBB, Holder, true), (0xF7, 0xB7, Number, false),
    (0xF1, 0xB7, Number, false), (0xF0, 0xB7, Number, false),
];

/// What is known of an element in its holder.
fn rule(id: u32, parent: u32) -> Option<(Kind, bool)> {
    let mut all = ELEMENTS.iter().chain(&CUES);
    let found = all.find(|e| (e.0, e.1) == (id, parent))?;
    Some((found.2, found.3))
}

/// Whether a number is one that its element may have.
fn possible(id: u32, value: u64) -> bool {
    match id {
        0x4286 | 0x42F7 => value == 1,
        0x42F2 => value == 4,
        0x42F3 => value == 8,
        0x4287 | 0x4285 => (1..=4).contains(&value),
        0x2A_D7B1 => value == 1_000_000,
        // Tracks have numbers of one byte.
        0xD7 | 0xF7 | 0x73C5 | 0x63C5 => (1..127).contains(&value),
        0x83 => (1..=2).contains(&value),
        // No lacing, and no cache.
        0x9C | 0x6DE7 | 0x55EE | 0x53B8 => value == 0,
        0x88 | 0xB9 | 0x55AA | 0x55B3 | 0x55B4 => value <= 1,
        0x56AA => value <= 1_000_000_000,
        0x56BB => matches!(value, 0 | 80_000_000),
        0x23_E383 => value <= 100_000_000_000,
        0xB0 | 0xBA | 0x54B0 | 0x54BA => (1..1 << 16).contains(&value),
        0x54B2 => matches!(value, 0 | 3 | 4),
        0x9A | 0x55B7 | 0x55B8 => value <= 2,
        0x9D => matches!(value, 0 | 1 | 2 | 6 | 9 | 14),
        0x55B1 => value < 256 && mp4::colours(2, value as u8),
        0x55BA => value < 256 && mp4::colours(1, value as u8),
        0x55BB => value < 256 && mp4::colours(0, value as u8),
        0x55B9 => (1..=2).contains(&value),
        0x55B2 => matches!(value, 0 | 8 | 10 | 12),
        0x55BC | 0x55BD => value < 1 << 16,
        0x9F => (1..=8).contains(&value),
        0x6264 => matches!(value, 8 | 16 | 24 | 32),
        // Places and times are compared with what they speak of.
        0x53AC | 0xE7 | 0xB3 | 0xF1 | 0xF0 => true,
        _ => false,
    }
}

/// Largest unused room, in bytes.
const MOST_ROOM: u64 = 4096;
/// Largest element but for those that are read through, in bytes.
const MOST: u64 = 64 << 20;

struct Element {
    id: u32,
    start: u64,
    body: u64,
    end: u64,
    /// Its length is written in as few bytes as it can be.
    short: bool,
    /// In how many bytes its length is written.
    length: u64,
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
    // All ones is no length.
    let least = (1..8).find(|n| size < (1 << (7 * n)) - 1).unwrap_or(8);
    Some(Element {
        id: u32::try_from(id).ok()?,
        start: at,
        body,
        end,
        short: b == least,
        length: b,
    })
}

/// One way that the index leads to a frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Cue {
    time: u64,
    track: u64,
    /// First byte of the cluster, behind the segment's head.
    cluster: u64,
    /// First byte of the frame's element, behind the cluster's head; 0 where it is not said.
    frame: u64,
}

struct Walk<'a> {
    file: &'a mut dyn SourceObject,
    findings: &'a mut Findings,
    film: Film,
    /// First byte of the segment's content.
    segment: u64,
    /// First byte of the last cluster and of its content, and its time, once that is said.
    cluster: (u64, u64),
    time: Option<u64>,
    last_cluster: Option<u64>,
    kind: u64,
    track: u64,
    identifier: u64,
    /// Width and height, and those that are shown.
    sides: [Option<u64>; 4],
    /// Numbers of all tracks, and the times of their last frames.
    tracks: Vec<(u64, i64)>,
    /// Number of the track of pictures.
    video: Option<u64>,
    /// Name of the last track's coder, and its own parameters.
    coder: Vec<u8>,
    own: Vec<u8>,
    /// Name of the coder of the pictures.
    pictured: Vec<u8>,
    pictures: u32,
    tag: Vec<u8>,
    /// Tracks that a tag speaks of.
    tagged: Vec<u64>,
    /// Parts and where the head says they lie, and where they do.
    sought: Vec<(u32, u64)>,
    seek: u32,
    parts: Vec<(u32, u64)>,
    cue: Cue,
    cues: Vec<Cue>,
    frames: HashSet<Cue>,
    /// Of a block in a group: whether it can be shown without others, and how far back the one
    /// before it is.
    grouped: Option<(bool, i64)>,
    /// How far back the group says that the one it needs is.
    reference: Option<i64>,
    discarded: usize,
}

pub(super) fn inspect(file: &mut dyn SourceObject, length: u64, findings: &mut Findings) -> Film {
    let mut walk = Walk {
        file,
        findings,
        film: Film::default(),
        segment: 0,
        cluster: (0, 0),
        time: None,
        last_cluster: None,
        kind: 0,
        track: 0,
        identifier: 0,
        sides: [None; 4],
        tracks: Vec::new(),
        video: None,
        coder: Vec::new(),
        own: Vec::new(),
        pictured: Vec::new(),
        pictures: 0,
        tag: Vec::new(),
        tagged: Vec::new(),
        sought: Vec::new(),
        seek: 0,
        parts: Vec::new(),
        cue: Cue::default(),
        cues: Vec::new(),
        frames: HashSet::new(),
        grouped: None,
        reference: None,
        discarded: 0,
    };
    walk.level(0, length, FILE, 0);
    walk.compare();
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
    fn level(&mut self, from: u64, to: u64, parent: u32, depth: u32) {
        let mut at = from;
        // Elements of which there is one, at most as many as there are rules.
        let mut seen = Vec::new();
        while at < to {
            self.findings.worked(1);
            let Some(e) = element(self.file, at, to).filter(|_| depth < 8) else {
                self.findings.add(
                    LeakKind::Trailing,
                    "bytes that are no element",
                    range(at, to),
                );
                return;
            };
            let whole = range(e.start, e.end);
            match rule(e.id, parent) {
                None => self.unlisted(&e),
                Some((_, false)) if seen.contains(&e.id) => {
                    self.findings
                        .add(LeakKind::Unknown, "an element twice", whole);
                }
                Some((kind, many)) => {
                    if !many {
                        seen.push(e.id);
                    }
                    // Muxers leave room for the lengths of what they have not written yet.
                    let room = matches!(e.id, SEGMENT | TRACK | CLUSTER | VOID) && e.length == 8;
                    let mended = e.id == VOID && e.length == 2;
                    if !e.short && !room && !mended {
                        let what = "a length with more bytes than it needs";
                        self.findings
                            .add(LeakKind::Slack, what, range(e.start, e.body));
                    }
                    if kind == Holder {
                        self.enter(&e);
                        self.level(e.body, e.end, e.id, depth + 1);
                        self.leave(&e);
                    } else if self.sound(&e, kind) {
                        self.leaf(&e);
                    } else {
                        let what = format!("element {:x} with more than belongs into it", e.id);
                        self.findings.add(LeakKind::Slack, what, whole);
                    }
                }
            }
            at = e.end;
        }
    }

    /// Whether a number is written as it should be and is one that may be.
    fn sound(&mut self, e: &Element, kind: Kind) -> bool {
        let size = e.end - e.body;
        match kind {
            Holder | Bytes => true,
            Float => size == 8,
            Signed => (1..=8).contains(&size),
            Number | Identifier => {
                let value = (1..=8).contains(&size).then(|| self.value(e));
                let least = |v: u64| (64 - v.leading_zeros() as u64).div_ceil(8).max(1);
                let short = |v: u64| size == least(v) || kind == Identifier && size == 8;
                value.is_some_and(|v| short(v) && possible(e.id, v))
            }
        }
    }

    /// A holder begins.
    fn enter(&mut self, e: &Element) {
        match e.id {
            SEGMENT => self.segment = e.body,
            CLUSTER => (self.cluster, self.time) = ((e.start, e.body), None),
            TRACK => {
                (self.track, self.kind, self.identifier) = (0, 0, 0);
                self.sides = [None; 4];
            }
            GROUP => (self.reference, self.grouped) = (None, None),
            0x7373 => self.tag.clear(),
            0xB7 => (self.cue.track, self.cue.cluster, self.cue.frame) = (0, 0, 0),
            0x4DBB => self.seek = 0,
            _ => {}
        }
        if matches!(e.id, 0x1549_A966 | 0x1654_AE6B | 0x1254_C367 | 0x1C53_BB6B) {
            self.parts.push((e.id, e.start.wrapping_sub(self.segment)));
        }
    }

    /// A holder ends.
    fn leave(&mut self, e: &Element) {
        match e.id {
            TRACK => self.entry(),
            0xB7 => self.cues.push(self.cue),
            GROUP => self.group(e),
            _ => {}
        }
    }

    /// What speaks of other parts says what they are.
    fn compare(&mut self) {
        let mut sought = self.sought.clone();
        sought.sort_unstable();
        sought.dedup();
        let found = sought.len() == self.sought.len()
            && sought.iter().all(|place| self.parts.contains(place));
        if !found {
            let what = "places of parts that are not there";
            self.findings.add(LeakKind::Unknown, what, 0..0);
        }
        let times = self
            .cues
            .windows(2)
            .all(|w| (w[0].time, w[0].track) < (w[1].time, w[1].track));
        if !times || !self.cues.iter().all(|cue| self.frames.contains(cue)) {
            let what = "an index of frames that are not there";
            self.findings.add(LeakKind::Unknown, what, 0..0);
        }
    }

    /// A whole track was read.
    fn entry(&mut self) {
        if self.tracks.iter().any(|t| t.0 == self.track)
            || self.identifier != self.track
            || self.track == 0
        {
            self.findings
                .add(LeakKind::Unknown, "a track with another number", 0..0);
        }
        self.tracks.push((self.track, 0));
        let [wide, high, shown, shown_high] = self.sides;
        // Stretched across by the shape of the pixels.
        let stretched = shown.is_none_or(|s| wide.is_some_and(|w| s <= 16 * w && w <= 16 * s));
        if !stretched || shown_high.is_some_and(|s| Some(s) != high) {
            let what = "a picture that is shown in another size";
            self.findings.add(LeakKind::Unknown, what, 0..0);
        }
        let (coder, own) = (
            std::mem::take(&mut self.coder),
            std::mem::take(&mut self.own),
        );
        let right =
            match (self.kind, &coder[..]) {
                // Numbers of features: kind, length, value, four of them.
                (1, b"V_VP9") => own.len() <= 12
                    && own.chunks(3).enumerate().all(
                        |(i, f)| matches!(f, [id, 1, v] if usize::from(*id) == i + 1 && *v < 63),
                    ),
                (1, b"V_AV1") => mp4::av1c(&own),
                (2, b"A_OPUS") => own.starts_with(b"OpusHead\x01") && mp4::opus(&own, 9, false),
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
                self.film.size = wide.zip(high).map(|(w, h)| (w as u32, h as u32));
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

    fn signed(&mut self, e: &Element) -> i64 {
        let unused = 64 - 8 * (e.end - e.body).clamp(1, 8);
        (self.value(e) << unused) as i64 >> unused
    }

    fn float(&mut self, e: &Element) -> f64 {
        f64::from_bits(self.value(e))
    }

    fn leaf(&mut self, e: &Element) {
        let whole = range(e.start, e.end);
        let mut wrong = None;
        match e.id {
            0xE7 => {
                let time = self.value(e);
                if e.start != self.cluster.1 || self.last_cluster.is_some_and(|last| last >= time) {
                    wrong = Some((LeakKind::Unknown, "a cluster out of order"));
                }
                (self.time, self.last_cluster) = (Some(time), Some(time));
            }
            0xD7 => self.track = self.value(e),
            0x73C5 => self.identifier = self.value(e),
            0x83 => self.kind = self.value(e),
            0x86 if e.end - e.body <= 16 => self.coder = self.bytes(e),
            0x63A2 if e.end - e.body <= 512 => self.own = self.bytes(e),
            0xB0 => self.sides[0] = Some(self.value(e)),
            0xBA => self.sides[1] = Some(self.value(e)),
            0x54B0 => self.sides[2] = Some(self.value(e)),
            0x54BA => self.sides[3] = Some(self.value(e)),
            0x4489 => {
                self.film.end = self.float(e) / 1000.0;
                if !(0.0..1e9).contains(&self.film.end) {
                    wrong = Some((LeakKind::Malformed, "an unusual duration"));
                }
            }
            0xB5 if !(self.float(e).fract() == 0.0 && mp4::rate(self.float(e) as u32)) => {
                wrong = Some((LeakKind::Unknown, "an unusual rate of sound"));
            }
            0x53AB => self.seek = self.value(e) as u32,
            0x53AC => {
                let place = (self.seek, self.value(e));
                self.sought.push(place);
            }
            0xB3 => self.cue.time = self.value(e),
            0xF7 => self.cue.track = self.value(e),
            0xF1 => self.cue.cluster = self.value(e),
            0xF0 => self.cue.frame = self.value(e),
            0xFB => self.reference = Some(self.signed(e)),
            0x75A2 => self.discarded += 1,
            0xA3 | 0xA1 => self.block(e),
            VOID if self.bytes(e).iter().any(|&b| b != 0) || e.end - e.body > MOST_ROOM => {
                wrong = Some((LeakKind::Slack, "unused room with something in it"));
            }
            0x4282 if self.bytes(e) != b"webm" => {
                wrong = Some((LeakKind::Unknown, "another type of document"));
            }
            0x4D80 | 0x5741 if self.bytes(e) != b"none" => {
                wrong = Some((LeakKind::Comment, "a program's name"));
            }
            0x22_B59C if self.bytes(e) != b"und" => {
                wrong = Some((LeakKind::Comment, "a language"));
            }
            0x63C5 => {
                let track = self.value(e);
                if self.tagged.contains(&track) {
                    wrong = Some((LeakKind::Comment, "a tag"));
                }
                self.tagged.push(track);
            }
            0x45A3 => self.tag = self.bytes(e),
            0x4487 => {
                let text = self.bytes(e);
                if self.tag != b"DURATION" || !length(&text) {
                    wrong = Some((LeakKind::Comment, "a tag"));
                }
            }
            _ => {}
        }
        if let Some((kind, what)) = wrong {
            self.findings.add(kind, what, whole);
        }
    }

    fn unlisted(&mut self, e: &Element) {
        let whole = range(e.start, e.end);
        let (kind, what) = match e.id {
            0x4461 => (LeakKind::Comment, "a date".to_owned()),
            0x7BA9 => (LeakKind::Comment, "a title".into()),
            0x73A4 => (LeakKind::Unknown, "an identifier".into()),
            0x1941_A469 => (LeakKind::SecondPicture, "attachments".into()),
            0x1043_A770 => (LeakKind::Comment, "chapters".into()),
            id => (LeakKind::Unknown, format!("element {id:x}")),
        };
        self.findings.add(kind, what, whole);
    }

    /// A block in a group, which says what a simple block has no room for.
    fn group(&mut self, e: &Element) {
        let refers = self
            .grouped
            .is_some_and(|(key, back)| match self.reference {
                None => key,
                Some(by) => !key && back == by,
            });
        if !refers || self.discarded > self.tracks.len() {
            let what = "a group that is not one frame with what it needs";
            self.findings
                .add(LeakKind::Unknown, what, range(e.start, e.end));
        }
    }

    fn block(&mut self, e: &Element) {
        let head = number(self.file, e.body, false).and_then(|(track, length)| {
            let head = bytes_at(self.file, e.body + length, 3)?;
            (e.body + length + 3 <= e.end && length == 1).then_some((track, length, head))
        });
        let whole = range(e.start, e.end);
        let Some((track, length, head)) = head else {
            let what = "a frame without a head";
            self.findings.add(LeakKind::Malformed, what, whole);
            return;
        };
        let relative = i64::from(i16::from_be_bytes([head[0], head[1]]));
        let cluster = self.time.unwrap_or(0);
        let time = (cluster as i64).saturating_add(relative);
        // A cluster begins with its first frame.
        let first = e.start
            == self.cluster.1
                + 2
                + if cluster == 0 {
                    1
                } else {
                    u64::from((64 - cluster.leading_zeros()).div_ceil(8))
                };
        if self.time.is_none() || first && relative != 0 && cluster != 0 {
            let what = "a cluster that begins at another time than its first frame";
            self.findings.add(LeakKind::Unknown, what, whole.clone());
        }
        let Some(place) = self.tracks.iter().position(|t| t.0 == track) else {
            let what = "a frame of a track that is not there";
            self.findings.add(LeakKind::HiddenPixels, what, whole);
            return;
        };
        let before = std::mem::replace(&mut self.tracks[place].1, time);
        // Lacing puts several frames into one block.
        if head[2] & 0x06 != 0 {
            let what = "frames laced together";
            self.findings.add(LeakKind::Malformed, what, whole.clone());
        }
        // Not shown at all.
        if head[2] & 0x08 != 0 {
            let what = "a frame that is not shown";
            self.findings
                .add(LeakKind::HiddenPixels, what, whole.clone());
        }
        let key = self.coded(e, e.body + length + 3, Some(track) == self.video);
        if Some(track) == self.video {
            self.film.times.push(time as f64 / 1000.0);
        }
        // Whether it needs others; in groups the reference says that.
        let simple = e.id == 0xA3;
        let flags = if simple && key { 0x80 } else { 0 };
        self.grouped = Some((key, before.saturating_sub(time)));
        if head[2] & !0x0E != flags {
            let what = "a frame that is listed as what it is not";
            self.findings.add(LeakKind::Unknown, what, whole);
        }
        for frame in [0, e.start.wrapping_sub(self.cluster.1)] {
            self.frames.insert(Cue {
                time: time.max(0) as u64,
                track,
                cluster: self.cluster.0.wrapping_sub(self.segment),
                frame,
            });
        }
    }

    /// The frame of a block: its units to the last byte, as far as that goes without decoding.
    /// Gives whether it can be shown without others.
    fn coded(&mut self, e: &Element, from: u64, pictures: bool) -> bool {
        let size = e.end - from;
        self.findings.worked(size);
        let bytes = (size <= MOST).then(|| bytes_at(self.file, from, size as usize));
        let followed = match bytes.flatten() {
            Some(bytes) if !pictures => frames::opus(&bytes).map(|()| true),
            Some(bytes) if self.pictured == b"V_AV1" => frames::av1(&bytes, self.film.size),
            Some(bytes) => frames::vp9(&bytes, self.film.size),
            None => Err(frames::BROKEN),
        };
        followed.unwrap_or_else(|(kind, what)| {
            self.findings.add(kind, what, range(e.start, e.end));
            true
        })
    }
}

/// Whether a text is a length as muxers write it, in thousandths of a second: `00:00:02.021000000`
/// and two zero bytes, one from ffmpeg 7 on.
fn length(text: &[u8]) -> bool {
    const LIKE: &[u8; 20] = b"00:00:00.000000000\0\0";
    matches!(text.len(), 19 | 20)
        && text.iter().zip(LIKE).enumerate().all(|(i, (is, due))| {
            let free = *due == b'0' && i < 12;
            is == due || free && is.is_ascii_digit()
        })
}
