//! NUT, the container between `ffmpeg` and this program: raw pictures and samples with the times
//! they are shown at, which raw data alone would lose.
//!
//! The reader takes what `ffmpeg` writes (version 3 and 4) and trusts none of it; the writer
//! writes the plainest form there is, a synchronisation point before every frame.

mod reader;
mod writer;

pub use reader::Reader;
pub use writer::Writer;

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
