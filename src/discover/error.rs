//! What can be wrong with what was named.

use crate::{error::ShownPath, format::Format};

/// Why there is nothing to be done. The text says what is wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoverError {
    /// Nothing was named.
    #[error("no input; name photos, folders or - for standard input")]
    NoInput,
    /// Several pictures into one place.
    #[error("several pictures can't go into one output; name a folder with -o FOLDER/")]
    SeveralIntoOne,
    /// `-o FILE` with a suffix that is no format.
    #[error(
        "{0}: its suffix names no format; use .jpg, .png, .webp, .tif, .bmp, .gif or .avif, for videos .mp4, .webm or .y4m, or end it with / for a folder"
    )]
    Suffix(ShownPath),
    /// An output of an earlier run was named.
    #[error("{0}: is unface's own output; name the original")]
    OwnOutput(ShownPath),
    /// The outputs would fall among the inputs.
    #[error("{0}: is both input and output folder; choose another folder with -o")]
    SameFolder(ShownPath),
    /// An input lies where the outputs go.
    #[error("{0}: lies in the output folder; choose another folder with -o")]
    InsideOutput(ShownPath),
    /// Two inputs, one name.
    #[error(
        "{0}: two inputs would get this name ({1} and {2}); run them separately with different -o"
    )]
    Collision(ShownPath, ShownPath, ShownPath),
    /// An output would replace an input.
    #[error(
        "{0}: is an input of this run and would be overwritten by the copy of {1}; choose another -o"
    )]
    OverInput(ShownPath, ShownPath),
    /// The name and the format say two things.
    #[error(
        "{0}: is no name for {1}, which --format asks for; leave --format out, or give another name"
    )]
    Contradiction(ShownPath, Format),
    /// `-o` names a file where a folder must be.
    #[error(
        "{0}: is a file, and several inputs, folders or a list need a folder; name one with -o FOLDER/"
    )]
    NoOutputFolder(ShownPath),
    /// An output would replace a file that the run reads.
    #[error(
        "{0}: is read by this run and would be overwritten by the copy of {1}; choose another -o"
    )]
    OverRead(ShownPath, ShownPath),
    /// The report would replace a file of the run, or be replaced.
    #[error("{0}: is {1} too; give the report another name")]
    Report(ShownPath, &'static str),
    /// An output exists.
    #[error(
        "{0}: exists already; use --overwrite to replace it, another -o, or --skip-existing with the --report of the run that was stopped"
    )]
    Exists(ShownPath),
    /// An output exists, and nothing shows that it was made of this input.
    #[error(
        "{output}: exists already, and {}; {}, use --overwrite to replace it, or another -o",
        match report {
            Some(report) => format!("{report} does not say that it was made of {input} as both are now"),
            None => format!("without a report it is not known to be made of {input}"),
        },
        match report {
            Some(_) => "look at it and remove it",
            None => "name the --report of the run that wrote it",
        }
    )]
    Unproven {
        /// The output.
        output: ShownPath,
        /// The input.
        input: ShownPath,
        /// The report that was read.
        report: Option<ShownPath>,
    },
    /// A sequence must be a folder.
    #[error("{0}: is no folder; --sequence takes folders of numbered frames, leave it out")]
    NoFolder(ShownPath),
    /// Frames go into a folder.
    #[error(
        "{0}: is the name of a file, and --sequence writes frames into a folder; name one with -o FOLDER"
    )]
    Frames(ShownPath),
    /// The system gave no random numbers.
    #[error("the system gives no random numbers ({0}); use --names keep")]
    Random(String),
    /// `-` more than once.
    #[error("-: standard input can be named once only")]
    StdinTwice,
}
