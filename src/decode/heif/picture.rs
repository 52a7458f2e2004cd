//! Items → pixels: coded pictures by way of `ffmpeg`, grids put together, transparency put in.

use std::io::Read;

use image::{ColorType, DynamicImage};

use super::{
    super::{DecodeError, Options, pixels_from},
    broken,
    coded::{self, Codec, Config},
    grey,
    items::{File, Item, Numbers},
    rare,
};
use crate::ffmpeg::{Programs, StreamError};

/// Largest side of a picture or tile, in pixels.
const MOST_SIDE: u32 = 1 << 16;

/// Largest set-up of a codec, in bytes; cameras write about a hundred.
const MOST_CONFIG: usize = 1 << 14;

/// Properties that need not be known to show a picture, or are followed here.
const KNOWN: [&[u8; 4]; 17] = [
    b"ispe", b"pixi", b"pasp", b"colr", b"hvcC", b"av1C", b"clap", b"irot", b"imir", b"auxC",
    b"clli", b"mdcv", b"rloc", b"lsel", b"a1op", b"a1lx", b"amve",
];

/// What an item is that is not decoded.
fn kind_name(kind: &[u8; 4]) -> String {
    match kind {
        b"jpeg" => "coded as JPEG".into(),
        b"avc1" | b"avc3" => "coded as H.264".into(),
        b"vvc1" | b"vvi1" => "coded as H.266".into(),
        b"evc1" => "coded as EVC".into(),
        b"j2k1" => "coded as JPEG 2000".into(),
        b"jxl1" | b"jxlc" => "coded as JPEG XL".into(),
        b"unci" => "not compressed".into(),
        b"iden" => "derived from another picture".into(),
        b"iovl" => "laid over each other".into(),
        b"tmap" => "with a tone map".into(),
        other => format!("of kind {}", other.escape_ascii()),
    }
}

pub(super) fn failed(error: StreamError) -> DecodeError {
    match error {
        StreamError::Missing(_) => DecodeError::Needs,
        other => DecodeError::Damaged(format!("ffmpeg says: {other}")),
    }
}

/// Pictures as they come out of the decoder, one behind the other.
struct Decoded {
    data: Vec<u8>,
    size: (u32, u32),
    color: ColorType,
}

/// What is needed to read pictures.
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) file: &'a File,
    pub(super) options: &'a Options,
    pub(super) programs: &'a Programs,
}

/// How pictures come out of the decoder.
#[derive(Clone, PartialEq, Eq)]
struct Wanted {
    size: (u32, u32),
    color: ColorType,
    /// Matrix and range that the file gives, instead of those in the coded pictures.
    matrix: Option<&'static str>,
    full: Option<bool>,
    /// It is coded without colours. ffmpeg takes all grey for full range: the samples come as they
    /// are coded, with what the coded picture says of their range, and are spread here.
    native: bool,
}

