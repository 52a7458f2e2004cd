//! NUT, the container between `ffmpeg` and this program: raw pictures and samples with the times
//! they are shown at, which raw data alone would lose.
//!
//! The reader takes what `ffmpeg` writes (version 3 and 4) and trusts none of it; the writer
//! writes the plainest form there is, a synchronisation point before every frame.

use std::io::{self, Read, Write};

use super::StreamError;

/// A count of seconds: `num / den` each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeBase {
    /// Above the line, at least 1.
    pub num: u32,
    /// Below the line, at least 1.
    pub den: u32,
}

impl TimeBase {
    /// A time in seconds.
    #[must_use]
    pub fn seconds(self, pts: i64) -> f64 {
        pts as f64 * f64::from(self.num) / f64::from(self.den)
    }

    /// The nearest count of `self` for a count of `other`.
    #[must_use]
    pub fn from(self, pts: i64, other: Self) -> i64 {
        let up = i128::from(pts) * i128::from(other.num) * i128::from(self.den);
        let down = i128::from(other.den) * i128::from(self.num);
        let half = if up >= 0 { down / 2 } else { -down / 2 };
        ((up + half) / down).clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }
}

/// What a stream carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Raw pictures of this size, with the shape of a pixel.
    Video {
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
        /// Width to height of one pixel; 0, 0 where unknown.
        aspect: (u32, u32),
    },
    /// Interleaved samples.
    Audio {
        /// Samples a second.
        rate: u32,
        /// Channels.
        channels: u32,
    },
}

/// One stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// The four bytes that name the kind of pixels or samples.
    pub fourcc: Vec<u8>,
    /// What its times count.
    pub time_base: TimeBase,
    /// What it carries.
    pub content: Content,
}

/// One picture, or some samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Which stream, counted from 0.
    pub stream: usize,
    /// When it is shown, in the stream's time base.
    pub pts: i64,
    /// The raw data.
    pub data: Vec<u8>,
}

const ID: &[u8] = b"nut/multimedia container\0";
const MAIN: u64 = 0x4E4D_7A56_1F5F_04AD;
const STREAM: u64 = 0x4E53_1140_5BF2_F9DB;
const SYNC: u64 = 0x4E4B_E4AD_EECA_4569;
const INDEX: u64 = 0x4E58_DD67_2F23_E64E;
const INFO: u64 = 0x4E49_AB68_B596_BA78;

/// Largest header that is read, in bytes.
const MAX_HEADER: u64 = 1 << 20;
/// Most streams that are read.
const MAX_STREAMS: u64 = 64;

mod flag {
    pub const KEY: u64 = 1;
    pub const CODED_PTS: u64 = 8;
    pub const STREAM_ID: u64 = 16;
    pub const SIZE_MSB: u64 = 32;
    pub const CHECKSUM: u64 = 64;
    pub const RESERVED: u64 = 128;
    pub const SIDE_DATA: u64 = 256;
    pub const HEADER: u64 = 1024;
    pub const MATCH_TIME: u64 = 2048;
    pub const CODED: u64 = 4096;
    pub const INVALID: u64 = 8192;
}

#[derive(Clone, Copy, Default)]
struct Code {
    flags: u64,
    pts_delta: i64,
    multiple: u64,
    stream: u64,
    size: u64,
    reserved: u64,
    header: u64,
}

/// Reads a stream of packets.
pub struct Reader<R> {
    from: R,
    streams: Vec<Stream>,
    shifts: Vec<u32>,
    last: Vec<i64>,
    bases: Vec<TimeBase>,
    codes: Vec<Code>,
    headers: Vec<Vec<u8>>,
    version: u64,
    largest: u64,
}

fn wrong(what: &str) -> StreamError {
    StreamError::Nut(what.to_owned())
}

struct Header {
    bytes: Vec<u8>,
    at: usize,
}

