//! Whether a file breaks off where ffmpeg would end as if all were well: it warns of that at most,
//! and gives the pictures up to there. Goes by the lengths that the container's own parts state.
//!
//! A file that was cut exactly between two parts tells nothing in MPEG-TS, MPEG-PS, MXF, Flash
//! video and fragmented MP4; those pass.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
};

/// What is wrong with the length of a file, if it can be told. `demuxer`: ffmpeg's name for its
/// container.
pub(super) fn cut(file: &File, demuxer: &str) -> Option<&'static str> {
    let mut parts = Parts::of(file).ok()?;
    // What can't be walked is for the decoder to judge.
    let fault = match demuxer {
        "mpegts" => parts.packets(),
        "mov" => parts.boxes(),
        "matroska" => parts.elements(),
        "avi" => parts.riffs(),
        "ogg" => parts.pages(),
        "asf" => parts.objects(),
        "flv" => parts.tags(),
        "mjpeg" => parts.jpegs(),
        "dv" => parts.tape(),
        _ => Ok(None),
    };
    let _ = parts.from.seek(SeekFrom::Start(0));
    match fault {
        Ok(fault) => fault,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Some(SHORT),
        Err(_) => None,
    }
}

const SHORT: &str = "breaks off before its end";

/// Sizes of a transport stream's packets in bytes, and where in them the byte stands that begins them
/// all: the usual ones, those of cameras with a time before each, those with a checksum behind each.
const PACKETS: [(u64, usize); 3] = [(188, 0), (192, 4), (204, 0)];
const BEGIN: u8 = 0x47;
/// Packets that are looked at.
const LOOKED: usize = 5;

/// Boxes that may stand at the top of an MP4 or MOV file; anything else there is not taken for one.
const BOXES: [&[u8; 4]; 14] = [
    b"ftyp", b"moov", b"mdat", b"moof", b"free", b"skip", b"wide", b"uuid", b"udta", b"meta",
    b"styp", b"sidx", b"mfra", b"pnot",
];

const EBML: u64 = 0x1a45_dfa3;
const SEGMENT: u64 = 0x1853_8067;
const CLUSTER: u64 = 0x1f43_b675;

/// Ogg's mark on the last page of a stream (RFC 3533, section 6).
const LAST_PAGE: u8 = 4;

/// ASF's data object, which states no length while it is being sent.
const ASF_DATA: [u8; 4] = [0x36, 0x26, 0xb2, 0x75];

type Fault = io::Result<Option<&'static str>>;

/// A file, read from part to part.
pub(super) struct Parts<'a> {
    from: BufReader<&'a File>,
    at: u64,
    length: u64,
}

/// The head of a box: where it begins, the length that it states first, and its name.
pub(super) struct Head {
    start: u64,
    length: u32,
    pub(super) name: [u8; 4],
}

impl<'a> Parts<'a> {
    pub(super) fn of(file: &'a File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let mut from = BufReader::new(file);
        from.seek(SeekFrom::Start(0))?;
        Ok(Self {
            from,
            at: 0,
            length,
        })
    }

    /// The head of the next box of an MP4 or MOV file.
    pub(super) fn head(&mut self) -> io::Result<Head> {
        let start = self.at;
        let [a, b, c, d, name @ ..] = self.bytes::<8>()?;
        Ok(Head {
            start,
            length: u32::from_be_bytes([a, b, c, d]),
            name,
        })
    }

    /// Where that box ends; `None`: with the file.
    pub(super) fn end(&mut self, head: &Head) -> io::Result<Option<u64>> {
        let length = match head.length {
            0 => return Ok(None),
            1 => u64::from_be_bytes(self.bytes()?),
            length => u64::from(length),
        };
        Ok(Some(head.start.saturating_add(length)))
    }

    /// What is left of a box that ends there, `most` bytes of it.
    pub(super) fn inside(self, end: Option<u64>, most: u64) -> io::Result<Vec<u8>> {
        let length = end.unwrap_or(self.length).saturating_sub(self.at);
        let mut inside = Vec::new();
        self.from.take(length.min(most)).read_to_end(&mut inside)?;
        Ok(inside)
    }

