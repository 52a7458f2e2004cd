//! Which file is loaded as ONNX Runtime: one that a person named, or one of the copies that
//! `scripts/setup.py` gets. A library runs with all rights of this process, so that a file which
//! merely has the right name is not enough.

use std::{
    env, fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::ShownPath;

/// The copies that are known; `scripts/setup.py` reads the same file.
const KNOWN: &str = include_str!("../../models/onnxruntime.json");

/// The library's usual file name on this system.
#[cfg(windows)]
const NAME: &str = "onnxruntime.dll";
#[cfg(target_os = "macos")]
const NAME: &str = "libonnxruntime.dylib";
#[cfg(not(any(windows, target_os = "macos")))]
const NAME: &str = "libonnxruntime.so";

/// A library that may be loaded.
#[derive(Debug)]
pub(super) struct Library {
    /// Where it lies; whole, so that the system's loader looks nowhere else.
    pub(super) path: PathBuf,
    /// Its version, where it is one of the known copies.
    pub(super) version: Option<String>,
    /// What was read and checked: the file, or a copy in memory where others may change it.
    #[cfg(target_os = "linux")]
    checked: Option<fs::File>,
}

#[derive(Deserialize)]
struct Table {
    version: String,
    copies: Vec<Known>,
}

#[derive(Deserialize)]
struct Known {
    sha256: String,
}

impl Library {
    /// `chosen` by a person, or else by `ORT_DYLIB_PATH`; otherwise the first that is there in
    /// `folders`, beside the executable and in `../lib` of it, which must be a known copy. The next
    /// place is not tried where it is not, and the system's own copy only counts if it is named.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub(super) fn find(chosen: Option<&Path>, folders: &[PathBuf]) -> Result<Self, String> {
        let by_variable = env::var_os("ORT_DYLIB_PATH")
            .filter(|v| !v.is_empty())
            .map(PathBuf::from);
        if let Some(path) = chosen.map(Path::to_path_buf).or(by_variable) {
            return Self::named(&path);
        }
        let mut places: Vec<PathBuf> = folders.iter().map(|f| f.join(NAME)).collect();
        let executable = env::current_exe().ok();
        if let Some(folder) = executable.as_deref().and_then(Path::parent) {
            places.push(folder.join(NAME));
            places.push(folder.join("../lib").join(NAME));
        }
        match places.iter().find(|p| p.is_file()) {
            Some(path) => Self::known(path),
            None => Err(match places.first() {
                Some(first) => format!("there is no {}", ShownPath(first.clone())),
                None => "there is no copy of it".into(),
            }),
        }
    }

    /// One that a person named.
    fn named(path: &Path) -> Result<Self, String> {
        let whole = whole(path)?;
        if open_to_all(&whole) {
            return Err(format!(
                "{}: belongs to another user, and every user of this system may change it or its folder; name another copy",
                ShownPath(whole)
            ));
        }
        Ok(Self {
            path: whole,
            version: None,
            #[cfg(target_os = "linux")]
            checked: None,
        })
    }

    /// One that was found, if it is a known copy.
    fn known(path: &Path) -> Result<Self, String> {
        let whole = whole(path)?;
        let failed = |e: io::Error| format!("{}: {e}", ShownPath(whole.clone()));
        let table: Table = serde_json::from_str(KNOWN).map_err(|e| e.to_string())?;
        let (sum, checked) = read(&whole).map_err(failed)?;
        if !table.copies.iter().any(|known| known.sha256 == sum) {
            return Err(format!(
                "{}: is not the copy of version {} that this program knows, and was not loaded",
                ShownPath(whole),
                table.version
            ));
        }
        #[cfg(not(target_os = "linux"))]
        drop(checked);
        Ok(Self {
            path: whole,
            version: Some(table.version),
            #[cfg(target_os = "linux")]
            checked: Some(checked),
        })
    }

    /// What the system's loader is to open: what was checked, as another file may have its name
    /// meanwhile.
    #[cfg(target_os = "linux")]
    pub(super) fn to_load(&self) -> PathBuf {
        use std::os::fd::AsRawFd;
        let held = self.checked.as_ref();
        let held = held.map(|fd| PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd())));
        held.filter(|p| p.exists())
            .unwrap_or_else(|| self.path.clone())
    }

    /// What the system's loader is to open.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn to_load(&self) -> PathBuf {
        self.path.clone()
    }
}

