//! The index of an MP4 file, written anew: only what a player needs, constant names, no times, and
//! the last picture exactly as long as it should be.
//!
//! `ffmpeg` wrote the file just before; what it calls itself and its encoder goes here.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
};

use super::EncodeError;
use crate::ffmpeg::StreamError;

/// Units a second of the whole film's times.
pub const TIMESCALE: u32 = 90_000;
/// Largest index that is believed, in bytes: a day of video has about 30 MB.
const MOST: u64 = 256 << 20;
/// Boxes that hold boxes.
const HOLDERS: [&[u8; 4]; 7] = [
    b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf",
];
/// Boxes that are left out.
const DROPPED: [&[u8; 4]; 4] = [b"udta", b"meta", b"uuid", b"free"];
/// Boxes inside a description of samples that a player needs.
const NEEDED: [&[u8; 4]; 9] = [
    b"avcC", b"hvcC", b"av1C", b"vpcC", b"esds", b"dOps", b"pasp", b"colr", b"fiel",
];

fn bad(what: &str) -> EncodeError {
    EncodeError::Video(StreamError::Nut(format!("an MP4 file with {what}")))
}

fn io(error: std::io::Error) -> EncodeError {
    EncodeError::Video(StreamError::Pipe(error.to_string()))
}

/// A box: its name, and bytes or boxes.
struct Atom {
    name: [u8; 4],
    data: Vec<u8>,
    inside: Vec<Atom>,
}

impl Atom {
    fn read(bytes: &[u8], depth: u32) -> Option<Vec<Self>> {
        let (mut atoms, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            let size = u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize;
            let name: [u8; 4] = bytes.get(at + 4..at + 8)?.try_into().ok()?;
            let body = bytes.get(at + 8..at.checked_add(size).filter(|_| size >= 8)?)?;
            let holder = HOLDERS.contains(&&name) && depth < 8;
            atoms.push(if holder {
                Self {
                    name,
                    data: Vec::new(),
                    inside: Self::read(body, depth + 1)?,
                }
            } else {
                Self {
                    name,
                    data: body.to_vec(),
                    inside: Vec::new(),
                }
            });
            at += size;
        }
        Some(atoms)
    }

    fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0; 4]);
        out.extend(self.name);
        out.extend(&self.data);
        self.inside.iter().for_each(|a| a.write(out));
        let size = (out.len() - start) as u32;
        out[start..start + 4].copy_from_slice(&size.to_be_bytes());
    }

    fn find(&mut self, path: &[&[u8; 4]]) -> Option<&mut Self> {
        let Some((first, rest)) = path.split_first() else {
            return Some(self);
        };
        self.inside
            .iter_mut()
            .find(|a| a.name == **first)?
            .find(rest)
    }

    fn u32(&self, at: usize) -> Option<u32> {
        self.data
            .get(at..at + 4)?
            .try_into()
            .ok()
            .map(u32::from_be_bytes)
    }

    fn u64(&self, at: usize) -> Option<u64> {
        self.data
            .get(at..at + 8)?
            .try_into()
            .ok()
            .map(u64::from_be_bytes)
    }

    /// A number of 4 or, in version 1, 8 bytes.
    fn set(&mut self, at4: usize, at8: usize, value: u64) -> Option<()> {
        if self.data.first() == Some(&1) {
            self.data
                .get_mut(at8..at8 + 8)?
                .copy_from_slice(&value.to_be_bytes());
        } else {
            self.data
                .get_mut(at4..at4 + 4)?
                .copy_from_slice(&u32::try_from(value).ok()?.to_be_bytes());
        }
        Some(())
    }

    /// Bytes that [`Atom::write`] gives.
    fn size(&self) -> u64 {
        8 + self.data.len() as u64 + self.inside.iter().map(Self::size).sum::<u64>()
    }

    /// Where the last chunk of a table with places of 4 bytes lies once it is moved; `None` if that needs 8.
    fn furthest(&self, by: u64) -> Option<u32> {
        let places = self.data.get(8..)?.chunks_exact(4);
        let places = places.map(|p| p.iter().fold(0u64, |n, b| n << 8 | u64::from(*b)));
        u32::try_from(places.max().unwrap_or(0) + by).ok()
    }

    /// Makes a table of places of 4 bytes one of 8.
    fn lengthen_places(&mut self) -> Option<()> {
        if self.name == *b"stco" {
            let (head, places) = self.data.split_at_checked(8)?;
            let wide = places.chunks_exact(4).flat_map(|p| [&[0; 4], p].concat());
            self.data = head.iter().copied().chain(wide).collect();
            self.name = *b"co64";
        }
        Some(())
    }

    fn move_places(&mut self, by: u64) -> Option<()> {
        let step = if self.name == *b"co64" { 8 } else { 4 };
        for place in self.data.get_mut(8..)?.chunks_exact_mut(step) {
            let to = place.iter().fold(0u64, |n, b| n << 8 | u64::from(*b)) + by;
            place.copy_from_slice(&to.to_be_bytes()[8 - step..]);
        }
        Some(())
    }

    fn prune(&mut self) {
        self.inside.retain(|a| !DROPPED.contains(&&a.name));
        self.inside.iter_mut().for_each(Self::prune);
    }
}

