//! ONNX Runtime, the only file that names `ort`: finding the library, and one network in it.

use std::{
    borrow::Cow,
    env, fs,
    path::{Path, PathBuf},
};

use ndarray::{Array4, ArrayD, IxDyn};
use ort::{
    environment::Environment,
    logging::LogLevel,
    session::{Session, builder::GraphOptimizationLevel},
    value::{PrimitiveTensorElementType, TensorRef},
};

use super::{
    DetectError,
    family::Family,
    library::Library,
    model::{Model, Spec, Tensor},
    onnx,
    pair::Pair,
};

/// The variable that must be `1` before ONNX Runtime is loaded: from 1.29 on it keeps a record of each run in the user's cache
/// folder and sends it to its makers, and nothing else stops that.
pub const NO_TELEMETRY: &str = "ORT_DISABLE_TELEMETRY";
/// The first minor version of ONNX Runtime 1 that does so.
const TELLS: u32 = 29;

/// A loaded ONNX Runtime.
#[derive(Clone)]
pub struct Runtime {
    environment: Environment,
    path: PathBuf,
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Runtime {
    /// Loads the library, once a process.
    ///
    /// It is `chosen` by a person or, where nothing is, by `ORT_DYLIB_PATH`. Otherwise it is the first
    /// that is there in `folders`, beside the executable and in `../lib` of it, and must be one of the
    /// copies of version 1.28.0 whose checksums this program knows.
    ///
    /// # Errors
    /// [`DetectError::Runtime`] with how to get the library when there is none that fits, and for one that would report
    /// to its makers, unless [`NO_TELEMETRY`] is set.
    pub fn load(chosen: Option<&Path>, folders: &[PathBuf]) -> Result<Self, DetectError> {
        Library::find(chosen, folders)
            .and_then(Self::open)
            .map_err(DetectError::Runtime)
    }

    fn open(library: Library) -> Result<Self, String> {
        let known = library.version.clone();
        if env::var_os(NO_TELEMETRY).is_none_or(|v| v != "1")
            && known
                .or_else(|| version(&library.path))
                .is_none_or(|v| tells(&v))
        {
            let shown = crate::ShownPath(library.path);
            return Err(format!(
                "{shown}: is not known to be a version that keeps from reporting to its makers; set {NO_TELEMETRY}=1 before the program starts"
            ));
        }
        let environment = ort::init_from(library.to_load())
            .map_err(|e| e.to_string())?
            .with_telemetry(false)
            .build()
            .map_err(|e| e.to_string())?;
        Ok(Self {
            environment,
            path: library.path,
        })
    }

    /// Where the library lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its version, by its file's true name or, where that does not say, by the name of the version
    /// that its symbols have.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        version(&self.path)
    }

    /// What the library says of its build.
    #[must_use]
    pub fn build_info(&self) -> &'static str {
        ort::info()
    }
}

/// Whether a version of the library reports to its makers.
fn tells(version: &str) -> bool {
    let mut parts = version.split('.').map(|p| p.parse().unwrap_or(u32::MAX));
    (parts.next(), parts.next().unwrap_or(u32::MAX)) >= (Some(1), TELLS)
}

/// The version of a library.
fn version(path: &Path) -> Option<String> {
    let digits = |text: &str| {
        let from = text.find(|c: char| c.is_ascii_digit())?;
        let end = text[from..]
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .map_or(text.len(), |i| from + i);
        let version = text[from..end].trim_matches('.');
        version.contains('.').then(|| version.to_owned())
    };
    let path = fs::canonicalize(path).ok()?;
    let by_name = path.file_name().and_then(|n| digits(n.to_str()?));
    by_name.or_else(|| {
        let bytes = fs::read(&path).ok()?;
        let at = bytes.windows(6).position(|w| w == b"VERS_1")?;
        digits(std::str::from_utf8(bytes.get(at..at + 16)?.split(|&b| b == 0).next()?).ok()?)
    })
}

/// A model file that was read and recognised once, to open sessions from.
#[derive(Debug, Clone)]
pub struct Network {
    /// As it was read: mending takes a millisecond or two a session, and a second copy would stay
    /// in memory for the whole run.
    bytes: Cow<'static, [u8]>,
    spec: Spec,
    order: Vec<String>,
    input: String,
}

