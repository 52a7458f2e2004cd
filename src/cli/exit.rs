//! The exit code, as a type.

use unface::{Error, Summary, discover::DiscoverError};

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All done and verified.
    Done,
    /// Some input failed or was refused.
    Failed,
    /// The command makes no sense.
    Usage,
    /// A person stopped it.
    Interrupted,
}

impl Exit {
    /// The number that the shell sees.
    pub const fn code(self) -> i32 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Interrupted => 130,
        }
    }

    /// For an error that kept the run from beginning.
    pub const fn of(error: &Error) -> Self {
        match error {
            Error::Discover(
                DiscoverError::NoInput
                | DiscoverError::SeveralIntoOne
                | DiscoverError::Suffix(_)
                | DiscoverError::Contradiction(..)
                | DiscoverError::NoOutputFolder(_)
                | DiscoverError::Frames(_)
                | DiscoverError::StdinTwice,
            ) => Self::Usage,
            Error::Interrupted => Self::Interrupted,
            _ => Self::Failed,
        }
    }

    /// For a run that came to its end.
    pub const fn after(summary: &Summary, strict: bool) -> Self {
        if summary.interrupted {
            Self::Interrupted
        } else if summary.failed > 0
            || summary.closed
            || strict
                && !(summary.without_faces.is_empty()
                    && summary.uncertain.is_empty()
                    && summary.unread.is_empty()
                    && summary.cautions == 0)
        {
            Self::Failed
        } else {
            Self::Done
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupt_outranks_failures_and_failures_outrank_success() {
        let mut summary = Summary {
            done: 1,
            ..Summary::default()
        };
        assert_eq!(Exit::after(&summary, true), Exit::Done);
        summary.without_faces.push("a.jpg".into());
        assert_eq!(Exit::after(&summary, false), Exit::Done);
        assert_eq!(Exit::after(&summary, true), Exit::Failed);
        summary.without_faces.clear();
        summary.uncertain.push("a.jpg".into());
        assert_eq!(Exit::after(&summary, false), Exit::Done);
        assert_eq!(Exit::after(&summary, true), Exit::Failed);
        summary.uncertain.clear();
        summary.cautions = 1;
        assert_eq!(Exit::after(&summary, false), Exit::Done);
        assert_eq!(Exit::after(&summary, true), Exit::Failed);
        summary.cautions = 0;
        summary.unread.push("a.jpg".into());
        assert_eq!(Exit::after(&summary, false), Exit::Done);
        assert_eq!(Exit::after(&summary, true), Exit::Failed);
        summary.failed = 1;
        assert_eq!(Exit::after(&summary, false), Exit::Failed);
        summary.interrupted = true;
        assert_eq!(Exit::after(&summary, false), Exit::Interrupted);
    }

    #[test]
    fn codes_are_those_that_scripts_rely_on() {
        let codes = [Exit::Done, Exit::Failed, Exit::Usage, Exit::Interrupted].map(Exit::code);
        assert_eq!(codes, [0, 1, 2, 130]);
    }
}