impl Header {
    fn v(&mut self) -> Result<u64, StreamError> {
        let mut value = 0u64;
        loop {
            let byte = *self
                .bytes
                .get(self.at)
                .ok_or_else(|| wrong("a short header"))?;
            self.at += 1;
            if value >> 57 != 0 {
                return Err(wrong("a number that is too large"));
            }
            value = value << 7 | u64::from(byte & 0x7F);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
    }

    fn s(&mut self) -> Result<i64, StreamError> {
        Ok(signed(self.v()?))
    }

    fn bytes(&mut self) -> Result<Vec<u8>, StreamError> {
        let length = self.v()? as usize;
        let end = self
            .at
            .checked_add(length)
            .filter(|&e| e <= self.bytes.len());
        let end = end.ok_or_else(|| wrong("a short header"))?;
        let bytes = self.bytes[self.at..end].to_vec();
        self.at = end;
        Ok(bytes)
    }
}

const fn signed(v: u64) -> i64 {
    let v = v as i64 + 1;
    if v & 1 == 1 { -(v >> 1) } else { v >> 1 }
}

impl<R: Read> Reader<R> {
    /// Reads the headers. `largest`: most bytes of one packet that are believed.
    ///
    /// # Errors
    /// When it is no NUT, or of a form that `ffmpeg` does not write.
    pub fn new(mut from: R, largest: u64) -> Result<Self, StreamError> {
        let mut id = vec![0; ID.len()];
        read_exactly(&mut from, &mut id)?;
        if id != ID {
            return Err(wrong("no stream"));
        }
        let mut reader = Self {
            from,
            streams: Vec::new(),
            shifts: Vec::new(),
            last: Vec::new(),
            bases: Vec::new(),
            codes: Vec::new(),
            headers: vec![Vec::new()],
            version: 3,
            largest,
        };
        reader.main()?;
        let count = reader.streams.capacity();
        while reader.streams.len() < count {
            let code = reader.startcode()?;
            let header = reader.header(code)?;
            match code {
                STREAM => reader.stream(header)?,
                INFO | INDEX => {}
                _ => return Err(wrong("a header at the wrong place")),
            }
        }
        Ok(reader)
    }

    /// The streams, in order.
    #[must_use]
    pub fn streams(&self) -> &[Stream] {
        &self.streams
    }

    fn startcode(&mut self) -> Result<u64, StreamError> {
        let mut code = [0; 8];
        read_exactly(&mut self.from, &mut code)?;
        Ok(u64::from_be_bytes(code))
    }

    /// The body of a header behind its start code, checked.
    fn header(&mut self, code: u64) -> Result<Header, StreamError> {
        let mut crc = Crc::default();
        crc.update(&code.to_be_bytes());
        let mut head = Vec::new();
        let size = loop {
            let byte = self.byte()?;
            head.push(byte);
            if byte & 0x80 == 0 || head.len() > 9 {
                break Header {
                    bytes: head.clone(),
                    at: 0,
                }
                .v()?;
            }
        };
        if !(4..=MAX_HEADER).contains(&size) {
            return Err(wrong("a header of an absurd size"));
        }
        if size > 4096 {
            crc.update(&head);
            let mut sum = [0; 4];
            read_exactly(&mut self.from, &mut sum)?;
            if u32::from_be_bytes(sum) != crc.0 {
                return Err(wrong("a wrong checksum"));
            }
        }
        let mut bytes = vec![0; size as usize];
        read_exactly(&mut self.from, &mut bytes)?;
        let mut crc = Crc::default();
        crc.update(&bytes);
        if crc.0 != 0 {
            return Err(wrong("a wrong checksum"));
        }
        bytes.truncate(bytes.len() - 4);
        Ok(Header { bytes, at: 0 })
    }

    fn main(&mut self) -> Result<(), StreamError> {
        if self.startcode()? != MAIN {
            return Err(wrong("no main header"));
        }
        let mut h = self.header(MAIN)?;
        self.version = h.v()?;
        if !(2..=4).contains(&self.version) {
            return Err(wrong("an unknown version"));
        }
        if self.version > 3 {
            h.v()?;
        }
        let streams = h.v()?;
        if !(1..=MAX_STREAMS).contains(&streams) {
            return Err(wrong("an absurd number of streams"));
        }
        self.streams.reserve_exact(streams as usize);
        h.v()?;
        for _ in 0..h.v()?.min(MAX_STREAMS) {
            let (num, den) = (h.v()?, h.v()?);
            let fit = |v: u64| u32::try_from(v).ok().filter(|&v| v > 0);
            let (num, den) = fit(num)
                .zip(fit(den))
                .ok_or_else(|| wrong("an absurd time base"))?;
            self.bases.push(TimeBase { num, den });
        }
        self.table(&mut h)?;
        for _ in 0..h.v()?.min(255) {
            let header = h.bytes()?;
            self.headers.push(header);
        }
        Ok(())
    }

