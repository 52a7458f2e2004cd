//! Which frames of moving pictures are searched, and how.

use std::time::Duration;

use image::GrayImage;

use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};

use crate::{
    Caution,
    decode::clip::Copies,
    detect,
    frame::Frame,
    geometry::Rect,
    redact::RedactError,
    track::{self, Camera, Motion, change::Small},
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

/// Of this many intervals between two searched frames one is cut short at random, so that nobody knows which frames are
/// searched: 1 % more of them are.
const EARLY: u32 = 40;
/// A frame of which the searched ones beside it show this share not at all is searched all over; less, in windows.
const NEWS: f32 = 0.04;
/// Two frames of which the second shows this share that the first does not are of different scenes. In 8 clips with 3 hard cuts these
/// were .29 and more, and all others .13 at most.
const CUT: f32 = 0.22;

/// A frame of the first pass.
pub(super) struct Look {
    pub(super) pts: i64,
    pub(super) motion: Option<Motion>,
    /// `None` where nothing is searched.
    pub(super) copies: Option<Copies>,
    /// To be searched all over; others only where a face ran and where there are news.
    pub(super) due: bool,
    /// Where it shows what the searched frames beside it do not, in pixels of the first copy.
    pub(super) news: Vec<Rect>,
}

/// When the next frame is to be searched: about each [`PERIOD`], at times that can't be foretold.
pub(super) struct Schedule {
    random: ChaCha20Rng,
    last: Option<f64>,
    /// Frames since the last one that was searched.
    skipped: usize,
    /// Seconds until the next one, and most frames between.
    next: (f64, usize),
}

impl Schedule {
    /// `seed`: for tests; `None` draws it from the system.
    ///
    /// # Errors
    /// When the system gives none.
    pub(super) fn new(seed: Option<u64>) -> Result<Self, RedactError> {
        let random = if let Some(seed) = seed {
            ChaCha20Rng::seed_from_u64(seed)
        } else {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).map_err(|e| RedactError::Random(e.to_string()))?;
            ChaCha20Rng::from_seed(seed)
        };
        Ok(Self {
            random,
            last: None,
            skipped: 0,
            next: (PERIOD, SKIPPED),
        })
    }

    /// Whether the frame at `time` is to be searched. `first`: of a scene.
    fn due(&mut self, time: f64, first: bool) -> bool {
        // A little early rather than a frame late.
        let early = Duration::from_millis(4).as_secs_f64();
        let (period, most) = self.next;
        let due = first
            || self.skipped >= most
            || self.last.is_none_or(|last| time - last >= period - early);
        if due {
            self.last = Some(time);
            self.skipped = 0;
            let short = first || self.random.next_u32() < u32::MAX / EARLY;
            let share = if short { self.unit() } else { 1.0 };
            self.next = (PERIOD * share, (SKIPPED as f64 * share).round() as usize);
        } else {
            self.skipped += 1;
        }
        due
    }

    /// From 0 to 1.
    fn unit(&mut self) -> f64 {
        f64::from(self.random.next_u32()) / f64::from(u32::MAX)
    }
}

/// Follows the camera and says which frames are searched. A frame that is not due waits for the next one that is: what neither
/// that nor the one before it shows is searched as well. So is the last frame of a scene, as nobody who is seen in it alone
/// is seen later.
pub(super) struct Follow {
    camera: Camera,
    /// `None` where nothing is searched.
    schedule: Option<Schedule>,
    /// The frame before: its time, its small copy, how far the camera has moved its content.
    before: Option<(f64, Small, Shift)>,
    /// The last frame that was searched.
    searched: Option<(Small, Shift)>,
    waiting: Vec<Waiting>,
}

/// How far the camera has moved the content since the first frame, in pixels.
type Shift = (f32, f32);

/// A frame since the last one that was searched.
struct Waiting {
    look: Look,
    small: Small,
    shift: Shift,
}

