//! The tables of a track: which bytes are samples, and when they are shown.

use super::{
    Film, Inner, Kind, LeakKind, Units, Walk, config,
    parameters::{self, Shown},
};

/// A track's samples.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Runs of samples: first byte and the one behind the last, in the file.
    pub chunks: Vec<(u64, u64)>,
    /// Each sample: first byte and size.
    pub samples: Vec<(u64, u32)>,
    /// When each is shown, in units of the track.
    pub times: Vec<u64>,
    /// The least of them.
    pub first: u64,
    /// All durations together, in units of the track.
    pub duration: u64,
    /// The longest duration of a sample.
    pub longest: u32,
    /// The track's number.
    pub number: u32,
    /// How long the track's header says it lasts, in units of the film.
    pub lasts: u64,
    /// Width and height of a pixel, in any unit.
    pub shape: (u32, u32),
    /// Numbers of the samples that can be shown without others, from 1; `None`: all of them.
    pub sync: Option<Vec<u32>>,
    /// What is said of each sample's dependencies, if anything.
    pub depends: Option<Vec<u8>>,
    /// How samples are divided.
    pub units: Units,
}

/// Most samples of a track that are believed.
const MOST_SAMPLES: usize = 1 << 26;

/// Children of a description of pictures beside the coder's own parameters.
const PICTURES: [&str; 3] = ["pasp", "colr", "fiel"];