impl Reader<'_> {
    /// An item's picture, not yet turned; notes all items that went into it.
    pub(super) fn picture(
        &self,
        item: &Item,
        used: &mut Vec<u32>,
    ) -> Result<DynamicImage, DecodeError> {
        self.read(item, false, used)
    }

    /// The same as transparency: one channel.
    pub(super) fn alpha(
        &self,
        item: &Item,
        used: &mut Vec<u32>,
    ) -> Result<DynamicImage, DecodeError> {
        self.read(item, true, used)
    }

    fn read(
        &self,
        item: &Item,
        grey: bool,
        used: &mut Vec<u32>,
    ) -> Result<DynamicImage, DecodeError> {
        used.push(item.id);
        if !matches!(&item.kind, b"grid" | b"hvc1" | b"hev1" | b"av01") {
            return Err(rare(kind_name(&item.kind)));
        }
        self.known(item)?;
        let size = self.file.size(self.bytes, item).ok_or_else(broken)?;
        if size.0 > MOST_SIDE || size.1 > MOST_SIDE {
            return Err(rare(format!("{} × {} pixels", size.0, size.1)));
        }
        let a_pixel = if grey { 1 } else { 3 };
        self.options.allow(size.0, size.1, a_pixel)?;
        if &item.kind == b"grid" {
            return self.grid(item, grey, used);
        }
        let one = self.decoded(&[item], grey, self.colours(item)?)?;
        pixels_from(one.size.0, one.size.1, one.color, one.data)
    }

    fn known(&self, item: &Item) -> Result<(), DecodeError> {
        let mut all = self.file.properties(self.bytes, item);
        match all.find(|(kind, _, essential)| *essential && !KNOWN.contains(&kind)) {
            Some((kind, ..)) => Err(rare(format!("with {}", kind.escape_ascii()))),
            None => Ok(()),
        }
    }

    /// Matrix and range from a `colr` property of numbers.
    fn colours(&self, item: &Item) -> Result<(Option<&'static str>, Option<bool>), DecodeError> {
        let mut all = self.file.properties(self.bytes, item);
        let numbers = all.find_map(|(kind, body, _)| {
            (&kind == b"colr")
                .then(|| body.strip_prefix(b"nclx"))
                .flatten()
        });
        let Some([_, _, _, _, high, low, range, ..]) = numbers else {
            return Ok((None, None));
        };
        let matrix = match u16::from_be_bytes([*high, *low]) {
            1 => Some("bt709"),
            4 => Some("fcc"),
            5 | 6 => Some("smpte170m"),
            7 => Some("smpte240m"),
            9 => Some("bt2020"),
            // Not said, or red, green and blue themselves, which the coded picture says too.
            0 | 2 => None,
            other => return Err(rare(format!("colour matrix {other}"))),
        };
        Ok((matrix, Some(range >> 7 == 1)))
    }

    fn config(&self, item: &Item) -> Result<Config, DecodeError> {
        let property = |kind| {
            let property = self.file.property(self.bytes, item, kind);
            match property.ok_or_else(broken)? {
                long if long.len() > MOST_CONFIG => Err(rare("a large set-up of its codec")),
                property => Ok(property),
            }
        };
        match &item.kind {
            b"hvc1" | b"hev1" => Config::hevc(property(b"hvcC")?),
            b"av01" => Config::av1(property(b"av1C")?),
            other => Err(rare(kind_name(other))),
        }
    }

    /// Coded pictures of one kind and size, decoded in one go.
    fn decoded(
        &self,
        items: &[&Item],
        grey: bool,
        (matrix, full): (Option<&'static str>, Option<bool>),
    ) -> Result<Decoded, DecodeError> {
        let first = *items.first().ok_or_else(broken)?;
        let config = self.config(first)?;
        let size = self.file.size(self.bytes, first).ok_or_else(broken)?;
        let mut stream = coded::begin(config.codec);
        for item in items {
            self.known(item)?;
            let own = self.config(item)?;
            let same = (own.codec, own.deep, own.grey) == (config.codec, config.deep, config.grey);
            if !same || self.file.size(self.bytes, item) != Some(size) {
                return Err(rare("a grid of different tiles"));
            }
            let data = self.file.data(self.bytes, item).ok_or_else(|| {
                DecodeError::Damaged(
                    "it is cut off: its picture's data should reach further".into(),
                )
            })?;
            own.append(&data, &mut stream)?;
            // Tiles may share their data, and each brings the set-up of its codec.
            if stream.len() as u64 > self.options.max_memory {
                return Err(DecodeError::TooLarge {
                    needs: stream.len() as u64,
                    limit: self.options.max_memory,
                });
            }
        }
        let color = match (grey || config.grey, config.deep) {
            (true, false) => ColorType::L8,
            (true, true) => ColorType::L16,
            (false, false) => ColorType::Rgb8,
            (false, true) => ColorType::Rgb16,
        };
        let wanted = Wanted {
            size,
            color,
            matrix,
            full,
            native: config.grey,
        };
        self.run(config.codec, stream, items.len(), &wanted)
    }

    fn run(
        &self,
        codec: Codec,
        stream: Vec<u8>,
        count: usize,
        wanted: &Wanted,
    ) -> Result<Decoded, DecodeError> {
        let (width, height) = wanted.size;
        let one = u64::from(width) * u64::from(height) * u64::from(wanted.color.bytes_per_pixel());
        let all = one.saturating_mul(count as u64);
        if all > self.options.max_memory {
            return Err(DecodeError::TooLarge {
                needs: all,
                limit: self.options.max_memory,
            });
        }
        let filters = wanted.filters();
        let muxer: &[&str] = if wanted.native {
            // Deep grey stands behind the standard of this muxer.
            &["-strict", "-1", "-f", "yuv4mpegpipe"]
        } else {
            &["-f", "rawvideo"]
        };
        let mut input = vec!["-f", coded::demuxer(codec)];
        if !self.options.allow_damaged {
            input.splice(0..0, ["-xerror", "-err_detect", "explode"]);
        }
        let (running, mut pipe) = self
            .programs
            .through(&input, stream, &[&["-vf", &filters][..], muxer].concat())
            .map_err(failed)?;
        let heads = if wanted.native { grey::heads(count) } else { 0 };
        let mut data = Vec::with_capacity(usize::try_from(all).map_err(|_| broken())?);
        (&mut pipe)
            .take(all + heads + 1)
            .read_to_end(&mut data)
            .map_err(|e| failed(StreamError::Pipe(e.to_string())))?;
        drop(pipe);
        running.finish("can't be decoded").map_err(failed)?;
        if wanted.native {
            let deep = wanted.color == ColorType::L16;
            data = grey::spread(&data, one as usize, deep, wanted.full).ok_or_else(broken)?;
        }
        if data.len() as u64 != all {
            return Err(DecodeError::Damaged(
                "its coded pictures are not as many or as large as it says".into(),
            ));
        }
        Ok(Decoded {
            data,
            size: wanted.size,
            color: wanted.color,
        })
    }

    fn grid(
        &self,
        item: &Item,
        grey: bool,
        used: &mut Vec<u32>,
    ) -> Result<DynamicImage, DecodeError> {
        let data = self.file.data(self.bytes, item).ok_or_else(broken)?;
        let mut numbers = Numbers(&data);
        let mut head = || {
            let (version, flags) = (numbers.int(1)?, numbers.int(1)?);
            let (rows, columns) = (numbers.int(1)? + 1, numbers.int(1)? + 1);
            let wide = if flags & 1 == 1 { 4 } else { 2 };
            let size = (numbers.int(wide)?, numbers.int(wide)?);
            (version == 0).then_some((rows, columns, size))
        };
        let (rows, columns, (width, height)) = head().ok_or_else(broken)?;
        if self.file.size(self.bytes, item) != Some((width, height)) {
            return Err(DecodeError::Damaged(
                "its grid has another size than it says".into(),
            ));
        }
        let ids = item.refers(b"dimg");
        let mut once = ids.to_vec();
        once.sort_unstable();
        once.dedup();
        if ids.len() != (rows * columns) as usize || once.len() != ids.len() {
            return Err(DecodeError::Damaged(
                "its grid has not as many tiles as places".into(),
            ));
        }
        let tiles: Vec<&Item> = ids
            .iter()
            .map(|id| self.file.item(*id).ok_or_else(broken))
            .collect::<Result<_, _>>()?;
        used.extend(ids);
        let (w, h) = self.file.size(self.bytes, tiles[0]).ok_or_else(broken)?;
        let covers = |tile: u32, count: u32, whole: u32| {
            let all = u64::from(tile) * u64::from(count);
            // The last tile must reach into the picture, as the others do.
            all >= u64::from(whole) && all - u64::from(tile) < u64::from(whole)
        };
        if width == 0 || !covers(w, columns, width) || !covers(h, rows, height) {
            return Err(DecodeError::Damaged(
                "its tiles do not cover its picture".into(),
            ));
        }
        // Numbers of the grid count, else those of its tiles.
        let colours = match self.colours(item)? {
            (None, None) => self.colours(tiles[0])?,
            own => own,
        };
        let tiles = self.decoded(&tiles, grey, colours)?;
        let places = (0..rows).flat_map(|r| (0..columns).map(move |c| (c * w, r * h)));
        let a_pixel = u64::from(tiles.color.bytes_per_pixel());
        self.options.allow(width, height, a_pixel)?;
        assembled((width, height), &tiles, places)
    }
}