impl Follow {
    /// `schedule`: `None` where nothing is searched.
    pub(super) fn new(schedule: Option<Schedule>) -> Self {
        Self {
            camera: Camera::default(),
            schedule,
            before: None,
            searched: None,
            waiting: Vec::new(),
        }
    }

    /// Takes a frame; gives those of which it is known how they are searched, in order.
    pub(super) fn look(&mut self, copies: Copies, pts: i64, time: f64) -> Vec<Look> {
        let Some(schedule) = &mut self.schedule else {
            return vec![Look {
                pts,
                motion: None,
                copies: None,
                due: false,
                news: Vec::new(),
            }];
        };
        let frame = &copies.main;
        let rgb = frame.pixels().as_rgb8().map_or(&[][..], |p| p.as_raw());
        let small = Small::new(rgb, frame.width(), frame.height());
        let mut motion = self.camera.next(&green(frame));
        let mut shift = (0.0, 0.0);
        if let (Some(motion), Some((was, last, from))) = (&mut motion, &self.before) {
            let moved = (motion.dx, motion.dy);
            motion.cut |= track::apart(*was, time) || small.share_not_in((last, moved)) > CUT;
            shift = (from.0 + moved.0, from.1 + moved.1);
        }
        let first = motion.is_none_or(|m| m.cut);
        let due = schedule.due(time, first);
        self.before = Some((time, small.clone(), shift));
        let mut given = if first { self.finish() } else { Vec::new() };
        self.waiting.push(Waiting {
            look: Look {
                pts,
                motion,
                copies: Some(copies),
                due,
                news: Vec::new(),
            },
            small,
            shift,
        });
        if due {
            given.extend(self.settle());
        }
        given
    }

    /// The frames that wait when no other one of their scene comes.
    pub(super) fn finish(&mut self) -> Vec<Look> {
        if let Some(last) = self.waiting.last_mut() {
            last.look.due = true;
        }
        let given = self.settle();
        self.searched = None;
        given
    }

    /// Says of frames up to one that is due how they are searched.
    fn settle(&mut self) -> Vec<Look> {
        let mut waiting = std::mem::take(&mut self.waiting);
        let Some(last) = waiting.pop() else {
            return Vec::new();
        };
        let mut given = Vec::new();
        for mut one in waiting {
            if let Some((before, shift)) = &self.searched {
                let since = |other: Shift| (one.shift.0 - other.0, one.shift.1 - other.1);
                let others = [(before, since(*shift)), (&last.small, since(last.shift))];
                let news = one.small.news(&others);
                one.look.due = news.share > NEWS;
                one.look.news = news.places;
            }
            if one.look.due {
                self.searched = Some((one.small, one.shift));
            }
            given.push(one.look);
        }
        self.searched = Some((last.small, last.shift));
        given.push(last.look);
        given
    }
}

/// Green stands for brightness: it weighs most in it, and nothing needs to be computed.
fn green(frame: &Frame) -> GrayImage {
    let rgb = frame.pixels().as_rgb8().map_or(&[][..], |p| p.as_raw());
    let grey = rgb.chunks_exact(3).map(|p| p[1]).collect();
    GrayImage::from_raw(frame.width(), frame.height(), grey).unwrap_or_default()
}

/// Face height in pixels of the search's copy below which few are found: of 20 each at 10.4 pixels 17 were, at 8.3 pixels 8.
const SMALLEST: f32 = 11.0;
/// Faces of this many pixels are found in every photo; a video in which the least is little more needs no caution.
const PROMISED: f32 = 18.0;

/// What a person should know of a search in copies: `scale` pixels of the frame to one of the copy.
pub(super) fn caution(options: &detect::Options, scale: f32) -> Option<Caution> {
    let height = SMALLEST * scale;
    (height > PROMISED && height > options.min_face).then(|| Caution::SmallFacesNotSearched {
        height: height.round() as u32,
    })
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
