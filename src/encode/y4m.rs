//! Covered pictures → YUV4MPEG2, as they come.
//!
//! The first line says the size, the rate, fields, the shape of pixels, how colour is stored and
//! what range its numbers have, each only if the input said it; nothing else goes on.

use std::io::{self, Write};

use crate::{redact::clip::CoveredPlanes, y4m::Header};

/// A stream being written.
#[derive(Debug)]
pub struct Y4mWriter<W> {
    out: W,
    /// Bytes of a picture that are written: without the planes that grey ones do not have.
    stored: usize,
}

/// The first line.
fn line(header: &Header) -> String {
    let layout = header.layout;
    let mut line = format!(
        "YUV4MPEG2 W{} H{} F{}:{}",
        layout.width, layout.height, header.rate.0, header.rate.1
    );
    if let Some(fields) = header.fields {
        line.push_str(&format!(" I{fields}"));
    }
    if let Some((a, b)) = header.aspect {
        line.push_str(&format!(" A{a}:{b}"));
    }
    if let Some(chroma) = header.chroma {
        line.push_str(&format!(" C{chroma}"));
    }
    match header.full {
        Some(true) => line.push_str(" XCOLORRANGE=FULL"),
        Some(false) => line.push_str(" XCOLORRANGE=LIMITED"),
        None => {}
    }
    line.push('\n');
    line
}

impl<W: Write> Y4mWriter<W> {
    /// Writes the first line.
    ///
    /// # Errors
    /// The system's.
    pub fn new(mut out: W, header: &Header) -> io::Result<Self> {
        out.write_all(line(header).as_bytes())?;
        Ok(Self {
            out,
            stored: header.stored(),
        })
    }

    /// Writes a picture.
    ///
    /// # Errors
    /// The system's.
    pub fn picture(&mut self, picture: &CoveredPlanes) -> io::Result<()> {
        self.out.write_all(b"FRAME\n")?;
        self.out.write_all(&picture.data()[..self.stored])
    }

    /// Hands everything on.
    ///
    /// # Errors
    /// The system's.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}
