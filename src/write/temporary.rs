//! Files that are not there yet.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, FileTimes, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

/// Names of temporary files of this process, for [`remove_all`].
static LIVE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

const PREFIX: &str = ".unface-";
const SUFFIX: &str = ".tmp";
/// A file this young may belong to a run that has not locked it yet.
const YOUNG: Duration = Duration::from_secs(10);

fn live() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes all temporary files of this process, from any thread: for the moment before it is
/// ended by force.
pub fn remove_all() {
    for path in std::mem::take(&mut *live()) {
        // Nothing to be done about a failure: the next run sweeps.
        let _ = fs::remove_file(path);
    }
}

/// Removes what killed runs left in `folder`; gives how many files. Files of runs that are still
/// alive are locked and stay.
pub fn sweep(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(is_ours))
        .filter(|entry| entry.metadata().is_ok_and(|m| m.is_file() && old(&m)))
        .filter(|entry| abandoned(&entry.path()) && fs::remove_file(entry.path()).is_ok())
        .count()
}

fn is_ours(name: &str) -> bool {
    name.strip_prefix(PREFIX)
        .and_then(|rest| rest.strip_suffix(SUFFIX))
        .is_some_and(|hex| hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn old(meta: &fs::Metadata) -> bool {
    // A time in the future: the clock was set back; the lock decides alone.
    meta.modified()
        .ok()
        .is_none_or(|t| t.elapsed().map_or(true, |age| age >= YOUNG))
}

fn abandoned(path: &Path) -> bool {
    OpenOptions::new()
        .write(true)
        .open(path)
        .is_ok_and(|file| file.try_lock().is_ok())
}

/// A file being written. Dropped without [`Temporary::name`], it is gone.
#[derive(Debug)]
pub(super) struct Temporary {
    file: File,
    folder: PathBuf,
    /// `None` while it has no name at all.
    path: Option<PathBuf>,
}

impl Temporary {
    /// `named`: it will replace a file, which only something with a name can.
    pub(super) fn create(folder: &Path, named: bool) -> io::Result<Self> {
        if !named
            && can_link(folder)
            && let Some(file) = unnamed(folder)
        {
            return Ok(Self {
                file,
                folder: folder.to_path_buf(),
                path: None,
            });
        }
        let path = folder.join(random_name()?);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        // Known before it is there, so that no moment is left in which nobody would remove it.
        live().insert(path.clone());
        let file = options.open(&path).inspect_err(|_| {
            live().remove(&path);
        })?;
        // Some network file systems know no locks; then age alone protects it.
        let _ = file.lock();
        Ok(Self {
            file,
            folder: folder.to_path_buf(),
            path: Some(path),
        })
    }

    pub(super) const fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn path(&self) -> Option<PathBuf> {
        self.path.clone()
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        match self.file.sync_all() {
            // Some file systems have nothing to flush, and say so.
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
                ) =>
            {
                Ok(())
            }
            other => other,
        }
    }

    pub(super) fn read_back(&mut self, expected: usize) -> io::Result<Vec<u8>> {
        self.file.seek(SeekFrom::Start(0))?;
        let mut bytes = Vec::with_capacity(expected + 1);
        (&self.file)
            .take(expected as u64 + 1)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Sets its times to [`super::NO_TIME`].
    pub(super) fn forget_time(&self) -> io::Result<()> {
        let time = SystemTime::UNIX_EPOCH + super::NO_TIME;
        self.file
            .set_times(FileTimes::new().set_accessed(time).set_modified(time))
    }

    /// Gives it its final name.
    pub(super) fn name(mut self, target: &Path, overwrite: bool) -> io::Result<()> {
        set_mode(&self.file)?;
        match (&self.path, overwrite) {
            (None, _) => link_unnamed(&self.file, target)?,
            (Some(path), true) => fs::rename(path, target)?,
            (Some(path), false) => rename_to_new(path, target)?,
        }
        if let Some(path) = self.path.take() {
            live().remove(&path);
        }
        sync_folder(&self.folder);
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            let _ = fs::remove_file(&path);
            live().remove(&path);
        }
    }
}

fn random_name() -> io::Result<String> {
    let mut random = [0u8; 16];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    Ok(format!(
        "{PREFIX}{:032x}{SUFFIX}",
        u128::from_be_bytes(random)
    ))
}

/// A file without any name: if the process is killed, it is gone.
#[cfg(target_os = "linux")]
fn unnamed(folder: &Path) -> Option<File> {
    use rustix::fs::{Mode, OFlags, open};
    // Without /proc it could not be named later.
    if !Path::new("/proc/self/fd").exists() {
        return None;
    }
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    open(folder, flags, Mode::RUSR | Mode::WUSR)
        .ok()
        .map(File::from)
}

/// Whether a file without a name can be given one in a folder: not everywhere where such files can be
/// made. Tried once for each folder, before anything is worked out that could not be kept.
#[cfg(target_os = "linux")]
fn can_link(folder: &Path) -> bool {
    static KNOWN: Mutex<BTreeMap<PathBuf, bool>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(can) = known.get(folder) {
        return *can;
    }
    let tried = || {
        let path = folder.join(random_name().ok()?);
        let file = unnamed(folder)?;
        live().insert(path.clone());
        let linked = link_unnamed(&file, &path);
        let removed = fs::remove_file(&path);
        live().remove(&path);
        (linked.is_ok() && removed.is_ok()).then_some(())
    };
    let can = tried().is_some();
    known.insert(folder.to_path_buf(), can);
    can
}

#[cfg(not(target_os = "linux"))]
const fn can_link(_folder: &Path) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
fn unnamed(_folder: &Path) -> Option<File> {
    None
}

#[cfg(target_os = "linux")]
fn link_unnamed(file: &File, target: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, linkat};
    use std::os::fd::AsRawFd;
    let name = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(linkat(CWD, name, CWD, target, AtFlags::SYMLINK_FOLLOW)?)
}

