//! YUV4MPEG2 → pictures as they are stored, and upright reduced copies of them: what `ffmpeg -f
//! yuv4mpegpipe` gives, read as it comes, one picture at a time.
//!
//! No program is needed for it: a line of text, then planes without compression.

use std::io::{BufRead, BufReader, Read};

use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{Image, ImageRef},
};
use image::{DynamicImage, RgbImage};

use super::{
    Upright,
    clip::{Copies, LEAST_LINES, absurd, near_square, reduced},
    from_upright_pixels,
};
use crate::{
    ffmpeg::StreamError,
    frame::Frame,
    planes::{Chroma, Colours, Layout, Planes},
    y4m::Header,
};

/// What a stream begins with.
pub const SIGNATURE: &[u8] = b"YUV4MPEG2 ";
/// Longest line of text that is believed, in bytes.
const LONGEST: u64 = 1024;
/// Largest side in pixels.
const MOST_SIDE: u32 = 16384;

/// Names of how colour is stored: finely or coarsely, bits, without colour.
const CHROMA: [(&str, Chroma, u8, bool); 11] = [
    ("420jpeg", Chroma::Quarter, 8, false),
    ("420mpeg2", Chroma::Quarter, 8, false),
    ("420paldv", Chroma::Quarter, 8, false),
    ("420p10", Chroma::Quarter, 10, false),
    ("420", Chroma::Quarter, 8, false),
    ("422p10", Chroma::Half, 10, false),
    ("422", Chroma::Half, 8, false),
    ("444p10", Chroma::Full, 10, false),
    ("444", Chroma::Full, 8, false),
    ("mono10", Chroma::Quarter, 10, true),
    ("mono", Chroma::Quarter, 8, true),
];

fn wrong(what: &str) -> StreamError {
    StreamError::Failed(format!(
        "is no YUV4MPEG2 stream that can be followed ({what}); make it with ffmpeg -f yuv4mpegpipe"
    ))
}

/// Digits on both sides of a colon.
fn ratio(text: &str) -> Option<(u32, u32)> {
    let (a, b) = text.split_once(':')?;
    Some((a.parse().ok()?, b.parse().ok()?))
}

/// Reads the first line, without its end.
fn parse(line: &str) -> Result<Header, StreamError> {
    let mut words = line.split(' ');
    if words.next() != Some("YUV4MPEG2") {
        return Err(wrong("its first line"));
    }
    let (mut width, mut height) = (0, 0);
    let mut header = Header {
        layout: Layout {
            width: 0,
            height: 0,
            depth: 8,
            chroma: Chroma::Quarter,
        },
        rate: (25, 1),
        fields: None,
        aspect: None,
        chroma: None,
        grey: false,
        full: None,
    };
    for word in words.filter(|w| !w.is_empty()) {
        let rest = word.get(1..).unwrap_or("");
        match word.as_bytes()[0] {
            b'W' => width = rest.parse().map_err(|_| wrong("its width"))?,
            b'H' => height = rest.parse().map_err(|_| wrong("its height"))?,
            b'F' => {
                header.rate = ratio(rest)
                    .filter(|(a, b)| *a > 0 && *b > 0)
                    .ok_or_else(|| wrong("its rate"))?;
            }
            b'A' => {
                header.aspect = ratio(rest).filter(|(a, b)| *a > 0 && *b > 0);
                if header.aspect.is_some_and(absurd) {
                    return Err(StreamError::Failed(format!(
                        "has pixels of {}, which no camera writes and in which faces can't be found; make it with ffmpeg -vf setsar=1",
                        rest.escape_debug()
                    )));
                }
            }
            b'I' => match rest {
                "p" | "t" | "b" => header.fields = rest.chars().next(),
                "?" | "" => {}
                _ => {
                    return Err(StreamError::Failed(
                        "mixes whole pictures and fields; convert it first with ffmpeg -vf yadif"
                            .into(),
                    ));
                }
            },
            b'C' => {
                let (name, chroma, depth, grey) =
                        *CHROMA.iter().find(|c| c.0 == rest).ok_or_else(|| {
                            StreamError::Failed(format!(
                                "stores colour in a way that can't be covered ({}); use ffmpeg -pix_fmt yuv420p, or yuv420p10le with -strict -1",
                                rest.escape_debug()
                            ))
                        })?;
                (header.layout.chroma, header.layout.depth) = (chroma, depth);
                (header.chroma, header.grey) = (Some(name), grey);
            }
            // Only what the numbers mean is taken of what programs add.
            b'X' => match rest {
                "COLORRANGE=FULL" => header.full = Some(true),
                "COLORRANGE=LIMITED" => header.full = Some(false),
                _ => {}
            },
            _ => return Err(wrong("a parameter that nobody knows")),
        }
    }
    if !(1..=MOST_SIDE).contains(&width) || !(1..=MOST_SIDE).contains(&height) {
        return Err(wrong("its size"));
    }
    (header.layout.width, header.layout.height) = (width, height);
    Ok(header)
}

