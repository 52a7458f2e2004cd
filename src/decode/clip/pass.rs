//! The two passes over a video: what comes out of the decoder, packet by packet.

use std::sync::{Arc, Mutex, PoisonError};

use image::{DynamicImage, RgbImage};

use crate::{
    decode::{Upright, from_upright_pixels},
    ffmpeg::{
        Running, StreamError, Timed, damaged,
        nut::{Content, Packet, Reader, Stream, TimeBase},
        things_said,
    },
    frame::Frame,
    planes::{Layout, Planes},
};

/// What was wrong with a video and was let pass, as ffmpeg said it.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults(Arc<Mutex<Vec<String>>>);

impl Faults {
    pub(super) fn all(&self) -> Vec<String> {
        let all = self.0.lock();
        all.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn note(&self, said: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for thing in things_said(said) {
            if !all.contains(&thing) {
                all.push(thing);
            }
        }
    }
}

/// A decoder's packets. At the end the decoder must have ended well.
#[derive(Debug)]
pub(super) struct Packets {
    child: Option<Running>,
    reader: Reader<std::io::BufReader<Timed<std::process::ChildStdout>>>,
}

impl std::fmt::Debug for Reader<std::io::BufReader<Timed<std::process::ChildStdout>>> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reader(..)")
    }
}

impl Packets {
    pub(super) fn new(
        child: Running,
        pipe: Timed<std::process::ChildStdout>,
        largest: u64,
    ) -> Result<Self, StreamError> {
        match Reader::new(
            std::io::BufReader::with_capacity(1 << 18, pipe),
            largest + 4096,
        ) {
            Ok(reader) => Ok(Self {
                child: Some(child),
                reader,
            }),
            // A decoder that gave nothing says why.
            Err(error) => Err(child
                .finish("can't be decoded")
                .map_err(damaged)
                .err()
                .unwrap_or(error)),
        }
    }

    /// Checks that the streams are one of pictures of this size and so many of sound.
    pub(super) fn expect(&self, sound: usize, width: u32, height: u32) -> Result<(), StreamError> {
        let streams = self.reader.streams();
        let right = streams.len() == 1 + sound
            && matches!(streams[0].content, Content::Video { width: w, height: h, .. } if (w, h) == (width, height))
            && streams[1..]
                .iter()
                .all(|s| matches!(s.content, Content::Audio { .. }));
        if right {
            Ok(())
        } else {
            Err(StreamError::Nut("other streams than were asked for".into()))
        }
    }

    /// The next packet. `harmless`: where to note what a decoder complained of, if that is let pass.
    fn next(
        &mut self,
        doing: &str,
        harmless: Option<&Faults>,
    ) -> Result<Option<Packet>, StreamError> {
        match self.reader.packet() {
            Ok(Some(packet)) => Ok(Some(packet)),
            Ok(None) => {
                let Some(child) = self.child.take() else {
                    return Ok(None);
                };
                let ended = child.finish(doing).map_err(explained);
                match (ended, harmless) {
                    (Err(error @ StreamError::Resized), _) => Err(error),
                    (Ok(said), Some(faults)) => {
                        faults.note(&said);
                        Ok(None)
                    }
                    (Ok(_), None) => Ok(None),
                    (Err(error), Some(faults)) => {
                        faults.note(&error.to_string());
                        Ok(None)
                    }
                    (Err(error), None) => Err(damaged(error)),
                }
            }
            Err(error) => {
                let said = self
                    .child
                    .take()
                    .map(|c| c.finish(doing).map_err(explained));
                Err(said.and_then(Result::err).map_or(error, damaged))
            }
        }
    }
}

/// Complaints of the decoder that have a meaning of their own. The filter that checks the size ends the decoder
/// (`Clip::upright`), which no leniency may let pass: every frame from there on would be missing.
fn explained(error: StreamError) -> StreamError {
    let said = error.to_string();
    if said.contains("non positive size for width") {
        StreamError::Resized
    } else if ["Non-monotonous DTS", "Non-monotonic DTS"]
        .iter()
        .any(|c| said.contains(c))
    {
        StreamError::Backwards
    } else {
        error
    }
}