impl Network {
    /// Recognises a model.
    ///
    /// # Errors
    /// [`DetectError::Model`] when the bytes are no model of a known family.
    pub fn from_bytes(bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self, DetectError> {
        let bytes = bytes.into();
        let signature = onnx::signature(&bytes).map_err(|e| DetectError::Model(e.to_string()))?;
        let family = Family::recognise(&signature)?;
        let spec = family.spec(&signature);
        let order = family.order(&signature)?;
        Ok(Self {
            bytes,
            spec,
            order,
            input: signature.inputs[0].name.clone(),
        })
    }

    /// What it wants and gives.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Mends it and opens it in the runtime, for one thread at a time.
    ///
    /// # Errors
    /// [`DetectError::Model`] when the runtime does not take it.
    pub fn open(&self, runtime: &Runtime) -> Result<OrtModel, DetectError> {
        let free_size = self.spec.fixed.is_none();
        let mended =
            onnx::mend(&self.bytes, free_size).map_err(|e| DetectError::Model(e.to_string()))?;
        let session = open_session(runtime, &mended).map_err(|e| {
            DetectError::Model(format!(
                "is not taken by ONNX Runtime ({}); give another model",
                first_line(&e)
            ))
        })?;
        Ok(OrtModel {
            session,
            spec: self.spec.clone(),
            order: self.order.clone(),
            input: self.input.clone(),
        })
    }
}

/// The networks that look, one or two together.
#[derive(Debug, Clone)]
pub enum Networks {
    /// One alone.
    One(Network),
    /// A cheap one and a dear one, see [`Pair`].
    Two(Network, Network),
}

impl Networks {
    /// Opens all in the runtime, for one thread at a time.
    ///
    /// # Errors
    /// As [`Network::open`] and [`Pair::new`].
    pub fn open(&self, runtime: &Runtime) -> Result<Box<dyn Model>, DetectError> {
        let opened = |network: &Network| -> Result<Box<dyn Model>, DetectError> {
            Ok(Box::new(network.open(runtime)?))
        };
        match self {
            Self::One(network) => opened(network),
            Self::Two(cheap, dear) => Ok(Box::new(Pair::new(opened(cheap)?, opened(dear)?)?)),
        }
    }
}

fn open_session(runtime: &Runtime, bytes: &[u8]) -> ort::Result<Session> {
    Session::builder(&runtime.environment)?
        .with_log_level(LogLevel::Fatal)?
        // One thread a session: rayon's workers each have their own.
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        // Pictures differ in size; a pattern is kept for each size otherwise.
        .with_memory_pattern(false)?
        .commit_from_memory(bytes)
}

fn first_line(error: &impl ToString) -> String {
    error
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .escape_debug()
        .to_string()
}

fn view<T: PrimitiveTensorElementType + Clone + std::fmt::Debug + 'static>(
    numbers: &Array4<T>,
) -> Result<TensorRef<'_, T>, DetectError> {
    let shape: Vec<i64> = numbers.shape().iter().map(|&d| d as i64).collect();
    let data = numbers
        .as_slice()
        .ok_or_else(|| DetectError::Run("was given a scattered tensor".into()))?;
    TensorRef::from_array_view((shape, data)).map_err(failed)
}

fn failed(error: ort::Error) -> DetectError {
    DetectError::Run(format!("failed in ONNX Runtime ({})", first_line(&error)))
}

/// A network in ONNX Runtime.
#[derive(Debug)]
pub struct OrtModel {
    session: Session,
    spec: Spec,
    order: Vec<String>,
    input: String,
}

impl Model for OrtModel {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn run(&mut self, input: &Tensor) -> Result<Vec<ArrayD<f32>>, DetectError> {
        let tensor = match input {
            Tensor::Planes(planes) => view(planes)?.into_dyn(),
            Tensor::Patches(patches) => view(patches)?.into_dyn(),
        };
        let outputs = self
            .session
            .run(ort::inputs![self.input.as_str() => tensor])
            .map_err(failed)?;
        self.order
            .iter()
            .map(|name| {
                let value = outputs.get(name.as_str()).ok_or_else(|| {
                    DetectError::Run(format!("gave no output '{}'", name.escape_debug()))
                })?;
                let (shape, numbers) = value.try_extract_tensor::<f32>().map_err(failed)?;
                let shape: Vec<usize> = shape
                    .iter()
                    .map(|&d| usize::try_from(d).unwrap_or(0))
                    .collect();
                ArrayD::from_shape_vec(IxDyn(&shape), numbers.to_vec())
                    .map_err(|_| DetectError::Run("gave an output of a strange shape".into()))
            })
            .collect()
    }
}
