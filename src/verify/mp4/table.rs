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
        for group in all.iter().filter(|a| matches!(&a.name, b"sgpd" | b"sbgp")) {
            self.group(group);
        }
        if let Some(stss) = get(b"stss") {
            self.counted(stss, 4);
        }
        // A byte a sample: which ones others depend on.
        if let Some(sdtp) = get(b"sdtp") {
            let all = get(b"stsz").and_then(|z| z.u32(8));
            let fits = all == u32::try_from(sdtp.body.len().saturating_sub(4)).ok();
            let plain = |b: &u8| b & 0xC3 == 0;
            if !fits || !sdtp.zero(0, 4) || !sdtp.body[4..].iter().all(plain) {
                self.wrong(sdtp, "a table of the wrong length or kind");
            }
        }
        let units = self.stsd(get(b"stsd")?, video, film)?;
        let sizes = self.sizes(get(b"stsz")?)?;
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
            ..Table::default()
        };
        self.spread(get(b"stsc")?, &offsets, &sizes, &mut table);
        self.times(get(b"stts")?, get(b"ctts"), sizes.len(), &mut table);
        Some(table)
    }

    /// A table of `step` bytes an entry behind a count; its length must fit.
    fn counted(&mut self, atom: &Inner<'_>, step: usize) -> Option<usize> {
        let count = atom.u32(4)? as usize;
        if atom.body.len() != count.checked_mul(step)?.checked_add(8)? {
            self.wrong(atom, "a table of the wrong length");
            return None;
        }
        Some(count)
    }

    /// Groups of samples say only how many the decoder needs before it can begin.
    fn group(&mut self, atom: &Inner<'_>) {
        let roll = atom.body.get(4..8) == Some(b"roll");
        // Behind a count: a distance of two bytes, or how many samples are in which group.
        let counted = if &atom.name == b"sgpd" {
            atom.body.first() == Some(&1)
                && atom.u32(8) == Some(2)
                && atom.u32(12).map(|n| 16 + 2 * u64::from(n)) == Some(atom.body.len() as u64)
        } else {
            atom.zero(0, 4)
                && atom.u32(8).map(|n| 12 + 8 * u64::from(n)) == Some(atom.body.len() as u64)
        };
        if !roll || !counted || atom.body.len() > 32 {
            self.findings.add(
                LeakKind::Unknown,
                "groups of samples",
                atom.range(self.base),
            );
        }
    }

    fn sizes(&mut self, stsz: &Inner<'_>) -> Option<Vec<u32>> {
        let (same, count) = (stsz.u32(4)?, stsz.u32(8)? as usize);
        let fits = stsz.body.len() == 12 + if same == 0 { count.checked_mul(4)? } else { 0 };
        if !fits || count > MOST_SAMPLES {
            self.wrong(stsz, "a table of the wrong length");
            return None;
        }
        Some(
            (0..count)
                .filter_map(|i| {
                    if same == 0 {
                        stsz.u32(12 + 4 * i)
                    } else {
                        Some(same)
                    }
                })
                .collect(),
        )
    }

    fn spread(&mut self, stsc: &Inner<'_>, offsets: &[u64], sizes: &[u32], table: &mut Table) {
        let Some(runs) = self.counted(stsc, 12) else {
            return;
        };
        let mut sizes = sizes.iter();
        let mut run = 0;
        for (index, &offset) in offsets.iter().enumerate() {
            while run + 1 < runs
                && stsc
                    .u32(8 + 12 * (run + 1))
                    .is_some_and(|first| first as usize <= index + 1)
            {
                run += 1;
            }
            if stsc.u32(8 + 12 * run + 8) != Some(1) {
                self.wrong(stsc, "a second description of samples");
                return;
            }
            let mut at = offset;
            for size in sizes
                .by_ref()
                .take(stsc.u32(8 + 12 * run + 4).unwrap_or(0) as usize)
            {
                table.samples.push((at, *size));
                at = at.saturating_add(u64::from(*size));
            }
            table.chunks.push((offset, at));
        }
        if sizes.next().is_some() {
            self.wrong(stsc, "samples in no chunk");
        }
    }

    fn times(
        &mut self,
        stts: &Inner<'_>,
        ctts: Option<&Inner<'_>>,
        samples: usize,
        table: &mut Table,
    ) {
        let Some(runs) = self.counted(stts, 8) else {
            return;
        };
        let mut at = 0u64;
        for i in 0..runs {
            let (count, delta) = (
                stts.u32(8 + 8 * i).unwrap_or(0),
                stts.u32(12 + 8 * i).unwrap_or(0),
            );
            for _ in 0..(count as usize).min(samples - table.times.len().min(samples)) {
                table.times.push(at);
                at += u64::from(delta);
            }
        }
        table.duration = at;
        if table.times.len() != samples {
            self.wrong(stts, "another number of times than of samples");
        }
        if let Some(ctts) = ctts
            && let Some(runs) = self.counted(ctts, 8)
        {
            let mut index = 0;
            for i in 0..runs {
                let (count, shift) = (
                    ctts.u32(8 + 8 * i).unwrap_or(0),
                    ctts.u32(12 + 8 * i).unwrap_or(0) as i32,
                );
                for time in table.times.iter_mut().skip(index).take(count as usize) {
                    *time = time.saturating_add_signed(shift.into());
                }
                index += count as usize;
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
            let plain = entry.zero(0, 6) && entry.zero(8, 24) && entry.zero(42, 74);
            if !plain {
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
            if !entry.zero(0, 6) || !entry.zero(8, 16) {
                self.wrong(&entry, "an unusual description of sound");
            }
            if !matches!(&entry.name, b"mp4a" | b"Opus") {
                unlisted_codec(&entry.name, &entry, self);
            }
        }
        // The coder's own parameters are of its own kind.
        let own = match (&units.kind, &entry.name) {
            (Kind::Avc(_), _) => "avcC",
            (Kind::Hevc(_), _) => "hvcC",
            (Kind::Av1, _) => "av1C",
            (Kind::Vp9, _) => "vpcC",
            (Kind::Whole, b"Opus") => "dOps",
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
                let plain = if hevc {
                    units.kind = Kind::Hevc(length);
                    // Blocks of at most 64.
                    let shown = config::hvcc_set(b).and_then(parameters::hevc);
                    self.shows(inner, shown, 64, film);
                    config::hvcc(b)
                } else {
                    units.kind = Kind::Avc(length);
                    // Blocks of 16, twice as high where fields are coded.
                    let shown = config::avcc_set(b).and_then(parameters::avc);
                    self.shows(inner, shown, 32, film);
                    config::avcc(b)
                };
                let sets = config::sets(b, hevc);
                let right = plain && sets.is_some();
                units.sets = sets.unwrap_or_default();
                right
            }
            b"av1C" => config::av1c(b),
            b"vpcC" => config::vpcc(b),
            b"esds" => config::esds(b),
            b"dOps" => b.first() == Some(&0) && config::opus(b, 1),
            b"pasp" => b.len() == 8,
            b"fiel" => b.len() == 2,
            // Numbers for the colours, no profile.
            b"colr" if b.get(..4) != Some(b"nclx") || b.len() != 11 => {
                self.findings.add(
                    LeakKind::ColourProfile,
                    "a colour profile",
                    inner.range(self.base),
                );
                true
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
