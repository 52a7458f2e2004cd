//! Makes the people in photos unrecognisable, and the files say nothing.
//!
//! The rooms, in the order in which a picture passes through them. Rooms do not
//! import each other; [`pipeline`] joins them.
//!
//! | room | from | to |
//! |---|---|---|
//! | [`discover`] | what was named | jobs: one input, one output name |
//! | [`decode`] | bytes | an upright [`Frame`] |
//! | [`detect`] | a frame | [`Face`]s |
//! | [`track`] | faces in some frames of a video | places in every frame |
//! | [`redact`] | a frame and faces | [`redact::Redacted`] |
//! | [`sound`] | samples of sound | samples without the voice, or none |
//! | [`encode`] | a redacted frame | bytes, pixels only |
//! | [`verify`] | bytes | nothing but pixels in them, or the leaks |
//! | [`mod@write`] | verified bytes | a file under its final name |
//! | [`report`] | outcomes | JSON lines |
//!
//! [`cage`] holds the children in which strangers' files are decoded.

pub mod cage;
pub mod caution;
pub mod decode;
pub mod detect;
pub mod discover;
pub mod encode;
pub mod error;
pub mod face;
pub mod ffmpeg;
pub mod format;
pub mod frame;
pub mod geometry;
pub mod jpeg;
pub mod pipeline;
pub mod planes;
pub mod redact;
pub mod report;
pub mod sound;
pub mod track;
pub mod verify;
pub mod write;
pub mod y4m;

pub use caution::Caution;
pub use error::{Error, ShownPath};
pub use face::Face;
pub use format::Format;
pub use frame::Frame;
pub use geometry::Rect;
pub use pipeline::{Progress, Settings, Summary, run};