#[cfg(not(target_os = "linux"))]
fn link_unnamed(_file: &File, _target: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Renames, and fails if the target has come into being meanwhile.
#[cfg(target_os = "linux")]
fn rename_to_new(path: &Path, target: &Path) -> io::Result<()> {
    use rustix::{
        fs::{CWD, RenameFlags, renameat_with},
        io::Errno,
    };
    match renameat_with(CWD, path, CWD, target, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => link_to_new(path, target),
        other => Ok(other?),
    }
}

#[cfg(not(target_os = "linux"))]
fn rename_to_new(path: &Path, target: &Path) -> io::Result<()> {
    link_to_new(path, target)
}

fn link_to_new(path: &Path, target: &Path) -> io::Result<()> {
    match fs::hard_link(path, target) {
        Ok(()) => fs::remove_file(path),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(e),
        // No hard links here (FAT, some network shares): a name that is taken is found by making
        // it, and the rename then replaces this process's own empty file.
        Err(_) => {
            drop(
                OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .open(target)?,
            );
            fs::rename(path, target).inspect_err(|_| {
                let _ = fs::remove_file(target);
            })
        }
    }
}

/// The mode that any program's new file would have.
#[cfg(unix)]
fn set_mode(file: &File) -> io::Result<()> {
    use rustix::{fs::Mode, process::umask};
    use std::{os::unix::fs::PermissionsExt, sync::OnceLock};
    static MASK: OnceLock<u32> = OnceLock::new();
    let mask = *MASK.get_or_init(|| {
        // Reading it means setting it; for that moment it is the strictest.
        let mask = umask(Mode::RWXG | Mode::RWXO);
        umask(mask);
        mask.bits()
    });
    // File systems without modes refuse; the file is then as private as all else there.
    match file.set_permissions(fs::Permissions::from_mode(0o666 & !mask)) {
        Err(e)
            if e.kind() != io::ErrorKind::PermissionDenied
                && e.kind() != io::ErrorKind::Unsupported =>
        {
            Err(e)
        }
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn set_mode(_file: &File) -> io::Result<()> {
    Ok(())
}

/// The name is safe on the disk only when the folder is; not all systems can.
fn sync_folder(folder: &Path) {
    #[cfg(unix)]
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    #[cfg(not(unix))]
    let _ = folder;
}