fn whole(path: &Path) -> Result<PathBuf, String> {
    fs::canonicalize(path).map_err(|e| format!("{}: {e}", ShownPath(path.to_path_buf())))
}

/// The SHA-256 of a file, and what was read: the file itself where only this user and the
/// administrator can change it, otherwise a copy.
fn read(path: &Path) -> io::Result<(String, fs::File)> {
    let mut file = fs::File::open(path)?;
    let mut copy = if private(&file)? {
        None
    } else {
        Some(in_memory()?)
    };
    let mut hash = Sha256::new();
    let mut block = vec![0; 1 << 18];
    loop {
        let n = match file.read(&mut block) {
            Ok(0) => break,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        hash.update(&block[..n]);
        if let Some(copy) = &mut copy {
            copy.write_all(&block[..n])?;
        }
    }
    let sum = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    match copy {
        Some(copy) => {
            seal(&copy)?;
            Ok((sum, copy))
        }
        None => Ok((sum, file)),
    }
}

/// Whether only this user and the administrator can change a file.
fn private(file: &fs::File) -> io::Result<bool> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let found = file.metadata()?;
        let own = [0, rustix::process::geteuid().as_raw()].contains(&found.uid());
        Ok(own && found.mode() & 0o022 == 0)
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        Ok(true)
    }
}

/// A file without a name, in memory.
#[cfg(target_os = "linux")]
fn in_memory() -> io::Result<fs::File> {
    use rustix::fs::{MemfdFlags, memfd_create};
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    Ok(fs::File::from(memfd_create("onnxruntime", flags)?))
}

#[cfg(not(target_os = "linux"))]
fn in_memory() -> io::Result<fs::File> {
    Err(io::Error::other(
        "other users may change it; take that right away",
    ))
}

/// From now on nobody can change it.
#[cfg(target_os = "linux")]
fn seal(file: &fs::File) -> io::Result<()> {
    use rustix::fs::{SealFlags, fcntl_add_seals};
    let all = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    Ok(fcntl_add_seals(file, all)?)
}

#[cfg(not(target_os = "linux"))]
fn seal(_file: &fs::File) -> io::Result<()> {
    Ok(())
}

/// Whether a file of another user, or one in another user's folder, may be changed by every user of
/// the system. What is this user's own, or the administrator's, is as it was meant to be.
#[must_use]
pub fn open_to_all(file: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let me = rustix::process::geteuid().as_raw();
        let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_path_buf());
        let places = [Some(file.as_path()), file.parent()].into_iter().flatten();
        let mut found = places.filter_map(|p| fs::metadata(p).ok());
        found.any(|m| others_write(m.uid(), m.mode(), me))
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        false
    }
}

/// Whether everybody may write to what belongs to neither `me` nor the administrator. In a folder
/// with the sticky bit nobody can replace what is another's.
#[cfg(unix)]
const fn others_write(owner: u32, mode: u32, me: u32) -> bool {
    const OTHERS: u32 = 0o002;
    const STICKY: u32 = 0o1000;
    owner != 0 && owner != me && mode & OTHERS != 0 && mode & STICKY == 0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_of_the_right_name_is_not_enough() {
        let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let paths = [0, 1].map(|i| folders[i].path().to_path_buf());
        fs::write(paths[1].join(NAME), "not a library").unwrap();
        let why = Library::find(None, &paths).unwrap_err();
        assert!(why.contains("is not the copy of version 1.28.0"), "{why}");
        assert!(why.contains(NAME), "{why}");
    }

    #[test]
    fn every_known_copy_has_a_whole_checksum_and_the_version_of_the_table() {
        let table: Table = serde_json::from_str(KNOWN).unwrap();
        assert_eq!(table.copies.len(), 4);
        for copy in &table.copies {
            assert!(copy.sha256.len() == 64 && copy.sha256.bytes().all(|b| b.is_ascii_hexdigit()));
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_belongs_to_others_and_is_open_to_all_is_not_trusted() {
        assert!(others_write(1001, 0o100_666, 1000));
        assert!(others_write(1001, 0o040_777, 1000));
        for (owner, mode) in [
            (1001, 0o100_644),
            (1001, 0o041_777),
            (1000, 0o100_777),
            (0, 0o040_777),
        ] {
            assert!(!others_write(owner, mode, 1000), "{owner} {mode:o}");
        }
    }
}