/// Rewrites the index, and puts it before the data, so that players can begin before the whole file is there.
/// `length`: the pictures' time on the screen, in units of their track.
pub(super) fn tidy(mut file: &File, length: i64) -> Result<(), EncodeError> {
    let (brands, start) = places(file)?;
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(start)).map_err(io)?;
    file.take(MOST).read_to_end(&mut bytes).map_err(io)?;
    let mut atoms = Atom::read(&bytes, 0).ok_or_else(|| bad("a broken index"))?;
    let moov = atoms.first_mut().ok_or_else(|| bad("no index"))?;
    rewrite(moov, length).ok_or_else(|| bad("an index that can't be followed"))?;
    let out = moved(moov).ok_or_else(|| bad("chunks that can't be moved"))?;
    shift(file, brands..start, out.len() as u64)?;
    file.seek(SeekFrom::Start(brands)).map_err(io)?;
    file.write_all(&out).map_err(io)?;
    file.set_len(start + out.len() as u64).map_err(io)
}

/// Where the brands at the file's beginning end, and where the index at its end begins.
fn places(mut file: &File) -> Result<(u64, u64), EncodeError> {
    let total = file.metadata().map_err(io)?.len();
    let (mut at, mut brands) = (0, 0);
    loop {
        let mut head = [0; 16];
        file.seek(SeekFrom::Start(at)).map_err(io)?;
        file.read_exact(&mut head[..8])
            .map_err(|_| bad("no index"))?;
        let mut size = u64::from(u32::from_be_bytes([head[0], head[1], head[2], head[3]]));
        if size == 1 {
            file.read_exact(&mut head[8..]).map_err(io)?;
            size = u64::from_be_bytes([
                head[8], head[9], head[10], head[11], head[12], head[13], head[14], head[15],
            ]);
        }
        if &head[4..8] == b"moov" {
            if at + size != total || size > MOST {
                return Err(bad("an index at the wrong place"));
            }
            return Ok((brands, at));
        }
        at = at
            .checked_add(size.max(8))
            .filter(|&n| n < total)
            .ok_or_else(|| bad("no index"))?;
        if &head[4..8] == b"ftyp" {
            brands = at;
        }
    }
}

/// The index as bytes, for data that lies as much later as the index is long. Places beyond 4 GiB need longer tables,
/// which make the index longer in turn.
fn moved(moov: &mut Atom) -> Option<Vec<u8>> {
    let mut by = moov.size();
    let far = chunks(moov)
        .iter()
        .any(|c| c.name == *b"stco" && c.furthest(by).is_none());
    if far {
        chunks(moov)
            .into_iter()
            .try_for_each(Atom::lengthen_places)?;
        by = moov.size();
    }
    for table in chunks(moov) {
        table.move_places(by)?;
    }
    let mut out = Vec::new();
    moov.write(&mut out);
    Some(out)
}

/// The tables of all tracks that say where their chunks lie.
fn chunks(moov: &mut Atom) -> Vec<&mut Atom> {
    let tracks = moov.inside.iter_mut().filter(|a| a.name == *b"trak");
    let tables = tracks.filter_map(|trak| trak.find(&[b"mdia", b"minf", b"stbl"]));
    tables
        .flat_map(|stbl| stbl.inside.iter_mut())
        .filter(|a| matches!(&a.name, b"stco" | b"co64"))
        .collect()
}

/// Bytes that are moved at a time.
const BLOCK: u64 = 1 << 20;

/// Moves a stretch of a file towards its end, the last bytes first.
fn shift(mut file: &File, stretch: std::ops::Range<u64>, by: u64) -> Result<(), EncodeError> {
    let mut block = Vec::new();
    let mut end = stretch.end;
    while end > stretch.start {
        let size = BLOCK.min(end - stretch.start);
        end -= size;
        block.resize(size as usize, 0);
        file.seek(SeekFrom::Start(end)).map_err(io)?;
        file.read_exact(&mut block).map_err(io)?;
        file.seek(SeekFrom::Start(end + by)).map_err(io)?;
        file.write_all(&block).map_err(io)?;
    }
    Ok(())
}