    /// Over the rest of a box; whether there can be another one.
    pub(super) fn over(&mut self, end: Option<u64>) -> io::Result<bool> {
        match end {
            Some(end) if end >= self.at => self.go(end).map(|()| true),
            _ => Ok(false),
        }
    }

    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes)?;
        self.at += N as u64;
        Ok(bytes)
    }

    fn go(&mut self, to: u64) -> io::Result<()> {
        if to > self.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let by = i64::try_from(to).map_err(io::Error::other)? - self.at as i64;
        self.from.seek_relative(by)?;
        self.at = to;
        Ok(())
    }

    /// Over `size` bytes from here.
    fn pass(&mut self, size: u64) -> io::Result<()> {
        self.go(self.at.saturating_add(size))
    }

    const fn left(&self) -> u64 {
        self.length.saturating_sub(self.at)
    }

    fn packets(&mut self) -> Fault {
        let mut head = Vec::new();
        (&mut self.from)
            .take(LOOKED as u64 * 204)
            .read_to_end(&mut head)?;
        let size = PACKETS.into_iter().find(|&(size, at)| {
            let mut begins = head.iter().skip(at).step_by(size as usize).take(LOOKED);
            begins.all(|b| *b == BEGIN)
        });
        Ok(size
            .filter(|(size, _)| !self.length.is_multiple_of(*size))
            .map(|_| "breaks off inside a packet"))
    }

    fn boxes(&mut self) -> Fault {
        while self.left() >= 8 {
            let head = self.head()?;
            if !BOXES.contains(&&head.name) {
                return Ok(None);
            }
            let end = self.end(&head)?;
            if !self.over(end)? {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// An EBML number of up to eight bytes; with its mark of length or without. None: all ones, which
    /// means an unknown size.
    fn number(&mut self, marked: bool) -> io::Result<Option<u64>> {
        let [first] = self.bytes()?;
        let more = first.leading_zeros();
        if more > 7 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mark = 0x80u8 >> more;
        let mut value = u64::from(if marked { first } else { first & !mark });
        for _ in 0..more {
            let [byte] = self.bytes()?;
            value = value << 8 | u64::from(byte);
        }
        let unknown = (1u64 << (7 * (more + 1))) - 1;
        Ok((marked || value != unknown).then_some(value))
    }

    fn elements(&mut self) -> Fault {
        while self.left() > 0 {
            let id = self.number(true)?.unwrap_or_default();
            if self.at <= 4 && id != EBML {
                return Ok(None);
            }
            match self.number(false)? {
                Some(size) => {
                    self.pass(size)?;
                    if id == SEGMENT {
                        return Ok(None);
                    }
                }
                // What is inside follows.
                None if id == SEGMENT || id == CLUSTER => {}
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    fn riffs(&mut self) -> Fault {
        while self.left() >= 8 {
            let [r, i, f, g, size @ ..] = self.bytes::<8>()?;
            let size = u64::from(u32::from_le_bytes(size));
            // Some recorders never write the size.
            if [r, i, f, g] != *b"RIFF" || size == 0 {
                return Ok(None);
            }
            self.pass(size)?;
            if size % 2 == 1 && self.left() > 0 {
                self.pass(1)?;
            }
        }
        Ok(None)
    }

    fn pages(&mut self) -> Fault {
        let mut ended: HashMap<[u8; 4], bool> = HashMap::new();
        while self.left() > 0 {
            let head = self.bytes::<27>()?;
            if !head.starts_with(b"OggS") {
                return Ok(None);
            }
            let mut size = 0;
            for _ in 0..head[26] {
                let [part] = self.bytes()?;
                size += u64::from(part);
            }
            let serial = [head[14], head[15], head[16], head[17]];
            ended.insert(serial, head[5] & LAST_PAGE != 0);
            self.pass(size)?;
        }
        Ok((!ended.values().all(|e| *e)).then_some(SHORT))
    }

    fn objects(&mut self) -> Fault {
        while self.left() >= 24 {
            let start = self.at;
            let guid = self.bytes::<16>()?;
            let size = u64::from_le_bytes(self.bytes()?);
            if size < 24 || guid.starts_with(&ASF_DATA) && size <= 50 {
                return Ok(None);
            }
            self.go(start.saturating_add(size))?;
        }
        Ok(None)
    }

    /// JPEG pictures in a row end with the last one's end, and zeros behind it.
    fn jpegs(&mut self) -> Fault {
        let from = self.length.saturating_sub(64);
        let mut tail = Vec::new();
        self.from.seek(SeekFrom::Start(from))?;
        (&mut self.from).take(64).read_to_end(&mut tail)?;
        let end = tail.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
        Ok((!tail[..end].ends_with(b"\xFF\xD9")).then_some(SHORT))
    }

    /// Frames of digital tape have one length each: that of 25 or of 30 frames a second.
    fn tape(&mut self) -> Fault {
        let head = self.bytes::<4>()?;
        let frame = if head[3] & 0x80 == 0 {
            120_000
        } else {
            144_000
        };
        Ok((!self.length.is_multiple_of(frame)).then_some(SHORT))
    }

    fn tags(&mut self) -> Fault {
        let head = self.bytes::<9>()?;
        self.go(u64::from(u32::from_be_bytes([
            head[5], head[6], head[7], head[8],
        ])))?;
        self.pass(4)?;
        while self.left() > 0 {
            let tag = self.bytes::<11>()?;
            let size = u32::from_be_bytes([0, tag[1], tag[2], tag[3]]);
            self.pass(u64::from(size) + 4)?;
        }
        Ok(None)
    }
}