/// Pictures of a stream, in order.
pub struct Y4m {
    reader: BufReader<Box<dyn Read + Send>>,
    header: Header,
    reducer: Reducer,
    /// For other ways to show the frames.
    others: Vec<Reducer>,
}

impl std::fmt::Debug for Y4m {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Y4m").field(&self.header).finish()
    }
}

impl Y4m {
    /// Reads the first line. `searched`: reduced copies have at most about so many pixels.
    ///
    /// # Errors
    /// When it is none, or of a kind that can't be covered.
    pub fn open(input: Box<dyn Read + Send>, searched: u32) -> Result<Self, StreamError> {
        let mut reader = BufReader::with_capacity(1 << 18, input);
        let line = line(&mut reader)?.ok_or_else(|| wrong("it is empty"))?;
        let header = parse(&line)?;
        let (reducer, others) = reducers(&header, searched);
        Ok(Self {
            reader,
            header,
            reducer,
            others,
        })
    }

    /// What the first line said.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Size of the reduced copies in pixels.
    #[must_use]
    pub const fn reduced(&self) -> (u32, u32) {
        self.reducer.size
    }

    /// The next picture; its time is its number.
    ///
    /// # Errors
    /// When the stream breaks off inside a picture.
    pub fn picture(&mut self, number: usize) -> Result<Option<Planes>, StreamError> {
        let Some(line) = line(&mut self.reader)? else {
            return Ok(None);
        };
        // What else stands there (fields, comments) goes no further.
        if line != "FRAME" && !line.starts_with("FRAME ") {
            return Err(wrong("a picture without a beginning"));
        }
        let layout = self.header.layout;
        let mut data = vec![0; self.header.stored()];
        self.reader.read_exact(&mut data).map_err(|e| {
            StreamError::Failed(format!(
                "breaks off inside picture {number} ({e}); see what the program before the pipe says"
            ))
        })?;
        if layout.sample() == 2 && data.chunks_exact(2).any(|s| s[1] > 3) {
            return Err(StreamError::Failed(format!(
                "has samples of more than 10 bits in picture {number}; make it with ffmpeg -pix_fmt yuv420p10le -strict -1"
            )));
        }
        if self.header.grey {
            let middle = 1u16 << (layout.depth - 1);
            if layout.sample() == 1 {
                data.resize(layout.bytes(), middle as u8);
            } else {
                while data.len() < layout.bytes() {
                    data.extend(middle.to_le_bytes());
                }
            }
        }
        Ok(Some(Planes::new(layout, data, number as i64, Upright(()))))
    }

    /// Reduced copies in colour: as players show it, then as it is stored where that is far from it, and its fields.
    ///
    /// # Errors
    /// Never for pictures of this stream.
    pub fn reduce(&mut self, picture: &Planes) -> Result<Copies, StreamError> {
        let main = self.reducer.reduce(picture)?;
        let others = self.others.iter_mut().map(|r| r.reduce(picture));
        let others = others.collect::<Result<_, _>>()?;
        Ok(Copies { main, others })
    }
}

