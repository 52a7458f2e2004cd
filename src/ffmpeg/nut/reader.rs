//! What `ffmpeg` writes, read without trust: every length is bounded, every checksum compared.

use std::io::{self, Read};

use super::{Content, Crc, ID, INDEX, INFO, MAIN, Packet, STREAM, SYNC, Stream, TimeBase, flag};
use crate::ffmpeg::StreamError;

/// Largest header that is read, in bytes.
const MAX_HEADER: u64 = 1 << 20;
/// Most streams that are read.
const MAX_STREAMS: u64 = 64;

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
            _ => return Err(wrong("a stream that is neither video nor sound")),
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
            return Err(wrong("a frame of an absurd size"));
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