impl Walk<'_> {
    pub(super) fn stbl(&mut self, stbl: &Inner<'_>, video: bool, film: &mut Film) -> Option<Table> {
        let allowed = ["stss", "ctts", "stco", "co64", "sgpd", "sbgp", "sdtp"];
        let all = self.listed(stbl, 0, &["stsd", "stts", "stsc", "stsz"], &allowed);
        let get = |name: &[u8; 4]| all.iter().find(|a| a.name == *name);
        let mut units = self.stsd(get(b"stsd")?, video, film)?;
        let shape = std::mem::replace(&mut units.shape, (1, 1));
        let sizes = self.sizes(get(b"stsz")?)?;
        self.groups((get(b"sgpd"), get(b"sbgp")), video, sizes.len());
        let sync = get(b"stss").map(|stss| self.sync(stss, video, sizes.len()));
        let depends = get(b"sdtp").map(|sdtp| self.depends(sdtp, video, sizes.len()));
        let offsets = match (get(b"stco"), get(b"co64")) {
            (Some(a), None) => self.counted(a, 4).map(|n| {
                (0..n)
                    .filter_map(|i| a.u32(8 + 4 * i).map(u64::from))
                    .collect::<Vec<_>>()
            }),
            (None, Some(a)) => self
                .counted(a, 8)
                .map(|n| (0..n).filter_map(|i| a.u64(8 + 8 * i)).collect()),
            _ => None,
        };
        let Some(offsets) = offsets else {
            self.wrong(stbl, "no list of chunks");
            return None;
        };
        let mut table = Table {
            units,
            shape,
            sync,
            depends,
            ..Table::default()
        };
        self.spread(get(b"stsc")?, &offsets, &sizes, &mut table);
        self.times(get(b"stts")?, get(b"ctts"), sizes.len(), &mut table);
        Some(table)
    }

    /// A table of `step` bytes an entry behind a count; its length must fit.
    fn counted(&mut self, atom: &Inner<'_>, step: usize) -> Option<usize> {
        let count = atom.u32(4)? as usize;
        let plain = atom.zero(1, 4);
        if atom.body.len() != count.checked_mul(step)?.checked_add(8)? || !plain {
            self.wrong(atom, "a table of the wrong length");
            return None;
        }
        Some(count)
    }

    /// Numbers of samples, rising.
    fn sync(&mut self, stss: &Inner<'_>, video: bool, samples: usize) -> Vec<u32> {
        let count = self.counted(stss, 4).unwrap_or(0);
        let all: Vec<u32> = (0..count).filter_map(|i| stss.u32(8 + 4 * i)).collect();
        self.findings.worked(count as u64);
        let rising = all.windows(2).all(|w| w[0] < w[1]);
        let inside =
            all.first().is_none_or(|n| *n > 0) && all.last().is_none_or(|n| *n as usize <= samples);
        if !rising || !inside || !video || !stss.version(0) {
            self.wrong(stss, "numbers of samples that do not rise or are not there");
        }
        all
    }

    /// A byte a sample: whether it needs others, and whether others need it.
    fn depends(&mut self, sdtp: &Inner<'_>, video: bool, samples: usize) -> Vec<u8> {
        let all = sdtp.body.get(4..).unwrap_or_default();
        if all.len() != samples || !video || !sdtp.version(0) {
            self.wrong(sdtp, "a table of the wrong length or kind");
            return Vec::new();
        }
        all.to_vec()
    }

    /// Groups of samples say only how many packets of sound the decoder needs before it can begin:
    /// one distance, which all samples have.
    fn groups(
        &mut self,
        pair: (Option<&Inner<'_>>, Option<&Inner<'_>>),
        video: bool,
        samples: usize,
    ) {
        let samples = u32::try_from(samples).unwrap_or(u32::MAX).to_be_bytes();
        let right = |atom: &Inner<'_>| {
            let b = atom.body;
            if &atom.name == b"sgpd" {
                let head = b.starts_with(b"\x01\0\0\0roll\0\0\0\x02\0\0\0\x01\xFF");
                head && b.len() == 18 && b[17] >= 0xF0
            } else {
                b == [b"\0\0\0\0roll\0\0\0\x01", &samples[..], &[0, 0, 0, 1]].concat()
            }
        };
        for group in [pair.0, pair.1].into_iter().flatten() {
            if video || pair.0.is_some() != pair.1.is_some() || !right(group) {
                self.findings.add(
                    LeakKind::Unknown,
                    "groups of samples",
                    group.range(self.base),
                );
            }
        }
    }

    fn sizes(&mut self, stsz: &Inner<'_>) -> Option<Vec<u32>> {
        let (same, count) = (stsz.u32(4)?, stsz.u32(8)? as usize);
        let fits = stsz.body.len() == 12 + if same == 0 { count.checked_mul(4)? } else { 0 };
        // A number that needs no table must not make the reader allocate.
        let held = same == 0 || (same as usize).checked_mul(count)? <= self.length as usize;
        if !fits || !held || count > MOST_SAMPLES || !stsz.version(0) {
            self.wrong(stsz, "a table of the wrong length");
            return None;
        }
        self.findings.worked(count as u64);
        let sizes: Vec<u32> = (0..count)
            .filter_map(|i| {
                if same == 0 {
                    stsz.u32(12 + 4 * i)
                } else {
                    Some(same)
                }
            })
            .collect();
        if sizes.contains(&0) {
            self.wrong(stsz, "empty samples");
        }
        Some(sizes)
    }

    fn spread(&mut self, stsc: &Inner<'_>, offsets: &[u64], sizes: &[u32], table: &mut Table) {
        let Some(runs) = self.counted(stsc, 12) else {
            return;
        };
        // Each run: its first chunk, samples a chunk, and which description, of which there is one.
        let all: Vec<[u32; 3]> = (0..runs)
            .filter_map(|i| {
                let at = 8 + 12 * i;
                Some([stsc.u32(at)?, stsc.u32(at + 4)?, stsc.u32(at + 8)?])
            })
            .collect();
        self.findings.worked(runs as u64 + offsets.len() as u64);
        // Runs that say the same as the one before, or of chunks that are not there, say nothing.
        let needed = all
            .windows(2)
            .all(|w| w[0][0] < w[1][0] && w[0][1] != w[1][1]);
        let right = all.first().is_none_or(|run| run[0] == 1)
            && all
                .last()
                .is_none_or(|run| run[0] as usize <= offsets.len())
            && all.iter().all(|run| run[1] > 0 && run[2] == 1);
        if !needed || !right || !stsc.version(0) {
            self.wrong(stsc, "runs of chunks that nothing needs");
            return;
        }
        let mut sizes = sizes.iter();
        let mut run = 0;
        for (index, &offset) in offsets.iter().enumerate() {
            if all
                .get(run + 1)
                .is_some_and(|next| next[0] as usize <= index + 1)
            {
                run += 1;
            }
            let mut at = offset;
            let due = all.get(run).map_or(0, |run| run[1] as usize);
            let before = table.samples.len();
            for size in sizes.by_ref().take(due) {
                table.samples.push((at, *size));
                at = at.saturating_add(u64::from(*size));
            }
            if table.samples.len() - before != due {
                self.wrong(stsc, "chunks without samples");
                return;
            }
            table.chunks.push((offset, at));
        }
        if sizes.next().is_some() {
            self.wrong(stsc, "samples in no chunk");
        }
        if !self.divided(&all, table) {
            self.wrong(stsc, "chunks that are divided at will, or out of order");
        }
    }

    /// Whether chunks follow each other, and end where they must: where other data comes, where one
    /// more sample would make more than a muxer's usual size, or all of them alike.
    fn divided(&self, runs: &[[u32; 3]], table: &Table) -> bool {
        const USUAL: u64 = 1 << 20;
        // The last chunk may be shorter.
        let alike = match runs {
            [] | [_] => true,
            [a, b] => b[0] as usize == table.chunks.len() && b[1] < a[1],
            _ => false,
        };
        let sizes = table
            .samples
            .iter()
            .map(|&(at, size)| (at, u64::from(size)));
        let first: std::collections::HashMap<u64, u64> = if alike {
            Default::default()
        } else {
            sizes.collect()
        };
        table.chunks.windows(2).all(|w| {
            let ((from, end), (next, _)) = (w[0], w[1]);
            let full = || {
                first
                    .get(&next)
                    .is_some_and(|size| end - from + size >= USUAL)
            };
            next > end || next == end && (alike || full())
        })
    }

    /// Runs of samples and what each has; none is empty or says the same as the one before.
    fn runs(&mut self, atom: &Inner<'_>, version: u8) -> Vec<(u32, u32)> {
        let count = self.counted(atom, 8).unwrap_or(0);
        self.findings.worked(count as u64);
        let all: Vec<(u32, u32)> = (0..count)
            .filter_map(|i| atom.u32(8 + 8 * i).zip(atom.u32(12 + 8 * i)))
            .collect();
        let needed = all.iter().all(|run| run.0 > 0) && all.windows(2).all(|w| w[0].1 != w[1].1);
        if !needed || !atom.version(version) {
            self.wrong(atom, "runs of samples that nothing needs");
            return Vec::new();
        }
        all
    }

    fn times(
        &mut self,
        stts: &Inner<'_>,
        ctts: Option<&Inner<'_>>,
        samples: usize,
        table: &mut Table,
    ) {
        let (mut at, mut all) = (0u64, 0u64);
        for (count, delta) in self.runs(stts, 0) {
            all += u64::from(count);
            table.longest = table.longest.max(delta);
            for _ in 0..(count as usize).min(samples - table.times.len().min(samples)) {
                table.times.push(at);
                at += u64::from(delta);
            }
        }
        table.duration = at;
        if all != samples as u64 {
            self.wrong(stts, "another number of times than of samples");
        }
        if let Some(ctts) = ctts {
            let mut index = 0usize;
            for (count, shift) in self.runs(ctts, 1) {
                let shift = shift as i32;
                for time in table.times.iter_mut().skip(index).take(count as usize) {
                    *time = time.saturating_add_signed(shift.into());
                }
                index = index.saturating_add(count as usize);
            }
            if index != samples {
                self.wrong(ctts, "another number of times than of samples");
            }
        }
        table.first = table.times.iter().copied().min().unwrap_or(0);
    }

    fn stsd(&mut self, stsd: &Inner<'_>, video: bool, film: &mut Film) -> Option<Units> {
        if stsd.body.get(..8)? != [0, 0, 0, 0, 0, 0, 0, 1] {
            self.wrong(stsd, "not one description of samples");
        }
        let entries = self.boxes(stsd.body.get(8..)?, stsd.at + 16);
        let [entry] = entries[..] else {
            self.wrong(stsd, "not one description of samples");
            return None;
        };
        let mut units = Units::default();
        if video {
            // The data is in this file; 72 dots an inch, one picture a sample, 24 bits a pixel.
            const DENSITY: &[u8] = b"\0\x48\0\0\0\x48\0\0\0\0\0\0\0\x01";
            let b = entry.body;
            let plain = entry.zero(0, 6)
                && entry.u16(6) == Some(1)
                && entry.zero(8, 24)
                && b.get(28..42) == Some(DENSITY)
                && b.get(74..78) == Some(&[0, 0x18, 0xFF, 0xFF]);
            if !plain {
                self.wrong(&entry, "an unusual description of pictures");
            }
            if !entry.zero(42, 74) {
                self.comment(&entry, "an encoder's name");
            }
            film.size = Some((entry.u16(24)?.into(), entry.u16(26)?.into()));
            units.size = film.size;
            units.kind = match &entry.name {
                b"avc1" => Kind::Avc(4),
                b"hvc1" | b"hev1" => Kind::Hevc(4),
                b"av01" => Kind::Av1,
                b"vp09" => Kind::Vp9,
                name => {
                    unlisted_codec(name, &entry, self);
                    Kind::Whole
                }
            };
        } else {
            let rate = entry.u32(24).map(|r| (r >> 16, r & 0xFFFF));
            let plain = entry.zero(0, 6)
                && entry.u16(6) == Some(1)
                && entry.zero(8, 16)
                && entry
                    .u16(16)
                    .is_some_and(|channels| (1..=8).contains(&channels))
                && entry.u16(18) == Some(16)
                && entry.zero(20, 24)
                && rate.is_some_and(|(hertz, rest)| rest == 0 && config::rate(hertz));
            if !plain {
                self.wrong(&entry, "an unusual description of sound");
            }
            if &entry.name == b"Opus" {
                units.kind = Kind::Opus;
            } else if &entry.name != b"mp4a" {
                unlisted_codec(&entry.name, &entry, self);
            }
        }
        // The coder's own parameters are of its own kind.
        let own = match (&units.kind, &entry.name) {
            (Kind::Avc(_), _) => "avcC",
            (Kind::Hevc(_), _) => "hvcC",
            (Kind::Av1, _) => "av1C",
            (Kind::Vp9, _) => "vpcC",
            (Kind::Opus, _) => "dOps",
            (Kind::Whole, _) => "esds",
        };
        let allowed: &[&str] = if video { &PICTURES } else { &[] };
        for inner in self.listed(&entry, if video { 78 } else { 28 }, &[own], allowed) {
            self.parameters(&inner, &mut units, film);
        }
        Some(units)
    }

    /// A child of a description of samples.
    fn parameters(&mut self, inner: &Inner<'_>, units: &mut Units, film: &Film) {
        let b = inner.body;
        let right = match &inner.name {
            b"avcC" | b"hvcC" => {
                let hevc = &inner.name == b"hvcC";
                let length = b.get(if hevc { 21 } else { 4 }).copied().unwrap_or(3);
                let length = usize::from(length & 3) + 1;
                // Blocks of 16, twice as high where fields are coded; of at most 64.
                let (kind, sets, block) = if hevc {
                    (Kind::Hevc(length), config::hvcc(b), 64)
                } else {
                    (Kind::Avc(length), config::avcc(b), 32)
                };
                units.kind = kind;
                let shown = match &sets {
                    Some(sets) => Some(sets.shown),
                    None if hevc => config::hvcc_sequence(b).and_then(parameters::hevc_shown),
                    None => None,
                };
                self.shows(inner, shown, block, film);
                let right = sets.is_some();
                if let Some(sets) = sets {
                    (units.sets, units.pictures) = (sets.all, sets.pictures);
                }
                right
            }
            b"av1C" => config::av1c(b),
            b"vpcC" => config::vpcc(b),
            b"esds" => config::esds(b),
            b"dOps" => b.first() == Some(&0) && config::opus(b, 1, true),
            b"pasp" => {
                let shape = inner.u32(0).zip(inner.u32(4)).filter(|_| b.len() == 8);
                units.shape = shape.unwrap_or((1, 1));
                shape.is_some_and(config::shape)
            }
            // Progressive, or two fields in one of four orders.
            b"fiel" => matches!(b, [1, 0] | [2, 1 | 6 | 9 | 14]),
            // Numbers for the colours, no profile.
            b"colr" if b.get(..4) != Some(b"nclx") || b.len() != 11 => {
                self.findings.add(
                    LeakKind::ColourProfile,
                    "a colour profile",
                    inner.range(self.base),
                );
                true
            }
            b"colr" => {
                let number = |i: usize| b[4 + 2 * i] == 0 && config::colours(i, b[5 + 2 * i]);
                (0..3).all(number) && b[10] & 0x7F == 0
            }
            _ => true,
        };
        if !right {
            self.wrong(inner, "more than parameters");
        }
    }

    /// What is shown is what the container says, and nothing is hidden behind the edge.
    fn shows(&mut self, atom: &Inner<'_>, shown: Option<Shown>, block: u32, film: &Film) {
        let Some(shown) = shown else {
            self.wrong(atom, "parameters that can't be followed");
            return;
        };
        if film.size != Some(shown.size) {
            let (w, h) = shown.size;
            self.findings.add(
                LeakKind::Malformed,
                format!("parameters of a picture of {w} × {h} pixels"),
                atom.range(self.base),
            );
        }
        if !shown.fills_only(block) {
            self.findings.add(
                LeakKind::HiddenPixels,
                "pixels behind the edge of what is shown",
                atom.range(self.base),
            );
        }
    }
}

fn unlisted_codec(name: &[u8; 4], entry: &Inner<'_>, walk: &mut Walk<'_>) {
    let what = format!(
        "samples of a kind that is not looked into ('{}')",
        name.escape_ascii()
    );
    walk.findings
        .add(LeakKind::Unknown, what, entry.range(walk.base));
}
