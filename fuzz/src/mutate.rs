//! Broken files from sound ones: bits, bytes, numbers, pieces.

/// Numbers that cannot be guessed are not needed here; the same seed gives the same run.
pub struct Random(u64);

impl Random {
    pub const fn new(seed: u64) -> Self {
        Self(seed ^ 0x9E37_79B9_7F4A_7C15)
    }

    /// The next number (splitmix64).
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 for 0.
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 {
            0
        } else {
            (self.next() % n as u64) as usize
        }
    }
}

/// Largest file that is made.
const MOST: usize = 1 << 16;
/// Numbers at which parsers break.
const BAD: [u64; 12] = [
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFF,
    u64::MAX,
];

/// Changes `bytes` in one to a few ways. `other`: a file to take pieces from.
pub fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    // One change finds what stands alone, many what stands together.
    let changes = 1 << random.below(5);
    for _ in 0..1 + random.below(changes) {
        change(bytes, other, random);
    }
    bytes.truncate(MOST);
}

fn change(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(bytes.len());
    let most = 1 << random.below(9);
    let length = 1 + random.below(most);
    let end = (at + length).min(bytes.len());
    match random.below(9) {
        0 | 1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        2 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = random.next() as u8;
            }
        }
        3 => {
            // A number of 1 to 8 bytes, either end first.
            let size = 1 << random.below(4);
            let number = BAD[random.below(BAD.len())];
            let number = number.wrapping_add((random.below(5) as u64).wrapping_sub(2));
            let mut word = number.to_le_bytes()[..size].to_vec();
            if random.below(2) == 0 {
                word.reverse();
            }
            let end = (at + size).min(bytes.len());
            bytes.splice(at..end, word);
        }
        4 => {
            bytes.drain(at..end);
        }
        5 => {
            let copy = bytes[at..end].to_vec();
            let to = random.below(bytes.len() + 1);
            bytes.splice(to..to, copy);
        }
        6 => {
            let from = random.below(other.len());
            let piece = &other[from..(from + length).min(other.len())];
            bytes.splice(at..end, piece.iter().copied());
        }
        7 => bytes.truncate(at),
        _ => {
            let fill = [0, 0xFF, random.next() as u8][random.below(3)];
            let piece = vec![fill; length];
            bytes.splice(at..at, piece);
        }
    }
}

/// Mends the checksums of PNG chunks, without which most changes would be found at once.
pub fn mend_png(bytes: &mut [u8]) {
    let mut at = 8;
    while let Some(head) = bytes.get(at..at + 8) {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let Some(end) = at.checked_add(8).and_then(|n| n.checked_add(length)) else {
            return;
        };
        let Some(sum) = bytes.get(at + 4..end).map(crc32) else {
            return;
        };
        let Some(place) = bytes.get_mut(end..end + 4) else {
            return;
        };
        place.copy_from_slice(&sum.to_be_bytes());
        at = end + 4;
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &b| {
        (0..8).fold(crc ^ u32::from(b), |c, _| {
            if c & 1 == 1 {
                c >> 1 ^ 0xEDB8_8320
            } else {
                c >> 1
            }
        })
    })
}

/// Mends the checksums of NUT's headers, which follow the letter N and lie before a frame.
pub fn mend_nut(bytes: &mut [u8]) {
    let mut at = 0;
    while at + 9 < bytes.len() {
        let starts = bytes[at] == b'N' && matches!(bytes[at + 1], b'M' | b'S' | b'K' | b'X' | b'I');
        if !starts {
            at += 1;
            continue;
        }
        // The length, 7 bits a byte, high bits first; it counts the checksum too.
        let (mut length, mut from) = (0usize, at + 8);
        while let Some(&byte) = bytes.get(from) {
            length = length << 7 | usize::from(byte & 0x7F);
            from += 1;
            if byte & 0x80 == 0 || from > at + 13 {
                break;
            }
        }
        let end = from + length;
        if (4..4096).contains(&length) && end <= bytes.len() {
            let sum = crc_of_nut(&bytes[from..end - 4]);
            bytes[end - 4..end].copy_from_slice(&sum.to_be_bytes());
            at = end;
        } else {
            at += 1;
        }
    }
}

fn crc_of_nut(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |crc, &b| {
        (0..8).fold(crc ^ u32::from(b) << 24, |c: u32, _| {
            if c >> 31 == 1 {
                c << 1 ^ 0x04C1_1DB7
            } else {
                c << 1
            }
        })
    })
}
