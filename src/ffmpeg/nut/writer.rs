//! The plainest NUT there is: a synchronisation point before every frame.

use std::io::{self, Write};

use super::{Content, Crc, ID, MAIN, STREAM, SYNC, Stream, flag};

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
