//! Whether two paths name one file, however they are spelled.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs,
    path::{Component, Path, PathBuf},
};

/// What paths to one file have in common; of a file that may not be there yet.
pub(super) type Key = Vec<u8>;

/// Folders that have been looked at: a run asks for few of them, often.
#[derive(Debug, Default)]
pub(super) struct Places(HashMap<PathBuf, Key>);

impl Places {
    /// Equal for paths to one file: by the nearest folder above it that is there, and the names below
    /// that, in one case of letters. Many disks take names in two cases for one, memory sticks under
    /// Linux too. A link under the name itself is not followed, as outputs replace it.
    pub(super) fn key(&mut self, path: &Path) -> Key {
        let (folder, name) = match (path.parent(), path.file_name()) {
            (Some(folder), Some(name)) => (folder, name),
            // `..`, or the root: a folder.
            _ => return self.folder(path),
        };
        below(self.folder(folder), name)
    }

    fn folder(&mut self, path: &Path) -> Key {
        if let Some(known) = self.0.get(path) {
            return known.clone();
        }
        let here = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let key = identity(here).unwrap_or_else(|| self.missing(path));
        self.0.insert(path.to_path_buf(), key.clone());
        key
    }

    /// A folder that is yet to be made.
    fn missing(&mut self, path: &Path) -> Key {
        let mut parts = path.components();
        let last = parts.next_back();
        let above = parts.as_path();
        match last {
            Some(Component::Normal(name)) => below(self.folder(above), name),
            Some(Component::CurDir) => self.folder(above),
            // Back out of a folder that is yet to be made, which will be no link.
            Some(Component::ParentDir) => match above.parent() {
                Some(parent) if above.file_name().is_some() => self.folder(parent),
                _ => path.as_os_str().as_encoded_bytes().to_vec(),
            },
            _ => path.as_os_str().as_encoded_bytes().to_vec(),
        }
    }
}

/// A name below a folder, in one case of letters where it is text.
fn below(mut folder: Key, name: &OsStr) -> Key {
    folder.push(b'/');
    for part in name.as_encoded_bytes().utf8_chunks() {
        folder.extend(part.valid().to_lowercase().bytes());
        folder.extend(part.invalid());
    }
    folder
}

/// Equal for paths to one file that is there, also through links and in other cases of letters.
#[cfg(unix)]
pub(super) fn identity(path: &Path) -> Option<Key> {
    Some(told(&fs::metadata(path).ok()?))
}

#[cfg(unix)]
fn told(found: &fs::Metadata) -> Key {
    use std::os::unix::fs::MetadataExt;
    format!("{}:{}", found.dev(), found.ino()).into_bytes()
}

/// The file that standard input is read from, if it is one.
#[cfg(unix)]
pub(super) fn standard_input() -> Option<Key> {
    use std::os::fd::AsFd;
    let copy = std::io::stdin().as_fd().try_clone_to_owned().ok()?;
    let found = fs::File::from(copy).metadata().ok()?;
    found.is_file().then(|| told(&found))
}

/// The file that standard input is read from; only systems of the Unix family tell.
#[cfg(not(unix))]
pub(super) const fn standard_input() -> Option<Key> {
    None
}

/// Equal for paths to one file that is there, also through links and in other cases of letters.
#[cfg(not(unix))]
pub(super) fn identity(path: &Path) -> Option<Key> {
    let whole = fs::canonicalize(path).ok()?;
    Some(whole.as_os_str().as_encoded_bytes().to_vec())
}
