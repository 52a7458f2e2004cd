//! Pictures of a video as they are stored: one plane of brightness, two of colour. No I/O.

/// How finely colour is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chroma {
    /// Half as wide and half as high.
    Quarter,
    /// Half as wide.
    Half,
    /// As brightness.
    Full,
}

/// The shape of every picture of a video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// In pixels, upright.
    pub width: u32,
    /// In pixels, upright.
    pub height: u32,
    /// Bits a sample, 8 or 10. 10 bits lie in 16, low byte first.
    pub depth: u8,
    /// How finely colour is stored.
    pub chroma: Chroma,
}

/// One of the three planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaneShape {
    /// First byte in the picture's data.
    pub offset: usize,
    /// In samples.
    pub width: u32,
    /// In samples.
    pub height: u32,
    /// Pixels that a sample stands for: across and down.
    pub step: (u32, u32),
}

impl Layout {
    /// Bytes a sample.
    #[must_use]
    pub const fn sample(&self) -> usize {
        if self.depth > 8 { 2 } else { 1 }
    }

    /// The planes: brightness and two of colour, without gaps.
    #[must_use]
    pub const fn planes(&self) -> [PlaneShape; 3] {
        let step = match self.chroma {
            Chroma::Quarter => (2, 2),
            Chroma::Half => (2, 1),
            Chroma::Full => (1, 1),
        };
        let (w, h) = (self.width.div_ceil(step.0), self.height.div_ceil(step.1));
        let first = self.width as usize * self.height as usize * self.sample();
        let second = first + w as usize * h as usize * self.sample();
        [
            PlaneShape {
                offset: 0,
                width: self.width,
                height: self.height,
                step: (1, 1),
            },
            PlaneShape {
                offset: first,
                width: w,
                height: h,
                step,
            },
            PlaneShape {
                offset: second,
                width: w,
                height: h,
                step,
            },
        ]
    }

    /// Bytes of a picture.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        let last = self.planes()[2];
        last.offset + last.width as usize * last.height as usize * self.sample()
    }

    /// ffmpeg's name for it. `full`: the old name for 8 bits of full range.
    #[must_use]
    pub const fn name(&self, full: bool) -> &'static str {
        match (self.chroma, self.depth > 8, full) {
            (Chroma::Quarter, false, false) => "yuv420p",
            (Chroma::Half, false, false) => "yuv422p",
            (Chroma::Full, false, false) => "yuv444p",
            (Chroma::Quarter, false, true) => "yuvj420p",
            (Chroma::Half, false, true) => "yuvj422p",
            (Chroma::Full, false, true) => "yuvj444p",
            (Chroma::Quarter, true, _) => "yuv420p10le",
            (Chroma::Half, true, _) => "yuv422p10le",
            (Chroma::Full, true, _) => "yuv444p10le",
        }
    }
}

/// How numbers become colours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Colours {
    /// 0 to full instead of the narrower range of television.
    pub full: bool,
    /// Weights of red and blue in brightness.
    pub weights: (f32, f32),
}

impl Colours {
    /// From ffmpeg's names of range and matrix; what is unknown is read as ffmpeg reads it.
    #[must_use]
    pub fn named(range: Option<&str>, matrix: Option<&str>) -> Self {
        let weights = match matrix {
            Some("bt709") => (0.2126, 0.0722),
            Some("bt2020nc" | "bt2020c") => (0.2627, 0.0593),
            _ => (0.299, 0.114),
        };
        Self {
            full: matches!(range, Some("pc" | "full" | "jpeg")),
            weights,
        }
    }

    /// Samples of 8 bits as a colour.
    #[must_use]
    pub fn rgb(&self, [y, u, v]: [u8; 3]) -> [u8; 3] {
        let (y, u, v) = (f32::from(y), f32::from(u) - 128.0, f32::from(v) - 128.0);
        let (y, scale) = if self.full {
            (y, 1.0)
        } else {
            ((y - 16.0) * (255.0 / 219.0), 255.0 / 224.0)
        };
        let (wr, wb) = self.weights;
        let (u, v) = (u * scale, v * scale);
        let r = y + v * (2.0 - 2.0 * wr);
        let b = y + u * (2.0 - 2.0 * wb);
        let g = (y - wr * r - wb * b) / (1.0 - wr - wb);
        [r, g, b].map(|c| (c + 0.5).clamp(0.0, 255.0) as u8)
    }

    /// A colour as samples of the three planes.
    #[must_use]
    pub fn samples(&self, rgb: [u8; 3], depth: u8) -> [u16; 3] {
        let [r, g, b] = rgb.map(|v| f32::from(v) / 255.0);
        let (wr, wb) = self.weights;
        let y = wr * r + (1.0 - wr - wb) * g + wb * b;
        let (u, v) = ((b - y) / (2.0 - 2.0 * wb), (r - y) / (2.0 - 2.0 * wr));
        let scale = f32::from(1u16 << (depth - 8));
        let most = scale * 256.0 - 1.0;
        let number = |v: f32| v.round().clamp(0.0, most) as u16;
        if self.full {
            [
                number(y * most),
                number(u * most + 128.0 * scale),
                number(v * most + 128.0 * scale),
            ]
        } else {
            [
                number((y * 219.0 + 16.0) * scale),
                number((u * 224.0 + 128.0) * scale),
                number((v * 224.0 + 128.0) * scale),
            ]
        }
    }
}

/// One picture, uncovered. Only [`crate::decode`] makes one, upright.
#[derive(Debug)]
pub struct Planes {
    layout: Layout,
    data: Vec<u8>,
    pts: i64,
}

impl Planes {
    /// For `decode` alone: `_witness` can't be made elsewhere. `data` must be as long as the layout asks.
    pub(crate) fn new(
        layout: Layout,
        data: Vec<u8>,
        pts: i64,
        _witness: crate::decode::Upright,
    ) -> Self {
        debug_assert_eq!(data.len(), layout.bytes());
        Self { layout, data, pts }
    }

    /// Its shape.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// When it is shown, in the video's time base.
    #[must_use]
    pub const fn pts(&self) -> i64 {
        self.pts
    }

    /// The samples, plane by plane.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Gives the samples away, for `redact` to cover in place.
    #[must_use]
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }
}