fn whole(bytes: usize, expected: usize) -> Result<(), StreamError> {
    if bytes == expected {
        return Ok(());
    }
    Err(StreamError::Resized)
}

/// The search's pass.
#[derive(Debug)]
pub struct Search {
    pub(super) packets: Packets,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) base: TimeBase,
    /// Faults are let pass and noted.
    pub(super) damaged: Option<Faults>,
}

impl Search {
    /// Size of its pictures in pixels.
    #[must_use]
    pub const fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// The next picture, and when it is shown.
    ///
    /// # Errors
    /// When the video breaks off or is damaged.
    pub fn picture(&mut self) -> Result<Option<(Frame, i64)>, StreamError> {
        let Some(packet) = self
            .packets
            .next("can't be decoded", self.damaged.as_ref())?
        else {
            return Ok(None);
        };
        let pts = self
            .base
            .from(packet.pts, self.packets.reader.streams()[0].time_base);
        whole(
            packet.data.len(),
            self.width as usize * self.height as usize * 3,
        )?;
        let pixels = RgbImage::from_raw(self.width, self.height, packet.data)
            .ok_or_else(|| StreamError::Nut("a frame of the wrong size".into()))?;
        Ok(Some((
            from_upright_pixels(DynamicImage::ImageRgb8(pixels)),
            pts,
        )))
    }
}

/// What the covering pass gives.
#[derive(Debug)]
pub enum Uncut {
    /// A picture.
    Picture(Planes),
    /// Some samples of a track of sound, 16 bits, interleaved.
    Sound {
        /// Which track, counted from 0.
        track: usize,
        /// When it is heard, in samples.
        pts: i64,
        /// Low byte first.
        data: Vec<u8>,
    },
}

/// The covering pass.
#[derive(Debug)]
pub struct Uncovered {
    pub(super) packets: Packets,
    pub(super) layout: Layout,
    pub(super) base: TimeBase,
    /// Faults are let pass and noted.
    pub(super) damaged: Option<Faults>,
}

impl Uncovered {
    /// The tracks of sound: samples a second and channels.
    #[must_use]
    pub fn sound(&self) -> Vec<(u32, u32)> {
        let of = |s: &Stream| match s.content {
            Content::Audio { rate, channels } => Some((rate, channels)),
            Content::Video { .. } => None,
        };
        self.packets
            .reader
            .streams()
            .iter()
            .filter_map(of)
            .collect()
    }

    /// The next picture or samples.
    ///
    /// # Errors
    /// When the video breaks off or is damaged.
    pub fn part(&mut self) -> Result<Option<Uncut>, StreamError> {
        let Some(packet) = self
            .packets
            .next("can't be decoded", self.damaged.as_ref())?
        else {
            return Ok(None);
        };
        let base = self.packets.reader.streams()[packet.stream].time_base;
        if packet.stream > 0 {
            let rate = match self.packets.reader.streams()[packet.stream].content {
                Content::Audio { rate, .. } => rate,
                Content::Video { .. } => 1,
            };
            let pts = TimeBase { num: 1, den: rate }.from(packet.pts, base);
            return Ok(Some(Uncut::Sound {
                track: packet.stream - 1,
                pts,
                data: packet.data,
            }));
        }
        whole(packet.data.len(), self.layout.bytes())?;
        let pts = self.base.from(packet.pts, base);
        Ok(Some(Uncut::Picture(Planes::new(
            self.layout,
            packet.data,
            pts,
            Upright(()),
        ))))
    }
}

/// A picture from samples that are upright already: for pictures that never were in a file. `None` where
/// there are not as many bytes as the layout asks for.
#[must_use]
pub fn from_samples(layout: Layout, data: Vec<u8>, pts: i64) -> Option<Planes> {
    (data.len() == layout.bytes()).then(|| Planes::new(layout, data, pts, Upright(())))
}
