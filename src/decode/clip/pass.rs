//! The two passes over a video: what comes out of the decoder, packet by packet.

use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
};

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

use super::views::RESHAPED;

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

    /// Checks that the streams are some of frames of these sizes and then that many of sound.
    pub(super) fn expect(&self, frames: &[(u32, u32)], sound: usize) -> Result<(), StreamError> {
        let streams = self.reader.streams();
        let right = streams.len() == frames.len() + sound
            && streams.iter().zip(frames).all(|(s, size)| {
                matches!(s.content, Content::Video { width, height, .. } if (width, height) == *size)
            })
            && streams[frames.len()..]
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

/// Keyed hashes of a video's frames as they are covered, in order.
///
/// The key is random and stays in this process: nobody can prepare two frames of one hash, and a pair has one by chance
/// once in 2⁶⁴.
#[derive(Debug, Clone, Default)]
pub struct Fingerprints {
    key: RandomState,
    frames: Vec<u64>,
}

impl Fingerprints {
    fn push(&mut self, samples: &[u8]) {
        self.frames.push(self.key.hash_one(samples));
    }

    /// Whether these are the samples of the frame at `index`, counted from 0.
    fn holds(&self, index: usize, samples: &[u8]) -> bool {
        self.frames.get(index) == Some(&self.key.hash_one(samples))
    }

    /// Frames.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}

/// The reduced copies of one frame in which faces are searched.
#[derive(Debug, Clone)]
pub struct Copies {
    /// What players show.
    pub main: Frame,
    /// Other ways to show the frame, of any sizes; upright as the first.
    pub others: Vec<Frame>,
}

impl From<Frame> for Copies {
    fn from(main: Frame) -> Self {
        Self {
            main,
            others: Vec::new(),
        }
    }
}

/// The search's pass.
#[derive(Debug)]
pub struct Search {
    packets: Packets,
    /// Copies that came before the others of their frame, by view.
    waiting: Vec<VecDeque<(Frame, i64)>>,
    sizes: Vec<(u32, u32)>,
    base: TimeBase,
    fingerprints: Option<Fingerprints>,
    /// Frames so far.
    given: usize,
    /// Faults are let pass and noted.
    damaged: Option<Faults>,
}

impl Search {
    /// `sizes`: of each copy of a frame, in pixels. `fingerprints`: where the stored frames come as well, in a stream
    /// behind the copies.
    pub(super) fn new(
        packets: Packets,
        sizes: Vec<(u32, u32)>,
        base: TimeBase,
        fingerprints: Option<Fingerprints>,
        damaged: Option<Faults>,
    ) -> Self {
        Self {
            packets,
            waiting: vec![VecDeque::new(); sizes.len()],
            sizes,
            base,
            fingerprints,
            given: 0,
            damaged,
        }
    }

    /// Size of the first copy in pixels.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        self.sizes.first().copied().unwrap_or((1, 1))
    }

    /// The next frame's copies, and when it is shown.
    ///
    /// # Errors
    /// When the video breaks off or is damaged.
    pub fn picture(&mut self) -> Result<Option<(Copies, i64)>, StreamError> {
        while self.waiting.iter().any(VecDeque::is_empty) {
            let packet = self
                .packets
                .next("can't be decoded", self.damaged.as_ref())?;
            let Some(packet) = packet else {
                return self.end().map(|()| None);
            };
            self.take(packet)?;
        }
        let mut copies = self.waiting.iter_mut().filter_map(VecDeque::pop_front);
        let Some((main, pts)) = copies.next() else {
            return Ok(None);
        };
        let (others, times): (Vec<_>, Vec<_>) = copies.unzip();
        if times.iter().any(|t| *t != pts) {
            return Err(StreamError::Nut("copies of different times".into()));
        }
        self.given += 1;
        Ok(Some((Copies { main, others }, pts)))
    }

    /// What the stored frames must be in the covering pass; `None` where that was not asked for. After the last frame.
    #[must_use]
    pub fn fingerprints(self) -> Option<Fingerprints> {
        self.fingerprints
    }

    fn take(&mut self, packet: Packet) -> Result<(), StreamError> {
        let Some(&(width, height)) = self.sizes.get(packet.stream) else {
            if let Some(fingerprints) = &mut self.fingerprints {
                fingerprints.push(&packet.data);
            }
            return Ok(());
        };
        let bytes = |width: u32| width as usize * height as usize * 3;
        if packet.data.len() == bytes(width + RESHAPED) {
            return Err(StreamError::Reshaped);
        }
        whole(packet.data.len(), bytes(width))?;
        let base = self.packets.reader.streams()[packet.stream].time_base;
        let pts = self.base.from(packet.pts, base);
        let pixels = RgbImage::from_raw(width, height, packet.data)
            .ok_or_else(|| StreamError::Nut("a picture of the wrong size".into()))?;
        let frame = from_upright_pixels(DynamicImage::ImageRgb8(pixels));
        self.waiting[packet.stream].push_back((frame, pts));
        Ok(())
    }

    /// Whether all copies of all frames came.
    fn end(&self) -> Result<(), StreamError> {
        let rest = self.waiting.iter().any(|w| !w.is_empty());
        let hashed = self.fingerprints.as_ref().map(Fingerprints::len);
        if rest || hashed.is_some_and(|n| n != self.given) {
            return Err(StreamError::Nut(
                "another number of copies than frames".into(),
            ));
        }
        Ok(())
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
    /// Of the frames that were searched.
    pub(super) fingerprints: Option<Fingerprints>,
    /// Frames so far.
    pub(super) given: usize,
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
        if let Some(known) = &self.fingerprints
            && !known.holds(self.given, &packet.data)
        {
            return Err(StreamError::Changed);
        }
        self.given += 1;
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