impl Wanted {
    /// Filters that give the pixels wanted, and fail where a picture has another size.
    fn filters(&self) -> String {
        let (w, h) = self.size;
        let same = format!("crop=w='if(eq(iw,{w})*eq(ih,{h}),iw,-1)':h=ih:x=0:y=0:exact=1");
        if self.native {
            let format = match self.color {
                ColorType::L16 => "gray10le|gray12le",
                _ => "gray",
            };
            return format!("{same},format={format}");
        }
        let mut scale =
            String::from("scale=flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp");
        if let Some(matrix) = self.matrix {
            scale += &format!(":in_color_matrix={matrix}");
        }
        if let Some(full) = self.full {
            scale += if full {
                ":in_range=full"
            } else {
                ":in_range=limited"
            };
        }
        let format = match self.color {
            ColorType::L8 => "gray",
            ColorType::L16 => "gray16",
            ColorType::Rgb8 => "rgb24",
            _ => "rgb48",
        };
        let end = match self.color {
            ColorType::L16 | ColorType::Rgb16 if cfg!(target_endian = "big") => "be",
            ColorType::L16 | ColorType::Rgb16 => "le",
            _ => "",
        };
        format!("{same},{scale}:out_range=full,format={format}{end}")
    }
}

/// Tiles at their places; what reaches beyond the picture is cut.
fn assembled(
    (width, height): (u32, u32),
    tiles: &Decoded,
    places: impl Iterator<Item = (u32, u32)>,
) -> Result<DynamicImage, DecodeError> {
    let pixel = usize::from(tiles.color.bytes_per_pixel());
    let (w, h) = (tiles.size.0 as usize, tiles.size.1 as usize);
    let row = width as usize * pixel;
    let mut whole = vec![0; row * height as usize];
    for (tile, (x, y)) in tiles.data.chunks_exact(w * h * pixel).zip(places) {
        let (x, y) = (x as usize, y as usize);
        let length = w.min(width as usize - x) * pixel;
        let lines = whole[y * row..].chunks_exact_mut(row);
        for (line, part) in lines.zip(tile.chunks_exact(w * pixel)) {
            line[x * pixel..x * pixel + length].copy_from_slice(&part[..length]);
        }
    }
    pixels_from(width, height, tiles.color, whole)
}

/// Puts transparency into a picture.
pub(super) fn with_alpha(
    pixels: DynamicImage,
    alpha: &DynamicImage,
) -> Result<DynamicImage, DecodeError> {
    use DynamicImage as D;
    if (pixels.width(), pixels.height()) != (alpha.width(), alpha.height()) {
        return Err(rare("transparency of another size"));
    }
    let deep = pixels.color().bytes_per_pixel() > 3 || pixels.color() == ColorType::L16;
    if deep {
        let (mut with, alpha) = (pixels.to_rgba16(), alpha.to_luma16());
        with.pixels_mut()
            .zip(alpha.pixels())
            .for_each(|(p, a)| p.0[3] = a.0[0]);
        Ok(D::ImageRgba16(with))
    } else {
        let (mut with, alpha) = (pixels.to_rgba8(), alpha.to_luma8());
        with.pixels_mut()
            .zip(alpha.pixels())
            .for_each(|(p, a)| p.0[3] = a.0[0]);
        Ok(D::ImageRgba8(with))
    }
}