/// A line without its end; `None` at the end of the stream.
fn line(reader: &mut impl BufRead) -> Result<Option<String>, StreamError> {
    let mut bytes = Vec::new();
    reader
        .take(LONGEST)
        .read_until(b'\n', &mut bytes)
        .map_err(|e| StreamError::Failed(format!("can't be read ({e})")))?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.pop() != Some(b'\n') {
        return Err(wrong("a line without an end"));
    }
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|_| wrong("a line that is no text"))
}

/// What makes the copies of at most about `pixels` pixels: the one that players show, and those of other ways to show a frame.
fn reducers(header: &Header, pixels: u32) -> (Reducer, Vec<Reducer>) {
    let shown = header.aspect.unwrap_or((1, 1));
    let mut aspects = vec![shown];
    if !near_square(shown) {
        aspects.push((1, 1));
    }
    let mut fields = vec![(None, pixels)];
    let interlaced = matches!(header.fields, Some('t' | 'b'));
    if interlaced && header.layout.height >= LEAST_LINES {
        // Half of the lines: half of the pixels hold all of it.
        fields.extend([(Some(0), pixels / 2), (Some(1), pixels / 2)]);
    }
    let mut all = fields.iter().flat_map(|&(field, pixels)| {
        let one = move |aspect: &(u32, u32)| Reducer::new(header, *aspect, pixels, field);
        aspects.iter().map(one)
    });
    let first = all.next();
    let others = all.collect();
    (
        first.unwrap_or_else(|| Reducer::new(header, shown, pixels, None)),
        others,
    )
}

/// Every other line of a plane, from the first or the second on. `row`: bytes of a line.
fn lines(samples: &[u8], row: usize, first: usize) -> Vec<u8> {
    samples
        .chunks_exact(row)
        .skip(first)
        .step_by(2)
        .flatten()
        .copied()
        .collect()
}

/// Makes reduced copies.
struct Reducer {
    size: (u32, u32),
    /// The line with which the field begins, 0 or 1; `None`: the whole frame.
    field: Option<usize>,
    colours: Colours,
    resizer: Resizer,
}

impl Reducer {
    /// `aspect`: width to height of a pixel. `field`: the line with which it begins.
    fn new(header: &Header, aspect: (u32, u32), pixels: u32, field: Option<usize>) -> Self {
        let size = (header.layout.width, header.layout.height);
        Self {
            size: reduced(size, aspect, pixels),
            field,
            colours: header.colours(),
            resizer: Resizer::new(),
        }
    }

    fn reduce(&mut self, picture: &Planes) -> Result<Frame, StreamError> {
        let layout = picture.layout();
        let (w, h) = self.size;
        let mut planes = Vec::with_capacity(3);
        for plane in layout.planes() {
            let row = plane.width as usize * layout.sample();
            let size = row * plane.height as usize;
            let mut stored = &picture.data()[plane.offset..plane.offset + size];
            let mut height = plane.height;
            let field: Vec<u8>;
            if let Some(first) = self.field {
                field = lines(stored, row, first);
                stored = &field;
                height = (field.len() / row.max(1)) as u32;
            }
            let eight: Vec<u8>;
            let samples = if layout.sample() == 1 {
                stored
            } else {
                let down = layout.depth - 8;
                let high = |b: &[u8]| (u16::from_le_bytes([b[0], b[1]]) >> down).min(255) as u8;
                eight = stored.chunks_exact(2).map(high).collect();
                &eight
            };
            let from = ImageRef::new(plane.width, height, samples, PixelType::U8);
            let mut to = Image::new(w, h, PixelType::U8);
            let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Box));
            from.ok()
                .and_then(|from| self.resizer.resize(&from, &mut to, &options).ok())
                .ok_or_else(|| StreamError::Nut("a picture that can't be reduced".into()))?;
            planes.push(to.into_vec());
        }
        let mut rgb = Vec::with_capacity(planes[0].len() * 3);
        for ((y, u), v) in planes[0].iter().zip(&planes[1]).zip(&planes[2]) {
            rgb.extend(self.colours.rgb([*y, *u, *v]));
        }
        let pixels = RgbImage::from_raw(w, h, rgb)
            .ok_or_else(|| StreamError::Nut("a picture of the wrong size".into()))?;
        Ok(from_upright_pixels(DynamicImage::ImageRgb8(pixels)))
    }
}
