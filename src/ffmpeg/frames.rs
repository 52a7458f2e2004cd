//! What the first decoded frames say that the container does not: interlacing and orientation.

use std::{ffi::OsString, io::Read, process::Stdio};

use serde_json::Value;

use super::{
    Programs, Reading, StreamError,
    probe::{Turn, Video},
    running::start,
    words,
};

/// Packets that are decoded for it.
const PACKETS: &str = "%+#4";

/// What the first frames say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FirstFrames {
    /// The top field comes first, or the bottom one; `None` if they are progressive.
    pub interlaced: Option<bool>,
    /// How they must be turned; `None` where they do not say so.
    pub turn: Option<Turn>,
}

impl FirstFrames {
    /// Reads the frames of `ffprobe`'s JSON.
    ///
    /// # Errors
    /// When they are to be turned by an angle that can't be applied.
    pub fn parse(json: &[u8]) -> Result<Self, StreamError> {
        let all: Value = serde_json::from_slice(json).unwrap_or_default();
        let mut first = Self::default();
        for frame in all["frames"].as_array().into_iter().flatten() {
            if first.interlaced.is_none() && frame["interlaced_frame"] == 1 {
                first.interlaced = Some(frame["top_field_first"] == 1);
            }
            if first.turn.is_none() {
                first.turn = Turn::of_side_data(frame)?;
            }
        }
        Ok(first)
    }

    /// Adds what the container lacks.
    ///
    /// # Errors
    /// When the container and the frames are to be turned differently.
    pub fn complete(&self, video: &mut Video) -> Result<(), StreamError> {
        video.interlaced = video.interlaced.or(self.interlaced);
        match self.turn {
            Some(turn) if video.turn == Turn::default() => video.turn = turn,
            Some(turn) if video.turn != turn => {
                return Err(StreamError::Failed(
                    "is to be turned one way by its container and another way by its frames; turn it with the program that you play it with, and give it the result"
                        .into(),
                ));
            }
            _ => {}
        }
        Ok(())
    }
}

impl Programs {
    /// What the first frames of the stream `index` say. What can't be decoded says nothing: the passes over
    /// the whole video report that.
    ///
    /// # Errors
    /// When the frames are to be turned by an angle that can't be applied.
    pub fn first_frames(
        &self,
        reading: &Reading<'_>,
        index: u64,
    ) -> Result<FirstFrames, StreamError> {
        let mut args = reading.args();
        args.extend(words([
            "-of",
            "json",
            "-read_intervals",
            PACKETS,
            "-show_entries",
            "frame=interlaced_frame,top_field_first:frame_side_data=side_data_type,displaymatrix",
            "-select_streams",
        ]));
        args.push(index.to_string().into());
        args.push(OsString::from("-i"));
        args.push(reading.input.address(0));
        let stdin = reading.input.stdio()?;
        let mut child = start(&self.ffprobe, "ffprobe", args, stdin, Stdio::piped())?;
        let mut text = Vec::new();
        if let Some(pipe) = child.stdout() {
            pipe.take(1 << 20)
                .read_to_end(&mut text)
                .map_err(|e| StreamError::Pipe(e.to_string()))?;
        }
        let _ = child.finish("can't be read by ffmpeg");
        FirstFrames::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn fields_are_known_from_any_of_the_first_frames() {
        let json = br#"{"frames": [{"interlaced_frame": 0, "top_field_first": 0},
            {"interlaced_frame": 1, "top_field_first": 1}]}"#;
        assert_eq!(FirstFrames::parse(json).unwrap().interlaced, Some(true));
        let json = br#"{"frames": [{"interlaced_frame": 0}]}"#;
        assert_eq!(FirstFrames::parse(json).unwrap(), FirstFrames::default());
        assert_eq!(FirstFrames::parse(b"").unwrap(), FirstFrames::default());
    }

    #[test]
    fn an_orientation_of_the_frames_that_is_not_a_quarter_turn_is_refused() {
        let json = br#"{"frames": [{"side_data_list": [{"displaymatrix":
            "\n00000000: 46341 -46341 0\n00000001: 46341 46341 0\n00000002: 0 0 1073741824\n"}]}]}"#;
        assert!(FirstFrames::parse(json).is_err());
    }
}