fn rewrite(moov: &mut Atom, length: i64) -> Option<()> {
    moov.prune();
    let mut longest = 0;
    for trak in moov.inside.iter_mut().filter(|a| &a.name == b"trak") {
        let hdlr = trak.find(&[b"mdia", b"hdlr"])?;
        let kind: [u8; 4] = hdlr.data.get(8..12)?.try_into().ok()?;
        // Version, what QuickTime wants, the kind, nothing, an empty name.
        hdlr.data = [&[0; 8][..], &kind, &[0; 13]].concat();
        describe(
            trak.find(&[b"mdia", b"minf", b"stbl", b"stsd"])?,
            &kind == b"vide",
        )?;
        if &kind == b"vide" {
            lengthen(trak, length)?;
        }
        let tkhd = trak.find(&[b"tkhd"])?;
        let duration = if tkhd.data.first() == Some(&1) {
            tkhd.u64(28)?
        } else {
            tkhd.u32(20)?.into()
        };
        longest = longest.max(duration);
    }
    moov.find(&[b"mvhd"])?.set(16, 24, longest)
}

/// The description of the samples: no encoder's name, only the boxes that are needed.
fn describe(stsd: &mut Atom, video: bool) -> Option<()> {
    let (head, fixed) = (8, if video { 86 } else { 36 });
    let entry = stsd.data.get(head..)?;
    let mut kept = entry.get(..fixed)?.to_vec();
    if video {
        kept.get_mut(50..82)?.fill(0);
    }
    for atom in Atom::read(entry.get(fixed..)?, 8)? {
        if NEEDED.contains(&&atom.name) {
            atom.write(&mut kept);
        }
    }
    let size = kept.len() as u32;
    kept.get_mut(..4)?.copy_from_slice(&size.to_be_bytes());
    stsd.data.truncate(head);
    stsd.data.extend(kept);
    Some(())
}

/// Makes the last picture end when it should, in all the places that say so.
fn lengthen(trak: &mut Atom, length: i64) -> Option<()> {
    let length = u64::try_from(length).ok()?;
    let mdhd = trak.find(&[b"mdia", b"mdhd"])?;
    let scale = u64::from(if mdhd.data.first() == Some(&1) {
        mdhd.u32(20)?
    } else {
        mdhd.u32(12)?
    });
    let movie = |media: u64| {
        (u128::from(media) * u128::from(TIMESCALE)).div_ceil(u128::from(scale.max(1))) as u64
    };
    let mut before = 0;
    if let Some(elst) = trak.find(&[b"edts", b"elst"]) {
        let wide = elst.data.first() == Some(&1);
        let (count, step) = (elst.u32(4)? as usize, if wide { 20 } else { 12 });
        for i in 0..count {
            let at = 8 + i * step;
            let (duration, media) = if wide {
                (elst.u64(at)?, elst.u64(at + 8)? as i64)
            } else {
                (elst.u32(at)?.into(), i64::from(elst.u32(at + 4)? as i32))
            };
            if media < 0 {
                before += duration;
            } else {
                elst.set(at, at, movie(length))?;
            }
        }
    }
    let stts = trak.find(&[b"mdia", b"minf", b"stbl", b"stts"])?;
    let total = last_delta(stts, length)?;
    trak.find(&[b"mdia", b"mdhd"])?.set(16, 24, total)?;
    trak.find(&[b"tkhd"])?.set(20, 28, before + movie(length))
}

/// Sets the last sample's duration, so that all together last `total`, or as little longer as they can. Gives how
/// long they last. Times of decoding begin with those of showing here; that frames are shown later than they are
/// decoded is in the list of edits.
fn last_delta(stts: &mut Atom, total: u64) -> Option<u64> {
    let mut runs: Vec<(u32, u32)> = (0..stts.u32(4)? as usize)
        .map(|i| Some((stts.u32(8 + 8 * i)?, stts.u32(12 + 8 * i)?)))
        .collect::<Option<_>>()?;
    let last = runs.last_mut()?;
    last.0 -= 1;
    if last.0 == 0 {
        runs.pop();
    }
    let so_far: u64 = runs.iter().map(|&(n, d)| u64::from(n) * u64::from(d)).sum();
    let delta = u32::try_from(total.saturating_sub(so_far).max(1)).ok()?;
    match runs.last_mut() {
        Some(run) if run.1 == delta => run.0 += 1,
        _ => runs.push((1, delta)),
    }
    stts.data.truncate(4);
    stts.data.extend((runs.len() as u32).to_be_bytes());
    for (n, d) in runs {
        stts.data.extend(n.to_be_bytes());
        stts.data.extend(d.to_be_bytes());
    }
    Some(so_far + u64::from(delta))
}