    fn table(&mut self, h: &mut Header) -> Result<(), StreamError> {
        let mut code = Code {
            multiple: 1,
            ..Code::default()
        };
        while self.codes.len() < 256 {
            code.flags = h.v()?;
            let fields = h.v()?;
            if fields > 0 {
                code.pts_delta = h.s()?;
            }
            if fields > 1 {
                code.multiple = h.v()?;
            }
            if fields > 2 {
                code.stream = h.v()?;
            }
            code.size = if fields > 3 { h.v()? } else { 0 };
            code.reserved = if fields > 4 { h.v()? } else { 0 };
            let count = if fields > 5 {
                h.v()?
            } else {
                code.multiple.saturating_sub(code.size)
            };
            if fields > 6 {
                h.s()?;
            }
            if fields > 7 {
                code.header = h.v()?;
            }
            for _ in 8..fields.min(64) {
                h.v()?;
            }
            if count == 0 {
                return Err(wrong("an empty table"));
            }
            let mut done = 0;
            while done < count && self.codes.len() < 256 {
                if self.codes.len() == usize::from(b'N') {
                    self.codes.push(Code {
                        flags: flag::INVALID,
                        ..code
                    });
                    continue;
                }
                self.codes.push(Code {
                    size: code.size + done,
                    ..code
                });
                done += 1;
            }
        }
        Ok(())
    }

