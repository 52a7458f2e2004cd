//! A second, independent reader of what was written.

/// Bytes in a file that are more than pixels.
#[derive(Debug, thiserror::Error)]
#[error("holds more than pixels: {leaks:?}")]
pub struct VerifyError {
    /// What was found.
    pub leaks: Vec<String>,
}
