//! Which frames of moving pictures are searched, and how.

use std::time::Duration;

use image::GrayImage;

use crate::{
    detect,
    frame::Frame,
    track::{self, Camera, Motion},
};

/// Faces are searched in copies of at most this many pixels.
pub(super) const SEARCHED: u32 = 1_000_000;
/// Seconds between two frames that are searched: every other one at 30 a second. In moving clips .70 % of the faces in all frames stay bare,
/// 1.04 % with every third, for 1.2 times the CPU time. (Every frame against every other one, both with [`BEGIN`] at 2.4: .83 and 1.20 %, for 1.6 times.)
const PERIOD: f64 = 1.0 / 15.0;
/// At most so many frames are passed over between two that are searched: slow motion shows in them what may be seen
/// in no other.
pub(super) const SKIPPED: usize = 5;
/// A score that begins a track, as a multiple of what the rule for photos asks for. A face is seen
/// in many frames, so its best score may be asked for; what is not one is held as long as one.
const BEGIN: f32 = 2.08;
/// A score that continues a track, as a share of what the rule for photos asks for: fainter ones lead it astray (on 54 clips from photos
/// 15 of 443 people were bare in some frame at .5, 12 at .7, 13 at .75).
const FAINT: f32 = 0.713;
/// Frames that wait between two stages.
pub(super) const WAITING: usize = 4;

/// A frame of the first pass.
pub(super) struct Look {
    pub(super) pts: i64,
    pub(super) motion: Option<Motion>,
    /// `None` where nothing is searched.
    pub(super) frame: Option<Frame>,
    /// To be searched all over; others only where a face ran.
    pub(super) due: bool,
}

/// Follows the camera and says which frames are searched. A frame is told of when the next one is known: the
/// last one of a scene is searched, as nobody who is seen in it alone is seen later.
pub(super) struct Follow {
    camera: Camera,
    searches: bool,
    last: Option<f64>,
    /// Frames since the last one that was searched.
    skipped: usize,
    waiting: Option<Waiting>,
}

/// A frame whose next one is not known yet.
struct Waiting {
    pts: i64,
    motion: Option<Motion>,
    frame: Frame,
    searched: bool,
}

impl Waiting {
    fn look(self, last: bool) -> Look {
        Look {
            pts: self.pts,
            motion: self.motion,
            frame: Some(self.frame),
            due: self.searched || last,
        }
    }
}

impl Follow {
    pub(super) fn new(searches: bool) -> Self {
        Self {
            camera: Camera::default(),
            searches,
            last: None,
            skipped: 0,
            waiting: None,
        }
    }

    /// Takes a frame; gives the one before it.
    pub(super) fn look(&mut self, frame: Frame, pts: i64, time: f64) -> Option<Look> {
        if !self.searches {
            return Some(Look {
                pts,
                motion: None,
                frame: None,
                due: false,
            });
        }
        let motion = self.camera.next(&green(&frame));
        let cut = motion.is_some_and(|m| m.cut);
        // A little early rather than a frame late.
        let due = self
            .last
            .is_none_or(|l| time - l >= PERIOD - Duration::from_millis(4).as_secs_f64());
        let searched = due || cut || self.skipped >= SKIPPED;
        if searched {
            self.last = Some(time);
        }
        self.skipped = if searched { 0 } else { self.skipped + 1 };
        let next = Waiting {
            pts,
            motion,
            frame,
            searched,
        };
        self.waiting.replace(next).map(|before| before.look(cut))
    }

    /// The last frame.
    pub(super) fn finish(&mut self) -> Option<Look> {
        self.waiting.take().map(|last| last.look(true))
    }
}

/// Green stands for brightness: it weighs most in it, and nothing needs to be computed.
fn green(frame: &Frame) -> GrayImage {
    let rgb = frame.pixels().as_rgb8().map_or(&[][..], |p| p.as_raw());
    let grey = rgb.chunks_exact(3).map(|p| p[1]).collect();
    GrayImage::from_raw(frame.width(), frame.height(), grey).unwrap_or_default()
}

/// The same search for faint scores too, which continue a track.
pub(super) fn faint(options: &detect::Options) -> detect::Options {
    detect::Options {
        rule: options.rule.times(FAINT),
        ..*options
    }
}

/// The score that begins a track where a photo asks for `threshold`: a person may have asked for a high one, and
/// scores end at 1.
pub(super) fn begins(threshold: f32) -> f32 {
    (BEGIN * threshold).min(threshold + 0.3 * (1.0 - threshold))
}

/// How faces of a video are followed.
pub(super) fn following() -> track::Options {
    track::Options {
        // In few looks a face need not be clearer than in a photo.
        few: BEGIN,
        ..track::Options::default()
    }
}