    fn stream(&mut self, mut h: Header) -> Result<(), StreamError> {
        if h.v()? != self.streams.len() as u64 {
            return Err(wrong("streams out of order"));
        }
        let class = h.v()?;
        let fourcc = h.bytes()?;
        let base = h.v()? as usize;
        let shift = h.v()?;
        for _ in 0..3 {
            h.v()?;
        }
        h.bytes()?;
        let small = |v: u64| u32::try_from(v).map_err(|_| wrong("an absurd size"));
        let content = match class {
            0 => {
                let (width, height) = (small(h.v()?)?, small(h.v()?)?);
                let aspect = (small(h.v()?)?, small(h.v()?)?);
                Content::Video {
                    width,
                    height,
                    aspect,
                }
            }
            1 => {
                let (num, den) = (small(h.v()?)?, small(h.v()?)?);
                let channels = small(h.v()?)?;
                if den != 1 || num == 0 || !(1..=64).contains(&channels) {
                    return Err(wrong("absurd sound"));
                }
                Content::Audio {
                    rate: num,
                    channels,
                }
            }
            _ => return Err(wrong("a stream that is neither picture nor sound")),
        };
        let time_base = *self
            .bases
            .get(base)
            .ok_or_else(|| wrong("an unknown time base"))?;
        if shift > 16 {
            return Err(wrong("an absurd shift"));
        }
        self.streams.push(Stream {
            fourcc,
            time_base,
            content,
        });
        self.shifts.push(shift as u32);
        self.last.push(0);
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, StreamError> {
        let mut byte = [0];
        read_exactly(&mut self.from, &mut byte)?;
        Ok(byte[0])
    }

    fn v(&mut self) -> Result<u64, StreamError> {
        let mut bytes = Vec::with_capacity(4);
        loop {
            let byte = self.byte()?;
            bytes.push(byte);
            if byte & 0x80 == 0 || bytes.len() > 9 {
                return Header { bytes, at: 0 }.v();
            }
        }
    }

    /// The next packet; `None` at the end.
    ///
    /// # Errors
    /// When the stream breaks off inside a packet or can't be followed.
    pub fn packet(&mut self) -> Result<Option<Packet>, StreamError> {
        loop {
            let mut first = [0];
            if read_some(&mut self.from, &mut first)? == 0 {
                return Ok(None);
            }
            if first[0] != b'N' {
                return self.frame(first[0]);
            }
            let mut rest = [0; 8];
            rest[0] = b'N';
            read_exactly(&mut self.from, &mut rest[1..])?;
            let code = u64::from_be_bytes(rest);
            match code {
                SYNC => {
                    let mut h = self.header(code)?;
                    let key = h.v()?;
                    let count = self.bases.len() as u64;
                    let base = self.bases[(key % count) as usize];
                    for (last, stream) in self.last.iter_mut().zip(&self.streams) {
                        *last = floor_scale((key / count) as i64, base, stream.time_base);
                    }
                }
                // Repeated headers must say what the first ones said; they are not read again.
                MAIN | STREAM | INFO | INDEX => {
                    self.header(code)?;
                }
                _ => return Err(wrong("an unknown packet")),
            }
        }
    }

    fn frame(&mut self, first: u8) -> Result<Option<Packet>, StreamError> {
        let code = self.codes[usize::from(first)];
        let mut flags = code.flags;
        if flags & flag::INVALID != 0 {
            return Err(wrong("an invalid frame"));
        }
        if flags & flag::CODED != 0 {
            flags ^= self.v()?;
        }
        let index = if flags & flag::STREAM_ID != 0 {
            self.v()?
        } else {
            code.stream
        } as usize;
        let Some(&shift) = self.shifts.get(index) else {
            return Err(wrong("a frame of no stream"));
        };
        let pts = if flags & flag::CODED_PTS != 0 {
            let coded = self.v()? as i64;
            let one = 1i64 << shift;
            if coded < one {
                let mask = one - 1;
                let from = self.last[index] - mask / 2;
                ((coded - from) & mask) + from
            } else {
                coded - one
            }
        } else {
            self.last[index] + code.pts_delta
        };
        let mut size = code.size;
        if flags & flag::SIZE_MSB != 0 {
            size = self
                .v()?
                .checked_mul(code.multiple)
                .and_then(|s| s.checked_add(size))
                .unwrap_or(u64::MAX);
        }
        if flags & flag::MATCH_TIME != 0 {
            self.v()?;
        }
        let header = if flags & flag::HEADER != 0 {
            self.v()?
        } else {
            code.header
        } as usize;
        let reserved = if flags & flag::RESERVED != 0 {
            self.v()?
        } else {
            code.reserved
        };
        for _ in 0..reserved.min(64) {
            self.v()?;
        }
        if flags & flag::CHECKSUM != 0 {
            read_exactly(&mut self.from, &mut [0; 4])?;
        }
        if size > self.largest {
            return Err(wrong("a picture of an absurd size"));
        }
        let mut data = self
            .headers
            .get(header)
            .cloned()
            .ok_or_else(|| wrong("an unknown header"))?;
        let had = data.len().min(size as usize);
        data.resize(size as usize, 0);
        read_exactly(&mut self.from, &mut data[had..])?;
        if flags & flag::SIDE_DATA != 0 {
            let skip = side_data(&data)?;
            data.drain(..skip);
        }
        self.last[index] = pts;
        Ok(Some(Packet {
            stream: index,
            pts,
            data,
        }))
    }
}

/// Bytes of side and meta data before the data itself.
fn side_data(data: &[u8]) -> Result<usize, StreamError> {
    let mut h = Header {
        bytes: data[..data.len().min(1 << 16)].to_vec(),
        at: 0,
    };
    for _ in 0..2 {
        for _ in 0..h.v()?.min(1024) {
            h.bytes()?;
            match h.s()? {
                -1 => {
                    h.bytes()?;
                }
                -2 => {
                    h.bytes()?;
                    h.bytes()?;
                }
                -3 => {
                    h.s()?;
                }
                -4 => {
                    h.v()?;
                }
                v if v < -4 => {
                    h.s()?;
                }
                _ => {}
            }
        }
    }
    Ok(h.at)
}

fn floor_scale(value: i64, from: TimeBase, to: TimeBase) -> i64 {
    let up = i128::from(value) * i128::from(from.num) * i128::from(to.den);
    up.div_euclid(i128::from(from.den) * i128::from(to.num))
        .clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

fn read_exactly(from: &mut impl Read, into: &mut [u8]) -> Result<(), StreamError> {
    from.read_exact(into).map_err(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => wrong("an early end"),
        _ => StreamError::Pipe(e.to_string()),
    })
}

fn read_some(from: &mut impl Read, into: &mut [u8]) -> Result<usize, StreamError> {
    loop {
        match from.read(into) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => return other.map_err(|e| StreamError::Pipe(e.to_string())),
        }
    }
}

/// CRC-32 of NUT: polynomial 04C11DB7, not reflected, from 0.
#[derive(Default)]
struct Crc(u32);

impl Crc {
    fn update(&mut self, bytes: &[u8]) {
        const TABLE: [u32; 256] = {
            let mut table = [0; 256];
            let mut i = 0;
            while i < 256 {
                let mut crc = (i as u32) << 24;
                let mut bit = 0;
                while bit < 8 {
                    crc = if crc & 0x8000_0000 == 0 {
                        crc << 1
                    } else {
                        crc << 1 ^ 0x04C1_1DB7
                    };
                    bit += 1;
                }
                table[i] = crc;
                i += 1;
            }
            table
        };
        for &byte in bytes {
            self.0 = self.0 << 8 ^ TABLE[(self.0 >> 24 ^ u32::from(byte)) as usize];
        }
    }
}

/// Writes a stream of packets.
pub struct Writer<W> {
    to: W,
    streams: Vec<Stream>,
}

fn put(out: &mut Vec<u8>, value: u64) {
    let mut shift = 63;
    while shift > 0 && value >> shift == 0 {
        shift -= 7;
    }
    while shift > 0 {
        out.push(0x80 | (value >> shift & 0x7F) as u8);
        shift -= 7;
    }
    out.push((value & 0x7F) as u8);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn packet(code: u64, body: &[u8]) -> Vec<u8> {
    let mut out = code.to_be_bytes().to_vec();
    put(&mut out, body.len() as u64 + 4);
    // Bodies are short: the header's own checksum is for those of more than 4096 bytes.
    out.extend_from_slice(body);
    let mut crc = Crc::default();
    crc.update(body);
    out.extend_from_slice(&crc.0.to_be_bytes());
    out
}

impl<W: Write> Writer<W> {
    /// Writes the headers.
    ///
    /// # Errors
    /// The pipe's.
    pub fn new(mut to: W, streams: Vec<Stream>) -> io::Result<Self> {
        let mut out = ID.to_vec();
        let mut body = Vec::new();
        for value in [3, streams.len() as u64, 65536, streams.len() as u64] {
            put(&mut body, value);
        }
        for stream in &streams {
            put(&mut body, stream.time_base.num.into());
            put(&mut body, stream.time_base.den.into());
        }
        // One line for all frame codes: everything is said in each frame.
        put(
            &mut body,
            flag::KEY | flag::CODED_PTS | flag::STREAM_ID | flag::SIZE_MSB | flag::CHECKSUM,
        );
        put(&mut body, 6);
        for value in [0, 1, 0, 0, 0, 255] {
            put(&mut body, value);
        }
        put(&mut body, 0);
        out.extend(packet(MAIN, &body));
        for (index, stream) in streams.iter().enumerate() {
            body.clear();
            put(&mut body, index as u64);
            put(
                &mut body,
                u64::from(matches!(stream.content, Content::Audio { .. })),
            );
            put_bytes(&mut body, &stream.fourcc);
            // Shift 0: every time is written whole.
            for value in [index as u64, 0, 1, 0, 0] {
                put(&mut body, value);
            }
            put_bytes(&mut body, &[]);
            let numbers = match stream.content {
                Content::Video {
                    width,
                    height,
                    aspect,
                } => vec![width, height, aspect.0, aspect.1, 0],
                Content::Audio { rate, channels } => vec![rate, 1, channels],
            };
            numbers.iter().for_each(|&n| put(&mut body, n.into()));
            out.extend(packet(STREAM, &body));
        }
        to.write_all(&out)?;
        Ok(Self { to, streams })
    }

    /// Writes one packet. Times below 0 can't be written.
    ///
    /// # Errors
    /// The pipe's.
    pub fn write(&mut self, stream: usize, pts: i64, data: &[&[u8]]) -> io::Result<()> {
        let pts =
            u64::try_from(pts).map_err(|_| io::Error::other("a time before the beginning"))?;
        let mut body = Vec::new();
        put(&mut body, pts * self.streams.len() as u64 + stream as u64);
        put(&mut body, 0);
        let mut out = packet(SYNC, &body);
        let start = out.len();
        out.push(0);
        put(&mut out, stream as u64);
        put(&mut out, pts + 1);
        put(&mut out, data.iter().map(|d| d.len() as u64).sum());
        let mut crc = Crc::default();
        crc.update(&out[start..]);
        out.extend_from_slice(&crc.0.to_be_bytes());
        self.to.write_all(&out)?;
        data.iter().try_for_each(|d| self.to.write_all(d))
    }

    /// Gives the pipe back, everything written.
    ///
    /// # Errors
    /// The pipe's.
    pub fn finish(mut self) -> io::Result<W> {
        self.to.flush()?;
        Ok(self.to)
    }
}
